//! Every way in which a row or an index entry can differ from the log is reported.

use redb::{Builder, Database, ReadableTable};

use super::super::format::{
    self, ABOUTS, ANSWER_TIMES, ANSWERS, APPROVALS, BLOBS, DUE, ENTRIES, HEAD_KEY, LISTS, META,
    ROWS, TEXTS, TREE,
};
use super::*;

/// An edit of the file and the difference it must produce.
type Edit = (fn(&redb::WriteTransaction), &'static str);

const EDITS: [Edit; 21] = [
    (
        |txn| {
            let name = &format::list_names("agent:deployer", "deploy.production")[3];
            let key = format::list_key(Status::Pending, name, id(1).to_u128());
            txn.open_table(LISTS).unwrap().remove(&key).unwrap();
        },
        "missing for appr_00000000010000000000000001",
    ),
    (
        |txn| drop(txn.open_table(LISTS).unwrap().insert(&[9; 26], ()).unwrap()),
        "lists 0909090909090909090909090909090909090909090909090909: belongs to no approval",
    ),
    (
        |txn| {
            let key = format::due_key(4_600, id(2).to_u128());
            txn.open_table(DUE).unwrap().remove(&key).unwrap();
        },
        "missing for appr_00000000010000000000000002",
    ),
    (
        |txn| drop(txn.open_table(DUE).unwrap().insert(&[9; 24], ()).unwrap()),
        "due 090909090909090909090909090909090909090909090909: belongs to no approval",
    ),
    (
        |txn| drop(txn.open_table(TEXTS).unwrap().remove(id(1).to_u128()).unwrap()),
        "texts appr_00000000010000000000000001: missing",
    ),
    (
        |txn| drop(txn.open_table(TEXTS).unwrap().insert(7, [1].as_slice()).unwrap()),
        "texts appr_00000000000000000000000007: not those of the approval",
    ),
    (
        |txn| {
            let other = b"\x01\x00\x00\x00\x00\x02{}".as_slice();
            txn.open_table(TEXTS).unwrap().insert(id(1).to_u128(), other).unwrap();
        },
        "texts appr_00000000010000000000000001: not those of the approval",
    ),
    (|txn| drop(txn.open_table(ENTRIES).unwrap().remove(1).unwrap()), "audit entry 1 is missing"),
    (
        |txn| drop(txn.open_table(ENTRIES).unwrap().insert(4, [1].as_slice()).unwrap()),
        "audit entry 4",
    ),
    (
        |txn| drop(txn.open_table(ENTRIES).unwrap().insert(2, [1, b'x'].as_slice()).unwrap()),
        "audit entry 2",
    ),
    (
        |txn| drop(txn.open_table(TREE).unwrap().insert(9, &[9; 32]).unwrap()),
        "tree all: expected 0 hashes",
    ),
    (
        |txn| drop(txn.open_table(ABOUTS).unwrap().insert(&[9; 24], ()).unwrap()),
        "abouts 090909090909090909090909090909090909090909090909: no entry is about it",
    ),
    (
        |txn| {
            let key = format::about_key(About::approval(id(1)), 1);
            txn.open_table(ABOUTS).unwrap().remove(&key).unwrap();
        },
        "missing for entry 1",
    ),
    (
        |txn| {
            let mut meta = txn.open_table(META).unwrap();
            let head = meta.get(HEAD_KEY).unwrap().unwrap().value().to_vec();
            let head = String::from_utf8(head).unwrap().replace("\n3\n", "\n2\n");
            meta.insert(HEAD_KEY, head.as_bytes()).unwrap();
        },
        "it has 3 audit entries, but its head has 2",
    ),
    (
        |txn| {
            let key = format::answer_time_key(5, &scope(1));
            txn.open_table(ANSWER_TIMES).unwrap().remove(&key).unwrap();
        },
        "missing for 0101010101010101010101010101010101010101010101010101010101010101",
    ),
    (
        |txn| drop(txn.open_table(BLOBS).unwrap().insert(&[7; 32], [1, 7].as_slice()).unwrap()),
        "blobs 0707070707070707070707070707070707070707070707070707070707070707: has another digest",
    ),
    (
        |txn| drop(txn.open_table(APPROVALS).unwrap().insert(7, [2].as_slice()).unwrap()),
        "approvals appr_00000000000000000000000007: not in the log",
    ),
    (
        |txn| drop(txn.open_table(APPROVALS).unwrap().remove(id(1).to_u128()).unwrap()),
        "approvals appr_00000000010000000000000001: missing",
    ),
    (
        |txn| drop(txn.open_table(ROWS).unwrap().insert("token/1", [1, b'x'].as_slice()).unwrap()),
        "rows token/1: not the version that the log has",
    ),
    (|txn| drop(txn.open_table(ROWS).unwrap().remove("token/1").unwrap()), "rows token/1: missing"),
    (
        |txn| drop(txn.open_table(ROWS).unwrap().insert("token/2", [1, b'x'].as_slice()).unwrap()),
        "rows token/2: not in the log",
    ),
];

async fn sample(path: &Path) {
    let store = create(path);
    let answer = Some((scope(1), answer(5)));
    store.commit(Change { answer, ..new(summary(id(1))) }).await.unwrap();
    store.commit(new(summary(id(2)))).await.unwrap();
    store.commit(note(3, &[row(RowKind::Token, "1", "one", 0)])).await.unwrap();
    let found = agrees(&store);
    assert_eq!((found.approvals, found.entries, found.answers), (2, 3, 1));
}

fn edit(path: &Path, edit: fn(&redb::WriteTransaction)) {
    let database: Database = Builder::new().open(path).unwrap();
    let txn = database.begin_write().unwrap();
    edit(&txn);
    txn.commit().unwrap();
}

#[tokio::test]
async fn every_difference_is_named() {
    for (change, said) in EDITS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        sample(&path).await;
        edit(&path, change);
        let examined = RedbStore::examine_untrusted(&path, &Trust::none(), &Known).unwrap();
        let found: Vec<_> = examined.differences.iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|found| found.contains(said)), "{found:?} do not say `{said}`");
    }
}

