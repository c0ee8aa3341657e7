//! A store in one file, implemented with redb.
//!
//! | file | holds |
//! | --- | --- |
//! | `format` | tables and keys |
//! | `rows` | values, byte by byte |
//! | `open`, `buffered_backend` | opens and creates files; leaves refused files unchanged |
//! | `log` | the audit log of a file, and the state that results from it |
//! | `authentic` | authenticates rows and entries against that state |
//! | `writer`, `apply` | the single writer thread, and how it applies a change |
//! | `copy` | copies into a fresh file: backup and compaction |
//! | `published`, `snapshot`, `list` | the readers' view |
//! | `consistency` | finds every row and index entry that differs from the log |
//! | `failure` | converts redb's errors and panics to store errors |
//!
//! The path of a change is `commit` → queue → writer → one transaction with all other queued
//! changes → disk → next snapshot → reply. Reads never wait for the writer.

mod apply;
mod authentic;
mod buffered_backend;
mod consistency;
mod copy;
mod failure;
mod format;
mod list;
mod log;
mod open;
mod published;
mod rows;
mod snapshot;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

pub use self::consistency::{Difference, Examined};
pub use self::failure::quiet_shielded_panics;
use self::failure::shielded;
use self::log::Log;
use self::open::Opened;
use self::published::{Published, Source};
use self::snapshot::Snapshot;
use self::writer::Writer;
use super::log_state::LogState;
use super::{
    About, Answer, Change, Commit, Compacted, Copied, Entry, EntryInterpreter, Head, Observer,
    Query, Row, RowKind, Scope, Status, Store, StoreError, Stored, Trust, Usage, WithTexts,
    Witness,
};
use crate::id::ApprovalId;
use signoff_core::log::checkpoint::Checkpoint;
use signoff_core::log::tree::Hash;

/// A store in a file. Dropping it finishes accepted changes and closes the file.
pub struct RedbStore {
    published: Arc<Published>,
    /// `None` if the store is open for reading only.
    writer: Option<Writer>,
    /// Copies and compactions come one after the other: a compaction closes the file that a copy reads.
    copying: Mutex<()>,
}

/// How to open a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Reading and writing; creates the file if it does not exist.
    Create {
        /// The deployment's name. An existing store keeps its own.
        audience: String,
    },
    /// Reading and writing; the file must exist.
    Write,
    /// Reading only, possibly while another process writes.
    Read,
}

/// Whether opening verifies the checksum of every page, which reads the whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckIntegrity {
    /// Verify. Has no effect on a store opened for reading: use [`RedbStore::examine`].
    Yes,
    /// Skip verification.
    No,
}

/// The result of checking a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The deployment's name.
    pub audience: String,
    /// The root of the audit tree.
    pub root: Hash,
    /// The time of the last entry, in unix seconds; 0 if there is none.
    pub at: u64,
    /// Whether a log key signed the head. Without a log key, rows are not authenticated.
    pub signed: bool,
    /// The comparison of the rows with the log.
    pub examined: Examined,
}

/// Statistics of the writer since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// The number of commits to disk.
    pub batches: u64,
    /// The number of requests in those commits.
    pub changes: u64,
    /// The total duration of the commits.
    pub commit_micros: u64,
}

impl RedbStore {
    /// Opens a store.
    ///
    /// Errors, in this order: [`StoreError::Missing`], [`StoreError::Foreign`] (also for a folder
    /// or an empty file), [`StoreError::Held`], [`StoreError::Damaged`], [`StoreError::Format`],
    /// [`StoreError::Unsigned`] if the log keys cannot be read, [`StoreError::Untrusted`] if the
    /// log does not have the head that a log key signed; and [`StoreError::Io`] for system errors.
    /// A refused file is not changed, except a damaged file that was not checked: redb may detect
    /// the damage after it wrote its own state.
    pub fn open(
        path: &Path,
        mode: OpenMode,
        check: CheckIntegrity,
        trust: Trust,
    ) -> Result<Self, StoreError> {
        if mode == OpenMode::Read {
            return Self::reading(open::readable(path, &trust)?, trust);
        }
        if let OpenMode::Create { audience } = mode
            && !path.try_exists().unwrap_or(true)
        {
            open::create(path, &audience, &trust)?;
        }
        Self::writing(open::writable(path, check, &trust)?, Some(path), trust)
    }

