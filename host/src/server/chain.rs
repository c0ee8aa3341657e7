//! The validity periods and names of the server's certificates, and why clients refuse them.
//!
//! Nothing is accepted or refused here: rustls decides what is loaded, and clients whom they trust.

use std::fmt;
use std::net::IpAddr;

use rustls::pki_types::{CertificateDer, DnsName};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::ledger::rfc3339;

/// The time before the expiry of a certificate in which it is reported: a renewal by hand may need
/// several people.
const SOON: u64 = 14 * 24 * 60 * 60;
/// The share of the validity period in which it is reported, if that is shorter: clients of ACME
/// renew in the last third, and certificates may be valid for days only.
const SOON_SHARE: u64 = 6;

/// What the certificates of a server say of themselves: its own first, then its issuers. `None` for
/// a certificate that rustls accepts and that cannot be read here.
#[derive(Clone, Debug)]
pub struct Chain(Vec<Option<Contents>>);

#[derive(Clone, Debug)]
struct Contents {
    period: ValidityPeriod,
    /// DNS names and IP addresses of the extension `subjectAltName`; `None` if it cannot be read.
    names: Option<Vec<String>>,
    /// The hash of its signature, if clients no longer accept it. A certificate that names itself as
    /// its issuer has none: clients that trust it do not verify its signature.
    weak_hash: Option<&'static str>,
}

/// When a certificate is valid, in seconds since 1970. Both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidityPeriod {
    /// The first second.
    pub not_before: u64,
    /// The last second.
    pub not_after: u64,
}

/// Why clients refuse a certificate of a chain, or will soon. It displays as a clause that follows
/// the name of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateProblem {
    /// The certificate's place in the file, from 1.
    place: usize,
    defect: Defect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    Expired { not_after: u64 },
    NotYetValid { not_before: u64 },
    WithoutName,
    WeakHash(&'static str),
    ExpiresSoon { not_after: u64 },
    Unreadable,
    UnreadableNames,
}

impl Chain {
    /// Reads the certificates of [`read_chain`](super::read_chain).
    pub fn of(certificates: &[CertificateDer<'_>]) -> Self {
        Self(certificates.iter().map(|certificate| Contents::of(certificate)).collect())
    }

    /// Returns what clients refuse at a time, or will soon, in the order of the certificates.
    pub fn problems(&self, now: u64) -> Vec<CertificateProblem> {
        let mut problems = Vec::new();
        for (place, contents) in (1..).zip(&self.0) {
            let Some(Contents { period, names, weak_hash }) = contents else {
                problems.push(CertificateProblem { place, defect: Defect::Unreadable });
                continue;
            };
            let of_names = match names {
                // Clients compare the names of the server's own certificate only.
                _ if place > 1 => None,
                None => Some(Defect::UnreadableNames),
                Some(names) => names.is_empty().then_some(Defect::WithoutName),
            };
            let of_hash = weak_hash.map(Defect::WeakHash);
            let defects = period.defect(now).into_iter().chain(of_names).chain(of_hash);
            problems.extend(defects.map(|defect| CertificateProblem { place, defect }));
        }
        problems
    }

    /// Returns the validity period of each certificate that can be read, with its place from 1.
    pub fn periods(&self) -> impl Iterator<Item = (u64, ValidityPeriod)> {
        (1..).zip(&self.0).filter_map(|(place, contents)| Some((place, contents.as_ref()?.period)))
    }

    /// Returns the DNS names and IP addresses of the server's own certificate; `None` if they cannot
    /// be read.
    pub fn names(&self) -> Option<&[String]> {
        self.0.first()?.as_ref()?.names.as_deref()
    }
}

impl Contents {
    fn of(certificate: &[u8]) -> Option<Self> {
        let whole = Certificate::from_der(certificate).ok()?;
        let certificate = whole.tbs_certificate();
        let weak_hash = weak_hash(&whole.signature_algorithm().oid.to_string())
            .filter(|_| certificate.issuer() != certificate.subject());
        let validity = certificate.validity();
        let period = ValidityPeriod {
            not_before: validity.not_before.to_unix_duration().as_secs(),
            not_after: validity.not_after.to_unix_duration().as_secs(),
        };
        let names = certificate.get_extension::<SubjectAltName>().ok().map(|extension| {
            let names = extension.map_or_else(Vec::new, |(_, SubjectAltName(names))| names);
            names.iter().filter_map(server_name).collect()
        });
        Some(Self { period, names, weak_hash })
    }
}

/// Returns the hash of a signature algorithm that clients no longer accept, RFC 9155 and RFC 6151.
fn weak_hash(oid: &str) -> Option<&'static str> {
    match oid {
        // sha1WithRSAEncryption, dsa-with-SHA1, ecdsa-with-SHA1
        "1.2.840.113549.1.1.5" | "1.2.840.10040.4.3" | "1.2.840.10045.4.1" => Some("SHA-1"),
        // md2WithRSAEncryption, md5WithRSAEncryption
        "1.2.840.113549.1.1.2" => Some("MD2"),
        "1.2.840.113549.1.1.4" => Some("MD5"),
        _ => None,
    }
}

