//! The embedded verifier: the component that the build script made from `guest/`.

use sha2::{Digest, Sha256};

mod built {
    include!(concat!(env!("OUT_DIR"), "/verifier.rs"));
}

/// The component.
pub static VERIFIER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/verifier.wasm"));

/// Its SHA-256, 64 lower-case hex characters: the module's name everywhere.
pub const VERIFIER_DIGEST: &str = built::DIGEST;

/// The core module inside it, for runtimes without components.
pub fn verifier_core() -> &'static [u8] {
    VERIFIER.get(built::CORE).unwrap_or_default()
}

/// The name of a module: the SHA-256 of its bytes, 64 lower-case hex characters.
pub fn digest(wasm: &[u8]) -> String {
    hex::encode(Sha256::digest(wasm))
}
