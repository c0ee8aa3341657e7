//! Where approvals are kept: a trait small enough for a second implementation, and redb behind it.
//!
//! A store keeps what it is given and reads none of it: the record is the verifier's text. It promises:
//!
//! - A [`Change`] is kept whole or not at all, and it is on disk before `commit` returns.
//! - A change is kept only if every row it replaces was last written by the entry that the change names.
//! - Every row that is returned is the one that the audit log says was written last; see [`log_state`].
//!   Anything else is [`StoreError::Tampered`] for that row alone.

pub(crate) mod about;
pub mod log_state;
mod meaning;
pub mod redb;
mod row_kind;
mod trust;

pub use meaning::Meaning;
pub use row_kind::RowKind;
pub(crate) use trust::is_signed;
pub use trust::{LogKeys, NoLogKeys, Trust};

use std::sync::Arc;

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use crate::audit::tree::Hash;
use crate::id::ApprovalId;

/// Approvals, audit entries, the host's own rows and kept answers.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Keeps a change whole, or not at all. Answers only after it is on disk.
    async fn commit(&self, change: Change) -> Result<Commit, StoreError>;

    /// One approval; its texts only where asked for.
    async fn load(&self, id: &ApprovalId, texts: WithTexts) -> Result<Option<Stored>, StoreError>;

    /// Approvals that match a query, newest first. Costs what it returns, not what is stored.
    async fn list(&self, query: &Query) -> Result<Vec<Stored>, StoreError>;

    /// Ids of approvals whose `due_at` is at or before `now`, earliest due first.
    async fn due(&self, now: u64, limit: usize) -> Result<Vec<ApprovalId>, StoreError>;

    /// Ids that begin with a prefix (`appr_` included), at most `limit`.
    async fn with_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<ApprovalId>, StoreError>;

    /// Audit entries with a number above `after`, in order. The first entry has number 1.
    async fn entries(&self, after: u64, limit: usize) -> Result<Vec<Entry>, StoreError>;

    /// Audit entries about one thing with a number above `after`, in order.
    async fn entries_about(
        &self,
        about: About,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError>;

    /// Hashes of the audit tree by their stored positions, in the order asked for.
    async fn hashes(&self, positions: &[u64]) -> Result<Vec<Hash>, StoreError>;

    /// Ids of approvals above one of them, in order. The list is the log's: none is left out.
    async fn approvals(
        &self,
        after: Option<ApprovalId>,
        limit: usize,
    ) -> Result<Vec<ApprovalId>, StoreError>;

    /// Ids of approvals that are pending or approved, above one of them, in order. The list is the log's:
    /// none is left out.
    async fn unfinished(
        &self,
        after: Option<ApprovalId>,
        limit: usize,
    ) -> Result<Vec<ApprovalId>, StoreError>;

    /// One of the host's own rows.
    async fn row(&self, kind: RowKind, id: &str) -> Result<Option<Row>, StoreError>;

    /// Ids of the host's own rows of a kind, after one of them, in order. The list is the log's: none is
    /// left out.
    async fn row_ids(
        &self,
        kind: RowKind,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError>;

    /// A module's bytes. Whether they still have that digest, who runs them checks.
    async fn blob(&self, digest: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The answer kept for an idempotency scope.
    async fn answer(&self, scope: &Scope) -> Result<Option<Answer>, StoreError>;

    /// Forgets answers kept before a time, at most `limit`; how many it forgot.
    async fn forget_answers(&self, before: u64, limit: usize) -> Result<usize, StoreError>;

    /// What the store knows of itself. Cheap: nothing is counted.
    async fn head(&self) -> Result<Head, StoreError>;
}

/// Whether `load` also reads the context and plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithTexts {
    /// Context and plan too.
    Yes,
    /// The record alone.
    No,
}

/// What one operation keeps, in one transaction. Times are unix seconds.
#[derive(Clone, Debug)]
pub struct Change {
    /// The approval as it now is; none where it is about something else.
    pub approval: Option<Version>,
    /// The host's own rows.
    pub rows: Vec<RowChange>,
    /// A module's bytes, to keep or to forget.
    pub blob: Option<Blob>,
    /// What happened: the verifier's or the host's own object, JSON. It goes into the change's audit
    /// entry byte for byte, and every change has exactly one entry.
    pub event: String,
    /// The host's members of the entry: a JSON object.
    pub host: String,
    /// What the entry is found by.
    pub about: About,
    /// The answer to repeat to a caller who sends the same idempotency key.
    pub answer: Option<(Scope, Answer)>,
    /// When it happened. The entry's time is never earlier than that of the entry before.
    pub at: u64,
}

/// What an audit entry is about, so that it can be found without reading the whole log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About(pub u128);

/// A row that the host keeps beside approvals: a token, a key as it was last recorded. The store reads
/// none of it.
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
    /// What it is.
    pub kind: RowKind,
    /// Its id.
    pub id: String,
    /// Its value; `None` removes it.
    pub value: Option<String>,
    /// The entry that wrote the version that this one replaces; 0 where there is none.
    pub prev: u64,
}

