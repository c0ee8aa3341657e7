//! Handlers of approvals. Each parses its arguments, calls the service, and returns the answer.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::App;
use super::approval::{Approval, List, Verification};
use super::body::Json;
use super::command::Command;
use super::enums::{ApprovalStatus, BallotDecision, SignatureProfile};
use super::held::{Address, HeldFor};
use super::params::{Id, NoQuery, Params};
use super::reply::{answer, exact_json, json_answer};
use super::requests::{
    ApproveBody, CreateBody, ExecuteBody, ExtendBody, NoMembers, OutcomeBody, RejectBody,
    VerifyBody,
};
use super::shown::{Payload, Receipt, RequestedRequirement};
use super::words::{check_type, without_carriage_return};
use crate::approvals::{Attempt, Ballot, Claim, Filter, NewApproval, Outcome, PayloadQuery};
use crate::caller::Caller;
use crate::code::Code;
use crate::id::ApprovalId;
use crate::refusal::Refusal;
use crate::store::{Status, WithTexts};

pub(super) const WAIT_SECONDS_MAX: u64 = 60;
const LIST_MAX: usize = 200;
const LIST_DEFAULT: usize = 50;

type Handled = Result<Response, Refusal>;

/// Request an approval.
#[utoipa::path(post, path = "/api/v1/approvals", tag = "approvals", operation_id = "request_approval",
    request_body = CreateBody<'_>,
    responses((status = 201, description = "The approval, pending.", body = Approval)))]
pub(super) async fn create(
    State(app): State<App>,
    Command { caller, idempotency, body }: Command,
) -> Handled {
    let fields: CreateBody<'_> = body.parse()?;
    without_carriage_return("reason", fields.reason.as_deref())?;
    check_type::<RequestedRequirement>("requirement", fields.requirement)?;
    let new = NewApproval {
        agent: fields.agent,
        action: fields.action,
        context: fields.context.get().to_owned(),
        plan: fields.plan.map(|plan| plan.get().to_owned()),
        reason: fields.reason,
        expires_in_seconds: fields.expires_in_seconds,
        requirement: fields.requirement.map(|requirement| requirement.get().to_owned()),
    };
    let reply = app.service.approvals.request(&caller, new, idempotency.as_ref()).await?;
    Ok(answer(reply))
}

/// List approvals, newest first.
///
/// Callers who do not read every approval get those that they requested, and those of their agents.
#[utoipa::path(get, path = "/api/v1/approvals", tag = "approvals", operation_id = "list_approvals",
    params(
        ("status" = Option<ApprovalStatus>, Query, description = "Only approvals with this status."),
        ("agent" = Option<String>, Query, description = "Only approvals of this agent."),
        ("action" = Option<String>, Query, description = "Only approvals for this action."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "Approvals per page; default 50."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the previous page."),
        ("prefix" = Option<String>, Query, description = "Only ids with this prefix; disables all other filters.")),
    responses((status = 200, description = "A page of approvals, without context and plan.", body = List)))]
pub(super) async fn list(State(app): State<App>, caller: Caller, params: Params) -> Handled {
    params.known(&["status", "agent", "action", "limit", "cursor", "prefix"])?;
    let invalid = |detail| Refusal::new(Code::REQUEST_INVALID, detail);
    let status = params
        .get("status")
        .map(|status| Status::parse(status).ok_or_else(|| unknown_status("status")));
    let limit = params.number("limit", LIST_MAX as u64)?.unwrap_or(LIST_DEFAULT as u64);
    if limit == 0 {
        return Err(invalid("`limit` must be 1 to 200"));
    }
    let filter = Filter {
        prefix: params.get("prefix").map(str::to_owned),
        status: status.transpose()?,
        agent: params.get("agent").map(str::to_owned),
        action: params.get("action").map(str::to_owned),
        limit: usize::try_from(limit).unwrap_or(LIST_MAX),
        cursor: params.get("cursor").map(str::to_owned),
    };
    let page = app.service.approvals.list(&caller, &filter).await?;
    Ok(json_answer(
        200,
        format!(
            "{{\"items\":[{}],\"next_cursor\":{}}}",
            page.items.join(","),
            json!(page.next_cursor)
        ),
    ))
}

