//! Fingerprints: identify keys without revealing their material.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::hex;

/// Length of a fingerprint in characters: 128 bits.
const CHARACTERS: usize = 32;

/// Returns the fingerprint of a key's material (a secret, or a public key): the first 32 lower-case
/// hex characters of HMAC-SHA256 of `signoff/key-fingerprint` under it. `None` cannot occur: HMAC
/// takes keys of any length.
pub fn fingerprint(material: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(material).ok()?;
    mac.update(b"signoff/key-fingerprint");
    let mut text = hex::encode(&mac.finalize().into_bytes());
    text.truncate(CHARACTERS);
    Some(text)
}
