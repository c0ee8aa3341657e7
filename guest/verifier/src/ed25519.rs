//! Ed25519 (RFC 8032), strictly: one message, key and signature have one answer in every runtime, and
//! nobody can turn a valid signature into another.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

/// Signs a message with a private seed.
pub fn sign(seed: &[u8; 32], message: &[u8]) -> [u8; 64] {
    // It wipes its copy of the seed when it is dropped.
    SigningKey::from_bytes(seed).sign(message).to_bytes()
}

/// The public key of a private seed.
pub fn public_key(seed: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(seed).verifying_key().to_bytes()
}

/// Whether a signature is that of the message by the key.
///
/// Beyond RFC 8032, section 5.1.7: the key and the first half of the signature must be encoded in the
/// one canonical way and must not be of small order, the second half must be below the group order,
/// and the equation is the one without the cofactor.
pub fn verify(public_key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    // `verify_strict` compares the first half with what it works out, which is canonical, and refuses
    // small orders and a second half that is too large. It takes the key as it is written.
    is_canonical(public_key)
        && VerifyingKey::from_bytes(public_key)
            .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
}

/// Whether the y of an encoded point is below the field's prime, 2^255 - 19. The other coordinate has
/// two encodings only where it is 0, and those two points are of small order.
fn is_canonical(point: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = point;
    let y_is_prime_or_more =
        *first >= 0xed && middle.iter().all(|byte| *byte == 0xff) && last & 0x7f == 0x7f;
    !y_is_prime_or_more
}

/// A seed out of key material, wiped when it is dropped; none for another length.
pub(crate) fn seed(material: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    material.try_into().ok().map(Zeroizing::new)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test fails by a panic")]
mod tests {
    use super::is_canonical;

    #[test]
    fn only_numbers_below_the_prime_are_canonical() {
        // No signature tells: nobody knows a secret of the points that are written so.
        let mut prime = [0xff; 32];
        (prime[0], prime[31]) = (0xed, 0x7f);
        for more in 0..=18 {
            let mut point = prime;
            point[0] += more;
            assert!(!is_canonical(&point), "p + {more}");
            point[31] |= 0x80;
            assert!(!is_canonical(&point), "p + {more}, negative");
            point[1 + usize::from(more)] = 0xfe;
            assert!(is_canonical(&point), "a byte less");
        }
        prime[0] -= 1;
        assert!(is_canonical(&prime) && is_canonical(&[0; 32]));
    }
}
