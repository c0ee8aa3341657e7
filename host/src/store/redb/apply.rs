//! Applies one change to the open tables of a write transaction.

use std::collections::BTreeMap;

use redb::{ReadableTable, Table, WriteTransaction};

use super::failure::unreadable;
use super::format::{
    self, ABOUTS, ANSWER_TIMES, ANSWERS, APPROVALS, AboutKey, AnswerTimeKey, BLOBS, DUE, DueKey,
    ENTRIES, FACTS, HEAD_KEY, LISTS, ListKey, ListName, META, TEXTS, TREE, TREE_LEVEL_MIN,
};
use super::rows::{self, ApprovalRow, HeadRow};
use crate::audit::tree::{self, Frontier, Hash};
use crate::store::{
    About, Answer, Base, Blob, Change, Commit, Scope, Status, StoreError, Summary, Version,
};

/// Every table of a store, open for writing.
pub(super) struct Tables<'txn> {
    /// For the one table that few changes touch: it is opened when one does.
    txn: &'txn WriteTransaction,
    meta: Table<'txn, &'static str, &'static [u8]>,
    approvals: Table<'txn, u128, &'static [u8]>,
    texts: Table<'txn, u128, &'static [u8]>,
    lists: Table<'txn, &'static ListKey, ()>,
    due: Table<'txn, &'static DueKey, ()>,
    entries: Table<'txn, u64, &'static [u8]>,
    abouts: Table<'txn, &'static AboutKey, ()>,
    tree: Table<'txn, u64, &'static Hash>,
    facts: Table<'txn, &'static str, &'static [u8]>,
    answers: Table<'txn, &'static Scope, &'static [u8]>,
    answer_times: Table<'txn, &'static AnswerTimeKey, ()>,
    /// The audit tree as far as it has grown.
    frontier: Frontier,
    /// Rows of `lists` to be there, or not, once the batch is applied. They lie all over the table;
    /// in order of key they are a quarter faster to write.
    moves: BTreeMap<ListKey, bool>,
    /// Where values are put together.
    row: Vec<u8>,
}

/// What the index rows of a stored approval are made of.
struct Standing {
    revision: u64,
    status: Status,
    due_at: Option<u64>,
    lists: [ListName; 4],
}

