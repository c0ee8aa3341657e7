//! The rows of a store, changed behind the server's back, as its file format is documented.

use redb::{Database, ReadableTable, TableDefinition};
use serde_json::Value;

use super::{Home, text};

const APPROVALS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("approvals");
const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
const LISTS: TableDefinition<'_, &[u8; 26], ()> = TableDefinition::new("lists");
const DUE: TableDefinition<'_, &[u8; 24], ()> = TableDefinition::new("due");
/// Where the texts of an approval's row begin.
const TEXTS_AT: usize = 43;

/// The stores' statuses, in the order of their numbers.
const STATUSES: [&str; 6] = ["pending", "approved", "rejected", "executed", "expired", "withdrawn"];

/// The record of the only approval in a store that nobody serves.
#[track_caller]
pub fn record(home: &Home) -> Value {
    let database = Database::open(home.store()).unwrap();
    let txn = database.begin_write().unwrap();
    let table = txn.open_table(APPROVALS).unwrap();
    let (_, row) = table.first().unwrap().expect("an approval");
    Row::read(row.value()).record
}

/// Changes the record of the only approval, and what its row repeats of it.
#[track_caller]
pub fn change_record(home: &Home, change: impl FnOnce(&mut Value)) {
    let database = Database::open(home.store()).unwrap();
    let txn = database.begin_write().unwrap();
    {
        let mut table = txn.open_table(APPROVALS).unwrap();
        let (key, mut row) = {
            let (key, row) = table.first().unwrap().expect("an approval");
            (key.value(), Row::read(row.value()))
        };
        let before = row.record.clone();
        change(&mut row.record);
        assert_ne!(row.record, before, "nothing was changed");
        table.insert(key, row.write().as_slice()).unwrap();
    }
    txn.commit().unwrap();
}

/// Changes the text of an audit entry.
#[track_caller]
pub fn change_entry(home: &Home, number: u64, from: &str, to: &str) {
    let database = Database::open(home.store()).unwrap();
    let txn = database.begin_write().unwrap();
    {
        let mut table = txn.open_table(ENTRIES).unwrap();
        let row = table.get(number).unwrap().expect("an entry").value().to_vec();
        let text = String::from_utf8(row).unwrap();
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "nothing was changed");
        table.insert(number, changed.as_bytes()).unwrap();
    }
    txn.commit().unwrap();
}

/// Takes an audit entry out.
#[track_caller]
pub fn remove_entry(home: &Home, number: u64) {
    let database = Database::open(home.store()).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(ENTRIES).unwrap().remove(number).unwrap().expect("an entry");
    txn.commit().unwrap();
}

/// Takes every row out of the lists and the due times, which find approvals.
#[track_caller]
pub fn empty_lists(home: &Home) {
    let database = Database::open(home.store()).unwrap();
    let txn = database.begin_write().unwrap();
    let rows = txn.open_table(LISTS).unwrap().extract_if(|_, ()| true).unwrap().count();
    assert!(rows > 0, "nothing was changed");
    txn.open_table(DUE).unwrap().retain(|_, ()| false).unwrap();
    txn.commit().unwrap();
}

/// An approval's row: numbers, then agent, action and record.
struct Row {
    head: Vec<u8>,
    record: Value,
}

impl Row {
    fn read(row: &[u8]) -> Self {
        let length = |at: usize| u32::from_be_bytes(row[at..at + 4].try_into().unwrap()) as usize;
        let record = &row[TEXTS_AT + length(35) + length(39)..];
        Self { head: row[..35].to_vec(), record: serde_json::from_slice(record).unwrap() }
    }

    fn write(&self) -> Vec<u8> {
        let (agent, action) = (text(&self.record, "agent"), text(&self.record, "action"));
        let mut row = self.head.clone();
        let status = STATUSES.iter().position(|status| self.record["status"] == *status);
        row[1] = status.expect("a status") as u8;
        row.extend((agent.len() as u32).to_be_bytes());
        row.extend((action.len() as u32).to_be_bytes());
        for text in [agent, action, &self.record.to_string()] {
            row.extend(text.as_bytes());
        }
        row
    }
}
