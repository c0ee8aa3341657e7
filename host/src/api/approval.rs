//! The shapes of answers, for the OpenAPI document and for clients in Rust.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use signoff_core::requirement::takes_v1;
use utoipa::ToSchema;

/// An approval, as every call answers it. What has not happened is null.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// `appr_` and 26 characters of a ULID.
    pub id: String,
    /// The deployment it belongs to.
    pub audience: String,
    /// `pending`, `approved`, `rejected`, `executed`, `expired` or `withdrawn`.
    pub status: String,
    /// The requester; `agent:{agent}` where there are no tokens.
    pub requested_by: String,
    /// RFC 3339, UTC.
    pub requested_at: String,
    /// RFC 3339, UTC.
    pub expires_at: String,
    /// Who asks.
    pub agent: String,
    /// What it wants to do.
    pub action: String,
    /// SHA-256 of the canonical context.
    pub context_hash: String,
    /// SHA-256 of the canonical plan.
    pub plan_hash: Option<String>,
    /// Digest of all that is asked for; `v2` signatures cover it.
    pub request_digest: String,
    /// Why, for the reviewer.
    pub reason: Option<String>,
    /// What it takes to approve.
    pub requirement: Requirement,
    /// `approved` or `rejected`.
    pub decision: Option<String>,
    /// Who decided.
    pub approver: Option<String>,
    /// When it was approved.
    pub approved_at: Option<String>,
    /// When it was approved or rejected.
    pub decided_at: Option<String>,
    /// What the approver said.
    pub comment: Option<String>,
    /// The approver's.
    pub signature: Option<String>,
    /// Every decision cast.
    pub ballots: Vec<Ballot>,
    /// When it was claimed.
    pub executed_at: Option<String>,
    /// The single use of it.
    pub execution: Option<Execution>,
    /// When it was taken back.
    pub withdrawn_at: Option<String>,
    /// Who took it back.
    pub withdrawn_by: Option<String>,
    /// When its context, plan, reason and comments were erased.
    pub erased_at: Option<String>,
    /// Digest of the policy that set the requirement.
    pub policy: Option<String>,
    /// The policy's rule.
    pub rule: Option<String>,
    /// Digest of the verifier that answers.
    pub verifier: String,
    /// The canonical context; only from `POST /approvals` and `GET /approvals/{id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub context: Option<Box<serde_json::value::RawValue>>,
    /// The canonical plan, as `context`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub plan: Option<Box<serde_json::value::RawValue>>,
    /// Whether this is the kept answer of an earlier claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<bool>,
}

/// What it takes to approve.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Requirement {
    /// Time to live.
    pub ttl_seconds: u64,
    /// How many approvers.
    pub threshold: u32,
    /// How many of each group.
    pub groups: BTreeMap<String, u32>,
}

impl Requirement {
    /// Whether a `v1` signature can count, as the verifier has it.
    pub fn takes_v1(&self) -> bool {
        takes_v1(self.threshold, &self.groups)
    }
}

/// One approver's signed decision.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Ballot {
    /// `approved` or `rejected`.
    pub decision: String,
    /// Who decided.
    pub approver: String,
    /// What they said.
    pub comment: Option<String>,
    /// Theirs.
    pub signature: String,
    /// How it was made.
    pub profile: String,
    /// The key that verifies it.
    pub key_id: String,
    /// RFC 3339, UTC.
    pub cast_at: String,
}

/// The single use of an approval.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Execution {
    /// `exec_` and 26 characters of a ULID.
    pub id: String,
    /// Who claimed it.
    pub claimed_by: String,
    /// RFC 3339, UTC.
    pub claimed_at: String,
    /// When the outcome becomes `unknown` if nothing is reported.
    pub lease_expires_at: String,
    /// `claimed`, `succeeded`, `failed` or `unknown`.
    pub outcome: String,
    /// More, for people.
    pub detail: Option<String>,
    /// When the outcome was reported.
    pub settled_at: Option<String>,
    /// Whether it was reported after the lease.
    pub late: bool,
}

/// A page of approvals, newest first, without context and plan.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct List {
    /// The page.
    pub items: Vec<Approval>,
    /// Send it as `cursor` for the next page; null after the last.
    pub next_cursor: Option<String>,
}

/// Whether an executor may go ahead now.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Verification {
    /// Approved, the signature is a stored ballot's, every ballot verifies, not expired, not
    /// executed, and what was sent matches.
    pub valid: bool,
    /// Whether the signature is a stored ballot's and verifies, whatever the status.
    pub signature_valid: bool,
    /// The title of the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why not, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The approval, where valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}
