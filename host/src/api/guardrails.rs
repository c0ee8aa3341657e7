//! The handler of `POST /guardrails/evaluate`.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::App;
use super::approval::Requirement;
use super::body::EvaluateBody;
use super::command::Command;
use super::problem::Problem;
use super::reply::answer;
use crate::guardrails::Action;
use crate::policy::Decision;
use crate::refusal::Refusal;

/// The policy's verdict on an action: the runbook's ExecutionGuardrails.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Whether the action may run.
    pub decision: Decision,
    /// The reason, for people.
    pub reason: String,
    /// Whether the action requires an approval.
    pub requires_approval: bool,
    /// `approval_required` or `policy_denied`; null if the action is allowed.
    pub violation_type: Option<String>,
    /// The message of the violation; null if the action is allowed.
    pub message: Option<String>,
    /// Agent, action and reason; null if the action is allowed.
    pub details: Option<Details>,
    /// The requirement of an approval; null if none is required.
    pub requirement: Option<Requirement>,
    /// The rule that decided; null if no rule did.
    pub rule: Option<String>,
    /// Digest of the policy that decided; null if none is active.
    pub policy: Option<String>,
    /// Rules that concern the action and whose condition could not be evaluated, at most 16 ids.
    pub failed: Vec<String>,
    /// The agent.
    pub agent: String,
    /// The action.
    pub action: String,
    /// SHA-256 of the canonical context.
    pub context_hash: String,
    /// SHA-256 of the canonical plan.
    pub plan_hash: Option<String>,
    /// RFC 3339, UTC.
    pub evaluated_at: String,
    /// Digest of the verifier that read the action.
    pub verifier: String,
}

/// The details of a violation.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Details {
    /// The agent.
    pub agent: String,
    /// The action.
    pub action: String,
    /// The reason.
    pub reason: String,
}

/// Evaluate whether an action may run. The verdict is recorded in the audit log.
#[utoipa::path(post, path = "/api/v1/guardrails/evaluate", tag = "guardrails", request_body = EvaluateBody<'_>,
    params(("Idempotency-Key" = Option<String>, Header, description = "at most 255 bytes; a repeat within 24 h returns the same answer while the same policy is active")),
    responses((status = 200, body = Evaluation), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub(super) async fn evaluate(
    State(app): State<App>,
    Command { caller, idempotency, body }: Command,
) -> Result<Response, Refusal> {
    let fields: EvaluateBody<'_> = body.parse()?;
    let action = Action {
        agent: fields.agent,
        action: fields.action,
        context: fields.context.get().into(),
        plan: fields.plan.map(|plan| plan.get().into()),
    };
    Ok(answer(app.service.guardrails.evaluate(&caller, action, idempotency.as_ref()).await?))
}
