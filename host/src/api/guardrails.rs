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
use crate::engine::Decision;
use crate::refusal::Refusal;
use crate::service::Action;

/// What the policy says of an action: the runbook's ExecutionGuardrails.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Whether the action may go ahead.
    pub decision: Decision,
    /// Why, for people.
    pub reason: String,
    /// Whether it may only with an approval.
    pub requires_approval: bool,
    /// `approval_required` or `policy_denied`; null where the action may go ahead.
    pub violation_type: Option<String>,
    /// What to say where it goes ahead all the same.
    pub message: Option<String>,
    /// Agent, action and reason; null where the action may go ahead.
    pub details: Option<Details>,
    /// What an approval takes; null where none is needed.
    pub requirement: Option<Requirement>,
    /// The rule that decided; null where no rule did.
    pub rule: Option<String>,
    /// Digest of the policy that decided; null where none is active.
    pub policy: Option<String>,
    /// Rules that concern the action and whose condition could not be evaluated, at most 16 ids.
    pub failed: Vec<String>,
    /// Who is about to act.
    pub agent: String,
    /// What it is about to do.
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

/// What a violation is about.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Details {
    /// Who is about to act.
    pub agent: String,
    /// What it is about to do.
    pub action: String,
    /// Why it may not.
    pub reason: String,
}

/// Whether an action may run. The verdict is kept in the audit.
#[utoipa::path(post, path = "/api/v1/guardrails/evaluate", tag = "guardrails", request_body = EvaluateBody<'_>,
    params(("Idempotency-Key" = Option<String>, Header, description = "at most 255 bytes; a repeat within 24 h gets the same answer, as long as the same policy serves")),
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
    Ok(answer(app.service.evaluate(&caller, action, idempotency.as_ref()).await?))
}
