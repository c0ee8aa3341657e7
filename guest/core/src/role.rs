//! Roles: what a token is for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a caller may do; a token has one or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Requests approvals, and reads its own.
    Requester,
    /// Reads every approval and decides it. Never an agent.
    Approver,
    /// Verifies and claims the approvals of its agents, and reports how they ended.
    Executor,
    /// Reads everything, changes nothing.
    Auditor,
    /// Ships policy modules.
    Policy,
    /// Makes tokens, reads everything, withdraws and extends; decides and executes nothing. Never an
    /// agent.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] =
        [Self::Requester, Self::Approver, Self::Executor, Self::Auditor, Self::Policy, Self::Admin];

    /// The role as it is written.
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

    /// Reads a role.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
