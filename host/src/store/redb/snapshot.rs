//! The store as of one commit: every table open for reading, and all read operations.
//!
//! Opening tables costs more than reading a row. The writer therefore opens them once after each
//! commit, and all readers share them until the next commit. Every read compares its result with
//! the [`LogState`] of the same commit.

use redb::{ReadOnlyTable, ReadTransaction, TableError};
use sha2::{Digest, Sha256};

use super::authentic::{self, Source};
use super::failure::unreadable;
use super::format::{
    self, ABOUTS, ANSWER_TIMES, ANSWERS, APPROVALS, AboutKey, AnswerTimeKey, BLOBS, DUE, DueKey,
    ENTRIES, HEAD_KEY, LISTS, ListKey, META, ROWS, SCRUB_KEY, STATE, STATE_KEY, TEXTS, TREE,
};
use super::list::Newest;
use super::rows::{self, ApprovalRow, ERASED_TEXTS};
use crate::id::ApprovalId;
use crate::store::about;
use crate::store::log_state::LogState;
use crate::store::{
    About, Answer, Entry, Query, Row, RowKind, Scope, StoreError, Stored, Summary, Texts, WithTexts,
};
use signoff_core::log::tree::Hash;

/// The tables as of one commit.
pub(super) struct Snapshot {
    /// The text of the head of the log, unverified.
    pub(super) head: String,
    /// The signed note of the saved state, if there is one, unverified.
    pub(super) saved_note: Option<String>,
    /// Whether the unused space of the file may hold erased or removed rows.
    pub(super) owes_compaction: bool,
    pub(super) meta: ReadOnlyTable<&'static str, &'static [u8]>,
    pub(super) approvals: ReadOnlyTable<u128, &'static [u8]>,
    pub(super) texts: ReadOnlyTable<u128, &'static [u8]>,
    pub(super) lists: ReadOnlyTable<&'static ListKey, ()>,
    pub(super) due: ReadOnlyTable<&'static DueKey, ()>,
    pub(super) entries: ReadOnlyTable<u64, &'static [u8]>,
    pub(super) abouts: ReadOnlyTable<&'static AboutKey, ()>,
    pub(super) tree: ReadOnlyTable<u64, &'static Hash>,
    pub(super) rows: ReadOnlyTable<&'static str, &'static [u8]>,
    pub(super) state: ReadOnlyTable<u64, &'static [u8]>,
    /// `None` in a store that never had a module.
    pub(super) blobs: Option<ReadOnlyTable<&'static [u8; 32], &'static [u8]>>,
    pub(super) answers: ReadOnlyTable<&'static Scope, &'static [u8]>,
    pub(super) answer_times: ReadOnlyTable<&'static AnswerTimeKey, ()>,
    /// Last, so that it is dropped after the tables.
    _txn: ReadTransaction,
}

impl Snapshot {
    pub(super) fn open(txn: ReadTransaction) -> Result<Self, StoreError> {
        let meta = txn.open_table(META)?;
        let text = |row: &[u8]| String::from_utf8(row.to_vec()).ok();
        let head = meta.get(HEAD_KEY)?.and_then(|row| text(row.value()));
        Ok(Self {
            head: head.ok_or_else(|| unreadable("its head"))?,
            saved_note: meta.get(STATE_KEY)?.and_then(|row| text(row.value())),
            owes_compaction: meta.get(SCRUB_KEY)?.is_some(),
            meta,
            approvals: txn.open_table(APPROVALS)?,
            texts: txn.open_table(TEXTS)?,
            lists: txn.open_table(LISTS)?,
            due: txn.open_table(DUE)?,
            entries: txn.open_table(ENTRIES)?,
            abouts: txn.open_table(ABOUTS)?,
            tree: txn.open_table(TREE)?,
            rows: txn.open_table(ROWS)?,
            state: txn.open_table(STATE)?,
            blobs: match txn.open_table(BLOBS) {
                Ok(table) => Some(table),
                Err(TableError::TableDoesNotExist(_)) => None,
                Err(error) => return Err(error.into()),
            },
            answers: txn.open_table(ANSWERS)?,
            answer_times: txn.open_table(ANSWER_TIMES)?,
            _txn: txn,
        })
    }

