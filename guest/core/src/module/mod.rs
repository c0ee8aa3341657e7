//! Modules that are shipped to a host: slots, names, the manifest and its signature. Hosts verify a
//! pushed module with these rules, and executors, through the verifier, one that they fetched.
//!
//! | file | contains |
//! | --- | --- |
//! | `name`, `manifest`, `limits`, `facts`, `audience` | slots, names, versions and digests; the manifest and what it lists |
//! | `envelope`, `strict` | the manifest's signature, and the parsing of both |

mod audience;
mod envelope;
mod facts;
mod limits;
mod manifest;
mod name;
mod strict;

pub use audience::is_for;
pub use envelope::{ENVELOPE_BYTES_MAX, Envelope, ModuleSigner, PAYLOAD_TYPE, to_sign};
pub use facts::{FACTS_MAX, all_given, all_listed, facts_described};
pub use limits::{Limits, MEMORY_BYTES_MAX, MEMORY_BYTES_MIN, limits, limits_json};
pub use manifest::Manifest;
pub use name::{FactName, ModuleDigest, ModuleName, Slot, Version};
