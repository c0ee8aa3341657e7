//! Every kind of edit of every table, and the name that `doctor` must report for it.

use std::collections::{BTreeMap, BTreeSet};

use signoff::id::ApprovalId;

use super::tables::{Contents, Rows, Table, Write};

/// The number of edited rows of a large table; a smaller table is edited completely.
const ROWS_MAX: usize = 8;

/// The offset and name of each column of an approval's row.
const COLUMNS: [(usize, &str); 8] = [
    (0, "format"),
    (1, "status"),
    (2, "due flag"),
    (10, "requested_at"),
    (18, "expires_at"),
    (26, "due_at"),
    (40, "digest of the texts"),
    (62, "length of the agent"),
];
/// The offset of the agent in an approval's row.
const AGENT_AT: usize = 67;

/// The kind of an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    OldVersion,
    Inserted,
    Deleted,
    Swapped,
    Changed,
    Rekeyed,
}

/// An edit of one table.
#[derive(Clone, Debug)]
pub struct Edit {
    pub table: Table,
    /// The row, and how it was edited.
    pub what: String,
    pub writes: Vec<Write>,
}

impl Edit {
    fn of(kind: Kind, table: Table, what: &str, writes: &[(&[u8], Option<&[u8]>)]) -> Self {
        let key = writes.first().map(|(key, _)| shown_key(table, key)).unwrap_or_default();
        let write = |(key, value): &(&[u8], Option<&[u8]>)| {
            (table, key.to_vec(), value.map(<[u8]>::to_vec))
        };
        let writes = writes.iter().map(write).collect();
        Self { table, what: format!("{} {key}: {kind:?} {what}", table.name()), writes }
    }

    /// Returns the rows that `doctor` must name, in its notation; empty if it names the log, the head or
    /// the whole store.
    pub fn named(&self) -> BTreeSet<String> {
        let keys = self.writes.iter().map(|(_, key, _)| key);
        match self.table {
            Table::Meta | Table::Entries | Table::Tree | Table::State => BTreeSet::new(),
            table => {
                keys.map(|key| format!("{} {}", table.name(), shown_key(table, key))).collect()
            }
        }
    }
}

/// Returns every edit of a store; `old` is an older copy of it.
pub fn all(honest: &Contents, old: &Contents) -> Vec<Edit> {
    let of_table = |table| of_table(table, honest.rows(table), old.rows(table));
    Table::ALL.into_iter().flat_map(of_table).collect()
}

fn of_table(table: Table, honest: &Rows, old: &Rows) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut add = |kind, what: &str, writes: &[(&[u8], Option<&[u8]>)]| {
        edits.push(Edit::of(kind, table, what, writes));
    };
    for (key, value) in old {
        match honest.get(key) {
            Some(now) if now == value => {}
            Some(_) => add(Kind::OldVersion, "", &[(key, Some(value))]),
            None => add(Kind::Inserted, "as it was", &[(key, Some(value))]),
        }
    }
    let chosen = chosen(honest);
    for (at, (key, value)) in chosen.iter().enumerate() {
        add(Kind::Deleted, "", &[(key, None)]);
        for (what, other) in other_keys(table, key) {
            if !honest.contains_key(&other) {
                add(Kind::Inserted, what, &[(&other, Some(value))]);
                add(Kind::Rekeyed, what, &[(key, None), (&other, Some(value))]);
            }
        }
        for (what, changed) in changed_values(table, value) {
            add(Kind::Changed, &what, &[(key, Some(&changed))]);
        }
        let (next_key, next) = &chosen[(at + 1) % chosen.len()];
        if next != value {
            let writes: [(&[u8], Option<&[u8]>); 2] = [(key, Some(next)), (next_key, Some(value))];
            add(Kind::Swapped, "with the next", &writes);
        }
    }
    edits
}