    fn reading(opened: Opened<redb::ReadOnlyDatabase>, trust: Trust) -> Result<Self, StoreError> {
        let Opened { database, audience, log } = opened;
        let source = Source::File(database);
        let published = Published::new(log, source, audience, trust, None);
        Ok(Self { published: Arc::new(published), writer: None, copying: Mutex::default() })
    }

    fn writing(
        opened: Opened<Database>,
        path: Option<&Path>,
        trust: Trust,
    ) -> Result<Self, StoreError> {
        let Opened { database, audience, log } = opened;
        let mut log = log;
        log.sign(&database, &trust, &audience)?;
        let snapshot = shielded(|| Snapshot::open(database.begin_read()?))?;
        let owes_compaction = snapshot.owes_compaction;
        let source = Source::Latest(Box::new(snapshot));
        let path = path.map(Path::to_owned);
        let published = Arc::new(Published::new(log, source, audience, trust, path));
        if owes_compaction {
            published.owe_compaction();
        }
        let writer = Some(Writer::start(database, Arc::clone(&published))?);
        Ok(Self { published, writer, copying: Mutex::default() })
    }

    /// Finishes accepted changes and closes the file. Later calls fail.
    pub fn close(&self) {
        match &self.writer {
            Some(writer) => writer.close(),
            None => self.published.close(),
        }
    }

    /// Signs the current head with the current log key, so that a new key authenticates the store
    /// even if nothing more is written.
    ///
    /// # Errors
    ///
    /// As for [`Store::commit`].
    pub async fn sign_head(&self) -> Result<(), StoreError> {
        self.writer()?.sign().await
    }

    /// Returns the deployment's name, fixed when the store was created.
    pub fn audience(&self) -> &str {
        self.published.audience()
    }

    /// Registers a witness, called with the head of each later commit before its callers are
    /// answered.
    pub fn watch_with(&self, witness: Witness) {
        self.published.watch_with(witness);
    }

