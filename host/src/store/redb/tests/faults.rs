//! The disk fails at each operation in turn. Every acknowledged change survives, and no change is
//! partial.

use redb::backends::FileBackend;

use super::super::open::{from_backend, make};
use super::disk::{self, Disk, Fault};
use super::*;

/// The results that callers received.
#[derive(Default)]
struct Results {
    /// Approval and entry number of each committed change.
    kept: Vec<(ApprovalId, u64)>,
    refused: usize,
}

fn open_disk(disk: &Disk) -> Result<RedbStore, StoreError> {
    let trust = Trust::none();
    let opened = from_backend(disk.clone(), CheckIntegrity::No, "disk", &trust)?;
    RedbStore::writing(opened, None, trust)
}

/// A disk with a store that is not empty.
async fn sample() -> Vec<u8> {
    let disk = Disk::default();
    make(disk.clone(), AUDIENCE, &Trust::none()).unwrap();
    let store = open_disk(&disk).unwrap();
    for number in 0..20 {
        store.commit(new(summary(id(number)))).await.unwrap();
    }
    drop(store);
    disk.bytes()
}

/// Creates and changes approvals, one by one and concurrently.
async fn work(store: &RedbStore) -> Results {
    let mut results = Results::default();
    for round in 0..4 {
        let mut large = new(summary(id(100 + round)));
        large.approval.as_mut().unwrap().base =
            Base::New(Texts { context: "x".repeat(30_000), plan: None });
        large.answer = Some((scope(round as u8), answer(round)));
        let old = change(
            Summary { status: Status::Approved, ..summary(id(round)) },
            Base::Entry(round + 1),
        );
        results.record(id(100 + round), store.commit(large).await);
        let both = tokio::join!(store.commit(old), store.commit(new(summary(id(200 + round)))));
        results.record(id(round), both.0);
        results.record(id(200 + round), both.1);
        let forgotten = store.forget_answers(round, 10).await;
        assert!(results.refused == 0 || forgotten.is_err());
    }
    results
}

impl Results {
    fn record(&mut self, id: ApprovalId, outcome: Result<Commit, StoreError>) {
        match outcome {
            Ok(Commit::Committed { entry }) => {
                assert_eq!(self.refused, 0, "a failed store accepts writes");
                self.kept.push((id, entry));
            }
            Ok(other) => panic!("{other:?}"),
            Err(StoreError::Stopped(_)) => self.refused += 1,
            Err(error) => panic!("{error}"),
        }
    }

    /// Asserts that every committed change is on the disk.
    async fn assert_kept(&self, disk: Vec<u8>, case: &str) {
        let store = open_disk(&Disk::with(disk)).unwrap_or_else(|error| panic!("{case}: {error}"));
        let examined = store.examine(&Known).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(examined.differences, [], "{case}");
        for (id, entry) in &self.kept {
            let stored = store.load(id, WithTexts::Yes).await.unwrap();
            let stored = stored.unwrap_or_else(|| panic!("{case}: {id} is lost"));
            assert_eq!(stored.entry, *entry, "{case}: {id}");
            assert_eq!(stored.record, record(*id, stored.summary.status), "{case}");
            let entries = store.entries(*entry - 1, 1).await.unwrap();
            assert!(entries[0].text.contains(&id.to_string()), "{case}");
        }
        let change = new(summary(id(999)));
        assert!(matches!(store.commit(change).await.unwrap(), Commit::Committed { .. }), "{case}");
    }
}

async fn fail(sample: &[u8], fault: Fault) -> (Disk, Results) {
    let disk = Disk::with(sample.to_vec());
    let store = open_disk(&disk).unwrap();
    disk.set(fault);
    let results = work(&store).await;
    assert!(results.refused == 0 || store.writer().is_err(), "{fault:?}");
    drop(store);
    (disk, results)
}

#[tokio::test]
async fn a_failure_at_any_operation_loses_nothing_acknowledged() {
    let sample = sample().await;
    let (disk, results) = fail(&sample, Fault::None).await;
    assert_eq!((results.kept.len(), results.refused), (12, 0));
    results.assert_kept(disk.bytes(), "no fault").await;
    let mut dice = Dice(8);
    let mut failures = 0;
    for operation in 0..disk.operations() {
        for fault in [Fault::Once(operation), Fault::From(operation)] {
            let (disk, results) = fail(&sample, fault).await;
            failures += results.refused;
            results.assert_kept(disk.bytes(), &format!("{fault:?}")).await;
            let cut = disk.after_power_cut(&mut dice);
            results.assert_kept(cut, &format!("{fault:?} and a power cut")).await;
        }
    }
    assert!(failures > 100, "{failures} refusals are too few to have tested anything");
}

#[tokio::test]
async fn a_full_disk_refuses_and_loses_nothing_acknowledged() {
    let sample = sample().await;
    let mut refused = 0;
    for more in (0..400_000).step_by(20_000) {
        let fault = Fault::Full(sample.len() as u64 + more);
        let (disk, results) = fail(&sample, fault).await;
        refused += results.refused;
        results.assert_kept(disk.bytes(), &format!("{fault:?}")).await;
    }
    assert!(refused > 0);
}

#[tokio::test]
async fn opening_fails_at_any_operation_without_harm() {
    let closed = sample().await;
    let (killed, _) = fail(&closed, Fault::From(100)).await;
    let mut dice = Dice(9);
    for bytes in [closed, killed.bytes()] {
        let disk = Disk::with(bytes.clone());
        drop(open_disk(&disk).unwrap());
        for operation in 0..disk.operations() {
            for fault in [Fault::Once(operation), Fault::From(operation)] {
                let disk = Disk::with(bytes.clone());
                disk.set(fault);
                drop(open_disk(&disk));
                let case = format!("opening, {fault:?}");
                Results::default().assert_kept(disk.bytes(), &case).await;
                let cut = disk.after_power_cut(&mut dice);
                Results::default().assert_kept(cut, &case).await;
            }
        }
    }
}

#[tokio::test]
async fn reads_continue_after_writing_has_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let writer = create(&path);
    for number in 0..300 {
        writer.commit(new(summary(id(number)))).await.unwrap();
    }
    drop(writer);
    let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    let (broken, fault) = disk::breaking(FileBackend::new(file).unwrap());
    let opened = from_backend(broken, CheckIntegrity::No, "disk", &Trust::none()).unwrap();
    let store = RedbStore::writing(opened, Some(&path), Trust::none()).unwrap();
    assert_eq!(store.commit(new(summary(id(300)))).await.unwrap(), kept(301));
    fault.store(true, std::sync::atomic::Ordering::Relaxed);
    for _ in 0..3 {
        let refused = store.commit(new(summary(id(301)))).await;
        assert!(matches!(refused, Err(StoreError::Stopped(_))), "{refused:?}");
    }
    assert!(store.published.reads_the_file());
    let head = store.head().await.unwrap();
    assert_eq!((head.writable, head.entries), (false, 301));
    for number in 0..=300 {
        assert_eq!(load(&store, id(number)).await.entry, number + 1);
    }
    assert_eq!(agrees(&store).approvals, 301);
    assert!(matches!(open(&path, OpenMode::Write), Err(StoreError::Held)));
    drop(store);
    let store = open(&path, OpenMode::Write).unwrap();
    assert_eq!(store.commit(new(summary(id(301)))).await.unwrap(), kept(302));
}
