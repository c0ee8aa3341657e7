//! A server over HTTP or HTTPS: which addresses are called, whom their certificates are believed of,
//! and what is never sent in the clear.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use axum::http::{HeaderValue, Method, Request, Uri, header};
use rustls::CertificateError as Bad;
use rustls::RootCertStore;
use rustls::crypto::ring;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::exit::Failure;
use crate::api::is_loopback_name;
use crate::server::read_chain;

/// Longest that an answer may take: a wait of 60 s and some air.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(90);
/// Longest for an answer about modules, which are compiled first.
const MODULE_TIME_MAX: Duration = Duration::from_secs(450);
const MODULES: &str = "/api/v1/modules";
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// A list of 200 approvals with large ballots stays far below.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// What a caller believes of a server.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust {
    /// Authorities besides those of this machine.
    pub(super) ca: Option<PathBuf>,
    /// Something else encrypts the way, as a VPN does.
    pub(super) insecure_http: bool,
}

/// A server and a way to call it.
pub(super) struct Remote {
    url: String,
    token: Option<HeaderValue>,
    agent: ureq::Agent,
    /// For what takes long.
    patient: ureq::Agent,
}

impl Remote {
    /// A server by its address. Errors, in this order: no address of a server, a token that would go
    /// in the clear, a token that is none, authorities that cannot be read.
    pub(super) fn new(url: &str, token: Option<&str>, trust: &Trust) -> Result<Self, Failure> {
        let address = Address::parse(url)?;
        if token.is_some() && !address.tls && !address.loopback && !trust.insecure_http {
            return Err(Failure::usage(format!(
                "refusing to send a token to `{}` in the clear: use https://, or --insecure-http if something else encrypts the way, as a VPN does",
                address.url
            )));
        }
        let token = token.map(bearer).transpose()?;
        let roots = if address.tls { roots(trust.ca.as_deref())? } else { Vec::new() };
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .build();
        let agent = |time| {
            let mut config = ureq::Agent::config_builder()
                .http_status_as_error(false)
                .timeout_connect(Some(CONNECT_TIME_MAX))
                .timeout_global(Some(time))
                .max_redirects(0)
                .tls_config(tls.clone());
            if address.loopback {
                // A proxy of the environment has another loopback, and would see the token.
                config = config.proxy(None);
            }
            config.build().into()
        };
        let (agent, patient) = (agent(ANSWER_TIME_MAX), agent(MODULE_TIME_MAX));
        Ok(Self { url: address.url, token, agent, patient })
    }

    /// Calls the server: status and body.
    pub(super) fn call(
        &self,
        method: &Method,
        path: &str,
        body: Option<String>,
    ) -> Result<(u16, Vec<u8>)> {
        let uri = format!("{}{path}", self.url);
        let mut request = Request::builder().method(method.clone()).uri(&uri);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        let agent = if path.starts_with(MODULES) { &self.patient } else { &self.agent };
        let answer = match body {
            Some(body) => {
                let request =
                    request.header(header::CONTENT_TYPE, "application/json").body(body)?;
                agent.run(request)
            }
            None => agent.run(request.body(())?),
        };
        let mut answer = answer.map_err(|e| self.unreachable(e))?;
        let status = answer.status().as_u16();
        let body = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_vec()
            .context("the server's answer broke off")?;
        Ok((status, body))
    }

    fn unreachable(&self, error: ureq::Error) -> anyhow::Error {
        let url = &self.url;
        match of_tls(&error) {
            Some(rustls::Error::InvalidCertificate(bad)) => {
                anyhow!("the certificate of the server at {url} is refused: {}", refused(bad))
            }
            Some(rustls::Error::InvalidMessage(_)) => {
                anyhow!("what answers at {url} does not speak TLS")
            }
            _ => anyhow::Error::new(error).context(format!("cannot reach the server at {url}")),
        }
    }
}

/// The address of a server, taken apart.
struct Address {
    url: String,
    tls: bool,
    loopback: bool,
}

impl Address {
    fn parse(given: &str) -> Result<Self, Failure> {
        if given.contains('@') {
            // Not repeated: what stands before the `@` may be a password.
            return Err(Failure::usage(
                "a server's address holds no `@`: give a token with SIGNOFF_TOKEN or --token",
            ));
        }
        let wrong = || Failure::usage(format!("`{given}` is no http:// or https:// address"));
        let trimmed = given.trim_end_matches('/');
        let url = if given.contains("://") {
            trimmed.to_owned()
        } else {
            let plain = format!("http://{trimmed}");
            let uri: Uri = plain.parse().map_err(|_| wrong())?;
            // Only to this machine is plain HTTP what one means by saying nothing.
            let loopback = uri.host().is_some_and(is_loopback_name);
            if loopback { plain } else { format!("https://{trimmed}") }
        };
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        if uri.query().is_some() || given.contains('#') {
            return Err(wrong());
        }
        let loopback = is_loopback_name(host);
        Ok(Self { url, tls, loopback })
    }
}

