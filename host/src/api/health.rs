//! Whether the server lives, whether it can decide, and what it counts.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::{App, openapi};
use crate::refusal::Refusal;

/// Whether the process answers.
#[utoipa::path(get, path = "/healthz", tag = "operation", responses((status = 200, description = "`{\"status\":\"ok\"}`")))]
pub(super) async fn healthz() -> Response {
    json("{\"status\":\"ok\"}".to_owned())
}

/// Whether a decision can be made now: store, verifier, policy, keys and clock.
#[utoipa::path(get, path = "/readyz", tag = "operation",
    responses((status = 200, description = "`{\"status\":\"ready\"}`"), (status = 503, body = super::Problem)))]
pub(super) async fn readyz(State(app): State<App>) -> Result<Response, Refusal> {
    app.service.ready().await?;
    let (verifier, policy) = (app.service.verifier(), app.service.policy_slot().await?.active);
    let ready = serde_json::json!({
        "status": "ready",
        "verifier": verifier.digest(),
        "policy": policy.digest(),
    });
    Ok(json(ready.to_string()))
}

/// Counters in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, content_type = "text/plain", description = "OpenMetrics text")))]
pub(super) async fn metrics(State(app): State<App>) -> Result<Response, Refusal> {
    let text = app.metrics.render(&app.service).await?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "operation", responses((status = 200, description = "OpenAPI 3.1")))]
pub(super) async fn openapi() -> Response {
    json(openapi::document())
}

fn json(body: String) -> Response {
    let body = body + "\n";
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
