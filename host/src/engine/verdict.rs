//! A verdict, read strictly: what a policy answers is another program's output.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const RULE_BYTES_MAX: usize = 128;
const REASON_BYTES_MAX: usize = 4 << 10;
const FAILED_MAX: usize = 16;
const REQUIREMENT_BYTES_MAX: usize = 16 << 10;
/// As the verifier has them.
const TTL_SECONDS_MAX: u64 = 604_800;
const COUNT_MAX: u32 = 16;

/// Whether an action may go ahead.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It may.
    Allow,
    /// A person must approve it first.
    RequireApproval,
    /// It must not.
    Deny,
}

/// A policy's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether the action may go ahead.
    pub decision: Decision,
    /// The rule that decided; none where no rule did.
    pub rule: Option<String>,
    /// Why, for people.
    pub reason: Option<String>,
    /// What an approval takes; only with [`Decision::RequireApproval`].
    pub requirement: Option<Requirement>,
    /// The rules that concern the attempt and whose condition could not be evaluated, at most 16.
    pub failed: Vec<String>,
}

/// What a policy answered, not yet read.
pub(crate) struct RawVerdict {
    pub(crate) decision: String,
    pub(crate) rule: Option<String>,
    pub(crate) reason: Option<String>,
    /// A JSON object.
    pub(crate) requirement: Option<String>,
    /// Rules whose condition failed.
    pub(crate) failed: Vec<String>,
}

/// What an approval takes; what is left out is as the request has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// How long it lives at most, 1 to 604800.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// How many approvers, 1 to 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u32>,
    /// How many of each group, 1 to 16; at most 16 groups.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, u32>,
}

/// What is wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MalformedVerdict(String);

impl Decision {
    /// The decision as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::RequireApproval => "require_approval",
            Self::Deny => "deny",
        }
    }

    /// Reads a decision.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Allow, Self::RequireApproval, Self::Deny].into_iter().find(|d| d.as_str() == text)
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Verdict {
    /// The verdict where no policy is: a person must approve.
    pub fn of_no_policy() -> Self {
        Self {
            decision: Decision::RequireApproval,
            rule: None,
            reason: None,
            requirement: None,
            failed: Vec::new(),
        }
    }

    /// Reads an answer.
    ///
    /// # Errors
    ///
    /// What is out of its form, in the order of the fields.
    pub(crate) fn read(answer: RawVerdict) -> Result<Self, MalformedVerdict> {
        let decision = Decision::parse(&answer.decision).ok_or_else(|| {
            malformed(format!(
                "decision must be `allow`, `deny` or `require_approval`, it is `{}`",
                shortened(&answer.decision)
            ))
        })?;
        if let Some(rule) = &answer.rule
            && !is_identifier(rule)
        {
            return Err(malformed(format!(
                "rule must be 1 to {RULE_BYTES_MAX} visible ASCII characters, it is `{}`",
                shortened(rule)
            )));
        }
        if let Some(reason) = &answer.reason
            && reason.len() > REASON_BYTES_MAX
        {
            return Err(malformed(format!(
                "reason is {} bytes, the limit is {REASON_BYTES_MAX}",
                reason.len()
            )));
        }
        let requirement = answer.requirement.as_deref().map(Requirement::read).transpose()?;
        if requirement.is_some() && decision != Decision::RequireApproval {
            return Err(malformed(format!("a requirement stands beside `{decision}`")));
        }
        let failed = failed(answer.failed)?;
        Ok(Self { decision, rule: answer.rule, reason: answer.reason, requirement, failed })
    }
}

impl Requirement {
    fn read(text: &str) -> Result<Self, MalformedVerdict> {
        if text.len() > REQUIREMENT_BYTES_MAX {
            return Err(malformed(format!(
                "requirement is {} bytes, the limit is {REQUIREMENT_BYTES_MAX}",
                text.len()
            )));
        }
        let requirement: Self =
            serde_json::from_str(text).map_err(|e| malformed(format!("requirement: {e}")))?;
        requirement.within_limits().map_err(malformed)?;
        Ok(requirement)
    }

    fn within_limits(&self) -> Result<(), String> {
        let ttl = self.ttl_seconds.unwrap_or(1);
        if !(1..=TTL_SECONDS_MAX).contains(&ttl) {
            return Err(format!(
                "requirement.ttl_seconds is {ttl}, it must be 1 to {TTL_SECONDS_MAX}"
            ));
        }
        let count = |what: &str, n: u32| match n {
            1..=COUNT_MAX => Ok(()),
            _ => Err(format!("requirement.{what} is {n}, it must be 1 to {COUNT_MAX}")),
        };
        count("threshold", self.threshold.unwrap_or(1))?;
        if self.groups.len() > COUNT_MAX as usize {
            return Err(format!(
                "requirement.groups has {} groups, the limit is {COUNT_MAX}",
                self.groups.len()
            ));
        }
        for (group, minimum) in &self.groups {
            if !is_identifier(group) {
                return Err(format!("requirement.groups names `{}`", shortened(group)));
            }
            count("groups", *minimum)?;
        }
        Ok(())
    }
}

/// Reads the ids of the rules that failed.
fn failed(ids: Vec<String>) -> Result<Vec<String>, MalformedVerdict> {
    if ids.len() > FAILED_MAX {
        return Err(malformed(format!(
            "failed names {} rules, the limit is {FAILED_MAX}",
            ids.len()
        )));
    }
    for (at, id) in ids.iter().enumerate() {
        if !is_identifier(id) {
            return Err(malformed(format!(
                "failed must name rules of 1 to {RULE_BYTES_MAX} visible ASCII characters, it names `{}`",
                shortened(id)
            )));
        }
        if ids.iter().take(at).any(|earlier| earlier == id) {
            return Err(malformed(format!("failed names `{}` twice", shortened(id))));
        }
    }
    Ok(ids)
}

/// `[!-~]{1,128}`, as the verifier has its identifiers.
fn is_identifier(text: &str) -> bool {
    (1..=RULE_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| (b'!'..=b'~').contains(&b))
}

/// The start of a text that may be of any length and hold anything.
fn shortened(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}

fn malformed(why: String) -> MalformedVerdict {
    MalformedVerdict(why)
}
