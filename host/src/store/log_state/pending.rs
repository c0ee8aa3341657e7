//! The effect of one batch of changes on the state, before they are on disk. If the batch fails,
//! this is dropped and the state is unchanged.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::thread;

use super::entry::{EntryParts, StateItem};
use super::{ApprovalState, FoldError, LogState, RowState, count};
use crate::id::ApprovalId;
use crate::store::RowKind;
use signoff_core::log::tree::{self, Frontier, Hash};

/// Below this many entries a second thread is not worth its cost.
pub(super) const ONE_THREAD_MAX: usize = 512;

/// A state and the entries appended to it.
pub(crate) struct Pending<'a> {
    base: &'a LogState,
    delta: Delta,
}

/// A stored entry, parsed and hashed: the part of folding that does not depend on the state.
pub(crate) struct ReadEntry<'a> {
    parts: Result<EntryParts<'a>, String>,
    leaf: Hash,
}

/// The changes that entries made to a state.
pub(crate) struct Delta {
    pub(super) tree: Frontier,
    pub(super) at: u64,
    pub(super) counts: [u64; 6],
    pub(super) approvals: HashMap<u128, ApprovalState>,
    pub(super) rows: HashMap<(RowKind, String), RowState>,
}

impl<'a> ReadEntry<'a> {
    /// Parses and hashes the text of an entry.
    pub(crate) fn of(text: &'a str) -> Self {
        Self { parts: EntryParts::read(text), leaf: tree::leaf(text.as_bytes()) }
    }
}

/// Reads entries on two threads: most of the work of a start without a saved state. If no thread
/// can be started, the current one does all of it.
pub(crate) fn read_entries(texts: &[String]) -> Vec<ReadEntry<'_>> {
    fn read(texts: &[String]) -> Vec<ReadEntry<'_>> {
        texts.iter().map(|text| ReadEntry::of(text)).collect()
    }
    if texts.len() < ONE_THREAD_MAX {
        return read(texts);
    }
    let (first, second) = texts.split_at(texts.len() / 2);
    thread::scope(|scope| {
        let other = thread::Builder::new().spawn_scoped(scope, || read(second));
        let mut entries = read(first);
        entries.extend(match other {
            Ok(other) => other.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => read(second),
        });
        entries
    })
}

impl<'a> Pending<'a> {
    /// Starts with a state and no entries.
    pub(crate) fn after(base: &'a LogState) -> Self {
        let delta = Delta {
            tree: base.tree.clone(),
            at: base.at,
            counts: base.counts,
            approvals: HashMap::new(),
            rows: HashMap::new(),
        };
        Self { base, delta }
    }

    /// The number of the next entry.
    pub(crate) fn next_entry(&self) -> u64 {
        self.delta.tree.size() + 1
    }

    /// The time of an entry written at `at`: never before the last entry's.
    pub(crate) fn time(&self, at: u64) -> u64 {
        self.delta.at.max(at)
    }

    /// The audit tree with the appended entries.
    pub(crate) fn tree(&self) -> &Frontier {
        &self.delta.tree
    }

    /// The state of an approval after the appended entries.
    pub(crate) fn approval(&self, id: u128) -> Option<ApprovalState> {
        self.delta.approvals.get(&id).copied().or_else(|| self.base.approval(id))
    }

    /// The state of one of the host's own rows after the appended entries.
    pub(crate) fn row(&self, kind: RowKind, id: &str) -> Option<RowState> {
        let changed = self.delta.rows.get(&(kind, id.to_owned())).copied();
        changed.or_else(|| self.base.row(kind, id))
    }

    /// Appends an entry. Returns the hashes that the tree stores for it, with their positions.
    ///
    /// # Errors
    ///
    /// An entry that is inconsistent with the state: it replaces a version that is not the latest,
    /// names a row twice, has a malformed approval id, or has a time before the last entry's.
    pub(crate) fn append(
        &mut self,
        at: u64,
        state: &[StateItem<'_>],
        text: &str,
    ) -> Result<impl Iterator<Item = (u64, Hash)> + use<>, FoldError> {
        self.push(at, state, tree::leaf(text.as_bytes()))
    }

    /// Appends a stored entry.
    ///
    /// # Errors
    ///
    /// As [`Self::append`], and a text that is not an entry of format 2.
    pub(crate) fn fold(&mut self, entry: &ReadEntry<'_>) -> Result<(), FoldError> {
        let parts = entry.parts.as_ref();
        let parts =
            parts.map_err(|why| FoldError { number: self.next_entry(), why: why.clone() })?;
        self.push(parts.at, &parts.state, entry.leaf).map(drop)
    }

    /// Returns the changes of all appended entries.
    pub(crate) fn finish(self) -> Delta {
        self.delta
    }

    fn push(
        &mut self,
        at: u64,
        state: &[StateItem<'_>],
        leaf: Hash,
    ) -> Result<impl Iterator<Item = (u64, Hash)> + use<>, FoldError> {
        let number = self.next_entry();
        let wrong = |why: String| FoldError { number, why };
        if at < self.delta.at {
            return Err(wrong("its time is earlier than that of the previous entry".to_owned()));
        }
        for item in state {
            self.write(item, number).map_err(wrong)?;
        }
        self.delta.at = at;
        Ok(self.delta.tree.push(leaf))
    }

    fn write(&mut self, item: &StateItem<'_>, number: u64) -> Result<(), String> {
        let other = |last: u64| {
            let (kind, id) = (item.kind, &item.id);
            format!("it replaces entry {} of {kind} `{id}`, and entry {last} wrote it", item.prev)
        };
        match item.kind {
            RowKind::Approval => {
                let id = ApprovalId::parse(&item.id).ok_or("it names a malformed approval id")?;
                // The state forgets removed approvals; their ids are random and never used again.
                let before = self.approval(id.to_u128()).filter(|state| state.status.is_some());
                if before.is_none() && item.sha256.is_none() {
                    return Err(format!("it removes approval `{id}`, which does not exist"));
                }
                let last = before.map_or(0, |state| state.entry);
                if last != item.prev || number == last {
                    return Err(other(last));
                }
                let state = ApprovalState::new(item.status, number, item.sha256.as_ref());
                if state.status.is_none() && item.sha256.is_some() {
                    return Err("it names an approval without a status".to_owned());
                }
                let from = before.and_then(|state| state.status);
                count(&mut self.delta.counts, from, state.status)
                    .ok_or("a count of approvals is out of range")?;
                self.delta.approvals.insert(id.to_u128(), state);
            }
            // An answer's row names its entry, so the state does not keep answers.
            RowKind::Answer => {}
            kind => {
                let last = self.row(kind, &item.id).map_or(0, |state| state.entry);
                if last != item.prev || number == last {
                    return Err(other(last));
                }
                let state = RowState { sha256: item.sha256, entry: number };
                self.delta.rows.insert((kind, item.id.clone().into_owned()), state);
            }
        }
        Ok(())
    }
}