    /// Returns the bytes of all keys and values.
    #[cfg(test)]
    pub(super) fn stored_bytes(&self) -> Result<u64, StoreError> {
        use redb::ReadableTableMetadata as _;
        let tables = [
            self.approvals.stats()?,
            self.texts.stats()?,
            self.lists.stats()?,
            self.entries.stats()?,
            self.abouts.stats()?,
            self.tree.stats()?,
            self.rows.stats()?,
            self.answers.stats()?,
        ];
        Ok(tables.iter().map(redb::TableStats::stored_bytes).sum())
    }

    pub(super) fn load(
        &self,
        id: ApprovalId,
        texts: WithTexts,
        log: &LogState,
    ) -> Result<Option<Stored>, StoreError> {
        let row = self.approvals.get(id.to_u128())?;
        let row = row.as_ref().map(redb::AccessGuard::value);
        let Some((row, state)) = authentic::approval(id, row, log.approval(id.to_u128()))? else {
            return Ok(None);
        };
        let row = ApprovalRow::decode(row).ok_or_else(|| unreadable(id))?;
        let texts = match texts {
            WithTexts::No => None,
            WithTexts::Yes if row.texts == ERASED_TEXTS => None,
            WithTexts::Yes => Some(self.texts(id, &row.texts)?),
        };
        Ok(Some(stored(id, &row, state.entry, texts)))
    }

    /// Returns the texts of an approval, if they match the hash in its row.
    fn texts(&self, id: ApprovalId, sha256: &Hash) -> Result<Texts, StoreError> {
        let tampered = || StoreError::Tampered(format!("the texts of approval {id}"));
        let row = self.texts.get(id.to_u128())?.ok_or_else(tampered)?;
        if Sha256::digest(row.value()).as_slice() != sha256 {
            return Err(tampered());
        }
        rows::decode_texts(row.value()).ok_or_else(|| unreadable(format_args!("the texts of {id}")))
    }

    pub(super) fn list(&self, query: &Query, log: &LogState) -> Result<Vec<Stored>, StoreError> {
        let mut found = Vec::new();
        let mut newest = Newest::matching(self, query)?;
        while found.len() < query.limit
            && let Some((id, listed)) = newest.next_id()?
        {
            // An index is only a hint: ids that do not match are skipped.
            let id = ApprovalId::from_u128(id);
            if let Some(stored) = self.load(id, WithTexts::No, log)?
                && matches(&stored.summary, query)
                && listed.is_none_or(|status| status == stored.summary.status)
            {
                found.push(stored);
            }
        }
        Ok(found)
    }

