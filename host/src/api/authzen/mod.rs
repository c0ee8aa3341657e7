//! Handlers of the AuthZEN Authorization API and of its Access Request and Approval Profile. Each
//! parses a question, asks the service, and answers in the words of the two specifications.

mod answers;
mod asked;
mod base;
mod bodies;
mod metadata;
mod refused;
mod requests;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::command::Command;
use super::reply::json_answer;
use crate::code::Code;
use crate::ledger::json_text;
use crate::refusal::Refusal;

pub use answers::{
    AccessApproval, AccessDecision, AccessDecisions, AccessError, AccessExecution, AccessRequest,
    AccessResult, AccessTask, AccessTaskState, DecisionContext, Display, TaskLinks, TaskProgress,
};
pub use metadata::PdpMetadata;

use asked::Asked;
use base::Base;
use bodies::{EvaluationBody, EvaluationsBody};

pub(super) use metadata::{__path_metadata, metadata};
pub(super) use refused::{Refused, status_of};
pub(super) use requests::{__path_cancel, __path_submit, __path_task, cancel, submit, task};

/// Most questions of one call.
const QUESTIONS_MAX: usize = 64;

type Handled = Result<Response, Refused>;

/// Evaluate whether a subject may do something to a resource (AuthZEN Access Evaluation). The verdict
/// is recorded in the audit log.
///
/// An evaluation with `context.approval` that is permitted claims the approval: only the role `executor`
/// may send it, and `context.execution` has the id under which to report the outcome. Unknown members are
/// ignored; those of subject, action, resource and context are part of the question.
#[utoipa::path(post, path = "/access/v1/evaluation", tag = "authzen", operation_id = "evaluate_access",
    request_body = EvaluationBody<'_>,
    responses((status = 200, description = "The decision.", body = AccessDecision)))]
pub(super) async fn evaluate(
    State(app): State<App>,
    base: Result<Base, Refused>,
    command: Result<Command, Response>,
) -> Handled {
    let (base, Command { caller, idempotency, body }) = (base?, command?);
    let fields: EvaluationBody<'_> = body.parse_open()?;
    let Asked { question, presented, .. } = fields.parts().asked()?;
    let (presented, key) = (presented.as_ref(), idempotency.as_ref());
    let decided = app.service.authzen.evaluate(&caller, &question, presented, key).await?;
    let replayed = decided.replayed;
    Ok(answer(200, json_text(&AccessDecision::of(decided, &base)), replayed))
}

/// Evaluate up to 64 questions (AuthZEN Access Evaluations).
///
/// Without `evaluations`, or with an empty list, this is `evaluate_access`. A question that is malformed
/// or presents an approval gets the decision false, with the reason in `context.error`.
#[utoipa::path(post, path = "/access/v1/evaluations", tag = "authzen", operation_id = "evaluate_accesses",
    request_body = EvaluationsBody<'_>,
    responses((status = 200, description = "The decisions, in the order of the questions.", body = OneOrMore)))]
pub(super) async fn evaluate_all(
    State(app): State<App>,
    base: Result<Base, Refused>,
    command: Result<Command, Response>,
) -> Handled {
    let (base, Command { caller, idempotency, body }) = (base?, command?);
    let fields: EvaluationsBody<'_> = body.parse_open()?;
    let semantic = fields.semantic();
    let questions = fields.questions(QUESTIONS_MAX)?;
    let service = &app.service.authzen;
    if questions.is_empty() {
        let Asked { question, presented, .. } = fields.defaults().asked()?;
        let key = idempotency.as_ref();
        let decided = service.evaluate(&caller, &question, presented.as_ref(), key).await?;
        let replayed = decided.replayed;
        let one = OneOrMore::One(Box::new(AccessDecision::of(decided, &base)));
        return Ok(answer(200, json_text(&one), replayed));
    }
    let mut evaluations = Vec::with_capacity(questions.len());
    for parts in questions {
        let decided = match parts.asked().and_then(Asked::alone) {
            Ok(question) => service.evaluate(&caller, &question, None, None).await,
            Err(refusal) => Err(refusal),
        };
        let decision = match decided {
            Ok(decided) => AccessDecision::of(decided, &base),
            Err(refusal) if concerns_one_question(&refusal) => AccessDecision::failed(&refusal),
            Err(refusal) => return Err(refusal.into()),
        };
        let ends = semantic.ends_at(decision.decision);
        evaluations.push(decision);
        if ends {
            break;
        }
    }
    let more = OneOrMore::More(AccessDecisions { evaluations });
    Ok(answer(200, json_text(&more), false))
}

/// Returns whether a refusal is of one question among several. A token that does not act for an agent,
/// a reused key or a failure refuses the whole call.
fn concerns_one_question(refusal: &Refusal) -> bool {
    [Code::REQUEST_INVALID, Code::CONTEXT_INVALID, Code::LIMIT_EXCEEDED].contains(&refusal.code)
}

/// Returns a JSON answer, marked if it repeats a stored one.
fn answer(status: u16, body: String, replayed: bool) -> Response {
    let mut response = json_answer(status, body);
    if replayed {
        let replayed = HeaderValue::from_static("true");
        response.headers_mut().insert("idempotency-replayed", replayed);
    }
    response
}

/// Either answer of `evaluate_accesses`.
#[derive(Serialize, ToSchema)]
#[schema(as = AccessDecisionOrDecisions)]
#[serde(untagged)]
pub(super) enum OneOrMore {
    /// With `evaluations`.
    More(AccessDecisions),
    /// Without.
    One(Box<AccessDecision>),
}
