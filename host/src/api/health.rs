//! Handlers of liveness, readiness, metrics and the OpenAPI document.

use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::metrics::Exposition;
use super::reply::json_answer;
use super::shown::{Health, JsonObject, Readiness};
use super::{App, document};
use crate::refusal::Refusal;

/// Check whether the process answers.
#[utoipa::path(get, path = "/healthz", tag = "operation", operation_id = "get_health",
    responses((status = 200, description = "The process answers.", body = Health)))]
pub(super) async fn healthz() -> Response {
    json_answer(200, "{\"status\":\"ok\"}".to_owned())
}

/// Check whether a decision can be made now: store, verifier, policy, keys and clock.
#[utoipa::path(get, path = "/readyz", tag = "operation", operation_id = "get_readiness",
    responses((status = 200, description = "A decision can be made now.", body = Readiness)))]
pub(super) async fn readyz(State(app): State<App>) -> Result<Response, Refusal> {
    app.service.ready().await?;
    let (verifier, policy) =
        (app.service.verifier.current(), app.service.modules.policy_slot().await?.active);
    let ready = serde_json::json!({
        "status": "ready",
        "verifier": verifier.digest(),
        "policy": policy.digest(),
    });
    Ok(json_answer(200, ready.to_string()))
}

/// Get metrics in Prometheus' text format, or as OpenMetrics.
#[utoipa::path(get, path = "/metrics", tag = "operation", operation_id = "get_metrics",
    responses((status = 200, content((String = "text/plain"), (String = "application/openmetrics-text")),
        description = "Prometheus' text format 0.0.4, or OpenMetrics 1.0.0 if `Accept` prefers it.")))]
pub(super) async fn metrics(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let format = Exposition::accepted(&headers);
    let text = app.metrics.render(&app, format).await?;
    let headers = [(header::CONTENT_TYPE, format.content_type()), (header::VARY, "accept")];
    Ok((headers, text).into_response())
}

/// Get this document.
#[utoipa::path(get, path = "/openapi.json", tag = "operation", operation_id = "get_openapi",
    responses((status = 200, description = "An OpenAPI 3.1 document.", body = JsonObject)))]
pub(super) async fn openapi() -> Response {
    // Anybody may ask, and leave the answer unread: all have the same bytes.
    static DOCUMENT: LazyLock<Bytes> =
        LazyLock::new(|| format!("{}\n", document::document()).into());
    let mut response = Response::new(Body::from(DOCUMENT.clone()));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
