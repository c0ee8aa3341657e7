//! Refusals on the wire: `application/problem+json` (RFC 9457) with a stable `code`.

use std::any::Any;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::code::Code;
use crate::refusal::{Missing, Refusal};

/// A refusal in the format of RFC 9457.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Problem {
    /// The problem type of the AuthZEN profile; only below `/access/v1`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub kind: Option<ProblemType>,
    /// The title of the code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The reason of this refusal.
    pub detail: String,
    /// The code, which is stable. Later versions may have more.
    pub code: String,
    /// The members of the context or plan that differ from the approved one: at most 16 JSON
    /// Pointers; only with `context-mismatch` and `plan-mismatch`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
}

/// A problem type of the AuthZEN Access Request and Approval Profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[expect(missing_docs, reason = "each is its URN")]
pub enum ProblemType {
    #[serde(rename = "urn:openid:authzen:access-request:error:not_requestable")]
    NotRequestable,
    #[serde(rename = "urn:openid:authzen:access-request:error:expired_denial")]
    ExpiredDenial,
    #[serde(rename = "urn:openid:authzen:access-request:error:invalid_denial_binding")]
    InvalidDenialBinding,
    #[serde(rename = "urn:openid:authzen:access-request:error:duplicate_request")]
    DuplicateRequest,
    #[serde(rename = "urn:openid:authzen:access-request:error:unknown_task")]
    UnknownTask,
    #[serde(rename = "urn:openid:authzen:access-request:error:invalid_task_state")]
    InvalidTaskState,
    /// One of a later version.
    #[serde(other, rename = "about:blank")]
    Other,
}

/// The full reason of a 5xx, for the log, in the extensions of the response.
#[derive(Clone, Debug)]
pub struct FailureReason(pub String);

impl Refusal {
    /// Returns the refusal in the format of RFC 9457.
    pub fn problem(&self) -> Problem {
        Problem {
            kind: None,
            title: self.title().to_owned(),
            status: self.code.status,
            detail: self.detail.clone(),
            code: self.code.text.to_owned(),
            members: self.members.clone(),
        }
    }

    /// Returns the response with this status instead of the code's, for example 413 for a body that
    /// is too large.
    pub fn response_with(self, status: StatusCode) -> Response {
        self.response_as(status, None)
    }

    /// Returns the response with this status and with a problem type of the AuthZEN profile.
    pub(super) fn response_as(self, status: StatusCode, kind: Option<ProblemType>) -> Response {
        let problem = Problem { kind, status: status.as_u16(), ..self.problem() };
        let body = serde_json::to_string(&problem).unwrap_or_default() + "\n";
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_seconds() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self.code);
        if status.is_server_error() {
            response.extensions_mut().insert(FailureReason(self.reason()));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status);
        self.response_with(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
    }
}

pub(super) async fn no_such_route(
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    super::body::discard(&headers, body).await;
    let path = uri.path();
    let mut detail = format!("no route {method} `{}`; /openapi.json lists all", shown(path));
    if let Some((prefix, _)) = path.split_once("/api/v1/").filter(|(prefix, _)| !prefix.is_empty())
    {
        detail = format!(
            "{detail}. This server has no prefix `{}`: remove it from the URL, or have the proxy remove it",
            shown(prefix)
        );
    }
    Refusal::missing(Missing::Route, detail).into_response()
}

pub(super) async fn no_such_method(
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    super::body::discard(&headers, body).await;
    let detail = format!("`{}` does not accept {method}", shown(uri.path()));
    Refusal::new(Code::REQUEST_INVALID, detail).response_with(StatusCode::METHOD_NOT_ALLOWED)
}

/// Returns at most the first characters of a caller's text, for a message.
fn shown(text: &str) -> &str {
    text.char_indices().nth(200).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// Returns the response for a handler that panicked. A change may already have been committed.
#[expect(clippy::needless_pass_by_value, reason = "the signature is the layer's")]
pub(super) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    Refusal::internal(format!("panic: {}", text.unwrap_or_default())).into_response()
}
