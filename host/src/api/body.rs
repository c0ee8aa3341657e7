//! Request bodies: read within limits of size and time, then parsed strictly.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::value::RawValue;
use signoff_core::object::objects;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::{App, BODY_BYTES_MAX};
use crate::code::Code;
use crate::policy::Decision;
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

/// A JSON text inside a body, passed to the verifier verbatim.
pub(super) type Raw<'a> = &'a RawValue;

/// `POST /approvals`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateBody<'a> {
    /// The agent: `[!-~]{1,128}`.
    pub(super) agent: String,
    /// The action: `[!-~]{1,128}`.
    pub(super) action: String,
    /// The context: any JSON object of at most 1 MiB and depth 64.
    #[serde(borrow)]
    #[schema(value_type = Object)]
    pub(super) context: Raw<'a>,
    /// The plan, which will be executed exactly: any JSON object, with the limits of `context`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Object>)]
    pub(super) plan: Option<Raw<'a>>,
    /// The reason, for approvers; at most 4 KiB.
    #[serde(default)]
    pub(super) reason: Option<String>,
    /// 1 to 604800; default 3600.
    #[serde(default)]
    pub(super) expires_in_seconds: Option<i64>,
    /// The requirement: `{"threshold": 1 to 16, "groups": {name: 1 to 16}}`; default one approver.
    /// The deployment's settings are its minimum.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Object>)]
    pub(super) requirement: Option<Raw<'a>>,
}

/// `POST /approvals/{id}/approve`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApproveBody {
    /// `approved` or `rejected`.
    pub(super) decision: String,
    /// The approver: `[!-~]{1,128}`, under `v1` without `:`. With a token it is optional and must
    /// be the token's subject.
    #[serde(default)]
    pub(super) approver: Option<String>,
    /// The approver's comment; at most 4 KiB.
    #[serde(default)]
    pub(super) comment: Option<String>,
    /// The signature over the message of `GET …/payload`.
    pub(super) signature: String,
}

/// `POST /approvals/{id}/reject`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RejectBody {
    /// `rejected`; optional.
    #[serde(default)]
    pub(super) decision: Option<String>,
    /// The approver: `[!-~]{1,128}`, under `v1` without `:`. With a token it is optional and must
    /// be the token's subject.
    #[serde(default)]
    pub(super) approver: Option<String>,
    /// The approver's comment; at most 4 KiB.
    #[serde(default)]
    pub(super) comment: Option<String>,
    /// The signature over the message of `GET …/payload`.
    pub(super) signature: String,
}

/// `POST /approvals/{id}/verify`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyBody<'a> {
    /// The signature of a stored ballot.
    pub(super) signature: String,
    /// Compared if set.
    #[serde(default)]
    pub(super) agent: Option<String>,
    /// Compared if set.
    #[serde(default)]
    pub(super) action: Option<String>,
    /// Compared if set.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Object>)]
    pub(super) context: Option<Raw<'a>>,
    /// Compared if set.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Object>)]
    pub(super) plan: Option<Raw<'a>>,
}

/// `POST /approvals/{id}/execute`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExecuteBody<'a> {
    /// The approved agent.
    pub(super) agent: String,
    /// The approved action.
    pub(super) action: String,
    /// The context; must have the approved digest.
    #[serde(borrow)]
    #[schema(value_type = Object)]
    pub(super) context: Raw<'a>,
    /// The plan; must have the approved digest. Required if the approval has a plan.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Object>)]
    pub(super) plan: Option<Raw<'a>>,
    /// 1 to 86400; default 300.
    #[serde(default)]
    pub(super) lease_seconds: Option<i64>,
}

/// `POST /guardrails/evaluate`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EvaluateBody<'a> {
    /// The agent.
    pub(super) agent: String,
    /// The action.
    pub(super) action: String,
    /// The context, a JSON object.
    #[serde(borrow)]
    #[schema(value_type = Object)]
    pub(super) context: Raw<'a>,
    /// The plan, a JSON object.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Object>)]
    pub(super) plan: Option<Raw<'a>>,
}

/// `POST /guardrails/decisions`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DecisionsBody {
    /// The decisions, 1 to 256.
    #[serde(deserialize_with = "objects")]
    pub(super) decisions: Vec<ReportedDecision>,
}

/// A decision that an executor made in its own process, with a copy of the active policy.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportedDecision {
    /// The executor's own id of it: `[a-z0-9_-]{1,64}`.
    pub(super) id: String,
    /// The agent.
    pub(super) agent: String,
    /// The action.
    pub(super) action: String,
    /// SHA-256 of the canonical context.
    pub(super) context_hash: String,
    /// SHA-256 of the canonical plan.
    #[serde(default)]
    pub(super) plan_hash: Option<String>,
    /// The decision.
    pub(super) decision: Decision,
    /// The rule that decided.
    #[serde(default)]
    pub(super) rule: Option<String>,
    /// Digest of the policy.
    pub(super) policy: String,
    /// When it was made: RFC 3339, UTC, at most 300 s ahead.
    pub(super) decided_at: String,
}

/// `POST /approvals/{id}/outcome`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OutcomeBody {
    /// The id of the execution in the answer of the claim.
    pub(super) execution_id: String,
    /// `succeeded` or `failed`.
    pub(super) outcome: String,
    /// A free-text detail; at most 4 KiB.
    #[serde(default)]
    pub(super) detail: Option<String>,
}

/// `POST /approvals/{id}/withdraw`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WithdrawBody {}

/// `POST /approvals/{id}/extend`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExtendBody {
    /// The new lifetime, counted from now: 1 to 604800.
    pub(super) expires_in_seconds: i64,
}

impl Json {
    /// Returns the bytes, for an idempotency digest.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
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
                "." => invalid(format!("body: {}", e.inner())),
                _ => invalid(format!("body: {path}: {}", e.inner())),
            }
        })?;
        parser.end().map_err(|e| invalid(format!("body: {e}")))?;
        Ok(value)
    }
}

impl<S: Send + Sync> FromRequest<S> for Json {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        if !is_json(request.headers()) {
            let (parts, body) = request.into_parts();
            discard(&parts.headers, body).await;
            return Err(Refusal::new(
                Code::UNSUPPORTED_MEDIA_TYPE,
                "expected one `Content-Type: application/json`, in UTF-8 and without a `Content-Encoding`",
            )
            .into_response());
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