    pub(super) fn due(
        &self,
        now: u64,
        limit: usize,
        log: &LogState,
    ) -> Result<Vec<ApprovalId>, StoreError> {
        let last = format::due_key(now, u128::MAX);
        let mut ids = Vec::new();
        for row in self.due.range::<&DueKey>(..=&last)? {
            if ids.len() == limit {
                break;
            }
            let key = *row?.0.value();
            let id = format::id_of(&key).ok_or_else(|| unreadable("a due time"))?;
            let id = ApprovalId::from_u128(id);
            if self.is_due(id, &key, log)? {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    /// Returns whether a row of `due` matches its approval. An index is only a hint: rows that do
    /// not match or differ from the log are skipped, so that they do not hold up other approvals.
    fn is_due(&self, id: ApprovalId, key: &DueKey, log: &LogState) -> Result<bool, StoreError> {
        let row = self.approvals.get(id.to_u128())?;
        let row = row.as_ref().map(redb::AccessGuard::value);
        let found = match authentic::approval(id, row, log.approval(id.to_u128())) {
            Err(StoreError::Tampered(_)) => None,
            found => found?,
        };
        let due_at = found.and_then(|(row, _)| ApprovalRow::decode(row)?.due_at);
        Ok(due_at.is_some_and(|due_at| format::due_key(due_at, id.to_u128()) == *key))
    }

    pub(super) fn entries(
        &self,
        after: u64,
        limit: usize,
        log: &LogState,
    ) -> Result<Vec<Entry>, StoreError> {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        let last = log.size().min(after.saturating_add(limit));
        let mut entries = Vec::new();
        // One by one: a missing entry must not look as if it had never existed.
        for number in after.saturating_add(1)..=last {
            let row = self.entries.get(number)?;
            let missing = || StoreError::Tampered(format!("audit entry {number}"));
            entries.push(entry(number, row.ok_or_else(missing)?.value())?);
        }
        self.log_source().verify(&entries, log.tree())?;
        Ok(entries)
    }

    pub(super) fn entries_about(
        &self,
        about: About,
        after: u64,
        limit: usize,
        log: &LogState,
    ) -> Result<Vec<Entry>, StoreError> {
        let Some(first) = after.checked_add(1) else {
            return Ok(Vec::new());
        };
        let range = format::about_key(about, first)..=format::about_key(about, u64::MAX);
        // An index is only a hint: an entry about another subject is skipped after it was verified
        // against the log.
        let is_about = |entry: &Entry| about::of_entry(&entry.text).is_none_or(|of| of == about);
        let (mut entries, mut count) = (Vec::new(), 0);
        for row in self.abouts.range::<&AboutKey>(range.start()..=range.end())? {
            if count == limit {
                break;
            }
            let number = format::number_of(row?.0.value()).unwrap_or_default();
            let text = self.entries.get(number)?;
            let text = text.ok_or_else(|| unreadable(format_args!("audit entry {number}")))?;
            let entry = entry(number, text.value())?;
            count += usize::from(is_about(&entry));
            entries.push(entry);
        }
        self.log_source().verify(&entries, log.tree())?;
        entries.retain(is_about);
        Ok(entries)
    }

    pub(super) fn hashes(
        &self,
        positions: &[u64],
        log: &LogState,
    ) -> Result<Vec<Hash>, StoreError> {
        let source = self.log_source();
        positions.iter().map(|position| source.verified_hash(*position, log.tree())).collect()
    }

    /// Returns the tables from which the tree is read.
    pub(super) fn log_source(
        &self,
    ) -> Source<'_, ReadOnlyTable<u64, &'static [u8]>, ReadOnlyTable<u64, &'static Hash>> {
        Source { entries: &self.entries, tree: &self.tree }
    }

    pub(super) fn row(
        &self,
        kind: RowKind,
        id: &str,
        log: &LogState,
    ) -> Result<Option<Row>, StoreError> {
        let row = self.rows.get(format::row_key(kind, id).as_str())?;
        let row = row.as_ref().map(redb::AccessGuard::value);
        let found = authentic::row(kind, id, row, log.row(kind, id))?;
        Ok(found.map(|(value, entry)| Row { id: id.to_owned(), value, entry }))
    }

    pub(super) fn blob(&self, digest: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(row) = self.blobs.as_ref().map(|blobs| blobs.get(digest)).transpose()?.flatten()
        else {
            return Ok(None);
        };
        let bytes = rows::decode_blob(row.value());
        bytes.map(|bytes| Some(bytes.to_vec())).ok_or_else(|| unreadable("a module"))
    }

    pub(super) fn answer(
        &self,
        scope: &Scope,
        log: &LogState,
    ) -> Result<Option<Answer>, StoreError> {
        let Some(row) = self.answers.get(scope)? else {
            return Ok(None);
        };
        let source = self.log_source();
        let answer = authentic::answer(scope, row.value(), &source, log.tree(), log.at())?;
        Ok(answer.map(|(_, answer)| answer))
    }
}

fn entry(number: u64, row: &[u8]) -> Result<Entry, StoreError> {
    let text = rows::decode_text(row);
    let text = text.ok_or_else(|| unreadable(format_args!("audit entry {number}")))?;
    Ok(Entry { number, text: text.to_owned() })
}

fn matches(summary: &Summary, query: &Query) -> bool {
    let names = format::Filter::new(query.agent.as_deref(), query.action.as_deref());
    query.status.is_none_or(|status| status == summary.status)
        && names.passes(&summary.agent, &summary.action)
}

fn stored(id: ApprovalId, row: &ApprovalRow<'_>, entry: u64, texts: Option<Texts>) -> Stored {
    Stored {
        summary: Summary {
            id,
            status: row.status,
            agent: row.agent.to_owned(),
            action: row.action.to_owned(),
            requested_at: row.requested_at,
            expires_at: row.expires_at,
            due_at: row.due_at,
        },
        record: row.record.to_owned(),
        entry,
        texts,
    }
}
