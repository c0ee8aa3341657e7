//! Opens and creates store files. A refused file is left unchanged, byte for byte.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use redb::backends::FileBackend;
use redb::{
    Builder, ConcurrencyMode, Database, DatabaseError, ReadOnlyDatabase, ReadTransaction,
    ReadableDatabase, StorageBackend, StorageError, TableError, WriteTransaction,
};

use super::CheckIntegrity;
use super::buffered_backend::BufferedBackend;
use super::copy;
use super::failure::{shielded, unreadable};
use super::format::{AUDIENCE_KEY, FORMAT_KEY, META, STORE_FORMAT, initialise};
use super::log::Log;
use super::snapshot::Snapshot;
use crate::log_key::origin;
use crate::store::{StoreError, Trust};
use signoff_core::log::checkpoint::Checkpoint;
use signoff_core::log::tree::EMPTY_ROOT;

/// Size of the page cache, for read and not yet written pages. Twice as much made no operation
/// faster at a million approvals.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// How often a reader retries a file that a writer is opening, and the pause between attempts.
const READ_TRIES: u32 = 50;
const READ_PAUSE: Duration = Duration::from_millis(20);

/// An opened store of this format.
pub(super) struct Opened<D> {
    pub(super) database: D,
    pub(super) audience: String,
    /// Its log, whose head the log keys authenticate.
    pub(super) log: Log,
}

/// Opens an existing store for writing.
pub(super) fn writable(
    path: &Path,
    check: CheckIntegrity,
    trust: &Trust,
) -> Result<Opened<Database>, StoreError> {
    for _ in 0..READ_TRIES {
        let file = existing(path, OpenOptions::new().read(true).write(true))?;
        let locked = FileId::of(&file.metadata().map_err(|error| cannot("open", path, &error))?);
        let opened = from_backend(FileBackend::new(file)?, check, &shown(path), trust)?;
        // A compaction may have replaced the file before it was locked: what is written to the old
        // one is lost.
        if file_at(path) == Some(locked) {
            // Drafts that cannot be removed do no harm.
            let _ = copy::remove_drafts(path);
            return Ok(opened);
        }
    }
    Err(StoreError::Held)
}

/// Which file it is, whatever its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

/// Returns the file at a path; `None` if there is none.
pub(super) fn file_at(path: &Path) -> Option<FileId> {
    fs::metadata(path).ok().map(|meta| FileId::of(&meta))
}

impl FileId {
    pub(super) fn of(meta: &Metadata) -> Self {
        Self { device: meta.dev(), inode: meta.ino() }
    }
}

/// Opens a backend that holds a store, for writing. In an empty backend redb creates a database in
/// the buffered writes, which is then refused because it is not a store.
pub(super) fn from_backend(
    backend: impl StorageBackend,
    check: CheckIntegrity,
    name: &str,
    trust: &Trust,
) -> Result<Opened<Database>, StoreError> {
    shielded(|| {
        let (backend, gate) = BufferedBackend::new(backend);
        let database = builder()
            .set_check_integrity_on_open(check == CheckIntegrity::Yes)
            .create_with_backend(backend)
            .map_err(|error| refusal(error, name))?;
        let audience = identify(&database, name)?;
        let log = Log::read(&Snapshot::open(database.begin_read()?)?, trust, &audience)?;
        gate.open().map_err(StorageError::from)?;
        Ok(Opened { database, audience, log })
    })
}

