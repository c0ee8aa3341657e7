//! The audit log in the store: its tree, subjects of entries, changes without an approval, the
//! host's own rows, and the witness.

use std::sync::{Arc, Mutex};

use super::super::format;
use super::*;
use signoff_core::log::checkpoint::Checkpoint;
use signoff_core::log::tree::{self, Frontier, Hash};

async fn hashes(store: &RedbStore, size: u64) -> Vec<Hash> {
    let positions: Vec<u64> = (0..tree::stored_count(size)).collect();
    store.hashes(&positions).await.unwrap()
}

#[tokio::test]
async fn the_tree_is_that_of_the_entries_in_their_order() {
    let mut fixture = Fixture::new();
    let mut expected = Frontier::new();
    for number in 1..=20 {
        let change = if number % 3 == 0 { note(number, &[]) } else { new(summary(id(number))) };
        let kept = fixture.store.commit(change).await.unwrap();
        let Commit::Committed { entry } = kept else { panic!("{kept:?}") };
        let text = &fixture.store.entries(number - 1, 1).await.unwrap()[0].text;
        expected.add(tree::leaf(text.as_bytes()));
        let head = fixture.store.head().await.unwrap();
        assert_eq!((entry, head.entries, head.root), (number, number, expected.root()));
        if number % 5 == 0 {
            fixture = fixture.reopen();
        }
    }
    let stored = hashes(&fixture.store, 20).await;
    let read = |position: u64| Ok::<_, ()>(stored[position as usize]);
    assert_eq!(tree::root(20, read), Ok(expected.root()));
    for past in [tree::stored_count(20), tree::stored_count(31) + 5, u64::MAX] {
        assert!(fixture.store.hashes(&[past]).await.is_err(), "{past}");
    }
    agrees(&fixture.store);
}

#[tokio::test]
async fn an_edited_entry_is_not_what_the_tree_holds() {
    type Edit = fn(&redb::WriteTransaction);
    let entry: Edit = |txn| {
        let mut entries = txn.open_table(format::ENTRIES).unwrap();
        entries.insert(5, [1, b'x'].as_slice()).unwrap();
    };
    let hash: Edit = |txn| {
        let at = tree::stored_count(15) + 4;
        txn.open_table(format::TREE).unwrap().insert(at, &[9; 32]).unwrap();
    };
    for edit in [entry, hash] {
        let fixture = Fixture::new();
        for number in 1..=40 {
            fixture.store.commit(note(number, &[])).await.unwrap();
        }
        let path = fixture.folder.path().join("store.redb");
        drop(fixture.store);
        let database = redb::Builder::new().open(&path).unwrap();
        let txn = database.begin_write().unwrap();
        edit(&txn);
        txn.commit().unwrap();
        drop(database);
        let examined = RedbStore::examine_untrusted(&path, &Trust::none(), &Known).unwrap();
        let said = examined.differences.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(said.iter().any(|said| said.contains("tree ")), "{said:?}");
    }
}

#[tokio::test]
async fn a_hash_that_was_edited_is_in_no_proof() {
    let fixture = Fixture::new();
    for number in 1..=40 {
        fixture.store.commit(note(number, &[])).await.unwrap();
    }
    let honest = hashes(&fixture.store, 40).await;
    let path = fixture.folder.path().join("store.redb");
    drop(fixture.store);
    let edited = tree::stored_count(15) + 4;
    let database = redb::Builder::new().open(&path).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(format::TREE).unwrap().insert(edited, &[9; 32]).unwrap();
    txn.commit().unwrap();
    drop(database);
    let store = open(&path, OpenMode::Write).unwrap();
    for (position, honest) in (0..).zip(honest) {
        match store.hashes(&[position]).await {
            Ok(hashes) => assert_eq!(hashes, [honest], "{position}"),
            Err(error) => assert!(matches!(error, StoreError::Tampered(_)), "{error}"),
        }
    }
    assert!(matches!(store.hashes(&[edited]).await, Err(StoreError::Tampered(_))));
}

#[tokio::test]
async fn a_conflicting_change_adds_no_leaf() {
    let fixture = Fixture::new();
    fixture.store.commit(new(summary(id(1)))).await.unwrap();
    let before = fixture.store.head().await.unwrap();
    assert_eq!(fixture.store.commit(new(summary(id(1)))).await.unwrap(), Commit::Conflict);
    assert_eq!(fixture.store.head().await.unwrap(), before);
}

