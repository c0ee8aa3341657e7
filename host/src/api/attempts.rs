//! Handler of recorded attempts, for those who compare policies.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::App;
use super::params::Params;
use super::reply::json_answer;
use super::shown::JsonObject;
use crate::caller::Caller;
use crate::code::Code;
use crate::refusal::Refusal;

const LIMIT_MAX: u64 = 200;
const LIMIT_DEFAULT: u64 = 50;

/// What a policy is given to evaluate a recorded request.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct RecordedAttempt {
    /// The approval's id.
    pub id: String,
    /// The agent.
    pub agent: String,
    /// The action.
    pub action: String,
    /// The canonical context.
    #[schema(value_type = JsonObject)]
    pub context: Box<RawValue>,
    /// The canonical plan; null if there is none.
    #[schema(value_type = Option<JsonObject>)]
    pub plan: Option<Box<RawValue>>,
    /// The facts: the requester.
    #[schema(value_type = JsonObject)]
    pub facts: Box<RawValue>,
    /// When it was requested; RFC 3339, UTC.
    pub at: String,
}

/// A page of recorded attempts, newest first.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct RecordedAttempts {
    /// The attempts.
    pub items: Vec<RecordedAttempt>,
    /// The cursor of the next page; null after the last.
    pub next_cursor: Option<String>,
}

/// List what a policy is given for recorded approvals, newest first, to compare policies on them.
///
/// The role `policy` reads all of them, other callers those of the approvals that they may read. A page
/// may be shorter than its limit without being the last.
#[utoipa::path(get, path = "/api/v1/guardrails/attempts", tag = "guardrails", operation_id = "list_recorded_attempts",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "Attempts per page; default 50."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the previous page.")),
    responses((status = 200, description = "A page of attempts.", body = RecordedAttempts)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    params: Params,
) -> Result<Response, Refusal> {
    params.known(&["limit", "cursor"])?;
    let limit = params.number("limit", LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    if limit == 0 {
        return Err(Refusal::new(Code::REQUEST_INVALID, "`limit` must be 1 to 200"));
    }
    let limit = usize::try_from(limit).unwrap_or_default();
    let cursor = params.get("cursor").map(str::to_owned);
    let page = app.service.approvals.attempts(&caller, limit, cursor).await?;
    let (items, next) = (page.items.join(","), json!(page.next_cursor));
    Ok(json_answer(200, format!("{{\"items\":[{items}],\"next_cursor\":{next}}}")))
}
