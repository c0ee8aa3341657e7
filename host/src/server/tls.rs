//! TLS: the server's certificate and key, loaded from files and reloadable.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustix::fs::OFlags;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::chain::Chain;
use crate::private_file::{PrivateFileError, read_private_file};

/// A chain of a handful of certificates takes a few KiB.
const CERTIFICATE_BYTES_MAX: u64 = 1 << 20;
/// An RSA key of 16,384 bits takes 13 KiB.
const KEY_BYTES_MAX: u64 = 64 << 10;
/// A part of the first line of a private key in PEM.
const KEY_MARK: &[u8] = b"PRIVATE KEY-----";
/// Maximum duration of a handshake: two round trips, over any network.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// The current certificate. Clones share it: [`Tls::reload`] affects all of them.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Current>,
}

#[derive(Clone)]
struct Current {
    config: Arc<ServerConfig>,
    fingerprint: String,
    chain: Arc<Chain>,
}

/// Why a certificate and a key cannot be used. Messages contain nothing of the key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate file that cannot be read or is malformed.
    #[error("TLS certificate `{path}`: {why}")]
    Certificate {
        /// The file.
        path: String,
        /// The reason.
        why: String,
    },
    /// A key that other users can read or write.
    #[error(
        "TLS key `{path}` must be a file of mode 0600 that you own; fix the mode with `chmod 600`"
    )]
    Exposed {
        /// The file.
        path: String,
    },
    /// A key file that cannot be read or has no usable key.
    #[error("TLS key `{path}`: {why}")]
    Key {
        /// The file.
        path: String,
        /// The reason.
        why: String,
    },
    /// A key and a certificate that do not match.
    #[error(
        "TLS key `{key}` does not match the first certificate of `{certificate}`: the server's own certificate comes first, its issuers after it"
    )]
    Mismatch {
        /// The key's file.
        key: String,
        /// The certificate's file.
        certificate: String,
    },
}

impl Tls {
    /// Loads a certificate, followed by its issuers, and its key: PEM, the key as PKCS#8, SEC1 or
    /// PKCS#1.
    ///
    /// # Errors
    ///
    /// 1. a certificate file that cannot be read 2. no certificate in it, or a malformed one 3. a
    ///    key file that cannot be read or that other users can access 4. no key in it, several
    ///    keys, an encrypted key or one of an unsupported type 5. a key that does not match the
    ///    certificate
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(Shared {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            current: RwLock::new(Current::load(certificate, key)?),
        })))
    }

    /// Reloads both files. Open connections are not affected.
    ///
    /// # Errors
    ///
    /// As [`Tls::load`]; the previous certificate then stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        // The whole configuration is replaced, so that no session of the old certificate is
        // resumed.
        let fresh = Current::load(&self.0.certificate, &self.0.key)?;
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Returns the SHA-256 of the server's own certificate, in hex, as `openssl x509 -fingerprint`
    /// prints it.
    pub fn fingerprint(&self) -> String {
        self.current().fingerprint
    }

    /// Returns what the current certificates say of themselves.
    pub fn chain(&self) -> Arc<Chain> {
        self.current().chain
    }

    /// Returns the file of the certificates.
    pub fn certificate_file(&self) -> &Path {
        &self.0.certificate
    }

    /// Performs a handshake.
    ///
    /// # Errors
    ///
    /// 1. [`io::ErrorKind::TimedOut`] 2. [`io::ErrorKind::UnexpectedEof`] if the client is gone, as
    ///    scanners and health checks are 3. an error of the protocol
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(self.current().config);
        timeout(HANDSHAKE_TIME_MAX, acceptor.accept(stream)).await?
    }

    fn current(&self) -> Current {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.fingerprint()).finish()
    }
}

impl Current {
    fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = read_chain(certificate)
            .map_err(|why| TlsError::Certificate { path: shown(certificate), why })?;
        let fingerprint = chain.first().map(|first| hex::encode(Sha256::digest(first)));
        let read = Arc::new(Chain::of(&chain));
        let private = read_key(key)?;
        let provider = Arc::new(ring::default_provider());
        let signing = provider.key_provider.load_private_key(private);
        let signing = signing.map_err(|_| {
            key_error(key, "not an RSA key of 2048 bits or more, nor P-256, P-384 or Ed25519")
        })?;
        let certified = CertifiedKey::new(chain, signing);
        certified
            .keys_match()
            .map_err(|_| TlsError::Mismatch { key: shown(key), certificate: shown(certificate) })?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|e| key_error(key, e.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let fingerprint = fingerprint.unwrap_or_default();
        Ok(Self { config: Arc::new(config), fingerprint, chain: read })
    }
}

