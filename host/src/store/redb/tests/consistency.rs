//! Each way in which tables can disagree is found.

use redb::{Builder, Database, ReadableTable};

use super::super::format::{
    self, ABOUTS, ANSWER_TIMES, ANSWERS, APPROVALS, BLOBS, DUE, ENTRIES, HEAD_KEY, LISTS, META,
    TEXTS, TREE,
};
use super::super::rows::HeadRow;
use super::*;

/// What somebody did to the file, and what is said about it.
type Edit = (fn(&redb::WriteTransaction), &'static str);

const EDITS: [Edit; 17] = [
    (
        |txn| {
            let name = &format::list_names("agent:deployer", "deploy.production")[3];
            let key = format::list_key(Status::Pending, name, id(1).to_u128());
            txn.open_table(LISTS).unwrap().remove(&key).unwrap();
        },
        "a row in lists of appr_00000000010000000000000001 is missing",
    ),
    (
        |txn| drop(txn.open_table(LISTS).unwrap().insert(&[9; 26], ()).unwrap()),
        "rows in lists: expected 8, found 9",
    ),
    (
        |txn| {
            let key = format::due_key(4_600, id(2).to_u128());
            txn.open_table(DUE).unwrap().remove(&key).unwrap();
        },
        "the due time of appr_",
    ),
    (
        |txn| drop(txn.open_table(DUE).unwrap().insert(&[9; 24], ()).unwrap()),
        "due times: expected 2, found 3",
    ),
    (
        |txn| drop(txn.open_table(TEXTS).unwrap().remove(id(1).to_u128()).unwrap()),
        "a text of appr_",
    ),
    (
        |txn| drop(txn.open_table(TEXTS).unwrap().insert(7, [1].as_slice()).unwrap()),
        "texts: expected 2, found 3",
    ),
    (
        |txn| drop(txn.open_table(ENTRIES).unwrap().remove(1).unwrap()),
        "audit number: expected 1, found 2",
    ),
    (
        |txn| drop(txn.open_table(ENTRIES).unwrap().insert(3, [1].as_slice()).unwrap()),
        "audit entries: expected 2, found 3",
    ),
    (
        |txn| drop(txn.open_table(ENTRIES).unwrap().insert(2, [1, b'x'].as_slice()).unwrap()),
        "the audit entries do not have the root of the audit tree",
    ),
    (
        |txn| drop(txn.open_table(TREE).unwrap().insert(9, &[9; 32]).unwrap()),
        "hashes of the audit tree: expected 0, found 1",
    ),
    (
        |txn| drop(txn.open_table(ABOUTS).unwrap().insert(&[9; 24], ()).unwrap()),
        "what entries are about: expected 2, found 3",
    ),
    (
        |txn| {
            let head = HeadRow { root: [9; 32], ..head_of(txn) };
            let mut meta = txn.open_table(META).unwrap();
            meta.insert(HEAD_KEY, head.encode().as_slice()).unwrap();
        },
        "the audit entries do not have the root of the audit tree",
    ),
    (
        |txn| {
            let head = HeadRow { others: 1, ..head_of(txn) };
            let mut meta = txn.open_table(META).unwrap();
            meta.insert(HEAD_KEY, head.encode().as_slice()).unwrap();
        },
        "audit entries: expected 3, found 2",
    ),
    (
        |txn| {
            let head = HeadRow { entries: 2, counts: [1, 1, 0, 0, 0, 0], ..head_of(txn) };
            let mut meta = txn.open_table(META).unwrap();
            meta.insert(HEAD_KEY, head.encode().as_slice()).unwrap();
        },
        "counted approvals of a status: expected 2, found 1",
    ),
    (
        |txn| {
            let key = format::answer_time_key(5, &scope(1));
            txn.open_table(ANSWER_TIMES).unwrap().remove(&key).unwrap();
        },
        "the time of an answer is missing",
    ),
    (
        |txn| drop(txn.open_table(BLOBS).unwrap().insert(&[7; 32], [1, 7].as_slice()).unwrap()),
        "module 0707070707070707070707070707070707070707070707070707070707070707 has another digest",
    ),
    (
        |txn| drop(txn.open_table(APPROVALS).unwrap().insert(7, [2].as_slice()).unwrap()),
        "cannot be read",
    ),
];

fn head_of(txn: &redb::WriteTransaction) -> HeadRow {
    let meta = txn.open_table(META).unwrap();
    let row = meta.get(HEAD_KEY).unwrap().unwrap();
    HeadRow::decode(row.value()).unwrap()
}

async fn sample(path: &Path) {
    let store = create(path);
    let answer = Some((scope(1), answer(5)));
    store.commit(Change { answer, ..new(summary(id(1))) }).await.unwrap();
    store.commit(new(summary(id(2)))).await.unwrap();
    let found = agrees(&store);
    assert_eq!((found.approvals, found.entries, found.answers), (2, 2, 1));
}

fn edit(path: &Path, edit: fn(&redb::WriteTransaction)) {
    let database: Database = Builder::new().open(path).unwrap();
    let txn = database.begin_write().unwrap();
    edit(&txn);
    txn.commit().unwrap();
}

#[tokio::test]
async fn every_disagreement_is_named() {
    for (change, said) in EDITS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        sample(&path).await;
        edit(&path, change);
        let found = open(&path, OpenMode::Read).unwrap().verify_consistency();
        let Err(StoreError::Damaged(message)) = found else { panic!("{said}: {found:?}") };
        assert!(message.contains(said), "`{message}` does not say `{said}`");
    }
}

#[tokio::test]
async fn an_unreadable_row_is_an_error_and_not_an_absence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    sample(&path).await;
    edit(&path, |txn| {
        let bad = [9].as_slice();
        txn.open_table(APPROVALS).unwrap().insert(id(1).to_u128(), bad).unwrap();
        txn.open_table(ANSWERS).unwrap().insert(&scope(1), bad).unwrap();
    });
    let store = open(&path, OpenMode::Write).unwrap();
    assert!(matches!(store.load(&id(1), WithTexts::No).await, Err(StoreError::Damaged(_))));
    assert!(matches!(store.answer(&scope(1)).await, Err(StoreError::Damaged(_))));
    let all = Query { limit: 10, ..Query::default() };
    assert!(matches!(store.list(&all).await, Err(StoreError::Damaged(_))));
    // A change to what cannot be read is refused, and nothing more is written to such a file.
    let change = change(summary(id(1)), Base::Revision(1), 2);
    assert!(matches!(store.commit(change).await, Err(StoreError::Stopped(_))));
    assert!(!store.head().await.unwrap().writable);
    assert_eq!(load(&store, id(2)).await.revision, 1);
}

#[tokio::test]
async fn nothing_is_added_to_an_audit_whose_end_was_edited() {
    for row in [[9].as_slice(), &[1, b'x']] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        sample(&path).await;
        let database: Database = Builder::new().open(&path).unwrap();
        let txn = database.begin_write().unwrap();
        txn.open_table(ENTRIES).unwrap().insert(1, row).unwrap();
        txn.commit().unwrap();
        drop(database);
        assert!(matches!(open(&path, OpenMode::Write), Err(StoreError::Damaged(_))));
        // Who reads it may: it is evidence.
        let store = open(&path, OpenMode::Read).unwrap();
        assert_eq!(store.entries(0, 1).await.is_err(), row == [9]);
        assert!(store.entries(1, 1).await.is_ok());
    }
}
