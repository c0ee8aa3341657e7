//! A certificate authority for tests, and its certificates.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

use super::{Home, SERVE, Server};

/// An authority that no system trusts by default.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Writes its certificate to a file.
    pub fn file(&self, home: &Home) -> PathBuf {
        home.file("ca.pem", &self.pem)
    }

    /// Issues a certificate for a name or an address, with its last day.
    pub fn issue_until(&self, name: &str, (year, month, day): (i32, u8, u8)) -> Issued {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "signoff under test");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, month, day);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Issued { certificate, key: key.serialize_pem() }
    }

    /// Issues a certificate for names and addresses, valid from one second to another, since 1970.
    pub fn issue_between(&self, names: &[&str], from: i64, to: i64) -> Issued {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        set_validity(&mut params, from, to);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Issued { certificate, key: key.serialize_pem() }
    }

    /// Makes an authority whose certificate this one issues, valid until a second since 1970.
    pub fn intermediate_until(&self, name: &str, to: i64) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        set_validity(&mut params, 0, to);
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Returns its own certificate.
    pub fn certificate(&self) -> &str {
        &self.pem
    }

    /// Issues a certificate for a name or an address.
    pub fn issue(&self, name: &str) -> Issued {
        self.issue_until(name, (4000, 1, 1))
    }
}

impl Issued {
    /// Writes both to the files that [`serve_tls`] uses.
    pub fn install(&self, home: &Home) {
        home.file("cert.pem", &self.certificate);
        private(home, "key.pem", &self.key);
    }

    /// Checks that a text contains no line of the key.
    #[track_caller]
    pub fn assert_hidden(&self, text: &str) {
        for line in self.key.lines().filter(|line| !line.starts_with("-----")) {
            assert!(!text.contains(line), "the key is in: {text}");
        }
    }
}

fn set_validity(params: &mut CertificateParams, from: i64, to: i64) {
    let moment = |seconds: i64| {
        let distance = Duration::from_secs(seconds.unsigned_abs());
        let epoch = date_time_ymd(1970, 1, 1);
        if seconds < 0 { epoch - distance } else { epoch + distance }
    };
    (params.not_before, params.not_after) = (moment(from), moment(to));
}

/// Writes a file of mode 0600.
pub fn private(home: &Home, name: &str, text: &str) {
    let path = home.file(name, text);
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

/// Starts a server with `cert.pem` and `key.pem` of its home.
#[track_caller]
pub fn serve_tls(home: &Home) -> Server {
    let mut command = home.signoff(SERVE);
    command.args(["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    let server = Server::start_with(command);
    assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);
    server
}
