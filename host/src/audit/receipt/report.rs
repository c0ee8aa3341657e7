//! The verifier's report on a receipt.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::verifier::{Failure, ReceiptArgs, Verifier};

/// The facts that a receipt proves.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Report {
    /// The deployment's name.
    pub audience: String,
    /// The approval's id.
    pub approval_id: String,
    /// Its status at the checkpoint.
    pub status: String,
    /// The agent.
    pub agent: String,
    /// The action.
    pub action: String,
    /// The stated reason.
    pub reason: Option<String>,
    /// The requester.
    pub requested_by: String,
    /// When.
    pub requested_at: String,
    /// When the approval expires.
    pub expires_at: String,
    /// The digest of the context.
    pub context_hash: String,
    /// The digest of the plan, if there is one.
    pub plan_hash: Option<String>,
    /// The digest of everything that was requested.
    pub request_digest: String,
    /// The required number of approvers.
    pub threshold: u32,
    /// The required number of approvers per group.
    pub groups: BTreeMap<String, u32>,
    /// Whether the ballots meet the requirement.
    pub requirement_met: bool,
    /// Every ballot.
    pub ballots: Vec<BallotReport>,
    /// The execution, if it was claimed.
    pub execution: Option<ExecutionReport>,
    /// When its texts were erased.
    pub erased_at: Option<String>,
    /// The number of verified log entries.
    pub entries: usize,
    /// The size of the log at the checkpoint.
    pub checkpoint_size: u64,
    /// The trusted log key that signed the checkpoint; `None` if no key was trusted.
    pub signer: Option<String>,
}

/// A ballot.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct BallotReport {
    /// The approver.
    pub approver: String,
    /// `approved` or `rejected`.
    pub decision: String,
    /// The approver's comment, if the signature covers it.
    pub comment: Option<String>,
    /// When.
    pub at: String,
    /// `v1` or `v2`.
    pub profile: String,
    /// The key that signed it.
    pub key_id: String,
    /// The key's algorithm.
    pub algorithm: String,
    /// The key's groups.
    pub groups: Vec<String>,
    /// How far the receipt proves it.
    pub proof: Proof,
}

/// How far a ballot is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// Its signature was verified with a key that the caller pinned.
    Pinned,
    /// Its signature was verified with a key from the log.
    Logged,
    /// Only the log attests that it was verified: verifying an HMAC would require the secret that
    /// can also forge it, and an erased comment is missing from the signed text.
    Attested,
}

/// The single use of the approval.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ExecutionReport {
    /// Its id.
    pub id: String,
    /// The executor that claimed it.
    pub claimed_by: String,
    /// When.
    pub claimed_at: String,
    /// `claimed`, `succeeded`, `failed` or `unknown`.
    pub outcome: String,
    /// When the outcome was reported.
    pub settled_at: Option<String>,
}

impl Report {
    /// Verifies a receipt with the verifier.
    ///
    /// # Errors
    ///
    /// [`Failure::Rejected`] as documented for `receipt.verify` in `wit/`, [`Failure::Trapped`] if
    /// the verifier returns no valid report.
    pub fn of(verifier: &Verifier, args: &ReceiptArgs<'_>) -> Result<Self, Failure> {
        let report = verifier.verify_receipt(args)?;
        serde_json::from_str(&report).map_err(|e| Failure::Trapped(e.to_string()))
    }
}
