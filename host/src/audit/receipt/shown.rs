//! The approval in a receipt: those members of the API's approval that a signature, a digest or the
//! log proves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::ReceiptError;

/// The members. Events that have not happened are null.
#[derive(Serialize, Deserialize)]
pub(super) struct Shown {
    pub(super) id: String,
    pub(super) audience: String,
    pub(super) status: String,
    pub(super) agent: String,
    pub(super) action: String,
    pub(super) context: Box<RawValue>,
    pub(super) context_hash: String,
    pub(super) plan: Option<Box<RawValue>>,
    pub(super) plan_hash: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) requested_by: String,
    pub(super) requested_at: String,
    pub(super) expires_at: String,
    pub(super) requirement: Requirement,
    pub(super) policy: Option<String>,
    pub(super) rule: Option<String>,
    pub(super) request_digest: String,
    pub(super) ballots: Vec<Ballot>,
    pub(super) execution: Option<Execution>,
    pub(super) withdrawn_at: Option<String>,
    pub(super) withdrawn_by: Option<String>,
    pub(super) erased_at: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Requirement {
    pub(super) ttl_seconds: u64,
    pub(super) threshold: u32,
    pub(super) groups: BTreeMap<String, u32>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Ballot {
    pub(super) decision: String,
    pub(super) approver: String,
    pub(super) comment: Option<String>,
    pub(super) signature: String,
    pub(super) profile: String,
    pub(super) key_id: String,
    pub(super) cast_at: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Execution {
    pub(super) id: String,
    pub(super) claimed_by: String,
    pub(super) claimed_at: String,
    pub(super) outcome: String,
    pub(super) settled_at: Option<String>,
    pub(super) late: bool,
}

impl Shown {
    /// Parses an approval as returned by the API, and drops members that nothing proves.
    pub(super) fn read(text: &str) -> Result<Self, ReceiptError> {
        serde_json::from_str(text).map_err(|e| ReceiptError::Approval(e.to_string()))
    }
}
