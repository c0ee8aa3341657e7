//! What the writer shows to readers: the latest commit with the state of its log, and whether writing
//! goes on. Both change together, under one lock, so that a reader never compares a row of one commit
//! with the log of another.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use redb::{ReadOnlyDatabase, ReadableDatabase};

use super::failure::closed;
use super::log::Log;
use super::snapshot::Snapshot;
use super::{Stats, open};
use crate::store::log_state::Delta;
use crate::store::{StoreError, Trust, Witness};

/// How often a reader looks again at a file whose writer commits meanwhile.
const FOLLOW_TRIES: u32 = 100;

/// Shared by a store and its writer.
pub(super) struct Published {
    shown: RwLock<Shown>,
    audience: String,
    trust: Trust,
    stopped: OnceLock<String>,
    witness: Mutex<Option<Witness>>,
    /// Where the file is, if the store is in one.
    path: Option<PathBuf>,
    batches: AtomicU64,
    changes: AtomicU64,
    commit_micros: AtomicU64,
}

/// What readers see.
pub(super) struct Shown {
    pub(super) log: Log,
    source: Source,
}

/// Where reads come from.
pub(super) enum Source {
    /// The latest commit of this store's own writer.
    Latest(Box<Snapshot>),
    /// The file, anew for each read: the store is open for reading only, or its writer stopped.
    File(ReadOnlyDatabase),
    /// Nowhere any more.
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
            shown: RwLock::new(Shown { log, source }),
            audience,
            trust,
            stopped: OnceLock::new(),
            witness: Mutex::new(None),
            path,
            batches: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            commit_micros: AtomicU64::new(0),
        }
    }

    /// Reads from the latest commit, with the state of its log. The writer shows no other one meanwhile.
    pub(super) fn read<T>(
        &self,
        work: impl Fn(&Snapshot, &Log) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        for _ in 0..FOLLOW_TRIES {
            let shown = self.shown();
            match &shown.source {
                Source::Latest(snapshot) => return work(snapshot, &shown.log),
                Source::Closed => return Err(closed()),
                Source::File(database) => {
                    let snapshot = Snapshot::open(database.begin_read()?)?;
                    if snapshot.head == shown.log.head {
                        return work(&snapshot, &shown.log);
                    }
                }
            }
            drop(shown);
            self.follow()?;
        }
        Err(StoreError::Io("its writer commits all the time".to_owned()))
    }

    /// Reads what another process appended since.
    fn follow(&self) -> Result<(), StoreError> {
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        let Shown { log, source } = &mut *shown;
        let Source::File(database) = source else { return Ok(()) };
        let snapshot = Snapshot::open(database.begin_read()?)?;
        log.follow(&snapshot, &self.trust, &self.audience)
    }

    /// What readers see now. The writer waits for whoever holds it.
    pub(super) fn shown(&self) -> RwLockReadGuard<'_, Shown> {
        self.shown.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The deployment's name.
    pub(super) fn audience(&self) -> &str {
        &self.audience
    }

    /// The log keys.
    pub(super) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Shows a commit.
    pub(super) fn show(&self, snapshot: Snapshot, delta: Delta, head: String) {
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        shown.log.state.apply(delta);
        shown.log.head = head;
        let before = std::mem::replace(&mut shown.source, Source::Latest(Box::new(snapshot)));
        // Readers need not wait while the old snapshot ends.
        drop(shown);
        drop(before);
    }

    /// Notes that the state of so many entries was saved.
    pub(super) fn saved(&self, size: u64) {
        self.shown.write().unwrap_or_else(PoisonError::into_inner).log.saved = size;
    }

    pub(super) fn watch_with(&self, witness: Witness) {
        *self.witness.lock().unwrap_or_else(PoisonError::into_inner) = Some(witness);
    }

    /// Gives the witness the head of a commit, where there is a witness. Where that fails writing ends, and
    /// readers keep what the witness saw last.
    pub(super) fn tell_witness(&self, head: &str) -> Result<(), StoreError> {
        let mut witness = self.witness.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(witness) = witness.as_mut() else { return Ok(()) };
        witness(head).map_err(|e| {
            let error = StoreError::Io(format!("its witness: {e}"));
            self.stopped.get_or_init(|| error.to_string());
            error
        })
    }

    pub(super) fn close(&self) {
        self.replace(Source::Closed);
    }

    fn replace(&self, source: Source) {
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut shown.source, source);
        drop(shown);
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
            && let Ok(database) = open::readable_beside_writer(path)
        {
            self.replace(Source::File(database));
        }
        reason.clone()
    }

    pub(super) fn refuse_if_stopped(&self) -> Result<(), StoreError> {
        self.stopped.get().map_or(Ok(()), |reason| Err(StoreError::Stopped(reason.clone())))
    }

    /// Whether reads go to the file. A small store is all in redb's cache, so a test cannot tell.
    #[cfg(test)]
    pub(super) fn reads_the_file(&self) -> bool {
        matches!(self.shown().source, Source::File(_))
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
