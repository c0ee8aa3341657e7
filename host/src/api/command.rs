//! The extractor for requests that change something: caller, idempotency key and body.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};

use super::App;
use super::body::{Json, LargeJson, discard};
use super::params::NoQuery;
use crate::caller::Caller;
use crate::code::Code;
use crate::ledger::Idempotency;
use crate::refusal::Refusal;

/// Maximum length of `Idempotency-Key`.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// The arguments of every handler of a change. `B` is the extractor of the body.
///
/// Rejections: 1. `unauthenticated` 2. `request-invalid` for a query 3. those of the body:
/// `unsupported-media-type`, `limit-exceeded`, `request-invalid` 4. `request-invalid`,
/// `limit-exceeded` for the idempotency key.
pub(super) struct Command<B = Json> {
    pub(super) caller: Caller,
    pub(super) idempotency: Option<Idempotency>,
    pub(super) body: B,
}

impl<B> FromRequest<App> for Command<B>
where
    B: FromRequest<App, Rejection = Response> + AsRef<Json> + Send,
{
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, app).await;
        let caller = caller.map_err(IntoResponse::into_response)?;
        if let Err(refusal) = NoQuery::check(&parts.uri) {
            // Otherwise the connection may close before the client has read the answer.
            discard(&parts.headers, body).await;
            return Err(refusal.into_response());
        }
        let (uri, headers) = (parts.uri.clone(), parts.headers.clone());
        let body = B::from_request(Request::from_parts(parts, body), app).await?;
        let idempotency = idempotency(&caller, &uri, &headers, body.as_ref());
        Ok(Self { caller, idempotency: idempotency.map_err(IntoResponse::into_response)?, body })
    }
}

impl AsRef<Self> for Json {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl AsRef<Json> for LargeJson {
    fn as_ref(&self) -> &Json {
        self.json()
    }
}

fn idempotency(
    caller: &Caller,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Json,
) -> Result<Option<Idempotency>, Refusal> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else {
        return Ok(None);
    };
    if keys.next().is_some() {
        return Err(Refusal::new(Code::REQUEST_INVALID, "`Idempotency-Key` is given twice"));
    }
    if key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        return Err(Refusal::new(
            Code::LIMIT_EXCEEDED,
            format!(
                "`Idempotency-Key` is {} bytes, the limit is {IDEMPOTENCY_KEY_BYTES_MAX}",
                key.len()
            ),
        ));
    }
    let is_visible = |key: &&str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_graphic());
    let key = key.to_str().ok().filter(is_visible).ok_or_else(|| {
        Refusal::new(Code::REQUEST_INVALID, "`Idempotency-Key` must be visible ASCII")
    })?;
    // The scope of stored answers has the path without this prefix.
    let path = uri.path();
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    Ok(Some(Idempotency::new(caller, path, key, body.bytes())))
}
