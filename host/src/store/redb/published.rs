//! What the writer shows to readers: the latest commit, and whether writing goes on.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use redb::{ReadOnlyDatabase, ReadableDatabase};

use super::failure::closed;
use super::snapshot::Snapshot;
use super::{Stats, open};
use crate::audit::tree::Hash;
use crate::store::{StoreError, Witness};

/// Shared by a store and its writer.
pub(super) struct Published {
    source: RwLock<Source>,
    stopped: OnceLock<String>,
    witness: Mutex<Option<Witness>>,
    /// Where the file is, if the store is in one.
    path: Option<PathBuf>,
    batches: AtomicU64,
    changes: AtomicU64,
    commit_micros: AtomicU64,
}

/// Where reads come from.
#[derive(Clone)]
pub(super) enum Source {
    /// The latest commit of this store's own writer.
    Latest(Arc<Snapshot>),
    /// The file, anew for each read: the store is open for reading only, or its writer stopped.
    File(Arc<ReadOnlyDatabase>),
    /// Nowhere any more.
    Closed,
}

impl Published {
    pub(super) fn new(source: Source, path: Option<PathBuf>) -> Self {
        Self {
            source: RwLock::new(source),
            stopped: OnceLock::new(),
            witness: Mutex::new(None),
            path,
            batches: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            commit_micros: AtomicU64::new(0),
        }
    }

    /// The latest commit.
    pub(super) fn snapshot(&self) -> Result<Arc<Snapshot>, StoreError> {
        let source = self.source.read().unwrap_or_else(PoisonError::into_inner).clone();
        match source {
            Source::Latest(snapshot) => Ok(snapshot),
            Source::File(database) => Ok(Arc::new(Snapshot::open(database.begin_read()?)?)),
            Source::Closed => Err(closed()),
        }
    }

    pub(super) fn show(&self, snapshot: Snapshot) {
        self.replace(Source::Latest(Arc::new(snapshot)));
    }

    pub(super) fn watch_with(&self, witness: Witness) {
        *self.witness.lock().unwrap_or_else(PoisonError::into_inner) = Some(witness);
    }

    /// Tells the witness of a commit, where there is one. Where that fails writing ends, and readers
    /// keep what the witness saw last.
    pub(super) fn tell_witness(&self, size: u64, root: &Hash) -> Result<(), StoreError> {
        let mut witness = self.witness.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(witness) = witness.as_mut() else { return Ok(()) };
        witness(size, root).map_err(|e| {
            let error = StoreError::Io(format!("its witness: {e}"));
            self.stopped.get_or_init(|| error.to_string());
            error
        })
    }

    pub(super) fn close(&self) {
        self.replace(Source::Closed);
    }

    fn replace(&self, source: Source) {
        let mut held = self.source.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *held, source);
        // Readers need not wait while the old snapshot ends.
        drop(held);
        drop(before);
    }

    /// Ends writing, and says why: the first reason there was. redb reads nothing from disk after an
    /// I/O error, so reads go on through a handle of their own, if there is a file to open.
    pub(super) fn stop(&self, error: &StoreError) -> String {
        let mut is_first = false;
        let reason = self.stopped.get_or_init(|| {
            is_first = true;
            error.to_string()
        });
        if is_first
            && let Some(path) = &self.path
            && let Ok(opened) = open::readable_beside_writer(path)
        {
            self.replace(Source::File(Arc::new(opened.database)));
        }
        reason.clone()
    }

    pub(super) fn refuse_if_stopped(&self) -> Result<(), StoreError> {
        self.stopped.get().map_or(Ok(()), |reason| Err(StoreError::Stopped(reason.clone())))
    }

    /// Whether reads go to the file. A small store is all in redb's cache, so a test cannot tell.
    #[cfg(test)]
    pub(super) fn reads_the_file(&self) -> bool {
        let source = self.source.read().unwrap_or_else(PoisonError::into_inner);
        matches!(*source, Source::File(_))
    }

    pub(super) fn count_batch(&self, changes: usize, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.changes.fetch_add(changes as u64, Ordering::Relaxed);
        self.commit_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            batches: self.batches.load(Ordering::Relaxed),
            changes: self.changes.load(Ordering::Relaxed),
            commit_micros: self.commit_micros.load(Ordering::Relaxed),
        }
    }
}
