//! The errors of a client. Their names, codes and members are those of every SDK.

use std::fmt;

use serde::Deserialize;
use signoff_verify::Rejection;

/// What went wrong, with its code and its reason.
///
/// The variants say how a caller reacts; [`Self::code`] says which rule refused. The codes are listed
/// in `wit/codes.md`; four exist here only: `rejected`, `withdrawn`, `untrusted-answer` and
/// `unreachable`, besides `timed-out`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// An approver said no; [`Self::comment`] is theirs.
    Rejected(Box<Problem>),
    /// The approval expired before it was decided or used.
    Expired(Box<Problem>),
    /// The request was withdrawn.
    Withdrawn(Box<Problem>),
    /// The policy denies the action; [`Self::comment`] is its reason.
    Denied(Box<Problem>),
    /// Another deployment, policy, agent, action, context, plan or execution than the approved one.
    /// [`Self::members`] lists what differs, if known.
    Mismatch(Box<Problem>),
    /// What the server shows does not prove an approval, or cannot be what was requested
    /// (`untrusted-answer`).
    Unverified(Box<Problem>),
    /// An argument or a setting is malformed or too large.
    Invalid(Box<Problem>),
    /// The token is missing, or does not allow the call.
    Forbidden(Box<Problem>),
    /// There is no such approval, or the token may not read it.
    NotFound(Box<Problem>),
    /// The approval is not in a state that allows the call.
    Conflict(Box<Problem>),
    /// The server gave no usable answer (`unreachable`), or cannot answer now.
    Unavailable(Box<Problem>),
    /// The caller's own time limit passed first.
    TimedOut(Box<Problem>),
    /// The verifier of this process failed. Nothing was verified.
    VerifierTrapped(Box<Problem>),
    /// A code that this version does not know.
    Other(Box<Problem>),
}

/// The members of an [`Error`]. Texts come from a server or a person: escape them where you show them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The stable code.
    pub code: String,
    /// The title of the code.
    pub title: String,
    /// The reason, one sentence.
    pub detail: String,
    /// The HTTP status; 0 if no server answered.
    pub status: u16,
    /// The server's id of the request, for its log.
    pub request_id: Option<String>,
    /// JSON pointers to what differs or was refused, if known.
    pub members: Vec<String>,
    /// The approval that was requested, if there is one.
    pub approval_id: Option<String>,
    /// The approver's comment, or the policy's reason.
    pub comment: Option<String>,
}

/// A refusal of the API, `application/problem+json`.
#[derive(Deserialize)]
struct Shown {
    code: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    members: Vec<String>,
}

impl Error {
    /// The stable code, such as `context-mismatch`.
    pub fn code(&self) -> &str {
        &self.problem().code
    }

    /// The title of the code.
    pub fn title(&self) -> &str {
        &self.problem().title
    }

    /// The reason, one sentence.
    pub fn detail(&self) -> &str {
        &self.problem().detail
    }

    /// The HTTP status; 0 if no server answered.
    pub fn status(&self) -> u16 {
        self.problem().status
    }

    /// The server's id of the request, for its log.
    pub fn request_id(&self) -> Option<&str> {
        self.problem().request_id.as_deref()
    }

    /// JSON pointers to what differs or was refused, if known.
    pub fn members(&self) -> &[String] {
        &self.problem().members
    }

    /// The approval that was requested, if there is one.
    pub fn approval_id(&self) -> Option<&str> {
        self.problem().approval_id.as_deref()
    }

    /// The approver's comment, or the policy's reason.
    pub fn comment(&self) -> Option<&str> {
        self.problem().comment.as_deref()
    }

    /// Returns whether the action was not approved: rejected, expired, withdrawn or denied.
    pub fn is_not_approved(&self) -> bool {
        matches!(self, Self::Rejected(_) | Self::Expired(_) | Self::Withdrawn(_) | Self::Denied(_))
    }

