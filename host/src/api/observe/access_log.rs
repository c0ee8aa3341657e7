//! The line of a request in the log.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use signoff_core::deceptive::in_one_line;
use tracing::Level;

use super::RequestNotes;
use super::forwarded::Forwarded;
use crate::api::metrics::{NO_ROUTE, method_of, route_of};
use crate::api::{Connection, RequestId};
use crate::identity::token;
use crate::logging::Limited;

/// Routes that probes and scrapers call every few seconds. Their lines have the level `debug`.
const PROBED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
/// Characters of the path of no route, and of an id, that are logged.
const PATH_CHARS_MAX: usize = 128;

/// The log of requests. Callers who are not authenticated get only so many lines: one of them sends
/// thousands of requests a second.
#[derive(Debug, Default)]
pub(in crate::api) struct AccessLog {
    of_nobody: Limited,
}

/// What a line says. It has nothing of a query, a body or a header, except for the request id and the
/// address that a proxy adds, which are validated.
pub(super) struct Line {
    pub(super) method: &'static str,
    pub(super) route: &'static str,
    /// `None` until it is answered.
    pub(super) status: Option<u16>,
    /// The code of a refusal.
    pub(super) code: Option<&'static str>,
    /// Bytes of the answer's body.
    pub(super) bytes: u64,
    /// The variable part of the path.
    id: Option<String>,
    /// The path, if no route has it.
    path: Option<String>,
    request_id: Option<RequestId>,
    connection: Option<Arc<Connection>>,
    forwarded: Option<Forwarded>,
}

impl Line {
    pub(super) fn of(request: &Request, behind_proxy: bool) -> Self {
        let (route, path) = (route_of(request), request.uri().path());
        let is_logged = tracing::enabled!(Level::INFO);
        Self {
            method: method_of(request),
            status: None,
            code: None,
            bytes: 0,
            id: Some(route).filter(|_| is_logged).and_then(|route| id_in(route, path)),
            path: (is_logged && route == NO_ROUTE).then(|| cut(path)),
            request_id: request.extensions().get::<RequestId>().cloned(),
            connection: request.extensions().get::<Arc<Connection>>().cloned(),
            forwarded: behind_proxy.then(|| Forwarded::read(request.headers())).flatten(),
            route,
        }
    }
}

impl AccessLog {
    pub(super) fn write(&self, line: &Line, notes: &RequestNotes, duration: Duration) {
        let is_probe = PROBED.contains(&line.route);
        let level = if is_probe { Level::DEBUG } else { Level::INFO };
        if level > tracing::level_filters::LevelFilter::current() {
            return;
        }
        let token_id = notes.token_id.get();
        let unlogged = match token_id {
            Some(_) => 0,
            None => match self.of_nobody.take() {
                Some(unlogged) => unlogged,
                None => return,
            },
        };
        // One macro for both levels: a level is part of the program.
        macro_rules! emit {
            ($level:ident) => {
                tracing::$level!(
                    request_id = line.request_id.as_ref().map(RequestId::as_str),
                    method = line.method,
                    route = line.route,
                    id = line.id.as_deref(),
                    path = line.path.as_deref(),
                    status = line.status,
                    code = line.code,
                    duration_ms = millis(duration),
                    bytes = line.bytes,
                    token_id = token_id.and_then(|id| id.as_deref()),
                    peer = line.connection.as_ref().map(|connection| connection.peer()),
                    forwarded_for = line.forwarded.map(forwarded_for),
                    held = notes.is_held().then_some(true),
                    aborted = line.status.is_none().then_some(true),
                    unlogged = (unlogged > 0).then_some(unlogged),
                    "request"
                )
            };
        }
        if is_probe {
            emit!(debug);
        } else {
            emit!(info);
        }
    }
}

fn forwarded_for(forwarded: Forwarded) -> String {
    match forwarded {
        Forwarded::Address(address) => address.to_string(),
        Forwarded::Malformed => "malformed".to_owned(),
    }
}

/// Returns milliseconds, to the microsecond.
fn millis(duration: Duration) -> f64 {
    // Far below 2^53.
    duration.as_micros() as f64 / 1_000.0
}

/// Returns what a path has in place of the variable part of its route, if it looks like an id.
fn id_in(route: &str, path: &str) -> Option<String> {
    let mut parts = route.split('/').zip(path.split('/'));
    let (_, id) = parts.find(|(part, _)| part.starts_with('{'))?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let fits = (1..=PATH_CHARS_MAX).contains(&id.len()) && id.bytes().all(fits);
    (fits && !holds_token(id)).then(|| id.to_owned())
}

/// Returns the start of a path, escaped; only what comes before a token.
fn cut(path: &str) -> String {
    let start: String = path.chars().take(PATH_CHARS_MAX).collect();
    let start = match start.to_ascii_lowercase().find(token::PREFIX) {
        Some(at) => format!("{}{}…", start.get(..at).unwrap_or_default(), token::PREFIX),
        None => start,
    };
    in_one_line(&start)
}

/// Returns whether a caller put a token where an id belongs.
fn holds_token(id: &str) -> bool {
    id.to_ascii_lowercase().contains(token::PREFIX)
}

#[cfg(test)]
mod tests {
    use super::{PATH_CHARS_MAX, cut, id_in};

    #[test]
    fn only_what_looks_like_an_id_is_logged() {
        let route = "/api/v1/approvals/{id}/approve";
        let id = |path: &str| id_in(route, path);
        assert_eq!(id("/api/v1/approvals/appr_01k/approve").as_deref(), Some("appr_01k"));
        assert_eq!(id("/api/v1/approvals/a%0ab/approve"), None);
        assert_eq!(id("/api/v1/approvals//approve"), None);
        assert_eq!(id("/api/v1/approvals/sgnt_7b29/approve"), None);
        assert_eq!(id("/api/v1/approvals/x-SGNT_7b29/approve"), None);
        assert_eq!(cut("/tokens/sgnt_7b29/x"), "/tokens/sgnt_…");
        assert_eq!(id(&format!("/api/v1/approvals/{}/approve", "a".repeat(129))), None);
        assert_eq!(id_in("/api/v1/approvals", "/api/v1/approvals"), None);
        assert_eq!(cut("/a\u{1b}[31m\u{202e}"), "/a\\u{1b}[31m\\u{202e}");
        assert_eq!(cut(&"/x".repeat(1_000)).len(), PATH_CHARS_MAX);
    }
}
