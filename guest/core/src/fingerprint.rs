//! Fingerprints: by which people and logs tell keys apart without the material.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::hex;

/// Characters of a fingerprint: 128 bits.
const CHARACTERS: usize = 32;

/// The fingerprint of a key's material (a secret, or a public key): the first 32 lower-case hex
/// characters of HMAC-SHA256 of `signoff/key-fingerprint` under it. None for a material that HMAC
/// cannot use, of which there is none.
pub fn fingerprint(material: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(material).ok()?;
    mac.update(b"signoff/key-fingerprint");
    let mut text = hex::encode(&mac.finalize().into_bytes());
    text.truncate(CHARACTERS);
    Some(text)
}
