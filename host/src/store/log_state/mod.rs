//! The store's contents according to the audit log: the state that authenticates every row.
//!
//! Each audit entry names the rows that its change wrote, with the hash of each row and the number
//! of the entry that wrote its previous version. At start the log is read once and folded into a
//! `LogState`: for each row, its hash and the entry that wrote it last. The root of the log is
//! compared with the signed head, so an edit of the log by a party that can write the store but has
//! no log key is detected. After that the state, not a table, decides which rows exist, what is
//! revoked, and which time the clock must not precede; every row that is read is hashed and
//! compared with the state.
//!
//! | file | holds |
//! | --- | --- |
//! | `entry` | the text of an entry, format 2 |
//! | `hash` | the hash of a row |
//! | `approvals` | id, status, entry and fingerprint of every approval, 42 bytes each |
//! | `pending` | the effect of one batch of changes on the state, before they are on disk |
//! | `saved` | the serialized state, so that a start reads only later entries |

mod approvals;
pub(crate) mod entry;
pub(crate) mod hash;
mod pending;
pub(crate) mod saved;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Bound;

pub(crate) use self::approvals::ApprovalState;
use self::approvals::Approvals;
pub(crate) use self::pending::{Delta, Pending, ReadEntry, read_entries};
use super::{RowKind, Status};
use signoff_core::log::tree::{Frontier, Hash};

/// The state that results from a log.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogState {
    tree: Frontier,
    /// The time of the last entry, in unix seconds.
    at: u64,
    /// Approvals by status.
    counts: [u64; 6],
    approvals: Approvals,
    /// The host's own rows, by kind and id.
    rows: [BTreeMap<String, RowState>; RowKind::ALL.len()],
}

/// The latest state of one of the host's own rows in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowState {
    /// The hash of the row; `None` if it was removed.
    pub(crate) sha256: Option<Hash>,
    /// The entry that wrote or removed it.
    pub(crate) entry: u64,
}

/// An entry that is inconsistent with the entries before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("audit entry {number}: {why}")]
pub(crate) struct FoldError {
    /// The number of the entry.
    pub(crate) number: u64,
    /// The reason.
    pub(crate) why: String,
}

impl LogState {
    /// The number of the last entry.
    pub(crate) fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The audit tree over all entries.
    pub(crate) fn tree(&self) -> &Frontier {
        &self.tree
    }

    /// The time of the last entry; 0 if there is none.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Approvals by status, in the order of [`Status`].
    pub(crate) fn counts(&self) -> [u64; 6] {
        self.counts
    }

    /// The state of an approval; `None` if the log never had it, or removed it.
    pub(crate) fn approval(&self, id: u128) -> Option<ApprovalState> {
        self.approvals.get(id)
    }

    /// Ids of approvals above `after`, in order.
    pub(crate) fn approvals_after(&self, after: Option<u128>) -> impl Iterator<Item = u128> + '_ {
        self.approvals.after(after).map(|(id, _)| id)
    }

    /// Ids of pending and approved approvals above `after`, in order.
    pub(crate) fn unfinished_after(&self, after: Option<u128>) -> impl Iterator<Item = u128> + '_ {
        let open = |status| matches!(status, Some(Status::Pending | Status::Approved));
        let approvals = self.approvals.after(after);
        approvals.filter(move |(_, state)| open(state.status)).map(|(id, _)| id)
    }

    /// The number of approvals.
    pub(crate) fn approval_count(&self) -> u64 {
        self.approvals.len()
    }

    /// The state of one of the host's own rows; `None` if the log never had it.
    pub(crate) fn row(&self, kind: RowKind, id: &str) -> Option<RowState> {
        self.rows.get(kind as usize)?.get(id).copied()
    }

    /// The host's own rows of a kind that exist, in order of id, after `after`.
    pub(crate) fn rows_after<'a>(
        &'a self,
        kind: RowKind,
        after: &'a str,
    ) -> impl Iterator<Item = (&'a str, RowState)> + 'a {
        let rows = self.rows.get(kind as usize);
        let after = (Bound::Excluded(after), Bound::Unbounded);
        let rows = rows.into_iter().flat_map(move |rows| rows.range::<str, _>(after));
        rows.filter(|(_, state)| state.sha256.is_some()).map(|(id, state)| (id.as_str(), *state))
    }

    /// Applies the changes of a batch.
    pub(crate) fn apply(&mut self, delta: Delta) {
        self.tree = delta.tree;
        self.at = delta.at;
        self.counts = delta.counts;
        let mut removed = Vec::new();
        for (id, state) in delta.approvals {
            match state.status {
                Some(_) => self.approvals.put(id, state),
                None => removed.push(id),
            }
        }
        self.approvals.remove(removed);
        for ((kind, id), state) in delta.rows {
            if let Some(rows) = self.rows.get_mut(kind as usize) {
                rows.insert(id, state);
            }
        }
    }
}

/// Moves one approval from one status count to another. `None` if a count would overflow or
/// underflow, which a log written by this product cannot cause.
fn count(counts: &mut [u64; 6], from: Option<Status>, to: Option<Status>) -> Option<()> {
    if let Some(from) = from {
        let count = counts.get_mut(usize::from(from as u8))?;
        *count = count.checked_sub(1)?;
    }
    if let Some(to) = to {
        let count = counts.get_mut(usize::from(to as u8))?;
        *count = count.checked_add(1)?;
    }
    Some(())
}
