//! The addresses on which the server may listen, and how they are bound.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context as Task, Poll};

use anyhow::{Context, Result, bail, ensure};
use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};

use super::unix::UnixSocket;
use crate::endpoint::{Endpoint, ListenAddress, UNIX_SCHEME};

/// Connections that wait to be accepted: as `TcpListener::bind` has it.
const BACKLOG: u32 = 1024;

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

/// Resolves where a server listens.
///
/// # Errors
///
/// A name that has no address.
pub async fn resolve(endpoints: &[Endpoint]) -> Result<Vec<Vec<ListenAddress>>> {
    let mut resolved = Vec::new();
    for endpoint in endpoints {
        let addresses = endpoint.resolve().await;
        resolved.push(addresses.with_context(|| format!("cannot listen on `{endpoint}`"))?);
    }
    Ok(resolved)
}

/// Binds the addresses of one endpoint. Of a name's addresses, those that this machine does not have
/// are left out: many name `::1` although they have no IPv6.
///
/// # Errors
///
/// 1. as [`Exposure::allows`] 2. an address that is in use 3. no address of this machine
pub async fn bind_all(addresses: &[ListenAddress], exposure: Exposure) -> Result<Vec<Listener>> {
    addresses.iter().try_for_each(|address| exposure.allows(address))?;
    let (mut bound, mut absent) = (Vec::new(), None);
    for address in addresses {
        match bind(address, exposure).await {
            Ok(listener) => bound.push(listener),
            Err(e) if addresses.len() > 1 && is_absent(&e) => absent = Some(e),
            Err(e) => return Err(e),
        }
    }
    match absent {
        Some(e) if bound.is_empty() => Err(e),
        None if bound.is_empty() => bail!("no address to listen on"),
        _ => Ok(bound),
    }
}

/// Binds one address.
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
        ListenAddress::Every { port } => {
            let bound = match bind_every(*port) {
                Err(e) if is_unsupported(&e) => {
                    TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).await
                }
                bound => bound,
            };
            bound.map(Listener::Tcp).with_context(|| format!("cannot listen on `{address}`"))
        }
        ListenAddress::Unix(path) => Ok(Listener::Unix(UnixSocket::bind(path)?)),
    }
}

/// Binds a port of every address, IPv4 and IPv6, whatever the machine's default for the latter is.
fn bind_every(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v6()?;
    set_ipv6_v6only(&socket, false)?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))?;
    socket.listen(BACKLOG)
}

/// Returns whether this machine has no IPv6.
fn is_unsupported(e: &io::Error) -> bool {
    let unsupported = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    e.raw_os_error() == Some(unsupported) || e.kind() == io::ErrorKind::AddrNotAvailable
}

fn is_absent(e: &anyhow::Error) -> bool {
    e.downcast_ref::<io::Error>().is_some_and(is_unsupported)
}

#[cfg(test)]
mod tests {
    use super::{Exposure, Listener, bind, bind_all};

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
            for address in
                ["0.0.0.0:0", "[::]:0", "[::ffff:127.0.0.1]:0", "[::ffff:0.0.0.0]:0", ":0"]
            {
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

    /// A name counts as loopback only if all its addresses do, and nothing is bound before all were
    /// checked.
    #[tokio::test]
    async fn every_address_of_a_name_must_be_allowed() {
        let of =
            |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        let plain = Exposure::default();
        assert!(bind_all(&of(&["127.0.0.1:0", "127.0.0.2:0"]), plain).await.is_ok());
        let why = bind_all(&of(&["127.0.0.1:0", "192.0.2.1:0"]), plain).await.unwrap_err();
        assert!(format!("{why:#}").contains("refusing to listen on `192.0.2.1:0`"), "{why:#}");
    }

    #[tokio::test]
    async fn addresses_of_a_name_that_this_machine_lacks_are_left_out() {
        let of =
            |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        let open =
            Exposure { tokens: true, tls: true, behind_proxy: false, unauthenticated: false };
        // Addresses for documentation, which no machine has.
        let bound = bind_all(&of(&["203.0.113.77:0", "127.0.0.1:0"]), open).await.unwrap();
        assert_eq!(bound.len(), 1);
        for addresses in [&["203.0.113.77:0"][..], &["203.0.113.77:0", "198.51.100.77:0"]] {
            let why = bind_all(&of(addresses), open).await.unwrap_err();
            assert!(format!("{why:#}").contains("cannot listen on `"), "{why:#}");
        }
        // One in use is no reason to leave it out.
        let [Listener::Tcp(bound)] = bound.as_slice() else { panic!("{bound:?}") };
        let taken = bound.local_addr().unwrap().to_string();
        assert!(bind_all(&of(&[&taken, "127.0.0.2:0"]), open).await.is_err());
    }

    #[tokio::test]
    async fn a_port_of_every_address_takes_ipv4() {
        let open =
            Exposure { tokens: true, tls: true, behind_proxy: false, unauthenticated: false };
        let Listener::Tcp(bound) = bind(&":0".parse().unwrap(), open).await.unwrap() else {
            panic!("not TCP")
        };
        let port = bound.local_addr().unwrap().port();
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    }
}
