//! The id of an evaluation, which binds an access request to the denial that it follows. It names the
//! evaluation's entry in the audit log, so nothing that the caller sends back is believed: agent,
//! action, digest, caller and time are the log's.

use std::fmt;

use crate::code::Code;
use crate::refusal::Refusal;

const PREFIX: &str = "eval_";
/// How long after an evaluation its denial can be requested.
pub(super) const WINDOW_SECONDS: u64 = 600;
/// Tolerance for the clock of the caller, as the profile recommends.
pub(super) const SKEW_SECONDS: u64 = 30;

/// The id of an evaluation: `eval_` and the number of its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvaluationId(u64);

impl EvaluationId {
    pub(super) fn of_entry(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number of the entry.
    pub(super) fn entry(self) -> u64 {
        self.0
    }

    /// Parses an id; `None` for any other text than [`Self`] prints.
    pub fn parse(text: &str) -> Option<Self> {
        let number = text.strip_prefix(PREFIX)?.parse().ok().filter(|number| *number > 0)?;
        Some(Self(number)).filter(|id| id.to_string() == text)
    }
}

impl fmt::Display for EvaluationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.0)
    }
}

/// Why no approval is requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unrequestable {
    /// The evaluation is not this caller's, or not of what is requested.
    Unbound(Refusal),
    /// The evaluation was too long ago.
    Late(Refusal),
    /// The policy does not ask for an approval.
    NotRequestable(Refusal),
    /// Any other refusal.
    Other(Refusal),
}

impl Unrequestable {
    pub(super) fn unbound(why: &str) -> Self {
        let detail = format!("denial: {why}; evaluate again and request with what that answers");
        Self::Unbound(Refusal::new(Code::REQUEST_INVALID, detail))
    }

    pub(super) fn late() -> Self {
        let detail = format!(
            "denial: the evaluation is older than {WINDOW_SECONDS} s; evaluate again and request with what that answers"
        );
        Self::Late(Refusal::new(Code::REQUEST_TOO_OLD, detail))
    }

    pub(super) fn not_requestable(why: &str) -> Self {
        Self::NotRequestable(Refusal::new(Code::POLICY_DENIED, format!("denial: {why}")))
    }

    /// Returns the refusal.
    pub fn refusal(self) -> Refusal {
        match self {
            Self::Unbound(refusal)
            | Self::Late(refusal)
            | Self::NotRequestable(refusal)
            | Self::Other(refusal) => refusal,
        }
    }
}

impl From<Refusal> for Unrequestable {
    fn from(refusal: Refusal) -> Self {
        match refusal.code {
            Code::POLICY_DENIED => Self::NotRequestable(refusal),
            _ => Self::Other(refusal),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::EvaluationId;

    #[test]
    fn an_id_has_one_text() {
        assert_eq!(EvaluationId::parse("eval_7").unwrap().entry(), 7);
        assert_eq!(EvaluationId::of_entry(u64::MAX).to_string(), "eval_18446744073709551615");
        for text in [
            "",
            "eval_",
            "7",
            "eval_0",
            "eval_07",
            "eval_+7",
            "eval_-7",
            "eval_ 7",
            "EVAL_7",
            "eval_7 ",
            "eval_7.0",
            "eval_18446744073709551616",
            "eval_\u{663}",
        ] {
            assert_eq!(EvaluationId::parse(text), None, "{text}");
        }
    }
}
