//! A damaged file is an error: never a panic, never an empty store, never other data than was
//! stored.

use std::fs;

use super::*;

const APPROVALS: u64 = 60;

/// The bytes of a store that was closed cleanly, or whose process was killed.
async fn bytes(folder: &Path, clean: bool) -> Vec<u8> {
    let path = folder.join("sample.redb");
    let _ = fs::remove_file(&path);
    let store = create(&path);
    for number in 0..APPROVALS {
        let answer = Some((scope(number as u8), answer(number)));
        store.commit(Change { answer, ..new(summary(id(number))) }).await.unwrap();
    }
    if clean {
        drop(store);
    }
    fs::read(&path).unwrap()
}

/// The whole content of a store, through every read operation.
async fn everything(store: &RedbStore) -> Result<String, StoreError> {
    let all = Query { limit: 1_000, ..Query::default() };
    let pending = Query { status: Some(Status::Pending), ..all.clone() };
    let mut said = format!("{:?}", store.list(&all).await?);
    said += &format!("{:?}", store.list(&pending).await?);
    for number in 0..APPROVALS {
        said += &format!("{:?}", store.load(&id(number), WithTexts::Yes).await?);
        said += &format!("{:?}", store.answer(&scope(number as u8)).await?);
    }
    said += &format!("{:?}", store.due(u64::MAX, 1_000).await?);
    said += &format!("{:?}", store.with_prefix("appr_", 1_000).await?);
    said += &format!("{:?} {:?}", store.entries(0, 1_000).await?, store.head().await?);
    if let Some(difference) = store.examine(&Known)?.differences.first() {
        return Err(StoreError::Tampered(difference.to_string()));
    }
    Ok(said)
}

fn refused_for_its_content(error: &StoreError) -> bool {
    use StoreError::{Damaged, Foreign, Format, Io, Tampered, Untrusted};
    matches!(error, Damaged(_) | Foreign(_) | Format { .. } | Io(_) | Tampered(_) | Untrusted(_))
}

/// Every byte of the header, then bytes all over.
fn positions(len: usize, dice: &mut Dice) -> Vec<usize> {
    let header = (0..320).step_by(3);
    let rest = (0..250).map(|_| dice.below(len as u64) as usize);
    header.chain(rest).collect()
}

#[tokio::test]
async fn with_the_check_a_flipped_bit_is_refused_or_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let mut dice = Dice(5);
    for clean in [true, false] {
        let sound = bytes(folder.path(), clean).await;
        fs::write(&path, &sound).unwrap();
        let whole = everything(&open(&path, OpenMode::Write).unwrap()).await.unwrap();
        let mut refused = 0;
        for position in positions(sound.len(), &mut dice) {
            let mut flipped = sound.clone();
            flipped[position] ^= 1 << dice.below(8);
            fs::write(&path, &flipped).unwrap();
            match RedbStore::open(&path, OpenMode::Write, CheckIntegrity::Yes, Trust::none()) {
                Ok(store) => {
                    let found = everything(&store).await.unwrap();
                    assert!(found == whole, "byte {position}: other data");
                }
                Err(error) => {
                    assert!(refused_for_its_content(&error), "byte {position}: {error}");
                    assert!(fs::read(&path).unwrap() == flipped, "byte {position}: written to");
                    refused += 1;
                }
            }
        }
        assert!(refused > 20, "only {refused} of the flips were found");
    }
}

#[tokio::test]
async fn without_the_check_a_flipped_bit_never_panics_or_empties_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let sound = bytes(folder.path(), true).await;
    let mut dice = Dice(6);
    for position in positions(sound.len(), &mut dice) {
        for mode in [OpenMode::Read, OpenMode::Write] {
            let mut flipped = sound.clone();
            flipped[position] ^= 1 << dice.below(8);
            fs::write(&path, &flipped).unwrap();
            let store = match open(&path, mode) {
                Ok(store) => store,
                Err(error) => {
                    assert!(refused_for_its_content(&error), "byte {position}: {error}");
                    assert!(fs::read(&path).unwrap() == flipped, "byte {position}: written to");
                    continue;
                }
            };
            if let Ok(said) = everything(&store).await {
                assert!(said.contains(&format!("entries: {APPROVALS}")), "byte {position}");
            }
            let _ = store.commit(new(summary(id(9_999)))).await;
        }
    }
}

#[tokio::test]
async fn a_file_cut_short_is_refused_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let sound = bytes(folder.path(), true).await;
    let mut dice = Dice(7);
    let random = (0..40).map(|_| dice.below(sound.len() as u64) as usize);
    for len in [1, 8, 9, 64, 511, 512, 4095, 4096, 8192].into_iter().chain(random) {
        fs::write(&path, &sound[..len]).unwrap();
        for mode in [OpenMode::Write, OpenMode::Create { audience: AUDIENCE.to_owned() }] {
            for check in [CheckIntegrity::Yes, CheckIntegrity::No] {
                let Err(error) = RedbStore::open(&path, mode.clone(), check, Trust::none()) else {
                    panic!("opened the first {len} bytes");
                };
                assert!(refused_for_its_content(&error), "{len}: {error}");
                assert!(fs::read(&path).unwrap() == sound[..len], "{len}: written to");
            }
        }
        // A reader may find everything in the remaining bytes, but never less than was stored.
        if let Ok(store) = open(&path, OpenMode::Read)
            && let Ok(said) = everything(&store).await
        {
            assert!(said.contains(&format!("entries: {APPROVALS}")), "{len}");
        }
    }
}