/// Returns a name that a client can connect to: a DNS name, perhaps with a wildcard, or an IP
/// address. It has no character that needs to be escaped.
fn server_name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => {
            let name = name.as_str();
            DnsName::try_from(name.strip_prefix("*.").unwrap_or(name)).ok()?;
            Some(name.to_owned())
        }
        GeneralName::IpAddress(address) => {
            let address = address.as_bytes();
            let v4 = <[u8; 4]>::try_from(address).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(address).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

impl ValidityPeriod {
    /// Returns why clients refuse the certificate at a time, or will soon. Compares as `webpki` does.
    fn defect(self, now: u64) -> Option<Defect> {
        let Self { not_before, not_after } = self;
        let soon = SOON.min(not_after.saturating_sub(not_before) / SOON_SHARE);
        if now > not_after {
            Some(Defect::Expired { not_after })
        } else if now < not_before {
            Some(Defect::NotYetValid { not_before })
        } else if not_after - now <= soon {
            Some(Defect::ExpiresSoon { not_after })
        } else {
            None
        }
    }
}

impl CertificateProblem {
    /// Returns whether clients refuse the certificate now.
    pub fn is_refused(self) -> bool {
        match self.defect {
            Defect::Expired { .. }
            | Defect::NotYetValid { .. }
            | Defect::WithoutName
            | Defect::WeakHash(_) => true,
            Defect::ExpiresSoon { .. } | Defect::Unreadable | Defect::UnreadableNames => false,
        }
    }

    /// Returns how to fix it.
    pub fn fix(self) -> &'static str {
        match self.defect {
            Defect::Expired { .. } | Defect::ExpiresSoon { .. } if self.place > 1 => {
                "use the issuers that the authority publishes now, then send SIGHUP to the server"
            }
            Defect::Expired { .. } | Defect::ExpiresSoon { .. } => {
                "renew it, then send SIGHUP to the server"
            }
            Defect::NotYetValid { .. } => {
                "check this machine's clock, or use a certificate that is valid now and send SIGHUP to the server"
            }
            Defect::WithoutName => {
                "have it issued with the server's name as `subjectAltName`, then send SIGHUP to the server"
            }
            Defect::WeakHash(_) => {
                "have it issued again, signed with SHA-256 or better, then send SIGHUP to the server"
            }
            Defect::Unreadable | Defect::UnreadableNames => {
                "check it with `openssl x509 -noout -text`, and with a client"
            }
        }
    }
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let consequence = match self.place {
            1 => "so clients refuse it",
            _ => "so clients that rely on it refuse the server",
        };
        if self.place > 1 {
            write!(f, "certificate {}, an issuer, ", self.place)?;
        }
        match self.defect {
            Defect::Expired { not_after } => {
                write!(f, "expired at {}, {consequence}", rfc3339(not_after))
            }
            Defect::NotYetValid { not_before } => {
                write!(f, "is not valid before {}, {consequence}", rfc3339(not_before))
            }
            Defect::WithoutName => write!(
                f,
                "has neither a DNS name nor an IP address as `subjectAltName`, {consequence}"
            ),
            Defect::WeakHash(hash) => write!(f, "is signed with {hash}, {consequence}"),
            Defect::ExpiresSoon { not_after } => write!(f, "expires at {}", rfc3339(not_after)),
            Defect::Unreadable => f.write_str(
                "has a form that signoff cannot read, so its dates and names are not checked",
            ),
            Defect::UnreadableNames => f.write_str(
                "has a `subjectAltName` that signoff cannot read, so its names are not checked",
            ),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair, SanType, date_time_ymd};

    use super::{Chain, SOON};

    const DAY: u64 = 24 * 60 * 60;

    /// Returns the chain of one certificate with a validity period, in seconds since 1970.
    fn chain(not_before: u64, not_after: u64, names: &[SanType]) -> Chain {
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(1970, 1, 1) + Duration::from_secs(not_before);
        params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(not_after);
        params.subject_alt_names = names.to_vec();
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Chain::of(&[certificate.der().clone()])
    }

    fn dns(name: &str) -> SanType {
        SanType::DnsName(name.try_into().unwrap())
    }

    fn problems(chain: &Chain, now: u64) -> Vec<String> {
        chain.problems(now).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn both_ends_of_a_validity_period_belong_to_it() {
        let (first, last) = (1_000 * DAY, 2_000 * DAY);
        let chain = chain(first, last, &[dns("localhost")]);
        let early = "is not valid before 1972-09-27T00:00:00Z, so clients refuse it";
        assert_eq!(problems(&chain, first - 1), [early]);
        assert!(problems(&chain, first).is_empty());
        assert!(problems(&chain, last - SOON - 1).is_empty());
        for now in [last - SOON, last] {
            assert_eq!(problems(&chain, now), ["expires at 1975-06-24T00:00:00Z"]);
            assert!(!chain.problems(now).iter().any(|problem| problem.is_refused()));
        }
        let late = "expired at 1975-06-24T00:00:00Z, so clients refuse it";
        assert_eq!(problems(&chain, last + 1), [late]);
        assert!(chain.problems(last + 1).iter().all(|problem| problem.is_refused()));
    }

    #[test]
    fn a_certificate_for_days_is_reported_in_its_last_sixth() {
        let chain = chain(1_000 * DAY, 1_006 * DAY, &[dns("localhost")]);
        assert!(problems(&chain, 1_005 * DAY - 1).is_empty());
        assert_eq!(problems(&chain, 1_005 * DAY), ["expires at 1972-10-03T00:00:00Z"]);
    }

    #[test]
    fn a_period_without_a_second_is_never_valid() {
        let chain = chain(2_000 * DAY, 1_000 * DAY, &[dns("localhost")]);
        for now in [0, 1_000 * DAY, 1_500 * DAY, 2_000 * DAY, u64::MAX] {
            assert!(chain.problems(now).iter().all(|problem| problem.is_refused()), "{now}");
            assert_eq!(chain.problems(now).len(), 1, "{now}");
        }
    }

    #[test]
    fn only_names_that_a_client_can_connect_to_count() {
        let named = |names: &[SanType]| chain(0, 4_000 * DAY, names);
        let good = [
            dns("signoff.example"),
            dns("*.signoff.example"),
            SanType::IpAddress([127, 0, 0, 1].into()),
            SanType::IpAddress([0; 16].into()),
        ];
        let chain = named(&good);
        let shown = ["signoff.example", "*.signoff.example", "127.0.0.1", "::"];
        assert_eq!(chain.names().unwrap(), shown);
        for name in &good {
            assert!(problems(&named(std::slice::from_ref(name)), DAY).is_empty(), "{name:?}");
        }
        let bad = [
            dns(""),
            dns("*"),
            dns("two words"),
            dns("a\nok    store     fine\u{1b}[2J"),
            SanType::URI("https://signoff.example".try_into().unwrap()),
            SanType::Rfc822Name("a@signoff.example".try_into().unwrap()),
        ];
        for names in [&bad[..], &[]] {
            let chain = named(names);
            assert!(chain.names().unwrap().is_empty(), "{chain:?}");
            let found = problems(&chain, DAY);
            assert!(found.len() == 1 && found.iter().all(|f| f.contains("neither a DNS name")));
        }
    }

    #[test]
    fn bytes_that_are_no_certificate_are_reported_and_nothing_else() {
        let whole = chain(0, 4_000 * DAY, &[dns("localhost")]);
        assert_eq!(whole.periods().count(), 1);
        for bytes in [&b""[..], b"\x30\x80", b"\x30\x03\x02\x01\x00", &[0xff; 100]] {
            let chain = Chain::of(&[bytes.into()]);
            let found = problems(&chain, DAY);
            assert!(found.len() == 1 && found.iter().all(|f| f.contains("cannot read")));
            assert!(chain.names().is_none() && chain.periods().next().is_none());
        }
    }
}
