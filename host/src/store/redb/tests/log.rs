//! The audit in the store: its tree, what entries are about, changes of no approval, facts, and the
//! witness.

use std::sync::{Arc, Mutex};

use super::super::format;
use super::*;
use crate::audit::tree::{self, Frontier, Hash};

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
        expected.add(tree::leaf(change.entry.as_bytes()));
        let kept = fixture.store.commit(change).await.unwrap();
        let Commit::Kept { entry, .. } = kept else { panic!("{kept:?}") };
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
    fixture.store.verify_consistency().unwrap();
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
        let found = open(&path, OpenMode::Read).unwrap().verify_consistency();
        let Err(StoreError::Damaged(said)) = found else { panic!("{found:?}") };
        assert_eq!(said, "an audit entry up to 16 is not the one that the audit tree holds");
    }
}

#[tokio::test]
async fn what_is_not_kept_is_no_leaf() {
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
async fn facts_are_kept_with_their_entry_and_replaced() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    store.commit(note(1, &[("a/1", "one"), ("a/2", "two"), ("b/1", "three")])).await.unwrap();
    store.commit(note(2, &[("a/2", "four")])).await.unwrap();
    let fixture = fixture.reopen();
    let store = &fixture.store;
    assert_eq!(store.fact("a/2").await.unwrap().as_deref(), Some("four"));
    assert_eq!(store.fact("a/").await.unwrap(), None);
    let facts = async |prefix, after, limit| {
        let facts = store.facts(prefix, after, limit).await.unwrap();
        facts.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
    };
    assert_eq!(facts("a/", "", 10).await, ["a/1=one", "a/2=four"]);
    assert_eq!(facts("a/", "a/1", 10).await, ["a/2=four"]);
    assert_eq!(facts("a/", "", 1).await, ["a/1=one"]);
    assert_eq!(facts("c/", "", 10).await, [""; 0]);
    store.verify_consistency().unwrap();
}

#[tokio::test]
async fn a_witness_sees_each_commit_before_it_is_answered() {
    let fixture = Fixture::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let published = Arc::clone(&fixture.store.published);
    fixture.store.watch_with(Box::new(move |size, root| {
        // Nor does any reader, whom a checkpoint may be signed for: it could outlive the disk.
        assert!(published.snapshot().unwrap().head.entries < size, "shown before it was witnessed");
        told.lock().unwrap().push((size, *root));
        Ok(())
    }));
    for number in 1..=3 {
        fixture.store.commit(note(number, &[])).await.unwrap();
        let head = fixture.store.head().await.unwrap();
        assert_eq!(seen.lock().unwrap().last(), Some(&(head.entries, head.root)));
    }
}

#[tokio::test]
async fn a_witness_that_fails_ends_writing_and_nobody_is_answered() {
    let fixture = Fixture::new();
    fixture.store.watch_with(Box::new(|size, _| {
        if size < 2 { Ok(()) } else { Err("its disk is full".to_owned()) }
    }));
    fixture.store.commit(note(1, &[])).await.unwrap();
    let refused = fixture.store.commit(note(2, &[])).await;
    let said = refused.unwrap_err().to_string();
    assert!(said.contains("its disk is full"), "{said}");
    assert!(matches!(fixture.store.commit(note(3, &[])).await, Err(StoreError::Stopped(_))));
    assert!(!fixture.store.head().await.unwrap().writable);
}
