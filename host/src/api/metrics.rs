//! The metrics of `/metrics`.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use signoff_core::deceptive::in_one_line;

use super::problem::FailureReason;
use super::{App, RequestId};
use crate::code::Code;
use crate::modules::Active;
use crate::refusal::Refusal;
use crate::service::Service;
use crate::store::Status;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    moment: &'static str,
    decision: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShadowLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CertificateLabels {
    certificate: u64,
}

/// The times of a TLS certificate.
#[derive(Clone, Copy, Debug)]
pub struct CertificateTimes {
    /// Its place in the file, from 1.
    pub place: u64,
    /// The first second in which it is valid, since 1970.
    pub not_before: u64,
    /// The last second in which it is valid, since 1970.
    pub not_after: u64,
}

/// Counters, gauges and histograms of one server.
pub struct Metrics {
    registry: Mutex<Registry>,
    /// The reason that `/readyz` gave last, if it was not ready.
    unready: Mutex<Option<String>>,
    requests: Family<RouteLabels, Counter>,
    refusals: Family<CodeLabels, Counter>,
    seconds: Histogram,
    approvals: Family<StatusLabels, Gauge>,
    audit_entries: Gauge,
    last_commit: Gauge,
    writable: Gauge,
    traps: Gauge<u64, AtomicU64>,
    verdicts: Family<VerdictLabels, Gauge>,
    policy_failures: Gauge,
    shadow: Family<ShadowLabels, Gauge>,
    watched: Gauge,
    tls_not_before: Family<CertificateLabels, Gauge>,
    tls_not_after: Family<CertificateLabels, Gauge>,
    tls_names: Family<CertificateLabels, Gauge>,
    /// Open connections.
    pub connections: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        // 100 µs to about 13 s.
        let metrics = Self {
            registry: Mutex::default(),
            unready: Mutex::default(),
            requests: Family::default(),
            refusals: Family::default(),
            seconds: Histogram::new(exponential_buckets(1e-4, 2.0, 18)),
            approvals: Family::default(),
            audit_entries: Gauge::default(),
            last_commit: Gauge::default(),
            writable: Gauge::default(),
            traps: Gauge::default(),
            verdicts: Family::default(),
            policy_failures: Gauge::default(),
            shadow: Family::default(),
            watched: Gauge::default(),
            tls_not_before: Family::default(),
            tls_not_after: Family::default(),
            tls_names: Family::default(),
            connections: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&self) {
        let mut registry = Registry::with_prefix("signoff");
        registry.register("http_requests", "Requests by route and status", self.requests.clone());
        registry.register("refusals", "Refusals by code", self.refusals.clone());
        registry.register("http_request_seconds", "Time to answer a request", self.seconds.clone());
        registry.register("approvals", "Approvals by stored status", self.approvals.clone());
        registry.register(
            "audit_entries",
            "Audit entries in the store",
            self.audit_entries.clone(),
        );
        registry.register(
            "last_commit_timestamp_seconds",
            "Time of the latest change",
            self.last_commit.clone(),
        );
        registry.register(
            "store_writable",
            "1 while the store accepts writes",
            self.writable.clone(),
        );
        registry.register(
            "verifier_traps_total_now",
            "Verifier calls without a result since the start",
            self.traps.clone(),
        );
        registry.register(
            "policy_verdicts_total_now",
            "Verdicts since the start, by the moment of the evaluation",
            self.verdicts.clone(),
        );
        registry.register(
            "policy_failures_total_now",
            "Evaluations of the active policy without a verdict",
            self.policy_failures.clone(),
        );
        registry.register(
            "shadow_total_now",
            "Evaluations by the shadow since it became one, or since the start: compared, of these flips and failures; dropped because the queue was full",
            self.shadow.clone(),
        );
        registry.register(
            "approvals_watched",
            "Approvals that calls wait for",
            self.watched.clone(),
        );
        registry.register("connections", "Open connections", self.connections.clone());
        self.register_certificates(&mut registry);
        if let Ok(mut held) = self.registry.lock() {
            *held = registry;
        }
    }

    fn register_certificates(&self, registry: &mut Registry) {
        registry.register(
            "tls_not_before_seconds",
            "First second in which a TLS certificate is valid, by its place in the file",
            self.tls_not_before.clone(),
        );
        registry.register(
            "tls_not_after_seconds",
            "Last second in which a TLS certificate is valid, by its place in the file",
            self.tls_not_after.clone(),
        );
        registry.register(
            "tls_names",
            "DNS names and IP addresses of the server's own TLS certificate",
            self.tls_names.clone(),
        );
    }