/// Returns rows spread over a table, including its first and its last.
fn chosen(rows: &Rows) -> Vec<(Vec<u8>, Vec<u8>)> {
    let all: Vec<_> = rows.iter().collect();
    let picks = all.len().min(ROWS_MAX);
    let at = |pick: usize| pick * (all.len() - 1) / (picks - 1).max(1);
    let picked: BTreeMap<_, _> = (0..picks).map(|pick| all[at(pick)]).collect();
    picked.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Returns other keys for a row.
fn other_keys(table: Table, key: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let with = |at: usize, by: u8| {
        let mut other = key.to_vec();
        other[at] = other[at].wrapping_add(by);
        other
    };
    let text = |other: String| other.into_bytes();
    match table {
        Table::Meta => vec![("under a name that nothing has", b"tokens".to_vec())],
        // redb's numbers are little-endian.
        Table::Approvals | Table::Texts => vec![("another id", with(0, 1))],
        Table::Entries | Table::Tree | Table::State => vec![("past the end", with(2, 1))],
        Table::Lists => vec![
            ("another status", with(0, if key[0] == 0 { 1 } else { u8::MAX })),
            ("another name", with(9, 1)),
            ("another id", with(25, 1)),
        ],
        Table::Due | Table::Abouts => {
            vec![("another time or thing", with(0, 1)), ("another id or number", with(23, 1))]
        }
        Table::AnswerTimes => vec![("another time", with(7, 1)), ("another scope", with(39, 1))],
        Table::Blobs | Table::Answers => vec![("another digest or scope", with(31, 1))],
        Table::Rows => {
            let key = String::from_utf8(key.to_vec()).unwrap();
            let (kind, id) = key.split_once('/').unwrap();
            vec![
                ("another id", text(format!("{kind}/{id}x"))),
                ("another kind", text(format!("session/{id}"))),
                ("a kind that is none", text(format!("facts/{id}"))),
            ]
        }
    }
}

/// Returns other values for a row.
fn changed_values(table: Table, value: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut places: Vec<(usize, String)> = Vec::new();
    if table == Table::Approvals {
        places.extend(COLUMNS.map(|(at, name)| (at, name.to_owned())));
        let length = u32::from_be_bytes(value[59..63].try_into().unwrap()) as usize;
        places.push((AGENT_AT, "agent".to_owned()));
        places.push((AGENT_AT + length, "action".to_owned()));
        places.push((value.len() - 3, "record".to_owned()));
    } else if !value.is_empty() {
        let (middle, last) = (value.len() / 2, value.len() - 1);
        let spread: BTreeSet<usize> = [0, 1.min(last), middle, last].into();
        places.extend(spread.into_iter().map(|at| (at, format!("byte {at}"))));
    }
    let changed = places.into_iter().map(|(at, name)| {
        let mut changed = value.to_vec();
        changed[at] ^= 1;
        (name, changed)
    });
    let mut changed: Vec<_> = changed.collect();
    // The tree's hashes have a fixed length in redb's format: no transaction can store another length.
    if !value.is_empty() && table != Table::Tree {
        changed.push(("cut short".to_owned(), value[..value.len() / 2].to_vec()));
        changed.push(("made longer".to_owned(), [value, b" "].concat()));
    }
    changed
}

/// Returns a key in the notation of `doctor`.
pub fn shown_key(table: Table, key: &[u8]) -> String {
    match table {
        Table::Meta | Table::Rows => String::from_utf8(key.to_vec()).unwrap(),
        Table::Approvals | Table::Texts => approval_id(key).to_string(),
        Table::Entries | Table::Tree | Table::State => number(key).to_string(),
        Table::Lists
        | Table::Due
        | Table::Abouts
        | Table::Blobs
        | Table::Answers
        | Table::AnswerTimes => hex::encode(key),
    }
}

/// Decodes a key of `approvals`.
pub fn approval_id(key: &[u8]) -> ApprovalId {
    ApprovalId::from_u128(u128::from_le_bytes(key.try_into().unwrap()))
}

/// Decodes a key of `entries`.
pub fn number(key: &[u8]) -> u64 {
    u64::from_le_bytes(key.try_into().unwrap())
}
