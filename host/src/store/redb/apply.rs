//! Applies one change to the open tables of a write transaction.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use redb::{ReadableTable, Table, WriteTransaction};
use sha2::{Digest, Sha256};

use super::authentic;
use super::failure::unreadable;
use super::format::{
    self, ABOUTS, ANSWER_TIMES, ANSWERS, APPROVALS, AboutKey, AnswerTimeKey, BLOBS, DUE, DueKey,
    ENTRIES, HEAD_KEY, LISTS, ListKey, ListName, META, ROWS, SCRUB_KEY, TEXTS, TREE,
    TREE_LEVEL_MIN,
};
use super::rows::{self, ApprovalRow, ERASED_TEXTS};
use crate::id::ApprovalId;
use crate::store::log_state::entry::{self, StateItem};
use crate::store::log_state::{Delta, LogState, Pending, hash};
use crate::store::{
    About, Answer, Base, Blob, Change, Commit, Removed, RowChange, RowKind, Scope, Status,
    StoreError, Summary, Version,
};
use signoff_core::log::tree::Hash;

/// Every table of a store, open for writing.
pub(super) struct Tables<'txn> {
    /// Used to open the blobs table on demand: few changes touch it.
    txn: &'txn WriteTransaction,
    meta: Table<'txn, &'static str, &'static [u8]>,
    approvals: Table<'txn, u128, &'static [u8]>,
    texts: Table<'txn, u128, &'static [u8]>,
    lists: Table<'txn, &'static ListKey, ()>,
    due: Table<'txn, &'static DueKey, ()>,
    entries: Table<'txn, u64, &'static [u8]>,
    abouts: Table<'txn, &'static AboutKey, ()>,
    tree: Table<'txn, u64, &'static Hash>,
    rows: Table<'txn, &'static str, &'static [u8]>,
    answers: Table<'txn, &'static Scope, &'static [u8]>,
    answer_times: Table<'txn, &'static AnswerTimeKey, ()>,
    /// The log state with the entries of this batch.
    pending: Pending<'txn>,
    /// Rows of `lists` to insert (`true`) or remove (`false`) at the end of the batch. They are
    /// spread over the table; writing them in key order is a quarter faster.
    moves: BTreeMap<ListKey, bool>,
    /// A reused buffer for encoding values.
    row: Vec<u8>,
}

/// The result of one change. A refused change leaves no trace, and the other changes of its batch
/// are committed.
pub(super) type Applied = Result<Commit, StoreError>;

/// The fields of a stored approval that its index rows depend on.
struct Standing {
    entry: u64,
    status: Status,
    due_at: Option<u64>,
    texts: Hash,
    lists: [ListName; 4],
}

/// An encoded new version of an approval.
struct Encoded {
    row: Vec<u8>,
    texts: TextsRow,
}

/// What a version does to the texts row.
enum TextsRow {
    New(Vec<u8>),
    Unchanged,
    Erased,
}

