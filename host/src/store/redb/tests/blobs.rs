//! Modules' bytes are stored with the audit event that names them, or not at all.

use std::sync::Arc;

use redb::{Builder, Database, ReadableDatabase, TableError};
use sha2::{Digest, Sha256};

use super::super::format::BLOBS;
use super::*;

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// A change with a module's bytes.
fn kept_with(number: u64, bytes: &[u8]) -> Change {
    let blob = Some(Blob { digest: digest(bytes), bytes: Some(Arc::from(bytes)) });
    let module = row(RowKind::Module, &hex::encode(digest(bytes)), "kept", 0);
    Change { blob, ..note(number, &[module]) }
}

#[tokio::test]
async fn bytes_are_kept_read_again_and_forgotten() {
    let fixture = Fixture::new();
    let module = vec![0xfe; 3 << 20];
    assert_eq!(fixture.store.blob(&digest(&module)).await.unwrap(), None);
    fixture.store.commit(kept_with(1, &module)).await.unwrap();
    fixture.store.commit(kept_with(2, b"another")).await.unwrap();
    let fixture = fixture.reopen();
    assert_eq!(fixture.store.blob(&digest(&module)).await.unwrap(), Some(module.clone()));
    agrees(&fixture.store);
    let blob = Some(Blob { digest: digest(&module), bytes: None });
    let gone = row(RowKind::Module, &hex::encode(digest(&module)), "gone", 1);
    fixture.store.commit(Change { blob, ..note(3, &[gone]) }).await.unwrap();
    assert_eq!(fixture.store.blob(&digest(&module)).await.unwrap(), None);
    assert_eq!(fixture.store.blob(&digest(b"another")).await.unwrap(), Some(b"another".to_vec()));
    agrees(&fixture.store);
}

#[tokio::test]
async fn a_repeat_keeps_no_bytes() {
    let fixture = Fixture::new();
    let once = |bytes: &[u8]| Change { answer: Some((scope(1), answer(5))), ..kept_with(1, bytes) };
    fixture.store.commit(once(b"first")).await.unwrap();
    let Commit::Replayed(_) = fixture.store.commit(once(b"second")).await.unwrap() else {
        panic!("the scope has its answer")
    };
    assert_eq!(fixture.store.blob(&digest(b"second")).await.unwrap(), None);
}

#[tokio::test]
async fn an_oversized_module_is_refused_and_writing_continues() {
    let fixture = Fixture::new();
    let large = vec![1; (64 << 20) + 1];
    assert!(matches!(fixture.store.commit(kept_with(1, &large)).await, Err(StoreError::Io(_))));
    let largest = &large[1..];
    fixture.store.commit(kept_with(1, largest)).await.unwrap();
    assert_eq!(fixture.store.blob(&digest(largest)).await.unwrap().unwrap().len(), 64 << 20);
}

/// Stores without modules have no such table; they are read and written as they are.
#[tokio::test]
async fn a_store_without_modules_has_no_table_of_them_and_needs_none() {
    let fixture = Fixture::new();
    fixture.store.commit(new(summary(id(1)))).await.unwrap();
    let path = fixture.folder.path().join("store.redb");
    drop(fixture.store);
    let database: Database = Builder::new().open(&path).unwrap();
    let found = database.begin_read().unwrap().open_table(BLOBS).map(drop);
    assert!(matches!(found, Err(TableError::TableDoesNotExist(_))));
    drop(database);
    let store = open(&path, OpenMode::Read).unwrap();
    assert_eq!(store.blob(&[0; 32]).await.unwrap(), None);
    agrees(&store);
    drop(store);
    let store = open(&path, OpenMode::Write).unwrap();
    store.commit(kept_with(1, b"first")).await.unwrap();
    assert_eq!(store.blob(&digest(b"first")).await.unwrap(), Some(b"first".to_vec()));
}
