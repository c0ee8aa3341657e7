//! The formats of a publicly verifiable audit log: the tree of its entries (RFC 6962), proofs,
//! signed notes and checkpoints (C2SP `signed-note`, `tlog-checkpoint`), and the log's public key.
//!
//! An entry's text, byte for byte as it is stored and exported, is a leaf of the tree; entry number
//! N is leaf N - 1. A checkpoint whose key is trusted reveals every edit, removal and reordering of
//! the entries it covers. This module does not handle private keys.

pub mod checkpoint;
pub mod key;
pub mod note;
pub mod tree;
