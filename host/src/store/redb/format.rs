//! The tables of a store and their keys. Store format 3.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `signoff` | `format` | the store format, u64 |
//! | | `audience` | the deployment's name, UTF-8 |
//! | | `head` | the head of the audit log: a C2SP checkpoint, signed if there is a log key |
//! | | `scrub` | present while the unused space of the file may hold erased or removed rows |
//! | | `state` | the signed note of the saved [state](crate::store::log_state), if one was saved |
//! | `approvals` | id, redb's u128 | approval row |
//! | `texts` | id, redb's u128 | texts row; written once, removed when the approval is erased |
//! | `lists` | status, filter, names, id (26 bytes) | nothing |
//! | `due` | due_at, id (24 bytes) | nothing |
//! | `entries` | number, redb's u64 | entry row; numbers start at 1, without gaps |
//! | `abouts` | subject, number (24 bytes) | nothing |
//! | `tree` | stored position, redb's u64 | a hash of the audit tree, 32 bytes; only subtrees of 16 entries or more |
//! | `rows` | kind, `/`, id, UTF-8 | the host's own row |
//! | `state` | number of the chunk, redb's u64 | a piece of the saved state |
//! | `blobs` | SHA-256 (32 bytes) | blob row: a module's bytes; the table is created with the first one |
//! | `answers` | scope (32 bytes) | answer row |
//! | `answer_times` | stored at, scope (40 bytes) | nothing |
//!
//! Numbers inside byte keys are big-endian, so that byte order is numeric order. An id is a ULID's
//! 128 bits: its order is chronological, and new approvals go to the end.
//!
//! # Lists
//!
//! Every approval has four rows in `lists`, one for each filter by agent and action, always with
//! its status:
//!
//! ```text
//! byte  0       status                                 0 to 5
//!       1       filter: 1 = by agent, 2 = by action    0 to 3
//!       2..10   names                                  8 bytes, zero if the filter is 0
//!      10..26   id
//! ```
//!
//! `names` are the first 8 bytes of SHA-256 over the filter byte, the agent's length (u64) and
//! bytes if the filter has it, and the action's bytes if the filter has it. Fixed width makes the
//! table half as large as names in full would. Two names may share 8 bytes, so a reader compares
//! the approval itself. A list without a status merges the six lists by status: that costs six
//! seeks and saves four more rows per approval. A list without any filter reads `approvals`
//! backwards.

use redb::{TableDefinition, WriteTransaction};
use sha2::{Digest, Sha256};

use crate::store::{About, RowKind, Scope, Status, StoreError};
use signoff_core::log::tree::Hash;

/// The store format written and read here.
pub(super) const STORE_FORMAT: u64 = 3;

/// Format, audience and head.
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("signoff");
pub(super) const FORMAT_KEY: &str = "format";
pub(super) const AUDIENCE_KEY: &str = "audience";
pub(super) const HEAD_KEY: &str = "head";
pub(super) const STATE_KEY: &str = "state";
pub(super) const SCRUB_KEY: &str = "scrub";

pub(super) const APPROVALS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("approvals");
pub(super) const TEXTS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("texts");
pub(super) const LISTS: TableDefinition<'_, &ListKey, ()> = TableDefinition::new("lists");
pub(super) const DUE: TableDefinition<'_, &DueKey, ()> = TableDefinition::new("due");
pub(super) const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
pub(super) const ABOUTS: TableDefinition<'_, &AboutKey, ()> = TableDefinition::new("abouts");
/// The lowest stored level of the audit tree: subtrees of 16 entries. Lower levels are computed
/// from the entries, which saves two rows per entry.
pub(super) const TREE_LEVEL_MIN: u32 = 4;
pub(super) const TREE: TableDefinition<'_, u64, &Hash> = TableDefinition::new("tree");
pub(super) const ROWS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("rows");
pub(super) const STATE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("state");
pub(super) const BLOBS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("blobs");
pub(super) const ANSWERS: TableDefinition<'_, &Scope, &[u8]> = TableDefinition::new("answers");
pub(super) const ANSWER_TIMES: TableDefinition<'_, &AnswerTimeKey, ()> =
    TableDefinition::new("answer_times");

pub(super) type ListKey = [u8; 26];
pub(super) type DueKey = [u8; 24];
pub(super) type AboutKey = [u8; 24];
pub(super) type AnswerTimeKey = [u8; 40];

