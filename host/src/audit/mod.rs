//! The audit log as anyone can verify it: checkpoints, proofs, receipts and exports.
//!
//! An entry's text, byte for byte as stored and exported, is a leaf of an RFC 6962 tree; entry
//! number N is leaf N - 1. With a checkpoint and a trusted key, anyone can detect every edit,
//! removal and reordering of the entries it covers. The formats of tree, note and checkpoint are
//! those of [`signoff_core::log`].
//!
//! [`AuditLog`] reads a store. [`export`] writes and verifies the whole log as a file; [`receipt`]
//! assembles the proof of one approval as a file, which the verifier verifies.

pub mod export;
mod log;
pub mod receipt;

pub use log::{AuditLog, Proof};
