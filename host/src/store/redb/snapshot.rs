//! The store as one commit left it: every table open for reading, and all the reads there are.
//!
//! Opening tables costs more than reading a row. The writer therefore opens them once after each
//! commit, and every reader until the next commit shares them.

use redb::{ReadOnlyTable, ReadTransaction};

use super::failure::unreadable;
use super::format::{
    self, ANSWER_TIMES, ANSWERS, APPROVALS, AnswerTimeKey, DUE, DueKey, ENTRIES, HEAD_KEY, LISTS,
    ListKey, META, TEXTS,
};
use super::list::Newest;
use super::rows::{self, ApprovalRow, HeadRow};
use crate::id::ApprovalId;
use crate::store::{Answer, Entry, Query, Scope, StoreError, Stored, Summary, Texts, WithTexts};

/// What a commit left.
pub(super) struct Snapshot {
    pub(super) head: HeadRow,
    pub(super) approvals: ReadOnlyTable<u128, &'static [u8]>,
    pub(super) texts: ReadOnlyTable<u128, &'static [u8]>,
    pub(super) lists: ReadOnlyTable<&'static ListKey, ()>,
    pub(super) due: ReadOnlyTable<&'static DueKey, ()>,
    pub(super) entries: ReadOnlyTable<u64, &'static [u8]>,
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
            let number = number.value();
            let text = rows::decode_entry(row.value())
                .ok_or_else(|| unreadable(format_args!("audit entry {number}")))?;
            entries.push(Entry { number, text: text.to_owned() });
        }
        Ok(entries)
    }

    pub(super) fn answer(&self, scope: &Scope) -> Result<Option<Answer>, StoreError> {
        let Some(row) = self.answers.get(scope)? else {
            return Ok(None);
        };
        rows::decode_answer(row.value()).map(Some).ok_or_else(|| unreadable("a kept answer"))
    }
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
