//! Connections that end without an answer of the API: counted, and logged up to a rate, since anybody
//! can cause them.

use std::net::IpAddr;
use std::sync::Arc;

use signoff_core::deceptive::in_one_line;

use crate::api::{ConnectionFailure, Metrics, peer_of};
use crate::logging::Limited;

/// The failures of one server's connections. Each kind has a limit of its own, so that a flood of one
/// does not hide the others.
pub(super) struct Failures {
    metrics: Arc<Metrics>,
    full: Limited,
    replaced: Limited,
    tls: Limited,
    malformed: Limited,
    ended: Limited,
}

impl Failures {
    pub(super) fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            full: Limited::default(),
            replaced: Limited::default(),
            tls: Limited::default(),
            malformed: Limited::default(),
            ended: Limited::default(),
        })
    }

    /// Counts and logs a failure.
    pub(super) fn note(&self, failure: ConnectionFailure, address: Option<IpAddr>, cause: &str) {
        self.metrics.connection_failed(failure);
        let limit = match failure {
            ConnectionFailure::Full => &self.full,
            ConnectionFailure::Replaced => &self.replaced,
            ConnectionFailure::Tls => &self.tls,
            ConnectionFailure::Malformed => &self.malformed,
            ConnectionFailure::TimedOut | ConnectionFailure::Broken => &self.ended,
        };
        let Some(unlogged) = limit.take() else { return };
        let unlogged = (unlogged > 0).then_some(unlogged);
        let (peer, cause, reason) = (peer_of(address), in_one_line(cause), failure.as_str());
        match failure {
            ConnectionFailure::Full | ConnectionFailure::Replaced => {
                tracing::warn!(peer, reason, cause, unlogged, "connection failed");
            }
            ConnectionFailure::Tls | ConnectionFailure::Malformed => {
                tracing::info!(peer, reason, cause, unlogged, "connection failed");
            }
            ConnectionFailure::TimedOut | ConnectionFailure::Broken => {
                tracing::debug!(peer, reason, cause, unlogged, "connection failed");
            }
        }
    }

    /// Counts and logs why hyper ended a connection.
    pub(super) fn note_error(&self, error: &hyper::Error, address: Option<IpAddr>) {
        let failure = if error.is_parse() {
            ConnectionFailure::Malformed
        } else if error.is_timeout() {
            ConnectionFailure::TimedOut
        } else {
            ConnectionFailure::Broken
        };
        self.note(failure, address, &error.to_string());
    }
}
