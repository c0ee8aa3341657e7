//! What a receipt proves, as the verifier says it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::verifier::{Failure, ReceiptArgs, Verifier};

/// What a receipt proves.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Report {
    /// The deployment's name.
    pub audience: String,
    /// The approval.
    pub approval_id: String,
    /// Its status at the checkpoint.
    pub status: String,
    /// Who acts.
    pub agent: String,
    /// What it does.
    pub action: String,
    /// Why.
    pub reason: Option<String>,
    /// Who requested it.
    pub requested_by: String,
    /// When.
    pub requested_at: String,
    /// When it expires, or expired.
    pub expires_at: String,
    /// The digest of the context.
    pub context_hash: String,
    /// The digest of the plan, where there is one.
    pub plan_hash: Option<String>,
    /// The digest of everything that was requested.
    pub request_digest: String,
    /// How many approvers it requires.
    pub threshold: u32,
    /// How many of each group.
    pub groups: BTreeMap<String, u32>,
    /// Whether the ballots are what it requires.
    pub requirement_met: bool,
    /// Every decision cast.
    pub ballots: Vec<BallotReport>,
    /// Who claimed it, and how that ended.
    pub execution: Option<ExecutionReport>,
    /// When its texts were erased.
    pub erased_at: Option<String>,
    /// How many entries of the log were verified.
    pub entries: usize,
    /// The size of the log at the checkpoint.
    pub checkpoint_size: u64,
    /// The trusted log key that signed the checkpoint; none if no key was trusted.
    pub signer: Option<String>,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct BallotReport {
    /// Who decided.
    pub approver: String,
    /// `approved` or `rejected`.
    pub decision: String,
    /// What the approver said, where the signature covers it.
    pub comment: Option<String>,
    /// When.
    pub at: String,
    /// `v1` or `v2`.
    pub profile: String,
    /// The key that made it.
    pub key_id: String,
    /// The key's algorithm.
    pub algorithm: String,
    /// The key's groups.
    pub groups: Vec<String>,
    /// What the receipt proves of it.
    pub proof: Proof,
}

/// How far a ballot is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// Its signature was verified with a key that the caller pinned.
    Pinned,
    /// Its signature was verified with a key that only the log names.
    Logged,
    /// Only the log says that it was verified: whoever could verify an HMAC here could have made it,
    /// and a comment that was erased is missing from what was signed.
    Attested,
}

/// The single use of the approval.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ExecutionReport {
    /// Its id.
    pub id: String,
    /// Who claimed it.
    pub claimed_by: String,
    /// When.
    pub claimed_at: String,
    /// `claimed`, `succeeded`, `failed` or `unknown`.
    pub outcome: String,
    /// When the outcome was reported.
    pub settled_at: Option<String>,
}

impl Report {
    /// Has the verifier verify a receipt.
    ///
    /// # Errors
    ///
    /// [`Failure::Rejected`] as `receipt.verify` in `wit/` says, [`Failure::Trapped`] if the verifier
    /// gives no report.
    pub fn of(verifier: &Verifier, args: &ReceiptArgs<'_>) -> Result<Self, Failure> {
        let report = verifier.verify_receipt(args)?;
        serde_json::from_str(&report).map_err(|e| Failure::Trapped(e.to_string()))
    }
}
