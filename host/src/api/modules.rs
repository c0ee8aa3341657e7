//! Handlers of the module registry. Changes run to completion even if the client disconnects, so
//! that the module that the store names is the active one.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use signoff_core::base64;
use utoipa::ToSchema;

use super::App;
use super::body::LargeJson;
use super::command::Command;
use super::enums::ModuleSlot;
use super::params::{NoQuery, Params, Part};
use super::reply::{answer, json_answer};
use super::requests::{NoMembers, Raw};
use super::shown::{
    Binary, Flips, JsonObject, ModuleShown, ModulesShown, RemovedModule, SlotShown,
};
use super::words::without_carriage_return;
use crate::code::Code;
use crate::ledger::Reply;
use crate::modules::NewModule;
use crate::modules::{ModuleDigest, Slot};
use crate::refusal::{Missing, Refusal};
use crate::service::Service;

const FLIPS_MAX: u64 = 200;
const FLIPS_DEFAULT: u64 = 50;

/// A module to push.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ModuleUpload)]
pub(super) struct PushBody<'a> {
    /// The signed manifest: a DSSE envelope, as `signoff module sign` writes it.
    #[serde(borrow)]
    #[schema(value_type = JsonObject)]
    manifest: Raw<'a>,
    /// The component, standard base64 with padding; at most 64 MiB of bytes.
    #[serde(borrow)]
    wasm: Cow<'a, str>,
}

/// Why and to which module to roll back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RollbackRequest)]
pub(super) struct RollbackBody {
    /// The reason, for the audit log; at most 4 KiB.
    #[schema(max_length = 4096)]
    reason: String,
    /// The digest of a module that was active before; default the previous module.
    #[serde(default)]
    to: Option<String>,
}

/// List every slot with its active module, and every stored module.
#[utoipa::path(get, path = "/api/v1/modules", tag = "modules", operation_id = "list_modules",
    responses((status = 200, description = "The slots and the modules.", body = ModulesShown)))]
pub(super) async fn list(State(app): State<App>, _: NoQuery) -> Result<Response, Refusal> {
    Ok(json_answer(200, app.service.modules.list().await?.to_string()))
}

/// Push a module with its signed manifest. It is compiled and tried; `activate` makes it active.
/// A push that exceeds the time limit of the request continues: list the modules to see its result.
#[utoipa::path(post, path = "/api/v1/modules", tag = "modules", operation_id = "push_module",
    request_body = PushBody<'_>,
    responses((status = 201, description = "The module.", body = ModuleShown), (status = 200, description = "The module was already stored.", body = ModuleShown)))]
pub(super) async fn push(
    State(app): State<App>,
    Command { caller, idempotency, body }: Command<LargeJson>,
) -> Result<Response, Refusal> {
    let PushBody { manifest, wasm } = body.json().parse()?;
    let manifest = manifest.get().to_owned();
    let wasm: Arc<[u8]> = base64::decode(&wasm)
        .ok_or_else(|| {
            Refusal::new(Code::REQUEST_INVALID, "body: wasm: not standard base64 with padding")
        })?
        .into();
    // Drops the text, which is at least as large as the module.
    let place = body.into_place();
    let new = NewModule { manifest, wasm };
    to_completion(&app, move |service| async move {
        let reply = service.modules.push(&caller, new, idempotency.as_ref()).await;
        drop(place);
        reply
    })
    .await
}

/// Get one module: its manifest, its signer, its activations and its own description.
#[utoipa::path(get, path = "/api/v1/modules/{digest}", tag = "modules", operation_id = "get_module",
    params(("digest" = String, Path, description = "SHA-256 of the component: 64 lower-case hex characters.")),
    responses((status = 200, description = "The module, with `manifest`, `history` and `describe`.", body = ModuleShown)))]
pub(super) async fn inspect(
    State(app): State<App>,
    _: NoQuery,
    Part(digest): Part,
) -> Result<Response, Refusal> {
    Ok(json_answer(200, app.service.modules.show(parsed(&digest)?).await?.to_string()))
}

