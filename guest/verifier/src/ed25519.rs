//! Ed25519 (RFC 8032), strictly: one message, key and signature have one answer in every runtime, and
//! nobody can turn a valid signature into another.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

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
    // small orders and a second half that is too large.
    key(public_key)
        .is_some_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
}

/// The key of an encoding; none for one that is not canonical, or of no point.
fn key(encoded: &[u8; 32]) -> Option<VerifyingKey> {
    is_canonical(encoded).then(|| VerifyingKey::from_bytes(encoded).ok()).flatten()
}

/// Whether the y of an encoded point is below the field's prime, 2^255 - 19. The other coordinate has
/// two encodings only where it is 0, and those two points are of small order.
fn is_canonical(point: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = point;
    let y_is_prime_or_more =
        *first >= 0xed && middle.iter().all(|byte| *byte == 0xff) && last & 0x7f == 0x7f;
    !y_is_prime_or_more
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test fails by a panic")]
mod tests {
    use super::{VerifyingKey, key};

    #[test]
    fn a_key_that_is_written_as_more_than_the_prime_is_none() {
        // No signature tells: nobody knows a secret of the points that can be written so.
        let mut points = 0;
        for more in 0..=18 {
            for sign in [0, 0x80] {
                let mut encoded = [0xff; 32];
                (encoded[0], encoded[31]) = (0xed + more, 0x7f | sign);
                points += u32::from(VerifyingKey::from_bytes(&encoded).is_ok());
                assert!(key(&encoded).is_none(), "p + {more}, sign {sign}");
            }
        }
        assert!(points > 10, "{points} would have been taken");
    }

    #[test]
    fn a_key_close_below_the_prime_is_one() {
        let mut taken = 0;
        for less in 1..=18 {
            let mut encoded = [0xff; 32];
            (encoded[0], encoded[31]) = (0xed - less, 0x7f);
            assert_eq!(key(&encoded).is_some(), VerifyingKey::from_bytes(&encoded).is_ok());
            taken += u32::from(key(&encoded).is_some());
        }
        assert!(taken > 5, "{taken}");
    }
}
