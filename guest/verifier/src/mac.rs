//! HMAC-SHA256 (RFC 2104, FIPS 180-4): full-length tags, compared in constant time.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Returns the tag of a message. `None` cannot occur: HMAC takes keys of any length.
pub fn sign(key: &[u8], message: &[u8]) -> Option<[u8; 32]> {
    Some(started(key, message)?.finalize().into_bytes().into())
}

/// Returns whether `code` is the tag of the message under the key. A truncated tag never is.
pub fn verify(key: &[u8], message: &[u8], code: &[u8]) -> bool {
    // `verify_slice` compares in constant time and refuses every other length.
    started(key, message).is_some_and(|mac| mac.verify_slice(code).is_ok())
}

fn started(key: &[u8], message: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(message);
    Some(mac)
}
