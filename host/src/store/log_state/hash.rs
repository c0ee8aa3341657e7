//! The hash of a row: SHA-256 over its kind, its id and its whole value, each preceded by its
//! length (64 bits, big-endian), so that no other row has the same input.

use sha2::{Digest, Sha256};

use crate::store::RowKind;
use signoff_core::log::tree::Hash;

/// Returns the hash of a row.
pub(crate) fn of_row(kind: RowKind, id: &str, value: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    for piece in [kind.as_str().as_bytes(), id.as_bytes(), value] {
        hash.update((piece.len() as u64).to_be_bytes());
        hash.update(piece);
    }
    hash.finalize().into()
}
