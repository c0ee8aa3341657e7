//! Copies into a fresh file: complete, without what was erased or removed, and harmless if they fail.

use super::super::copy::fill;
use super::super::open::from_backend;
use super::disk::{Disk, Fault};
use super::*;
use crate::store::Removed;

/// Makes approvals, answers and a module; the texts are recognizable.
async fn filled() -> Fixture {
    let fixture = Fixture::new();
    for number in 0..40 {
        let answer = Some((scope(number as u8), answer(1_000)));
        let change = Change { answer, ..new(summary(id(number))) };
        fixture.store.commit(change).await.unwrap();
    }
    fixture
}

fn final_version(stored: &Stored, base: Base) -> Change {
    let summary = Summary { status: Status::Withdrawn, due_at: None, ..stored.summary.clone() };
    change(summary, base)
}

/// Returns whether the file holds the context of an approval.
fn holds(fixture: &Fixture, id: ApprovalId) -> bool {
    let bytes = std::fs::read(fixture.folder.path().join("store.redb")).unwrap();
    let text = texts(id).context;
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn erased_and_removed_rows_are_in_no_byte_after_a_compaction() {
    let fixture = filled().await;
    let store = &fixture.store;
    for number in 0..3 {
        let stored = load(store, id(number)).await;
        let base = if number == 1 { Base::Erased(stored.entry) } else { Base::Entry(stored.entry) };
        let forgotten = vec![scope(number as u8)];
        store.commit(Change { forgotten, ..final_version(&stored, base) }).await.unwrap();
    }
    let removed = vec![Removed { id: id(2), entry: load(store, id(2)).await.entry }];
    store.commit(Change { removed, ..note(1, &[]) }).await.unwrap();
    assert!(store.owes_compaction());
    assert!(agrees(store).approvals == 39);
    let compacted = store.compact().await.unwrap();
    assert!(compacted.bytes_after <= compacted.bytes_before, "{compacted:?}");
    assert!(!store.owes_compaction());
    assert!(holds(&fixture, id(0)) && holds(&fixture, id(3)));
    assert!(!holds(&fixture, id(1)) && !holds(&fixture, id(2)));
    let erased = store.load(&id(1), WithTexts::Yes).await.unwrap().unwrap();
    assert_eq!(erased.texts, None);
    assert_eq!(store.load(&id(2), WithTexts::No).await.unwrap(), None);
    store.commit(new(summary(id(100)))).await.unwrap();
    agrees(store);
    let fixture = fixture.reopen();
    assert_eq!(agrees(&fixture.store).approvals, 40);
    assert_eq!(fixture.store.head().await.unwrap().counts, [38, 0, 0, 0, 0, 2]);
}

#[tokio::test]
async fn a_removal_needs_the_last_version_and_names_it_once() {
    let fixture = filled().await;
    let store = &fixture.store;
    let remove = |removed: &[(u64, u64)]| {
        let removed =
            removed.iter().map(|(number, entry)| Removed { id: id(*number), entry: *entry });
        Change { removed: removed.collect(), ..note(1, &[]) }
    };
    for stale in [(0, 2), (0, 0), (99, 1)] {
        assert_eq!(store.commit(remove(&[(1, 2), stale])).await.unwrap(), Commit::Conflict);
    }
    assert!(store.commit(remove(&[(1, 2), (1, 2)])).await.is_err());
    assert_eq!(store.commit(remove(&[(1, 2), (0, 1)])).await.unwrap(), kept(41));
    assert_eq!(store.commit(remove(&[(1, 2)])).await.unwrap(), Commit::Conflict);
    assert_eq!(agrees(store).approvals, 38);
    let next = store.approvals(None, 2).await.unwrap();
    assert_eq!(next, [id(2), id(3)]);
}

#[tokio::test]
async fn a_copy_that_fails_at_any_operation_is_an_error_and_the_store_goes_on() {
    let fixture = filled().await;
    let snapshot = fixture.store.writer().unwrap().snapshot().await.unwrap();
    let whole = Disk::default();
    fill(&snapshot, whole.clone()).unwrap().close().unwrap();
    let operations = whole.operations();
    let mut failed = 0;
    for operation in 0..operations {
        let disk = Disk::default();
        disk.set(Fault::From(operation));
        let done = fill(&snapshot, disk.clone()).and_then(|database| Ok(database.close()?));
        failed += u64::from(done.is_err());
        if done.is_ok() {
            let disk = Disk::with(disk.bytes());
            let trust = Trust::none();
            let opened = from_backend(disk, CheckIntegrity::Yes, "copy", &trust).unwrap();
            let copy = RedbStore::writing(opened, None, trust).unwrap();
            assert_eq!(agrees(&copy).approvals, 40);
        }
    }
    assert!(failed > operations / 2, "{failed} of {operations}");
    for bytes in [0, 5_000, 20_000, 60_000] {
        let disk = Disk::default();
        disk.set(Fault::Full(bytes));
        assert!(matches!(fill(&snapshot, disk), Err(StoreError::Io(_))), "{bytes}");
    }
    drop(snapshot);
    fixture.store.commit(new(summary(id(100)))).await.unwrap();
    agrees(&fixture.store);
}

#[tokio::test]
async fn a_copy_is_one_commit_and_has_no_name() {
    let fixture = filled().await;
    let copied = fixture.store.copy().await.unwrap();
    fixture.store.commit(new(summary(id(100)))).await.unwrap();
    assert_eq!((copied.entries, copied.bytes), (40, copied.file.metadata().unwrap().len()));
    let checked = RedbStore::check(copied.file, "copy", &Trust::none(), &Known).unwrap();
    assert_eq!((checked.root, checked.examined.entries), (copied.root, 40));
    assert_eq!(checked.examined.differences, []);
    assert_eq!(std::fs::read_dir(fixture.folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn drafts_of_killed_commands_are_removed_and_other_files_stay() {
    let fixture = filled().await;
    let place = |name: &str| fixture.folder.path().join(name);
    std::fs::write(place(".store.redb.0123456789abcdef.compact"), "x").unwrap();
    std::fs::write(place(".store.redb.0123456789abcdef.tmp"), "x").unwrap();
    std::fs::write(place(".store.redb.x.compact"), "x").unwrap();
    std::fs::write(place(".other.redb.0123456789abcdef.compact"), "x").unwrap();
    let fixture = fixture.reopen();
    let place = |name: &str| fixture.folder.path().join(name).exists();
    assert!(!place(".store.redb.0123456789abcdef.compact"));
    assert!(!place(".store.redb.0123456789abcdef.tmp"));
    assert!(place(".store.redb.x.compact") && place(".other.redb.0123456789abcdef.compact"));
}

/// `SIGNOFF_PRUNED=100000` makes as many approvals.
#[tokio::test]
async fn a_pruned_store_takes_at_most_twice_the_disk_of_its_rows() {
    let number = std::env::var("SIGNOFF_PRUNED").ok().and_then(|n| n.parse().ok()).unwrap_or(3_000);
    let fixture = Fixture::new();
    let store = &fixture.store;
    let context = format!("{{\"text\": \"{}\"}}", "x".repeat(5_000));
    let mut all = Vec::new();
    for batch in (0..number).collect::<Vec<u64>>().chunks(512) {
        let texts = || Base::New(Texts { context: context.clone(), plan: None });
        let ended = |number: &u64| Summary {
            status: Status::Expired,
            due_at: None,
            ..summary(id(*number))
        };
        let commits = batch.iter().map(|number| store.commit(change(ended(number), texts())));
        for (number, made) in batch.iter().zip(futures_util::future::join_all(commits).await) {
            let Commit::Committed { entry } = made.unwrap() else { panic!("{number}") };
            all.push(Removed { id: id(*number), entry });
        }
    }
    let path = fixture.folder.path().join("store.redb");
    let full = std::fs::metadata(&path).unwrap().len();
    for batch in all.chunks(256) {
        let removed = Change { removed: batch.to_vec(), ..note(0, &[]) };
        assert!(matches!(store.commit(removed).await.unwrap(), Commit::Committed { .. }));
    }
    let started = std::time::Instant::now();
    let compacted = store.compact().await.unwrap();
    let took = started.elapsed();
    let live = store.writer().unwrap().snapshot().await.unwrap().stored_bytes().unwrap();
    println!("{number} approvals: {full} bytes, {compacted:?} in {took:?}, rows {live}");
    assert!(compacted.bytes_after < 2 * live + (1 << 20), "{compacted:?}, rows {live}");
    assert_eq!(agrees(store).approvals, 0);
}
