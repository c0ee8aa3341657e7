//! The metrics of `/metrics`: what the server counts itself. `scrape` reads the rest from the service
//! when a client asks.

mod exposition;
mod labels;
mod process;
mod scrape;

use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::App;
use crate::refusal::Refusal;
use crate::store::Witness;
use labels::{Answer, AnswerClass, Build, ByCertificate, ByCode, ByReason, Route, StatusClass};

pub(super) use exposition::{Exposition, Range};
pub(super) use labels::{NO_ROUTE, method_of, route_of};

/// Bounds of the time to answer a request, in seconds: a read takes less than a millisecond, a commit
/// as long as the disk, an activation compiles.
const ANSWER_SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

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

/// Why a connection ended without an answer of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionFailure {
    /// There was no place for it.
    Full,
    /// It made room for another one.
    Replaced,
    /// The TLS handshake failed.
    Tls,
    /// The request's head is malformed or too large.
    Malformed,
    /// There was no complete head in time; also between requests.
    TimedOut,
    /// The client is gone, or took nothing of its answer.
    Broken,
}

impl ConnectionFailure {
    /// Returns its name, in the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Replaced => "replaced",
            Self::Tls => "tls",
            Self::Malformed => "malformed",
            Self::TimedOut => "timeout",
            Self::Broken => "broken",
        }
    }
}

/// Counters, gauges and histograms of one server.
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<Answer, Counter>,
    aborted: Family<Route, Counter>,
    refusals: Family<ByCode, Counter>,
    seconds: Family<AnswerClass, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    connections: Gauge,
    connections_max: Gauge,
    connection_failures: Family<ByReason, Counter>,
    /// The size of the last checkpoint that the witness has, if there is one.
    witnessed: Arc<Mutex<Option<u64>>>,
    witness_failures: Counter,
    tls_not_before: Family<ByCertificate, Gauge>,
    tls_not_after: Family<ByCertificate, Gauge>,
    tls_names: Family<ByCertificate, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Mutex::default(),
            requests: Family::default(),
            aborted: Family::default(),
            refusals: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(ANSWER_SECONDS)),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            connections_max: Gauge::default(),
            connection_failures: Family::default(),
            witnessed: Arc::default(),
            witness_failures: Counter::default(),
            tls_not_before: Family::default(),
            tls_not_after: Family::default(),
            tls_names: Family::default(),
        };
        let mut registry = Registry::default();
        registry.sub_registry_with_prefix("process").register_collector(Box::new(process::Process));
        metrics.register(registry.sub_registry_with_prefix("signoff"));
        *metrics.registry.lock().unwrap_or_else(PoisonError::into_inner) = registry;
        metrics
    }
}