impl<'txn> Tables<'txn> {
    pub(super) fn open(
        txn: &'txn WriteTransaction,
        state: &'txn LogState,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            txn,
            pending: Pending::after(state),
            meta: txn.open_table(META)?,
            approvals: txn.open_table(APPROVALS)?,
            texts: txn.open_table(TEXTS)?,
            lists: txn.open_table(LISTS)?,
            due: txn.open_table(DUE)?,
            entries: txn.open_table(ENTRIES)?,
            abouts: txn.open_table(ABOUTS)?,
            tree: txn.open_table(TREE)?,
            rows: txn.open_table(ROWS)?,
            answers: txn.open_table(ANSWERS)?,
            answer_times: txn.open_table(ANSWER_TIMES)?,
            moves: BTreeMap::new(),
            row: Vec::new(),
        })
    }

    /// Applies a change unless it conflicts or is refused. All checks precede the first write, so
    /// that a change that is not applied leaves no trace.
    pub(super) fn apply(&mut self, change: &Change) -> Result<Applied, StoreError> {
        if let Some((scope, _)) = &change.answer {
            match self.answer(scope, self.pending.time(change.at)) {
                Ok(None) => {}
                Ok(Some(kept)) => return Ok(Ok(Commit::Replayed(kept))),
                Err(error) => return refused_alone(error),
            }
        }
        let standing = match &change.approval {
            None => None,
            Some(version) => match self.standing(version.summary.id) {
                Ok(standing) => standing,
                Err(error) => return refused_alone(error),
            },
        };
        let from_last = change.approval.as_ref().is_none_or(|version| {
            is_last(&version.base, standing.as_ref().map(|standing| standing.entry))
        });
        if !from_last || !change.rows.iter().all(|row| self.is_last(row)) {
            return Ok(Ok(Commit::Conflict));
        }
        let mut removed = Vec::with_capacity(change.removed.len());
        let mut named: BTreeSet<_> = change.approval.iter().map(|v| v.summary.id).collect();
        if !change.removed.iter().all(|removed| named.insert(removed.id)) {
            return Ok(Err(StoreError::Io("a change names an approval twice".to_owned())));
        }
        for Removed { id, entry } in &change.removed {
            match self.standing(*id) {
                Ok(Some(standing)) if standing.entry == *entry => removed.push((*id, standing)),
                Ok(_) => return Ok(Ok(Commit::Conflict)),
                Err(error) => return refused_alone(error),
            }
        }
        if let Some(row) = change.rows.iter().find(|row| !is_row_id(&row.id)) {
            return Ok(Err(StoreError::Io(format!("`{}` cannot be a row's id", row.id))));
        }
        let entry = self.put(change, standing.as_ref(), &removed)?;
        Ok(Ok(Commit::Committed { entry }))
    }

    /// Deletes answers stored before a time, the oldest first.
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

    /// Writes the parts shared by all changes of a batch; `head` makes the text of the head from
    /// the tree.
    pub(super) fn finish(
        mut self,
        head: impl FnOnce(&signoff_core::log::tree::Frontier) -> Result<String, StoreError>,
    ) -> Result<(Delta, String), StoreError> {
        for (key, stays) in &self.moves {
            if *stays {
                self.lists.insert(key, ())?;
            } else {
                self.lists.remove(key)?;
            }
        }
        let head = head(self.pending.tree())?;
        self.meta.insert(HEAD_KEY, head.as_bytes())?;
        Ok((self.pending.finish(), head))
    }

    /// Writes a change. Returns the number of its entry.
    fn put(
        &mut self,
        change: &Change,
        standing: Option<&Standing>,
        removed: &[(ApprovalId, Standing)],
    ) -> Result<u64, StoreError> {
        let number = self.pending.next_entry();
        let at = self.pending.time(change.at);
        let mut state: Vec<StateItem<'_>> = Vec::new();
        let approval = match &change.approval {
            None => None,
            Some(version) => {
                let encoded = Encoded::of(version, standing)?;
                state.push(approval_item(&version.summary, &encoded.row, standing));
                Some((version, encoded))
            }
        };
        state.extend(removed.iter().map(|(id, standing)| removed_item(*id, standing)));
        state.extend(change.forgotten.iter().map(forgotten_item));
        state.extend(change.rows.iter().map(|row| self.row_item(row)));
        let answer = change.answer.as_ref().map(|(scope, answer)| {
            rows::encode_answer(answer, number, &mut self.row);
            state.push(answer_item(scope, &self.row));
            (scope, answer.at, std::mem::take(&mut self.row))
        });
        let text = entry::write(at, &change.event, &change.host, &state);
        self.put_entry(number, at, &state, &text, change.about)?;
        if let Some((version, encoded)) = approval {
            self.put_approval(&version.summary, &encoded, standing)?;
        }
        self.remove(change, removed)?;
        for row in &change.rows {
            self.put_row(row)?;
        }
        if let Some(blob) = &change.blob {
            self.put_blob(blob)?;
        }
        if let Some((scope, at, row)) = answer {
            let old = self.answers.insert(scope, row.as_slice())?;
            let old = old.and_then(|old| rows::decode_answer(old.value()));
            if let Some((_, old)) = old {
                self.answer_times.remove(&format::answer_time_key(old.at, scope))?;
            }
            self.answer_times.insert(&format::answer_time_key(at, scope), ())?;
        }
        Ok(number)
    }

    /// Returns the stored answer of a scope, authenticated by its entry.
    fn answer(&self, scope: &Scope, now: u64) -> Result<Option<Answer>, StoreError> {
        let Some(row) = self.answers.get(scope)? else {
            return Ok(None);
        };
        let source = authentic::Source { entries: &self.entries, tree: &self.tree };
        let answer = authentic::answer(scope, row.value(), &source, self.pending.tree(), now)?;
        Ok(answer.map(|(_, answer)| answer))
    }

    /// Returns the stored approval that a version replaces, authenticated by the log.
    fn standing(&self, id: ApprovalId) -> Result<Option<Standing>, StoreError> {
        let row = self.approvals.get(id.to_u128())?;
        let row = row.as_ref().map(redb::AccessGuard::value);
        let known = self.pending.approval(id.to_u128());
        let Some((row, state)) = authentic::approval(id, row, known)? else {
            return Ok(None);
        };
        let row = ApprovalRow::decode(row).ok_or_else(|| unreadable(id))?;
        Ok(Some(Standing {
            entry: state.entry,
            status: row.status,
            due_at: row.due_at,
            texts: row.texts,
            lists: format::list_names(row.agent, row.action),
        }))
    }

    /// Returns whether a change replaces the latest version of a row. A removed row may be replaced
    /// as if it had never existed.
    fn is_last(&self, row: &RowChange) -> bool {
        match self.pending.row(row.kind, &row.id) {
            None => row.prev == 0,
            Some(state) => state.entry == row.prev || (state.sha256.is_none() && row.prev == 0),
        }
    }

    fn row_item<'a>(&self, row: &'a RowChange) -> StateItem<'a> {
        let value = row.value.as_ref();
        StateItem {
            kind: row.kind,
            id: Cow::Borrowed(&row.id),
            status: None,
            sha256: value.map(|value| hash::of_row(row.kind, &row.id, value.as_bytes())),
            prev: self.pending.row(row.kind, &row.id).map_or(0, |state| state.entry),
        }
    }

    fn put_approval(
        &mut self,
        summary: &Summary,
        encoded: &Encoded,
        standing: Option<&Standing>,
    ) -> Result<(), StoreError> {
        let id = summary.id.to_u128();
        self.approvals.insert(id, encoded.row.as_slice())?;
        match &encoded.texts {
            TextsRow::New(texts) => drop(self.texts.insert(id, texts.as_slice())?),
            TextsRow::Unchanged => {}
            TextsRow::Erased => drop(self.texts.remove(id)?),
        }
        self.put_index_rows(summary, standing)
    }

    /// Removes approvals, and deletes answers. Until the next compaction, unused space of the file may
    /// still hold their bytes.
    fn remove(
        &mut self,
        change: &Change,
        removed: &[(ApprovalId, Standing)],
    ) -> Result<(), StoreError> {
        for (id, standing) in removed {
            let id = id.to_u128();
            self.approvals.remove(id)?;
            self.texts.remove(id)?;
            for name in &standing.lists {
                self.moves.insert(format::list_key(standing.status, name, id), false);
            }
            self.put_due(id, standing.due_at, None)?;
        }
        for scope in &change.forgotten {
            let old = self.answers.remove(scope)?;
            if let Some((_, old)) = old.and_then(|old| rows::decode_answer(old.value())) {
                self.answer_times.remove(&format::answer_time_key(old.at, scope))?;
            }
        }
        let erases = change.approval.as_ref().is_some_and(Version::erases);
        if erases || !removed.is_empty() || !change.forgotten.is_empty() {
            self.meta.insert(SCRUB_KEY, [1].as_slice())?;
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

    fn put_entry(
        &mut self,
        number: u64,
        at: u64,
        state: &[StateItem<'_>],
        text: &str,
        about: About,
    ) -> Result<(), StoreError> {
        let hashes = self.pending.append(at, state, text);
        let hashes = hashes.map_err(|e| StoreError::Damaged(e.to_string()))?;
        rows::encode_text(text, &mut self.row);
        self.entries.insert(number, self.row.as_slice())?;
        self.abouts.insert(&format::about_key(about, number), ())?;
        for (position, hash) in hashes.skip(TREE_LEVEL_MIN as usize) {
            self.tree.insert(position, &hash)?;
        }
        Ok(())
    }

    fn put_row(&mut self, row: &RowChange) -> Result<(), StoreError> {
        let key = format::row_key(row.kind, &row.id);
        match &row.value {
            Some(value) => {
                rows::encode_text(value, &mut self.row);
                self.rows.insert(key.as_str(), self.row.as_slice())?;
            }
            None => drop(self.rows.remove(key.as_str())?),
        }
        Ok(())
    }

    fn put_blob(&mut self, blob: &Blob) -> Result<(), StoreError> {
        let mut blobs = self.txn.open_table(BLOBS)?;
        match &blob.bytes {
            Some(bytes) => {
                rows::encode_blob(bytes, &mut self.row);
                blobs.insert(&blob.digest, self.row.as_slice())?;
                // Free the buffer: no other value comes near this size.
                self.row = Vec::new();
            }
            None => drop(blobs.remove(&blob.digest)?),
        }
        Ok(())
    }
}

impl Encoded {
    fn of(version: &Version, standing: Option<&Standing>) -> Result<Self, StoreError> {
        let texts = match &version.base {
            Base::New(texts) => {
                let mut row = Vec::new();
                rows::encode_texts(texts, &mut row).ok_or_else(too_long)?;
                TextsRow::New(row)
            }
            Base::Entry(_) => TextsRow::Unchanged,
            Base::Erased(_) => TextsRow::Erased,
        };
        let sha256 = match (&texts, standing) {
            (TextsRow::New(texts), _) => Sha256::digest(texts).into(),
            (TextsRow::Unchanged, Some(standing)) => standing.texts,
            (TextsRow::Unchanged, None) | (TextsRow::Erased, _) => ERASED_TEXTS,
        };
        let mut row = Vec::new();
        ApprovalRow::new(&version.summary, sha256, &version.record)
            .encode(&mut row)
            .ok_or_else(too_long)?;
        Ok(Self { row, texts })
    }
}

fn approval_item(summary: &Summary, row: &[u8], standing: Option<&Standing>) -> StateItem<'static> {
    let id = summary.id.to_string();
    StateItem {
        kind: RowKind::Approval,
        status: Some(summary.status),
        sha256: Some(hash::of_row(RowKind::Approval, &id, row)),
        id: Cow::Owned(id),
        prev: standing.map_or(0, |standing| standing.entry),
    }
}

fn removed_item<'a>(id: ApprovalId, standing: &Standing) -> StateItem<'a> {
    StateItem {
        kind: RowKind::Approval,
        status: None,
        sha256: None,
        id: Cow::Owned(id.to_string()),
        prev: standing.entry,
    }
}

fn forgotten_item<'a>(scope: &Scope) -> StateItem<'a> {
    StateItem {
        kind: RowKind::Answer,
        status: None,
        sha256: None,
        id: Cow::Owned(hex::encode(scope)),
        prev: 0,
    }
}

fn answer_item(scope: &Scope, row: &[u8]) -> StateItem<'static> {
    let id = hex::encode(scope);
    StateItem {
        kind: RowKind::Answer,
        status: None,
        sha256: Some(hash::of_row(RowKind::Answer, &id, rows::answer_value(row))),
        id: Cow::Owned(id),
        prev: 0,
    }
}

/// Returns whether a version replaces the latest one in the log.
fn is_last(base: &Base, last: Option<u64>) -> bool {
    match (base, last) {
        (Base::New(_), None) => true,
        (Base::Entry(made_from) | Base::Erased(made_from), Some(last)) => last == *made_from,
        _ => false,
    }
}

/// Returns whether a text is a valid id of one of the host's own rows: 1 to 256 printable ASCII
/// characters that JSON does not escape.
fn is_row_id(id: &str) -> bool {
    (1..=256).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\'))
}

/// Confines [`StoreError::Tampered`] to the change whose row it concerns; other errors fail the
/// batch.
fn refused_alone(error: StoreError) -> Result<Applied, StoreError> {
    match error {
        StoreError::Tampered(_) => Ok(Err(error)),
        error => Err(error),
    }
}

fn too_long() -> StoreError {
    StoreError::Io("a text is too long to store".to_owned())
}
