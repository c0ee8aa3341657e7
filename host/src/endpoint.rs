//! Addresses to listen on: as an operator writes them, and as they are bound.

use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use tokio::net::lookup_host;

/// Before the path of a Unix socket.
pub const UNIX_SCHEME: &str = "unix:";
/// Longest host name, RFC 1035.
const HOST_BYTES_MAX: usize = 253;

/// Where a server listens, as an operator writes it: an address, or a name that is resolved at the
/// start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `127.0.0.1:8787`, `[::1]:8787`, `:8443`, `unix:PATH`.
    Address(ListenAddress),
    /// `localhost:8787`.
    Name {
        /// The name.
        host: String,
        /// The port.
        port: u16,
    },
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// One address.
    Tcp(SocketAddr),
    /// Every address of this machine, IPv4 and IPv6.
    Every {
        /// The port.
        port: u16,
    },
    /// A Unix socket, for this user only.
    Unix(PathBuf),
}

/// Why a text is not an address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is none of the forms.
    #[error(
        "expected `127.0.0.1:8787`, `localhost:8787`, `:8443` for every address of this machine, or `unix:PATH`"
    )]
    Form,
    /// It has a scheme.
    #[error("it is a URL: leave out the scheme, as in `127.0.0.1:8787`")]
    Url,
    /// It is a number.
    #[error(
        "it is a port without an address: `127.0.0.1:{0}` is for this machine only, `:{0}` for every address"
    )]
    PortAlone(u16),
    /// It has no port.
    #[error("it has no port, as in `{0}:8787`")]
    WithoutPort(String),
    /// Its port is not a number from 0 to 65535.
    #[error("`{0}` is not a port from 0 to 65535")]
    Port(String),
    /// An IPv6 address without brackets.
    #[error("an IPv6 address is written in brackets, as in `[::1]:8787`")]
    Brackets,
    /// `unix:` alone.
    #[error("expected a path after `unix:`")]
    Path,
}

impl Endpoint {
    /// Returns the addresses to bind; a name may have several.
    ///
    /// # Errors
    ///
    /// A name that cannot be resolved, or that has no address.
    pub async fn resolve(&self) -> io::Result<Vec<ListenAddress>> {
        let (host, port) = match self {
            Self::Address(address) => return Ok(vec![address.clone()]),
            Self::Name { host, port } => (host, *port),
        };
        let mut found = Vec::new();
        for address in lookup_host((host.as_str(), port)).await? {
            let address = ListenAddress::Tcp(address);
            if !found.contains(&address) {
                found.push(address);
            }
        }
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(found)
    }
}

impl ListenAddress {
    /// Returns whether only this machine reaches it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Every { .. } => false,
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        match text.parse() {
            Ok(address) => return Ok(Self::Address(address)),
            Err(EndpointError::Form) => {}
            Err(other) => return Err(other),
        }
        if text.contains("://") {
            return Err(EndpointError::Url);
        }
        if let Ok(port) = text.parse() {
            return Err(EndpointError::PortAlone(port));
        }
        if text.parse::<Ipv6Addr>().is_ok() || text.matches(':').count() > 1 {
            return Err(match text.starts_with('[') {
                true => EndpointError::Form,
                false => EndpointError::Brackets,
            });
        }
        let Some((host, port)) = text.split_once(':') else {
            return Err(match is_host(text) {
                true => EndpointError::WithoutPort(text.to_owned()),
                false => EndpointError::Form,
            });
        };
        if !is_host(host) {
            return Err(EndpointError::Form);
        }
        let port = port_of(port)?;
        Ok(Self::Name { host: host.to_owned(), port })
    }
}

impl FromStr for ListenAddress {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        match text.strip_prefix(UNIX_SCHEME) {
            Some("") => return Err(EndpointError::Path),
            Some(path) => return Ok(Self::Unix(path.into())),
            None => {}
        }
        if let Some(port) = text.strip_prefix(':').filter(|port| !port.contains(':')) {
            return Ok(Self::Every { port: port_of(port)? });
        }
        text.parse().map(Self::Tcp).map_err(|_| EndpointError::Form)
    }
}

fn port_of(text: &str) -> Result<u16, EndpointError> {
    // Not `parse` alone, which takes a sign.
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|_| is_number);
    port.ok_or_else(|| EndpointError::Port(text.to_owned()))
}

fn is_host(text: &str) -> bool {
    (1..=HOST_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Every { port } => write!(f, ":{port}"),
            Self::Unix(path) => write!(f, "{UNIX_SCHEME}{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read() {
        for text in ["127.0.0.1:8787", "[::1]:0", ":8443", "unix:a/b,c", "0.0.0.0:65535"] {
            let read: Endpoint = text.parse().unwrap();
            assert!(matches!(read, Endpoint::Address(_)), "{text}");
            assert_eq!(read.to_string(), text);
        }
        for text in ["localhost:8787", "signoff_1.example-2.com:0"] {
            let read: Endpoint = text.parse().unwrap();
            assert!(matches!(read, Endpoint::Name { .. }), "{text}");
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_an_example() {
        for (text, says) in [
            ("", "expected `127.0.0.1:8787`"),
            ("8443", "`127.0.0.1:8443` is for this machine only"),
            ("http://127.0.0.1:80", "leave out the scheme"),
            ("localhost", "as in `localhost:8787`"),
            ("127.0.0.1", "as in `127.0.0.1:8787`"),
            ("::1", "in brackets"),
            ("::1:8787", "in brackets"),
            ("[::1]", "expected `127"),
            ("localhost:", "`` is not a port"),
            ("localhost:+80", "`+80` is not a port"),
            (":", "`` is not a port"),
            (":65536", "`65536` is not a port"),
            ("localhost:http", "`http` is not a port"),
            ("*:80", "`:8443` for every address"),
            ("a b:80", "expected `127"),
            ("lo\u{e7}al:80", "expected `127"),
            ("unix:", "a path after `unix:`"),
        ] {
            let refused = text.parse::<Endpoint>().expect_err(text).to_string();
            assert!(refused.contains(says), "{text}: {refused}");
        }
    }

    #[tokio::test]
    async fn a_name_has_its_addresses_and_an_address_itself() {
        let localhost: Endpoint = "localhost:1".parse().unwrap();
        let found = localhost.resolve().await.unwrap();
        assert!(!found.is_empty() && found.iter().all(ListenAddress::is_local), "{found:?}");
        let every: Endpoint = ":1".parse().unwrap();
        assert_eq!(every.resolve().await.unwrap(), [ListenAddress::Every { port: 1 }]);
        assert!(!ListenAddress::Every { port: 1 }.is_local());
        let missing: Endpoint = "name.invalid:1".parse().unwrap();
        assert!(missing.resolve().await.is_err());
    }
}
