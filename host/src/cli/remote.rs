//! A server over HTTP or HTTPS: its address, trusted certificates, and protection of tokens against
//! plain text.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use axum::http::{HeaderValue, Method, Request, Uri, header};
use rustls::CertificateError as Bad;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{AlertDescription, RootCertStore};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::DefaultResolver;

use super::exit::Failure;
use super::unix::UnixConnector;
use crate::api::is_loopback_name;
use crate::ledger::rfc3339;
use crate::server::{UNIX_SCHEME, read_chain};

/// Timeout of a response: a wait of 60 s plus headroom.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(90);
/// Timeout of a response about modules, which are compiled first.
const MODULE_TIME_MAX: Duration = Duration::from_secs(450);
const MODULES: &str = "/api/v1/modules";
/// Takes as long as the store is large.
const COMPACT: &str = "/api/v1/store/compact";
pub(super) const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// A list of 200 approvals with large ballots is far below this limit.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a download in memory.
const PIECE_BYTES: usize = 64 << 10;

/// The trust settings for a server.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust {
    /// Authorities in addition to this machine's.
    pub(super) ca: Option<PathBuf>,
    /// Allows plain HTTP: the connection is encrypted otherwise, for example by a VPN.
    pub(super) insecure_http: bool,
}

/// The header that makes a repeat of a request return the answer of the first.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// What a call sends.
#[derive(Default)]
pub(super) struct Sent<'a> {
    /// The body, JSON.
    pub(super) body: Option<String>,
    /// The `Idempotency-Key`.
    pub(super) key: Option<&'a str>,
}

/// A client of one server.
pub(super) struct Remote {
    url: String,
    /// The address as it is called in messages.
    named: String,
    token: Option<HeaderValue>,
    agent: ureq::Agent,
    /// The agent for slow requests.
    patient: ureq::Agent,
    /// The agent for responses of any size.
    endless: ureq::Agent,
}

impl Remote {
    /// Makes a client. Errors, in this order: a malformed address, a token that would be sent in
    /// plain text, a malformed token, authorities that cannot be read.
    pub(super) fn new(url: &str, token: Option<&str>, trust: &Trust) -> Result<Self, Failure> {
        let address = Address::parse(url)?;
        if token.is_some() && !address.tls && !address.loopback && !trust.insecure_http {
            return Err(Failure::usage(format!(
                "refusing to send a token to `{}` in the clear: use https://, or --insecure-http if the connection is encrypted otherwise, for example by a VPN",
                address.url
            )));
        }
        let token = token.map(bearer).transpose()?;
        let roots = if address.tls { roots(trust.ca.as_deref())? } else { Vec::new() };
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .build();
        let agent = |time: Option<Duration>| {
            let mut config = ureq::Agent::config_builder()
                .http_status_as_error(false)
                .timeout_connect(Some(CONNECT_TIME_MAX))
                .timeout_global(time)
                .max_redirects(0)
                .tls_config(tls.clone());
            if address.loopback {
                // A proxy from the environment has another loopback, and would see the token.
                config = config.proxy(None);
            }
            match &address.socket {
                Some(path) => ureq::Agent::with_parts(
                    config.build(),
                    UnixConnector(path.clone()),
                    DefaultResolver::default(),
                ),
                None => config.build().into(),
            }
        };
        let [agent, patient, endless] =
            [Some(ANSWER_TIME_MAX), Some(MODULE_TIME_MAX), None].map(agent);
        let named = address.socket.is_some().then(|| url.to_owned());
        let named = named.unwrap_or_else(|| address.url.clone());
        Ok(Self { url: address.url, named, token, agent, patient, endless })
    }

    /// Calls the server. Returns status and body.
    pub(super) fn call(
        &self,
        method: &Method,
        path: &str,
        body: Option<String>,
    ) -> Result<(u16, Vec<u8>)> {
        self.send(method, path, Sent { body, key: None })
    }

    /// As [`Self::call`], with more than a body.
    pub(super) fn send(
        &self,
        method: &Method,
        path: &str,
        sent: Sent<'_>,
    ) -> Result<(u16, Vec<u8>)> {
        let uri = format!("{}{path}", self.url);
        let mut request = Request::builder().method(method.clone()).uri(&uri);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        if let Some(key) = sent.key {
            request = request.header(IDEMPOTENCY_KEY, key);
        }
        let agent = match path {
            path if path.starts_with(MODULES) => &self.patient,
            COMPACT => &self.endless,
            _ => &self.agent,
        };
        let answer = match sent.body {
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
            .context("the server's response is incomplete")?;
        Ok((status, body))
    }

    /// Returns whether requests carry a token.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    fn speaks_tls(&self) -> bool {
        self.url.starts_with("https:")
    }

