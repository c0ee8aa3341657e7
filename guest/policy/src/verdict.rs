//! What a policy answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Whether an action may run, from the mildest to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It may run.
    Allow,
    /// It may run after an approval.
    RequireApproval,
    /// It must not run.
    Deny,
}

impl Decision {
    /// The text that crosses the border.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::RequireApproval => "require_approval",
            Self::Deny => "deny",
        }
    }

    /// The decision of that name.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        match text {
            "allow" => Some(Self::Allow),
            "require_approval" => Some(Self::RequireApproval),
            "deny" => Some(Self::Deny),
            _ => None,
        }
    }
}

/// What an approval takes. What is none is asked by nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Requirement {
    /// How long an approval lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u32>,
    /// How many approvers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u32>,
    /// How many of each group.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, u32>,
}

/// The answer to one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether it may run.
    pub decision: Decision,
    /// The rule that decided; none where the default did.
    pub rule: Option<String>,
    /// For people.
    pub reason: Option<String>,
    /// Only with [`Decision::RequireApproval`].
    pub requirement: Option<Requirement>,
    /// The rules that concern the attempt and whose condition could not be evaluated: the first 16
    /// ids, in file order.
    pub failed: Vec<String>,
}