/// Opens an existing store for reading, even while it has a writer. A store without a writer that
/// was not closed cleanly is first opened for writing and closed, which repairs it.
pub(super) fn readable(path: &Path, trust: &Trust) -> Result<Opened<ReadOnlyDatabase>, StoreError> {
    for _ in 0..READ_TRIES {
        if let Some(opened) = readable_unless_unclean(path, trust)? {
            return Ok(opened);
        }
        match writable(path, CheckIntegrity::No, trust) {
            Ok(repaired) => drop(repaired),
            Err(StoreError::Held) => thread::sleep(READ_PAUSE),
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::Held)
}

/// Opens a store for reading without verifying its log. Returns its audience too.
pub(super) fn unverified(path: &Path) -> Result<(ReadOnlyDatabase, String), StoreError> {
    database_unless_unclean(path)?.ok_or(StoreError::Held)
}

/// Opens a store for reading while a writer of this process holds it.
pub(super) fn readable_beside_writer(path: &Path) -> Result<ReadOnlyDatabase, StoreError> {
    Ok(database_unless_unclean(path)?.ok_or(StoreError::Held)?.0)
}

fn readable_unless_unclean(
    path: &Path,
    trust: &Trust,
) -> Result<Option<Opened<ReadOnlyDatabase>>, StoreError> {
    let Some((database, audience)) = database_unless_unclean(path)? else { return Ok(None) };
    shielded(|| {
        let log = Log::read(&Snapshot::open(database.begin_read()?)?, trust, &audience)?;
        Ok(Some(Opened { database, audience, log }))
    })
}

fn database_unless_unclean(path: &Path) -> Result<Option<(ReadOnlyDatabase, String)>, StoreError> {
    let file = existing(path, OpenOptions::new().read(true))?;
    let name = shown(path);
    shielded(|| match builder().open_read_only_with_backend(FileBackend::new(file)?) {
        Ok(database) => {
            let audience = identify(&database, &name)?;
            Ok(Some((database, audience)))
        }
        Err(DatabaseError::RepairAborted) => Ok(None),
        Err(error) => Err(refusal(error, &name)),
    })
}

/// Creates a store if none exists. It is written under a temporary name and then linked to its own,
/// so that a crash never leaves a partial store, and concurrent creators get the same store.
pub(super) fn create(path: &Path, audience: &str, trust: &Trust) -> Result<(), StoreError> {
    let draft = draft_path(path, ".new");
    let made =
        shielded(|| write_draft(&draft, audience, trust)).and_then(|()| publish(&draft, path));
    // A draft that cannot be removed does no harm.
    let _ = fs::remove_file(&draft);
    made
}

fn write_draft(draft: &Path, audience: &str, trust: &Trust) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(draft).map_err(|error| cannot("create", draft, &error))?;
    make(FileBackend::new(file)?, audience, trust)
}

/// Creates a store in an empty backend.
pub(super) fn make(
    backend: impl StorageBackend,
    audience: &str,
    trust: &Trust,
) -> Result<(), StoreError> {
    let head = Checkpoint { origin: origin(audience), size: 0, root: EMPTY_ROOT };
    let head = trust.write_head(&head, audience)?;
    let database = builder().create_with_backend(backend)?;
    let txn = begin_durable(&database)?;
    initialise(&txn, audience, &head)?;
    txn.commit()?;
    Ok(database.close()?)
}

fn publish(draft: &Path, path: &Path) -> Result<(), StoreError> {
    match fs::hard_link(draft, path) {
        Ok(()) => sync_folder(path).map_err(|error| cannot("create", path, &error)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(cannot("create", path, &error)),
    }
}

pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

pub(super) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(super) fn draft_path(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    folder(path).join(format!(".{name}.{:016x}{suffix}", rand::random::<u64>()))
}

/// Begins a write transaction that is durable once committed and quickly repaired after a crash.
pub(super) fn begin_durable(database: &Database) -> Result<WriteTransaction, StoreError> {
    let mut txn = database.begin_write()?;
    txn.set_two_phase_commit(true);
    txn.set_quick_repair(true);
    Ok(txn)
}

pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES).set_concurrency_mode(ConcurrencyMode::SingleWriter);
    builder
}

fn existing(path: &Path, options: &OpenOptions) -> Result<File, StoreError> {
    let found = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => StoreError::Missing(shown(path)),
        _ => cannot("open", path, &error),
    })?;
    // Opening a pipe would wait for its other end.
    if !found.is_file() {
        return Err(StoreError::Foreign(shown(path)));
    }
    options.open(path).map_err(|error| cannot("open", path, &error))
}

/// Returns the audience, if the database is a store of the supported format.
fn identify(database: &impl ReadableDatabase, name: &str) -> Result<String, StoreError> {
    let foreign = || StoreError::Foreign(name.to_owned());
    let txn: ReadTransaction = database.begin_read()?;
    let meta = txn.open_table(META).map_err(|error| match error {
        TableError::Storage(error) => error.into(),
        _ => foreign(),
    })?;
    let format = meta.get(FORMAT_KEY)?.ok_or_else(foreign)?;
    let found = format.value().try_into().map(u64::from_be_bytes).map_err(|_| foreign())?;
    if found != STORE_FORMAT {
        return Err(StoreError::Format { found, expected: STORE_FORMAT });
    }
    let audience = meta.get(AUDIENCE_KEY)?.ok_or_else(|| unreadable("its audience"))?;
    String::from_utf8(audience.value().to_vec()).map_err(|_| unreadable("its audience"))
}

/// Converts redb's error for a file that it does not open.
fn refusal(error: DatabaseError, name: &str) -> StoreError {
    match error {
        // redb's error for a missing magic number.
        DatabaseError::Storage(StorageError::Io(error))
            if error.kind() == io::ErrorKind::InvalidData =>
        {
            StoreError::Foreign(name.to_owned())
        }
        DatabaseError::UpgradeRequired(_) => StoreError::Foreign(name.to_owned()),
        error => error.into(),
    }
}

pub(super) fn cannot(what: &str, path: &Path, error: &io::Error) -> StoreError {
    StoreError::Io(format!("cannot {what} `{}`: {error}", path.display()))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
