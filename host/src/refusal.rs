//! A refusal with its code, HTTP status, title and detail.

use std::sync::Arc;

use signoff_core::rejection::Rejection;

use crate::code::Code;
use crate::policy::PolicyFailure;
use crate::store::StoreError;
use crate::verifier::Failure;

/// What does not exist, other than an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// An entry of the audit log.
    Entry,
    /// A key that signs the audit log.
    LogKey,
    /// A module.
    Module,
    /// A path of the API.
    Route,
    /// A slot of modules.
    Slot,
    /// A token.
    Token,
    /// A size that the audit log did not have yet.
    TreeSize,
}

impl Missing {
    /// Returns the title of the refusal; `wit/codes.md` lists them.
    pub fn title(self) -> &'static str {
        match self {
            Self::Entry => "Audit entry not found",
            Self::LogKey => "Log key not found",
            Self::Module => "Module not found",
            Self::Route => "Route not found",
            Self::Slot => "Slot not found",
            Self::Token => "Token not found",
            Self::TreeSize => "Tree size not found",
        }
    }
}

/// Why an operation was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code, its HTTP status and its title.
    pub code: Code,
    /// One sentence for a person: lower case, no full stop.
    pub detail: String,
    /// The members of a context or plan that differ from the approved one, as JSON Pointers; empty if
    /// unknown.
    pub members: Vec<String>,
    /// What a `not-found` did not find, if it is not an approval.
    missing: Option<Missing>,
    /// The cause of an internal failure, only for the log: it may name files and libraries.
    cause: Option<Arc<str>>,
}

impl Refusal {
    /// Makes a refusal with its detail.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), members: Vec::new(), missing: None, cause: None }
    }

    /// Makes the refusal `not-found` for something other than an approval.
    pub fn missing(what: Missing, detail: impl Into<String>) -> Self {
        Self { missing: Some(what), ..Self::new(Code::NOT_FOUND, detail) }
    }

    /// Returns the title: the code's, or for `not-found` that of what is missing.
    pub fn title(&self) -> &'static str {
        self.missing.map_or(self.code.title, Missing::title)
    }

    /// Makes the refusal for an internal failure. Callers see its code and where to look.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        let detail = "signoff failed; the server's log has the cause under this request id";
        Self::new(Code::INTERNAL_ERROR, detail).because(cause)
    }

    /// Adds the cause, for the log.
    #[must_use]
    pub fn because(mut self, cause: impl std::fmt::Display) -> Self {
        self.cause = Some(cause.to_string().into());
        self
    }

    /// Adds the members that differ.
    #[must_use]
    pub fn with_members(mut self, members: Vec<String>) -> Self {
        self.members = members;
        self
    }

    /// Makes the refusal for a failed copy of the store, as on a full disk.
    pub(crate) fn of_copy(error: StoreError) -> Self {
        let detail =
            "the copy could not be written, as on a full disk; the store goes on unchanged";
        match error {
            StoreError::Io(cause) => Self::of_store(detail, &cause),
            error => error.into(),
        }
    }

    fn of_store(detail: &str, cause: &str) -> Self {
        Self::new(Code::STORE_UNAVAILABLE, detail).because(cause)
    }

    /// Returns the code and the detail: what callers may see.
    pub fn without_cause(&self) -> String {
        format!("{}: {}", self.code.text, self.detail)
    }

    /// Returns the whole reason, for the log and for a person at this machine.
    pub fn reason(&self) -> String {
        match &self.cause {
            None => self.detail.clone(),
            Some(cause) if self.code == Code::INTERNAL_ERROR => cause.to_string(),
            Some(cause) => format!("{}: {cause}", self.detail),
        }
    }

    /// Makes a refusal from the text of its code.
    fn of(code: &str, detail: String) -> Self {
        match Code::of(code) {
            Some(code) => Self::new(code, detail),
            // A code of a verifier newer than this host: still a refusal.
            None => Self::new(Code::FORBIDDEN, format!("{code}: {detail}")),
        }
    }

    /// Returns the seconds after which a retry may succeed; `None` if it cannot.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        matches!(self.code.status, 429 | 503).then_some(1)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.text, self.reason())
    }
}

impl std::error::Error for Refusal {}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self::of(rejection.code.as_str(), rejection.message)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Rejected(rejection) => Self::of(&rejection.code, rejection.message),
            Failure::Trapped(cause) => Self::new(
                Code::VERIFIER_TRAPPED,
                "the verifier returned no result, so nothing was decided",
            )
            .because(cause),
        }
    }
}

impl From<PolicyFailure> for Refusal {
    fn from(failure: PolicyFailure) -> Self {
        match failure {
            PolicyFailure::Uncallable(cause) => Self::new(
                Code::POLICY_TRAPPED,
                "the policy could not be called, so nothing is allowed",
            )
            .because(cause),
            PolicyFailure::Trapped(_) | PolicyFailure::Malformed(_) => {
                Self::new(Code::POLICY_TRAPPED, format!("{failure}, so nothing is allowed"))
            }
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Tampered(_) | StoreError::Untrusted(_) => Code::STORE_TAMPERED,
            StoreError::Io(cause) => return Self::of_store("the store failed", cause),
            StoreError::Stopped(cause) => {
                return Self::of_store("the store accepts no writes until a restart", cause);
            }
            StoreError::Damaged(cause) => return Self::of_store("the store is damaged", cause),
            StoreError::Unsigned(cause) => {
                return Self::of_store("the head of the audit log cannot be signed", cause);
            }
            StoreError::Missing(_)
            | StoreError::Held
            | StoreError::Foreign(_)
            | StoreError::Format { .. }
            | StoreError::ReadOnly => Code::STORE_UNAVAILABLE,
        };
        Self::new(code, error.to_string())
    }
}
