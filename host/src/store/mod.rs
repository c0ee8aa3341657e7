//! Storage for approvals: a trait small enough for a second implementation, and its implementation
//! with redb.
//!
//! A store does not interpret what it stores: the record is the verifier's text. It guarantees:
//!
//! - A [`Change`] is atomic, and it is on disk before `commit` returns.
//! - A change is committed only if every row it replaces was last written by the entry that the
//!   change names.
//! - Every returned row is the latest version according to the audit log; see [`log_state`]. Any
//!   other row is [`StoreError::Tampered`], without affecting other rows.

pub(crate) mod about;
mod entry_facts;
mod entry_interpreter;
pub mod log_state;
pub mod redb;
mod row_kind;
mod trust;

pub(crate) use entry_facts::{answers_of, time_of};
pub use entry_interpreter::EntryInterpreter;
pub use row_kind::RowKind;
pub(crate) use trust::is_signed;
pub use trust::{GivenLogKeys, LogKeys, NoLogKeys, Trust};

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use crate::id::ApprovalId;
use signoff_core::log::tree::Hash;

/// A store of approvals, audit entries, the host's own rows and idempotent answers.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Commits a change atomically. Returns only after it is on disk.
    async fn commit(&self, change: Change) -> Result<Commit, StoreError>;

    /// Returns one approval; its texts only if requested.
    async fn load(&self, id: &ApprovalId, texts: WithTexts) -> Result<Option<Stored>, StoreError>;

    /// Lists approvals that match a query, newest first. The cost depends on the result, not on the
    /// size of the store.
    async fn list(&self, query: &Query) -> Result<Vec<Stored>, StoreError>;

    /// Lists ids of approvals whose `due_at` is at or before `now`, earliest first.
    async fn due(&self, now: u64, limit: usize) -> Result<Vec<ApprovalId>, StoreError>;

    /// Lists at most `limit` ids that begin with a prefix (including `appr_`).
    async fn with_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<ApprovalId>, StoreError>;

    /// Lists audit entries with a number above `after`, in order. The first entry has number 1.
    async fn entries(&self, after: u64, limit: usize) -> Result<Vec<Entry>, StoreError>;

    /// Lists audit entries about one subject with a number above `after`, in order.
    async fn entries_about(
        &self,
        about: About,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError>;

    /// Returns hashes of the audit tree by their stored positions, in the order of `positions`.
    async fn hashes(&self, positions: &[u64]) -> Result<Vec<Hash>, StoreError>;

    /// Lists ids of approvals above `after`, in order. The list comes from the log, so it is
    /// complete.
    async fn approvals(
        &self,
        after: Option<ApprovalId>,
        limit: usize,
    ) -> Result<Vec<ApprovalId>, StoreError>;

    /// Lists ids of pending and approved approvals above `after`, in order. The list comes from the
    /// log, so it is complete.
    async fn unfinished(
        &self,
        after: Option<ApprovalId>,
        limit: usize,
    ) -> Result<Vec<ApprovalId>, StoreError>;

    /// Returns which of these approvals are pending according to the log.
    async fn pending_among(&self, ids: &[ApprovalId]) -> Result<HashSet<ApprovalId>, StoreError>;

    /// Returns one of the host's own rows.
    async fn row(&self, kind: RowKind, id: &str) -> Result<Option<Row>, StoreError>;

    /// Lists ids of the host's own rows of a kind after `after`, in order. The list comes from the
    /// log, so it is complete.
    async fn row_ids(
        &self,
        kind: RowKind,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError>;

    /// Returns a module's bytes. The caller verifies their digest before it runs them.
    async fn blob(&self, digest: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Returns the stored answer of an idempotency scope.
    async fn answer(&self, scope: &Scope) -> Result<Option<Answer>, StoreError>;

    /// Deletes at most `limit` answers stored before a time. Returns how many it deleted.
    async fn forget_answers(&self, before: u64, limit: usize) -> Result<usize, StoreError>;

    /// Writes a copy of the store as of its last commit to a temporary file: complete, closed and
    /// without unused space. Changes are committed meanwhile.
    async fn copy(&self) -> Result<Copied, StoreError>;

    /// Writes the store to a new file without unused space, which replaces the old one atomically.
    /// Reads go on, changes wait. Erased and removed rows are in no part of the new file. On error
    /// the store continues with the old file.
    async fn compact(&self) -> Result<Compacted, StoreError>;

    /// Returns whether the file may still hold bytes of erased or removed rows in its unused space.
    fn owes_compaction(&self) -> bool;

    /// Stops accepting writes if the store's file was replaced or removed while it was open.
    fn refuse_if_replaced(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Returns the store's metadata. Cheap: nothing is counted.
    async fn head(&self) -> Result<Head, StoreError>;

    /// Returns how large the store is and what its writer did, as far as known.
    fn usage(&self) -> Option<Usage> {
        None
    }

    /// Registers a function that is called with each committed change, after readers see the change
    /// and before its caller is answered. The caller may have stopped waiting, so whatever must follow
    /// a change belongs here and not after `commit`.
    fn observe(&self, observer: Observer);
}

/// Receives committed changes.
pub type Observer = Box<dyn Fn(CommittedChange) + Send + Sync>;

/// A committed change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommittedChange {
    /// The approval that it changed.
    pub approval: Option<ApprovalId>,
    /// The number of its audit entry.
    pub entry: u64,
    /// The time that the change named.
    pub at: u64,
}

/// Whether `load` also reads the context and plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithTexts {
    /// Read context and plan too.
    Yes,
    /// Read the record only.
    No,
}

/// What one operation writes, in one transaction. Times are unix seconds.
#[derive(Clone, Debug)]
pub struct Change {
    /// The new version of the approval; `None` if the change concerns no approval.
    pub approval: Option<Version>,
    /// Approvals to remove, with their texts.
    pub removed: Vec<Removed>,
    /// Stored answers to delete: they may contain a text that the change erases or removes.
    pub forgotten: Vec<Scope>,
    /// The host's own rows.
    pub rows: Vec<RowChange>,
    /// A module's bytes to store, or to delete.
    pub blob: Option<Blob>,
    /// The event: a JSON object from the verifier or the host. It goes into the change's audit
    /// entry byte for byte, and every change has exactly one entry.
    pub event: String,
    /// The host's members of the entry: a JSON object.
    pub host: String,
    /// The subject of the entry.
    pub about: About,
    /// The answer to replay to a caller that repeats the idempotency key.
    pub answer: Option<(Scope, Answer)>,
    /// The time of the change. The entry's time is never earlier than that of the previous entry.
    pub at: u64,
}

/// The subject of an audit entry, which finds the entry without reading the whole log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About(pub u128);

/// One of the host's own rows, such as a token or the last recorded state of a key. The store does
/// not interpret its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// Its value.
    pub value: String,
    /// The number of the entry that wrote it.
    pub entry: u64,
}

