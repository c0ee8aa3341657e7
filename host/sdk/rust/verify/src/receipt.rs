//! What a caller trusts of a receipt, and what a receipt proves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::key::{Key, Keyring};
use crate::statement::{Decision, Profile};

/// What a caller trusts and expects of a receipt.
#[derive(Clone, Debug, Serialize)]
pub struct ReceiptTrust {
    log_keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audience: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Keyring>,
    accept: Vec<Profile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consistency: Option<Vec<String>>,
}

impl ReceiptTrust {
    /// Trusts these log keys, as `signoff audit key` prints them, at most 64, and accepts profile
    /// `v2`. Without any, a receipt is only checked for consistency.
    pub fn new<K: Into<String>>(log_keys: impl IntoIterator<Item = K>) -> Self {
        Self {
            log_keys: log_keys.into_iter().map(Into::into).collect(),
            id: None,
            audience: None,
            keys: None,
            accept: vec![Profile::V2],
            checkpoint: None,
            consistency: None,
        }
    }

    /// Expects the receipt of this approval.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Expects the receipt of this deployment.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Pins approvers' keys: where a ballot's key is among them, they count instead of the log's.
    #[must_use]
    pub fn keys(mut self, keys: impl IntoIterator<Item = Key>) -> Self {
        self.keys = Some(Keyring::new(keys));
        self
    }

    /// Sets the accepted profiles; `v1` counts only where the requirement allows it.
    #[must_use]
    pub fn accept(mut self, profiles: impl IntoIterator<Item = Profile>) -> Self {
        self.accept = profiles.into_iter().collect();
        self
    }

    /// Requires the log to extend, or to be extended by, a checkpoint that the caller holds.
    /// `consistency` is the proof (RFC 6962, lower-case hex) between the two; empty if they are equal.
    #[must_use]
    pub fn checkpoint<H: Into<String>>(
        mut self,
        checkpoint: impl Into<String>,
        consistency: impl IntoIterator<Item = H>,
    ) -> Self {
        self.checkpoint = Some(checkpoint.into());
        self.consistency = Some(consistency.into_iter().map(Into::into).collect());
        self
    }
}

/// What a receipt proves, at its checkpoint. Times are RFC 3339, UTC.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is the member of its name in wit/receipt.wit")]
pub struct ReceiptReport {
    pub audience: String,
    pub approval_id: String,
    pub status: String,
    pub agent: String,
    pub action: String,
    pub reason: Option<String>,
    pub requested_by: String,
    pub requested_at: String,
    pub expires_at: String,
    pub context_hash: String,
    pub plan_hash: Option<String>,
    pub request_digest: String,
    pub threshold: u32,
    pub groups: BTreeMap<String, u32>,
    /// Whether the ballots meet the requirement, counting every [`BallotProof`].
    pub requirement_met: bool,
    pub ballots: Vec<ReceiptBallot>,
    pub execution: Option<ReceiptExecution>,
    pub erased_at: Option<String>,
    /// The number of log entries that were verified.
    pub entries: u64,
    /// The number of entries that the log had.
    pub checkpoint_size: u64,
    /// The log key that signed the checkpoint; `None` if no log keys were given.
    pub signer: Option<String>,
}

/// One ballot of a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is the member of its name in wit/receipt.wit")]
pub struct ReceiptBallot {
    pub approver: String,
    pub decision: Decision,
    pub comment: Option<String>,
    pub at: String,
    pub profile: Profile,
    pub key_id: String,
    pub algorithm: String,
    pub groups: Vec<String>,
    pub proof: BallotProof,
}

/// How far a ballot is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum BallotProof {
    /// Its signature was verified with a key that the caller pinned.
    Pinned,
    /// Its signature was verified with a key that only the log names.
    Logged,
    /// Only the log says that it was verified.
    Attested,
}

/// The single use of the approval.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is the member of its name in wit/receipt.wit")]
pub struct ReceiptExecution {
    pub id: String,
    pub claimed_by: String,
    pub claimed_at: String,
    pub outcome: String,
    pub settled_at: Option<String>,
}