    /// Returns a copy of the log state, to measure its memory. The copy lacks the spare capacity of
    /// the chunks of approvals, which a test of the log state bounds.
    #[doc(hidden)]
    pub fn copied_state(&self) -> impl Sized + 'static {
        self.published.view().log.state.clone()
    }

    /// Returns the writer's statistics.
    pub fn stats(&self) -> Stats {
        self.published.stats()
    }

    /// Replays the log and compares every table with it. Reads the whole file.
    ///
    /// # Errors
    ///
    /// A file that cannot be read. Differences are part of the result, not errors.
    pub fn examine(&self, interpreter: &dyn EntryInterpreter) -> Result<Examined, StoreError> {
        let (trust, audience) = (self.published.trust(), self.published.audience());
        self.read_with(|snapshot, _| consistency::examine(snapshot, trust, audience, interpreter))
    }

    /// As [`Self::examine`], for a file that cannot be opened because its log is not trusted. No
    /// process may be writing to it.
    ///
    /// # Errors
    ///
    /// As [`Self::open`], without [`StoreError::Untrusted`].
    pub fn examine_untrusted(
        path: &Path,
        trust: &Trust,
        interpreter: &dyn EntryInterpreter,
    ) -> Result<Examined, StoreError> {
        let (database, audience) = open::unverified(path)?;
        shielded(|| {
            let snapshot = Snapshot::open(database.begin_read()?)?;
            consistency::examine(&snapshot, trust, &audience, interpreter)
        })
    }

    /// Returns the audience that a store names, whether its log is trusted or not.
    ///
    /// # Errors
    ///
    /// As [`Self::open`], without [`StoreError::Untrusted`].
    pub fn audience_untrusted(path: &Path) -> Result<String, StoreError> {
        Ok(open::unverified(path)?.1)
    }

    /// Checks a file that nobody uses: the checksum of every page, the log against the head that a log
    /// key signed, and every row and index entry against the log. The file is locked meanwhile, and its
    /// bookkeeping may change, but no row.
    ///
    /// # Errors
    ///
    /// As [`Self::open`]. Differences of rows are part of the result, not errors.
    pub fn check(
        file: std::fs::File,
        name: &str,
        trust: &Trust,
        interpreter: &dyn EntryInterpreter,
    ) -> Result<Checked, StoreError> {
        let backend = FileBackend::new(file)?;
        let opened = open::from_backend(backend, CheckIntegrity::Yes, name, trust)?;
        let Opened { database, audience, log } = opened;
        let examined = shielded(|| {
            let snapshot = Snapshot::open(database.begin_read()?)?;
            consistency::examine(&snapshot, trust, &audience, interpreter)
        })?;
        shielded(|| Ok(database.close()?))?;
        let root = log.state.tree().root();
        Ok(Checked { audience, root, at: log.state.at(), signed: log.is_signed(), examined })
    }

    fn read<T>(
        &self,
        work: impl Fn(&Snapshot, &LogState) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.read_with(|snapshot, log| work(snapshot, &log.state))
    }

    fn read_with<T>(
        &self,
        work: impl Fn(&Snapshot, &Log) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        shielded(|| self.published.read(work))
    }

    fn writer(&self) -> Result<&Writer, StoreError> {
        let writer = self.writer.as_ref().ok_or(StoreError::ReadOnly)?;
        self.published.refuse_if_stopped()?;
        Ok(writer)
    }
}

#[async_trait]
impl Store for RedbStore {
    async fn commit(&self, change: Change) -> Result<Commit, StoreError> {
        self.writer()?.keep(change).await
    }

    async fn load(&self, id: &ApprovalId, texts: WithTexts) -> Result<Option<Stored>, StoreError> {
        self.read(|snapshot, log| snapshot.load(*id, texts, log))
    }

    async fn list(&self, query: &Query) -> Result<Vec<Stored>, StoreError> {
        self.read(|snapshot, log| snapshot.list(query, log))
    }

    async fn due(&self, now: u64, limit: usize) -> Result<Vec<ApprovalId>, StoreError> {
        self.read(|snapshot, log| snapshot.due(now, limit, log))
    }

    async fn with_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<ApprovalId>, StoreError> {
        self.read(|_, log| Ok(with_prefix(log, prefix, limit)))
    }

    async fn entries(&self, after: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.read(|snapshot, log| snapshot.entries(after, limit, log))
    }

    async fn entries_about(
        &self,
        about: About,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.read(|snapshot, log| snapshot.entries_about(about, after, limit, log))
    }

    async fn hashes(&self, positions: &[u64]) -> Result<Vec<Hash>, StoreError> {
        self.read(|snapshot, log| snapshot.hashes(positions, log))
    }

    async fn approvals(
        &self,
        after: Option<ApprovalId>,
        limit: usize,
    ) -> Result<Vec<ApprovalId>, StoreError> {
        self.read(|_, log| {
            let ids = log.approvals_after(after.map(ApprovalId::to_u128)).take(limit);
            Ok(ids.map(ApprovalId::from_u128).collect())
        })
    }

    async fn unfinished(
        &self,
        after: Option<ApprovalId>,
        limit: usize,
    ) -> Result<Vec<ApprovalId>, StoreError> {
        self.read(|_, log| {
            let ids = log.unfinished_after(after.map(ApprovalId::to_u128)).take(limit);
            Ok(ids.map(ApprovalId::from_u128).collect())
        })
    }

