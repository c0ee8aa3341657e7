//! The tables of a store file as bytes, read and written by their documented format, without the code
//! under test.

use std::collections::BTreeMap;
use std::path::Path;

use redb::{Database, Key, ReadableDatabase, ReadableTable, TableDefinition, Value};

/// The rows of one table, by the bytes of their keys.
pub type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// A table of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    Meta,
    Approvals,
    Texts,
    Lists,
    Due,
    Entries,
    Abouts,
    Tree,
    Rows,
    State,
    Blobs,
    Answers,
    AnswerTimes,
}

/// Every row of a store.
#[derive(Clone, Debug, Default)]
pub struct Contents(BTreeMap<Table, Rows>);

/// A row to write: its table, its key, and its value; `None` removes it.
pub type Write = (Table, Vec<u8>, Option<Vec<u8>>);

/// Calls a function for the types of a table, with its name as the last argument.
macro_rules! typed {
    ($table:expr, $call:ident($($argument:expr),*)) => {
        match $table {
            Table::Meta => $call::<&str, &[u8]>($($argument,)* $table.name()),
            Table::Approvals | Table::Texts => $call::<u128, &[u8]>($($argument,)* $table.name()),
            Table::Lists => $call::<&[u8; 26], ()>($($argument,)* $table.name()),
            Table::Due | Table::Abouts => $call::<&[u8; 24], ()>($($argument,)* $table.name()),
            Table::Entries | Table::State => $call::<u64, &[u8]>($($argument,)* $table.name()),
            Table::Tree => $call::<u64, &[u8; 32]>($($argument,)* $table.name()),
            Table::Rows => $call::<&str, &[u8]>($($argument,)* $table.name()),
            Table::Blobs | Table::Answers => $call::<&[u8; 32], &[u8]>($($argument,)* $table.name()),
            Table::AnswerTimes => $call::<&[u8; 40], ()>($($argument,)* $table.name()),
        }
    };
}

impl Table {
    pub const ALL: [Self; 13] = [
        Self::Meta,
        Self::Approvals,
        Self::Texts,
        Self::Lists,
        Self::Due,
        Self::Entries,
        Self::Abouts,
        Self::Tree,
        Self::Rows,
        Self::State,
        Self::Blobs,
        Self::Answers,
        Self::AnswerTimes,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "signoff",
            Self::Approvals => "approvals",
            Self::Texts => "texts",
            Self::Lists => "lists",
            Self::Due => "due",
            Self::Entries => "entries",
            Self::Abouts => "abouts",
            Self::Tree => "tree",
            Self::Rows => "rows",
            Self::State => "state",
            Self::Blobs => "blobs",
            Self::Answers => "answers",
            Self::AnswerTimes => "answer_times",
        }
    }
}

impl Contents {
    /// Reads every row of a stopped store.
    #[track_caller]
    pub fn of(path: &Path) -> Self {
        let database = Database::open(path).unwrap();
        let txn = database.begin_read().unwrap();
        Self(Table::ALL.map(|table| (table, typed!(table, dump(&txn)))).into())
    }

    pub fn rows(&self, table: Table) -> &Rows {
        &self.0[&table]
    }

    /// Returns an existing row.
    #[track_caller]
    pub fn row(&self, table: Table, key: &[u8]) -> &[u8] {
        self.rows(table).get(key).unwrap_or_else(|| panic!("no {table:?} {}", hex::encode(key)))
    }

    /// Returns contents without rows in these tables.
    pub fn default_of(tables: &[Table]) -> Self {
        Self(tables.iter().map(|table| (*table, Rows::new())).collect())
    }

    /// Returns the edits that change the tables of another store into these.
    pub fn writes_from(&self, other: &Self, tables: &[Table]) -> Vec<Write> {
        let mut writes = Vec::new();
        for table in tables {
            let (from, to) = (other.rows(*table), self.rows(*table));
            let gone = from.keys().filter(|key| !to.contains_key(*key));
            writes.extend(gone.map(|key| (*table, key.clone(), None)));
            let new = to.iter().filter(|(key, value)| from.get(*key) != Some(*value));
            writes.extend(new.map(|(key, value)| (*table, key.clone(), Some(value.clone()))));
        }
        writes
    }
}

/// Writes rows into a stopped store.
#[track_caller]
pub fn write(path: &Path, writes: &[Write]) {
    let database = Database::open(path).unwrap();
    let txn = database.begin_write().unwrap();
    for (table, key, value) in writes {
        typed!(*table, put(&txn, key, value.as_deref()));
    }
    txn.commit().unwrap();
}

/// Reads a table; a missing table has no rows.
fn dump<K: Key + 'static, V: Value + 'static>(txn: &redb::ReadTransaction, name: &str) -> Rows {
    let Ok(table) = txn.open_table(TableDefinition::<K, V>::new(name)) else {
        return Rows::new();
    };
    let rows = table.iter().unwrap().map(|row| {
        let (key, value) = row.unwrap();
        let (key, value) = (key.value(), value.value());
        (K::as_bytes(&key).as_ref().to_vec(), V::as_bytes(&value).as_ref().to_vec())
    });
    rows.collect()
}

fn put<K: Key + 'static, V: Value + 'static>(
    txn: &redb::WriteTransaction,
    key: &[u8],
    value: Option<&[u8]>,
    name: &str,
) {
    let mut table = txn.open_table(TableDefinition::<K, V>::new(name)).unwrap();
    match value {
        Some(value) => drop(table.insert(K::from_bytes(key), V::from_bytes(value)).unwrap()),
        None => drop(table.remove(K::from_bytes(key)).unwrap()),
    }
}
