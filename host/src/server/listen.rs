//! The addresses on which the server may listen.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::task::{Context as Task, Poll};

use anyhow::{Context, Result, ensure};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::unix::UnixSocket;

/// Before the path of a Unix socket.
pub const UNIX_SCHEME: &str = "unix:";

/// An address to listen on: `127.0.0.1:8787`, or `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket, for this user only.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Returns whether only this machine reaches it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix(UNIX_SCHEME) {
            Some("") => Err("expected a path after `unix:`".to_owned()),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text
                .parse()
                .map(Self::Tcp)
                .map_err(|_| "expected `ADDRESS:PORT` or `unix:PATH`".to_owned()),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX_SCHEME}{}", path.display()),
        }
    }
}

/// A bound address.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixSocket),
}

/// An accepted connection.
pub(super) enum Accepted {
    Tcp(TcpStream, IpAddr),
    Unix(UnixStream),
}

impl Listener {
    /// Returns where clients reach it.
    ///
    /// # Errors
    ///
    /// A system error.
    pub fn url(&self, tls: bool) -> io::Result<String> {
        Ok(match self {
            Self::Tcp(listener) if tls => format!("https://{}", listener.local_addr()?),
            Self::Tcp(listener) => format!("http://{}", listener.local_addr()?),
            Self::Unix(socket) => format!("{UNIX_SCHEME}{}", socket.path().display()),
        })
    }

    pub(super) fn poll_accept(&self, cx: &mut Task<'_>) -> Poll<io::Result<Accepted>> {
        match self {
            Self::Tcp(listener) => {
                let accepted = listener.poll_accept(cx);
                accepted.map_ok(|(stream, address)| Accepted::Tcp(stream, address.ip()))
            }
            Self::Unix(socket) => socket.poll_accept(cx).map_ok(Accepted::Unix),
        }
    }
}

/// The protections of a server. Without all of them it listens on loopback only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exposure {
    /// Every caller must show a token.
    pub tokens: bool,
    /// The server terminates TLS.
    pub tls: bool,
    /// A reverse proxy in front of the server terminates TLS and reaches it over a private network
    /// or loopback. A connection from loopback can then come from any client.
    pub behind_proxy: bool,
    /// No log key authenticates the rows of the store.
    pub unauthenticated: bool,
}

impl Exposure {
    /// Returns which protection is missing for connections from other machines, as a clause.
    fn missing(self) -> Option<&'static str> {
        const TOKENS: &str = "without tokens every caller is admin";
        const TLS: &str = "without TLS tokens and contexts travel in the clear: give --tls-cert and \
            --tls-key, or --behind-proxy if a reverse proxy terminates TLS in front";
        const BOTH: &str = "without tokens every caller is admin, and without \
            TLS tokens and contexts travel in the clear: give --tls-cert and --tls-key, or \
            --behind-proxy if a reverse proxy terminates TLS in front";
        const UNAUTHENTICATED: &str = "without a log key rows of the store are not authenticated: \
            create one with `signoff key generate --use log`";
        match (self.tokens, self.tls || self.behind_proxy) {
            (true, true) => self.unauthenticated.then_some(UNAUTHENTICATED),
            (false, true) => Some(TOKENS),
            (true, false) => Some(TLS),
            (false, false) => Some(BOTH),
        }
    }
}

impl Exposure {
    /// Checks whether a server may listen on an address.
    ///
    /// # Errors
    ///
    /// An address that is not loopback, or a proxy in front, unless callers need tokens,
    /// connections to the server are encrypted, and a log key authenticates the store.
    pub fn allows(self, address: &ListenAddress) -> Result<()> {
        let reached_by_others = !address.is_local() || self.behind_proxy;
        let missing = self.missing().filter(|_| reached_by_others);
        let why_others = match address.is_local() {
            true => "which a proxy opens to others",
            false => "which is not loopback",
        };
        ensure!(
            missing.is_none(),
            "refusing to listen on `{address}`, {why_others}: {}",
            missing.unwrap_or_default()
        );
        Ok(())
    }
}

/// Binds the server's address.
///
/// # Errors
///
/// 1. as [`Exposure::allows`] 2. an address that is in use or not local
pub async fn bind(address: &ListenAddress, exposure: Exposure) -> Result<Listener> {
    exposure.allows(address)?;
    match address {
        ListenAddress::Tcp(tcp) => {
            let bound = TcpListener::bind(tcp).await;
            bound.map(Listener::Tcp).with_context(|| format!("cannot listen on `{address}`"))
        }
        ListenAddress::Unix(path) => Ok(Listener::Unix(UnixSocket::bind(path)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Exposure, bind};

    /// Every combination: tokens, TLS, a proxy, and the parts of the refusal.
    const TABLE: [(bool, bool, bool, &[&str]); 8] = [
        (false, false, false, &["every caller is admin", "--tls-cert"]),
        (false, false, true, &["every caller is admin"]),
        (false, true, false, &["every caller is admin"]),
        (false, true, true, &["every caller is admin"]),
        (true, false, false, &["in the clear", "--tls-cert", "--behind-proxy"]),
        (true, false, true, &[]),
        (true, true, false, &[]),
        (true, true, true, &[]),
    ];

    #[tokio::test]
    async fn other_addresses_than_loopback_need_tokens_and_an_encrypted_way() {
        for (tokens, tls, behind_proxy, named) in TABLE {
            let exposure = Exposure { tokens, tls, behind_proxy, unauthenticated: false };
            for address in ["0.0.0.0:0", "[::]:0", "[::ffff:127.0.0.1]:0", "[::ffff:0.0.0.0]:0"] {
                let bound = bind(&address.parse().unwrap(), exposure).await;
                if named.is_empty() {
                    // A machine may have no IPv6; then the error says so.
                    let why = bound.map_err(|e| format!("{e:#}")).err().unwrap_or_default();
                    assert!(!why.contains("refusing"), "{exposure:?} {address}: {why}");
                    continue;
                }
                let why = format!("{:#}", bound.expect_err("it was let out"));
                assert!(why.contains(address), "{why}");
                assert!(named.iter().all(|part| why.contains(part)), "{exposure:?}: {why}");
                assert_eq!(why.contains("is admin"), !tokens, "{exposure:?}: {why}");
                assert_eq!(why.contains("in the clear"), !tls && !behind_proxy, "{why}");
            }
            for address in ["127.0.0.1:0", "127.9.9.9:0"] {
                let bound = bind(&address.parse().unwrap(), exposure).await;
                // A proxy on this machine connects from loopback for any client.
                assert_eq!(bound.is_ok(), tokens || !behind_proxy, "{exposure:?} {address}");
            }
        }
    }

    /// A server whose store is not authenticated listens on loopback only.
    #[tokio::test]
    async fn other_addresses_than_loopback_need_a_log_key() {
        let exposed =
            Exposure { tokens: true, tls: true, behind_proxy: false, unauthenticated: true };
        let proxied = Exposure { behind_proxy: true, ..exposed };
        for (address, exposure) in [("0.0.0.0:0", exposed), ("127.0.0.1:0", proxied)] {
            let bound = bind(&address.parse().unwrap(), exposure).await;
            let why = format!("{:#}", bound.expect_err("it was let out"));
            assert!(why.contains("without a log key") && why.contains(address), "{why}");
        }
        assert!(bind(&"127.0.0.1:0".parse().unwrap(), exposed).await.is_ok());
    }
}
