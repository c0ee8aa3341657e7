//! The address that a reverse proxy says its client has.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client's address as the proxy in front gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forwarded {
    Address(IpAddr),
    /// There is something else.
    Malformed,
}

impl Forwarded {
    /// Returns the last address of `X-Forwarded-For`: the one that the proxy in front added. Those
    /// before it come from the client. `None` without the header.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get_all(X_FORWARDED_FOR).iter().next_back()?;
        let last = value.to_str().ok().and_then(|value| value.rsplit(',').next());
        Some(last.and_then(|last| address(last.trim())).map_or(Self::Malformed, Self::Address))
    }
}

/// Reads an address, with or without a port and brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_last_address_counts_and_must_be_one() {
        let cases: [(&[&[u8]], Option<&str>); 14] = [
            (&[], None),
            (&[b"203.0.113.7"], Some("203.0.113.7")),
            (&[b"10.0.0.1, 203.0.113.7"], Some("203.0.113.7")),
            (&[b"10.0.0.1", b" 203.0.113.7 "], Some("203.0.113.7")),
            (&[b"203.0.113.7:4711"], Some("203.0.113.7")),
            (&[b"2001:db8::1"], Some("2001:db8::1")),
            (&[b"[2001:db8::1]"], Some("2001:db8::1")),
            (&[b"[2001:db8::1]:443"], Some("2001:db8::1")),
            (&[b"203.0.113.7,"], Some("malformed")),
            (&[b""], Some("malformed")),
            (&[b"unknown"], Some("malformed")),
            (&[b"203.0.113.7\tx"], Some("malformed")),
            (&[b"\xff"], Some("malformed")),
            (&[b"203.0.113.7", b"evil"], Some("malformed")),
        ];
        for (values, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(value).unwrap());
            }
            let read = Forwarded::read(&headers).map(|read| match read {
                Forwarded::Address(address) => address.to_string(),
                Forwarded::Malformed => "malformed".to_owned(),
            });
            assert_eq!(read.as_deref(), expected, "{values:?}");
        }
    }
}
