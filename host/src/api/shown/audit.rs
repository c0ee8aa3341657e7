//! Entries of the audit log, its keys and its proofs.

use serde::Deserialize;
use utoipa::ToSchema;

use super::JsonObject;
use crate::api::enums::ApprovalStatus;

/// A page of the audit log, in order.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct AuditPage {
    /// The entries.
    pub items: Vec<NumberedEntry>,
    /// The `after` of the next page; null after the last.
    #[schema(required)]
    pub next_after: Option<u64>,
}

/// An entry of the audit log with its number.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct NumberedEntry {
    /// Its number, from 1, without gaps.
    pub number: u64,
    /// The entry.
    pub entry: AuditEntry,
}

/// An entry of the audit log.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// The format: 2.
    pub format: u32,
    /// RFC 3339, UTC; never before that of the entry before.
    #[schema(format = DateTime)]
    pub at: String,
    /// The event; its members depend on its kind.
    pub event: AuditEvent,
    /// What the host adds: the digests of its modules, the id of the request.
    pub host: JsonObject,
    /// The rows that the change wrote.
    pub state: Vec<WrittenRow>,
}

/// What happened.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct AuditEvent {
    /// The kind, such as `approval_requested`.
    pub event: String,
}

/// A row that a change wrote.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct WrittenRow {
    /// The kind of row, such as `approval`.
    pub kind: String,
    /// The id of the row.
    pub id: String,
    /// The status of an approval.
    #[schema(value_type = Option<ApprovalStatus>)]
    pub status: Option<String>,
    /// The row's digest; null if the row was removed.
    #[schema(required)]
    pub sha256: Option<String>,
    /// The number of the entry that wrote the row before, 0 for none.
    pub prev: u64,
}

/// The public keys that sign checkpoints.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct LogKeys {
    /// The keys, the active one first.
    pub items: Vec<LogKey>,
}

/// A public key that signs checkpoints.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct LogKey {
    /// Its id in the keyring.
    pub key_id: String,
    /// The key as a C2SP vkey, for `--trust`.
    pub log_key: String,
}

/// An inclusion proof (`entry`) or a consistency proof (`from`), RFC 6962.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct LogProof {
    /// The number of the entry whose inclusion is proven.
    pub entry: Option<u64>,
    /// The earlier size whose consistency is proven.
    pub from: Option<u64>,
    /// The size of the tree.
    pub size: u64,
    /// The root of the tree, in hex.
    pub root: String,
    /// The hashes in hex, from the leaf up.
    pub hashes: Vec<String>,
}
