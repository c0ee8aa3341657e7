//! Modules that ship into a running host: what one is called, the signed manifest that comes with it,
//! and what its bytes must be before anything of them is compiled or run. Pure: no store, no clock, no
//! engine.
//!
//! `name` has the words, `limits` what a module may use, `facts` what it reads, `manifest` what its maker says of it,
//! `envelope` who signed that, `strict` how both are read, and `inspect` what the bytes are.

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
