//! Audit entries as a list and as a stream of server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::App;
use super::held::{Address, HeldFor, HeldRequest};
use super::params::Params;
use super::shown::AuditPage;
use crate::caller::Caller;
use crate::code::Code;
use crate::refusal::Refusal;
use crate::store::Entry;

/// Interval of heartbeats, so that clients can detect a lost connection.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Entries per read.
const BATCH: usize = 256;
const AUDIT_MAX: u64 = 1_000;
const AUDIT_DEFAULT: u64 = 200;
/// Entries of a page have at most this size together, or one of them is larger.
const AUDIT_BYTES_MAX: usize = 8 << 20;

/// Stream new audit entries, or those after `Last-Event-ID`.
#[utoipa::path(get, path = "/api/v1/events", tag = "audit", operation_id = "stream_events",
    params(("Last-Event-ID" = Option<u64>, Header, description = "Resume after the entry with this number; 0 starts at the first entry.")),
    responses((status = 200, content_type = "text/event-stream", body = String, description = "Server-sent events: `id` is the number of the entry, `event` its kind, `data` the entry (`AuditEntry`). `event: reset` comes first if `Last-Event-ID` is past the end. A comment is sent every 15 s.")))]
pub(super) async fn stream(
    State(app): State<App>,
    caller: Caller,
    address: Address,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let held = app.held.begin(&caller, &address, HeldFor::Stream)?;
    let newest = app.service.ledger.head().await?.entries;
    let after = match headers.get("last-event-id") {
        None => newest,
        Some(id) => id.to_str().ok().and_then(|id| id.trim().parse().ok()).ok_or_else(|| {
            Refusal::new(Code::REQUEST_INVALID, "`Last-Event-ID` must be an audit number")
        })?,
    };
    // The client saw another log, such as one that was restored from a backup since.
    let reset = (after > newest).then(|| {
        Event::default()
            .event("reset")
            .id(newest.to_string())
            .data(json!({ "entries": newest }).to_string())
    });
    let first = stream::iter(reset.map(Ok));
    Ok(Sse::new(first.chain(events(app, caller, held, after.min(newest))))
        .keep_alive(KeepAlive::new().interval(HEARTBEAT).text("heartbeat"))
        .into_response())
}

/// List audit entries in order.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", operation_id = "list_audit_entries",
    params(
        ("after" = Option<u64>, Query, description = "Only entries with a higher number."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1_000, description = "Entries per page; default 200. A page has fewer if they are large.")),
    responses((status = 200, description = "A page of entries.", body = AuditPage)))]
pub(super) async fn audit(State(app): State<App>, params: Params) -> Result<Response, Refusal> {
    params.known(&["after", "limit"])?;
    let limit = params.number("limit", AUDIT_MAX)?.unwrap_or(AUDIT_DEFAULT);
    if limit == 0 {
        return Err(Refusal::new(Code::REQUEST_INVALID, "`limit` must be 1 to 1000"));
    }
    let after = params.number("after", u64::MAX)?.unwrap_or(0);
    let limit = usize::try_from(limit).unwrap_or(BATCH);
    let mut entries = app.service.audit.entries(after, limit).await?;
    let is_full = entries.len() == limit;
    let fitting = fitting(&entries);
    let next = (is_full || fitting < entries.len()).then(|| {
        entries.truncate(fitting);
        entries.last().map(|entry| entry.number)
    });
    let next = next.flatten();
    let items: Vec<String> = entries
        .iter()
        .map(|entry| format!("{{\"number\":{},\"entry\":{}}}", entry.number, entry.text))
        .collect();
    let body = format!("{{\"items\":[{}],\"next_after\":{}}}\n", items.join(","), json!(next));
    let mut response = body.into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Returns how many of the entries are in a page: all that fit, and at least one.
fn fitting(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    let fits = entries.iter().take_while(|entry| {
        bytes += entry.text.len();
        bytes <= AUDIT_BYTES_MAX
    });
    fits.count().max(1)
}

/// Streams entries after a number. Ends when the server stops, or once the caller's token is revoked
/// or has expired.
fn events(
    app: App,
    caller: Caller,
    held: HeldRequest,
    after: u64,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let newest = app.service.ledger.watchers().of_entries();
    let revocations = app.service.tokens.revocations();
    let ready: Vec<Entry> = Vec::new();
    let start = (app, caller, held, newest, revocations, after, ready);
    stream::unfold(start, async |state| {
        let (app, caller, held, mut newest, mut revocations, mut after, mut ready) = state;
        let mut stopping = app.stopping.clone();
        while ready.is_empty() {
            if *stopping.borrow_and_update() {
                return None;
            }
            newest.borrow_and_update();
            ready = app.service.audit.entries(after, BATCH).await.ok()?;
            ready.reverse();
            if ready.is_empty() {
                tokio::select! {
                    changed = newest.changed() => changed.ok()?,
                    _ = stopping.changed() => {}
                    _ = revocations.changed() => app.admits_still(&caller).await.ok()?,
                    // A token expires without an entry.
                    () = tokio::time::sleep(HEARTBEAT) => app.admits_still(&caller).await.ok()?,
                }
            }
        }
        app.admits_still(&caller).await.ok()?;
        let entry = ready.pop()?;
        after = entry.number;
        let event =
            Event::default().id(entry.number.to_string()).event(kind(&entry.text)).data(entry.text);
        Some((Ok(event), (app, caller, held, newest, revocations, after, ready)))
    })
}

fn kind(entry: &str) -> String {
    #[derive(Deserialize)]
    struct Entry<'a> {
        #[serde(borrow)]
        event: Kind<'a>,
    }
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow)]
        event: &'a RawValue,
    }
    let kind = serde_json::from_str::<Entry<'_>>(entry).map(|entry| entry.event.event.get());
    kind.unwrap_or("entry").trim_matches('"').to_owned()
}
