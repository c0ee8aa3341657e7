//! The writer's published view for readers: the latest commit with its log state, and whether the
//! store still accepts writes. Commit and log state change together, under one lock, so that a
//! reader never compares a row of one commit with the log of another.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use redb::{ReadOnlyDatabase, ReadableDatabase};

use super::failure::closed;
use super::log::Log;
use super::open::FileId;
use super::snapshot::Snapshot;
use super::{Stats, open};
use crate::store::log_state::Delta;
use crate::store::{CommittedChange, Observer, StoreError, Trust, Witness};

/// How often a reader retries a file to which another process commits meanwhile.
const FOLLOW_TRIES: u32 = 100;

/// Shared by a store and its writer.
pub(super) struct Published {
    view: RwLock<View>,
    audience: String,
    trust: Trust,
    stopped: OnceLock<String>,
    witness: Mutex<Option<Witness>>,
    observers: Mutex<Vec<Observer>>,
    /// The path, if the store is in a file.
    path: Option<PathBuf>,
    /// The file there.
    file: Mutex<Option<FileId>>,
    /// Whether the unused space of the file may hold erased or removed rows.
    owes_compaction: AtomicBool,
    batches: AtomicU64,
    changes: AtomicU64,
    commit_micros: AtomicU64,
}

/// The readers' view.
pub(super) struct View {
    pub(super) log: Log,
    source: Source,
}

/// The source of reads.
pub(super) enum Source {
    /// The latest commit of this store's own writer.
    Latest(Box<Snapshot>),
    /// The file, reopened for each read: the store is open for reading only, or its writer stopped.
    File(ReadOnlyDatabase),
    /// None: the store is closed.
    Closed,
}

impl Published {
    pub(super) fn new(
        log: Log,
        source: Source,
        audience: String,
        trust: Trust,
        path: Option<PathBuf>,
    ) -> Self {
        Self {
            view: RwLock::new(View { log, source }),
            audience,
            trust,
            stopped: OnceLock::new(),
            witness: Mutex::new(None),
            observers: Mutex::default(),
            file: Mutex::new(path.as_deref().and_then(open::file_at)),
            path,
            owes_compaction: AtomicBool::new(false),
            batches: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            commit_micros: AtomicU64::new(0),
        }
    }

    /// Reads from the latest commit with its log state. The writer publishes no other commit
    /// meanwhile.
    pub(super) fn read<T>(
        &self,
        work: impl Fn(&Snapshot, &Log) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        for _ in 0..FOLLOW_TRIES {
            let view = self.view();
            match &view.source {
                Source::Latest(snapshot) => return work(snapshot, &view.log),
                Source::Closed => return Err(closed()),
                Source::File(database) => {
                    let snapshot = Snapshot::open(database.begin_read()?)?;
                    if snapshot.head == view.log.head {
                        return work(&snapshot, &view.log);
                    }
                }
            }
            drop(view);
            self.follow()?;
        }
        Err(StoreError::Io("another process committed during every attempt; retry".to_owned()))
    }

    /// Reads the entries that another process appended since.
    fn follow(&self) -> Result<(), StoreError> {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let View { log, source } = &mut *view;
        let Source::File(database) = source else { return Ok(()) };
        let snapshot = Snapshot::open(database.begin_read()?)?;
        log.follow(&snapshot, &self.trust, &self.audience)
    }

    /// Returns the current view. The writer waits until the guard is dropped.
    pub(super) fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The deployment's name.
    pub(super) fn audience(&self) -> &str {
        &self.audience
    }

    /// The log keys.
    pub(super) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Returns the size of the file; `None` if there is none.
    pub(super) fn file_bytes(&self) -> Option<u64> {
        self.path.as_ref()?.metadata().ok().map(|file| file.len())
    }