/// Get one approval; with `wait`, once its status is no longer `while`.
///
/// With `wait`, answers once the status is no longer `while`, or the time is up.
#[utoipa::path(get, path = "/api/v1/approvals/{id}", tag = "approvals", operation_id = "get_approval",
    params(
        ("id" = String, Path, description = "`appr_` and 26 characters."),
        ("wait" = Option<u32>, Query, maximum = 60, description = "Seconds to wait. A caller has at most 64 waits and streams at once."),
        ("while" = Option<ApprovalStatus>, Query, description = "The status to wait on; default `pending`.")),
    responses((status = 200, description = "The approval with context and plan.", body = Approval)))]
pub(super) async fn show(
    State(app): State<App>,
    caller: Caller,
    address: Address,
    Id(id): Id,
    params: Params,
) -> Handled {
    params.known(&["wait", "while"])?;
    let unwanted = params.get("while").unwrap_or("pending");
    if Status::parse(unwanted).is_none() {
        return Err(unknown_status("while"));
    }
    app.service.approvals.readable(&caller, id).await?;
    if let Some(seconds) = params.number("wait", WAIT_SECONDS_MAX)?.filter(|seconds| *seconds > 0) {
        let _held = app.held.begin(&caller, &address, HeldFor::Wait)?;
        wait(&app, &caller, id, unwanted, Duration::from_secs(seconds)).await?;
        app.admits_still(&caller).await?;
    }
    match app.service.approvals.show(id, WithTexts::Yes).await {
        Err(refusal) if refusal.code == Code::NOT_FOUND && caller.reads_all() => {
            Err(app.service.approvals.not_found_because(id).await)
        }
        shown => Ok(json_answer(200, shown?)),
    }
}

/// Decide on an approval: approve or reject it.
///
/// `decision` may be `rejected` too. Sign the message of `GET …/payload`; the server stores the
/// signature and verifies it again at each use.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/approve", tag = "approvals", operation_id = "approve",
    request_body = ApproveBody,
    params(("id" = String, Path, description = "`appr_` and 26 characters.")),
    responses((status = 200, description = "The approval with the ballot.", body = Approval)))]
pub(super) async fn approve(
    State(app): State<App>,
    Id(id): Id,
    Command { caller, idempotency, body }: Command,
) -> Handled {
    let fields: ApproveBody = body.parse()?;
    without_carriage_return("comment", fields.comment.as_deref())?;
    let ballot = Ballot {
        decision: fields.decision,
        approver: fields.approver,
        comment: fields.comment,
        signature: fields.signature,
    };
    Ok(answer(app.service.approvals.decide(&caller, id, &ballot, idempotency.as_ref()).await?))
}

/// Reject an approval: as `approve` with `decision` fixed to `rejected`.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/reject", tag = "approvals", operation_id = "reject",
    request_body = RejectBody,
    params(("id" = String, Path, description = "`appr_` and 26 characters.")),
    responses((status = 200, description = "The approval with the ballot.", body = Approval)))]
pub(super) async fn reject(
    State(app): State<App>,
    Id(id): Id,
    Command { caller, idempotency, body }: Command,
) -> Handled {
    let fields: RejectBody = body.parse()?;
    without_carriage_return("comment", fields.comment.as_deref())?;
    if fields.decision.as_deref().is_some_and(|decision| decision != "rejected") {
        return Err(Refusal::new(Code::REQUEST_INVALID, "`decision` must be `rejected` or unset"));
    }
    let ballot = Ballot {
        decision: "rejected".to_owned(),
        approver: fields.approver,
        comment: fields.comment,
        signature: fields.signature,
    };
    Ok(answer(app.service.approvals.decide(&caller, id, &ballot, idempotency.as_ref()).await?))
}

/// Verify whether an executor may proceed now. Changes nothing.
///
/// A refusal is an answer with `valid: false`, not an error. `execute_approval` checks the same again.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/verify", tag = "approvals", operation_id = "verify_approval",
    request_body = VerifyBody<'_>,
    params(("id" = String, Path, description = "`appr_` and 26 characters.")),
    responses((status = 200, description = "Whether the executor may proceed, and why not.", body = Verification)))]
pub(super) async fn verify(
    State(app): State<App>,
    caller: Caller,
    _: NoQuery,
    Id(id): Id,
    body: Json,
) -> Handled {
    let fields: VerifyBody<'_> = body.parse()?;
    let attempt = Attempt {
        signature: Some(fields.signature.clone()),
        agent: fields.agent,
        action: fields.action,
        context: fields.context.map(|context| context.get().to_owned()),
        plan: fields.plan.map(|plan| plan.get().to_owned()),
    };
    match app.service.approvals.check(&caller, id, attempt).await {
        Ok(approval) => Ok(json_answer(
            200,
            format!("{{\"valid\":true,\"signature_valid\":true,\"approval\":{approval}}}"),
        )),
        Err(refusal) if is_verdict(&refusal) => {
            let signature_valid = match app.service.approvals.recognize(id, &fields.signature).await
            {
                Ok(()) => true,
                Err(refusal) if is_verdict(&refusal) => false,
                Err(refusal) => return Err(refusal),
            };
            Ok(json_answer(200, invalid(&refusal, signature_valid)))
        }
        Err(refusal) => Err(refusal),
    }
}

