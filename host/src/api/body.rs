//! Request bodies: read within limits of size and time, then parsed strictly. `requests.rs` has their
//! types.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::Deserialize;
use signoff_core::object::refuse_duplicate_members;
use tokio::sync::OwnedSemaphorePermit;

use super::words::plain;
use super::{App, BODY_BYTES_MAX};
use crate::code::Code;
use crate::refusal::Refusal;

/// Time limit for a body to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(20);

/// Maximum size of a push: a module of 64 MiB in base64, its manifest, plus headroom.
pub(super) const LARGE_BODY_BYTES_MAX: usize = 90 << 20;

/// Time limit for such a body: 1.5 MiB per second.
const LARGE_BODY_TIME_MAX: Duration = Duration::from_secs(60);

/// Maximum bytes that are read and discarded of a body that is too large; see [`whole`].
const DISCARDED_BYTES_MAX: usize = 32 << 20;

/// A JSON body as text.
pub(super) struct Json(Bytes);

/// The JSON body of a push, as text. It is read only after memory for it is reserved.
pub(super) struct LargeJson {
    json: Json,
    place: OwnedSemaphorePermit,
}

impl Json {
    /// Returns the bytes, for an idempotency digest.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Parses the body of a protocol in which unknown members are ignored; refuses duplicate ones.
    ///
    /// Refusals: as [`Self::parse`].
    pub(super) fn parse_open<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Refusal> {
        let value = self.parse()?;
        // `parse` has found it to be UTF-8.
        let text = std::str::from_utf8(&self.0).unwrap_or_default();
        refuse_duplicate_members("body", text)?;
        Ok(value)
    }

    /// Parses the body; refuses unknown and duplicate fields.
    ///
    /// Refusals: `context-invalid` for malformed JSON inside `context` or `plan`, otherwise
    /// `request-invalid`.
    pub(super) fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Refusal> {
        let invalid = |detail: String| Refusal::new(Code::REQUEST_INVALID, detail);
        if self.0.iter().all(u8::is_ascii_whitespace) {
            return Err(invalid("the body is empty; expected a JSON object".to_owned()));
        }
        let text = std::str::from_utf8(&self.0)
            .map_err(|e| invalid(format!("the body is not UTF-8 at byte {}", e.valid_up_to())))?;
        // Serde would also accept an array with the fields in order.
        if !text.trim_start().starts_with('{') {
            return Err(invalid("the body is not a JSON object".to_owned()));
        }
        let mut parser = serde_json::Deserializer::from_str(text);
        let value: T = serde_path_to_error::deserialize(&mut parser).map_err(|e| {
            let path = e.path().to_string();
            let of_context = ["context", "plan"].contains(&path.as_str());
            if of_context && !e.inner().is_data() {
                let at = byte_offset(text, e.inner());
                return Refusal::new(
                    Code::CONTEXT_INVALID,
                    format!("{path}: not JSON at byte {at} of the body"),
                );
            }
            match path.as_str() {
                "." => invalid(format!("body: {}", plain(e.inner()))),
                _ => invalid(format!("body: {path}: {}", plain(e.inner()))),
            }
        })?;
        parser.end().map_err(|e| invalid(format!("body: {}", plain(&e))))?;
        Ok(value)
    }
}

impl<S: Send + Sync> FromRequest<S> for Json {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        if !is_json(request.headers()) {
            let (parts, body) = request.into_parts();
            discard(&parts.headers, body).await;
            let is_encoded = parts.headers.contains_key(header::CONTENT_ENCODING);
            let mut response = Refusal::new(
                Code::UNSUPPORTED_MEDIA_TYPE,
                "expected one `Content-Type: application/json`, in UTF-8 and without a `Content-Encoding`",
            )
            .into_response();
            if is_encoded {
                let identity = HeaderValue::from_static("identity");
                response.headers_mut().insert(header::ACCEPT_ENCODING, identity);
            }
            return Err(response);
        }
        read(request.into_body(), BODY_BYTES_MAX, BODY_TIME_MAX).await.map(Self)
    }
}

impl LargeJson {
    /// Returns the body.
    pub(super) fn json(&self) -> &Json {
        &self.json
    }

    /// Returns the reservation, to hold while the module is in memory.
    pub(super) fn into_place(self) -> OwnedSemaphorePermit {
        self.place
    }
}

impl FromRequest<App> for LargeJson {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        if !is_json(request.headers()) {
            return Err(Json::from_request(request, app).await.err().unwrap_or_default());
        }
        let place = match app.service.modules.upload_place() {
            Ok(place) => place,
            Err(refusal) => {
                let (parts, body) = request.into_parts();
                discard(&parts.headers, body).await;
                return Err(refusal.into_response());
            }
        };
        let json = read(request.into_body(), LARGE_BODY_BYTES_MAX, LARGE_BODY_TIME_MAX).await?;
        Ok(Self { json: Json(json), place })
    }
}

async fn read(body: Body, bytes_max: usize, time_max: Duration) -> Result<Bytes, Response> {
    match tokio::time::timeout(time_max, whole(body, bytes_max)).await {
        Ok(Ok(Some(body))) => Ok(body),
        Ok(Ok(None)) => Err(Refusal::new(
            Code::LIMIT_EXCEEDED,
            format!("the body is larger than {bytes_max} bytes"),
        )
        .response_with(StatusCode::PAYLOAD_TOO_LARGE)),
        Ok(Err(_)) => {
            Err(Refusal::new(Code::REQUEST_INVALID, "the body ended early").into_response())
        }
        Err(_) => Err(Refusal::new(
            Code::LIMIT_EXCEEDED,
            format!("the body did not arrive within {} s", time_max.as_secs()),
        )
        .into_response()),
    }
}

/// Reads and discards a body that is not needed, without keeping any of it. Many clients write the
/// whole request before they read the answer, and would find the connection closed. A client that
/// waits for `100 Continue` gets the answer instead.
pub(super) async fn discard(headers: &HeaderMap, body: Body) {
    if !headers.contains_key(header::EXPECT) {
        let _ = tokio::time::timeout(BODY_TIME_MAX, whole(body, 0)).await;
    }
}

/// Reads the whole body; returns `None` if it is too large. The excess is read and discarded: many
/// clients write the whole request before they read the answer, and would get a closed connection
/// instead of the answer.
async fn whole(mut body: Body, bytes_max: usize) -> Result<Option<Bytes>, axum::Error> {
    let discarded_max = DISCARDED_BYTES_MAX.max(bytes_max);
    if body.size_hint().lower() > discarded_max as u64 {
        return Ok(None);
    }
    let mut kept = BytesMut::new();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        bytes += data.len();
        if bytes > discarded_max {
            break;
        }
        if bytes <= bytes_max {
            kept.extend_from_slice(&data);
        } else {
            kept = BytesMut::new();
        }
    }
    Ok((bytes <= bytes_max).then(|| kept.freeze()))
}

/// Returns whether the body is JSON in UTF-8, not compressed, and says so once.
fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(one), None) = (types.next().and_then(|value| value.to_str().ok()), types.next())
    else {
        return false;
    };
    let mut parts = one.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|mime| mime.eq_ignore_ascii_case("application/json"));
    let is_utf8 = |part: &str| match part.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    let is_plain = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    is_json && is_plain && parts.all(is_utf8)
}

/// Converts the position of a serde_json error, line and column from 1, to a byte offset.
fn byte_offset(text: &str, error: &serde_json::Error) -> usize {
    let before: usize =
        text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    before + error.column().saturating_sub(1)
}
