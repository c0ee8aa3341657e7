//! Refusals.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;

/// A refusal: a stable code and a message.
///
/// [`Self::kind`] tells a caller how to react, [`Self::code`] which rule refused. Codes are listed
/// in `wit/codes.md`; a verifier newer than this crate may return others.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Rejection {
    code: Cow<'static, str>,
    message: String,
}

/// The kind of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// An argument or the server's response is malformed.
    Invalid,
    /// The response is another approval than the requested one.
    NotFound,
    /// The approval is not in a state in which the action may run: pending, expired, executed.
    State,
    /// The approval does not permit the action: signatures, quorum or approved values do not match.
    Refused,
    /// The verifier itself failed. Nothing was verified.
    Failed,
}

impl Rejection {
    /// The stable code, such as `context-mismatch`.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// One sentence for a person: lower case, no full stop, no secrets.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The kind of the refusal.
    pub fn kind(&self) -> Kind {
        match self.code() {
            "request-invalid"
            | "context-invalid"
            | "signature-malformed"
            | "statement-ambiguous"
            | "limit-exceeded"
            | "receipt-invalid"
            | "module-invalid"
            | "manifest-invalid" => Kind::Invalid,
            "not-found" => Kind::NotFound,
            "already-decided" | "already-voted" | "not-approved" | "expired"
            | "already-executed" | "already-settled" | "already-erased" | "not-final"
            | "version-not-newer" => Kind::State,
            "record-unreadable" | "internal-error" | "verifier-trapped" => Kind::Failed,
            _ => Kind::Refused,
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { code: Cow::Borrowed("request-invalid"), message: message.into() }
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { code: Cow::Borrowed("verifier-trapped"), message: message.into() }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Rejection {}
