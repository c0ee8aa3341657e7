//! One secret under two names. HMAC pads a short key with zeros and hashes a long one, so different
//! texts can be the same key: it must not vote twice, and if it is revoked under one name it counts
//! under none.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod harness;

use base64ct::{Base64UrlUnpadded, Encoding};
use harness::signer::{Signer, statement};
use harness::{CONTEXT, ID, REQUESTED};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Two people, and the two encodings of their shared secret.
struct Pair {
    people: [Signer; 2],
    materials: [Vec<u8>; 2],
}

impl Pair {
    /// A secret as it is and padded with zeros, and a long secret and its digest.
    fn all() -> [Self; 2] {
        let short: Vec<u8> = (1..=32).collect();
        let long: Vec<u8> = (1..=100).collect();
        let digest: [u8; 32] = Sha256::digest(&long).into();
        let people = |secret| {
            ["bob", "rob"].map(|id| {
                Signer::new(id, "hmac-sha256", 0, &format!("{id}@company.com")).with_secret(secret)
            })
        };
        [
            Self {
                people: people(short.as_slice().try_into().unwrap()),
                materials: [short.clone(), [short.as_slice(), &[0; 9]].concat()],
            },
            Self { people: people(digest), materials: [digest.to_vec(), long] },
        ]
    }

    fn keys(&self, statuses: [&str; 2]) -> Value {
        let written = self.people.iter().zip(&self.materials).zip(statuses);
        let entry = |((person, material), status): ((&Signer, &Vec<u8>), &str)| {
            let mut entry = person.entry(status);
            entry["material"] = Base64UrlUnpadded::encode_string(material).into();
            entry
        };
        written.map(entry).collect()
    }

    fn decide(&self, record: &Value, by: usize, statuses: [&str; 2]) -> Result<Value, String> {
        let person = self.people.get(by).unwrap();
        let signature = person.sign(&statement(&harness::parsed(record), person, "approved", ""));
        let ballot =
            json!({"decision": "approved", "approver": person.approver, "signature": signature});
        let args = json!({
            "id": ID, "approval": record,
            "ballot": ballot.to_string(),
            "keys": self.keys(statuses),
            "accept": ["v2"],
            "now": REQUESTED,
        });
        harness::call("lifecycle.decide", &args)
    }
}

fn of_two() -> Value {
    let request = json!({
        "id": ID,
        "audience": "prod",
        "agent": "deployer",
        "action": "deploy",
        "requested_by": "rita@company.com",
        "requirement": {"threshold": 2},
    });
    let args = json!({"request": request.to_string(), "context": CONTEXT, "accept": ["v2"], "now": REQUESTED});
    harness::call("lifecycle.open", &args).unwrap()["record"].take()
}

#[test]
fn one_secret_votes_once_in_either_encoding() {
    for pair in Pair::all() {
        for (first, second) in [(0, 1), (1, 0)] {
            let voted = pair.decide(&of_two(), first, ["active"; 2]).unwrap();
            assert_eq!(voted["summary"]["status"], "pending");
            let again = pair.decide(&voted["record"], second, ["active"; 2]);
            assert_eq!(again.unwrap_err(), "already-voted");
        }
    }
}

#[test]
fn a_revoked_secret_is_revoked_in_either_encoding() {
    for pair in Pair::all() {
        for (by, statuses) in [(0, ["active", "revoked"]), (1, ["revoked", "active"])] {
            assert_eq!(pair.decide(&of_two(), by, statuses).unwrap_err(), "key-revoked");
        }
    }
}
