//! Strict validation of verdicts: a policy's result is untrusted input.

use serde::Serialize;
use signoff_core::limits::{FAILED_MAX, IDENTIFIER_BYTES_MAX};
use signoff_core::name::{Identifier, Text};
use signoff_core::object;
pub use signoff_core::requirement::PartialRequirement as Requirement;
pub use signoff_core::verdict::Decision;

const REQUIREMENT_BYTES_MAX: usize = 16 << 10;
/// A policy's verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The decision about the action.
    pub decision: Decision,
    /// The rule that decided; `None` if no rule did.
    pub rule: Option<String>,
    /// The reason, for people.
    pub reason: Option<String>,
    /// The requirement of an approval; only with [`Decision::RequireApproval`].
    pub requirement: Option<Requirement>,
    /// The applicable rules whose condition failed to evaluate, at most 16.
    pub failed: Vec<String>,
}

/// A policy's result, not yet validated.
pub(crate) struct RawVerdict {
    pub(crate) decision: String,
    pub(crate) rule: Option<String>,
    pub(crate) reason: Option<String>,
    /// A JSON object.
    pub(crate) requirement: Option<String>,
    /// Rules whose condition failed.
    pub(crate) failed: Vec<String>,
}

/// Why a verdict is malformed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MalformedVerdict(String);

impl Verdict {
    /// Returns the verdict without a policy: approval is required.
    pub fn of_no_policy() -> Self {
        Self {
            decision: Decision::RequireApproval,
            rule: None,
            reason: None,
            requirement: None,
            failed: Vec::new(),
        }
    }

    /// Validates a result.
    ///
    /// # Errors
    ///
    /// The first malformed field, in the order of the fields.
    pub(crate) fn read(answer: RawVerdict) -> Result<Self, MalformedVerdict> {
        let decision = Decision::parse(&answer.decision).ok_or_else(|| {
            malformed(format!(
                "decision must be `allow`, `deny` or `require_approval`, it is `{}`",
                shortened(&answer.decision)
            ))
        })?;
        if let Some(rule) = &answer.rule
            && !Identifier::fits(rule)
        {
            return Err(malformed(format!(
                "rule must be 1 to {IDENTIFIER_BYTES_MAX} visible ASCII characters, it is `{}`",
                shortened(rule)
            )));
        }
        let reason = answer.reason.map(|reason| Text::new("reason", reason)).transpose();
        let reason = reason.map_err(|e| malformed(e.message))?;
        let requirement = answer.requirement.as_deref().map(requirement).transpose()?;
        if requirement.is_some() && decision != Decision::RequireApproval {
            return Err(malformed(format!(
                "requirement is not allowed with decision `{decision}`"
            )));
        }
        let failed = failed(answer.failed)?;
        let reason = reason.map(|reason| reason.to_string());
        Ok(Self { decision, rule: answer.rule, reason, requirement, failed })
    }
}

/// Parses a requirement and checks its limits.
fn requirement(text: &str) -> Result<Requirement, MalformedVerdict> {
    if text.len() > REQUIREMENT_BYTES_MAX {
        return Err(malformed(format!(
            "requirement is {} bytes, the limit is {REQUIREMENT_BYTES_MAX}",
            text.len()
        )));
    }
    let requirement: Requirement =
        object::parse("requirement", text).map_err(|e| malformed(e.message))?;
    requirement.check().map_err(|e| malformed(format!("requirement: {}", e.message)))?;
    Ok(requirement)
}

/// Validates the ids of the rules that failed.
fn failed(ids: Vec<String>) -> Result<Vec<String>, MalformedVerdict> {
    if ids.len() > FAILED_MAX {
        return Err(malformed(format!(
            "failed names {} rules, the limit is {FAILED_MAX}",
            ids.len()
        )));
    }
    for (at, id) in ids.iter().enumerate() {
        if !Identifier::fits(id) {
            return Err(malformed(format!(
                "failed must name rules of 1 to {IDENTIFIER_BYTES_MAX} visible ASCII characters, it names `{}`",
                shortened(id)
            )));
        }
        if ids.iter().take(at).any(|earlier| earlier == id) {
            return Err(malformed(format!("failed names `{}` twice", shortened(id))));
        }
    }
    Ok(ids)
}

/// Returns the escaped start of an arbitrary text.
fn shortened(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}

fn malformed(why: String) -> MalformedVerdict {
    MalformedVerdict(why)
}

#[cfg(test)]
mod tests {
    use super::{RawVerdict, Verdict};

    /// Approvals store the reason as they store a requester's: what they do not take is the policy's
    /// fault, and not that of the request.
    #[test]
    fn a_reason_is_a_text_that_approvals_take() {
        let read = |reason: &str| {
            Verdict::read(RawVerdict {
                decision: "deny".to_owned(),
                rule: None,
                reason: Some(reason.to_owned()),
                requirement: None,
                failed: Vec::new(),
            })
        };
        for reason in ["", "plain", "two\nlines\tand é", &"a".repeat(4_096)] {
            assert!(read(reason).is_ok(), "{reason}");
        }
        for reason in ["a\rb", "\u{1b}[2J", "a\u{9b}", "\0", &"a".repeat(4_097)] {
            assert!(read(reason).is_err(), "{reason:?}");
        }
    }
}
