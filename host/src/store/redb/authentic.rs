//! Authenticates tables against the log: rows by their hashes, entries by the tree.

use redb::ReadableTable;

use super::failure::unreadable;
use super::format::{TREE_LEVEL_MIN, row_key};
use super::rows;
use crate::id::ApprovalId;
use crate::store::log_state::entry::EntryParts;
use crate::store::log_state::{ApprovalState, RowState, hash};
use crate::store::{ANSWER_SECONDS, Answer, Entry, RowKind, Scope, StoreError};
use signoff_core::log::tree::{self, Frontier, Hash, TreeError};

/// Entries in the smallest subtree whose hash is stored.
const BLOCK: u64 = 1 << TREE_LEVEL_MIN;

/// The tables from which the tree is read. They are not trusted: an edited hash gives another root.
pub(super) struct Source<'a, E, T> {
    pub(super) entries: &'a E,
    pub(super) tree: &'a T,
}

/// Returns an approval's row with its state; `None` if neither the table nor the log has it.
///
/// Errors: [`StoreError::Tampered`] if only one of them has it, or their versions differ.
pub(super) fn approval(
    id: ApprovalId,
    row: Option<&[u8]>,
    known: Option<ApprovalState>,
) -> Result<Option<(&[u8], ApprovalState)>, StoreError> {
    let known = known.filter(|state| state.status.is_some());
    match (row, known) {
        (None, None) => Ok(None),
        (Some(row), Some(state))
            if state.is(&hash::of_row(RowKind::Approval, &id.to_string(), row)) =>
        {
            Ok(Some((row, state)))
        }
        _ => Err(StoreError::Tampered(format!("approval {id}"))),
    }
}

/// Returns the value of one of the host's own rows and the entry that wrote it; `None` if neither
/// the table nor the log has it.
///
/// Errors: as [`approval`].
pub(super) fn row(
    kind: RowKind,
    id: &str,
    row: Option<&[u8]>,
    known: Option<RowState>,
) -> Result<Option<(String, u64)>, StoreError> {
    let tampered = || StoreError::Tampered(row_key(kind, id));
    let known = known.and_then(|state| state.sha256.map(|sha256| (sha256, state.entry)));
    match (row, known) {
        (None, None) => Ok(None),
        (Some(row), Some((sha256, entry))) => {
            let value = rows::decode_text(row).ok_or_else(tampered)?;
            if hash::of_row(kind, id, value.as_bytes()) != sha256 {
                return Err(tampered());
            }
            Ok(Some((value.to_owned(), entry)))
        }
        _ => Err(tampered()),
    }
}

/// Returns a stored answer and its entry, if the entry is in the log and has the answer's hash.
/// `None` if the answer has expired at `now`.
///
/// Errors: [`StoreError::Tampered`].
pub(super) fn answer<E, T>(
    scope: &Scope,
    row: &[u8],
    source: &Source<'_, E, T>,
    log: &Frontier,
    now: u64,
) -> Result<Option<(u64, Answer)>, StoreError>
where
    E: ReadableTable<u64, &'static [u8]>,
    T: ReadableTable<u64, &'static Hash>,
{
    let id = hex::encode(scope);
    let tampered = || StoreError::Tampered(format!("the stored answer {id}"));
    let (number, answer) = rows::decode_answer(row).ok_or_else(tampered)?;
    if answer.at.saturating_add(ANSWER_SECONDS) <= now {
        return Ok(None);
    }
    let text = source.entry(number)?.ok_or_else(tampered)?;
    source.verify_one(number, &text, log).map_err(|error| match error {
        StoreError::Tampered(_) => tampered(),
        error => error,
    })?;
    let parts = EntryParts::read(&text).map_err(|_| tampered())?;
    let sha256 = hash::of_row(RowKind::Answer, &id, rows::answer_value(row));
    if parts.hash_of(RowKind::Answer, &id) == Some(sha256) {
        return Ok(Some((number, answer)));
    }
    Err(tampered())
}