/// Reads the certificates of a PEM file, at least one, each well formed. Does not check validity
/// dates: clients do, and [`Chain::problems`] reports them.
///
/// # Errors
///
/// What is wrong with the file, as a clause that follows its name.
pub fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    // A pipe is not waited for.
    let flags = OFlags::NONBLOCK.bits().try_into().unwrap_or_default();
    let file = File::options().read(true).custom_flags(flags).open(path);
    let file = file.map_err(|e| e.to_string())?;
    let meta = file.metadata().map_err(|e| e.to_string())?;
    if !meta.is_file() {
        let what = if meta.is_dir() { "is a directory" } else { "is not a file" };
        return Err(what.to_owned());
    }
    let mut pem = Vec::new();
    file.take(CERTIFICATE_BYTES_MAX + 1).read_to_end(&mut pem).map_err(|e| e.to_string())?;
    if pem.len() as u64 > CERTIFICATE_BYTES_MAX {
        return Err(format!("larger than {CERTIFICATE_BYTES_MAX} bytes"));
    }
    if let Some(why) = not_pem(&pem) {
        return Err(why.to_owned());
    }
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|_| "malformed PEM".to_owned())?;
    if chain.is_empty() {
        let is_key = pem.windows(KEY_MARK.len()).any(|window| window == KEY_MARK);
        let hint =
            if is_key { "; it contains a private key: are the two files exchanged?" } else { "" };
        return Err(format!(
            "contains no certificate: expected PEM with `BEGIN CERTIFICATE`{hint}"
        ));
    }
    for (place, certificate) in (1..).zip(&chain) {
        ParsedCertificate::try_from(certificate)
            .map_err(|_| format!("certificate {place} is not an X.509 certificate"))?;
    }
    Ok(chain)
}

/// Returns why a file is not PEM, if its first bytes show it.
fn not_pem(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xef, 0xbb, 0xbf, ..] => Some(
            "begins with a byte order mark, which hides the first line: save it as UTF-8 without one",
        ),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("is UTF-16: save it as UTF-8"),
        // A sequence of ASN.1, whose length follows.
        [0x30, length, ..] if *length >= 0x80 => Some("is DER: convert it to PEM with `openssl`"),
        _ => None,
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    const ENCRYPTED: &[u8] = b"ENCRYPTED";
    let (pem, _) = read_private_file(path, KEY_BYTES_MAX).map_err(|e| match e {
        PrivateFileError::Exposed => TlsError::Exposed { path: shown(path) },
        PrivateFileError::TooLarge => key_error(path, format!("larger than {KEY_BYTES_MAX} bytes")),
        PrivateFileError::Io(e) => key_error(path, e.to_string()),
    })?;
    if let Some(why) = not_pem(&pem) {
        return Err(key_error(path, why));
    }
    // The parser's message could quote the file.
    let broken = |_| key_error(path, "malformed PEM");
    // Before the sections are read: the headers of an older form are no valid base64.
    if pem.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED) {
        return Err(key_error(
            path,
            "encrypted, and the server cannot prompt for a passphrase: remove it with `openssl pkey`",
        ));
    }
    let mut keys = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(&pem) {
        let (kind, der) = section.map_err(broken)?;
        keys.extend(PrivateKeyDer::from_pem(kind, der));
    }
    match (keys.pop(), keys.is_empty()) {
        (Some(key), true) => Ok(key),
        (Some(_), false) => Err(key_error(path, "contains several private keys, expected one")),
        (None, _) => Err(key_error(
            path,
            "contains no private key: expected PEM with `BEGIN PRIVATE KEY`, `BEGIN EC PRIVATE KEY` or `BEGIN RSA PRIVATE KEY`",
        )),
    }
}

fn key_error(path: &Path, why: impl Into<String>) -> TlsError {
    TlsError::Key { path: shown(path), why: why.into() }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
