//! Which certificates are trusted.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::error::Error;

/// Trusts this machine's authorities and those of a file.
///
/// # Errors
///
/// `request-invalid`: the file has no certificate, or one that is not an authority; there is none at
/// all.
pub(super) fn config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca {
        let wrong = |why: String| Error::invalid(format!("`{}`: {why}", path.display()));
        let given = CertificateDer::pem_file_iter(path).map_err(|e| wrong(e.to_string()))?;
        let mut count = 0;
        for certificate in given {
            let certificate = certificate.map_err(|e| wrong(e.to_string()))?;
            roots
                .add(certificate)
                .map_err(|_| wrong("a certificate is not an authority".to_owned()))?;
            count += 1;
        }
        if count == 0 {
            return Err(wrong("it has no certificate".to_owned()));
        }
    }
    if roots.is_empty() {
        return Err(Error::invalid(
            "this machine has no certificate authorities: install them, or give a file with `ca`",
        ));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::invalid(format!("TLS: {e}")))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}
