//! Responses of handlers.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;

use crate::id::ApprovalId;
use crate::ledger::Reply;

/// Returns the response of a change, with `Location` for a new approval and `Idempotency-Replayed`
/// for a replay.
pub(super) fn answer(reply: Reply) -> Response {
    #[derive(Deserialize)]
    struct Made {
        id: String,
    }
    let made = (reply.status == 201).then(|| serde_json::from_str::<Made>(&reply.body).ok());
    let location = made
        .flatten()
        .filter(|made| ApprovalId::parse(&made.id).is_some())
        .and_then(|made| HeaderValue::try_from(format!("/api/v1/approvals/{}", made.id)).ok());
    let mut response = json_answer(reply.status, reply.body);
    if let Some(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    if reply.replayed {
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    response
}

/// Returns a JSON response, terminated by a line feed for terminals.
pub(super) fn json_answer(status: u16, mut body: String) -> Response {
    body.push('\n');
    exact_json(status, body)
}

/// Returns a response with a JSON text byte for byte, as for a text that is verified as it is.
pub(super) fn exact_json(status: u16, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
