//! The types of answers that a service writes as JSON text, for the OpenAPI document and for clients
//! in Rust. `approval.rs` has those of approvals. A server may add members.

mod audit;
mod json;
mod modules;
mod receipt;

use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::ToSchema;

use super::enums::{KeyAlgorithm, KeyStatus, KeyUse};
use super::tokens::TokenShown;

pub use audit::{
    AuditEntry, AuditEvent, AuditPage, LogKey, LogKeys, LogProof, NumberedEntry, WrittenRow,
};
pub(super) use json::Binary;
pub use json::JsonObject;
pub use modules::{
    ActivePolicy, FlipCounts, Flips, ModuleActivation, ModuleShown, ModulesShown, RemovedModule,
    SignedPolicy, SlotShown,
};
pub use receipt::{Payload, Receipt, ReceiptApproval, ReceiptEntry, ReceiptExecution};

/// A requirement that a requester sets. The policy and the deployment's settings are its minimum.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestedRequirement {
    /// Number of approvers; default 1.
    #[schema(minimum = 1, maximum = 16)]
    pub threshold: Option<u32>,
    /// Minimum number of approvers per group, each 1 to 16; at most 16 groups.
    pub groups: Option<BTreeMap<String, u32>>,
}

/// How many decisions were recorded.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct Recorded {
    /// The number of decisions in the entry of the audit log.
    pub recorded: u64,
}

/// Keys without secret material.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct Keys {
    /// The keys.
    pub items: Vec<Key>,
}

/// A key without secret material.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct Key {
    /// `[a-z0-9_-]{1,64}`.
    pub id: String,
    /// The algorithm.
    #[schema(value_type = KeyAlgorithm)]
    pub algorithm: String,
    /// The status.
    #[schema(value_type = KeyStatus)]
    pub status: String,
    /// What it signs.
    #[serde(rename = "use")]
    #[schema(value_type = KeyUse)]
    pub usage: String,
    /// The approver that it is bound to.
    #[schema(required)]
    pub approver: Option<String>,
    /// The groups that it decides for.
    pub groups: Vec<String>,
    /// The first 32 hex characters of HMAC-SHA256(material, `signoff/key-fingerprint`).
    pub fingerprint: String,
    /// The public key, base64url without padding; not of an HMAC key.
    pub public_key: Option<String>,
}

/// A page of tokens in order of creation.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = TokenPage)]
pub struct Tokens {
    /// The tokens.
    pub items: Vec<TokenShown>,
    /// The `cursor` of the next page; null after the last.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// The process answers.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`.
    pub status: String,
}

/// A decision can be made now.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct Readiness {
    /// `ready`.
    pub status: String,
    /// Digest of the active verifier.
    pub verifier: String,
    /// Digest of the active policy; null if none is active.
    #[schema(required)]
    pub policy: Option<String>,
}

/// What this server is, and where to go on.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ServerIndex {
    /// `signoff`.
    pub name: String,
    /// The server's version.
    pub version: String,
    /// What it does.
    pub description: String,
    /// The prefix of the API.
    pub api: String,
    /// The path of the OpenAPI document.
    pub openapi: String,
    /// The path of the readiness check.
    pub ready: String,
    /// Where the guides are.
    pub docs: String,
}
