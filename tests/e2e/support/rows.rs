//! Edits of the rows of a stopped store: by the documented format of its file, or with the log key
//! too.

use redb::{Database, ReadableTable, TableDefinition};
use serde_json::{Value, json};
use signoff::store::redb::{CheckIntegrity, OpenMode, RedbStore};
use signoff::store::{About, Base, Change, Commit, Query, Status, Store, Stored, Summary, Version};

use super::{Home, text};

const APPROVALS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("approvals");
const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
const LISTS: TableDefinition<'_, &[u8; 26], ()> = TableDefinition::new("lists");
const DUE: TableDefinition<'_, &[u8; 24], ()> = TableDefinition::new("due");
/// The offset of the texts in an approval's row, after the lengths of the first two.
const TEXTS_AT: usize = 67;
/// The offsets of those lengths.
const LENGTHS_AT: [usize; 2] = [59, 63];

/// Returns the record of the only approval in a stopped store.
#[track_caller]
pub fn record(home: &Home) -> Value {
    with_only(home, async |_, stored| serde_json::from_str(&stored.record).unwrap())
}

/// Changes the record of the only approval with the log key: the log has the new version, and only the
/// approvers' signatures reveal the change.
#[track_caller]
pub fn change_record(home: &Home, change: impl FnOnce(&mut Value)) {
    with_only(home, async |store, stored| {
        let mut record: Value = serde_json::from_str(&stored.record).unwrap();
        let before = record.clone();
        change(&mut record);
        assert_ne!(record, before, "nothing was changed");
        let summary = Summary {
            status: Status::parse(text(&record, "status")).expect("a status"),
            agent: text(&record, "agent").to_owned(),
            action: text(&record, "action").to_owned(),
            ..stored.summary
        };
        let id = summary.id;
        let event =
            json!({ "format": 1, "event": "approval_extended", "approval_id": id.to_string() });
        let base = Base::Entry(stored.entry);
        let version = Version { summary, record: record.to_string(), base };
        let change = Change {
            removed: Vec::new(),
            forgotten: Vec::new(),
            approval: Some(version),
            rows: Vec::new(),
            blob: None,
            event: event.to_string(),
            host: "{}".to_owned(),
            about: About::approval(id),
            answer: None,
            at: 0,
        };
        let kept = store.commit(change).await.unwrap();
        assert!(matches!(kept, Commit::Committed { .. }), "{kept:?}");
    });
}

/// Changes only the record in the row of the only approval.
#[track_caller]
pub fn edit_record(home: &Home, change: impl FnOnce(&mut Value)) {
    let database = Database::open(home.store()).unwrap();
    let txn = database.begin_write().unwrap();
    {
        let mut table = txn.open_table(APPROVALS).unwrap();
        let (key, row) = {
            let (key, row) = table.first().unwrap().expect("an approval");
            (key.value(), row.value().to_vec())
        };
        let length = |at: usize| u32::from_be_bytes(row[at..at + 4].try_into().unwrap()) as usize;
        let (before, record) =
            row.split_at(TEXTS_AT + LENGTHS_AT.map(length).iter().sum::<usize>());
        let mut changed: Value = serde_json::from_slice(record).unwrap();
        change(&mut changed);
        let changed = [before, changed.to_string().as_bytes()].concat();
        assert_ne!(changed, row, "nothing was changed");
        table.insert(key, changed.as_slice()).unwrap();
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

/// Removes an audit entry.
#[track_caller]
pub fn remove_entry(home: &Home, number: u64) {
    let database = Database::open(home.store()).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(ENTRIES).unwrap().remove(number).unwrap().expect("an entry");
    txn.commit().unwrap();
}

/// Calls `work` with the only approval of a stopped store.
#[track_caller]
fn with_only<T>(home: &Home, work: impl AsyncFnOnce(&RedbStore, Stored) -> T) -> T {
    let mode = OpenMode::Write;
    let store = RedbStore::open(&home.store(), mode, CheckIntegrity::No, home.trust()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let done = runtime.block_on(async {
        let mut all = store.list(&Query { limit: 1, ..Query::default() }).await.unwrap();
        work(&store, all.pop().expect("an approval")).await
    });
    store.close();
    done
}

/// Removes every row from the lists and the due times, which find approvals.
#[track_caller]
pub fn empty_lists(home: &Home) {
    let database = Database::open(home.store()).unwrap();
    let txn = database.begin_write().unwrap();
    let rows = txn.open_table(LISTS).unwrap().extract_if(|_, ()| true).unwrap().count();
    assert!(rows > 0, "nothing was changed");
    txn.open_table(DUE).unwrap().retain(|_, ()| false).unwrap();
    txn.commit().unwrap();
}
