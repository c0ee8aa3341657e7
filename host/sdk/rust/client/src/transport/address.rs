//! The address of a server.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use hyper::Uri;

use crate::error::Error;

/// The parsed address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(super) place: Place,
    /// The value of `Host`.
    pub(super) authority: String,
    /// What comes before every path, without a slash at its end.
    pub(super) prefix: String,
    pub(super) is_tls: bool,
    /// Whether the name is one of this machine.
    pub(crate) is_loopback: bool,
}

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl Address {
    /// Parses `http://…`, `https://…` or `unix:PATH`.
    ///
    /// # Errors
    ///
    /// `request-invalid`. The text is not quoted where it may hold a password.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                return Err(Error::invalid("expected a path after `unix:`"));
            }
            return Ok(Self {
                place: Place::Unix(path.into()),
                authority: "localhost".to_owned(),
                prefix: String::new(),
                is_tls: false,
                is_loopback: true,
            });
        }
        if text.contains('@') {
            return Err(Error::invalid(
                "the server's URL must not contain `@`: give the token on its own",
            ));
        }
        let wrong = || {
            Error::invalid(format!(
                "`{}` is not an http://, https:// or unix: URL",
                text.escape_debug()
            ))
        };
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        if uri.query().is_some() || text.contains('#') {
            return Err(wrong());
        }
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let authority = uri.authority().ok_or_else(wrong)?.as_str().to_owned();
        let is_loopback = is_loopback_name(host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { place: Place::Tcp { host, port }, authority, prefix, is_tls, is_loopback })
    }

    /// Returns whether a token would leave this machine in the clear.
    pub(crate) fn is_in_the_clear(&self) -> bool {
        !self.is_tls && !self.is_loopback
    }

    /// The address as messages name it.
    pub(crate) fn name(&self) -> String {
        match &self.place {
            Place::Tcp { .. } => self.authority.clone(),
            Place::Unix(path) => format!("unix:{}", path.display()),
        }
    }
}

fn is_loopback_name(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host == "[::1]"
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::{Address, Place};

    #[test]
    fn addresses_are_taken_apart() {
        let table = [
            ("http://127.0.0.1:8787/", "127.0.0.1", 8787, "", false, true),
            ("http://localhost", "localhost", 80, "", false, true),
            ("http://[::1]:1/below/", "::1", 1, "/below", false, true),
            ("https://signoff.example", "signoff.example", 443, "", true, false),
            ("http://localhost.evil.example", "localhost.evil.example", 80, "", false, false),
            ("http://127.0.0.1.evil.example", "127.0.0.1.evil.example", 80, "", false, false),
            ("http://10.0.0.1", "10.0.0.1", 80, "", false, false),
            ("http://LocalHost", "LocalHost", 80, "", false, true),
            // Resolvers may take these for this machine; they count as another one.
            ("http://2130706433", "2130706433", 80, "", false, false),
            ("http://0x7f000001", "0x7f000001", 80, "", false, false),
            ("http://127.1", "127.1", 80, "", false, false),
            ("http://[::ffff:127.0.0.1]", "::ffff:127.0.0.1", 80, "", false, false),
        ];
        for (text, host, port, prefix, is_tls, is_loopback) in table {
            let address = Address::parse(text).unwrap();
            let place = Place::Tcp { host: host.to_owned(), port };
            assert_eq!((&address.place, address.prefix.as_str()), (&place, prefix), "{text}");
            assert_eq!((address.is_tls, address.is_loopback), (is_tls, is_loopback), "{text}");
            assert_eq!(address.is_in_the_clear(), !is_tls && !is_loopback, "{text}");
        }
        let unix = Address::parse("unix:/run/signoff.sock").unwrap();
        assert_eq!(unix.place, Place::Unix("/run/signoff.sock".into()));
        assert!(!unix.is_in_the_clear());
    }

    #[test]
    fn other_addresses_are_refused() {
        for text in [
            "",
            "/",
            "localhost",
            "localhost:1",
            "ftp://a",
            "http://",
            "https://",
            "unix:",
            "http://a b",
            "http://a/?b=c",
            "http://a/#b",
            "http://a\n",
            "file:///etc/passwd",
        ] {
            assert_eq!(Address::parse(text).unwrap_err().code(), "request-invalid", "{text:?}");
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for text in ["https://user:hunter2@signoff.example", "http://hunter2@localhost"] {
            let refused = Address::parse(text).unwrap_err().to_string();
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }
}
