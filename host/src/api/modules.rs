//! Handlers of the registry of modules. What changes it is driven to its end, also where the caller has
//! gone: a module that the store names must be the one that serves.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use signoff_core::base64;
use utoipa::ToSchema;

use super::App;
use super::body::{LargeJson, Raw};
use super::command::Command;
use super::params::Params;
use super::problem::Problem;
use super::reply::{answer, json_answer};
use crate::code::Code;
use crate::module::{ModuleDigest, Slot};
use crate::refusal::Refusal;
use crate::service::{NewModule, Reply, Service};

const FLIPS_MAX: u64 = 200;
const FLIPS_DEFAULT: u64 = 50;

/// `POST /modules`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PushBody<'a> {
    /// The signed manifest: a DSSE envelope, as `signoff module sign` writes it.
    #[serde(borrow)]
    #[schema(value_type = Object)]
    manifest: Raw<'a>,
    /// The component, standard base64 with padding; at most 64 MiB of bytes.
    #[serde(borrow)]
    wasm: Cow<'a, str>,
}

/// `POST /modules/{digest}/activate`, `/shadow`, `/remove` and `POST /modules/{slot}/unshadow`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ModuleBody {}

/// `POST /modules/{slot}/rollback`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RollbackBody {
    /// Why, for the audit; at most 4 KiB.
    reason: String,
    /// The digest of a module that served before; the one before the active one if left out.
    #[serde(default)]
    to: Option<String>,
}

/// Every slot with what serves in it, and every module that is kept.
#[utoipa::path(get, path = "/api/v1/modules", tag = "modules",
    responses((status = 200, description = "`{\"slots\":[{\"slot\":…,\"active\":…,\"shadow\":…,\"previous\":…,\"highest_version\":…,\"failing\":…}],\"items\":[{\"slot\":…,\"digest\":…,\"name\":…,\"version\":…,\"limits\":…,\"facts\":…,\"created\":…,\"key_id\":…,\"signer\":…,\"envelope\":…,\"bytes\":…,\"pushed_at\":…,\"pushed_by\":…,\"state\":…}]}`"), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub(super) async fn list(State(app): State<App>) -> Result<Response, Refusal> {
    Ok(json_answer(200, app.service.modules().await?.to_string()))
}

/// Push a module with its signed manifest. It is compiled and tried, and serves once it is activated.
/// A push that takes longer than the answer may goes on: list the modules then.
#[utoipa::path(post, path = "/api/v1/modules", tag = "modules", request_body = PushBody<'_>,
    responses((status = 201, description = "the module, as in the list"), (status = 200, description = "it was here"), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
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
    // The text is as large again.
    let place = body.into_place();
    let new = NewModule { manifest, wasm };
    driven(&app, move |service| async move {
        let reply = service.push_module(&caller, new, idempotency.as_ref()).await;
        drop(place);
        reply
    })
    .await
}

/// One module: what its manifest says, who signed it, when it served, what it says of itself.
#[utoipa::path(get, path = "/api/v1/modules/{digest}", tag = "modules",
    params(("digest" = String, Path)),
    responses((status = 200, description = "the module, as in the list, with `manifest`, `history` and `describe`"), (status = "4XX", body = Problem)))]
pub(super) async fn inspect(
    State(app): State<App>,
    Path(digest): Path<String>,
) -> Result<Response, Refusal> {
    Ok(json_answer(200, app.service.module(parsed(&digest)?).await?.to_string()))
}

/// A module's bytes.
#[utoipa::path(get, path = "/api/v1/modules/{digest}/wasm", tag = "modules",
    params(("digest" = String, Path)),
    responses((status = 200, description = "the component", content_type = "application/wasm"), (status = "4XX", body = Problem)))]
pub(super) async fn wasm(
    State(app): State<App>,
    Path(digest): Path<String>,
) -> Result<Response, Refusal> {
    let wasm = app.service.module_wasm(parsed(&digest)?).await?;
    Ok(([(header::CONTENT_TYPE, "application/wasm")], wasm.to_vec()).into_response())
}

