//! Compares every table with the log and reports each row and index entry that differs. Reads the
//! whole file.

use std::collections::{BTreeMap, BTreeSet};

use std::fmt::Display;

use redb::ReadOnlyTable;
use sha2::{Digest, Sha256};

use super::authentic;
use super::failure::unreadable;
use super::format::{
    self, AUDIENCE_KEY, FORMAT_KEY, HEAD_KEY, SCRUB_KEY, STATE_KEY, TREE_LEVEL_MIN,
};
use super::log;
use super::rows::{self, ApprovalRow, ERASED_TEXTS};
use super::snapshot::Snapshot;
use crate::id::ApprovalId;
use crate::store::log_state::LogState;
use crate::store::log_state::entry::EntryParts;
use crate::store::{EntryInterpreter, RowKind, Scope, StoreError, Trust};
use signoff_core::log::tree::{self, Frontier};

/// The maximum number of reported differences; further ones are only counted.
const NAMED_MAX: usize = 1_000;

/// The result of an examination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examined {
    /// Approvals in the log.
    pub approvals: u64,
    /// Audit entries.
    pub entries: u64,
    /// Stored answers.
    pub answers: u64,
    /// The first 1,000 differences from the log, in the order of tables.
    pub differences: Vec<Difference>,
    /// The number of differences.
    pub differing: u64,
}

/// A row or an index entry that differs from the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The table.
    pub table: &'static str,
    /// The row: an id, a number or a key in hex.
    pub row: String,
    /// The reason.
    pub why: String,
}

impl Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.table, self.row, self.why)
    }
}

/// Replays the log of a snapshot and compares every table with it.
pub(super) fn examine(
    snapshot: &Snapshot,
    trust: &Trust,
    audience: &str,
    interpreter: &dyn EntryInterpreter,
) -> Result<Examined, StoreError> {
    let (log, wrong) = log::replay(snapshot, trust, audience)?;
    let mut found =
        Examined { approvals: log.approval_count(), entries: log.size(), ..Examined::default() };
    for why in wrong {
        found.add("log", &audience, &why);
    }
    let examiner = Examiner { snapshot, log: &log, interpreter };
    examiner.meta(&mut found)?;
    let answers = examiner.entries(&mut found)?;
    examiner.approvals(&mut found)?;
    examiner.index_rows(&mut found)?;
    examiner.texts(&mut found)?;
    examiner.rows(&mut found)?;
    examiner.blobs(&mut found)?;
    examiner.answers(&answers, &mut found)?;
    Ok(found)
}

impl Examined {
    fn add(&mut self, table: &'static str, row: &dyn Display, why: &dyn Display) {
        self.differing += 1;
        if self.differences.len() < NAMED_MAX {
            let (row, why) = (row.to_string(), why.to_string());
            self.differences.push(Difference { table, row, why });
        }
    }
}

struct Examiner<'a> {
    snapshot: &'a Snapshot,
    log: &'a LogState,
    interpreter: &'a dyn EntryInterpreter,
}

/// The last entry of each scope whose answer must still be stored; `None` if it was deleted because it
/// may contain an erased or removed text.
type Answers = BTreeMap<Scope, Option<u64>>;

