//! The RFC 6962 tree: hashes of leaves and nodes, their storage positions, roots and proofs.
//!
//! A stored hash is never rewritten. Adding a leaf stores the leaf's hash and then the hash of each
//! subtree that it completes, smallest first, so leaf `n` begins at position [`stored_count`]`(n)`.
//! Go's `golang.org/x/mod/sumdb/tlog` numbers them the same way.
//!
//! Functions that need stored hashes take a reader, `read(position)`, and pass its errors on. Sizes
//! and indices count leaves; the first leaf has index 0.

mod frontier;
mod proof;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;

use sha2::{Digest, Sha256};

pub use frontier::Frontier;
pub use proof::{
    PROOF_HASHES_MAX, ProofError, check_consistency, check_inclusion, consistency, inclusion,
};

/// A SHA-256 hash of a leaf or a node.
pub type Hash = [u8; 32];

/// The root of a tree without leaves: the SHA-256 of the empty string.
pub const EMPTY_ROOT: Hash = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// The largest tree whose hash positions fit into 63 bits.
pub const SIZE_MAX: u64 = 1 << 61;

/// Prefixes of leaf and node hashes (RFC 6962, section 2.1), so that neither can be taken for the
/// other.
const LEAF: [u8; 1] = [0];
const NODE: [u8; 1] = [1];

/// Why a root or a proof cannot be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeError<E> {
    /// The tree would be larger than [`SIZE_MAX`].
    TooLarge(u64),
    /// The leaf, or the older tree, is not in the tree.
    Outside {
        /// The leaf's index, or the older tree's size.
        requested: u64,
        /// The tree's size.
        size: u64,
    },
    /// A stored hash could not be read.
    Read(E),
}

impl<E> From<E> for TreeError<E> {
    fn from(source: E) -> Self {
        Self::Read(source)
    }
}

impl<E: fmt::Display> fmt::Display for TreeError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(size) => write!(f, "a tree of {size} leaves is too large"),
            Self::Outside { requested, size } => {
                write!(f, "{requested} is outside a tree of {size} leaves")
            }
            Self::Read(source) => source.fmt(f),
        }
    }
}

impl<E: Error> Error for TreeError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Read(read) => read.source(),
            Self::TooLarge(_) | Self::Outside { .. } => None,
        }
    }
}

/// Parses a hash: 64 lower-case hex characters.
pub fn read_hash(text: &str) -> Option<Hash> {
    let hash: Hash = hex::decode(text).ok()?.try_into().ok()?;
    (hex::encode(hash) == text).then_some(hash)
}

/// Returns the hash of a leaf.
pub fn leaf(entry: &[u8]) -> Hash {
    Sha256::new().chain_update(LEAF).chain_update(entry).finalize().into()
}

/// Returns the hash of a node over its two children.
pub fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update(NODE).chain_update(left).chain_update(right).finalize().into()
}

/// Returns the number of hashes stored for a tree of `size` leaves: one per leaf, and one for every
/// complete subtree of two leaves or more.
pub const fn stored_count(size: u64) -> u64 {
    // Each set bit of the size is one complete subtree without a sibling, and thus without a
    // parent.
    size.saturating_mul(2).saturating_sub(size.count_ones() as u64)
}

/// Returns the storage position of the hash of a complete subtree of `2^level` leaves; `index`
/// counts the subtrees of that level from the left.
pub const fn stored_position(level: u32, index: u64) -> u64 {
    // It is written with its last leaf, after that leaf's hash and `level - 1` smaller subtrees.
    let last_leaf = (index + 1).saturating_mul(1 << level) - 1;
    stored_count(last_leaf) + level as u64
}

/// Returns the complete subtree whose hash is stored at a position: its level, and its index among
/// the subtrees of that level.
pub fn stored_subtree(position: u64) -> (u32, u64) {
    // Find the last leaf whose own hash is stored at or before the position: a leaf's hash is
    // followed by those of the subtrees that it completes.
    let (mut first, mut last) = (position / 2, position);
    while first < last {
        let middle = last - (last - first) / 2;
        if stored_count(middle) <= position {
            first = middle;
        } else {
            last = middle - 1;
        }
    }
    let level = u32::try_from(position - stored_count(first)).unwrap_or(u32::MAX);
    (level, first.checked_shr(level).unwrap_or(0))
}

/// Returns the hashes to store, in order, when the leaf with this index is added: the first one at
/// position [`stored_count`]`(index)`. [`Frontier`] does the same without reading.
///
/// # Errors
///
/// [`TreeError::TooLarge`], then any error of `read`.
pub fn appended<E>(
    index: u64,
    leaf: Hash,
    mut read: impl FnMut(u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, TreeError<E>> {
    if index >= SIZE_MAX {
        return Err(TreeError::TooLarge(index.saturating_add(1)));
    }
    let mut hash = leaf;
    let mut hashes = vec![hash];
    for level in 0..index.trailing_ones() {
        let left = read(stored_position(level, (index >> level) - 1))?;
        hash = node(&left, &hash);
        hashes.push(hash);
    }
    Ok(hashes)
}

/// Returns the root of the tree of the first `size` leaves.
///
/// # Errors
///
/// [`TreeError::TooLarge`], then any error of `read`.
pub fn root<E>(size: u64, read: impl FnMut(u64) -> Result<Hash, E>) -> Result<Hash, TreeError<E>> {
    Ok(Frontier::load(size, read)?.root())
}

/// Returns the greatest power of two below a number above one: where RFC 6962 splits a tree.
const fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}
