//! Ed25519 keys (RFC 8032): 32-byte public keys, 32-byte seeds.

use ed25519_dalek::SigningKey;
pub(crate) use signoff_core::ed25519::KEY_BYTES;
use signoff_core::ed25519::PublicKey;
use zeroize::Zeroizing;

/// A private seed, wiped on drop.
pub(crate) type Seed = Zeroizing<[u8; KEY_BYTES]>;

/// Returns a new random seed.
pub(crate) fn new_seed() -> Seed {
    Zeroizing::new(rand::random())
}

/// Returns the public key of a seed.
pub(crate) fn public_of(seed: &Seed) -> [u8; KEY_BYTES] {
    SigningKey::from_bytes(seed).verifying_key().to_bytes()
}

/// Validates a public key.
///
/// # Errors
///
/// As [`PublicKey::decode`], as a message about the material of a keyring entry.
pub(crate) fn check_public(public: &[u8; KEY_BYTES]) -> Result<(), String> {
    PublicKey::decode(public).map(drop).map_err(|why| format!("material is {why}"))
}
