//! The approval in a receipt: those members of the API's approval that a signature, a digest or the
//! log holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::ReceiptError;

/// What has not happened is null.
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
    /// Reads an approval as the API answers it; what nothing holds is left behind.
    pub(super) fn of_api(text: &str) -> Result<Self, ReceiptError> {
        serde_json::from_str(text).map_err(|e| ReceiptError::approval(e.to_string()))
    }

    /// Reads the approval of a receipt: exactly these members, as nobody vouches for others. That
    /// none stands twice is for the verifier to say.
    pub(super) fn of_receipt(text: &str) -> Result<Self, ReceiptError> {
        let unreadable = |e: serde_json::Error| ReceiptError::approval(e.to_string());
        let shown = Self::of_api(text)?;
        let written = serde_json::to_string(&shown).map_err(unreadable)?;
        let (ours, all) = (members(&written)?, members(text)?);
        let pairs = ours.values().zip(all.values());
        let is_ours = ours.keys().eq(all.keys())
            && pairs.zip(ours.keys()).all(|((ours, given), name)| {
                // The verifier digests these two, whose numbers nothing else here can hold.
                ["context", "plan"].contains(&name.as_str()) || same(ours, given)
            });
        if is_ours {
            return Ok(shown);
        }
        Err(ReceiptError::approval("it has members that a receipt has not, or lacks some"))
    }

    /// The plan's text, where there is one.
    pub(super) fn plan(&self) -> Option<&str> {
        self.plan.as_ref().map(|plan| plan.get()).filter(|plan| *plan != "null")
    }
}

fn members(text: &str) -> Result<BTreeMap<String, &RawValue>, ReceiptError> {
    serde_json::from_str(text).map_err(|e| ReceiptError::approval(e.to_string()))
}

fn same(one: &RawValue, other: &RawValue) -> bool {
    let value = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).ok();
    value(one).is_some_and(|one| Some(one) == value(other))
}
