//! Handlers of verdicts: the server's own, and those that an executor makes itself.

use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

use super::App;
use super::approval::Requirement;
use super::approvals::WAIT_SECONDS_MAX;
use super::command::Command;
use super::enums::ViolationType;
use super::held::{Address, HeldFor};
use super::params::{NoQuery, Params, Part};
use super::reply::{answer, json_answer};
use super::requests::{DecisionsBody, EvaluateBody};
use super::shown::{ActivePolicy, Binary, Recorded};
use crate::caller::Caller;
use crate::guardrails::{Action, LocalDecision, PolicyCopy};
use crate::policy::Decision;
use crate::refusal::Refusal;

/// `while` of a server without an active policy.
const NO_POLICY: &str = "none";

/// The policy's verdict on an action: the runbook's ExecutionGuardrails.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct Evaluation {
    /// Whether the action may run.
    pub decision: Decision,
    /// The reason, for people.
    pub reason: String,
    /// Whether the action requires an approval.
    pub requires_approval: bool,
    /// `approval_required` or `policy_denied`; null if the action is allowed.
    #[schema(required, value_type = Option<ViolationType>)]
    pub violation_type: Option<String>,
    /// The message of the violation; null if the action is allowed.
    #[schema(required)]
    pub message: Option<String>,
    /// Agent, action and reason; null if the action is allowed.
    #[schema(required)]
    pub details: Option<Details>,
    /// The requirement of an approval; null if none is required.
    #[schema(required)]
    pub requirement: Option<Requirement>,
    /// The rule that decided; null if no rule did.
    #[schema(required)]
    pub rule: Option<String>,
    /// Digest of the policy that decided; null if none is active.
    #[schema(required)]
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
    #[schema(required)]
    pub plan_hash: Option<String>,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub evaluated_at: String,
    /// Digest of the verifier that read the action.
    pub verifier: String,
}

/// The details of a violation.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = ViolationDetails)]
pub struct Details {
    /// The agent.
    pub agent: String,
    /// The action.
    pub action: String,
    /// The reason.
    pub reason: String,
}

/// Evaluate whether an action may run. The verdict is recorded in the audit log.
#[utoipa::path(post, path = "/api/v1/guardrails/evaluate", tag = "guardrails", operation_id = "evaluate_action",
    request_body = EvaluateBody<'_>,
    responses((status = 200, description = "The verdict.", body = Evaluation)))]
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

/// Get the active policy, to evaluate it in the own process; with `wait`, once it is no longer
/// `while`. An action may be allowed locally only while this was answered a short time ago.
#[utoipa::path(get, path = "/api/v1/guardrails/policy", tag = "guardrails", operation_id = "get_active_policy",
    params(
        ("wait" = Option<u32>, Query, maximum = 60, description = "Seconds to wait. A caller has at most 64 waits and streams at once."),
        ("while" = Option<String>, Query, description = "The digest to wait on; `none` for no policy.")),
    responses((status = 200, description = "The active policy, or null.", body = ActivePolicy)))]
pub(super) async fn policy(
    State(app): State<App>,
    caller: Caller,
    address: Address,
    params: Params,
) -> Result<Response, Refusal> {
    params.known(&["wait", "while"])?;
    let seconds = params.number("wait", WAIT_SECONDS_MAX)?.filter(|seconds| *seconds > 0);
    if let (Some(seconds), Some(unwanted)) = (seconds, params.get("while")) {
        let _held = app.held.begin(&caller, &address, HeldFor::Wait)?;
        wait(&app, &caller, unwanted, Duration::from_secs(seconds)).await?;
        app.admits_still(&caller).await?;
    }
    let PolicyCopy { policy, facts, audience, at } =
        app.service.guardrails.policy_copy(&caller).await?;
    let policy = policy.map_or("null".to_owned(), |(digest, manifest)| {
        format!("{{\"digest\":{},\"manifest\":{manifest}}}", json!(digest))
    });
    let facts = facts.unwrap_or_else(|| Value::Null.to_string());
    Ok(json_answer(
        200,
        format!(
            "{{\"policy\":{policy},\"facts\":{facts},\"audience\":{},\"at\":{}}}",
            json!(audience),
            json!(at)
        ),
    ))
}

/// Get the bytes of the active policy.
#[utoipa::path(get, path = "/api/v1/guardrails/policy/{digest}/wasm", tag = "guardrails", operation_id = "get_active_policy_wasm",
    params(("digest" = String, Path, description = "SHA-256 of the component: 64 lower-case hex characters.")),
    responses((status = 200, description = "The component.", content_type = "application/wasm", body = Binary)))]
pub(super) async fn policy_wasm(
    State(app): State<App>,
    _: NoQuery,
    Part(digest): Part,
) -> Result<Response, Refusal> {
    let wasm = app.service.guardrails.policy_bytes(&digest).await?;
    Ok(([(header::CONTENT_TYPE, "application/wasm")], wasm.to_vec()).into_response())
}

/// Report decisions that the caller made itself with the active policy. They are recorded in the
/// audit log as reports, in one entry.
#[utoipa::path(post, path = "/api/v1/guardrails/decisions", tag = "guardrails", operation_id = "report_decisions",
    request_body = DecisionsBody,
    responses((status = 200, description = "The decisions are recorded.", body = Recorded)))]
pub(super) async fn report(
    State(app): State<App>,
    Command { caller, idempotency, body }: Command,
) -> Result<Response, Refusal> {
    let fields: DecisionsBody = body.parse()?;
    let decisions = fields.decisions.into_iter().map(|decision| LocalDecision {
        id: decision.id,
        agent: decision.agent,
        action: decision.action,
        context_hash: decision.context_hash,
        plan_hash: decision.plan_hash,
        decision: decision.decision,
        rule: decision.rule,
        policy: decision.policy,
        decided_at: decision.decided_at,
    });
    let decisions: Vec<_> = decisions.collect();
    let reported = app.service.guardrails.report_local(&caller, &decisions, idempotency.as_ref());
    Ok(answer(reported.await?))
}

/// Returns once the active policy differs from `unwanted`, the time is up, or the server stops.
async fn wait(
    app: &App,
    caller: &Caller,
    unwanted: &str,
    longest: Duration,
) -> Result<(), Refusal> {
    let end = Instant::now() + longest;
    let mut stopping = app.stopping.clone();
    // Each activation has an entry. A policy whose signer is revoked has none; `active_policy` then
    // fails, at the latest after the next entry or the end of the wait.
    let mut entries = app.service.ledger.watchers().of_entries();
    let mut revocations = app.service.tokens.revocations();
    while !*stopping.borrow() {
        entries.borrow_and_update();
        let active = app.service.guardrails.active_policy().await?;
        if active.as_deref().unwrap_or(NO_POLICY) != unwanted || Instant::now() >= end {
            return Ok(());
        }
        let is_revoked = tokio::select! {
            _ = timeout_at(end, entries.changed()) => false,
            _ = revocations.changed() => true,
            _ = stopping.wait_for(|stopping| *stopping) => false,
        };
        if is_revoked {
            app.admits_still(caller).await?;
        }
    }
    Ok(())
}