impl<E, T> Source<'_, E, T>
where
    E: ReadableTable<u64, &'static [u8]>,
    T: ReadableTable<u64, &'static Hash>,
{
    /// Returns the text of an entry, unverified.
    pub(super) fn entry(&self, number: u64) -> Result<Option<String>, StoreError> {
        let Some(row) = self.entries.get(number)? else { return Ok(None) };
        let text = rows::decode_text(row.value()).map(str::to_owned);
        text.map(Some).ok_or_else(|| unreadable(format_args!("audit entry {number}")))
    }

    /// Verifies that entries are in the log.
    ///
    /// Errors: [`StoreError::Tampered`] for the first that is not.
    pub(super) fn verify(&self, entries: &[Entry], log: &Frontier) -> Result<(), StoreError> {
        let mut verified = None;
        for entry in entries {
            let block = entry.number.saturating_sub(1) / BLOCK;
            if verified == Some(block) {
                continue;
            }
            if (block + 1) * BLOCK <= log.size() {
                self.verify_block(block, log)?;
                verified = Some(block);
            } else {
                self.verify_one(entry.number, &entry.text, log)?;
            }
        }
        Ok(())
    }

    /// Verifies the sixteen entries of a complete block together, as read by this transaction.
    fn verify_block(&self, block: u64, log: &Frontier) -> Result<(), StoreError> {
        let first = block * BLOCK;
        let leaf = self.hash_of_entries(first, 1)?;
        self.verify_leaf(first + 1, &leaf, log)
    }

    fn verify_one(&self, number: u64, text: &str, log: &Frontier) -> Result<(), StoreError> {
        self.verify_leaf(number, &tree::leaf(text.as_bytes()), log)
    }

    /// Verifies one leaf. The path of a block's first entry contains the hashes of all others in
    /// the block, which are computed from their texts.
    fn verify_leaf(&self, number: u64, leaf: &Hash, log: &Frontier) -> Result<(), StoreError> {
        let tampered = || StoreError::Tampered(format!("audit entry {number}"));
        let index = number.checked_sub(1).filter(|index| *index < log.size());
        let index = index.ok_or_else(tampered)?;
        let path = tree::inclusion(index, log.size(), |position| self.hash(position));
        let path = path.map_err(|error| match error {
            TreeError::Read(error) => error,
            other => unreadable(other),
        })?;
        tree::check_inclusion(leaf, index, log.size(), &log.root(), &path).map_err(|_| tampered())
    }

    /// Returns the hash of a complete subtree by its stored position, if it is part of the log's
    /// tree.
    ///
    /// Errors: [`StoreError::Tampered`].
    pub(super) fn verified_hash(&self, position: u64, log: &Frontier) -> Result<Hash, StoreError> {
        let hash = self.hash(position)?;
        if log.contains(position, &hash, |position| self.hash(position))? {
            return Ok(hash);
        }
        Err(StoreError::Tampered(format!("hash {position} of the audit tree")))
    }

    /// Returns the hash of a complete subtree by its stored position, unverified.
    pub(super) fn hash(&self, position: u64) -> Result<Hash, StoreError> {
        let (level, index) = tree::stored_subtree(position);
        if level < TREE_LEVEL_MIN {
            return self.hash_of_entries(index << level, 1 << level);
        }
        let row = self.tree.get(position)?;
        let row = row.ok_or_else(|| unreadable(format_args!("hash {position} of the tree")))?;
        Ok(*row.value())
    }

    /// Computes the hash of the complete subtree over `count` entries after `after`.
    fn hash_of_entries(&self, after: u64, count: u64) -> Result<Hash, StoreError> {
        let mut subtree = Frontier::new();
        for row in self.entries.range(after + 1..=after + count)? {
            let (number, row) = row?;
            let text = rows::decode_text(row.value());
            let number = number.value();
            let text = text.ok_or_else(|| unreadable(format_args!("audit entry {number}")))?;
            subtree.add(tree::leaf(text.as_bytes()));
        }
        if subtree.size() != count {
            return Err(unreadable(format_args!("audit entry {}", after + 1 + subtree.size())));
        }
        Ok(subtree.root())
    }
}