impl Metrics {
    fn register(&self, registry: &mut Registry) {
        let build = Build { version: env!("CARGO_PKG_VERSION") };
        registry.register("build", "The version of this program", Info::new(build));
        let help = "Answered requests by method, route and status";
        registry.register("http_requests", help, self.requests.clone());
        let help = "Time to answer a request, without waits and streams";
        registry.register("http_request_seconds", help, self.seconds.clone());
        let help = "Requests whose client was gone before the answer";
        registry.register("http_requests_aborted", help, self.aborted.clone());
        let help = "Requests that are not answered yet, waits and open streams included";
        registry.register("http_requests_in_flight", help, self.in_flight.clone());
        registry.register("refusals", "Refusals by code", self.refusals.clone());
        registry.register("connections", "Open connections", self.connections.clone());
        let help = "Connections beyond which others make room";
        registry.register("connections_max", help, self.connections_max.clone());
        let help = "Connections that ended without an answer of the API, by reason";
        registry.register("connection_failures", help, self.connection_failures.clone());
        let help = "Checkpoints that could not be written to the witness";
        registry.register("witness_failures", help, self.witness_failures.clone());
        let help = "First second in which a TLS certificate is valid, by its place in the file";
        registry.register("tls_not_before_seconds", help, self.tls_not_before.clone());
        let help = "Last second in which a TLS certificate is valid, by its place in the file";
        registry.register("tls_not_after_seconds", help, self.tls_not_after.clone());
        let help = "DNS names and IP addresses of the server's own TLS certificate";
        registry.register("tls_names", help, self.tls_names.clone());
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
            let labels = ByCertificate { certificate: *place };
            self.tls_not_before.get_or_create(&labels).set(gauge(*not_before));
            self.tls_not_after.get_or_create(&labels).set(gauge(*not_after));
        }
        if let Some(names) = names {
            self.tls_names
                .get_or_create(&ByCertificate { certificate: 1 })
                .set(gauge(names as u64));
        }
    }

    /// Counts what a witness sees: it has the log of `entries` now.
    pub fn watching(&self, entries: u64, mut witness: Witness) -> Witness {
        let (witnessed, failures) = (Arc::clone(&self.witnessed), self.witness_failures.clone());
        let set = move |entries| {
            *witnessed.lock().unwrap_or_else(PoisonError::into_inner) = Some(entries);
        };
        set(entries);
        Box::new(move |note| {
            let seen = witness(note);
            match &seen {
                // The second line of a checkpoint is the size of the log.
                Ok(()) => {
                    if let Some(size) = note.lines().nth(1).and_then(|size| size.parse().ok()) {
                        set(size);
                    }
                }
                Err(_) => drop(failures.inc()),
            }
            seen
        })
    }

    /// Returns the size of the last checkpoint that the witness has, if there is one.
    fn witnessed(&self) -> Option<u64> {
        *self.witnessed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of requests that are not answered yet.
    pub fn in_flight(&self) -> i64 {
        self.in_flight.get()
    }

    /// Returns the number of open connections.
    pub fn connections(&self) -> i64 {
        self.connections.get()
    }

    /// Sets the number of connections beyond which others make room.
    pub(crate) fn set_connections_max(&self, most: usize) {
        self.connections_max.set(gauge(most as u64));
    }

    /// Counts an open connection, until it is dropped.
    pub(crate) fn connection(&self) -> Held {
        Held::begin(&self.connections)
    }

    /// Counts a connection that ended without an answer of the API.
    pub(crate) fn connection_failed(&self, failure: ConnectionFailure) {
        self.connection_failures.get_or_create(&ByReason { reason: failure.as_str() }).inc();
    }

    /// Counts a request that is not answered yet, until it is dropped.
    pub(super) fn request(&self) -> Held {
        Held::begin(&self.in_flight)
    }

    /// Counts an answered request; its time too, unless the handler waited.
    pub(super) fn answered(
        &self,
        method: &'static str,
        route: &'static str,
        status: u16,
        seconds: Option<f64>,
    ) {
        self.requests.get_or_create(&Answer { method, route, status }).inc();
        if let Some(seconds) = seconds {
            let class = AnswerClass { method, route, status: StatusClass(status / 100) };
            self.seconds.get_or_create(&class).observe(seconds);
        }
    }

    /// Counts a request whose client was gone before the answer.
    pub(super) fn aborted(&self, route: &'static str) {
        self.aborted.get_or_create(&Route { route }).inc();
    }

    /// Counts a refusal.
    pub(super) fn refused(&self, code: &'static str) {
        self.refusals.get_or_create(&ByCode { code }).inc();
    }

    /// Returns the text of `/metrics`.
    pub(super) async fn render(&self, app: &App, format: Exposition) -> Result<String, Refusal> {
        let now = scrape::registry(app).await?;
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        encode_registry(&mut text, &registry)
            .and_then(|()| encode_registry(&mut text, &now))
            .and_then(|()| encode_eof(&mut text))
            .map_err(|_| Refusal::internal("the registry cannot be written"))?;
        Ok(match format {
            Exposition::OpenMetrics => text,
            Exposition::Text => exposition::to_text_format(&text),
        })
    }
}

/// One of what a gauge counts; dropping it counts it no more.
pub(crate) struct Held(Gauge<i64, AtomicI64>);

impl Held {
    fn begin(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A gauge of values that are never negative.
type Amount = Gauge<u64, AtomicU64>;

fn gauge(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
