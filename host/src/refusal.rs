//! A refusal with its code, HTTP status, title and detail.

use signoff_core::rejection::Rejection;

use crate::code::Code;
use crate::engine::PolicyFailure;
use crate::store::StoreError;
use crate::verifier::Failure;

/// Why an operation was refused. Nothing was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code, its HTTP status and its title.
    pub code: Code,
    /// One sentence for a person: lower case, no full stop.
    pub detail: String,
}

impl Refusal {
    /// Makes a refusal with its detail.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
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
        write!(f, "{}: {}", self.code.text, self.detail)
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
            Failure::Trapped(_) => Self::new(
                Code::VERIFIER_TRAPPED,
                "the verifier returned no result, so nothing was decided",
            ),
        }
    }
}

impl From<PolicyFailure> for Refusal {
    fn from(failure: PolicyFailure) -> Self {
        Self::new(Code::POLICY_TRAPPED, format!("{failure}, so nothing is allowed"))
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Tampered(_) | StoreError::Untrusted(_) => Code::STORE_TAMPERED,
            _ => Code::STORE_UNAVAILABLE,
        };
        Self::new(code, error.to_string())
    }
}
