//! The values of a store, byte by byte. Each begins with its own format, 1; numbers are big-endian,
//! texts UTF-8.
//!
//! ```text
//! approval  0       format 1
//!           1       status, 0 to 5
//!           2       1 if due_at is there, else 0
//!           3..11   revision
//!          11..19   requested_at
//!          19..27   expires_at
//!          27..35   due_at, 0 where there is none
//!          35..39   length of the agent
//!          39..43   length of the action
//!          43..     agent, action, record (to the end)
//!
//! texts     0       format 1
//!           1       1 if there is a plan, else 0
//!           2..6    length of the context
//!           6..     context, plan (to the end)
//!
//! entry     0       format 1
//!           1..     the audit entry (to the end)
//!
//! fact      0       format 1
//!           1..     its value (to the end)
//!
//! answer    0       format 1
//!           1..33   SHA-256 of the request's body
//!          33..35   HTTP status
//!          35..43   kept at
//!          43..     the answer's body (to the end)
//!
//! head      0       format 2
//!           1..9    number of the last audit entry, 0 if none
//!           9..17   time of the latest change, 0 if none
//!          17..65   approvals by stored status, six counts
//!          65..73   audit entries that changed no approval
//!          73..105  root of the audit tree
//! ```

use std::str::from_utf8;

use crate::audit::tree::{EMPTY_ROOT, Hash};
use crate::store::{Answer, Status, Summary, Texts};

const ROW_FORMAT: u8 = 1;
/// Format 1 had no audit tree.
const HEAD_FORMAT: u8 = 2;

/// An approval as stored, without its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ApprovalRow<'a> {
    pub(super) status: Status,
    pub(super) revision: u64,
    pub(super) requested_at: u64,
    pub(super) expires_at: u64,
    pub(super) due_at: Option<u64>,
    pub(super) agent: &'a str,
    pub(super) action: &'a str,
    pub(super) record: &'a str,
}

impl<'a> ApprovalRow<'a> {
    pub(super) fn new(summary: &'a Summary, revision: u64, record: &'a str) -> Self {
        Self {
            status: summary.status,
            revision,
            requested_at: summary.requested_at,
            expires_at: summary.expires_at,
            due_at: summary.due_at,
            agent: &summary.agent,
            action: &summary.action,
            record,
        }
    }

    /// None where a text is too long for its length field.
    pub(super) fn encode(&self, row: &mut Vec<u8>) -> Option<()> {
        row.clear();
        row.extend([ROW_FORMAT, self.status as u8, u8::from(self.due_at.is_some())]);
        row.extend(self.revision.to_be_bytes());
        row.extend(self.requested_at.to_be_bytes());
        row.extend(self.expires_at.to_be_bytes());
        row.extend(self.due_at.unwrap_or_default().to_be_bytes());
        row.extend(length(self.agent)?);
        row.extend(length(self.action)?);
        for text in [self.agent, self.action, self.record] {
            row.extend(text.as_bytes());
        }
        Some(())
    }

    pub(super) fn decode(row: &'a [u8]) -> Option<Self> {
        let mut row = Unread::of(row)?;
        let status = status(row.byte()?)?;
        let has_due = row.flag()?;
        let revision = row.u64()?;
        let requested_at = row.u64()?;
        let expires_at = row.u64()?;
        let due_at = row.u64()?;
        let agent_bytes = row.length()?;
        let action_bytes = row.length()?;
        Some(Self {
            status,
            revision,
            requested_at,
            expires_at,
            due_at: has_due.then_some(due_at),
            agent: row.text(agent_bytes)?,
            action: row.text(action_bytes)?,
            record: row.rest()?,
        })
    }
}

/// None where the context is too long for its length field.
pub(super) fn encode_texts(texts: &Texts, row: &mut Vec<u8>) -> Option<()> {
    row.clear();
    row.extend([ROW_FORMAT, u8::from(texts.plan.is_some())]);
    row.extend(length(&texts.context)?);
    row.extend(texts.context.as_bytes());
    row.extend(texts.plan.as_deref().unwrap_or_default().as_bytes());
    Some(())
}