fn bearer(token: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| Failure::usage("the token holds characters that no token has"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The authorities of this machine, and those of a file. This machine's store is where a company's
/// own authority is installed, and it is kept up to date without building this program anew.
fn roots(ca: Option<&Path>) -> Result<Vec<Certificate<'static>>> {
    let mut roots = rustls_native_certs::load_native_certs().certs;
    if let Some(path) = ca {
        let wrong = |why: String| anyhow!("certificate authority `{}`: {why}", path.display());
        for certificate in read_chain(path).map_err(wrong)? {
            RootCertStore::empty()
                .add(certificate.clone())
                .map_err(|_| wrong("a certificate in it cannot be an authority".to_owned()))?;
            roots.push(certificate);
        }
    }
    if roots.is_empty() {
        bail!(
            "no certificate authority is known on this machine: install its certificates, or give --ca FILE"
        );
    }
    Ok(roots.iter().map(|der| Certificate::from_der(der).to_owned()).collect())
}

/// What TLS says of an error, where it is TLS that failed.
fn of_tls(error: &ureq::Error) -> Option<&rustls::Error> {
    match error {
        ureq::Error::Rustls(e) => Some(e),
        ureq::Error::Io(e) => e.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// Why a certificate is refused, and what mends it.
fn refused(bad: &Bad) -> String {
    match bad {
        Bad::Expired | Bad::ExpiredContext { .. } => "it has expired".to_owned(),
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            "it is not valid yet; is this machine's clock right?".to_owned()
        }
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
            "it is for another name than the address has".to_owned()
        }
        Bad::UnknownIssuer => {
            "nobody known on this machine has issued it; --ca FILE adds an authority".to_owned()
        }
        Bad::BadSignature => {
            "it is signed with another key than the authority's of that name".to_owned()
        }
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "it is an authority's own; a server needs one that the authority issued to it"
                .to_owned()
        }
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Remote, Trust};
    use crate::cli::exit::Failure;

    const TOKEN: &str = "a-token-that-nobody-else-has";

    #[test]
    fn addresses_are_taken_apart() {
        let table = [
            ("http://127.0.0.1:8787/", "http://127.0.0.1:8787", false, true),
            ("localhost:8787", "http://localhost:8787", false, true),
            ("127.0.0.1", "http://127.0.0.1", false, true),
            ("localhost:8787/below", "http://localhost:8787/below", false, true),
            ("[::1]:8787", "http://[::1]:8787", false, true),
            ("signoff.example", "https://signoff.example", true, false),
            ("signoff.example:8787", "https://signoff.example:8787", true, false),
            ("https://localhost/", "https://localhost", true, true),
            ("http://signoff.example/below", "http://signoff.example/below", false, false),
            ("http://localhost.evil.example", "http://localhost.evil.example", false, false),
        ];
        for (given, url, tls, loopback) in table {
            let address = Address::parse(given).ok().unwrap_or_else(|| panic!("{given}"));
            assert_eq!((address.url.as_str(), address.tls, address.loopback), (url, tls, loopback));
        }
    }

    #[test]
    fn what_is_no_address_is_a_mistake_of_usage() {
        for given in [
            "",
            "/",
            "ftp://a",
            "http://",
            "https://",
            "unix:///a",
            "http://a b",
            "http://a/?b=c",
            "http://a/#b",
            "http://a\n",
            "file:///etc/passwd",
        ] {
            let parsed = Address::parse(given);
            assert!(matches!(parsed, Err(Failure::Usage(_))), "{given:?} is taken");
        }
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        for given in ["https://user:hunter2@signoff.example", "http://hunter2@localhost"] {
            let Err(Failure::Usage(told)) = Address::parse(given) else { panic!("{given}") };
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn a_token_leaves_in_the_clear_only_to_this_machine_or_if_one_insists() {
        let sent = |url: &str, insecure_http| {
            let trust = Trust { ca: None, insecure_http };
            match Remote::new(url, Some(TOKEN), &trust) {
                Ok(_) => true,
                Err(Failure::Usage(told)) => {
                    assert!(!told.contains(TOKEN), "{told}");
                    false
                }
                Err(other) => panic!("{other:?}"),
            }
        };
        for url in
            ["http://10.0.0.1:8787", "http://signoff.example", "http://127.0.0.1.evil.example"]
        {
            assert!(!sent(url, false), "{url}");
            assert!(sent(url, true), "{url}");
            assert!(Remote::new(url, None, &Trust::default()).is_ok(), "{url}");
        }
        for url in ["http://127.0.0.1:1", "localhost", "http://[::1]:1"] {
            assert!(sent(url, false), "{url}");
        }
    }

    #[test]
    fn a_broken_token_is_not_repeated() {
        let broken = format!("{TOKEN}\r\nx: y");
        let refused = Remote::new("http://localhost", Some(&broken), &Trust::default());
        let Err(Failure::Usage(told)) = refused else { panic!("it is taken") };
        assert!(!told.contains(TOKEN), "{told}");
    }
}
