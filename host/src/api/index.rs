//! The handler of `/`: what this server is, for people who open it in a browser and for programs.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use serde_json::json;

use super::metrics::Range;
use super::reply::json_answer;
use super::shown::ServerIndex;

const NAME: &str = "signoff";
const VERSION: &str = env!("CARGO_PKG_VERSION");
const WHAT: &str = "human approval for high-risk agent actions";
const DOCS: &str =
    "docs/http-api.md in the source of signoff, and the descriptions in /openapi.json";

/// The page for browsers. It has no script, style or image.
const PAGE: &str = concat!(
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>signoff</title>\n",
    "<h1>signoff ",
    env!("CARGO_PKG_VERSION"),
    "</h1>\n",
    "<p>Human approval for high-risk agent actions. This is the HTTP API: approve with ",
    "<code>signoff approve --server URL</code>.</p>\n<ul>\n",
    "<li><a href=\"openapi.json\">openapi.json</a>: every route, for people and generators</li>\n",
    "<li><a href=\"readyz\">readyz</a>: whether a decision can be made now</li>\n",
    "<li><code>docs/http-api.md</code> in the source of signoff: the guide</li>\n</ul>\n</html>\n",
);

/// Get what this server is, as JSON, or as a page for browsers (`Accept: text/html`).
///
/// A later version may answer browsers with another page.
#[utoipa::path(get, path = "/", tag = "operation", operation_id = "get_index",
    responses((status = 200, description = "Name, version and where to go on.", content(
        (ServerIndex = "application/json"), (String = "text/html")))))]
pub(super) async fn index(headers: HeaderMap) -> Response {
    let mut response = if prefers_html(&headers) {
        let mut page = Response::new(Body::from(PAGE));
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
        page.headers_mut().insert(header::CONTENT_TYPE, html);
        page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, nothing);
        page
    } else {
        let index = json!({
            "name": NAME,
            "version": VERSION,
            "description": WHAT,
            "api": "/api/v1",
            "openapi": "/openapi.json",
            "ready": "/readyz",
            "docs": DOCS,
        });
        json_answer(200, index.to_string())
    };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

/// Returns whether a client names `text/html`, as browsers do; `*/*` gets JSON.
fn prefers_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<Range<'_>> =
        accepted.flat_map(|value| value.split(',')).filter_map(Range::read).collect();
    let quality = |kind: &str, subkind: &str| {
        let named = ranges.iter().filter(|range| range.names(kind, subkind));
        named.map(|range| range.quality).max().unwrap_or_default()
    };
    let html = quality("text", "html");
    html > 0 && html >= quality("application", "json")
}