/// Claim an approval: consume it for one execution.
///
/// Of any number of concurrent claims one succeeds; the others get `already-executed`. Run the action
/// only after this call succeeded, then report its outcome. A repeat with the same `Idempotency-Key`
/// returns the same execution while its outcome is `claimed`.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/execute", tag = "approvals", operation_id = "execute_approval",
    request_body = ExecuteBody<'_>,
    params(("id" = String, Path, description = "`appr_` and 26 characters.")),
    responses((status = 200, description = "The approval, executed, with the id of the execution.", body = Approval)))]
pub(super) async fn execute(
    State(app): State<App>,
    Id(id): Id,
    Command { caller, idempotency, body }: Command,
) -> Handled {
    let fields: ExecuteBody<'_> = body.parse()?;
    let claim = Claim {
        agent: fields.agent,
        action: fields.action,
        context: fields.context.get().to_owned(),
        plan: fields.plan.map(|plan| plan.get().to_owned()),
        lease_seconds: fields.lease_seconds,
    };
    let reply = app.service.approvals.claim(&caller, id, claim, idempotency.as_ref()).await?;
    Ok(answer(reply))
}

/// Report the outcome of an execution.
///
/// Without a report the outcome becomes `unknown` when the lease expires; a later report is accepted
/// once, and marked `late`.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/outcome", tag = "approvals", operation_id = "report_outcome",
    request_body = OutcomeBody,
    params(("id" = String, Path, description = "`appr_` and 26 characters.")),
    responses((status = 200, description = "The approval with the outcome.", body = Approval)))]
pub(super) async fn outcome(
    State(app): State<App>,
    Id(id): Id,
    Command { caller, idempotency, body }: Command,
) -> Handled {
    let fields: OutcomeBody = body.parse()?;
    without_carriage_return("detail", fields.detail.as_deref())?;
    let outcome = Outcome {
        execution_id: fields.execution_id,
        outcome: fields.outcome,
        detail: fields.detail,
    };
    let reply = app.service.approvals.settle(&caller, id, &outcome, idempotency.as_ref()).await?;
    Ok(answer(reply))
}

/// Withdraw an approval before it is claimed.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/withdraw", tag = "approvals", operation_id = "withdraw_approval",
    request_body = NoMembers,
    params(("id" = String, Path, description = "`appr_` and 26 characters.")),
    responses((status = 200, description = "The approval, withdrawn.", body = Approval)))]
pub(super) async fn withdraw(
    State(app): State<App>,
    Id(id): Id,
    Command { caller, idempotency, body }: Command,
) -> Handled {
    body.parse::<NoMembers>()?;
    let reply = app.service.approvals.withdraw(&caller, id, idempotency.as_ref()).await?;
    Ok(answer(reply))
}

/// Extend the lifetime of an approval that has no ballots.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/extend", tag = "approvals", operation_id = "extend_approval",
    request_body = ExtendBody,
    params(("id" = String, Path, description = "`appr_` and 26 characters.")),
    responses((status = 200, description = "The approval with its new expiry.", body = Approval)))]
pub(super) async fn extend(
    State(app): State<App>,
    Id(id): Id,
    Command { caller, idempotency, body }: Command,
) -> Handled {
    let fields: ExtendBody = body.parse()?;
    let seconds = fields.expires_in_seconds;
    let reply = app.service.approvals.extend(&caller, id, seconds, idempotency.as_ref()).await?;
    Ok(answer(reply))
}

/// Get the exact message to sign.
#[utoipa::path(get, path = "/api/v1/approvals/{id}/payload", tag = "approvals", operation_id = "get_signing_payload",
    params(
        ("id" = String, Path, description = "`appr_` and 26 characters."),
        ("decision" = BallotDecision, Query, description = "The decision to sign."),
        ("approver" = String, Query, max_length = 128, description = "The approver."),
        ("profile" = Option<SignatureProfile>, Query, description = "The profile; default `v1`."),
        ("key" = Option<String>, Query, description = "The id of the signing key; not part of `v1`."),
        ("comment" = Option<String>, Query, max_length = 4096, description = "The comment of the ballot; not part of `v1`.")),
    responses((status = 200, description = "The message to sign.", body = Payload)))]