pub(super) fn decode_texts(row: &[u8]) -> Option<Texts> {
    let mut row = Unread::of(row)?;
    let has_plan = row.flag()?;
    let context_bytes = row.length()?;
    let context = row.text(context_bytes)?.to_owned();
    let plan = row.rest()?;
    Some(Texts { context, plan: has_plan.then(|| plan.to_owned()) })
}

/// An audit entry or a fact: a text.
pub(super) fn encode_text(text: &str, row: &mut Vec<u8>) {
    row.clear();
    row.push(ROW_FORMAT);
    row.extend(text.as_bytes());
}

pub(super) fn decode_text(row: &[u8]) -> Option<&str> {
    Unread::of(row)?.rest()
}

/// A module's bytes.
pub(super) fn encode_blob(bytes: &[u8], row: &mut Vec<u8>) {
    row.clear();
    row.push(ROW_FORMAT);
    row.extend(bytes);
}

pub(super) fn decode_blob(row: &[u8]) -> Option<&[u8]> {
    Some(Unread::of(row)?.0)
}

pub(super) fn encode_answer(answer: &Answer, row: &mut Vec<u8>) {
    row.clear();
    row.push(ROW_FORMAT);
    row.extend(answer.request_digest);
    row.extend(answer.status.to_be_bytes());
    row.extend(answer.at.to_be_bytes());
    row.extend(answer.body.as_bytes());
}

pub(super) fn decode_answer(row: &[u8]) -> Option<Answer> {
    let mut row = Unread::of(row)?;
    let request_digest = row.array()?;
    let status = u16::from_be_bytes(row.array()?);
    let at = row.u64()?;
    Some(Answer { request_digest, status, body: row.rest()?.to_owned(), at })
}

/// What a store knows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeadRow {
    pub(super) entries: u64,
    pub(super) last_commit_at: u64,
    pub(super) counts: [u64; 6],
    /// Entries that changed no approval: of keys, of tokens, of refusals.
    pub(super) others: u64,
    pub(super) root: Hash,
}

impl Default for HeadRow {
    fn default() -> Self {
        Self { entries: 0, last_commit_at: 0, counts: [0; 6], others: 0, root: EMPTY_ROOT }
    }
}

impl HeadRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        let numbers = [self.entries, self.last_commit_at].into_iter().chain(self.counts);
        let numbers = numbers.chain([self.others]).flat_map(u64::to_be_bytes);
        [HEAD_FORMAT].into_iter().chain(numbers).chain(self.root).collect()
    }

    pub(super) fn decode(row: &[u8]) -> Option<Self> {
        let mut row = Unread::of_format(row, HEAD_FORMAT)?;
        let mut head = Self { entries: row.u64()?, last_commit_at: row.u64()?, ..Self::default() };
        for count in &mut head.counts {
            *count = row.u64()?;
        }
        head.others = row.u64()?;
        head.root = row.array()?;
        row.0.is_empty().then_some(head)
    }

    /// Counts one approval that came to a status, and the one that left another. None where a count
    /// would leave its range: then what was counted before was wrong.
    pub(super) fn count(&mut self, from: Option<Status>, to: Status) -> Option<()> {
        if let Some(from) = from {
            let count = self.counts.get_mut(usize::from(from as u8))?;
            *count = count.checked_sub(1)?;
        }
        let count = self.counts.get_mut(usize::from(to as u8))?;
        *count = count.checked_add(1)?;
        Some(())
    }
}

fn status(byte: u8) -> Option<Status> {
    Status::ALL.get(usize::from(byte)).copied()
}

fn length(text: &str) -> Option<[u8; 4]> {
    u32::try_from(text.len()).ok().map(u32::to_be_bytes)
}

/// What is left to read of a row.
struct Unread<'a>(&'a [u8]);

impl<'a> Unread<'a> {
    /// A row of the format read here.
    fn of(row: &'a [u8]) -> Option<Self> {
        Self::of_format(row, ROW_FORMAT)
    }

    fn of_format(row: &'a [u8], format: u8) -> Option<Self> {
        let mut row = Self(row);
        (row.byte()? == format).then_some(row)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(u32::from_be_bytes(self.array()?)).ok()
    }

    fn text(&mut self, bytes: usize) -> Option<&'a str> {
        let (first, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        from_utf8(first).ok()
    }

    fn rest(&mut self) -> Option<&'a str> {
        self.text(self.0.len())
    }
}