    async fn pending_among(&self, ids: &[ApprovalId]) -> Result<HashSet<ApprovalId>, StoreError> {
        self.read(|_, log| {
            let status = |id: &ApprovalId| log.approval(id.to_u128()).and_then(|it| it.status);
            let pending = ids.iter().filter(|id| status(id) == Some(Status::Pending));
            Ok(pending.copied().collect())
        })
    }

    async fn row(&self, kind: RowKind, id: &str) -> Result<Option<Row>, StoreError> {
        self.read(|snapshot, log| snapshot.row(kind, id, log))
    }

    async fn row_ids(
        &self,
        kind: RowKind,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.read(|_, log| {
            Ok(log.rows_after(kind, after).take(limit).map(|(id, _)| id.to_owned()).collect())
        })
    }

    async fn blob(&self, digest: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|snapshot, _| snapshot.blob(digest))
    }

    async fn answer(&self, scope: &Scope) -> Result<Option<Answer>, StoreError> {
        self.read(|snapshot, log| snapshot.answer(scope, log))
    }

    async fn forget_answers(&self, before: u64, limit: usize) -> Result<usize, StoreError> {
        self.writer()?.forget(before, limit).await
    }

    async fn copy(&self) -> Result<Copied, StoreError> {
        let _alone = self.copying.lock().await;
        let snapshot = self.writer()?.snapshot().await?;
        let path = self.published.path().map(Path::to_owned).ok_or_else(|| {
            StoreError::Io("a store that is in no file cannot be copied".to_owned())
        })?;
        let head = Checkpoint::unverified(&snapshot.head)
            .or_else(|_| Checkpoint::from_text(&snapshot.head))
            .map_err(|e| StoreError::Damaged(e.to_string()))?;
        let copied = spawn_blocking(move || copy::to_unnamed(&snapshot, &path)).await;
        let file = copied.map_err(|e| StoreError::Io(e.to_string()))??;
        let bytes = file.metadata().map_err(|e| StoreError::Io(e.to_string()))?.len();
        Ok(Copied { file, bytes, entries: head.size, root: head.root })
    }

    async fn compact(&self) -> Result<Compacted, StoreError> {
        let _alone = self.copying.lock().await;
        self.writer()?.compact().await
    }

    fn owes_compaction(&self) -> bool {
        self.published.owes_compaction()
    }

    fn refuse_if_replaced(&self) -> Result<(), StoreError> {
        self.published.refuse_if_replaced()
    }

    fn observe(&self, observer: Observer) {
        self.published.observe_with(observer);
    }

    fn usage(&self) -> Option<Usage> {
        let Stats { batches, changes, commit_micros } = self.stats();
        Some(Usage {
            file_bytes: self.published.file_bytes(),
            commits: batches,
            changes,
            commit_time: Duration::from_micros(commit_micros),
        })
    }

    async fn head(&self) -> Result<Head, StoreError> {
        let signs = self.published.trust().signer(self.audience()).is_ok();
        let writable = signs && self.writer().is_ok();
        self.read_with(|_, log| {
            let tree = log.state.tree();
            Ok(Head {
                audience: self.audience().to_owned(),
                entries: tree.size(),
                last_commit_at: log.state.at(),
                counts: log.state.counts(),
                root: tree.root(),
                signed: log.is_signed(),
                writable,
            })
        })
    }
}

/// Returns at most `limit` ids that begin with a prefix.
fn with_prefix(log: &LogState, prefix: &str, limit: usize) -> Vec<ApprovalId> {
    let Some((first, last)) = ApprovalId::prefix_range(prefix) else {
        return Vec::new();
    };
    let (first, last) = (first.to_u128(), last.to_u128());
    let ids = log.approvals_after(first.checked_sub(1));
    ids.take_while(|id| *id <= last).take(limit).map(ApprovalId::from_u128).collect()
}
