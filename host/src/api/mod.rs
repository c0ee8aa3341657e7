//! The HTTP API: thin handlers over the service. [`router`] is the whole of it; `server` serves it,
//! and the CLI calls the same router in process when it works on a store file.

mod access;
mod approval;
mod approvals;
mod body;
mod events;
mod guard;
mod guardrails;
mod health;
mod log;
mod metrics;
mod modules;
mod openapi;
mod params;
mod problem;
mod request_id;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::service::Service;

pub use access::{For, ROUTES};
pub(crate) use guard::is_loopback_name;

pub use approval::{Approval, Ballot, Execution, List, Requirement, Verification};
pub use guardrails::{Details, Evaluation};
pub use metrics::Metrics;
pub use openapi::document;
pub use problem::Problem;
pub use request_id::RequestId;
pub use tokens::TokenShown;

/// Longest request body: a context and a plan of 1 MiB each, and the rest.
pub const BODY_BYTES_MAX: usize = 5 << 19;

/// What every handler shares.
#[derive(Clone)]
pub struct App {
    /// The operations.
    pub service: Arc<Service>,
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// Turns true when the server stops: waits and streams end.
    pub stopping: watch::Receiver<bool>,
    /// Who may call, by the `Host` header.
    pub hosts: Hosts,
}

/// Which `Host` headers are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// Loopback names only where there are no tokens: a page in the user's browser must not get in
    /// by giving its own name this machine's address.
    Loopback,
    /// Any, and no token: the caller is in this process.
    Any,
}

/// Every route, with its limits.
pub fn router(app: App) -> Router {
    let modules = Router::new()
        .route("/modules", post(modules::push).get(modules::list))
        .route("/modules/{digest}", get(modules::inspect))
        .route("/modules/{digest}/wasm", get(modules::wasm))
        .route("/modules/{digest}/activate", post(modules::activate))
        .route("/modules/{digest}/shadow", post(modules::shadow))
        .route("/modules/{digest}/remove", post(modules::remove))
        .route("/modules/{slot}/flips", get(modules::flips))
        .route("/modules/{slot}/rollback", post(modules::rollback))
        .route("/modules/{slot}/unshadow", post(modules::unshadow))
        .layer(no_longer_than(guard::MODULE_TIME_MAX));
    let api = Router::new()
        .route("/approvals", post(approvals::create).get(approvals::list))
        .route("/approvals/{id}", get(approvals::show))
        .route("/approvals/{id}/approve", post(approvals::approve))
        .route("/approvals/{id}/reject", post(approvals::reject))
        .route("/approvals/{id}/verify", post(approvals::verify))
        .route("/approvals/{id}/execute", post(approvals::execute))
        .route("/approvals/{id}/outcome", post(approvals::outcome))
        .route("/approvals/{id}/withdraw", post(approvals::withdraw))
        .route("/approvals/{id}/extend", post(approvals::extend))
        .route("/approvals/{id}/payload", get(approvals::payload))
        .route("/approvals/{id}/receipt", get(approvals::receipt))
        .route("/audit", get(events::audit))
        .route("/audit/checkpoint", get(log::checkpoint))
        .route("/audit/keys", get(log::keys))
        .route("/audit/proof", get(log::proof))
        .route("/guardrails/evaluate", post(guardrails::evaluate))
        .route("/keys", get(log::all_keys))
        .route("/tokens", post(tokens::create).get(tokens::list))
        .route("/tokens/{id}/revoke", post(tokens::revoke))
        .route("/events", get(events::stream))
        .layer(no_longer_than(guard::REQUEST_TIME_MAX))
        .merge(modules);
    Router::new()
        .nest("/api/v1", api)
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(health::openapi))
        .fallback(problem::no_such_route)
        .method_not_allowed_fallback(problem::no_such_method)
        // The first of a tuple is outside of the others. Each `layer` costs a request some allocations.
        .layer((DefaultBodyLimit::disable(), CatchPanicLayer::custom(problem::panicked)))
        .route_layer((
            middleware::from_fn_with_state(app.clone(), metrics::measure),
            middleware::from_fn_with_state(app.clone(), access::authorize),
        ))
        .layer((
            middleware::from_fn(request_id::identify),
            middleware::from_fn_with_state(app.clone(), guard::guard),
        ))
        .with_state(app)
}

fn no_longer_than(time: Duration) -> TimeoutLayer {
    TimeoutLayer::with_status_code(axum::http::StatusCode::SERVICE_UNAVAILABLE, time)
}
