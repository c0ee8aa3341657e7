//! A connection, and the subject of the first authenticated request over it.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

/// A connection. The server puts it into the extensions of each request.
#[derive(Default)]
pub struct Connection {
    /// Where it comes from; `None` over a Unix socket.
    address: Option<IpAddr>,
    /// Whether it is one of the last, which are for admins and health checks.
    is_reserved: bool,
    /// The subject of its first authenticated request.
    subject: OnceLock<String>,
    ended: Notify,
}

impl Connection {
    /// Returns a new connection.
    pub fn new(address: Option<IpAddr>, is_reserved: bool) -> Arc<Self> {
        Arc::new(Self { address, is_reserved, ..Self::default() })
    }

    /// Returns where it comes from; `None` over a Unix socket.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Returns where it comes from, for the log.
    pub(crate) fn peer(&self) -> String {
        peer_of(self.address)
    }

    /// Returns whether it is one of the last, which are for admins and health checks.
    pub fn is_reserved(&self) -> bool {
        self.is_reserved
    }

    /// Notes who calls over it. The first caller counts: a proxy's connection is of whoever came first.
    pub(crate) fn identify(&self, subject: &str) {
        let _ = self.subject.set(subject.to_owned());
    }

    /// Returns the subject that authenticated a request over it.
    pub fn subject(&self) -> Option<&str> {
        self.subject.get().map(String::as_str)
    }

    /// Ends it, to make room for another.
    pub fn end(&self) {
        self.ended.notify_one();
    }

    /// Resolves when it must end.
    pub async fn ended(&self) {
        self.ended.notified().await;
    }
}

/// Returns where a connection comes from, for the log: an address, or `unix`.
pub(crate) fn peer_of(address: Option<IpAddr>) -> String {
    address.map_or_else(|| "unix".to_owned(), |address| address.to_string())
}
