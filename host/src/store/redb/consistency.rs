//! Whether all tables of a store agree: every approval against its index rows, every count against a
//! recount.

use redb::ReadableTableMetadata;
use sha2::{Digest, Sha256};

use super::failure::unreadable;
use super::format;
use super::rows::{self, ApprovalRow, HeadRow};
use super::snapshot::Snapshot;
use crate::audit::tree::{self, Frontier};
use crate::id::ApprovalId;
use crate::store::StoreError;

/// How much a consistent store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consistency {
    /// Approvals.
    pub approvals: u64,
    /// Audit entries.
    pub entries: u64,
    /// Answers kept for repeated requests.
    pub answers: u64,
}

/// What the approvals say the other tables must hold.
#[derive(Default)]
struct Recount {
    approvals: u64,
    due: u64,
    /// Every change adds one to a revision and one audit entry.
    revisions: u64,
    head: HeadRow,
}

pub(super) fn verify(snapshot: &Snapshot) -> Result<Consistency, StoreError> {
    let recount = recount_approvals(snapshot)?;
    let tree = recount_entries(snapshot)?;
    let entries = tree.size();
    let answers = recount_answers(snapshot)?;
    let lists = recount.approvals.saturating_mul(4);
    agree("texts", recount.approvals, snapshot.texts.len()?)?;
    agree("rows in lists", lists, snapshot.lists.len()?)?;
    agree("due times", recount.due, snapshot.due.len()?)?;
    agree("audit entries", recount.revisions.saturating_add(snapshot.head.others), entries)?;
    agree("last audit number", entries, snapshot.head.entries)?;
    agree("what entries are about", entries, snapshot.abouts.len()?)?;
    agree(
        "hashes of the audit tree",
        tree::stored_count(entries >> format::TREE_LEVEL_MIN),
        snapshot.tree.len()?,
    )?;
    if tree.root() != snapshot.head.root {
        return Err(StoreError::Damaged(
            "the audit entries do not have the root of the audit tree".to_owned(),
        ));
    }
    recount_blobs(snapshot)?;
    agree("times of answers", answers, snapshot.answer_times.len()?)?;
    for (counted, kept) in recount.head.counts.iter().zip(snapshot.head.counts) {
        agree("counted approvals of a status", *counted, kept)?;
    }
    Ok(Consistency { approvals: recount.approvals, entries, answers })
}

fn recount_approvals(snapshot: &Snapshot) -> Result<Recount, StoreError> {
    let mut recount = Recount::default();
    for row in snapshot.approvals.range::<u128>(..)? {
        let (key, row) = row?;
        let id = key.value();
        let named = ApprovalId::from_u128(id);
        let row = ApprovalRow::decode(row.value()).ok_or_else(|| unreadable(named))?;
        verify_index_rows(snapshot, id, &row)?;
        recount.approvals += 1;
        recount.due += u64::from(row.due_at.is_some());
        recount.revisions = recount.revisions.saturating_add(row.revision);
        recount.head.count(None, row.status).ok_or_else(|| unreadable(named))?;
    }
    Ok(recount)
}

fn verify_index_rows(
    snapshot: &Snapshot,
    id: u128,
    row: &ApprovalRow<'_>,
) -> Result<(), StoreError> {
    let missing = |what: &str| {
        let id = ApprovalId::from_u128(id);
        StoreError::Damaged(format!("{what} of {id} is missing"))
    };
    for name in &format::list_names(row.agent, row.action) {
        let key = format::list_key(row.status, name, id);
        snapshot.lists.get(&key)?.ok_or_else(|| missing("a row in lists"))?;
    }
    if let Some(due_at) = row.due_at {
        snapshot.due.get(&format::due_key(due_at, id))?.ok_or_else(|| missing("the due time"))?;
    }
    let texts = snapshot.texts.get(id)?.ok_or_else(|| missing("a text"))?;
    rows::decode_texts(texts.value()).ok_or_else(|| missing("a readable text"))?;
    Ok(())
}

/// Builds the audit tree anew from the entries, and compares every hash of it.
fn recount_entries(snapshot: &Snapshot) -> Result<Frontier, StoreError> {
    let mut tree = Frontier::default();
    let mut last = 0;
    for row in snapshot.entries.range::<u64>(..)? {
        let (number, row) = row?;
        agree("audit number", last + 1, number.value())?;
        last = number.value();
        let text = rows::decode_text(row.value())
            .ok_or_else(|| unreadable(format_args!("audit entry {last}")))?;
        let hashes = tree.push(tree::leaf(text.as_bytes()));
        for (position, hash) in hashes.skip(format::TREE_LEVEL_MIN as usize) {
            let stored = snapshot.tree.get(position)?;
            if stored.is_none_or(|stored| *stored.value() != hash) {
                return Err(StoreError::Damaged(format!(
                    "an audit entry up to {last} is not the one that the audit tree holds"
                )));
            }
        }
    }
    Ok(tree)
}

/// Every module still has the digest that it is kept by.
fn recount_blobs(snapshot: &Snapshot) -> Result<(), StoreError> {
    let Some(blobs) = &snapshot.blobs else { return Ok(()) };
    for row in blobs.range::<&[u8; 32]>(..)? {
        let (digest, row) = row?;
        let bytes = rows::decode_blob(row.value()).ok_or_else(|| unreadable("a module"))?;
        if Sha256::digest(bytes).as_slice() != digest.value() {
            let digest = hex::encode(digest.value());
            return Err(StoreError::Damaged(format!("module {digest} has another digest")));
        }
    }
    Ok(())
}

fn recount_answers(snapshot: &Snapshot) -> Result<u64, StoreError> {
    let mut answers = 0;
    for row in snapshot.answers.range::<&[u8; 32]>(..)? {
        let (scope, row) = row?;
        let answer = rows::decode_answer(row.value()).ok_or_else(|| unreadable("a kept answer"))?;
        let key = format::answer_time_key(answer.at, scope.value());
        let time = snapshot.answer_times.get(&key)?;
        time.ok_or_else(|| StoreError::Damaged("the time of an answer is missing".to_owned()))?;
        answers += 1;
    }
    Ok(answers)
}

fn agree(what: &str, expected: u64, found: u64) -> Result<(), StoreError> {
    if expected == found {
        return Ok(());
    }
    Err(StoreError::Damaged(format!("{what}: expected {expected}, found {found}")))
}
