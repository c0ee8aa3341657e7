//! The formats of an audit log that anybody can verify: the tree of its entries (RFC 6962), proofs,
//! signed notes and checkpoints (C2SP `signed-note`, `tlog-checkpoint`), and the log's public key.
//!
//! An entry's text, byte for byte as it is stored and exported, is a leaf of the tree; entry number N
//! is leaf N - 1. Whoever holds a checkpoint and trusts its key finds every edit, removal and
//! reordering of what it covers. Private keys are not handled here.

pub mod checkpoint;
pub mod key;
pub mod note;
pub mod tree;
