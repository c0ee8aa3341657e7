//! Refusals: a stable code and a sentence.

use std::fmt;

use crate::context::Invalid;

/// Longest sentence of a refusal, in characters.
const MESSAGE_CHARS_MAX: usize = 512;

/// A refusal. The verifier answers this or what was asked for, never a bool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Which rule refused.
    pub code: Code,
    /// One sentence for a person: lower case, no full stop, no secrets.
    pub message: String,
}

impl Rejection {
    /// A refusal with its sentence. What a terminal would act on is written as an escape, and what
    /// is too long is cut: a sentence may quote a caller, or a record that somebody wrote to.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        let plain = message.len() <= MESSAGE_CHARS_MAX && !message.contains(char::is_control);
        let message = if plain { message } else { escaped(&message) };
        Self { code, message }
    }

    /// The caller's mistake in the form of an argument.
    pub fn request(message: impl Into<String>) -> Self {
        Self::new(Code::RequestInvalid, message)
    }

    /// The caller passed a limit.
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(Code::LimitExceeded, message)
    }
}

impl From<Invalid> for Rejection {
    fn from(invalid: Invalid) -> Self {
        Self::new(Code::ContextInvalid, invalid.to_string())
    }
}

fn escaped(message: &str) -> String {
    let mut escaped = String::new();
    for (index, c) in message.chars().enumerate() {
        if index == MESSAGE_CHARS_MAX {
            escaped.push('…');
            break;
        }
        if c.is_control() {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for Rejection {}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// The stable codes that the verifier raises; `wit/codes.md` lists them with the host's.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each is its code, explained in wit/codes.md")]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code, in the order of `wit/codes.md`.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as it crosses the border.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

codes! {
    RequestInvalid = "request-invalid",
    ContextInvalid = "context-invalid",
    SignatureMalformed = "signature-malformed",
    StatementAmbiguous = "statement-ambiguous",
    LimitExceeded = "limit-exceeded",
    Forbidden = "forbidden",
    NotFound = "not-found",
    AlreadyDecided = "already-decided",
    AlreadyVoted = "already-voted",
    NotApproved = "not-approved",
    Expired = "expired",
    AlreadyExecuted = "already-executed",
    AlreadySettled = "already-settled",
    AlreadyErased = "already-erased",
    NotFinal = "not-final",
    SignatureInvalid = "signature-invalid",
    KeyUnknown = "key-unknown",
    KeyRevoked = "key-revoked",
    KeyNotYours = "key-not-yours",
    SelfApproval = "self-approval",
    ApproverNotAllowed = "approver-not-allowed",
    AudienceMismatch = "audience-mismatch",
    RequirementTooWeak = "requirement-too-weak",
    PolicyMismatch = "policy-mismatch",
    RequestTooOld = "request-too-old",
    AgentMismatch = "agent-mismatch",
    ActionMismatch = "action-mismatch",
    ContextMismatch = "context-mismatch",
    PlanMismatch = "plan-mismatch",
    ExecutionMismatch = "execution-mismatch",
    ReceiptInvalid = "receipt-invalid",
    ReceiptUntrusted = "receipt-untrusted",
    RecordUnreadable = "record-unreadable",
    InternalError = "internal-error",
}
