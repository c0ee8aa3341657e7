//! Signatures of profile v2 by their specification, computed without the code under test.

use std::fs;

use base64ct::{Base64UrlUnpadded, Encoding};
use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Home, id, text};

/// Returns the exact bytes that a decision signs: the number of pieces (nine), then each piece after its
/// length; numbers are 64 bits, little-endian.
pub fn message_v2(
    approval: &Value,
    key_id: &str,
    decision: &str,
    approver: &str,
    comment: &str,
) -> Vec<u8> {
    let pieces = [
        "signoff/v2",
        text(approval, "audience"),
        key_id,
        id(approval),
        text(approval, "request_digest"),
        text(approval, "expires_at"),
        decision,
        approver,
        comment,
    ];
    let mut message = 9u64.to_le_bytes().to_vec();
    for piece in pieces {
        message.extend((piece.len() as u64).to_le_bytes());
        message.extend(piece.as_bytes());
    }
    message
}

/// A key that signs in this process for the person that it is bound to.
#[derive(Clone)]
pub struct KeyV2 {
    pub id: String,
    pub approver: String,
    secret: Secret,
}

#[derive(Clone)]
enum Secret {
    Hmac(Vec<u8>),
    Ed25519(Box<SigningKey>),
}

impl KeyV2 {
    /// Reads a key from the keyring of a home.
    #[track_caller]
    pub fn of(home: &Home, id: &str) -> Self {
        let keyring = fs::read(home.path("signoff.keys.json")).unwrap();
        let keyring: Value = serde_json::from_slice(&keyring).unwrap();
        let keys = keyring["keys"].as_array().unwrap();
        let key = keys.iter().find(|key| key["id"] == id).expect("a key of this id");
        let bytes = |field| Base64UrlUnpadded::decode_vec(text(key, field)).unwrap();
        let secret = match text(key, "algorithm") {
            "ed25519" => {
                let seed: [u8; 32] = bytes("private").try_into().unwrap();
                Secret::Ed25519(Box::new(SigningKey::from_bytes(&seed)))
            }
            _ => Secret::Hmac(bytes("material")),
        };
        Self { id: id.to_owned(), approver: text(key, "approver").to_owned(), secret }
    }

    /// Returns the same key under another id or for another person.
    pub fn as_if(&self, id: &str, approver: &str) -> Self {
        Self { id: id.to_owned(), approver: approver.to_owned(), secret: self.secret.clone() }
    }

    /// Signs a decision.
    #[track_caller]
    pub fn sign(&self, approval: &Value, decision: &str, comment: &str) -> String {
        let message = message_v2(approval, &self.id, decision, &self.approver, comment);
        let signature = match &self.secret {
            Secret::Hmac(secret) => {
                let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
                mac.update(&message);
                mac.finalize().into_bytes().to_vec()
            }
            Secret::Ed25519(key) => key.sign(&message).to_bytes().to_vec(),
        };
        format!("v2.{}.{}", self.id, Base64UrlUnpadded::encode_string(&signature))
    }

    /// Returns a signed decision without a comment as the body of `/approve`.
    #[track_caller]
    pub fn ballot(&self, approval: &Value, decision: &str) -> Value {
        json!({
            "decision": decision,
            "approver": self.approver,
            "signature": self.sign(approval, decision, ""),
        })
    }
}