pub(super) async fn payload(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    params: Params,
) -> Handled {
    params.known(&["decision", "approver", "profile", "key", "comment"])?;
    let optional = |name: &str| params.get(name).unwrap_or_default().to_owned();
    let query = PayloadQuery {
        decision: params.required("decision")?,
        approver: params.required("approver")?,
        profile: params.get("profile").unwrap_or("v1").to_owned(),
        key: optional("key"),
        comment: optional("comment"),
    };
    app.service.approvals.readable(&caller, id).await?;
    Ok(json_answer(200, app.service.approvals.payload(id, query).await?))
}

/// Erase the texts of a final approval: context, plan, reasons, comments and the detail of its outcome.
///
/// Their digests stay, and with them what the signatures prove. It cannot be undone.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/erase", tag = "approvals", operation_id = "erase_approval",
    request_body = NoMembers,
    params(("id" = String, Path, description = "`appr_` and 26 characters.")),
    responses((status = 200, description = "The approval without its texts.", body = Approval)))]
pub(super) async fn erase(
    State(app): State<App>,
    Id(id): Id,
    Command { caller, idempotency, body }: Command,
) -> Handled {
    body.parse::<NoMembers>()?;
    Ok(answer(app.service.approvals.erase(&caller, id, idempotency.as_ref()).await?))
}

/// Get a receipt: the proof of an approval for a verifier that has only the log's key.
#[utoipa::path(get, path = "/api/v1/approvals/{id}/receipt", tag = "approvals", operation_id = "get_receipt",
    params(("id" = String, Path, description = "`appr_` and 26 characters.")),
    responses((status = 200, description = "A receipt, for `signoff receipt verify`.", body = Receipt)))]
pub(super) async fn receipt(
    State(app): State<App>,
    _: NoQuery,
    caller: Caller,
    Id(id): Id,
) -> Handled {
    app.service.approvals.readable(&caller, id).await?;
    // `receipt.verify` takes exactly this text.
    Ok(exact_json(200, app.service.audit.receipt(id).await?))
}

/// Returns once the status differs from `unwanted`, the time is up, or the server stops.
async fn wait(
    app: &App,
    caller: &Caller,
    id: Option<ApprovalId>,
    unwanted: &str,
    longest: Duration,
) -> Result<(), Refusal> {
    let end = Instant::now() + longest;
    let mut stopping = app.stopping.clone();
    let Some(known) = id else { return Ok(()) };
    let mut watch = app.service.ledger.watchers().of_approval(known);
    let mut revocations = app.service.tokens.revocations();
    while !*stopping.borrow() {
        let (status, seconds_left) = app.service.approvals.status(id).await?;
        if status != unwanted || Instant::now() >= end {
            return Ok(());
        }
        // Expiry changes a status too, without a notification.
        let expiry = Instant::now() + Duration::from_secs(seconds_left.max(1));
        let is_revoked = tokio::select! {
            _ = timeout_at(end.min(expiry), watch.changed()) => false,
            _ = revocations.changed() => true,
            _ = stopping.wait_for(|stopping| *stopping) => false,
        };
        if is_revoked {
            app.admits_still(caller).await?;
        }
    }
    Ok(())
}

/// Returns whether a refusal is a result of `verify`, rather than an error of the call.
fn is_verdict(refusal: &Refusal) -> bool {
    matches!(refusal.code.status, 403 | 409) || refusal.code == Code::SIGNATURE_MALFORMED
}

/// Refusal `request-invalid` of a query parameter.
fn unknown_status(parameter: &str) -> Refusal {
    let all = Status::ALL.map(Status::as_str).join(", ");
    let detail = format!("unknown status in `{parameter}`, expected one of {all}");
    Refusal::new(Code::REQUEST_INVALID, detail)
}

fn invalid(refusal: &Refusal, signature_valid: bool) -> String {
    // The runbook has one title for every signature that does not verify.
    let error = if refusal.code == Code::SIGNATURE_MALFORMED {
        Code::SIGNATURE_INVALID.title
    } else {
        refusal.code.title
    };
    let mut answer = json!({
        "valid": false,
        "error": error,
        "code": refusal.code.text,
        "detail": refusal.detail,
        "signature_valid": signature_valid,
    });
    if let (false, Some(answer)) = (refusal.members.is_empty(), answer.as_object_mut()) {
        answer.insert("members".to_owned(), json!(refusal.members));
    }
    answer.to_string()
}
