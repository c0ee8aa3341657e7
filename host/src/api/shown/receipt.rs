//! The message that a ballot signs, and the receipt of an approval.

use serde::Deserialize;
use utoipa::ToSchema;

use super::JsonObject;
use crate::api::approval::{Ballot, Requirement};
use crate::api::enums::{ApprovalStatus, ExecutionOutcome, SignatureProfile};

/// The exact message of a ballot. Sign the bytes of `base64url`, decoded.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct Payload {
    /// The profile of the message.
    #[schema(value_type = SignatureProfile)]
    pub profile: String,
    /// The message as text; null under `v2`, whose messages are binary.
    #[schema(required)]
    pub message: Option<String>,
    /// The message, base64url without padding.
    pub base64url: String,
}

/// The proof of an approval, for a verifier that has only the log's key. Verify it as the text that
/// was sent, byte for byte.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct Receipt {
    /// The format: 2.
    pub format: u32,
    /// `signoff-receipt`.
    pub kind: String,
    /// The name of the deployment.
    pub audience: String,
    /// What is proven of the approval.
    pub approval: ReceiptApproval,
    /// The entries of the audit log that prove it, in order.
    pub entries: Vec<ReceiptEntry>,
    /// The signed head of the log: a C2SP checkpoint.
    pub checkpoint: String,
}

/// An approval in a receipt: the members that a signature, a digest or the log proves.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ReceiptApproval {
    /// `appr_` and 26 characters of a ULID.
    pub id: String,
    /// The name of the deployment.
    pub audience: String,
    /// The status.
    #[schema(value_type = ApprovalStatus)]
    pub status: String,
    /// The agent.
    pub agent: String,
    /// The action.
    pub action: String,
    /// The canonical context; null once it was erased.
    #[schema(required)]
    pub context: Option<JsonObject>,
    /// SHA-256 of the canonical context.
    pub context_hash: String,
    /// The canonical plan.
    #[schema(required)]
    pub plan: Option<JsonObject>,
    /// SHA-256 of the canonical plan.
    #[schema(required)]
    pub plan_hash: Option<String>,
    /// The requester's reason.
    #[schema(required)]
    pub reason: Option<String>,
    /// The requester.
    pub requested_by: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub requested_at: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// The requirement.
    pub requirement: Requirement,
    /// Digest of the policy that set the requirement.
    #[schema(required)]
    pub policy: Option<String>,
    /// The rule of the policy.
    #[schema(required)]
    pub rule: Option<String>,
    /// Digest of the whole request.
    pub request_digest: String,
    /// All ballots.
    pub ballots: Vec<Ballot>,
    /// Its single execution.
    #[schema(required)]
    pub execution: Option<ReceiptExecution>,
    /// When it was withdrawn.
    #[schema(required, format = DateTime)]
    pub withdrawn_at: Option<String>,
    /// Who withdrew it.
    #[schema(required)]
    pub withdrawn_by: Option<String>,
    /// When its texts were erased.
    #[schema(required, format = DateTime)]
    pub erased_at: Option<String>,
}

/// The execution in a receipt.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ReceiptExecution {
    /// `exec_` and 26 characters of a ULID.
    pub id: String,
    /// Who claimed it.
    pub claimed_by: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub claimed_at: String,
    /// The outcome.
    #[schema(value_type = ExecutionOutcome)]
    pub outcome: String,
    /// When the outcome was reported.
    #[schema(required, format = DateTime)]
    pub settled_at: Option<String>,
    /// Whether the outcome was reported after the lease expired.
    pub late: bool,
}

/// An entry of the audit log with its inclusion proof.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ReceiptEntry {
    /// Its number, from 1.
    pub number: u64,
    /// Its text: the leaf of the tree.
    pub entry: String,
    /// The hashes from the leaf up, in hex (RFC 6962).
    pub proof: Vec<String>,
}
