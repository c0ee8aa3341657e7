//! The publicly verifiable audit log: an RFC 6962 tree over the entries, and signed checkpoints of
//! it.
//!
//! Everything here except the verification of receipts is pure: no store, no HTTP, no clock. An
//! entry's text, byte for byte as stored and exported, is a leaf of the tree; entry number N is
//! leaf N - 1. With a checkpoint and a trusted key, anyone can detect every edit, removal and
//! reordering of the entries it covers.
//!
//! The formats are those of [`signoff_core::log`]: [`tree`] has the hashes, roots and proofs,
//! [`note`] and [`checkpoint`] the signed texts. [`log_key`] adds the private key that signs;
//! [`export`] is the whole log as a file, [`receipt`] one approval as a file, which the verifier
//! verifies.

pub mod export;
mod log;
pub mod log_key;
pub mod receipt;

pub use signoff_core::log::{checkpoint, note, tree};