/// A module's bytes, by their SHA-256.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob {
    /// The digest.
    pub digest: [u8; 32],
    /// The bytes; none to forget them.
    pub bytes: Option<Arc<[u8]>>,
}

/// A new version of an approval.
#[derive(Clone, Debug)]
pub struct Version {
    /// What the store indexes.
    pub summary: Summary,
    /// The verifier's text.
    pub record: String,
    /// What this version was made from.
    pub base: Base,
}

/// What a version was made from.
#[derive(Clone, Debug)]
pub enum Base {
    /// Nothing: the approval is new, and these are its texts, never rewritten.
    New(Texts),
    /// The version that this entry wrote.
    Entry(u64),
}

/// The canonical texts of an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// The canonical context.
    pub context: String,
    /// The canonical plan, where there is one.
    pub plan: Option<String>,
}

/// What a store indexes of an approval. Times are unix seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its id.
    pub id: ApprovalId,
    /// Its stored status.
    pub status: Status,
    /// The agent that asked.
    pub agent: String,
    /// The action it asked for.
    pub action: String,
    /// When it asked.
    pub requested_at: u64,
    /// When the approval ends.
    pub expires_at: u64,
    /// When time alone next changes the record.
    pub due_at: Option<u64>,
}

/// A stored status: a label to index by. What may follow it only the verifier knows.
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

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// Kept, with an audit entry of this number.
    Kept {
        /// The number.
        entry: u64,
    },
    /// Not kept: another change wrote one of its rows meanwhile, or its approval's id is taken.
    Conflict,
    /// Not kept: this idempotency scope has its answer already.
    Answered(Answer),
}

/// An approval as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What is indexed.
    pub summary: Summary,
    /// The verifier's text.
    pub record: String,
    /// The number of the entry that wrote this version.
    pub entry: u64,
    /// The texts, where asked for.
    pub texts: Option<Texts>,
}

/// Which approvals to list, newest first.
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
    /// At most so many.
    pub limit: usize,
}

/// A numbered audit entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number; the first is 1, and none is left out.
    pub number: u64,
    /// The entry, JSON.
    pub text: String,
}

/// Who used an idempotency key for what: a SHA-256 over subject, path and key.
pub type Scope = [u8; 32];

/// How long an answer is kept. An older one is treated as forgotten, also where its row is still there.
pub const ANSWER_SECONDS: u64 = 24 * 3_600;

/// An answer kept for a repeated request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// SHA-256 of the request's body.
    pub request_digest: [u8; 32],
    /// The HTTP status of the answer.
    pub status: u16,
    /// The answer's body.
    pub body: String,
    /// When it was kept, in unix seconds.
    pub at: u64,
}

/// Receives the signed head of the audit tree, a C2SP checkpoint, after each commit and before any
/// caller is answered. If it fails, the waiting callers are refused and writing ends.
pub type Witness = Box<dyn FnMut(&str) -> Result<(), String> + Send>;

/// What a store knows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The deployment's name, fixed when the store was made.
    pub audience: String,
    /// The number of the last audit entry; 0 if there is none.
    pub entries: u64,
    /// The time of the last audit entry, in unix seconds; 0 if there is none.
    pub last_commit_at: u64,
    /// Approvals by stored status, in the order of [`Status`].
    pub counts: [u64; 6],
    /// The root of the audit tree over all entries (RFC 6962).
    pub root: Hash,
    /// Whether a log key signed this head. Without a log key rows are not authenticated.
    pub signed: bool,
    /// Whether an I/O error has ended writing until the next start.
    pub writable: bool,
}

/// Why a store cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No file is there, and this command does not make one.
    #[error("no store at `{0}`; where none was lost, `signoff init` or `signoff serve` makes one")]
    Missing(String),
    /// Another process has it open for writing.
    #[error("store is held by another process; use --server URL")]
    Held,
    /// The file is not a store of signoff.
    #[error("`{0}` is not a signoff store")]
    Foreign(String),
    /// The file is a store of another format.
    #[error("store has format {found}, this signoff reads {expected}")]
    Format {
        /// The format in the file.
        found: u64,
        /// The format read here.
        expected: u64,
    },
    /// The file is damaged.
    #[error("store is damaged: {0}")]
    Damaged(String),
    /// The log and its signed head disagree, or no trusted log key signed the head.
    #[error("store is not authentic: {0}")]
    Untrusted(String),
    /// A row is not the one that the log says was written last.
    #[error("{0} does not match the audit log; `signoff doctor` names every row that differs")]
    Tampered(String),
    /// The head of the log cannot be signed now. Nothing was written.
    #[error("the head of the audit log cannot be signed: {0}")]
    Unsigned(String),
    /// The store was opened for reading.
    #[error("store is open for reading only")]
    ReadOnly,
    /// Writing has ended until the next start.
    #[error("store stopped accepting writes after an I/O error: {0}")]
    Stopped(String),
    /// The disk, or the library, failed.
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

    /// Entries about something that is no approval: a key, a token, a subject.
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

    /// The status as it is written.
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

    /// Reads a status.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}