    /// Sends a POST request, and passes the bytes of a successful response on. Returns the status, and
    /// the body of any other response.
    pub(super) fn download(
        &self,
        path: &str,
        body: String,
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<(u16, Vec<u8>)> {
        let uri = format!("{}{path}", self.url);
        let mut request = Request::builder().method(Method::POST).uri(&uri);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        let request = request.header(header::CONTENT_TYPE, "application/json").body(body)?;
        let answer = self.endless.run(request);
        let mut answer = answer.map_err(|e| self.unreachable(e))?;
        let status = answer.status().as_u16();
        if !answer.status().is_success() {
            return Ok((
                status,
                answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?,
            ));
        }
        let length = answer.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let length = length.context("the server does not say how long its response is")?;
        let mut body = answer.body_mut().with_config().limit(u64::MAX).reader();
        let (mut piece, mut received) = (vec![0; PIECE_BYTES], 0);
        loop {
            let read = body.read(&mut piece).context("the server's response is incomplete")?;
            let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            received += read as u64;
            take(bytes)?;
        }
        ensure!(
            received == length,
            "the server's response is incomplete: {received} of {length} bytes"
        );
        Ok((status, Vec::new()))
    }

    fn unreachable(&self, error: ureq::Error) -> anyhow::Error {
        let url = &self.named;
        match of_tls(&error) {
            Some(rustls::Error::InvalidCertificate(bad)) => {
                anyhow!("the certificate of the server at {url} is refused: {}", refused(bad))
            }
            Some(rustls::Error::InvalidMessage(_)) => {
                anyhow!("the server at {url} does not speak TLS")
            }
            Some(rustls::Error::AlertReceived(alert)) => {
                anyhow!("the server at {url} ended the handshake of TLS: {}", alerted(*alert))
            }
            Some(rustls::Error::PeerIncompatible(_)) => {
                anyhow!(
                    "the server at {url} speaks neither TLS 1.2 nor TLS 1.3 with a cipher that is accepted here"
                )
            }
            None if matches!(error, ureq::Error::Protocol(_)) && !self.speaks_tls() => {
                anyhow!(
                    "the server at {url} does not speak plain HTTP: does it speak TLS? Then use https://"
                )
            }
            _ => anyhow::Error::new(error).context(format!("cannot reach the server at {url}")),
        }
    }
}

/// The parsed address of a server.
struct Address {
    url: String,
    tls: bool,
    loopback: bool,
    /// The path of a Unix socket.
    socket: Option<PathBuf>,
}

impl Address {
    fn parse(given: &str) -> Result<Self, Failure> {
        if let Some(path) = given.strip_prefix(UNIX_SCHEME) {
            if path.is_empty() {
                return Err(Failure::usage("expected a path after `unix:`"));
            }
            // No request leaves this machine: the name only goes into `Host`.
            let (url, socket) = ("http://localhost".to_owned(), Some(path.into()));
            return Ok(Self { url, tls: false, loopback: true, socket });
        }
        if given.contains('@') {
            // Not quoted: the part before the `@` may be a password.
            return Err(Failure::usage(
                "a server's address must not contain `@`: give a token with SIGNOFF_TOKEN or --token-file",
            ));
        }
        let wrong =
            || Failure::usage(format!("`{given}` is not an http://, https:// or unix: address"));
        let trimmed = given.trim_end_matches('/');
        let url = if given.contains("://") {
            trimmed.to_owned()
        } else {
            let plain = format!("http://{trimmed}");
            let uri: Uri = plain.parse().map_err(|_| wrong())?;
            // Without a scheme, plain HTTP is the default for this machine only.
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
        Ok(Self { url, tls, loopback, socket: None })
    }
}

fn bearer(token: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| Failure::usage("malformed token: it contains invalid characters"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Returns this machine's authorities and those of a file. The machine's store contains a company's
/// own authorities, and is updated independently of this program.
pub(super) fn authorities(ca: Option<&Path>) -> Result<Vec<CertificateDer<'static>>> {
    let mut roots = rustls_native_certs::load_native_certs().certs;
    if let Some(path) = ca {
        let wrong = |why: String| anyhow!("certificate authority `{}`: {why}", path.display());
        for certificate in read_chain(path).map_err(wrong)? {
            RootCertStore::empty().add(certificate.clone()).map_err(|_| {
                wrong("it contains a certificate that is not an authority".to_owned())
            })?;
            roots.push(certificate);
        }
    }
    if roots.is_empty() {
        bail!("this machine has no certificate authorities: install them, or give --ca FILE");
    }
    Ok(roots)
}

/// Returns the authorities as the client takes them.
fn roots(ca: Option<&Path>) -> Result<Vec<Certificate<'static>>> {
    let roots = authorities(ca)?;
    Ok(roots.iter().map(|der| Certificate::from_der(der).to_owned()).collect())
}

/// Returns the TLS error in an error, if there is one.
fn of_tls(error: &ureq::Error) -> Option<&rustls::Error> {
    match error {
        ureq::Error::Rustls(e) => Some(e),
        ureq::Error::Io(e) => e.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// Returns the names of a certificate, which the server chose, as a clause.
fn valid_for(presented: &[String]) -> String {
    const SHOWN: usize = 5;
    // webpki wraps each in the name of its type: `DnsName("a.example")`.
    let names: Vec<&str> = presented.iter().filter_map(|name| name.split('"').nth(1)).collect();
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => String::new(),
        1..=SHOWN => format!(", only for {shown}"),
        more => format!(", only for {shown} and {} more", more - SHOWN),
    }
}

/// Returns what a server's alert means.
fn alerted(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::ProtocolVersion => "it speaks neither TLS 1.2 nor TLS 1.3".to_owned(),
        AlertDescription::HandshakeFailure => {
            "it has no cipher or kind of certificate that is accepted here".to_owned()
        }
        AlertDescription::UnrecognisedName => {
            "it has no certificate for the name in the address".to_owned()
        }
        AlertDescription::CertificateRequired => "it requires a client's certificate".to_owned(),
        other => format!("alert {}", u8::from(other)),
    }
}

/// Returns why a certificate is refused, and how to fix it.
fn refused(bad: &Bad) -> String {
    match bad {
        Bad::Expired => "it has expired".to_owned(),
        Bad::ExpiredContext { not_after, .. } => {
            format!("it has expired, at {}", rfc3339(not_after.as_secs()))
        }
        Bad::NotValidYet => "it is not valid yet; is this machine's clock right?".to_owned(),
        Bad::NotValidYetContext { not_before, .. } => format!(
            "it is not valid before {}; is this machine's clock right?",
            rfc3339(not_before.as_secs())
        ),
        Bad::NotValidForName => "it is not valid for the name in the address".to_owned(),
        Bad::NotValidForNameContext { presented, .. } => {
            format!("it is not valid for the name in the address{}", valid_for(presented))
        }
        Bad::UnknownIssuer => {
            "its issuer is not trusted on this machine; add the authority, or a certificate that signed itself, with --ca FILE".to_owned()
        }
        Bad::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "its signature is not of the kind of key that the trusted authority of this name has, so another authority signed it; name the right authority with --ca FILE".to_owned()
        }
        Bad::UnsupportedSignatureAlgorithmContext { .. } => {
            "it, or an issuer of it, is signed by an algorithm that is not accepted, such as SHA-1; the server needs a certificate signed with SHA-256 or better".to_owned()
        }
        Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => {
            "it is not for servers: its extended key usage lacks `serverAuth`".to_owned()
        }
        Bad::BadSignature => {
            "its signature does not match the key of the authority it names".to_owned()
        }
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "it is an authority's own certificate; a server needs one issued by the authority"
                .to_owned()
        }
        // A variant that no other message describes; its fields are bytes that nobody reads.
        other => {
            let name = format!("{other:?}");
            let name = name.split(|char: char| !char.is_alphanumeric()).next().unwrap_or_default();
            format!("it cannot be verified ({name}); check it with `openssl verify`")
        }
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
    fn a_malformed_address_is_a_usage_error() {
        for given in [
            "",
            "/",
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
            let parsed = Address::parse(given);
            assert!(matches!(parsed, Err(Failure::Usage(_))), "{given:?} is taken");
        }
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        for given in ["https://user:hunter2@signoff.example", "http://hunter2@localhost"] {
            let Err(Failure::Usage(text)) = Address::parse(given) else { panic!("{given}") };
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_token_leaves_in_the_clear_only_to_this_machine_or_if_one_insists() {
        let sent = |url: &str, insecure_http| {
            let trust = Trust { ca: None, insecure_http };
            match Remote::new(url, Some(TOKEN), &trust) {
                Ok(_) => true,
                Err(Failure::Usage(text)) => {
                    assert!(!text.contains(TOKEN), "{text}");
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
        let Err(Failure::Usage(text)) = refused else { panic!("it is taken") };
        assert!(!text.contains(TOKEN), "{text}");
    }
}
