//! A store in one file, by redb.
//!
//! | file | holds |
//! | --- | --- |
//! | `format` | tables and keys |
//! | `rows` | values, byte by byte |
//! | `open`, `held_back` | opening and making files, without a trace on those refused |
//! | `writer`, `apply` | the one thread that writes, and what it does with a change |
//! | `published`, `snapshot`, `list` | what readers see |
//! | `consistency` | whether all tables agree |
//! | `failure` | redb's errors and panics as the store's |
//!
//! A change goes `commit` → queue → writer → one transaction with all others that wait → disk → the
//! next snapshot → its answer. Reads never wait for the writer.

mod apply;
mod consistency;
mod failure;
mod format;
mod held_back;
mod list;
mod open;
mod published;
mod rows;
mod snapshot;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use redb::{Database, ReadableDatabase};

pub use self::consistency::Consistency;
use self::failure::shielded;
use self::open::Opened;
use self::published::{Published, Source};
use self::snapshot::Snapshot;
use self::writer::Writer;
use super::{
    About, Answer, Change, Commit, Entry, Head, Query, Scope, Store, StoreError, Stored, WithTexts,
    Witness,
};
use crate::audit::tree::Hash;
use crate::id::ApprovalId;

/// A store in a file. Dropping it finishes what was accepted and closes the file.
pub struct RedbStore {
    audience: String,
    published: Arc<Published>,
    /// None if the store is open for reading only.
    writer: Option<Writer>,
}

/// What a store is opened for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Reading and writing; made if no file is there.
    Create {
        /// The deployment's name. A store that is there keeps the one it has.
        audience: String,
    },
    /// Reading and writing; the file must be there.
    Write,
    /// Reading, also while another process writes.
    Read,
}

/// Whether opening verifies every page's checksum. That reads the whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckIntegrity {
    /// Verify. A store opened for reading is not verified: use [`RedbStore::verify_consistency`].
    Yes,
    /// Trust the file.
    No,
}

/// What the writer has done since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Commits to disk.
    pub batches: u64,
    /// Requests that went into them.
    pub changes: u64,
    /// How long the commits took in all.
    pub commit_micros: u64,
}

impl RedbStore {
    /// Opens a store.
    ///
    /// Errors, in this order: [`StoreError::Missing`], [`StoreError::Foreign`] (also a folder and an
    /// empty file), [`StoreError::Held`], [`StoreError::Damaged`], [`StoreError::Format`]; and
    /// [`StoreError::Io`] for what the system refuses. A file that is refused is not changed, but for one
    /// that is damaged and was not checked: redb may find that out after it wrote its own state.
    pub fn open(path: &Path, mode: OpenMode, check: CheckIntegrity) -> Result<Self, StoreError> {
        if mode == OpenMode::Read {
            return Self::reading(open::readable(path)?);
        }
        if let OpenMode::Create { audience } = mode
            && !path.try_exists().unwrap_or(true)
        {
            open::create(path, &audience)?;
        }
        Self::writing(open::writable(path, check)?, Some(path))
    }

    fn reading(opened: Opened<redb::ReadOnlyDatabase>) -> Result<Self, StoreError> {
        let source = Source::File(Arc::new(opened.database));
        let published = Arc::new(Published::new(source, None));
        Ok(Self { audience: opened.audience, published, writer: None })
    }

    fn writing(opened: Opened<Database>, path: Option<&Path>) -> Result<Self, StoreError> {
        let Opened { database, audience } = opened;
        let snapshot = shielded(|| Snapshot::open(database.begin_read()?))?;
        let head = snapshot.head;
        let frontier = shielded(|| snapshot.frontier())?;
        let source = Source::Latest(Arc::new(snapshot));
        let published = Arc::new(Published::new(source, path.map(Path::to_owned)));
        let writer = Some(Writer::start(database, head, frontier, Arc::clone(&published))?);
        Ok(Self { audience, published, writer })
    }

    /// Finishes what was accepted and closes the file. Whoever asks after that is refused.
    pub fn close(&self) {
        match &self.writer {
            Some(writer) => writer.close(),
            None => self.published.close(),
        }
    }

    /// The deployment's name, fixed when the store was made.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// Has every commit from now on told to a witness before it is answered.
    pub fn watch_with(&self, witness: Witness) {
        self.published.watch_with(witness);
    }

    /// What the writer has done.
    pub fn stats(&self) -> Stats {
        self.published.stats()
    }

    /// Walks every table and compares them: [`StoreError::Damaged`] names the first that disagrees.
    /// Reads the whole file.
    pub fn verify_consistency(&self) -> Result<Consistency, StoreError> {
        self.read(consistency::verify)
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&Snapshot) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        shielded(|| work(&*self.published.snapshot()?))
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
        self.read(|snapshot| snapshot.load(*id, texts))
    }

    async fn list(&self, query: &Query) -> Result<Vec<Stored>, StoreError> {
        self.read(|snapshot| snapshot.list(query))
    }

    async fn due(&self, now: u64, limit: usize) -> Result<Vec<ApprovalId>, StoreError> {
        self.read(|snapshot| snapshot.due(now, limit))
    }

    async fn with_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<ApprovalId>, StoreError> {
        self.read(|snapshot| snapshot.with_prefix(prefix, limit))
    }

    async fn entries(&self, after: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.read(|snapshot| snapshot.entries(after, limit))
    }

    async fn entries_about(
        &self,
        about: About,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.read(|snapshot| snapshot.entries_about(about, after, limit))
    }

    async fn hashes(&self, positions: &[u64]) -> Result<Vec<Hash>, StoreError> {
        self.read(|snapshot| snapshot.hashes(positions))
    }

    async fn fact(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.read(|snapshot| snapshot.fact(key))
    }

    async fn facts(
        &self,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        self.read(|snapshot| snapshot.facts(prefix, after, limit))
    }

    async fn blob(&self, digest: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|snapshot| snapshot.blob(digest))
    }

    async fn answer(&self, scope: &Scope) -> Result<Option<Answer>, StoreError> {
        self.read(|snapshot| snapshot.answer(scope))
    }

    async fn forget_answers(&self, before: u64, limit: usize) -> Result<usize, StoreError> {
        self.writer()?.forget(before, limit).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        let head = self.read(|snapshot| Ok(snapshot.head))?;
        Ok(Head {
            audience: self.audience.clone(),
            entries: head.entries,
            last_commit_at: head.last_commit_at,
            counts: head.counts,
            root: head.root,
            writable: self.writer().is_ok(),
        })
    }
}
