//! The types of request bodies. Each refuses members that it does not know.

use serde::Deserialize;
use serde_json::value::RawValue;
use signoff_core::object::objects;
use utoipa::ToSchema;

use super::enums::{BallotDecision, ReportedOutcome};
use super::shown::{JsonObject, RequestedRequirement};
use crate::policy::Decision;

/// A JSON text inside a body, passed to the verifier verbatim.
pub(super) type Raw<'a> = &'a RawValue;

/// What an agent wants to run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApprovalRequest)]
pub(super) struct CreateBody<'a> {
    /// The agent: `[!-~]{1,128}`.
    #[schema(min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$")]
    pub(super) agent: String,
    /// The action: `[!-~]{1,128}`.
    #[schema(min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$")]
    pub(super) action: String,
    /// The context: any JSON object of at most 1 MiB and depth 64.
    #[serde(borrow)]
    #[schema(value_type = JsonObject)]
    pub(super) context: Raw<'a>,
    /// The plan, which will be executed exactly: any JSON object, with the limits of `context`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<JsonObject>)]
    pub(super) plan: Option<Raw<'a>>,
    /// The reason, for approvers; at most 4 KiB.
    #[serde(default)]
    #[schema(max_length = 4096)]
    pub(super) reason: Option<String>,
    /// 1 to 604800; default 3600.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 604_800)]
    pub(super) expires_in_seconds: Option<i64>,
    /// The requirement; default one approver. The policy and the deployment's settings are its
    /// minimum.
    #[serde(borrow, default)]
    #[schema(value_type = Option<RequestedRequirement>)]
    pub(super) requirement: Option<Raw<'a>>,
}

/// An approver's signed decision.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DecisionRequest)]
pub(super) struct ApproveBody {
    /// `approved` or `rejected`.
    #[schema(value_type = BallotDecision)]
    pub(super) decision: String,
    /// The approver: `[!-~]{1,128}`, under `v1` without `:`. With a token it is optional and must
    /// be the token's subject.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$")]
    pub(super) approver: Option<String>,
    /// The approver's comment; at most 4 KiB.
    #[serde(default)]
    #[schema(max_length = 4096)]
    pub(super) comment: Option<String>,
    /// The signature over the message of `GET …/payload`.
    pub(super) signature: String,
}

/// An approver's signed rejection.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RejectionRequest)]
pub(super) struct RejectBody {
    /// `rejected`; optional.
    #[serde(default)]
    #[schema(value_type = Option<BallotDecision>)]
    pub(super) decision: Option<String>,
    /// The approver: `[!-~]{1,128}`, under `v1` without `:`. With a token it is optional and must
    /// be the token's subject.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$")]
    pub(super) approver: Option<String>,
    /// The approver's comment; at most 4 KiB.
    #[serde(default)]
    #[schema(max_length = 4096)]
    pub(super) comment: Option<String>,
    /// The signature over the message of `GET …/payload`.
    pub(super) signature: String,
}

/// What an executor is about to run, with the signature that it was shown.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = VerificationRequest)]
pub(super) struct VerifyBody<'a> {
    /// The signature of a stored ballot.
    pub(super) signature: String,
    /// Compared if set.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$")]
    pub(super) agent: Option<String>,
    /// Compared if set.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$")]
    pub(super) action: Option<String>,
    /// Compared if set.
    #[serde(borrow, default)]
    #[schema(value_type = Option<JsonObject>)]
    pub(super) context: Option<Raw<'a>>,
    /// Compared if set.
    #[serde(borrow, default)]
    #[schema(value_type = Option<JsonObject>)]
    pub(super) plan: Option<Raw<'a>>,
}

/// What an executor is about to run: agent, action, context and plan must be the approved ones.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ExecutionRequest)]
pub(super) struct ExecuteBody<'a> {
    /// The approved agent.
    #[schema(min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$")]
    pub(super) agent: String,
    /// The approved action.
    #[schema(min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$")]
    pub(super) action: String,
    /// The context; must have the approved digest.
    #[serde(borrow)]
    #[schema(value_type = JsonObject)]
    pub(super) context: Raw<'a>,
    /// The plan; must have the approved digest. Required if the approval has a plan.
    #[serde(borrow, default)]
    #[schema(value_type = Option<JsonObject>)]
    pub(super) plan: Option<Raw<'a>>,
    /// 1 to 86400; default 300.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 86_400)]
    pub(super) lease_seconds: Option<i64>,
}

/// An action that an agent may want to run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EvaluationRequest)]
pub(super) struct EvaluateBody<'a> {
    /// The agent.
    #[schema(min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$")]
    pub(super) agent: String,
    /// The action.
    #[schema(min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$")]
    pub(super) action: String,
    /// The context, a JSON object.
    #[serde(borrow)]
    #[schema(value_type = JsonObject)]
    pub(super) context: Raw<'a>,
    /// The plan, a JSON object.
    #[serde(borrow, default)]
    #[schema(value_type = Option<JsonObject>)]
    pub(super) plan: Option<Raw<'a>>,
}

/// Decisions that an executor made in its own process.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DecisionReport)]
pub(super) struct DecisionsBody {
    /// The decisions, 1 to 256.
    #[serde(deserialize_with = "objects")]
    #[schema(min_items = 1, max_items = 256)]
    pub(super) decisions: Vec<ReportedDecision>,
}

/// A decision that an executor made in its own process, with a copy of the active policy.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportedDecision {
    /// The executor's own id of it: `[a-z0-9_-]{1,64}`.
    #[schema(pattern = "^[a-z0-9_-]{1,64}$")]
    pub(super) id: String,
    /// The agent.
    #[schema(min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$")]
    pub(super) agent: String,
    /// The action.
    #[schema(min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$")]
    pub(super) action: String,
    /// SHA-256 of the canonical context.
    pub(super) context_hash: String,
    /// SHA-256 of the canonical plan.
    #[serde(default)]
    pub(super) plan_hash: Option<String>,
    /// The decision.
    pub(super) decision: Decision,
    /// The rule that decided.
    #[serde(default)]
    pub(super) rule: Option<String>,
    /// Digest of the policy.
    pub(super) policy: String,
    /// When it was made: RFC 3339, UTC, at most 300 s ahead.
    #[schema(format = DateTime)]
    pub(super) decided_at: String,
}

/// How an execution ended.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OutcomeReport)]
pub(super) struct OutcomeBody {
    /// The id of the execution in the answer of the claim.
    pub(super) execution_id: String,
    /// `succeeded` or `failed`.
    #[schema(value_type = ReportedOutcome)]
    pub(super) outcome: String,
    /// A free-text detail; at most 4 KiB.
    #[serde(default)]
    #[schema(max_length = 4096)]
    pub(super) detail: Option<String>,
}

/// An empty JSON object: the call has no arguments.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NoMembers)]
pub(super) struct NoMembers {}

/// A longer lifetime.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ExtensionRequest)]
pub(super) struct ExtendBody {
    /// The new lifetime, counted from now: 1 to 604800.
    #[schema(minimum = 1, maximum = 604_800)]
    pub(super) expires_in_seconds: i64,
}
