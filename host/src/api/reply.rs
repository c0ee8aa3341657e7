//! Responses of handlers.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;

use crate::id::ApprovalId;
use crate::ledger::Reply;
use crate::modules::ModuleDigest;

/// Returns the response of a change, with `Location` for a new approval or module and
/// `Idempotency-Replayed` for a replay.
pub(super) fn answer(reply: Reply) -> Response {
    #[derive(Deserialize)]
    struct Made {
        id: Option<String>,
        digest: Option<String>,
    }
    let made = (reply.status == 201).then(|| serde_json::from_str::<Made>(&reply.body).ok());
    let location = made.flatten().and_then(|made| {
        let approval = made.id.as_deref().and_then(ApprovalId::parse);
        let module = made.digest.as_deref().and_then(ModuleDigest::parse);
        let path = match (approval, module) {
            (Some(id), _) => format!("/api/v1/approvals/{id}"),
            (None, Some(digest)) => format!("/api/v1/modules/{digest}"),
            (None, None) => return None,
        };
        HeaderValue::try_from(path).ok()
    });
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
