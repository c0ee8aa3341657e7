//! The embedded modules: the verifier (a component) and the policy template (a core module), both
//! built from `guest/` by the build script.

use sha2::{Digest, Sha256};

mod built {
    include!(concat!(env!("OUT_DIR"), "/verifier.rs"));
}

/// The verifier component.
pub static VERIFIER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/verifier.wasm"));

/// Its SHA-256, 64 lower-case hex characters: the module's digest everywhere.
pub const VERIFIER_DIGEST: &str = built::DIGEST;

/// Returns the core module inside it, for runtimes without component support.
pub fn verifier_core() -> &'static [u8] {
    VERIFIER.get(built::CORE).unwrap_or_default()
}

mod template {
    include!(concat!(env!("OUT_DIR"), "/policy-template.rs"));
}

/// The core module into which `signoff policy build` writes rules.
pub static POLICY_TEMPLATE: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/policy-template.wasm"));

/// Size of its stack in bytes, which is at the start of its memory.
pub const POLICY_STACK_BYTES: usize = template::STACK_BYTES;

/// Returns the digest of a module: the SHA-256 of its bytes, 64 lower-case hex characters.
pub fn digest(wasm: &[u8]) -> String {
    hex::encode(Sha256::digest(wasm))
}