#[tokio::test]
async fn a_tampered_row_does_not_affect_other_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    sample(&path).await;
    edit(&path, |txn| {
        let bad = [9].as_slice();
        txn.open_table(APPROVALS).unwrap().insert(id(1).to_u128(), bad).unwrap();
        txn.open_table(APPROVALS).unwrap().insert(id(7).to_u128(), bad).unwrap();
        txn.open_table(ANSWERS).unwrap().insert(&scope(1), bad).unwrap();
        txn.open_table(ANSWERS).unwrap().insert(&scope(2), bad).unwrap();
    });
    let store = open(&path, OpenMode::Write).unwrap();
    let tampered = |error: StoreError| matches!(error, StoreError::Tampered(_));
    assert!(tampered(store.load(&id(1), WithTexts::No).await.unwrap_err()));
    assert!(tampered(store.load(&id(7), WithTexts::No).await.unwrap_err()));
    assert!(tampered(store.answer(&scope(1)).await.unwrap_err()));
    assert!(tampered(store.answer(&scope(2)).await.unwrap_err()));
    let all = Query { limit: 10, ..Query::default() };
    assert!(tampered(store.list(&all).await.unwrap_err()));
    // A change to it is refused, and all others are committed, even in the same batch.
    let (first, second, third) = tokio::join!(
        store.commit(change(summary(id(1)), Base::Entry(1))),
        store.commit(new(summary(id(7)))),
        store.commit(new(summary(id(3)))),
    );
    assert!(tampered(first.unwrap_err()) && tampered(second.unwrap_err()));
    assert_eq!(third.unwrap(), kept(4));
    let repeated = Change { answer: Some((scope(2), answer(9))), ..note(5, &[]) };
    assert!(tampered(store.commit(repeated).await.unwrap_err()));
    assert!(store.head().await.unwrap().writable);
    assert_eq!(load(&store, id(2)).await.entry, 2);
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
        for mode in [OpenMode::Write, OpenMode::Read] {
            let refused = open(&path, mode).map(drop).unwrap_err();
            assert!(
                matches!(refused, StoreError::Damaged(_) | StoreError::Untrusted(_)),
                "{refused}"
            );
        }
        // Examining it is still possible: it is evidence.
        RedbStore::examine_untrusted(&path, &Trust::none(), &Known).unwrap();
    }
}

/// As [`Known`], but no answer has been deleted.
struct NothingForgotten;

impl EntryInterpreter for NothingForgotten {
    fn about(&self, entry: &str) -> Option<About> {
        Known.about(entry)
    }

    fn keeps_bytes(&self, module: &str) -> bool {
        Known.keeps_bytes(module)
    }

    fn answers_since(&self) -> u64 {
        0
    }
}

#[tokio::test]
async fn an_answer_that_is_missing_or_not_the_last_is_named() {
    let fixture = Fixture::new();
    let keep = async |number, body| {
        let change = Change { answer: Some((scope(1), answer(body))), ..note(number, &[]) };
        fixture.store.commit(change).await.unwrap();
    };
    let named = |store: &RedbStore| {
        let examined = store.examine(&NothingForgotten).unwrap();
        examined.differences.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    keep(1, 5).await;
    assert_eq!(named(&fixture.store), [""; 0]);
    let first = fixture
        .store
        .read(|snapshot, _| Ok(snapshot.answers.get(&scope(1))?.unwrap().value().to_vec()));
    fixture.store.forget_answers(6, 10).await.unwrap();
    let missing = format!("answers {}: missing", hex::encode(scope(1)));
    assert_eq!(named(&fixture.store), [missing]);
    agrees(&fixture.store);
    keep(2, 7).await;
    assert_eq!(named(&fixture.store), [""; 0]);
    let path = fixture.folder.path().join("store.redb");
    drop(fixture.store);
    let database: Database = Builder::new().open(&path).unwrap();
    let txn = database.begin_write().unwrap();
    let row = first.unwrap();
    txn.open_table(ANSWERS).unwrap().insert(&scope(1), row.as_slice()).unwrap();
    txn.commit().unwrap();
    drop(database);
    let said = named(&open(&path, OpenMode::Read).unwrap());
    assert!(said[0].contains("not the last answer that the log has"), "{said:?}");
}

#[tokio::test]
async fn surplus_rows_of_due_are_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    sample(&path).await;
    edit(&path, |txn| {
        let mut due = txn.open_table(DUE).unwrap();
        for (due_at, id) in [(1, id(1)), (1, id(7)), (4_599, id(2))] {
            due.insert(&format::due_key(due_at, id.to_u128()), ()).unwrap();
        }
        let bad = [9].as_slice();
        txn.open_table(APPROVALS).unwrap().insert(id(2).to_u128(), bad).unwrap();
    });
    let store = open(&path, OpenMode::Write).unwrap();
    assert_eq!(store.due(u64::MAX, 10).await.unwrap(), [id(1)]);
    assert_eq!(store.due(4_599, 10).await.unwrap(), []);
}