#[tokio::test]
async fn entries_are_found_by_what_they_are_about() {
    let fixture = Fixture::new();
    fixture.store.commit(new(summary(id(1)))).await.unwrap();
    fixture.store.commit(note(7, &[])).await.unwrap();
    fixture.store.commit(new(summary(id(2)))).await.unwrap();
    let stored = load(&fixture.store, id(1)).await;
    fixture.store.commit(next(&stored, |_| ())).await.unwrap();
    let numbers = async |about, after, limit| {
        let entries = fixture.store.entries_about(about, after, limit).await.unwrap();
        entries.into_iter().map(|entry| entry.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(About::approval(id(1)), 0, 10).await, [1, 4]);
    assert_eq!(numbers(About::approval(id(1)), 1, 10).await, [4]);
    assert_eq!(numbers(About::approval(id(1)), 0, 1).await, [1]);
    assert_eq!(numbers(About::approval(id(1)), u64::MAX, 1).await, [0; 0]);
    assert_eq!(numbers(About::named("note", "7"), 0, 10).await, [2]);
    assert_eq!(numbers(About::named("note", "8"), 0, 10).await, [0; 0]);
}

#[tokio::test]
async fn rows_are_kept_with_their_entry_and_replaced() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let (token, key) = (RowKind::Token, RowKind::Key);
    let first = [row(token, "1", "one", 0), row(token, "2", "two", 0), row(key, "1", "three", 0)];
    store.commit(note(1, &first)).await.unwrap();
    store.commit(note(2, &[row(token, "2", "four", 1)])).await.unwrap();
    let fixture = fixture.reopen();
    let store = &fixture.store;
    let found = store.row(token, "2").await.unwrap().unwrap();
    assert_eq!((found.value.as_str(), found.entry), ("four", 2));
    assert_eq!(store.row(token, "3").await.unwrap(), None);
    assert_eq!(store.row(RowKind::Slot, "1").await.unwrap(), None);
    assert_eq!(store.row_ids(token, "", 10).await.unwrap(), ["1", "2"]);
    assert_eq!(store.row_ids(token, "1", 10).await.unwrap(), ["2"]);
    assert_eq!(store.row_ids(token, "", 1).await.unwrap(), ["1"]);
    assert_eq!(store.row_ids(RowKind::Slot, "", 10).await.unwrap(), [""; 0]);
    agrees(store);
}

#[tokio::test]
async fn a_row_is_replaced_only_from_its_last_version() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let token = |value, prev| note(9, &[row(RowKind::Token, "1", value, prev)]);
    assert_eq!(store.commit(token("no", 1)).await.unwrap(), Commit::Conflict);
    assert_eq!(store.commit(token("one", 0)).await.unwrap(), kept(1));
    for prev in [0, 2] {
        assert_eq!(store.commit(token("no", prev)).await.unwrap(), Commit::Conflict);
    }
    let both = tokio::join!(store.commit(token("a", 1)), store.commit(token("b", 1)));
    assert_eq!((both.0.unwrap(), both.1.unwrap()), (kept(2), Commit::Conflict));
    let removal = RowChange { value: None, ..row(RowKind::Token, "1", "", 2) };
    assert_eq!(store.commit(note(3, &[removal])).await.unwrap(), kept(3));
    assert_eq!(store.row(RowKind::Token, "1").await.unwrap(), None);
    assert_eq!(store.row_ids(RowKind::Token, "", 9).await.unwrap(), [""; 0]);
    assert_eq!(store.commit(token("again", 0)).await.unwrap(), kept(4));
    assert_eq!(store.row(RowKind::Token, "1").await.unwrap().unwrap().value, "again");
    let odd = note(5, &[row(RowKind::Token, "a\"b", "x", 0)]);
    assert!(store.commit(odd).await.is_err());
    agrees(store);
}

#[tokio::test]
async fn a_witness_sees_each_commit_before_it_is_answered() {
    let fixture = Fixture::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let witnessed = Arc::clone(&seen);
    let published = Arc::clone(&fixture.store.published);
    fixture.store.watch_with(Box::new(move |head| {
        let head = Checkpoint::from_text(head).unwrap();
        // No reader sees it earlier: a checkpoint signed for a reader could outlive the disk.
        let shown = published.view().log.state.size();
        assert!(shown < head.size, "shown before it was witnessed");
        witnessed.lock().unwrap().push((head.size, head.root));
        Ok(())
    }));
    for number in 1..=3 {
        fixture.store.commit(note(number, &[])).await.unwrap();
        let head = fixture.store.head().await.unwrap();
        assert_eq!(seen.lock().unwrap().last(), Some(&(head.entries, head.root)));
    }
}

#[tokio::test]
async fn a_failing_witness_stops_writing_and_fails_its_commit() {
    let fixture = Fixture::new();
    fixture.store.watch_with(Box::new(|head| {
        if Checkpoint::from_text(head).unwrap().size < 2 {
            Ok(())
        } else {
            Err("its disk is full".to_owned())
        }
    }));
    fixture.store.commit(note(1, &[])).await.unwrap();
    let refused = fixture.store.commit(note(2, &[])).await;
    let said = refused.unwrap_err().to_string();
    assert!(said.contains("its disk is full"), "{said}");
    assert!(matches!(fixture.store.commit(note(3, &[])).await, Err(StoreError::Stopped(_))));
    assert!(!fixture.store.head().await.unwrap().writable);
}