/// Have a module serve in its slot, from the next question on.
#[utoipa::path(post, path = "/api/v1/modules/{digest}/activate", tag = "modules", request_body = ModuleBody,
    params(("digest" = String, Path)),
    responses((status = 200, description = "the slot, as in the list"), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub(super) async fn activate(
    State(app): State<App>,
    Path(digest): Path<String>,
    Command { caller, idempotency, body }: Command,
) -> Result<Response, Refusal> {
    body.parse::<ModuleBody>()?;
    let digest = parsed(&digest)?;
    driven(&app, move |service| async move {
        service.activate_module(&caller, digest, idempotency.as_ref()).await
    })
    .await
}

/// Have a policy asked beside the one that serves, without effect.
#[utoipa::path(post, path = "/api/v1/modules/{digest}/shadow", tag = "modules", request_body = ModuleBody,
    params(("digest" = String, Path)),
    responses((status = 200, description = "the slot, as in the list"), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub(super) async fn shadow(
    State(app): State<App>,
    Path(digest): Path<String>,
    Command { caller, idempotency, body }: Command,
) -> Result<Response, Refusal> {
    body.parse::<ModuleBody>()?;
    let digest = parsed(&digest)?;
    driven(&app, move |service| async move {
        service.shadow_module(&caller, digest, idempotency.as_ref()).await
    })
    .await
}

/// Forget a module that is not needed.
#[utoipa::path(post, path = "/api/v1/modules/{digest}/remove", tag = "modules", request_body = ModuleBody,
    params(("digest" = String, Path)),
    responses((status = 200, description = "`{\"digest\":…,\"slot\":…,\"state\":\"removed\"}`"), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub(super) async fn remove(
    State(app): State<App>,
    Path(digest): Path<String>,
    Command { caller, idempotency, body }: Command,
) -> Result<Response, Refusal> {
    body.parse::<ModuleBody>()?;
    let digest = parsed(&digest)?;
    driven(&app, move |service| async move {
        service.remove_module(&caller, digest, idempotency.as_ref()).await
    })
    .await
}

/// Have a module serve again that did before.
#[utoipa::path(post, path = "/api/v1/modules/{slot}/rollback", tag = "modules", request_body = RollbackBody,
    params(("slot" = String, Path, description = "`policy` or `verifier`")),
    responses((status = 200, description = "the slot, as in the list"), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub(super) async fn rollback(
    State(app): State<App>,
    Path(slot): Path<String>,
    Command { caller, idempotency, body }: Command,
) -> Result<Response, Refusal> {
    let RollbackBody { reason, to } = body.parse()?;
    let slot = slot_named(&slot)?;
    let to = to.as_deref().map(parsed).transpose()?;
    driven(&app, move |service| async move {
        service.roll_back_module(&caller, slot, &reason, to, idempotency.as_ref()).await
    })
    .await
}

/// Have no policy asked beside the one that serves.
#[utoipa::path(post, path = "/api/v1/modules/{slot}/unshadow", tag = "modules", request_body = ModuleBody,
    params(("slot" = String, Path, description = "`policy`")),
    responses((status = 200, description = "the slot, as in the list"), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub(super) async fn unshadow(
    State(app): State<App>,
    Path(slot): Path<String>,
    Command { caller, idempotency, body }: Command,
) -> Result<Response, Refusal> {
    body.parse::<ModuleBody>()?;
    let slot = slot_named(&slot)?;
    driven(&app, move |service| async move {
        service.unshadow_module(&caller, slot, idempotency.as_ref()).await
    })
    .await
}

/// What the shadow would have answered otherwise, in order.
#[utoipa::path(get, path = "/api/v1/modules/{slot}/flips", tag = "modules",
    params(
        ("slot" = String, Path, description = "`policy`"),
        ("digest" = Option<String>, Query, description = "of which shadow; the one that is asked now if left out"),
        ("after" = Option<u64>, Query, description = "only those with a higher audit number"),
        ("limit" = Option<u16>, Query, description = "1 to 200, 50 if left out")),
    responses((status = 200, description = "`{\"shadow\":…,\"counts\":{\"compared\":…,\"flips\":…,\"failures\":…,\"dropped\":…},\"items\":[{\"number\":…,\"entry\":{…}}]}`"), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub(super) async fn flips(
    State(app): State<App>,
    Path(slot): Path<String>,
    params: Params,
) -> Result<Response, Refusal> {
    params.known(&["digest", "after", "limit"])?;
    if slot_named(&slot)? != Slot::Policy {
        return Err(Refusal::new(Code::NOT_FOUND, "only slot `policy` has a shadow"));
    }
    let after = params.number("after", u64::MAX)?.unwrap_or(0);
    let limit = params.number("limit", FLIPS_MAX)?.unwrap_or(FLIPS_DEFAULT);
    if limit == 0 {
        return Err(Refusal::new(Code::REQUEST_INVALID, "`limit` must be 1 to 200"));
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let shadow = match params.get("digest") {
        Some(digest) => Some(parsed(digest)?.to_string()),
        None => app.service.policy_slot().await?.shadow.map(|policy| policy.digest().to_owned()),
    };
    let flips = match &shadow {
        Some(digest) => app.service.flips(digest, after, limit).await?,
        None => Vec::new(),
    };
    let items: Vec<Value> = flips
        .into_iter()
        .map(|flip| {
            let entry = serde_json::from_str::<Value>(&flip.entry).unwrap_or_default();
            json!({ "number": flip.number, "entry": entry })
        })
        .collect();
    let counts = app.service.shadow_counts();
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
        Refusal::new(
            Code::NOT_FOUND,
            "no module has this digest: it is 64 lower-case hex characters",
        )
    })
}

/// Refusals: `not-found`.
fn slot_named(slot: &str) -> Result<Slot, Refusal> {
    let missing = || Refusal::new(Code::NOT_FOUND, "no such slot: expected `policy` or `verifier`");
    Slot::parse(slot).ok_or_else(missing)
}

/// Drives a change to its end, whoever waits for it.
async fn driven<F>(app: &App, change: impl FnOnce(Arc<Service>) -> F) -> Result<Response, Refusal>
where
    F: Future<Output = Result<Reply, Refusal>> + Send + 'static,
{
    let done = tokio::spawn(change(Arc::clone(&app.service))).await;
    done.unwrap_or_else(|e| Err(Refusal::internal(e))).map(answer)
}
