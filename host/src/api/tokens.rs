//! Handlers of tokens.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::App;
use super::command::Command;
use super::params::{Params, Part};
use super::reply::{answer, json_answer};
use super::requests::NoMembers;
use super::shown::Tokens;
use crate::code::Code;
use crate::id::is_token_id;
use crate::identity::NewToken;
use crate::refusal::Refusal;
use crate::role::Role;

const LIST_MAX: u64 = 200;
const LIST_DEFAULT: u64 = 50;

/// A token to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TokenRequest)]
pub(super) struct TokenBody {
    /// The holder's name: `[!-~]{1,128}`; `agent:NAME` for an agent.
    #[schema(min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$")]
    pub(super) subject: String,
    /// The roles, at least one; an agent can be neither `approver` nor `admin`.
    #[schema(min_items = 1)]
    pub(super) roles: Vec<Role>,
    /// The agents it requests and executes for; `*` matches any run of characters. Default: all
    /// agents, or for `agent:NAME` only that one.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128)]
    pub(super) agents: Option<String>,
    /// 1 to 315360000; default unlimited.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 315_360_000)]
    pub(super) expires_in_seconds: Option<i64>,
}

/// A token's metadata; the token itself only in the answer that created it.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = TokenInfo)]
pub struct TokenShown {
    /// `tok_` and 26 characters of a ULID.
    pub id: String,
    /// The holder's name.
    pub subject: String,
    /// The roles.
    pub roles: Vec<Role>,
    /// The agents it requests and executes for.
    #[schema(required)]
    pub agents: Option<String>,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// Who created it.
    pub created_by: String,
    /// RFC 3339, UTC.
    #[schema(required, format = DateTime)]
    pub expires_at: Option<String>,
    /// RFC 3339, UTC.
    #[schema(required, format = DateTime)]
    pub revoked_at: Option<String>,
    /// Who revoked it.
    #[schema(required)]
    pub revoked_by: Option<String>,
    /// The token; only in the answer that created it, not in repeats of that answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Create a token. Only its SHA-256 is stored.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", operation_id = "create_token",
    request_body = TokenBody,
    responses((status = 201, description = "The token. `token` is shown this once.", body = TokenShown)))]
pub(super) async fn create(
    State(app): State<App>,
    Command { caller, idempotency, body }: Command,
) -> Result<Response, Refusal> {
    let TokenBody { subject, roles, agents, expires_in_seconds } = body.parse()?;
    let new = NewToken { subject, roles, agents, expires_in_seconds };
    Ok(answer(app.service.tokens.create(&caller, new, idempotency.as_ref()).await?))
}

/// List tokens in order of creation.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", operation_id = "list_tokens",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "Tokens per page; default 50."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the previous page.")),
    responses((status = 200, description = "A page of tokens, without the tokens themselves.", body = Tokens)))]
pub(super) async fn list(State(app): State<App>, params: Params) -> Result<Response, Refusal> {
    params.known(&["limit", "cursor"])?;
    let limit = params.number("limit", LIST_MAX)?.unwrap_or(LIST_DEFAULT);
    if limit == 0 {
        return Err(Refusal::new(Code::REQUEST_INVALID, "`limit` must be 1 to 200"));
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let cursor = params.get("cursor");
    if cursor.is_some_and(|cursor| !is_token_id(cursor)) {
        let detail = "malformed `cursor`; expected `next_cursor` of the previous page";
        return Err(Refusal::new(Code::REQUEST_INVALID, detail));
    }
    let items = app.service.tokens.list(cursor.unwrap_or_default(), limit).await?;
    let last = items.last().and_then(|token| token.get("id")).filter(|_| items.len() == limit);
    Ok(json_answer(200, json!({ "items": items, "next_cursor": last }).to_string()))
}

/// Revoke a token. Later requests with it are refused.
#[utoipa::path(post, path = "/api/v1/tokens/{id}/revoke", tag = "tokens", operation_id = "revoke_token",
    request_body = NoMembers,
    params(("id" = String, Path, description = "`tok_` and 26 characters.")),
    responses((status = 200, description = "The token, revoked.", body = TokenShown)))]
pub(super) async fn revoke(
    State(app): State<App>,
    Part(id): Part,
    Command { caller, idempotency, body }: Command,
) -> Result<Response, Refusal> {
    body.parse::<NoMembers>()?;
    Ok(answer(app.service.tokens.revoke(&caller, &id, idempotency.as_ref()).await?))
}
