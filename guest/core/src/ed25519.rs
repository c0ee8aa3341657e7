//! Ed25519 public keys (RFC 8032), decoded strictly: every runtime gives the same answer for a
//! message, key and signature, and a valid signature cannot be turned into another.

use std::fmt;

use ed25519_dalek::{Signature, VerifyingKey};

/// Bytes of a public key, and of a private seed (RFC 8032, section 5.1.5).
pub const KEY_BYTES: usize = 32;
/// Bytes of a signature (RFC 8032, section 5.1.6).
pub const SIGNATURE_BYTES: usize = 64;

/// A canonically encoded public key that is not a point of small order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// Why 32 bytes are not a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicKeyError {
    /// No point of the curve has this encoding.
    NotAPoint,
    /// The encoding is a point's, but not the canonical one.
    NotCanonical,
    /// The point has small order: anyone can make signatures that verify under it.
    SmallOrder,
}

impl PublicKey {
    /// Decodes a public key.
    ///
    /// # Errors
    ///
    /// [`PublicKeyError`], in the order of its variants.
    pub fn decode(encoded: &[u8; KEY_BYTES]) -> Result<Self, PublicKeyError> {
        let key = VerifyingKey::from_bytes(encoded).map_err(|_| PublicKeyError::NotAPoint)?;
        if !is_canonical(encoded) {
            return Err(PublicKeyError::NotCanonical);
        }
        if key.is_weak() {
            return Err(PublicKeyError::SmallOrder);
        }
        Ok(Self(key))
    }

    /// Returns the key's encoding.
    pub fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        self.0.as_bytes()
    }

    /// Returns whether this key made the signature over the message.
    ///
    /// Stricter than RFC 8032, section 5.1.7: the first half of the signature must be canonically
    /// encoded and not of small order, the second half must be below the group order, and the
    /// equation is the one without the cofactor.
    pub fn verifies(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        // `verify_strict` compares the first half with the canonical encoding it computes, and
        // refuses small orders and a second half that is too large.
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Display for PublicKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAPoint => "not an ed25519 public key",
            Self::NotCanonical => "not the canonical encoding of an ed25519 public key",
            Self::SmallOrder => "an ed25519 public key of small order, under which anyone can sign",
        })
    }
}

impl std::error::Error for PublicKeyError {}

/// Returns whether the y of an encoded point is below the field's prime, 2^255 - 19. The other
/// coordinate has two encodings only if it is 0, and those two points are of small order.
fn is_canonical(point: &[u8; KEY_BYTES]) -> bool {
    let [first, middle @ .., last] = point;
    let y_is_prime_or_more =
        *first >= 0xed && middle.iter().all(|byte| *byte == 0xff) && last & 0x7f == 0x7f;
    !y_is_prime_or_more
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test fails by a panic")]
mod tests {
    use super::{PublicKey, PublicKeyError, VerifyingKey};

    #[test]
    fn an_encoding_of_the_prime_or_more_is_refused() {
        // Signatures cannot test this: the secrets of points with such an encoding are unknown.
        let mut points = 0;
        for more in 0..=18 {
            for sign in [0, 0x80] {
                let mut encoded = [0xff; 32];
                (encoded[0], encoded[31]) = (0xed + more, 0x7f | sign);
                let is_point = VerifyingKey::from_bytes(&encoded).is_ok();
                points += u32::from(is_point);
                let why =
                    if is_point { PublicKeyError::NotCanonical } else { PublicKeyError::NotAPoint };
                assert_eq!(PublicKey::decode(&encoded), Err(why), "p + {more}, sign {sign}");
            }
        }
        assert!(points > 10, "{points} would have been taken");
    }

    #[test]
    fn an_encoding_close_below_the_prime_is_decoded() {
        let mut taken = 0;
        for less in 2..=18 {
            let mut encoded = [0xff; 32];
            (encoded[0], encoded[31]) = (0xed - less, 0x7f);
            let key = PublicKey::decode(&encoded);
            assert_eq!(key.is_ok(), VerifyingKey::from_bytes(&encoded).is_ok());
            taken += u32::from(key.is_ok());
        }
        assert!(taken > 5, "{taken}");
    }

    #[test]
    fn a_point_of_small_order_is_refused() {
        // y = 1, y = -1 and y = 0: orders 1, 2 and 4.
        let (mut one, zero, mut minus_one) = ([0; 32], [0; 32], [0xff; 32]);
        one[0] = 1;
        (minus_one[0], minus_one[31]) = (0xec, 0x7f);
        for encoded in [one, zero, minus_one] {
            assert_eq!(PublicKey::decode(&encoded), Err(PublicKeyError::SmallOrder));
        }
    }
}
