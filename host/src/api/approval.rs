//! The types of answers, for the OpenAPI document and for clients in Rust.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use signoff_core::requirement::takes_v1;
use utoipa::ToSchema;

use super::enums::{ApprovalStatus, BallotDecision, ExecutionOutcome, SignatureProfile};
use super::shown::JsonObject;

/// An approval, as returned by every call. Members of events that have not happened are null. A
/// server may add members.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Approval {
    /// `appr_` and 26 characters of a ULID.
    #[schema(pattern = "^appr_[0-9a-z]{26}$")]
    pub id: String,
    /// The name of its deployment.
    pub audience: String,
    /// `pending`, `approved`, `rejected`, `executed`, `expired` or `withdrawn`.
    #[schema(value_type = ApprovalStatus)]
    pub status: String,
    /// The requester; `agent:{agent}` without tokens.
    pub requested_by: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub requested_at: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// The agent.
    pub agent: String,
    /// The action.
    pub action: String,
    /// SHA-256 of the canonical context.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub context_hash: String,
    /// SHA-256 of the canonical plan.
    #[schema(required)]
    pub plan_hash: Option<String>,
    /// Digest of the whole request; covered by `v2` signatures.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub request_digest: String,
    /// The requester's reason, for approvers; covered by `v2` signatures.
    #[schema(required)]
    pub reason: Option<String>,
    /// The requirement.
    pub requirement: Requirement,
    /// `approved` or `rejected`.
    #[schema(required, value_type = Option<BallotDecision>)]
    pub decision: Option<String>,
    /// The approver.
    #[schema(required)]
    pub approver: Option<String>,
    /// When it was approved.
    #[schema(required, format = DateTime)]
    pub approved_at: Option<String>,
    /// When it was approved or rejected.
    #[schema(required, format = DateTime)]
    pub decided_at: Option<String>,
    /// The approver's comment.
    #[schema(required)]
    pub comment: Option<String>,
    /// The approver's signature.
    #[schema(required)]
    pub signature: Option<String>,
    /// All ballots.
    pub ballots: Vec<Ballot>,
    /// When it was claimed.
    #[schema(required, format = DateTime)]
    pub executed_at: Option<String>,
    /// Its single execution.
    #[schema(required)]
    pub execution: Option<Execution>,
    /// When it was withdrawn.
    #[schema(required, format = DateTime)]
    pub withdrawn_at: Option<String>,
    /// Who withdrew it.
    #[schema(required)]
    pub withdrawn_by: Option<String>,
    /// When its context, plan, reason and comments were erased.
    #[schema(required, format = DateTime)]
    pub erased_at: Option<String>,
    /// Digest of the policy that set the requirement.
    #[schema(required)]
    pub policy: Option<String>,
    /// The rule of the policy.
    #[schema(required)]
    pub rule: Option<String>,
    /// The policy's reason. No signature covers it.
    #[serde(default)]
    #[schema(required)]
    pub policy_reason: Option<String>,
    /// The rules whose condition the policy could not evaluate, at most 16. No signature covers
    /// them.
    #[serde(default)]
    #[schema(required)]
    pub failed: Vec<String>,
    /// Digest of the verifier that produced this answer.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub verifier: String,
    /// The canonical context; only from `POST /approvals` and `GET /approvals/{id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<JsonObject>)]
    pub context: Option<Box<serde_json::value::RawValue>>,
    /// The canonical plan, as `context`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<JsonObject>)]
    pub plan: Option<Box<serde_json::value::RawValue>>,
    /// Whether this repeats the answer of an earlier claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<bool>,
}

/// The requirement of an approval: who must approve it, and how long it lives.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Requirement {
    /// Lifetime in seconds.
    pub ttl_seconds: u64,
    /// Number of approvers.
    pub threshold: u32,
    /// Minimum number of approvers per group.
    pub groups: BTreeMap<String, u32>,
}

impl Requirement {
    /// Returns whether `v1` signatures are valid for this requirement, by the verifier's rule.
    pub fn takes_v1(&self) -> bool {
        takes_v1(self.threshold, &self.groups)
    }
}

/// One approver's signed decision.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Ballot {
    /// `approved` or `rejected`.
    #[schema(value_type = BallotDecision)]
    pub decision: String,
    /// The approver.
    pub approver: String,
    /// The approver's comment.
    #[schema(required)]
    pub comment: Option<String>,
    /// The approver's signature.
    pub signature: String,
    /// The profile of the signature: `v1` or `v2`.
    #[schema(value_type = SignatureProfile)]
    pub profile: String,
    /// The id of the key that verifies it.
    pub key_id: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub cast_at: String,
}

/// The single execution of an approval.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Execution {
    /// `exec_` and 26 characters of a ULID.
    pub id: String,
    /// Who claimed it.
    pub claimed_by: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub claimed_at: String,
    /// When the outcome becomes `unknown` unless it is reported.
    #[schema(format = DateTime)]
    pub lease_expires_at: String,
    /// `claimed`, `succeeded`, `failed` or `unknown`.
    #[schema(value_type = ExecutionOutcome)]
    pub outcome: String,
    /// A free-text detail.
    #[schema(required)]
    pub detail: Option<String>,
    /// When the outcome was reported.
    #[schema(required, format = DateTime)]
    pub settled_at: Option<String>,
    /// Whether the outcome was reported after the lease expired.
    pub late: bool,
}

/// A page of approvals, newest first, without context and plan.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = ApprovalPage)]
pub struct List {
    /// The approvals.
    pub items: Vec<Approval>,
    /// The `cursor` of the next page; null after the last.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// Whether an executor may proceed now.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Verification {
    /// True if the approval is approved, not expired and not executed, the signature is that of a
    /// stored ballot, every ballot verifies, and the request matches.
    pub valid: bool,
    /// Whether the signature is that of a stored ballot and verifies, regardless of the status.
    pub signature_valid: bool,
    /// The title of the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The code of the reason if not valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The reason if not valid, as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The members that differ, as in a problem.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// The approval, if valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}