impl<'txn> Tables<'txn> {
    pub(super) fn open(
        txn: &'txn WriteTransaction,
        frontier: &Frontier,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            txn,
            frontier: frontier.clone(),
            meta: txn.open_table(META)?,
            approvals: txn.open_table(APPROVALS)?,
            texts: txn.open_table(TEXTS)?,
            lists: txn.open_table(LISTS)?,
            due: txn.open_table(DUE)?,
            entries: txn.open_table(ENTRIES)?,
            abouts: txn.open_table(ABOUTS)?,
            tree: txn.open_table(TREE)?,
            facts: txn.open_table(FACTS)?,
            answers: txn.open_table(ANSWERS)?,
            answer_times: txn.open_table(ANSWER_TIMES)?,
            moves: BTreeMap::new(),
            row: Vec::new(),
        })
    }

    /// Keeps a change, if nothing speaks against it. What does is found before the first write, so
    /// that a change which is not kept leaves no trace.
    pub(super) fn apply(
        &mut self,
        change: &Change,
        head: &mut HeadRow,
    ) -> Result<Commit, StoreError> {
        if let Some((scope, _)) = &change.answer
            && let Some(kept) = self.answer(scope)?
        {
            return Ok(Commit::Answered(kept));
        }
        let revision = match &change.approval {
            None => 0,
            Some(version) => match self.put_version(version, head)? {
                Some(revision) => revision,
                None => return Ok(Commit::Conflict),
            },
        };
        for fact in &change.facts {
            rows::encode_text(&fact.value, &mut self.row);
            self.facts.insert(fact.key.as_str(), self.row.as_slice())?;
        }
        if let Some(blob) = &change.blob {
            self.put_blob(blob)?;
        }
        head.others += u64::from(change.approval.is_none());
        head.entries += 1;
        head.last_commit_at = head.last_commit_at.max(change.at);
        self.put_entry(head.entries, &change.entry, change.about)?;
        if let Some((scope, answer)) = &change.answer {
            self.put_answer(scope, answer)?;
        }
        Ok(Commit::Kept { entry: head.entries, revision })
    }

    /// Forgets answers kept before a time, the oldest first.
    pub(super) fn forget(&mut self, before: u64, limit: usize) -> Result<usize, StoreError> {
        let until = format::answer_time_key(before, &[0; 32]);
        let mut old = Vec::new();
        for row in self.answer_times.range::<&AnswerTimeKey>(..&until)?.take(limit) {
            old.push(*row?.0.value());
        }
        for key in &old {
            self.answer_times.remove(key)?;
            let scope = format::scope_of(key).ok_or_else(|| unreadable("the time of an answer"))?;
            self.answers.remove(&scope)?;
        }
        Ok(old.len())
    }

    /// Writes what all changes of a batch share. Answers the tree as it then is.
    pub(super) fn finish(mut self, head: &mut HeadRow) -> Result<Frontier, StoreError> {
        for (key, stays) in &self.moves {
            if *stays {
                self.lists.insert(key, ())?;
            } else {
                self.lists.remove(key)?;
            }
        }
        head.root = self.frontier.root();
        self.meta.insert(HEAD_KEY, head.encode().as_slice())?;
        Ok(self.frontier)
    }

    /// Puts a version of an approval; its revision, or none where it was not made from what is
    /// stored.
    fn put_version(
        &mut self,
        version: &Version,
        head: &mut HeadRow,
    ) -> Result<Option<u64>, StoreError> {
        let summary = &version.summary;
        let standing = self.standing(summary)?;
        let Some(revision) = next_revision(&version.base, standing.as_ref()) else {
            return Ok(None);
        };
        let counted = head.count(standing.as_ref().map(|standing| standing.status), summary.status);
        counted.ok_or_else(|| unreadable("its count of approvals"))?;
        self.put_approval(version, revision)?;
        self.put_index_rows(summary, standing.as_ref())?;
        Ok(Some(revision))
    }

    fn answer(&self, scope: &Scope) -> Result<Option<Answer>, StoreError> {
        let Some(row) = self.answers.get(scope)? else {
            return Ok(None);
        };
        rows::decode_answer(row.value()).map(Some).ok_or_else(|| unreadable("a kept answer"))
    }

    fn standing(&self, summary: &Summary) -> Result<Option<Standing>, StoreError> {
        let Some(row) = self.approvals.get(summary.id.to_u128())? else {
            return Ok(None);
        };
        let row = ApprovalRow::decode(row.value()).ok_or_else(|| unreadable(summary.id))?;
        Ok(Some(Standing {
            revision: row.revision,
            status: row.status,
            due_at: row.due_at,
            lists: format::list_names(row.agent, row.action),
        }))
    }

    fn put_approval(&mut self, version: &Version, revision: u64) -> Result<(), StoreError> {
        let id = version.summary.id.to_u128();
        let row = ApprovalRow::new(&version.summary, revision, &version.record);
        row.encode(&mut self.row).ok_or_else(too_long)?;
        self.approvals.insert(id, self.row.as_slice())?;
        if let Base::New(texts) = &version.base {
            rows::encode_texts(texts, &mut self.row).ok_or_else(too_long)?;
            self.texts.insert(id, self.row.as_slice())?;
        }
        Ok(())
    }

    fn put_index_rows(
        &mut self,
        summary: &Summary,
        old: Option<&Standing>,
    ) -> Result<(), StoreError> {
        let id = summary.id.to_u128();
        let lists = format::list_names(&summary.agent, &summary.action);
        let moved = old.is_none_or(|old| old.status != summary.status || old.lists != lists);
        if let Some(old) = old.filter(|_| moved) {
            for name in &old.lists {
                self.moves.insert(format::list_key(old.status, name, id), false);
            }
        }
        for name in lists.iter().filter(|_| moved) {
            self.moves.insert(format::list_key(summary.status, name, id), true);
        }
        self.put_due(id, old.and_then(|old| old.due_at), summary.due_at)
    }

    fn put_due(
        &mut self,
        id: u128,
        before: Option<u64>,
        after: Option<u64>,
    ) -> Result<(), StoreError> {
        if before == after {
            return Ok(());
        }
        if let Some(due_at) = before {
            self.due.remove(&format::due_key(due_at, id))?;
        }
        if let Some(due_at) = after {
            self.due.insert(&format::due_key(due_at, id), ())?;
        }
        Ok(())
    }

    fn put_entry(&mut self, number: u64, text: &str, about: About) -> Result<(), StoreError> {
        rows::encode_text(text, &mut self.row);
        self.entries.insert(number, self.row.as_slice())?;
        self.abouts.insert(&format::about_key(about, number), ())?;
        let hashes = self.frontier.push(tree::leaf(text.as_bytes()));
        for (position, hash) in hashes.skip(TREE_LEVEL_MIN as usize) {
            self.tree.insert(position, &hash)?;
        }
        Ok(())
    }

    fn put_blob(&mut self, blob: &Blob) -> Result<(), StoreError> {
        let mut blobs = self.txn.open_table(BLOBS)?;
        match &blob.bytes {
            Some(bytes) => {
                rows::encode_blob(bytes, &mut self.row);
                blobs.insert(&blob.digest, self.row.as_slice())?;
                // Nothing else comes near its size.
                self.row = Vec::new();
            }
            None => drop(blobs.remove(&blob.digest)?),
        }
        Ok(())
    }

    fn put_answer(&mut self, scope: &Scope, answer: &Answer) -> Result<(), StoreError> {
        rows::encode_answer(answer, &mut self.row);
        self.answers.insert(scope, self.row.as_slice())?;
        self.answer_times.insert(&format::answer_time_key(answer.at, scope), ())?;
        Ok(())
    }
}

/// The revision a change makes, or none where it was not made from what is stored.
fn next_revision(base: &Base, standing: Option<&Standing>) -> Option<u64> {
    match (base, standing) {
        (Base::New(_), None) => Some(1),
        (Base::Revision(made_from), Some(standing)) if standing.revision == *made_from => {
            made_from.checked_add(1)
        }
        _ => None,
    }
}

fn too_long() -> StoreError {
    StoreError::Io("a text is too long to store".to_owned())
}