    /// The name of the error, the same in every SDK.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rejected(_) => "Rejected",
            Self::Expired(_) => "Expired",
            Self::Withdrawn(_) => "Withdrawn",
            Self::Denied(_) => "Denied",
            Self::Mismatch(_) => "Mismatch",
            Self::Unverified(_) => "Unverified",
            Self::Invalid(_) => "Invalid",
            Self::Forbidden(_) => "Forbidden",
            Self::NotFound(_) => "NotFound",
            Self::Conflict(_) => "Conflict",
            Self::Unavailable(_) => "Unavailable",
            Self::TimedOut(_) => "TimedOut",
            Self::VerifierTrapped(_) => "VerifierTrapped",
            Self::Other(_) => "SignoffError",
        }
    }

    /// All members.
    pub fn problem(&self) -> &Problem {
        match self {
            Self::Rejected(problem)
            | Self::Expired(problem)
            | Self::Withdrawn(problem)
            | Self::Denied(problem)
            | Self::Mismatch(problem)
            | Self::Unverified(problem)
            | Self::Invalid(problem)
            | Self::Forbidden(problem)
            | Self::NotFound(problem)
            | Self::Conflict(problem)
            | Self::Unavailable(problem)
            | Self::TimedOut(problem)
            | Self::VerifierTrapped(problem)
            | Self::Other(problem) => problem,
        }
    }

    /// Makes an error of this process: no server refused.
    pub(crate) fn local(code: &str, detail: impl Into<String>) -> Self {
        Self::of(Problem { code: code.to_owned(), detail: detail.into(), ..Problem::default() })
    }

    /// A malformed argument or setting.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::local("request-invalid", detail)
    }

    /// No usable answer.
    pub(crate) fn unreachable(detail: impl Into<String>) -> Self {
        Self::local("unreachable", detail)
    }

    /// What the server showed cannot be what was requested.
    pub(crate) fn untrusted(detail: impl Into<String>) -> Self {
        Self::local("untrusted-answer", detail)
    }

    /// Reads the refusal in an answer that is not a success. Anything but a problem is `unreachable`:
    /// it does not come from signoff.
    pub(crate) fn of_answer(status: u16, request_id: Option<String>, body: &[u8]) -> Self {
        let Ok(shown) = serde_json::from_slice::<Shown>(body) else {
            return Self::of(Problem {
                code: "unreachable".to_owned(),
                detail: format!("the server returned status {status} without a reason"),
                status,
                request_id,
                ..Problem::default()
            });
        };
        let comment = (shown.code == "policy-denied").then(|| shown.detail.clone());
        Self::of(Problem {
            code: shown.code,
            title: shown.title,
            detail: shown.detail,
            status,
            request_id,
            members: shown.members,
            approval_id: None,
            comment,
        })
    }

    /// Adds the approval that was requested.
    pub(crate) fn about(mut self, id: &str) -> Self {
        self.problem_mut().approval_id.get_or_insert_with(|| id.to_owned());
        self
    }

    /// Adds the JSON pointers of what was refused.
    pub(crate) fn at(mut self, members: Vec<String>) -> Self {
        self.problem_mut().members = members;
        self
    }

    /// Adds an approver's comment.
    pub(crate) fn said(mut self, comment: Option<&str>) -> Self {
        self.problem_mut().comment = comment.map(str::to_owned);
        self
    }

    fn of(mut problem: Problem) -> Self {
        let (variant, title) = kind(&problem);
        if problem.title.is_empty() {
            title.clone_into(&mut problem.title);
        }
        variant(Box::new(problem))
    }

    fn problem_mut(&mut self) -> &mut Problem {
        match self {
            Self::Rejected(problem)
            | Self::Expired(problem)
            | Self::Withdrawn(problem)
            | Self::Denied(problem)
            | Self::Mismatch(problem)
            | Self::Unverified(problem)
            | Self::Invalid(problem)
            | Self::Forbidden(problem)
            | Self::NotFound(problem)
            | Self::Conflict(problem)
            | Self::Unavailable(problem)
            | Self::TimedOut(problem)
            | Self::VerifierTrapped(problem)
            | Self::Other(problem) => problem,
        }
    }
}

/// The variant of a code, and the title that a local error has.
fn kind(problem: &Problem) -> (fn(Box<Problem>) -> Error, &'static str) {
    match problem.code.as_str() {
        "rejected" => (Error::Rejected, "Rejected by an approver"),
        "expired" => (Error::Expired, "Approval has expired"),
        "withdrawn" => (Error::Withdrawn, "Request was withdrawn"),
        "policy-denied" => (Error::Denied, "Denied by policy"),
        "audience-mismatch" | "policy-mismatch" | "agent-mismatch" | "action-mismatch"
        | "context-mismatch" | "plan-mismatch" | "execution-mismatch" => {
            (Error::Mismatch, "Not what was approved")
        }
        "signature-invalid"
        | "signature-malformed"
        | "statement-ambiguous"
        | "key-unknown"
        | "key-revoked"
        | "key-not-yours"
        | "approver-not-allowed"
        | "self-approval"
        | "requirement-too-weak"
        | "request-too-old"
        | "receipt-invalid"
        | "receipt-untrusted"
        | "untrusted-answer" => (Error::Unverified, "Not verified"),
        "request-invalid"
        | "context-invalid"
        | "limit-exceeded"
        | "unsupported-media-type"
        | "idempotency-key-reused"
        | "module-invalid"
        | "manifest-invalid" => (Error::Invalid, "Invalid request"),
        "unauthenticated" | "forbidden" => (Error::Forbidden, "Not allowed"),
        "not-found" => (Error::NotFound, "Approval not found"),
        "already-decided"
        | "already-voted"
        | "not-approved"
        | "already-executed"
        | "already-settled"
        | "already-erased"
        | "not-final"
        | "requirement-unmeetable"
        | "version-not-newer" => (Error::Conflict, "Not in this state"),
        // Of this process, no server answered.
        "verifier-trapped" if problem.status == 0 => (Error::VerifierTrapped, "Verifier failed"),
        "rate-limited"
        | "store-unavailable"
        | "keyring-unavailable"
        | "verifier-trapped"
        | "policy-trapped"
        | "clock-behind"
        | "clock-ahead"
        | "settings-weaker"
        | "internal-error"
        | "store-tampered"
        | "record-unreadable" => (Error::Unavailable, "Unavailable"),
        "unreachable" => (Error::Unavailable, "No usable answer"),
        "timed-out" => (Error::TimedOut, "Timed out"),
        _ => (Error::Other, "Refused"),
    }
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        Self::local(rejection.code(), rejection.message())
    }
}

/// Shows the code, the detail, and the comment of who refused unless it is the detail. Characters that
/// could change a terminal or the order of the text are escaped, and a long text is cut.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Plain(self.code()), Plain(self.detail()))?;
        match self.comment() {
            Some(comment) if !comment.is_empty() && comment != self.detail() => {
                write!(f, ": {}", Plain(comment))
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// The longest text from elsewhere that a message shows, in characters.
const SHOWN_CHARS_MAX: usize = 1000;

/// A text from elsewhere, shown on one line.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.char_indices().nth(SHOWN_CHARS_MAX).map(|(end, _)| end);
        let (shown, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        for char in shown.chars() {
            // Debug escapes what is not printable, which includes the invisible marks of direction.
            let is_plain = char == '\'' || char == '"' || char.escape_debug().count() == 1;
            if is_plain { write!(f, "{char}")? } else { write!(f, "{}", char.escape_debug())? }
        }
        if rest.is_empty() { Ok(()) } else { f.write_str("…") }
    }
}
