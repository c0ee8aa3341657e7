//! Request ids: each request has one, either a valid one from the client or a generated one, and
//! the response contains it.

use std::fmt;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use crate::id::fresh_ulid;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Maximum length of an id from a client.
const ID_BYTES_MAX: usize = 64;
/// Maximum length of a text that is returned to a client of the AuthZEN interface.
const ECHOED_BYTES_MAX: usize = 256;

/// A request id: `req_` and 26 lower-case characters of a ULID, or the client's id:
/// `[A-Za-z0-9._-]{1,64}`. It is in the extensions of every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the client's id, if it sent exactly one and it is valid.
    fn sent(headers: &HeaderMap) -> Option<Self> {
        let mut sent = headers.get_all(X_REQUEST_ID).iter();
        let (Some(id), None) = (sent.next(), sent.next()) else { return None };
        let id = id.to_str().ok()?;
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        ((1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(fits))
            .then(|| Self(id.to_owned()))
    }

    fn fresh() -> Self {
        Self(format!("req_{}", fresh_ulid().to_string().to_ascii_lowercase()))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Assigns a request its id. The outermost layer, so that every response has one.
pub(super) async fn identify(mut request: Request, next: Next) -> Response {
    let id = RequestId::sent(request.headers()).unwrap_or_else(RequestId::fresh);
    let shown = match echoed(&request) {
        Some(sent) => Ok(sent),
        None => HeaderValue::try_from(id.as_str()),
    };
    request.extensions_mut().insert(id);
    let mut response = next.run(request).await;
    if let Ok(shown) = shown {
        response.headers_mut().insert(X_REQUEST_ID, shown);
    }
    response
}

/// Returns the id that a client of the AuthZEN interface sent: any text, which is returned to it as it
/// is. The log has it only if it is a valid id.
fn echoed(request: &Request) -> Option<HeaderValue> {
    let path = request.uri().path();
    if !path.starts_with("/access/v1/") && path != "/.well-known/authzen-configuration" {
        return None;
    }
    let mut sent = request.headers().get_all(X_REQUEST_ID).iter();
    let (Some(id), None) = (sent.next(), sent.next()) else { return None };
    let is_text = id.to_str().is_ok_and(|id| (1..=ECHOED_BYTES_MAX).contains(&id.len()));
    is_text.then(|| id.clone())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use axum::body::Body;
    use axum::http::HeaderValue;
    use axum::routing::get;
    use axum::{Extension, Router, middleware};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::{Request, RequestId, X_REQUEST_ID, identify};

    /// Returns the id that a handler sees, and the id in the response.
    async fn answered(sent: &[&[u8]]) -> (String, String) {
        let seen = |Extension(id): Extension<RequestId>| async move { id.to_string() };
        let router = Router::new().route("/", get(seen)).layer(middleware::from_fn(identify));
        let mut request = Request::new(Body::empty());
        for id in sent {
            request.headers_mut().append(X_REQUEST_ID, HeaderValue::from_bytes(id).unwrap());
        }
        let answer = router.oneshot(request).await.unwrap();
        let named: Vec<_> = answer.headers().get_all(X_REQUEST_ID).iter().cloned().collect();
        let [named] = named.as_slice() else { panic!("{named:?}") };
        let named = named.to_str().unwrap().to_owned();
        let seen = answer.into_body().collect().await.unwrap().to_bytes();
        (String::from_utf8(seen.to_vec()).unwrap(), named)
    }

    #[tokio::test]
    async fn a_valid_id_of_a_client_is_used() {
        let longest = "x".repeat(64);
        for id in ["a", "req_01k7s2e3m8", "2f1c.A-Z_9", longest.as_str()] {
            assert_eq!(answered(&[id.as_bytes()]).await, (id.to_owned(), id.to_owned()));
        }
    }

    #[tokio::test]
    async fn an_invalid_or_missing_id_is_replaced() {
        let too_long = "x".repeat(65);
        let tables: [&[&[u8]]; 11] = [
            &[],
            &[b""],
            &[too_long.as_bytes()],
            &[b"a b"],
            &[b"a/b"],
            &[b"a\tb"],
            &[b"\xff"],
            &["\u{e9}".as_bytes()],
            &[b"a,b"],
            &[b"one", b"two"],
            &[b"same", b"same"],
        ];
        let mut made = HashSet::new();
        for sent in tables {
            let (seen, named) = answered(sent).await;
            assert_eq!(seen, named);
            let ulid = seen.strip_prefix("req_").expect("the prefix");
            assert_eq!(ulid.len(), 26, "{seen}");
            assert!(ulid.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()), "{seen}");
            assert!(made.insert(seen), "duplicate id");
        }
    }
}
