//! What operators see of requests: a line in the log for each, and the metrics. The line of a request
//! comes with the end of its answer: for a stream, when that ends.

mod access_log;
mod failures;
mod forwarded;
mod streamed;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::metrics::{Held, Metrics, method_of, route_of};
use super::{App, RequestId};
use crate::caller::Caller;
use crate::code::Code;

pub(super) use access_log::AccessLog;
use access_log::Line;
pub(super) use failures::{Failures, answered_in_time};

/// What the inner layers learn about a request. It is in the extensions of every request.
#[derive(Debug, Default)]
pub(super) struct RequestNotes {
    /// The id of the token, or `None` for a caller who needs none; unset for a caller who was not
    /// authenticated, and on routes for everyone.
    token_id: OnceLock<Option<String>>,
    is_held: AtomicBool,
}

impl RequestNotes {
    /// Notes who calls.
    pub(super) fn identify(&self, caller: &Caller) {
        let _ = self.token_id.set(caller.token_id().map(str::to_owned));
    }

    /// Notes that the request waits, or gets a stream.
    pub(super) fn hold(&self) {
        self.is_held.store(true, Ordering::Relaxed);
    }

    fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Relaxed)
    }
}

/// Logs and counts each request by its route, not by its path, so that ids do not become labels.
pub(super) async fn observe(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let notes = Arc::<RequestNotes>::default();
    request.extensions_mut().insert(Arc::clone(&notes));
    let mut observed = Observed {
        _in_flight: app.metrics.request(),
        metrics: Arc::clone(&app.metrics),
        log: Arc::clone(&app.access_log),
        start: Instant::now(),
        line: Line::of(&request, app.behind_proxy),
        notes,
    };
    let request_id = request.extensions().get::<RequestId>().cloned();
    let (method, route) = (method_of(&request), route_of(&request));
    let response = next.run(request).await;
    app.failures.log(&response, method, route, request_id.as_ref());
    observed.answered(&response);
    match response.body().size_hint().exact() {
        Some(bytes) => {
            observed.line.bytes = bytes;
            response
        }
        None => response.map(|body| streamed::observed(body, observed)),
    }
}

/// A request that is not finished. Dropping it logs its line: without a status, its client is gone.
struct Observed {
    metrics: Arc<Metrics>,
    log: Arc<AccessLog>,
    notes: Arc<RequestNotes>,
    start: Instant,
    line: Line,
    _in_flight: Held,
}

impl Observed {
    fn answered(&mut self, response: &Response) {
        let status = response.status().as_u16();
        let code = response.extensions().get::<Code>().map(|code| code.text);
        (self.line.status, self.line.code) = (Some(status), code);
        let seconds = self.start.elapsed().as_secs_f64();
        let seconds = (!self.notes.is_held()).then_some(seconds);
        self.metrics.answered(self.line.method, self.line.route, status, seconds);
        if let Some(code) = code {
            self.metrics.refused(code);
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        if self.line.status.is_none() {
            self.metrics.aborted(self.line.route);
        }
        self.log.write(&self.line, &self.notes, self.start.elapsed());
    }
}