    /// Publishes a commit.
    pub(super) fn publish(&self, snapshot: Snapshot, delta: Delta, head: String) {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        view.log.state.apply(delta);
        view.log.head = head;
        let before = std::mem::replace(&mut view.source, Source::Latest(Box::new(snapshot)));
        // Dropped after the lock, so that readers need not wait for it.
        drop(view);
        drop(before);
    }

    /// Publishes the same commit in a new file, which is the store's from now on.
    pub(super) fn publish_file(&self, snapshot: Snapshot, file: Option<FileId>) {
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
        self.owes_compaction.store(snapshot.owes_compaction, Ordering::Release);
        self.replace(Source::Latest(Box::new(snapshot)));
    }

    /// The path of the file; `None` if the store is in no file.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Notes whether the file owes a compaction.
    pub(super) fn owe_compaction(&self) {
        self.owes_compaction.store(true, Ordering::Release);
    }

    pub(super) fn owes_compaction(&self) -> bool {
        self.owes_compaction.load(Ordering::Acquire)
    }

    /// Records that the state of this many entries was saved.
    pub(super) fn saved(&self, size: u64) {
        self.view.write().unwrap_or_else(PoisonError::into_inner).log.saved = size;
    }

    pub(super) fn watch_with(&self, witness: Witness) {
        *self.witness.lock().unwrap_or_else(PoisonError::into_inner) = Some(witness);
    }

    /// Passes the head of a commit to the witness, if there is one. If that fails, the store stops
    /// accepting writes, and readers keep the commit that the witness saw last.
    pub(super) fn notify_witness(&self, head: &str) -> Result<(), StoreError> {
        let mut witness = self.witness.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(witness) = witness.as_mut() else { return Ok(()) };
        witness(head).map_err(|e| {
            let error = StoreError::Io(format!("witness failed: {e}"));
            self.stopped.get_or_init(|| error.to_string());
            error
        })
    }

    pub(super) fn observe_with(&self, observer: Observer) {
        self.observers.lock().unwrap_or_else(PoisonError::into_inner).push(observer);
    }

    pub(super) fn notify_observers(&self, committed: CommittedChange) {
        let observers = self.observers.lock().unwrap_or_else(PoisonError::into_inner);
        observers.iter().for_each(|observer| observer(committed));
    }

    pub(super) fn close(&self) {
        self.replace(Source::Closed);
    }

    fn replace(&self, source: Source) {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut view.source, source);
        drop(view);
        drop(before);
    }

    /// Stops accepting writes. Returns the first reason for it. redb reads nothing from disk after
    /// an I/O error, so reads continue through a separate handle, if there is a file to open.
    pub(super) fn stop(&self, error: &StoreError) -> String {
        let mut is_first = false;
        let reason = self.stopped.get_or_init(|| {
            is_first = true;
            error.to_string()
        });
        if is_first
            && let Some(path) = &self.path
            && let Ok(database) = open::readable_beside_writer(path)
        {
            self.replace(Source::File(database));
        }
        reason.clone()
    }

    /// Stops accepting writes if another file, or none, is at the store's path: what is written to the
    /// open one is lost when it is closed.
    pub(super) fn refuse_if_replaced(&self) -> Result<(), StoreError> {
        let Some(path) = &self.path else { return Ok(()) };
        if open::file_at(path) != *self.file.lock().unwrap_or_else(PoisonError::into_inner) {
            let reason =
                || format!("`{}` was replaced or removed while it was open", path.display());
            self.stopped.get_or_init(reason);
        }
        self.refuse_if_stopped()
    }

    pub(super) fn refuse_if_stopped(&self) -> Result<(), StoreError> {
        self.stopped.get().map_or(Ok(()), |reason| Err(StoreError::Stopped(reason.clone())))
    }

    /// Returns whether reads go to the file. A small store fits in redb's cache, so a test cannot
    /// observe it otherwise.
    #[cfg(test)]
    pub(super) fn reads_the_file(&self) -> bool {
        matches!(self.view().source, Source::File(_))
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
