//! Inclusion and consistency proofs (RFC 6962, section 2.1): creating them from stored hashes, and
//! checking them without any.

use std::fmt;
use std::ops::Range;

use super::frontier::{fold, peaks};
use super::{EMPTY_ROOT, Hash, SIZE_MAX, TreeError, node, split, stored_position};

/// Maximum number of hashes in a proof: one per level, and one more in a consistency proof.
pub const PROOF_HASHES_MAX: usize = 62;

/// Why a proof is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofError {
    /// The leaf is outside the tree, or the older tree is larger than the newer.
    Outside {
        /// The leaf's index, or the older tree's size.
        requested: u64,
        /// The tree's size.
        size: u64,
    },
    /// The proof has the wrong number of hashes for these sizes.
    Length {
        /// The number of hashes in the proof.
        found: usize,
        /// The tree's size.
        size: u64,
    },
    /// The proof does not lead to the older tree's root.
    OlderRoot(u64),
    /// The proof does not lead to the tree's root.
    Root(u64),
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside { requested, size } => {
                write!(f, "the proof is for {requested}, which is outside a tree of {size} leaves")
            }
            Self::Length { found, size } => write!(
                f,
                "the proof has {found} hashes, the wrong number for a tree of {size} leaves"
            ),
            Self::OlderRoot(size) => {
                write!(f, "the proof does not lead to the root of the older tree of {size} leaves")
            }
            Self::Root(size) => {
                write!(f, "the proof does not lead to the root of the tree of {size} leaves")
            }
        }
    }
}

impl std::error::Error for ProofError {}

/// Returns the proof that the leaf with this index is in the tree of `size` leaves, lowest hash
/// first.
///
/// # Errors
///
/// [`TreeError::TooLarge`], [`TreeError::Outside`], then any error of `read`.
pub fn inclusion<E>(
    index: u64,
    size: u64,
    mut read: impl FnMut(u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, TreeError<E>> {
    within(index, index < size, size)?;
    let mut proof = Vec::new();
    let mut tree = 0..size;
    while tree.end - tree.start > 1 {
        let middle = tree.start + split(tree.end - tree.start);
        let (towards, beside) = if index < middle {
            (tree.start..middle, middle..tree.end)
        } else {
            (middle..tree.end, tree.start..middle)
        };
        proof.push(subtree(beside, &mut read)?);
        tree = towards;
    }
    proof.reverse();
    Ok(proof)
}

/// Returns the proof that the tree of `to` leaves extends the tree of `from` leaves, lowest hash
/// first. The proof is empty if `from` is 0 or equal to `to`.
///
/// # Errors
///
/// [`TreeError::TooLarge`], [`TreeError::Outside`], then any error of `read`.
pub fn consistency<E>(
    from: u64,
    to: u64,
    mut read: impl FnMut(u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, TreeError<E>> {
    within(from, from <= to, to)?;
    let mut proof = Vec::new();
    let mut tree = 0..to;
    while from != 0 && tree.end != from {
        let middle = tree.start + split(tree.end - tree.start);
        let (towards, beside) = if from <= middle {
            (tree.start..middle, middle..tree.end)
        } else {
            (middle..tree.end, tree.start..middle)
        };
        proof.push(subtree(beside, &mut read)?);
        tree = towards;
    }
    // The remaining range ends with the older tree. If it also begins with it, its hash is the
    // older root, which the checker already has.
    if tree.start != 0 {
        proof.push(subtree(tree, &mut read)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Checks that a leaf, given by its hash, is in the tree with this root.
///
/// # Errors
///
/// [`ProofError::Outside`], [`ProofError::Length`], [`ProofError::Root`].
pub fn check_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Outside { requested: index, size });
    }
    let mut climb = Climb { at: index, last: size - 1 };
    let mut hash = *leaf;
    for beside in proof {
        match climb.step() {
            Some(Side::Left) => hash = node(beside, &hash),
            Some(Side::Right) => hash = node(&hash, beside),
            None => return Err(ProofError::Length { found: proof.len(), size }),
        }
    }
    if climb.last != 0 {
        return Err(ProofError::Length { found: proof.len(), size });
    }
    if hash == *root { Ok(()) } else { Err(ProofError::Root(size)) }
}

/// Checks that the tree of `to` leaves extends the tree of `from` leaves, by their roots.
///
/// # Errors
///
/// [`ProofError::Outside`], [`ProofError::Length`], [`ProofError::OlderRoot`],
/// [`ProofError::Root`].
pub fn check_consistency(
    from: u64,
    root_from: &Hash,
    to: u64,
    root_to: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    let length = ProofError::Length { found: proof.len(), size: to };
    if from > to {
        return Err(ProofError::Outside { requested: from, size: to });
    }
    if from == 0 || from == to {
        return match proof {
            [] if from == 0 && *root_from != EMPTY_ROOT => Err(ProofError::OlderRoot(from)),
            [] if from == to && root_from != root_to => Err(ProofError::Root(to)),
            [] => Ok(()),
            _ => Err(length),
        };
    }
    // Start at the largest complete subtree at the end of the older tree.
    let level = from.trailing_zeros();
    let mut climb = Climb { at: (from - 1) >> level, last: (to - 1) >> level };
    let (start, rest) = if from.is_power_of_two() {
        (root_from, proof)
    } else {
        proof.split_first().ok_or(length)?
    };
    let (mut older, mut newer) = (*start, *start);
    for beside in rest {
        match climb.step() {
            Some(Side::Left) => {
                older = node(beside, &older);
                newer = node(beside, &newer);
            }
            Some(Side::Right) => newer = node(&newer, beside),
            None => return Err(length),
        }
    }
    if climb.last != 0 {
        return Err(length);
    }
    if older != *root_from {
        return Err(ProofError::OlderRoot(from));
    }
    if newer == *root_to { Ok(()) } else { Err(ProofError::Root(to)) }
}

/// The path from a node to the root: the node's index on its level, and the index of the last node
/// on that level.
struct Climb {
    at: u64,
    last: u64,
}

/// The side of the next hash of a proof.
enum Side {
    Left,
    Right,
}

impl Climb {
    /// Moves one level up, skipping levels on which a node at the right edge has no sibling.
    fn step(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        if self.at == self.last && self.at & 1 == 0 {
            let alone = self.at.trailing_zeros();
            self.at >>= alone;
            self.last >>= alone;
        }
        let side = if self.at & 1 == 1 { Side::Left } else { Side::Right };
        self.at >>= 1;
        self.last >>= 1;
        Some(side)
    }
}

/// Returns the root over a range of leaves that is a subtree in RFC 6962's sense.
fn subtree<E>(
    leaves: Range<u64>,
    mut read: impl FnMut(u64) -> Result<Hash, E>,
) -> Result<Hash, TreeError<E>> {
    let hashes = peaks(leaves.start, leaves.end - leaves.start)
        .map(|(level, index)| read(stored_position(level, index)))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(fold(hashes.into_iter()).unwrap_or(EMPTY_ROOT))
}

fn within<E>(requested: u64, is_within: bool, size: u64) -> Result<(), TreeError<E>> {
    if size > SIZE_MAX {
        return Err(TreeError::TooLarge(size));
    }
    if is_within { Ok(()) } else { Err(TreeError::Outside { requested, size }) }
}
