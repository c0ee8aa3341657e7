//! The store as one commit left it: every table open for reading, and all the reads there are.
//!
//! Opening tables costs more than reading a row. The writer therefore opens them once after each
//! commit, and every reader until the next commit shares them.

use redb::{ReadOnlyTable, ReadTransaction, TableError};

use super::failure::unreadable;
use super::format::{
    self, ABOUTS, ANSWER_TIMES, ANSWERS, APPROVALS, AboutKey, AnswerTimeKey, BLOBS, DUE, DueKey,
    ENTRIES, FACTS, HEAD_KEY, LISTS, ListKey, META, TEXTS, TREE, TREE_LEVEL_MIN,
};
use super::list::Newest;
use super::rows::{self, ApprovalRow, HeadRow};
use crate::audit::tree::{self, Frontier, Hash, TreeError};
use crate::id::ApprovalId;
use crate::store::{
    About, Answer, Entry, Query, Scope, StoreError, Stored, Summary, Texts, WithTexts,
};

/// What a commit left.
pub(super) struct Snapshot {
    pub(super) head: HeadRow,
    pub(super) approvals: ReadOnlyTable<u128, &'static [u8]>,
    pub(super) texts: ReadOnlyTable<u128, &'static [u8]>,
    pub(super) lists: ReadOnlyTable<&'static ListKey, ()>,
    pub(super) due: ReadOnlyTable<&'static DueKey, ()>,
    pub(super) entries: ReadOnlyTable<u64, &'static [u8]>,
    pub(super) abouts: ReadOnlyTable<&'static AboutKey, ()>,
    pub(super) tree: ReadOnlyTable<u64, &'static Hash>,
    pub(super) facts: ReadOnlyTable<&'static str, &'static [u8]>,
    /// None in a store that never had a module.
    pub(super) blobs: Option<ReadOnlyTable<&'static [u8; 32], &'static [u8]>>,
    pub(super) answers: ReadOnlyTable<&'static Scope, &'static [u8]>,
    pub(super) answer_times: ReadOnlyTable<&'static AnswerTimeKey, ()>,
    /// Last, so that it ends after the tables.
    _txn: ReadTransaction,
}

