//! Handlers of checkpoints, proofs and keys.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::App;
use super::params::{NoQuery, Params};
use super::reply::json_answer;
use super::shown::{Keys, LogKeys, LogProof};
use crate::caller::Caller;
use crate::code::Code;
use crate::refusal::Refusal;

/// Get the signed head of the audit log: a C2SP checkpoint.
#[utoipa::path(get, path = "/api/v1/audit/checkpoint", tag = "audit", operation_id = "get_checkpoint",
    responses((status = 200, content_type = "text/plain", body = String, description = "A signed note: origin, size, root.")))]
pub(super) async fn checkpoint(State(app): State<App>, _: NoQuery) -> Result<Response, Refusal> {
    let (_, note) = app.service.audit.checkpoint().await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], note).into_response())
}

/// List the public keys that sign checkpoints, for `--trust`.
#[utoipa::path(get, path = "/api/v1/audit/keys", tag = "audit", operation_id = "list_log_keys",
    responses((status = 200, description = "The public keys.", body = LogKeys)))]
pub(super) async fn keys(State(app): State<App>, _: NoQuery) -> Result<Response, Refusal> {
    let items: Vec<Value> = app
        .service
        .audit
        .log_keys()?
        .into_iter()
        .map(|(key_id, log_key)| json!({ "key_id": key_id, "log_key": log_key.to_string() }))
        .collect();
    Ok(json_answer(200, json!({ "items": items }).to_string()))
}

/// Get an inclusion proof (`entry`) or a consistency proof (`from`).
#[utoipa::path(get, path = "/api/v1/audit/proof", tag = "audit", operation_id = "get_audit_proof",
    params(
        ("entry" = Option<u64>, Query, description = "The number of an entry: an inclusion proof."),
        ("from" = Option<u64>, Query, description = "An earlier size: a consistency proof."),
        ("size" = Option<u64>, Query, description = "The size of the tree; default the current one.")),
    responses((status = 200, description = "The proof.", body = LogProof)))]
pub(super) async fn proof(State(app): State<App>, params: Params) -> Result<Response, Refusal> {
    params.known(&["entry", "from", "size"])?;
    let number = |name| params.number(name, u64::MAX);
    let size = number("size")?;
    let (name, value, proof) = match (number("entry")?, number("from")?) {
        (Some(entry), None) => ("entry", entry, app.service.audit.inclusion(entry, size).await?),
        (None, Some(from)) => ("from", from, app.service.audit.consistency(from, size).await?),
        _ => {
            return Err(Refusal::new(
                Code::REQUEST_INVALID,
                "one of `entry` and `from` is required in the query",
            ));
        }
    };
    let hashes: Vec<String> = proof.hashes.iter().map(hex::encode).collect();
    let body = json!({
        name: value,
        "size": proof.size,
        "root": hex::encode(proof.root),
        "hashes": hashes,
    });
    Ok(json_answer(200, body.to_string()))
}

/// List the keys without secret material. Requesters and executors get the public keys only: they
/// verify with those that they pinned, and learn here which are revoked.
#[utoipa::path(get, path = "/api/v1/keys", tag = "keys", operation_id = "list_keys",
    responses((status = 200, description = "The keys.", body = Keys)))]
pub(super) async fn all_keys(
    State(app): State<App>,
    _: NoQuery,
    caller: Caller,
) -> Result<Response, Refusal> {
    let mut keys = app.service.keys.current()?.described();
    if !caller.reads_all() {
        keys.retain(|key| key.public_key.is_some());
    }
    Ok(json_answer(200, json!({ "items": keys }).to_string()))
}
