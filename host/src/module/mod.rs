//! Modules that are shipped to a running host: their names, their signed manifests, and checks of
//! their bytes before anything is compiled or run. Pure: no store, no clock, no engine.
//!
//! `name` defines slots, names, versions and digests, `limits` resource limits, `facts` the facts a
//! module reads, `manifest` its manifest, `envelope` the manifest's signature, `strict` the parsing
//! of both, and `inspect` the checks of the bytes.

mod envelope;
mod facts;
mod inspect;
mod limits;
mod manifest;
mod name;
mod strict;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;

pub use crate::engine::WASM_BYTES_MAX;
pub use envelope::{ENVELOPE_BYTES_MAX, Envelope, PAYLOAD_TYPE, Signed};
pub use facts::{FACTS_MAX, all_given, all_listed, facts_described};
pub use inspect::{Inspected, inspect};
pub use limits::{MEMORY_BYTES_MIN, limits, limits_json};
pub use manifest::Manifest;
pub use name::{FactName, ModuleDigest, ModuleName, Slot, Version};