/// Get a module's bytes.
#[utoipa::path(get, path = "/api/v1/modules/{digest}/wasm", tag = "modules", operation_id = "get_module_wasm",
    params(("digest" = String, Path, description = "SHA-256 of the component: 64 lower-case hex characters.")),
    responses((status = 200, description = "The component.", content_type = "application/wasm", body = Binary)))]
pub(super) async fn wasm(
    State(app): State<App>,
    _: NoQuery,
    Part(digest): Part,
) -> Result<Response, Refusal> {
    let wasm = app.service.modules.wasm(parsed(&digest)?).await?;
    Ok(([(header::CONTENT_TYPE, "application/wasm")], wasm.to_vec()).into_response())
}

/// Activate a module. Calls that start later use it.
#[utoipa::path(post, path = "/api/v1/modules/{digest}/activate", tag = "modules", operation_id = "activate_module",
    request_body = NoMembers,
    params(("digest" = String, Path, description = "SHA-256 of the component: 64 lower-case hex characters.")),
    responses((status = 200, description = "The slot.", body = SlotShown)))]
pub(super) async fn activate(
    State(app): State<App>,
    Part(digest): Part,
    Command { caller, idempotency, body }: Command,
) -> Result<Response, Refusal> {
    body.parse::<NoMembers>()?;
    let digest = parsed(&digest)?;
    to_completion(&app, move |service| async move {
        service.modules.activate(&caller, digest, idempotency.as_ref()).await
    })
    .await
}

/// Make a policy the shadow, which is evaluated next to the active one, without effect.
#[utoipa::path(post, path = "/api/v1/modules/{digest}/shadow", tag = "modules", operation_id = "shadow_module",
    request_body = NoMembers,
    params(("digest" = String, Path, description = "SHA-256 of the component: 64 lower-case hex characters.")),
    responses((status = 200, description = "The slot.", body = SlotShown)))]
pub(super) async fn shadow(
    State(app): State<App>,
    Part(digest): Part,
    Command { caller, idempotency, body }: Command,
) -> Result<Response, Refusal> {
    body.parse::<NoMembers>()?;
    let digest = parsed(&digest)?;
    to_completion(&app, move |service| async move {
        service.modules.shadow(&caller, digest, idempotency.as_ref()).await
    })
    .await
}

/// Remove a module that is not needed.
#[utoipa::path(post, path = "/api/v1/modules/{digest}/remove", tag = "modules", operation_id = "remove_module",
    request_body = NoMembers,
    params(("digest" = String, Path, description = "SHA-256 of the component: 64 lower-case hex characters.")),
    responses((status = 200, description = "The module is removed.", body = RemovedModule)))]
pub(super) async fn remove(
    State(app): State<App>,
    Part(digest): Part,
    Command { caller, idempotency, body }: Command,
) -> Result<Response, Refusal> {
    body.parse::<NoMembers>()?;
    let digest = parsed(&digest)?;
    to_completion(&app, move |service| async move {
        service.modules.remove(&caller, digest, idempotency.as_ref()).await
    })
    .await
}

/// Roll a slot back to an earlier module.
#[utoipa::path(post, path = "/api/v1/modules/{slot}/rollback", tag = "modules", operation_id = "rollback_module",
    request_body = RollbackBody,
    params(("slot" = ModuleSlot, Path, description = "The slot; only `policy` has a shadow.")),
    responses((status = 200, description = "The slot.", body = SlotShown)))]
pub(super) async fn rollback(
    State(app): State<App>,
    Part(slot): Part,
    Command { caller, idempotency, body }: Command,
) -> Result<Response, Refusal> {
    let RollbackBody { reason, to } = body.parse()?;
    without_carriage_return("reason", Some(&reason))?;
    let slot = slot_named(&slot)?;
    let to = to.as_deref().map(parsed).transpose()?;
    to_completion(&app, move |service| async move {
        service.modules.roll_back(&caller, slot, &reason, to, idempotency.as_ref()).await
    })
    .await
}

