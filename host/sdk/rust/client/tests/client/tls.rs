//! TLS: which servers are trusted.

use std::io::BufReader;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use signoff_client::Client;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::office::http::{Reply, read, reply};

/// Serves over TLS with a certificate for `localhost`. Returns the port and the authority, PEM.
fn serve() -> (u16, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = BufReader::new(StreamOwned::new(tls, stream));
            if read(&mut stream).is_some() {
                let items = Reply::json(200, r#"{"items": []}"#).with("Connection", "close");
                reply(stream.get_mut(), items);
            }
        }
    });
    (port, authority.pem())
}

#[tokio::test]
async fn only_a_server_of_a_trusted_authority_and_of_this_name_gets_the_token() {
    let (port, pem) = serve();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    let client = |host: &str| {
        let client = Client::builder().only_arguments().url(format!("https://{host}:{port}"));
        client.token("t").timeout(Duration::from_secs(60))
    };
    let trusting = client("localhost").ca(&file).build().unwrap();
    assert_eq!(trusting.keys().await.unwrap(), r#"{"items": []}"#);
    // At once, not after the tries of a minute.
    let e = client("127.0.0.1").ca(&file).build().unwrap().keys().await.unwrap_err();
    assert!(e.code() == "unreachable" && e.detail().contains("certificate"), "{e}");
    if let Ok(client) = client("localhost").build() {
        let e = client.keys().await.unwrap_err();
        assert!(e.detail().contains("certificate"), "{e}");
    }
}

#[test]
fn a_file_without_authorities_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let client = || Client::builder().only_arguments().url("https://localhost").ca(&file);
    assert_eq!(client().build().unwrap_err().code(), "request-invalid", "missing");
    for text in ["", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&file, text).unwrap();
        let e = client().build().unwrap_err();
        assert!(e.code() == "request-invalid" && e.detail().contains("ca.pem"), "{e}");
    }
}