/// A new version of a [`Row`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowChange {
    /// Its kind.
    pub kind: RowKind,
    /// Its id.
    pub id: String,
    /// Its value; `None` removes it.
    pub value: Option<String>,
    /// The entry that wrote the replaced version; 0 if there is none.
    pub prev: u64,
}

/// A module's bytes, by their SHA-256.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob {
    /// The digest.
    pub digest: [u8; 32],
    /// The bytes; `None` deletes them.
    pub bytes: Option<Arc<[u8]>>,
}

/// A new version of an approval.
#[derive(Clone, Debug)]
pub struct Version {
    /// The indexed fields.
    pub summary: Summary,
    /// The verifier's text.
    pub record: String,
    /// The version that this one replaces.
    pub base: Base,
}

/// The version that a new version replaces.
#[derive(Clone, Debug)]
pub enum Base {
    /// None: the approval is new, and these are its texts, which are never rewritten.
    New(Texts),
    /// The version written by this entry.
    Entry(u64),
    /// The version written by this entry, whose texts are deleted.
    Erased(u64),
}

/// An approval to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Its id.
    pub id: ApprovalId,
    /// The entry that wrote its last version.
    pub entry: u64,
}

/// A copy of a store, complete and closed.
#[derive(Debug)]
pub struct Copied {
    /// The file, which has no name: it is gone once it is closed.
    pub file: std::fs::File,
    /// Its size.
    pub bytes: u64,
    /// The number of audit entries in it.
    pub entries: u64,
    /// The root of its audit tree.
    pub root: Hash,
}

/// The disk space of a store's file before and after a compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Before.
    pub bytes_before: u64,
    /// After.
    pub bytes_after: u64,
}

/// The canonical texts of an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// The canonical context.
    pub context: String,
    /// The canonical plan, if there is one.
    pub plan: Option<String>,
}

impl Version {
    /// Returns whether it deletes its approval's texts.
    pub(crate) fn erases(&self) -> bool {
        matches!(self.base, Base::Erased(_))
    }
}

impl Texts {
    /// Returns the size of both in bytes.
    pub fn bytes(&self) -> u64 {
        (self.context.len() + self.plan.as_ref().map_or(0, String::len)) as u64
    }
}

/// The indexed fields of an approval. Times are unix seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its id.
    pub id: ApprovalId,
    /// Its stored status.
    pub status: Status,
    /// The requesting agent.
    pub agent: String,
    /// The requested action.
    pub action: String,
    /// When the approval was requested.
    pub requested_at: u64,
    /// When the approval expires.
    pub expires_at: u64,
    /// When the record next changes by the passing of time alone.
    pub due_at: Option<u64>,
}

/// A stored status, used as an index. Only the verifier knows the transitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the runbook's words")]
pub enum Status {
    Pending = 0,
    Approved = 1,
    Rejected = 2,
    Executed = 3,
    Expired = 4,
    Withdrawn = 5,
}

/// The result of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// Committed, with an audit entry of this number.
    Committed {
        /// The number.
        entry: u64,
    },
    /// Not committed: another change has written one of its rows meanwhile, or its approval's id is
    /// taken.
    Conflict,
    /// Not committed: this idempotency scope already has an answer.
    Replayed(Answer),
}

