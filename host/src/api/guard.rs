//! The outer middleware: checks the `Host` header, and sets headers of the response.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{App, Origin};
use crate::code::Code;
use crate::refusal::Refusal;

/// Time limit of a request: a wait of 60 s, plus headroom. Streams start their response
/// immediately.
pub(super) const REQUEST_TIME_MAX: Duration = Duration::from_secs(75);
/// Time limit of a change of modules: they are compiled one after the other.
pub(super) const MODULE_TIME_MAX: Duration = Duration::from_secs(420);

pub(super) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_network = app.origin == Origin::Network;
    let head = if is_network { check_head(&request) } else { Ok(()) };
    // It may have had a `Content-Length` too, which the parser dropped: then a proxy in front may take
    // the rest of the body for another request.
    let is_chunked = is_network && request.headers().contains_key(header::TRANSFER_ENCODING);
    let expects = request.headers().contains_key(header::EXPECT);
    let host_allowed = !is_network || host_is_loopback(&request);
    let has_two_readings = is_chunked || head.is_err();
    let mut response = match head {
        Err(why) => Refusal::new(Code::REQUEST_INVALID, why).response_with(StatusCode::BAD_REQUEST),
        Ok(()) if host_allowed || app.service.tokens.required().await.unwrap_or(false) => {
            next.run(request).await
        }
        Ok(()) => {
            let why = "without tokens only loopback names are accepted as `Host`";
            Refusal::new(Code::FORBIDDEN, why).into_response()
        }
    };
    // After `Expect`, a client that is refused may or may not send the body.
    let closes = has_two_readings || (expects && !response.status().is_success());
    let headers = response.headers_mut();
    if closes {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Refuses a head that a proxy in front may read differently: then one of the two would answer a
/// request that the other never saw (RFC 9112, sections 3.2 and 6.1).
fn check_head(request: &Request) -> Result<(), &'static str> {
    let headers = request.headers();
    let hosts = headers.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return Err("expected exactly one `Host`");
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err("the only `Transfer-Encoding` is `chunked`"),
    }
}

/// Returns whether the request has a server name, in `Host` or in its target, and every one is a
/// loopback name.
fn host_is_loopback(request: &Request) -> bool {
    let headers = request.headers().get_all(header::HOST).iter().map(|host| host.to_str().ok());
    let mut named = headers.chain(request.uri().host().map(Some)).peekable();
    named.peek().is_some() && named.all(|host| host.is_some_and(is_loopback_name))
}

/// Returns whether a host is `localhost`, an address of 127.0.0.0/8 or `[::1]`, with or without a
/// port.
pub(crate) fn is_loopback_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost")
        || name == "[::1]"
        || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback_name;

    #[test]
    fn only_loopback_names_pass() {
        for host in ["localhost", "LocalHost:8787", "127.0.0.1:1", "127.9.9.9", "[::1]", "[::1]:80"]
        {
            assert!(is_loopback_name(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "10.0.0.1",
            "[::2]:80",
            "0.0.0.0",
        ] {
            assert!(!is_loopback_name(host), "{host}");
        }
    }
}