impl Examiner<'_> {
    /// Checks the store's metadata: no unknown keys, and no saved state without its note.
    fn meta(&self, found: &mut Examined) -> Result<(), StoreError> {
        for row in self.snapshot.meta.range::<&str>(..)? {
            let key = row?.0.value().to_owned();
            if ![FORMAT_KEY, AUDIENCE_KEY, HEAD_KEY, SCRUB_KEY, STATE_KEY].contains(&key.as_str()) {
                found.add("signoff", &key, &"of no kind that this version knows");
            }
        }
        let saved = redb::ReadableTableMetadata::len(&self.snapshot.state)?;
        if saved > 0 && self.snapshot.saved_note.is_none() {
            found.add("state", &"all", &"no note signs it");
        }
        Ok(())
    }

    /// Rebuilds the tree from the entries and compares each stored hash and each row of `abouts`.
    /// Returns the expected answers.
    fn entries(&self, found: &mut Examined) -> Result<Answers, StoreError> {
        let mut answers = Answers::new();
        let mut tree = Frontier::new();
        let mut abouts = BTreeSet::new();
        for row in self.snapshot.entries.range::<u64>(..)? {
            let (number, row) = row?;
            let number = number.value();
            let Some(text) = rows::decode_text(row.value()) else {
                found.add("entries", &number, &"unreadable");
                continue;
            };
            for (position, hash) in
                tree.push(tree::leaf(text.as_bytes())).skip(TREE_LEVEL_MIN as usize)
            {
                if self.snapshot.tree.get(position)?.is_none_or(|stored| *stored.value() != hash) {
                    found.add("tree", &position, &"not the hash of the entries below it");
                }
            }
            self.expect_answers(number, text, &mut answers);
            if let Some(about) = self.interpreter.about(text) {
                let key = format::about_key(about, number);
                if self.snapshot.abouts.get(&key)?.is_none() {
                    found.add("abouts", &hex::encode(key), &format!("missing for entry {number}"));
                }
                abouts.insert(key);
            }
        }
        let stored = tree::stored_count(tree.size() >> TREE_LEVEL_MIN);
        if stored != redb::ReadableTableMetadata::len(&self.snapshot.tree)? {
            found.add("tree", &"all", &format!("expected {stored} hashes"));
        }
        for row in self.snapshot.abouts.range::<&format::AboutKey>(..)? {
            let key = *row?.0.value();
            if !abouts.contains(&key) {
                found.add("abouts", &hex::encode(key), &"no entry is about it");
            }
        }
        Ok(answers)
    }

    /// Adds the answers that an entry stored and that have not been deleted yet.
    fn expect_answers(&self, number: u64, text: &str, answers: &mut Answers) {
        let Ok(parts) = EntryParts::read(text) else { return };
        if parts.at < self.interpreter.answers_since() {
            return;
        }
        for item in parts.state.iter().filter(|item| item.kind == RowKind::Answer) {
            let mut scope = Scope::default();
            if hex::decode_to_slice(item.id.as_bytes(), &mut scope).is_ok() {
                answers.insert(scope, item.sha256.map(|_| number));
            }
        }
    }

    fn approvals(&self, found: &mut Examined) -> Result<(), StoreError> {
        for row in self.snapshot.approvals.range::<u128>(..)? {
            let (id, row) = row?;
            let id = ApprovalId::from_u128(id.value());
            let known = self.log.approval(id.to_u128());
            match authentic::approval(id, Some(row.value()), known) {
                Ok(_) => {}
                Err(_) if known.is_none() => found.add("approvals", &id, &"not in the log"),
                Err(_) => found.add("approvals", &id, &"not the version that the log has"),
            }
        }
        for id in self.log.approvals_after(None) {
            if self.snapshot.approvals.get(id)?.is_none() {
                found.add("approvals", &ApprovalId::from_u128(id), &"missing");
            }
        }
        Ok(())
    }

    /// Checks that `lists` and `due` have the rows of each approval, and no others.
    fn index_rows(&self, found: &mut Examined) -> Result<(), StoreError> {
        let (mut lists, mut due) = (0, 0);
        for id in self.log.approvals_after(None) {
            let Some(row) = self.snapshot.approvals.get(id)? else { continue };
            let Some(row) = ApprovalRow::decode(row.value()) else { continue };
            let shown = ApprovalId::from_u128(id);
            for name in &format::list_names(row.agent, row.action) {
                let key = format::list_key(row.status, name, id);
                match self.snapshot.lists.get(&key)? {
                    Some(_) => lists += 1,
                    None => found.add("lists", &hex::encode(key), &format!("missing for {shown}")),
                }
            }
            if let Some(due_at) = row.due_at {
                let key = format::due_key(due_at, id);
                match self.snapshot.due.get(&key)? {
                    Some(_) => due += 1,
                    None => found.add("due", &hex::encode(key), &format!("missing for {shown}")),
                }
            }
        }
        // Surplus rows are searched for in a second pass only if there are any.
        if lists != redb::ReadableTableMetadata::len(&self.snapshot.lists)? {
            self.surplus("lists", &self.snapshot.lists, found, |key, row, id| {
                let names = format::list_names(row.agent, row.action);
                names.iter().any(|name| format::list_key(row.status, name, id) == *key)
            })?;
        }
        if due != redb::ReadableTableMetadata::len(&self.snapshot.due)? {
            self.surplus("due", &self.snapshot.due, found, |key, row, id| {
                row.due_at.is_some_and(|due_at| format::due_key(due_at, id) == *key)
            })?;
        }
        Ok(())
    }

    fn surplus<const N: usize>(
        &self,
        table: &'static str,
        index: &ReadOnlyTable<&'static [u8; N], ()>,
        found: &mut Examined,
        belongs: impl Fn(&[u8; N], &ApprovalRow<'_>, u128) -> bool,
    ) -> Result<(), StoreError> {
        for row in index.range::<&[u8; N]>(..)? {
            let key = *row?.0.value();
            let id = format::id_of(&key).ok_or_else(|| unreadable(table))?;
            let row = self.snapshot.approvals.get(id)?;
            let row = row.as_ref().and_then(|row| ApprovalRow::decode(row.value()));
            if !row.is_some_and(|row| belongs(&key, &row, id)) {
                found.add(table, &hex::encode(key), &"belongs to no approval");
            }
        }
        Ok(())
    }

    fn texts(&self, found: &mut Examined) -> Result<(), StoreError> {
        for row in self.snapshot.texts.range::<u128>(..)? {
            let (id, texts) = row?;
            let id = id.value();
            let row = self.snapshot.approvals.get(id)?;
            let row = row.as_ref().and_then(|row| ApprovalRow::decode(row.value()));
            let sha256 = Sha256::digest(texts.value());
            if row.is_none_or(|row| sha256.as_slice() != row.texts) {
                found.add("texts", &ApprovalId::from_u128(id), &"not those of the approval");
            }
        }
        for id in self.log.approvals_after(None) {
            let row = self.snapshot.approvals.get(id)?;
            let row = row.as_ref().and_then(|row| ApprovalRow::decode(row.value()));
            let is_erased = row.is_some_and(|row| row.texts == ERASED_TEXTS);
            if !is_erased && self.snapshot.texts.get(id)?.is_none() {
                found.add("texts", &ApprovalId::from_u128(id), &"missing");
            }
        }
        Ok(())
    }

    fn rows(&self, found: &mut Examined) -> Result<(), StoreError> {
        for row in self.snapshot.rows.range::<&str>(..)? {
            let (key, row) = row?;
            let key = key.value();
            let named = key.split_once('/');
            let named = named.and_then(|(kind, id)| RowKind::parse(kind).map(|kind| (kind, id)));
            let Some((kind, id)) = named else {
                found.add("rows", &key, &"of no kind that this version knows");
                continue;
            };
            let known = self.log.row(kind, id);
            match authentic::row(kind, id, Some(row.value()), known) {
                Ok(_) => {}
                Err(_) if known.is_none() => found.add("rows", &key, &"not in the log"),
                Err(_) => found.add("rows", &key, &"not the version that the log has"),
            }
        }
        for kind in RowKind::ALL {
            for (id, _) in self.log.rows_after(kind, "") {
                let key = format::row_key(kind, id);
                if self.snapshot.rows.get(key.as_str())?.is_none() {
                    found.add("rows", &key, &"missing");
                }
            }
        }
        Ok(())
    }

    fn blobs(&self, found: &mut Examined) -> Result<(), StoreError> {
        for (digest, _) in self.log.rows_after(RowKind::Module, "") {
            let mut key = [0; 32];
            let named = hex::decode_to_slice(digest, &mut key).is_ok();
            if named && self.keeps_bytes(digest) && !self.has_blob(&key)? {
                found.add("blobs", &digest, &"missing");
            }
        }
        let Some(blobs) = &self.snapshot.blobs else { return Ok(()) };
        for row in blobs.range::<&[u8; 32]>(..)? {
            let (digest, row) = row?;
            let named = hex::encode(digest.value());
            let bytes = rows::decode_blob(row.value());
            if bytes.is_none_or(|bytes| Sha256::digest(bytes).as_slice() != digest.value()) {
                found.add("blobs", &named, &"has another digest");
            }
            if !self.keeps_bytes(&named) {
                found.add("blobs", &named, &"of no module that the log has");
            }
        }
        Ok(())
    }

    /// Returns whether a module's bytes are stored according to its row. A row that differs is
    /// reported elsewhere.
    fn keeps_bytes(&self, digest: &str) -> bool {
        match self.snapshot.row(RowKind::Module, digest, self.log) {
            Ok(row) => row.is_some_and(|row| self.interpreter.keeps_bytes(&row.value)),
            Err(_) => true,
        }
    }

    fn has_blob(&self, digest: &[u8; 32]) -> Result<bool, StoreError> {
        let Some(blobs) = &self.snapshot.blobs else { return Ok(false) };
        Ok(blobs.get(digest)?.is_some())
    }

    fn answers(&self, expected: &Answers, found: &mut Examined) -> Result<(), StoreError> {
        let source = self.snapshot.log_source();
        for (scope, _) in expected.iter().filter(|(_, entry)| entry.is_some()) {
            if self.snapshot.answers.get(scope)?.is_none() {
                found.add("answers", &hex::encode(scope), &"missing");
            }
        }
        for row in self.snapshot.answers.range::<&[u8; 32]>(..)? {
            let (scope, row) = row?;
            let named = hex::encode(scope.value());
            found.answers += 1;
            match authentic::answer(scope.value(), row.value(), &source, self.log.tree(), 0) {
                Err(_) => found.add("answers", &named, &"not the answer that the log has"),
                Ok(None) => {}
                Ok(Some((entry, _)))
                    if expected.get(scope.value()).is_some_and(|last| *last != Some(entry)) =>
                {
                    found.add("answers", &named, &"not the last answer that the log has");
                }
                Ok(Some((_, answer))) => {
                    let key = format::answer_time_key(answer.at, scope.value());
                    if self.snapshot.answer_times.get(&key)?.is_none() {
                        found.add(
                            "answer_times",
                            &hex::encode(key),
                            &format!("missing for {named}"),
                        );
                    }
                }
            }
        }
        for row in self.snapshot.answer_times.range::<&format::AnswerTimeKey>(..)? {
            let key = *row?.0.value();
            let scope = format::scope_of(&key).ok_or_else(|| unreadable("answer_times"))?;
            let answer = self.snapshot.answers.get(&scope)?;
            let answer = answer.as_ref().and_then(|row| rows::decode_answer(row.value()));
            if answer.is_none_or(|(_, answer)| format::answer_time_key(answer.at, &scope) != key) {
                found.add("answer_times", &hex::encode(key), &"belongs to no answer");
            }
        }
        Ok(())
    }
}
