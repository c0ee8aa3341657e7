//! The statement that an approver signs.

use serde::{Deserialize, Serialize};

use crate::time::UnixSeconds;

/// An approver's decision on one request, with everything it refers to. Profile `v2` covers every
/// field; `v1` covers the approval id, the decision, the approver and the expiry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[allow(missing_docs, reason = "each is the field of its name in wit/types.wit")]
pub struct Statement {
    pub audience: String,
    pub key_id: String,
    pub approval_id: String,
    pub request_digest: String,
    pub expires_at: UnixSeconds,
    pub decision: Decision,
    pub approver: String,
    pub comment: String,
}

/// An approver's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The action may run.
    Approved,
    /// The action must not run.
    Rejected,
}

/// The encoding of a statement to the bytes to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Profile {
    /// The runbook's profile: HMAC over id, decision, approver and expiry.
    V1,
    /// Every field, under HMAC-SHA256 or Ed25519.
    V2,
}

impl Decision {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }
}
