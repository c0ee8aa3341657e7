//! Which files are opened, created and refused; refused files are unchanged.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use redb::{Builder, TableDefinition};

use super::super::format::{FORMAT_KEY, META};
use super::*;

fn modes() -> [OpenMode; 3] {
    [OpenMode::Create { audience: "other".to_owned() }, OpenMode::Write, OpenMode::Read]
}

/// Opens the file in every mode, and checks that it is refused and unchanged.
fn assert_refused(path: &Path, expected: fn(&StoreError) -> bool) {
    let before = fs::read(path).unwrap();
    for mode in modes() {
        for check in [CheckIntegrity::Yes, CheckIntegrity::No] {
            let Err(error) = RedbStore::open(path, mode.clone(), check, Trust::none()) else {
                panic!("{mode:?} opened it");
            };
            assert!(expected(&error), "{mode:?}: {error}");
            assert!(fs::read(path).unwrap() == before, "{mode:?} changed it");
        }
    }
}

fn foreign(error: &StoreError) -> bool {
    matches!(error, StoreError::Foreign(_))
}

#[tokio::test]
async fn a_new_store_is_private_and_keeps_its_audience() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    drop(create(&path));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let other = OpenMode::Create { audience: "other".to_owned() };
    assert_eq!(open(&path, other).unwrap().head().await.unwrap().audience, AUDIENCE);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
}

#[test]
fn a_missing_file_is_created_only_in_create_mode() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    for mode in [OpenMode::Write, OpenMode::Read] {
        assert!(
            matches!(open(&path, mode), Err(StoreError::Missing(name)) if name.ends_with("store.redb"))
        );
    }
    assert!(!path.exists());
    let nowhere = folder.path().join("none/store.redb");
    let create = OpenMode::Create { audience: AUDIENCE.to_owned() };
    let Err(error) = open(&nowhere, create) else { panic!("made in no folder") };
    assert!(error.to_string().starts_with("store failed: cannot create `"), "{error}");
}

#[test]
fn other_files_are_refused_and_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let mut dice = Dice(4);
    let random: Vec<u8> = (0..100_000).map(|_| dice.next() as u8).collect();
    let zeros = vec![0; 80_000];
    for content in [&b""[..], b"redb", b"{\"not\": \"a store\"}", &random, &zeros] {
        fs::write(&path, content).unwrap();
        assert_refused(&path, foreign);
    }
}

#[test]
fn another_programs_database_is_refused_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let tables = [
        ("other", TableDefinition::<&str, &[u8]>::new("other")),
        ("signoff", TableDefinition::<&str, &[u8]>::new("signoff")),
    ];
    for (name, table) in tables {
        for clean in [true, false] {
            let path = folder.path().join(format!("{name}-{clean}"));
            let database = Builder::new().create(&path).unwrap();
            let txn = database.begin_write().unwrap();
            txn.open_table(table).unwrap().insert("key", [1].as_slice()).unwrap();
            txn.commit().unwrap();
            let crashed = folder.path().join("crashed");
            fs::copy(&path, &crashed).unwrap();
            drop(database);
            if !clean {
                fs::rename(&crashed, &path).unwrap();
            }
            assert_refused(&path, foreign);
        }
    }
}

#[test]
fn a_store_of_another_format_is_refused_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    drop(create(&path));
    let database = Builder::new().open(&path).unwrap();
    let txn = database.begin_write().unwrap();
    let four = 4_u64.to_be_bytes();
    txn.open_table(META).unwrap().insert(FORMAT_KEY, four.as_slice()).unwrap();
    txn.commit().unwrap();
    drop(database);
    assert_refused(&path, |error| matches!(error, StoreError::Format { found: 4, expected: 3 }));
}

#[test]
fn a_folder_and_a_pipe_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(fs::metadata(&socket).unwrap().file_type().is_socket());
    for path in [folder.path(), &socket] {
        for mode in modes() {
            assert!(matches!(open(path, mode), Err(StoreError::Foreign(_))));
        }
    }
}

#[tokio::test]
async fn readers_work_while_one_process_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let writer = create(&path);
    writer.commit(new(summary(id(1)))).await.unwrap();
    let reader = open(&path, OpenMode::Read).unwrap();
    assert_eq!(load(&reader, id(1)).await.entry, 1);
    for mode in [OpenMode::Write, OpenMode::Create { audience: AUDIENCE.to_owned() }] {
        assert!(matches!(open(&path, mode), Err(StoreError::Held)));
    }
    // A reader follows the writer and never blocks it.
    for number in 2..30 {
        writer.commit(new(summary(id(number)))).await.unwrap();
        assert_eq!(load(&reader, id(number)).await.entry, number);
        assert_eq!(reader.head().await.unwrap().entries, number);
    }
    assert!(matches!(reader.commit(new(summary(id(99)))).await, Err(StoreError::ReadOnly)));
    assert!(matches!(reader.forget_answers(1, 1).await, Err(StoreError::ReadOnly)));
    assert!(!reader.head().await.unwrap().writable);
    assert_eq!(agrees(&reader).approvals, 29);
    drop(writer);
    assert_eq!(load(&reader, id(29)).await.entry, 29);
    drop(open(&path, OpenMode::Write).unwrap());
}

#[tokio::test]
async fn a_store_whose_process_was_killed_is_read_and_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let writer = create(&path);
    writer.commit(new(summary(id(1)))).await.unwrap();
    for mode in modes() {
        let killed = folder.path().join("killed.redb");
        fs::copy(&path, &killed).unwrap();
        let store = open(&killed, mode.clone()).unwrap();
        assert_eq!(load(&store, id(1)).await.entry, 1);
        assert_eq!(store.head().await.unwrap().writable, mode != OpenMode::Read);
        assert_eq!(agrees(&store).approvals, 1);
    }
}

#[test]
fn many_who_make_a_store_at_once_make_one() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let race = |number: u32| {
            let audience = format!("audience-{number}");
            open(&path, OpenMode::Create { audience })
        };
        let opened: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6).map(|number| scope.spawn(move || race(number))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(opened.iter().filter(|store| store.is_ok()).count(), 1);
        assert!(opened.iter().all(|store| matches!(store, Ok(_) | Err(StoreError::Held))));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[tokio::test]
async fn a_kill_leaves_nothing_that_takes_a_walk_over_the_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let killed = folder.path().join("killed.redb");
    let writer = create(&path);
    writer.commit(new(summary(id(1)))).await.unwrap();
    fs::copy(&path, &killed).unwrap();
    let opened = Builder::new().set_repair_callback(redb::RepairSession::abort).open(&killed);
    assert!(opened.is_ok(), "{opened:?}");
}
