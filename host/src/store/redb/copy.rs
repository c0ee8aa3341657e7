//! Copies of a store into a fresh file: for a backup, and for a compaction, which replaces the file.
//! A fresh file holds the rows of one snapshot and nothing else, so no byte of a row that was erased or
//! removed before is left in it.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use redb::backends::FileBackend;
use redb::{
    Database, Key, ReadOnlyTable, ReadableTable, ReadableTableMetadata, StorageBackend,
    TableDefinition, Value, WriteTransaction,
};

use super::failure::{shielded, unreadable};
use super::format::{
    ABOUTS, ANSWER_TIMES, ANSWERS, APPROVALS, BLOBS, DUE, ENTRIES, HEAD_KEY, LISTS, META, ROWS,
    SCRUB_KEY, STATE, TEXTS, TREE,
};
use super::open::{FileId, begin_durable, builder, cannot, draft_path, folder, sync_folder};
use super::snapshot::Snapshot;
use crate::folder::Folder;
use crate::store::StoreError;

/// What the name of an unfinished compaction ends with.
const DRAFT_SUFFIX: &str = ".compact";

/// Writes the rows of a snapshot to an empty backend. Returns the open database, whose commits are on
/// disk.
///
/// Errors: [`StoreError::Io`], also for a full disk; [`StoreError::Damaged`] for a source that cannot
/// be read.
pub(super) fn fill(
    snapshot: &Snapshot,
    backend: impl StorageBackend,
) -> Result<Database, StoreError> {
    shielded(|| {
        let mut database = builder().create_with_backend(backend)?;
        let txn = begin_durable(&database)?;
        copy_tables(snapshot, &txn)?;
        txn.commit()?;
        database.compact().map_err(|error| StoreError::Io(error.to_string()))?;
        // A compaction leaves a file that is repaired slowly after a crash; a durable commit ends that.
        let txn = begin_durable(&database)?;
        txn.open_table(META)?.insert(HEAD_KEY, snapshot.head.as_bytes())?;
        txn.commit()?;
        Ok(database)
    })
}

fn copy_tables(from: &Snapshot, to: &WriteTransaction) -> Result<(), StoreError> {
    copy(&from.meta, to, META)?;
    to.open_table(META)?.remove(SCRUB_KEY)?;
    copy(&from.approvals, to, APPROVALS)?;
    copy(&from.texts, to, TEXTS)?;
    copy(&from.lists, to, LISTS)?;
    copy(&from.due, to, DUE)?;
    copy(&from.entries, to, ENTRIES)?;
    copy(&from.abouts, to, ABOUTS)?;
    copy(&from.tree, to, TREE)?;
    copy(&from.rows, to, ROWS)?;
    copy(&from.state, to, STATE)?;
    if let Some(blobs) = &from.blobs {
        copy(blobs, to, BLOBS)?;
    }
    copy(&from.answers, to, ANSWERS)?;
    copy(&from.answer_times, to, ANSWER_TIMES)
}

/// Copies a table in the order of its keys.
fn copy<K: Key + 'static, V: Value + 'static>(
    from: &ReadOnlyTable<K, V>,
    to: &WriteTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<(), StoreError> {
    let mut to = to.open_table(table)?;
    for row in from.iter()? {
        let (key, value) = row?;
        to.insert(key.value(), value.value())?;
    }
    if to.len()? == from.len()? {
        return Ok(());
    }
    Err(unreadable(format_args!("a row of table {table}")))
}

/// Writes a copy to a new file next to a store. The file has no name any more, so a crash leaves
/// nothing.
pub(super) fn to_unnamed(snapshot: &Snapshot, store: &Path) -> Result<File, StoreError> {
    let path = draft_path(store, DRAFT_SUFFIX);
    let file = create(&path)?;
    fs::remove_file(&path).map_err(|error| cannot("create", &path, &error))?;
    let own = file.try_clone().map_err(|error| cannot("open", &path, &error))?;
    let database = fill(snapshot, FileBackend::new(file)?)?;
    database.close()?;
    Ok(own)
}

/// The new file of a store, complete, before it replaces the old one. It is removed on drop.
pub(super) struct Replacement {
    pub(super) database: Database,
    draft: PathBuf,
    path: PathBuf,
    file: File,
}

impl Replacement {
    /// Writes the new file, with owner and mode of the old one.
    pub(super) fn write(snapshot: &Snapshot, store: &Path) -> Result<Self, StoreError> {
        // A link to the store stays a link.
        let path = fs::canonicalize(store).map_err(|error| cannot("find", store, &error))?;
        let draft = draft_path(&path, DRAFT_SUFFIX);
        let file = create(&draft)?;
        let made = like(&file, &path)
            .and_then(|()| file.try_clone())
            .map_err(|error| cannot("create", &draft, &error))
            .and_then(|backend| fill(snapshot, FileBackend::new(backend)?));
        match made {
            Ok(database) => Ok(Self { database, draft, path, file }),
            Err(error) => {
                // A draft that cannot be removed now is removed at the next start.
                let _ = fs::remove_file(&draft);
                Err(error)
            }
        }
    }

    /// Moves the new file into the place of the old one. On error the old one is still in place.
    pub(super) fn place(&self) -> Result<(), StoreError> {
        self.file.sync_all().map_err(|error| cannot("sync", &self.draft, &error))?;
        fs::rename(&self.draft, &self.path).map_err(|error| cannot("replace", &self.path, &error))
    }

    /// Returns which file it is.
    pub(super) fn id(&self) -> Option<FileId> {
        self.file.metadata().ok().map(|meta| FileId::of(&meta))
    }

    /// Makes the exchange durable. After an error, a power cut may bring the old file back.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        sync_folder(&self.path).map_err(|error| cannot("replace", &self.path, &error))
    }
}

impl Replacement {
    /// Removes the new file, which was not placed.
    pub(super) fn discard(self) {
        let _ = fs::remove_file(&self.draft);
    }
}

/// Removes the files of compactions and restores that were killed. The caller holds the store's lock.
pub(super) fn remove_drafts(store: &Path) -> io::Result<()> {
    let store = fs::canonicalize(store)?;
    let name = store.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let prefix = format!(".{name}.");
    let folder = Folder::open(folder(&store))?;
    let drafts = folder.files(|name| {
        let name = name.to_string_lossy();
        let number = name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(DRAFT_SUFFIX));
        number.is_some_and(|n| n.len() == 16 && n.bytes().all(|b| b.is_ascii_hexdigit()))
    })?;
    drafts.iter().try_for_each(|(name, _)| folder.remove(name))?;
    folder.remove_drafts(OsStr::new(&name), Duration::ZERO)
}

fn create(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    options.open(path).map_err(|error| cannot("create", path, &error))
}

/// Gives a file the owner and mode of a store: the command may run as root, the server as another user.
fn like(file: &File, store: &Path) -> io::Result<()> {
    let (new, old) = (file.metadata()?, fs::metadata(store)?);
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))
}