/// The agent and action that a list is filtered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Filter<'a> {
    agent: Option<&'a str>,
    action: Option<&'a str>,
}

/// Bytes 1 to 10 of a list key: the filter and its names.
pub(super) type ListName = [u8; 9];

impl<'a> Filter<'a> {
    pub(super) fn new(agent: Option<&'a str>, action: Option<&'a str>) -> Self {
        Self { agent, action }
    }

    /// Returns whether an approval of this agent and action matches.
    pub(super) fn passes(self, agent: &str, action: &str) -> bool {
        self.agent.is_none_or(|wanted| wanted == agent)
            && self.action.is_none_or(|wanted| wanted == action)
    }

    pub(super) fn name(self) -> ListName {
        let filter = u8::from(self.agent.is_some()) | u8::from(self.action.is_some()) << 1;
        let mut name = [0; 9];
        let [first, digest @ ..] = &mut name;
        *first = filter;
        if filter == 0 {
            return name;
        }
        let mut hash = Sha256::new_with_prefix([filter]);
        if let Some(agent) = self.agent {
            hash.update((agent.len() as u64).to_be_bytes());
            hash.update(agent);
        }
        hash.update(self.action.unwrap_or_default());
        for (to, from) in digest.iter_mut().zip(hash.finalize()) {
            *to = from;
        }
        name
    }
}

/// Returns the names of the four lists that contain an approval, regardless of its status.
pub(super) fn list_names(agent: &str, action: &str) -> [ListName; 4] {
    [(None, None), (Some(agent), None), (None, Some(action)), (Some(agent), Some(action))]
        .map(|(agent, action)| Filter::new(agent, action).name())
}

pub(super) fn list_key(status: Status, name: &ListName, id: u128) -> ListKey {
    join(&[&[status as u8], name, &id.to_be_bytes()])
}

/// Returns the id at the end of a list or due key.
pub(super) fn id_of(key: &[u8]) -> Option<u128> {
    key.last_chunk().map(|bytes| u128::from_be_bytes(*bytes))
}

pub(super) fn due_key(due_at: u64, id: u128) -> DueKey {
    join(&[&due_at.to_be_bytes(), &id.to_be_bytes()])
}

pub(super) fn about_key(about: About, number: u64) -> AboutKey {
    join(&[&about.0.to_be_bytes(), &number.to_be_bytes()])
}

/// Returns the number at the end of a key of `abouts`.
pub(super) fn number_of(key: &AboutKey) -> Option<u64> {
    key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// Returns the key of one of the host's own rows.
pub(super) fn row_key(kind: RowKind, id: &str) -> String {
    format!("{kind}/{id}")
}

pub(super) fn answer_time_key(at: u64, scope: &Scope) -> AnswerTimeKey {
    join(&[&at.to_be_bytes(), scope])
}

/// Returns the scope at the end of an answer's time key.
pub(super) fn scope_of(key: &AnswerTimeKey) -> Option<Scope> {
    key.last_chunk().copied()
}

/// Concatenates the parts. Every caller's parts fill the key.
fn join<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut key = [0; N];
    let bytes = parts.iter().flat_map(|part| part.iter());
    for (to, from) in key.iter_mut().zip(bytes) {
        *to = *from;
    }
    key
}

/// Creates every table, empty, and the metadata rows of a new store.
pub(super) fn initialise(
    txn: &WriteTransaction,
    audience: &str,
    head: &str,
) -> Result<(), StoreError> {
    let mut meta = txn.open_table(META)?;
    meta.insert(FORMAT_KEY, STORE_FORMAT.to_be_bytes().as_slice())?;
    meta.insert(AUDIENCE_KEY, audience.as_bytes())?;
    meta.insert(HEAD_KEY, head.as_bytes())?;
    txn.open_table(APPROVALS)?;
    txn.open_table(TEXTS)?;
    txn.open_table(LISTS)?;
    txn.open_table(DUE)?;
    txn.open_table(ENTRIES)?;
    txn.open_table(ABOUTS)?;
    txn.open_table(TREE)?;
    txn.open_table(ROWS)?;
    txn.open_table(STATE)?;
    txn.open_table(ANSWERS)?;
    txn.open_table(ANSWER_TIMES)?;
    Ok(())
}
