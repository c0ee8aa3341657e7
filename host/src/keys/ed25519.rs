//! Ed25519 keys (RFC 8032): 32-byte public keys, 32-byte seeds.

use ed25519_dalek::{SigningKey, VerifyingKey};
use zeroize::Zeroizing;

/// Bytes of a seed, and of a public key.
pub(crate) const KEY_BYTES: usize = 32;

/// A private seed, wiped when it is dropped.
pub(crate) type Seed = Zeroizing<[u8; KEY_BYTES]>;

/// A new random seed.
pub(crate) fn new_seed() -> Seed {
    Zeroizing::new(rand::random())
}

/// The public key of a seed.
pub(crate) fn public_of(seed: &Seed) -> [u8; KEY_BYTES] {
    SigningKey::from_bytes(seed).verifying_key().to_bytes()
}

/// Refuses what is no point in its one encoding, and points of small order: signatures that
/// anybody can make verify under those.
pub(crate) fn check_public(public: &[u8; KEY_BYTES]) -> Result<(), &'static str> {
    let key = VerifyingKey::from_bytes(public).map_err(|_| "material is no ed25519 public key")?;
    if key.to_edwards().compress().as_bytes() != public {
        return Err("material is not the canonical encoding of an ed25519 public key");
    }
    if key.is_weak() {
        return Err("material is an ed25519 public key of small order, which anybody can sign for");
    }
    Ok(())
}