/// A stored approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The indexed fields.
    pub summary: Summary,
    /// The verifier's text.
    pub record: String,
    /// The number of the entry that wrote this version.
    pub entry: u64,
    /// The texts, if requested and not erased.
    pub texts: Option<Texts>,
}

/// A query for approvals, newest first.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Only those with this stored status.
    pub status: Option<Status>,
    /// Only those of this agent.
    pub agent: Option<String>,
    /// Only those for this action.
    pub action: Option<String>,
    /// Only those older than this one.
    pub before: Option<ApprovalId>,
    /// The maximum number of results.
    pub limit: usize,
}

/// A numbered audit entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number; the first is 1, without gaps.
    pub number: u64,
    /// The entry, JSON.
    pub text: String,
}

/// The scope of an idempotency key: a SHA-256 over subject, path and key.
pub type Scope = [u8; 32];

/// How long an answer is replayed, in seconds. An older answer is ignored even if its row still
/// exists.
pub const ANSWER_SECONDS: u64 = 24 * 3_600;

/// A stored answer, replayed to a repeated request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// SHA-256 of the request's body.
    pub request_digest: [u8; 32],
    /// The HTTP status of the answer.
    pub status: u16,
    /// The answer's body.
    pub body: String,
    /// When it was stored, in unix seconds.
    pub at: u64,
    /// The number of the entry that stored it; `None` before it is stored.
    pub entry: Option<u64>,
}

/// Receives the signed head of the audit tree, a C2SP checkpoint, after each commit and before any
/// caller is answered. If it fails, the waiting callers receive an error and the store stops
/// accepting writes.
pub type Witness = Box<dyn FnMut(&str) -> Result<(), String> + Send>;

/// The size of a store, and the work of its writer since it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The size of the file in bytes; `None` if it cannot be read.
    pub file_bytes: Option<u64>,
    /// The number of commits to disk.
    pub commits: u64,
    /// The number of changes in those commits.
    pub changes: u64,
    /// The total duration of the commits.
    pub commit_time: Duration,
}

/// The metadata of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The deployment's name, fixed when the store was created.
    pub audience: String,
    /// The number of the last audit entry; 0 if there is none.
    pub entries: u64,
    /// The time of the last audit entry, in unix seconds; 0 if there is none.
    pub last_commit_at: u64,
    /// Approvals by stored status, in the order of [`Status`].
    pub counts: [u64; 6],
    /// The root of the audit tree over all entries (RFC 6962).
    pub root: Hash,
    /// Whether a log key signed this head. Without a log key, rows are not authenticated.
    pub signed: bool,
    /// Whether the store accepts writes. After an I/O error it does not until the next start.
    pub writable: bool,
}

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file does not exist, and this command does not create one.
    #[error(
        "no store at `{0}`; if none was lost, create one with `signoff init` or `signoff serve`"
    )]
    Missing(String),
    /// Another process has the store open for writing.
    #[error("store is held by another process; use --server URL")]
    Held,
    /// The file is not a store of signoff.
    #[error("`{0}` is not a signoff store")]
    Foreign(String),
    /// The store has another format.
    #[error(
        "store has format {found}, this signoff reads {expected}: use the version that wrote it, or a new store (docs/upgrading.md)"
    )]
    Format {
        /// The format of the file.
        found: u64,
        /// The supported format.
        expected: u64,
    },
    /// The file is damaged.
    #[error("store is damaged: {0}")]
    Damaged(String),
    /// The log and its signed head disagree, or no trusted log key signed the head.
    #[error("store is not authentic: {0}")]
    Untrusted(String),
    /// A row is not the latest version according to the log.
    #[error("{0} does not match the audit log; `signoff doctor` names every row that differs")]
    Tampered(String),
    /// The head of the log cannot be signed at present. Nothing was written.
    #[error("the head of the audit log cannot be signed: {0}")]
    Unsigned(String),
    /// The store is open for reading only.
    #[error("store is open for reading only")]
    ReadOnly,
    /// The store accepts no writes until the next start.
    #[error("store accepts no writes until the next start: {0}")]
    Stopped(String),
    /// The disk or the database library failed.
    #[error("store failed: {0}")]
    Io(String),
}

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.bytes.as_ref().map(|bytes| bytes.len());
        f.debug_struct("Blob")
            .field("digest", &hex::encode(self.digest))
            .field("bytes", &bytes)
            .finish()
    }
}

impl About {
    /// Entries about an approval.
    pub fn approval(id: ApprovalId) -> Self {
        Self(id.to_u128())
    }

    /// Entries about something other than an approval: a key, a token, a subject.
    pub fn named(kind: &str, name: &str) -> Self {
        let mut hash = Sha256::new();
        for piece in [kind, name] {
            hash.update((piece.len() as u64).to_be_bytes());
            hash.update(piece);
        }
        let digest: [u8; 32] = hash.finalize().into();
        Self(digest.first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes)))
    }
}

impl Status {
    /// Every status, in order.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Approved,
        Self::Rejected,
        Self::Executed,
        Self::Expired,
        Self::Withdrawn,
    ];

    /// The name of the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Executed => "executed",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Parses a status.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}
