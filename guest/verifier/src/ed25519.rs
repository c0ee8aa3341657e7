//! Ed25519 (RFC 8032): signing with a private seed, and strict verification as defined in
//! [`signoff_core::ed25519`].

use ed25519_dalek::{Signer, SigningKey};
use signoff_core::ed25519::PublicKey;

/// Signs a message with a private seed.
pub fn sign(seed: &[u8; 32], message: &[u8]) -> [u8; 64] {
    // The signing key wipes its copy of the seed on drop.
    SigningKey::from_bytes(seed).sign(message).to_bytes()
}

/// Returns the public key of a private seed.
pub fn public_key(seed: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(seed).verifying_key().to_bytes()
}

/// Returns whether the key made the signature over the message. `false` for a public key that
/// cannot be decoded.
pub fn verify(public_key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    PublicKey::decode(public_key).is_ok_and(|key| key.verifies(message, signature))
}