/// Stop shadowing.
#[utoipa::path(post, path = "/api/v1/modules/{slot}/unshadow", tag = "modules", operation_id = "unshadow_module",
    request_body = NoMembers,
    params(("slot" = ModuleSlot, Path, description = "The slot; only `policy` has a shadow.")),
    responses((status = 200, description = "The slot.", body = SlotShown)))]
pub(super) async fn unshadow(
    State(app): State<App>,
    Part(slot): Part,
    Command { caller, idempotency, body }: Command,
) -> Result<Response, Refusal> {
    body.parse::<NoMembers>()?;
    let slot = slot_named(&slot)?;
    to_completion(&app, move |service| async move {
        service.modules.unshadow(&caller, slot, idempotency.as_ref()).await
    })
    .await
}

/// List the verdicts that the shadow would have changed, in order.
#[utoipa::path(get, path = "/api/v1/modules/{slot}/flips", tag = "modules", operation_id = "list_flips",
    params(
        ("slot" = ModuleSlot, Path, description = "The slot; only `policy` has a shadow."),
        ("digest" = Option<String>, Query, description = "The digest of the shadow; default the current one."),
        ("after" = Option<u64>, Query, description = "Only entries with a higher number."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "Entries per page; default 50.")),
    responses((status = 200, description = "A page of differences.", body = Flips)))]
pub(super) async fn flips(
    State(app): State<App>,
    Part(slot): Part,
    params: Params,
) -> Result<Response, Refusal> {
    params.known(&["digest", "after", "limit"])?;
    if slot_named(&slot)? != Slot::Policy {
        return Err(Refusal::missing(Missing::Slot, "only slot `policy` has a shadow"));
    }
    let after = params.number("after", u64::MAX)?.unwrap_or(0);
    let limit = params.number("limit", FLIPS_MAX)?.unwrap_or(FLIPS_DEFAULT);
    if limit == 0 {
        return Err(Refusal::new(Code::REQUEST_INVALID, "`limit` must be 1 to 200"));
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let shadow = match params.get("digest") {
        Some(digest) => Some(parsed(digest)?.to_string()),
        None => {
            app.service.modules.policy_slot().await?.shadow.map(|policy| policy.digest().to_owned())
        }
    };
    let flips = match &shadow {
        Some(digest) => app.service.guardrails.flips(digest, after, limit).await?,
        None => Vec::new(),
    };
    let items: Vec<Value> = flips
        .into_iter()
        .map(|flip| {
            let entry = serde_json::from_str::<Value>(&flip.entry).unwrap_or_default();
            json!({ "number": flip.number, "entry": entry })
        })
        .collect();
    let counts = app.service.modules.policy_now().shadow_counts();
    let counts = json!({
        "compared": counts.compared,
        "flips": counts.flips,
        "failures": counts.failures,
        "dropped": counts.dropped,
    });
    let page = json!({ "shadow": shadow, "counts": counts, "items": items });
    Ok(json_answer(200, page.to_string()))
}

/// Refusals: `not-found`.
fn parsed(digest: &str) -> Result<ModuleDigest, Refusal> {
    ModuleDigest::parse(digest).ok_or_else(|| {
        Refusal::missing(Missing::Module, "malformed digest; expected 64 lower-case hex characters")
    })
}

/// Refusals: `not-found`.
fn slot_named(slot: &str) -> Result<Slot, Refusal> {
    let missing =
        || Refusal::missing(Missing::Slot, "no such slot: expected `policy` or `verifier`");
    Slot::parse(slot).ok_or_else(missing)
}

/// Runs a change to completion, even if the client disconnects.
async fn to_completion<F>(
    app: &App,
    change: impl FnOnce(Arc<Service>) -> F,
) -> Result<Response, Refusal>
where
    F: Future<Output = Result<Reply, Refusal>> + Send + 'static,
{
    let done = tokio::spawn(change(Arc::clone(&app.service))).await;
    done.unwrap_or_else(|e| Err(Refusal::internal(e))).map(answer)
}
