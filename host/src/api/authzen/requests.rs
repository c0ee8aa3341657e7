//! Handlers of access requests and of their tasks.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use chrono::DateTime;

use super::answers::AccessTask;
use super::base::Base;
use super::bodies::{CancellationBody, SubmissionBody};
use super::refused::Refused;
use super::{Asked, Handled, answer};
use crate::api::App;
use crate::api::command::Command;
use crate::api::params::{Id, NoQuery};
use crate::authzen::{EvaluationId, Submission, Task, Unrequestable};
use crate::caller::Caller;
use crate::code::Code;
use crate::ledger::json_text;
use crate::refusal::Refusal;

/// Request an approval for what an evaluation denied (AuthZEN Access Request).
///
/// Subject, action, resource and context must be those of the evaluation, of the same caller and at
/// most 10 minutes ago. The task is an ordinary approval with the same id.
#[utoipa::path(post, path = "/access/v1/requests", tag = "authzen", operation_id = "submit_access_request",
    request_body = SubmissionBody<'_>,
    responses((status = 201, description = "The task, pending.", body = AccessTask)))]
pub(in crate::api) async fn submit(
    State(app): State<App>,
    base: Result<Base, Refused>,
    command: Result<Command, Response>,
) -> Handled {
    let (base, Command { caller, idempotency, body }) = (base?, command?);
    let fields: SubmissionBody<'_> = body.parse_open()?;
    let submission = submission(&fields)?;
    let submitted = app.service.authzen.submit(&caller, submission, idempotency.as_ref());
    let reply = submitted.await?;
    let task = Task::of(&reply.body)?;
    let location = HeaderValue::try_from(base.task(task.id)).ok();
    let mut response =
        answer(reply.status, json_text(&AccessTask::of(task, &base)), reply.replayed);
    if let Some(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Get the status of an access request. Once it is approved, `result.approval` goes unchanged into
/// `context.approval` of a new evaluation.
#[utoipa::path(get, path = "/access/v1/requests/{id}", tag = "authzen", operation_id = "get_access_request",
    params(("id" = String, Path, description = "`appr_` and 26 characters.")),
    responses((status = 200, description = "The task; with `result` once it is approved.", body = AccessTask)))]
pub(in crate::api) async fn task(
    State(app): State<App>,
    base: Result<Base, Refused>,
    query: Result<NoQuery, Refusal>,
    caller: Caller,
    Id(id): Id,
) -> Handled {
    let base = base?;
    query?;
    let task = app.service.authzen.task(&caller, id).await.map_err(Refused::of_task)?;
    Ok(answer(200, json_text(&AccessTask::of(task, &base)), false))
}

/// Cancel an access request that is pending: its approval is withdrawn.
#[utoipa::path(post, path = "/access/v1/requests/{id}/cancel", tag = "authzen", operation_id = "cancel_access_request",
    request_body = CancellationBody,
    params(("id" = String, Path, description = "`appr_` and 26 characters.")),
    responses((status = 200, description = "The task, cancelled.", body = AccessTask)))]
pub(in crate::api) async fn cancel(
    State(app): State<App>,
    base: Result<Base, Refused>,
    Id(id): Id,
    command: Result<Command, Response>,
) -> Handled {
    let (base, Command { caller, idempotency, body }) = (base?, command?);
    body.parse_open::<CancellationBody>()?;
    let cancelled = app.service.authzen.cancel(&caller, id, idempotency.as_ref()).await;
    let (task, replayed) = cancelled.map_err(Refused::of_task)?;
    Ok(answer(200, json_text(&AccessTask::of(task, &base)), replayed))
}

/// Returns the access request in a body. What would have no effect is refused.
fn submission(fields: &SubmissionBody<'_>) -> Result<Submission, Unrequestable> {
    let invalid =
        |detail: &str| Err(Unrequestable::Other(Refusal::new(Code::REQUEST_INVALID, detail)));
    if fields.items.is_some() {
        return invalid("body: items: this server takes one question in each request");
    }
    if fields.callback.is_some() {
        return invalid(
            "body: callback: no endpoint is registered; poll `status_endpoint` instead",
        );
    }
    if fields.client.as_ref().is_some_and(|client| client.actor.is_some()) {
        return invalid(
            "body: client: actor: this server cannot verify it; keep the actor in `subject.properties`, as in the evaluation",
        );
    }
    let wishes = fields.requested_access.as_ref();
    if wishes.is_some_and(|wishes| wishes.emergency) {
        return invalid("body: requested_access: emergency: no approval is faster than others");
    }
    let until = wishes.and_then(|wishes| wishes.requested_until.as_deref());
    let until = until.map(|text| time("requested_access: requested_until", text)).transpose()?;
    time("denial: expires_at", &fields.denial.expires_at)?;
    let Asked { question, justified, .. } = fields.parts().submitted()?;
    let evaluation = fields.denial.evaluation_id.as_deref().and_then(EvaluationId::parse);
    let has_token = fields.denial.binding_token.is_some();
    Ok(Submission { question, justified, evaluation, has_token, until })
}

/// Reads an RFC 3339 time as unix seconds.
///
/// Refusals: `request-invalid`.
fn time(field: &str, text: &str) -> Result<i64, Refusal> {
    let time = DateTime::parse_from_rfc3339(text).map(|time| time.timestamp());
    time.map_err(|_| {
        Refusal::new(Code::REQUEST_INVALID, format!("body: {field}: expected an RFC 3339 time"))
    })
}