    /// Replaces the times of the TLS certificates, and the number of names of the server's own.
    /// What could not be read has no series.
    pub fn set_certificates(&self, times: &[CertificateTimes], names: Option<usize>) {
        // No scrape between the old and the new ones.
        let _registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        self.tls_not_before.clear();
        self.tls_not_after.clear();
        self.tls_names.clear();
        for CertificateTimes { place, not_before, not_after } in times {
            let labels = CertificateLabels { certificate: *place };
            self.tls_not_before.get_or_create(&labels).set(gauge(*not_before));
            self.tls_not_after.get_or_create(&labels).set(gauge(*not_after));
        }
        if let Some(names) = names {
            self.tls_names
                .get_or_create(&CertificateLabels { certificate: 1 })
                .set(gauge(names as u64));
        }
    }

    /// Returns the text of `/metrics`.
    pub(super) async fn render(&self, service: &Service) -> Result<String, Refusal> {
        let head = service.ledger.head().await?;
        for (status, count) in Status::ALL.into_iter().zip(head.counts) {
            let labels = StatusLabels { status: status.as_str() };
            self.approvals.get_or_create(&labels).set(gauge(count));
        }
        self.audit_entries.set(gauge(head.entries));
        self.last_commit.set(gauge(head.last_commit_at));
        self.writable.set(i64::from(head.writable));
        self.traps.set(service.verifier.current().traps());
        self.watched.set(gauge(service.ledger.watchers().approvals_watched() as u64));
        for (moment, decision, n) in service.guardrails.verdicts() {
            let labels = VerdictLabels { moment, decision: decision.as_str() };
            self.verdicts.get_or_create(&labels).set(gauge(n));
        }
        if let Active::Policy(policy) = service.modules.policy_slot().await?.active {
            self.policy_failures.set(gauge(policy.failures()));
        }
        let shadow = service.modules.policy_now().shadow_counts();
        for (result, n) in [
            ("compared", shadow.compared),
            ("flips", shadow.flips),
            ("failures", shadow.failures),
            ("dropped", shadow.dropped),
        ] {
            self.shadow.get_or_create(&ShadowLabels { result }).set(gauge(n));
        }
        let mut text = String::new();
        let failed = |what: &str| Refusal::internal(what);
        let registry = self.registry.lock().map_err(|_| failed("the registry is poisoned"))?;
        encode(&mut text, &registry).map_err(|_| failed("the registry cannot be written"))?;
        Ok(text)
    }
}

fn gauge(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Counts and times each request by its route, not by its path, so that ids do not become labels.
pub(super) async fn measure(State(app): State<App>, request: Request, next: Next) -> Response {
    let method = request.method().to_string();
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or("none", MatchedPath::as_str).to_owned();
    let request_id = request.extensions().get::<RequestId>().cloned();
    let start = Instant::now();
    let response = answered_in_time(next.run(request).await);
    app.metrics.seconds.observe(start.elapsed().as_secs_f64());
    if app.metrics.is_to_log(&route, &response) {
        log_failure(&response, &method, &route, request_id.as_ref());
    }
    let labels = RouteLabels { method, route, status: response.status().as_u16() };
    app.metrics.requests.get_or_create(&labels).inc();
    if let Some(code) = response.extensions().get::<Code>() {
        app.metrics.refusals.get_or_create(&CodeLabels { code: code.text }).inc();
    }
    response
}

/// Replaces the response of a time limit, a 503 without a code, with a refusal.
fn answered_in_time(response: Response) -> Response {
    let timed_out = response.status() == StatusCode::SERVICE_UNAVAILABLE
        && response.extensions().get::<Code>().is_none();
    match timed_out {
        true => Refusal::new(Code::STORE_UNAVAILABLE, "no answer in time").into_response(),
        false => response,
    }
}

impl Metrics {
    /// Returns whether to log a response as a failure. `/readyz` needs no token and is called every
    /// few seconds, so its failures are logged once for each cause.
    fn is_to_log(&self, route: &str, response: &Response) -> bool {
        let reason = reason(response).map(str::to_owned);
        if route != "/readyz" {
            return response.status().is_server_error();
        }
        let mut unready = self.unready.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = *unready != reason;
        *unready = reason;
        changed && unready.is_some()
    }
}

/// Returns the whole reason of a failure.
fn reason(response: &Response) -> Option<&str> {
    response.extensions().get::<FailureReason>().map(|FailureReason(reason)| reason.as_str())
}

/// Logs one line with the cause, which the caller does not see.
fn log_failure(response: &Response, method: &str, route: &str, request_id: Option<&RequestId>) {
    let code = response.extensions().get::<Code>().map_or("none", |code| code.text);
    let cause = in_one_line(reason(response).unwrap_or_default());
    tracing::error!(
        request_id = request_id.map(RequestId::as_str).unwrap_or_default(),
        method,
        route,
        status = response.status().as_u16(),
        code,
        cause,
        "request failed"
    );
}
