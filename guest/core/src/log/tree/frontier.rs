//! The right edge of a growing tree: everything needed to add leaves and compute the root.

use super::{
    EMPTY_ROOT, Hash, SIZE_MAX, TreeError, node, stored_count, stored_position, stored_subtree,
};

/// The complete subtrees that a tree consists of, at most one per level. The only writer of a store
/// keeps it in memory, so that adding a leaf reads nothing, and keeps a clone until the added
/// leaves are on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Largest (leftmost) first: one for each set bit of the size.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Creates the frontier of a tree without leaves.
    pub const fn new() -> Self {
        Self { size: 0, peaks: Vec::new() }
    }

    /// Loads the frontier of the first `size` leaves. Reads one hash for each set bit of the size.
    ///
    /// # Errors
    ///
    /// [`TreeError::TooLarge`], then any error of `read`.
    pub fn load<E>(
        size: u64,
        mut read: impl FnMut(u64) -> Result<Hash, E>,
    ) -> Result<Self, TreeError<E>> {
        if size > SIZE_MAX {
            return Err(TreeError::TooLarge(size));
        }
        let peaks = peaks(0, size).map(|(level, index)| read(stored_position(level, index)));
        Ok(Self { size, peaks: peaks.collect::<Result<_, _>>()? })
    }

    /// Adds a leaf. Returns the hashes to store, with their consecutive positions.
    pub fn push(&mut self, leaf: Hash) -> impl ExactSizeIterator<Item = (u64, Hash)> + use<> {
        let first = stored_count(self.size);
        let mut stored = Vec::new();
        self.grow(leaf, |hash| stored.push(hash));
        stored.into_iter().enumerate().map(move |(at, hash)| (first + at as u64, hash))
    }

    /// Adds a leaf without returning the hashes to store.
    pub fn add(&mut self, leaf: Hash) {
        self.grow(leaf, |_| {});
    }

    fn grow(&mut self, leaf: Hash, mut made: impl FnMut(Hash)) {
        let mut hash = leaf;
        made(hash);
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            hash = node(&left, &hash);
            made(hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// Returns whether the complete subtree stored at a position has this hash. Reads the sibling
    /// hashes on the path to the largest complete subtree that contains it.
    ///
    /// # Errors
    ///
    /// Any error of `read`.
    pub fn contains<E>(
        &self,
        position: u64,
        hash: &Hash,
        mut read: impl FnMut(u64) -> Result<Hash, E>,
    ) -> Result<bool, E> {
        let (mut level, mut index) = stored_subtree(position);
        let above =
            |(top, at): (u32, u64)| level <= top && index.checked_shr(top - level) == Some(at);
        let mut peaks = peaks(0, self.size).zip(&self.peaks);
        let Some(((top, _), peak)) = peaks.find(|(peak, _)| above(*peak)) else {
            return Ok(false);
        };
        let mut hash = *hash;
        while level < top {
            let beside = read(stored_position(level, index ^ 1))?;
            hash = if index & 1 == 0 { node(&hash, &beside) } else { node(&beside, &hash) };
            (level, index) = (level + 1, index >> 1);
        }
        Ok(hash == *peak)
    }

    /// Returns the root.
    pub fn root(&self) -> Hash {
        fold(self.peaks.iter().copied()).unwrap_or(EMPTY_ROOT)
    }

    /// Returns the number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }
}

/// Returns the complete subtrees of `size` leaves from leaf `start`, largest first, as level and
/// index. `start` must be a multiple of every subtree's size.
pub(super) fn peaks(start: u64, size: u64) -> impl Iterator<Item = (u32, u64)> {
    (0..u64::BITS).rev().filter(move |level| size >> level & 1 == 1).map(move |level| {
        let larger = (size >> level) - 1;
        (level, (start >> level) + larger)
    })
}

/// Returns the root over peaks, largest first; `None` without peaks.
pub(super) fn fold(peaks: impl DoubleEndedIterator<Item = Hash>) -> Option<Hash> {
    peaks.rev().reduce(|right, left| node(&left, &right))
}
