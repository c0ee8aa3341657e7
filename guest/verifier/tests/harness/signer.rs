//! People with keys who sign `v2` without the verifier's code.

use std::collections::BTreeMap;

use base64ct::{Base64UrlUnpadded, Encoding};
use chrono::{DateTime, SecondsFormat};
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) const ALGORITHMS: [&str; 2] = ["hmac-sha256", "ed25519"];

/// A person with a key. The secret is 32 bytes for either algorithm.
#[derive(Clone, Debug)]
pub(crate) struct Signer {
    pub(crate) id: String,
    pub(crate) algorithm: &'static str,
    pub(crate) secret: [u8; 32],
    pub(crate) approver: String,
    pub(crate) groups: Vec<&'static str>,
    pub(crate) material: [u8; 32],
}

impl Signer {
    pub(crate) fn new(id: &str, algorithm: &'static str, secret: u8, approver: &str) -> Self {
        Self {
            id: id.to_owned(),
            algorithm,
            secret: [0; 32],
            approver: approver.to_owned(),
            groups: Vec::new(),
            material: [0; 32],
        }
        .with_secret([secret; 32])
    }

    pub(crate) fn with_secret(self, secret: [u8; 32]) -> Self {
        let material = match self.algorithm {
            "ed25519" => SigningKey::from_bytes(&secret).verifying_key().to_bytes(),
            _ => secret,
        };
        Self { secret, material, ..self }
    }

    /// Returns the keyring entry that verifies the person's signatures.
    pub(crate) fn entry(&self, status: &str) -> Value {
        json!({
            "id": self.id,
            "algorithm": self.algorithm,
            "material": Base64UrlUnpadded::encode_string(&self.material),
            "status": status,
            "use": "approve",
            "approver": self.approver,
            "groups": self.groups,
        })
    }

    /// Signs any message; returns the signature's bytes.
    pub(crate) fn raw(&self, message: &[u8]) -> Vec<u8> {
        match self.algorithm {
            "ed25519" => SigningKey::from_bytes(&self.secret).sign(message).to_bytes().to_vec(),
            _ => {
                let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).unwrap();
                mac.update(message);
                mac.finalize().into_bytes().to_vec()
            }
        }
    }

    /// Signs a statement, whichever person and key it names; returns the signature's text.
    pub(crate) fn sign(&self, statement: &Value) -> String {
        text(&self.id, &self.raw(&message(statement)))
    }
}

pub(crate) fn text(key_id: &str, signature: &[u8]) -> String {
    format!("v2.{key_id}.{}", Base64UrlUnpadded::encode_string(signature))
}

/// Returns the PASETO encoding of the nine pieces.
pub(crate) fn message(statement: &Value) -> Vec<u8> {
    let field = |name: &str| statement[name].as_str().unwrap().to_owned();
    let expires_at = statement["expires_at"].as_i64().unwrap();
    let expires_at = DateTime::from_timestamp(expires_at, 0).unwrap();
    let pieces = [
        "signoff/v2".to_owned(),
        field("audience"),
        field("key_id"),
        field("approval_id"),
        field("request_digest"),
        expires_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        field("decision"),
        field("approver"),
        field("comment"),
    ];
    let mut encoded = 9u64.to_le_bytes().to_vec();
    for piece in pieces {
        encoded.extend((piece.len() as u64).to_le_bytes());
        encoded.extend(piece.as_bytes());
    }
    encoded
}

/// Returns the statement that a person signs for a record.
pub(crate) fn statement(record: &Value, signer: &Signer, decision: &str, comment: &str) -> Value {
    let expires_at = record["expires_at"].as_str().unwrap();
    json!({
        "audience": record["audience"],
        "key_id": signer.id,
        "approval_id": record["id"],
        "request_digest": request_digest(record),
        "expires_at": DateTime::parse_from_rfc3339(expires_at).unwrap().timestamp(),
        "decision": decision,
        "approver": signer.approver,
        "comment": comment,
    })
}

/// Returns the digest of a record's request, printed as Python would. No character here needs an
/// escape.
pub(crate) fn request_digest(record: &Value) -> String {
    let content: BTreeMap<&str, &Value> = [
        "format",
        "agent",
        "action",
        "context_hash",
        "plan_hash",
        "reason",
        "requested_by",
        "requested_at",
        "requirement",
        "policy",
        "rule",
    ]
    .into_iter()
    .map(|name| (name, &record[name]))
    .collect();
    let mut spaced = String::new();
    let mut in_text = false;
    for c in serde_json::to_string(&content).unwrap().chars() {
        in_text ^= c == '"';
        spaced.push(c);
        if !in_text && [',', ':'].contains(&c) {
            spaced.push(' ');
        }
    }
    hex::encode(Sha256::digest(spaced))
}
