//! The OpenAPI document, generated from the handlers. A golden copy is under test, so that no
//! change of a shape goes unseen.

use utoipa::OpenApi;

use super::{approvals, events, guardrails, health, log, modules, tokens};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "signoff",
        description = "Human approval for high-risk agent actions, checked by one verified WebAssembly component.",
        license(name = "MIT OR Apache-2.0")
    ),
    paths(
        approvals::create,
        approvals::list,
        approvals::show,
        approvals::approve,
        approvals::reject,
        approvals::verify,
        approvals::execute,
        approvals::outcome,
        approvals::withdraw,
        approvals::extend,
        approvals::payload,
        approvals::receipt,
        guardrails::evaluate,
        events::audit,
        log::checkpoint,
        log::keys,
        log::proof,
        events::stream,
        log::all_keys,
        modules::list,
        modules::push,
        modules::inspect,
        modules::wasm,
        modules::activate,
        modules::shadow,
        modules::remove,
        modules::flips,
        modules::rollback,
        modules::unshadow,
        tokens::create,
        tokens::list,
        tokens::revoke,
        health::healthz,
        health::readyz,
        health::metrics,
        health::openapi,
    )
)]
struct Document;

/// The document, JSON.
pub fn document() -> String {
    Document::openapi().to_pretty_json().unwrap_or_default()
}
