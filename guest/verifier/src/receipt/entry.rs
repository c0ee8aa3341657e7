//! Log entries as a receipt reads them: format 2. Members not listed here are ignored; the tree
//! covers every byte of an entry.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::entry_invalid;
use super::file::Line;
use crate::key::LoggedKey;
use crate::lifecycle::LoggedEvent;
use crate::object::{Object, object, objects, redacted_message};
use crate::rejection::Rejection;
use crate::time::UnixSeconds;

const FORMAT: u32 = 2;
/// The host's own event that records a key.
const KEY_RECORDED: &str = "key_recorded";
/// The kinds of rows that a receipt tracks.
const APPROVAL: &str = "approval";
const KEY: &str = "key";

/// An entry that changed a row.
pub(super) struct Entry<T> {
    pub(super) number: u64,
    /// The number of the entry that previously changed the row; 0 if there is none.
    pub(super) prev: u64,
    pub(super) event: T,
}

/// The entries of a receipt, each list in the order of the log.
pub(super) struct Entries {
    /// The steps of the approval.
    pub(super) steps: Vec<Entry<LoggedEvent>>,
    /// The keys as they were recorded.
    pub(super) keys: Vec<Entry<LoggedKey>>,
}

/// An entry's text.
#[derive(Deserialize)]
struct Fields<'a> {
    format: u32,
    at: UnixSeconds,
    #[serde(borrow)]
    event: &'a RawValue,
    #[serde(rename = "host", deserialize_with = "object")]
    _host: Host,
    #[serde(deserialize_with = "objects")]
    state: Vec<Row>,
}

/// The host's own members, which a receipt does not need.
#[derive(Deserialize)]
struct Host {}

/// A row of the store that the entry changed.
#[derive(Deserialize)]
struct Row {
    kind: String,
    id: String,
    sha256: Option<String>,
    prev: u64,
}

impl Entries {
    /// Parses the entries about one approval and about keys, and verifies that each one continues
    /// from the previous entry that changed the same row.
    ///
    /// Rejections: `receipt-invalid`, for the first entry that is malformed, is about something
    /// else, is earlier than the one before it, or leaves out a change.
    pub(super) fn read(lines: &[Line], approval_id: &str) -> Result<Self, Rejection> {
        let mut entries = Self { steps: Vec::new(), keys: Vec::new() };
        let mut at = None;
        for line in lines {
            let wrong = |why: &str| entry_invalid(line.number, why);
            let fields: Fields<'_> = parse(line.number, &line.entry)?;
            if fields.format != FORMAT {
                return Err(wrong(&format!("expected format {FORMAT}, found {}", fields.format)));
            }
            if at.is_some_and(|at| fields.at < at) {
                return Err(wrong("it is earlier than the entry before it"));
            }
            at = Some(fields.at);
            entries.add(line.number, &fields, approval_id)?;
        }
        if entries.steps.is_empty() {
            return Err(super::invalid("no entry is about the approval"));
        }
        entries.are_unbroken()?;
        Ok(entries)
    }

    fn add(&mut self, number: u64, fields: &Fields<'_>, id: &str) -> Result<(), Rejection> {
        #[derive(Deserialize)]
        struct Kind {
            event: String,
        }
        let text = fields.event.get();
        let kind: Kind = parse(number, text)?;
        if kind.event == KEY_RECORDED {
            let event: LoggedKey = parse(number, text)?;
            let prev = fields.changes(number, KEY, event.id())?;
            self.keys.push(Entry { number, prev, event });
            return Ok(());
        }
        let event: LoggedEvent = parse(number, text)?;
        let prev = fields.changes(number, APPROVAL, id)?;
        self.steps.push(Entry { number, prev, event });
        Ok(())
    }

    /// Checks that the first step is the approval's first change and that no step is missing in
    /// between. The entries of a key may begin with the last one before its ballot.
    fn are_unbroken(&self) -> Result<(), Rejection> {
        let mut before = 0;
        for step in &self.steps {
            follows(step, before)?;
            before = step.number;
        }
        for (at, key) in self.keys.iter().enumerate() {
            let earlier = self.keys.iter().take(at);
            if let Some(before) = earlier.rev().find(|other| other.event.id() == key.event.id()) {
                follows(key, before.number)?;
            }
        }
        Ok(())
    }
}

/// Rejections: `receipt-invalid`.
fn follows<T>(entry: &Entry<T>, before: u64) -> Result<(), Rejection> {
    if entry.prev == before {
        return Ok(());
    }
    let why = match (entry.prev, before) {
        (0, _) => "it claims to be the first change, but the receipt has an earlier one".to_owned(),
        (prev, _) => format!("the previous change is entry {prev}, which is not in its place"),
    };
    Err(entry_invalid(entry.number, &why))
}

impl Fields<'_> {
    /// Returns the number of the entry that previously changed the row. This entry must change the
    /// row exactly once, and must not remove it.
    ///
    /// Rejections: `receipt-invalid`.
    fn changes(&self, number: u64, kind: &str, id: &str) -> Result<u64, Rejection> {
        let mut rows = self.state.iter().filter(|row| row.kind == kind && row.id == id);
        match (rows.next(), rows.next()) {
            (Some(row), None) if row.sha256.is_some() => Ok(row.prev),
            _ => Err(entry_invalid(number, &format!("it does not change the {kind} `{id}`"))),
        }
    }
}

/// Parses an object, ignoring members that are not listed.
fn parse<'a, T: Deserialize<'a>>(number: u64, text: &'a str) -> Result<T, Rejection> {
    match serde_json::from_str(text) {
        Ok(Object(value)) => Ok(value),
        Err(e) => Err(entry_invalid(number, &redacted_message(&e))),
    }
}
