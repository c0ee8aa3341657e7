//! Roles: what a token authorizes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a caller may do. A token has one or more roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Requests approvals and reads its own.
    Requester,
    /// Reads and decides every approval. Never an agent.
    Approver,
    /// Verifies and claims the approvals of its agents, and reports their outcomes.
    Executor,
    /// Reads everything, changes nothing.
    Auditor,
    /// Ships policy modules.
    Policy,
    /// Creates tokens, reads everything, withdraws and extends approvals; decides and executes
    /// nothing. Never an agent.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] =
        [Self::Requester, Self::Approver, Self::Executor, Self::Auditor, Self::Policy, Self::Admin];

    /// Returns the role as written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requester => "requester",
            Self::Approver => "approver",
            Self::Executor => "executor",
            Self::Auditor => "auditor",
            Self::Policy => "policy",
            Self::Admin => "admin",
        }
    }

    /// Parses a role.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
