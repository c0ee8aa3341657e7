//! HMAC-SHA256 (RFC 2104, FIPS 180-4), whole and compared in constant time.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The code of a message under a key; none for a key that cannot be used, which HMAC has none of.
pub fn sign(key: &[u8], message: &[u8]) -> Option<[u8; 32]> {
    Some(started(key, message)?.finalize().into_bytes().into())
}

/// Whether a code is that of the message under the key. A shortened one never is.
pub fn verify(key: &[u8], message: &[u8], code: &[u8]) -> bool {
    // `verify_slice` compares in constant time, and refuses every other length.
    started(key, message).is_some_and(|mac| mac.verify_slice(code).is_ok())
}

fn started(key: &[u8], message: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(message);
    Some(mac)
}
