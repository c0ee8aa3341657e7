//! The signature of a manifest: a DSSE v1 envelope (Dead Simple Signing Envelope,
//! secure-systems-lab) with exactly one Ed25519 signature.
//!
//! The signed message is the pre-authentication encoding `DSSEv1 SP len(type) SP type SP
//! len(payload) SP payload`, with decimal lengths, so that a payload of one type is never mistaken
//! for another's.

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::manifest::Manifest;
use super::strict;
use crate::base64;
use crate::ed25519::PublicKey;
use crate::name::KeyId;
use crate::rejection::{Code, Rejection};

/// The payload type.
pub const PAYLOAD_TYPE: &str = "application/vnd.signoff.module+json";

/// Maximum size of an envelope. A manifest is a few hundred bytes.
pub const ENVELOPE_BYTES_MAX: usize = 16 << 10;

/// A parsed envelope whose signature is not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    payload: Vec<u8>,
    key_id: KeyId,
    signature: [u8; 64],
}

/// A key that may sign manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleSigner<'a> {
    /// Whether it is revoked, or its material is revoked under another id.
    pub is_revoked: bool,
    /// The slots that it signs for, by their names.
    pub slots: Vec<&'a str>,
    /// The Ed25519 public key.
    pub public_key: [u8; 32],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text<'a> {
    #[serde(rename = "payloadType")]
    payload_type: String,
    payload: String,
    #[serde(borrow)]
    signatures: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureText {
    keyid: String,
    sig: String,
}

impl Envelope {
    /// Signs a manifest with the key `key_id`: `sign` signs the bytes that it gets.
    pub fn sign(manifest: &Manifest, key_id: KeyId, sign: impl FnOnce(&[u8]) -> [u8; 64]) -> Self {
        let payload = manifest.to_json().to_string().into_bytes();
        let signature = sign(&to_sign(PAYLOAD_TYPE, &payload));
        Self { payload, key_id, signature }
    }

    /// Parses an envelope.
    ///
    /// # Errors
    ///
    /// 1. `limit-exceeded`: longer than 16 KiB 2. `manifest-invalid`: not a JSON object of these
    ///    members, each once; another payload type; a payload that is not base64 (padded, the one
    ///    encoding); no signature, or more than one; a malformed key id or signature
    pub fn parse(text: &str) -> Result<Self, Rejection> {
        if text.len() > ENVELOPE_BYTES_MAX {
            return Err(Rejection::new(
                Code::LimitExceeded,
                format!(
                    "the manifest's envelope is {} bytes, the limit is {ENVELOPE_BYTES_MAX}",
                    text.len()
                ),
            ));
        }
        let read: Text<'_> = strict::object("envelope", text)?;
        if read.payload_type != PAYLOAD_TYPE {
            return Err(invalid(format!("payloadType is not `{PAYLOAD_TYPE}`")));
        }
        let payload =
            base64::decode(&read.payload).ok_or_else(|| invalid("payload is not base64"))?;
        let signature = match read.signatures.as_slice() {
            [one] => strict::member::<SignatureText>("envelope: signatures", one)?,
            [] => return Err(invalid("it has no signature, expected exactly one")),
            many => {
                return Err(invalid(format!(
                    "it has {} signatures, expected exactly one",
                    many.len()
                )));
            }
        };
        let key_id =
            KeyId::new(signature.keyid).map_err(|_| invalid("keyid must be `[a-z0-9_-]{1,64}`"))?;
        let signature = base64::decode(&signature.sig).and_then(|bytes| bytes.try_into().ok());
        let signature = signature.ok_or_else(|| invalid("sig is not 64 bytes in base64"))?;
        Ok(Self { payload, key_id, signature })
    }

    /// Returns the manifest without verifying its signature: for display only, never for a
    /// decision.
    ///
    /// # Errors
    ///
    /// As [`Manifest::parse`].
    pub fn claims(&self) -> Result<Manifest, Rejection> {
        let text = std::str::from_utf8(&self.payload);
        text.map_err(|_| invalid("the payload is not UTF-8")).and_then(Manifest::parse)
    }

    /// Returns the id of the signing key.
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// Verifies the signature with the key that has the id of the envelope, `None` if there is none.
    /// Parses the manifest only if it is valid.
    ///
    /// # Errors
    ///
    /// 1. `key-unknown` 2. `key-revoked` 3. `signature-invalid` 4. as [`Manifest::parse`]
    /// 5. `key-not-yours`: the key does not sign for the manifest's slot
    pub fn verify(&self, signer: Option<&ModuleSigner<'_>>) -> Result<Manifest, Rejection> {
        let id = self.key_id.as_str();
        let Some(signer) = signer else {
            let detail =
                format!("no module key has the id `{id}`; import it with `signoff key import`");
            return Err(Rejection::new(Code::KeyUnknown, detail));
        };
        if signer.is_revoked {
            return Err(Rejection::new(Code::KeyRevoked, format!("key `{id}` is revoked")));
        }
        self.check(&signer.public_key)?;
        let manifest = self.claims()?;
        if !signer.slots.contains(&manifest.slot.as_str()) {
            let slot = manifest.slot;
            let detail = format!(
                "key `{id}` does not sign for slot `{slot}`; its entry must name the slot in `groups`"
            );
            return Err(Rejection::new(Code::KeyNotYours, detail));
        }
        Ok(manifest)
    }

    fn check(&self, public: &[u8; 32]) -> Result<(), Rejection> {
        let message = to_sign(PAYLOAD_TYPE, &self.payload);
        if PublicKey::decode(public).is_ok_and(|key| key.verifies(&message, &self.signature)) {
            return Ok(());
        }
        let detail = format!("the manifest's signature is not by key `{}`", self.key_id);
        Err(Rejection::new(Code::SignatureInvalid, detail))
    }

    /// Returns its canonical text: compact, with members in order.
    pub fn to_text(&self) -> String {
        // Written by hand, so that the order of members does not depend on a map.
        format!(
            "{{\"payloadType\":{},\"payload\":{},\"signatures\":[{{\"keyid\":{},\"sig\":{}}}]}}",
            json!(PAYLOAD_TYPE),
            json!(base64::encode(&self.payload)),
            json!(self.key_id.as_str()),
            json!(base64::encode(&self.signature)),
        )
    }

    /// Returns the SHA-256 of its text, 64 lower-case hex characters.
    pub fn digest(&self) -> String {
        crate::hex::sha256(self.to_text().as_bytes())
    }
}

/// Returns the pre-authentication encoding: the exact bytes that are signed.
pub fn to_sign(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

fn invalid(why: impl std::fmt::Display) -> Rejection {
    Rejection::new(Code::ManifestInvalid, format!("envelope: {why}"))
}
