//! Ed25519 (RFC 8032): signs with a private seed, and verifies strictly, as
//! [`signoff_core::ed25519`] says.

use ed25519_dalek::{Signer, SigningKey};
use signoff_core::ed25519::PublicKey;

/// Signs a message with a private seed.
pub fn sign(seed: &[u8; 32], message: &[u8]) -> [u8; 64] {
    // It wipes its copy of the seed when it is dropped.
    SigningKey::from_bytes(seed).sign(message).to_bytes()
}

/// The public key of a private seed.
pub fn public_key(seed: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(seed).verifying_key().to_bytes()
}

/// Whether a signature is that of the message by the key. A key that cannot be decoded has signed
/// nothing.
pub fn verify(public_key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    PublicKey::decode(public_key).is_ok_and(|key| key.verifies(message, signature))
}
