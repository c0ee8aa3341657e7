//! The signature of a manifest: a DSSE v1 envelope (Dead Simple Signing Envelope,
//! secure-systems-lab) with exactly one Ed25519 signature.
//!
//! The signed message is the pre-authentication encoding `DSSEv1 SP len(type) SP type SP
//! len(payload) SP payload`, with decimal lengths, so that a payload of one type is never mistaken
//! for another's.

use ed25519_dalek::Signer;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use signoff_core::base64;
use signoff_core::ed25519::PublicKey;

use super::manifest::Manifest;
use super::name::Slot;
use super::strict;
use crate::code::Code;
use crate::keys::{KeyId, Keys, ModuleKey, ModulePublic, Status};
use crate::refusal::Refusal;

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

/// A manifest whose signature was verified with a key that signs for its slot. Only
/// [`Envelope::verify`] makes one.
#[derive(Clone, Debug)]
pub struct Signed {
    manifest: Manifest,
    envelope: Envelope,
    /// The keys it was verified with.
    keys: Keys,
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
    /// Signs a manifest.
    pub fn sign(manifest: &Manifest, key: &ModuleKey) -> Self {
        let payload = manifest.to_json().to_string().into_bytes();
        let signature = key.signing_key().sign(&to_sign(PAYLOAD_TYPE, &payload)).to_bytes();
        Self { payload, key_id: key.id().clone(), signature }
    }

    /// Parses an envelope.
    ///
    /// # Errors
    ///
    /// 1. `limit-exceeded`: longer than 16 KiB 2. `manifest-invalid`: not a JSON object of these
    ///    members, each once; another payload type; a payload that is not base64 (padded, the one
    ///    encoding); no signature, or more than one; a malformed key id or signature
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if text.len() > ENVELOPE_BYTES_MAX {
            return Err(Refusal::new(
                Code::LIMIT_EXCEEDED,
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
    pub fn claims(&self) -> Result<Manifest, Refusal> {
        let text = std::str::from_utf8(&self.payload);
        text.map_err(|_| invalid("the payload is not UTF-8")).and_then(Manifest::parse)
    }

    /// Returns the id of the signing key.
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// Verifies the signature, and parses the manifest only if it is valid.
    ///
    /// # Errors
    ///
    /// 1. `key-unknown`: no key of use `module` has the id 2. `key-revoked`: also if its material
    ///    is revoked under another id 3. `signature-invalid` 4. as [`Manifest::parse`]
    /// 5. `key-not-yours`: the key does not sign for the manifest's slot
    pub fn verify(self, keys: &Keys) -> Result<Signed, Refusal> {
        let id = self.key_id.as_str();
        let Some(key) = keys.module_public(id) else {
            let detail =
                format!("no module key has the id `{id}`; import it with `signoff key import`");
            return Err(Refusal::new(Code::KEY_UNKNOWN, detail));
        };
        if key.status == Status::Revoked {
            return Err(Refusal::new(Code::KEY_REVOKED, format!("key `{id}` is revoked")));
        }
        self.check(&key.public_key)?;
        let manifest = self.claims()?;
        signs_for(&key, manifest.slot)?;
        Ok(Signed { manifest, envelope: self, keys: keys.clone() })
    }

    fn check(&self, public: &[u8; 32]) -> Result<(), Refusal> {
        let message = to_sign(PAYLOAD_TYPE, &self.payload);
        if PublicKey::decode(public).is_ok_and(|key| key.verifies(&message, &self.signature)) {
            return Ok(());
        }
        let detail = format!("the manifest's signature is not by key `{}`", self.key_id);
        Err(Refusal::new(Code::SIGNATURE_INVALID, detail))
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
        hex::encode(Sha256::digest(self.to_text()))
    }
}

impl Signed {
    /// Returns the signed manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns its envelope.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Renews the proof under current keys. Verifies the signature again only if the keys changed.
    ///
    /// # Errors
    ///
    /// As [`Envelope::verify`].
    pub fn under(self, keys: &Keys) -> Result<Self, Refusal> {
        if self.keys.is(keys) { Ok(self) } else { self.envelope.verify(keys) }
    }
}

/// Returns the pre-authentication encoding: the exact bytes that are signed.
pub(crate) fn to_sign(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// Checks that a key signs for a slot: its groups must contain the slot's name.
fn signs_for(key: &ModulePublic, slot: Slot) -> Result<(), Refusal> {
    if key.groups.iter().any(|group| group.as_str() == slot.as_str()) {
        return Ok(());
    }
    let detail = format!(
        "key `{}` does not sign for slot `{slot}`; its entry must name the slot in `groups`",
        key.id
    );
    Err(Refusal::new(Code::KEY_NOT_YOURS, detail))
}

fn invalid(why: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::MANIFEST_INVALID, format!("envelope: {why}"))
}
