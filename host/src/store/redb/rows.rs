//! The byte layout of a store's values. Each begins with its format number, 1; numbers are
//! big-endian, texts UTF-8.
//!
//! ```text
//! approval  0       format 1
//!           1       status, 0 to 5
//!           2       1 if there is a due_at, else 0
//!           3..11   requested_at
//!          11..19   expires_at
//!          19..27   due_at, 0 if there is none
//!          27..59   SHA-256 of the texts row; zero if the texts are erased
//!          59..63   length of the agent
//!          63..67   length of the action
//!          67..     agent, action, record (to the end)
//!
//! texts     0       format 1
//!           1       1 if there is a plan, else 0
//!           2..6    length of the context
//!           6..     context, plan (to the end)
//!
//! entry     0       format 1
//!           1..     the audit entry (to the end)
//!
//! row       0       format 1
//!           1..     its value (to the end)
//!
//! answer    0       format 1
//!           1..9    the entry that stored it
//!           9..41   SHA-256 of the request's body
//!          41..43   HTTP status
//!          43..51   stored at
//!          51..     the answer's body (to the end)
//! ```
//!
//! The audit log holds the hash of an approval's whole row, of the value of one of the host's own
//! rows, and of an answer from byte 9 on.

use std::str::from_utf8;

use crate::store::{Answer, Status, Summary, Texts};
use signoff_core::log::tree::Hash;

/// What an approval's row has in place of the hash of its texts once they are erased.
pub(super) const ERASED_TEXTS: Hash = [0; 32];

const ROW_FORMAT: u8 = 1;
/// The offset in an answer's row from which its entry has the hash.
const ANSWER_VALUE: usize = 9;

/// A stored approval without its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ApprovalRow<'a> {
    pub(super) status: Status,
    pub(super) requested_at: u64,
    pub(super) expires_at: u64,
    pub(super) due_at: Option<u64>,
    /// SHA-256 of the texts row, or [`ERASED_TEXTS`].
    pub(super) texts: Hash,
    pub(super) agent: &'a str,
    pub(super) action: &'a str,
    pub(super) record: &'a str,
}

impl<'a> ApprovalRow<'a> {
    pub(super) fn new(summary: &'a Summary, texts: Hash, record: &'a str) -> Self {
        Self {
            status: summary.status,
            requested_at: summary.requested_at,
            expires_at: summary.expires_at,
            due_at: summary.due_at,
            texts,
            agent: &summary.agent,
            action: &summary.action,
            record,
        }
    }

    /// Encodes the row; `None` if a text is too long for its length field.
    pub(super) fn encode(&self, row: &mut Vec<u8>) -> Option<()> {
        row.clear();
        row.extend([ROW_FORMAT, self.status as u8, u8::from(self.due_at.is_some())]);
        row.extend(self.requested_at.to_be_bytes());
        row.extend(self.expires_at.to_be_bytes());
        row.extend(self.due_at.unwrap_or_default().to_be_bytes());
        row.extend(self.texts);
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
        let requested_at = row.u64()?;
        let expires_at = row.u64()?;
        let due_at = row.u64()?;
        let texts = row.array()?;
        let agent_bytes = row.length()?;
        let action_bytes = row.length()?;
        Some(Self {
            status,
            requested_at,
            expires_at,
            due_at: has_due.then_some(due_at),
            texts,
            agent: row.text(agent_bytes)?,
            action: row.text(action_bytes)?,
            record: row.rest()?,
        })
    }
}

/// Encodes texts; `None` if the context is too long for its length field.
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

/// Encodes a text: an audit entry or one of the host's own rows.
pub(super) fn encode_text(text: &str, row: &mut Vec<u8>) {
    row.clear();
    row.push(ROW_FORMAT);
    row.extend(text.as_bytes());
}

pub(super) fn decode_text(row: &[u8]) -> Option<&str> {
    Unread::of(row)?.rest()
}

/// Encodes a module's bytes.
pub(super) fn encode_blob(bytes: &[u8], row: &mut Vec<u8>) {
    row.clear();
    row.push(ROW_FORMAT);
    row.extend(bytes);
}

pub(super) fn decode_blob(row: &[u8]) -> Option<&[u8]> {
    Some(Unread::of(row)?.0)
}

pub(super) fn encode_answer(answer: &Answer, entry: u64, row: &mut Vec<u8>) {
    row.clear();
    row.push(ROW_FORMAT);
    row.extend(entry.to_be_bytes());
    row.extend(answer.request_digest);
    row.extend(answer.status.to_be_bytes());
    row.extend(answer.at.to_be_bytes());
    row.extend(answer.body.as_bytes());
}

/// Decodes an answer and the number of the entry that stored it.
pub(super) fn decode_answer(row: &[u8]) -> Option<(u64, Answer)> {
    let mut row = Unread::of(row)?;
    let entry = row.u64()?;
    let request_digest = row.array()?;
    let status = u16::from_be_bytes(row.array()?);
    let at = row.u64()?;
    let body = row.rest()?.to_owned();
    Some((entry, Answer { request_digest, status, body, at, entry: Some(entry) }))
}

/// Returns the part of an answer's row whose hash is in its entry.
pub(super) fn answer_value(row: &[u8]) -> &[u8] {
    row.get(ANSWER_VALUE..).unwrap_or_default()
}

fn status(byte: u8) -> Option<Status> {
    Status::ALL.get(usize::from(byte)).copied()
}

fn length(text: &str) -> Option<[u8; 4]> {
    u32::try_from(text.len()).ok().map(u32::to_be_bytes)
}

/// The unread rest of a row.
struct Unread<'a>(&'a [u8]);

impl<'a> Unread<'a> {
    /// Starts reading a row; `None` for an unsupported format.
    fn of(row: &'a [u8]) -> Option<Self> {
        let mut row = Self(row);
        (row.byte()? == ROW_FORMAT).then_some(row)
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