impl Snapshot {
    pub(super) fn open(txn: ReadTransaction) -> Result<Self, StoreError> {
        let meta = txn.open_table(META)?;
        let head = meta.get(HEAD_KEY)?.and_then(|row| HeadRow::decode(row.value()));
        Ok(Self {
            head: head.ok_or_else(|| unreadable("its head"))?,
            approvals: txn.open_table(APPROVALS)?,
            texts: txn.open_table(TEXTS)?,
            lists: txn.open_table(LISTS)?,
            due: txn.open_table(DUE)?,
            entries: txn.open_table(ENTRIES)?,
            abouts: txn.open_table(ABOUTS)?,
            tree: txn.open_table(TREE)?,
            facts: txn.open_table(FACTS)?,
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

    pub(super) fn load(
        &self,
        id: ApprovalId,
        texts: WithTexts,
    ) -> Result<Option<Stored>, StoreError> {
        let Some(row) = self.approvals.get(id.to_u128())? else {
            return Ok(None);
        };
        let mut stored = stored(id, row.value())?;
        if texts == WithTexts::Yes {
            stored.texts = Some(self.texts(id)?);
        }
        Ok(Some(stored))
    }

    fn texts(&self, id: ApprovalId) -> Result<Texts, StoreError> {
        let row = self.texts.get(id.to_u128())?;
        row.and_then(|row| rows::decode_texts(row.value()))
            .ok_or_else(|| unreadable(format_args!("the texts of {id}")))
    }

    pub(super) fn list(&self, query: &Query) -> Result<Vec<Stored>, StoreError> {
        let mut found = Vec::new();
        let mut newest = Newest::matching(self, query)?;
        while found.len() < query.limit
            && let Some(id) = newest.next_id()?
        {
            let id = ApprovalId::from_u128(id);
            let stored = self.load(id, WithTexts::No)?.ok_or_else(|| unreadable(id))?;
            if matches(&stored.summary, query) {
                found.push(stored);
            }
        }
        Ok(found)
    }

    pub(super) fn due(&self, now: u64, limit: usize) -> Result<Vec<ApprovalId>, StoreError> {
        let last = format::due_key(now, u128::MAX);
        let mut ids = Vec::new();
        for row in self.due.range::<&DueKey>(..=&last)?.take(limit) {
            let id = format::id_of(row?.0.value()).ok_or_else(|| unreadable("a due time"))?;
            ids.push(ApprovalId::from_u128(id));
        }
        Ok(ids)
    }

    pub(super) fn with_prefix(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<ApprovalId>, StoreError> {
        let Some((first, last)) = ApprovalId::prefix_range(prefix) else {
            return Ok(Vec::new());
        };
        let rows = self.approvals.range(first.to_u128()..=last.to_u128())?.take(limit);
        rows.map(|row| Ok(ApprovalId::from_u128(row?.0.value()))).collect()
    }

    pub(super) fn entries(&self, after: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let Some(first) = after.checked_add(1) else {
            return Ok(Vec::new());
        };
        let mut entries = Vec::new();
        for row in self.entries.range(first..)?.take(limit) {
            let (number, row) = row?;
            entries.push(entry(number.value(), row.value())?);
        }
        Ok(entries)
    }

    pub(super) fn entries_about(
        &self,
        about: About,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let Some(first) = after.checked_add(1) else {
            return Ok(Vec::new());
        };
        let range = format::about_key(about, first)..=format::about_key(about, u64::MAX);
        let mut entries = Vec::new();
        for row in self.abouts.range::<&AboutKey>(range.start()..=range.end())?.take(limit) {
            let number = format::number_of(row?.0.value()).unwrap_or_default();
            let text = self.entries.get(number)?;
            let text = text.ok_or_else(|| unreadable(format_args!("audit entry {number}")))?;
            entries.push(entry(number, text.value())?);
        }
        Ok(entries)
    }

    pub(super) fn hashes(&self, positions: &[u64]) -> Result<Vec<Hash>, StoreError> {
        positions.iter().map(|position| self.hash(*position)).collect()
    }

    fn hash(&self, position: u64) -> Result<Hash, StoreError> {
        let (level, index) = tree::stored_subtree(position);
        if level < TREE_LEVEL_MIN {
            return self.hash_of_entries(index << level, 1 << level);
        }
        let row = self.tree.get(position)?;
        let row = row.ok_or_else(|| unreadable(format_args!("hash {position} of the tree")))?;
        Ok(*row.value())
    }

    /// The hash of a complete subtree over so many entries after a number.
    fn hash_of_entries(&self, after: u64, count: u64) -> Result<Hash, StoreError> {
        let mut subtree = Frontier::new();
        for row in self.entries.range(after + 1..=after + count)? {
            let (number, row) = row?;
            let entry = entry(number.value(), row.value())?;
            subtree.add(tree::leaf(entry.text.as_bytes()));
        }
        if subtree.size() != count {
            return Err(unreadable(format_args!("audit entry {}", after + 1 + subtree.size())));
        }
        Ok(subtree.root())
    }

    /// The audit tree as this commit left it, if it has the root that the head says.
    pub(super) fn frontier(&self) -> Result<Frontier, StoreError> {
        let loaded = Frontier::load(self.head.entries, |position| self.hash(position));
        let frontier = loaded.map_err(|error| match error {
            TreeError::Read(error) => error,
            other => unreadable(other),
        })?;
        if frontier.root() != self.head.root {
            return Err(StoreError::Damaged("the audit tree has another root".to_owned()));
        }
        Ok(frontier)
    }

    pub(super) fn fact(&self, key: &str) -> Result<Option<String>, StoreError> {
        let row = self.facts.get(key)?;
        row.map(|row| text_of_fact(key, row.value())).transpose()
    }

    pub(super) fn facts(
        &self,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let first = prefix.max(after);
        let mut facts = Vec::new();
        for row in self.facts.range(first..)? {
            let (key, row) = row?;
            let key = key.value();
            if facts.len() == limit || !key.starts_with(prefix) {
                break;
            }
            if key != after {
                facts.push((key.to_owned(), text_of_fact(key, row.value())?));
            }
        }
        Ok(facts)
    }

    pub(super) fn blob(&self, digest: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(row) = self.blobs.as_ref().map(|blobs| blobs.get(digest)).transpose()?.flatten()
        else {
            return Ok(None);
        };
        let bytes = rows::decode_blob(row.value());
        bytes.map(|bytes| Some(bytes.to_vec())).ok_or_else(|| unreadable("a module"))
    }

    pub(super) fn answer(&self, scope: &Scope) -> Result<Option<Answer>, StoreError> {
        let Some(row) = self.answers.get(scope)? else {
            return Ok(None);
        };
        rows::decode_answer(row.value()).map(Some).ok_or_else(|| unreadable("a kept answer"))
    }
}

fn entry(number: u64, row: &[u8]) -> Result<Entry, StoreError> {
    let text = rows::decode_text(row);
    let text = text.ok_or_else(|| unreadable(format_args!("audit entry {number}")))?;
    Ok(Entry { number, text: text.to_owned() })
}

fn text_of_fact(key: &str, row: &[u8]) -> Result<String, StoreError> {
    let text = rows::decode_text(row).map(str::to_owned);
    text.ok_or_else(|| unreadable(format_args!("fact `{key}`")))
}

fn matches(summary: &Summary, query: &Query) -> bool {
    let names = format::Filter::new(query.agent.as_deref(), query.action.as_deref());
    query.status.is_none_or(|status| status == summary.status)
        && names.passes(&summary.agent, &summary.action)
}

fn stored(id: ApprovalId, row: &[u8]) -> Result<Stored, StoreError> {
    let row = ApprovalRow::decode(row).ok_or_else(|| unreadable(id))?;
    Ok(Stored {
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
        revision: row.revision,
        texts: None,
    })
}
