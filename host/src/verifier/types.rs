//! The verifier's argument and result types. The fields are documented in `wit/`.

use std::fmt;

/// A refusal by the verifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// A stable code from `wit/codes.md`.
    pub code: String,
    /// One sentence for a person: lower case, no secret.
    pub message: String,
}

/// Why a call returned no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The verifier refused.
    #[error("{}: {}", .0.code, .0.message)]
    Rejected(Rejection),
    /// The verifier trapped, ran out of memory or took too long. Nothing was decided.
    #[error("verifier failed: {0}")]
    Trapped(String),
}

/// A key, with the values of its keyring entry.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// `[a-z0-9_-]{1,64}`.
    pub id: String,
    /// `hmac-sha256` or `ed25519`.
    pub algorithm: String,
    /// Base64url without padding: a secret, a public key, or in [`sign`](super::Verifier::sign) a
    /// private seed.
    pub material: String,
    /// `active`, `verify-only` or `revoked`.
    pub status: String,
    /// `approve`, `log` or `module`.
    pub usage: String,
    /// The approver it is bound to.
    pub approver: Option<String>,
    /// The groups of its owner.
    pub groups: Vec<String>,
}

/// The accepted keys and signature profiles.
#[derive(Clone, Copy, Debug)]
pub struct Accepted<'a> {
    /// The keys.
    pub keys: &'a [Key],
    /// The profiles.
    pub profiles: &'a [String],
}

/// The statement that an approver signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The deployment's name.
    pub audience: String,
    /// The key that signs; empty under `v1`.
    pub key_id: String,
    /// The approval.
    pub approval_id: String,
    /// The digest of everything that was requested, 64 lower-case hex characters.
    pub request_digest: String,
    /// When the approval expires, in seconds since 1970.
    pub expires_at: u64,
    /// `approved` or `rejected`.
    pub decision: String,
    /// The approver.
    pub approver: String,
    /// The approver's comment; may be empty.
    pub comment: String,
}

/// The exact bytes to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The profile that these bytes belong to.
    pub profile: String,
    /// The bytes, base64url without padding.
    pub base64url: String,
    /// The same bytes, if they are text.
    pub text: Option<String>,
}

/// The fields that a store indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The approval's id.
    pub id: String,
    /// The status; effective in a [`View`].
    pub status: String,
    /// The agent.
    pub agent: String,
    /// The action.
    pub action: String,
    /// When it was requested, in seconds since 1970.
    pub requested_at: u64,
    /// When it expires, in seconds since 1970.
    pub expires_at: u64,
    /// When `expire` would next change the record.
    pub due_at: Option<u64>,
}

/// A stored approval, as an argument of the operations.
#[derive(Clone, Copy, Debug)]
pub struct Approval<'a> {
    /// The id under which it is stored; the verifier refuses the record of another.
    pub id: &'a str,
    /// The record, the verifier's own JSON; `None` if there is no such approval.
    pub record: Option<&'a str>,
}

/// The canonical form of a context or plan, and its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalContext {
    /// The canonical form.
    pub canonical: String,
    /// 64 lower-case hex characters.
    pub digest: String,
}

/// The result of an operation on an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The change to store; `None` if nothing changes.
    pub transition: Option<Transition>,
    /// The view of the new version, as [`show`](super::Verifier::show) returns it.
    pub view: String,
}

/// A change to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The new record, the verifier's own JSON.
    pub record: String,
    /// Its indexed fields.
    pub summary: Summary,
    /// The audit entry, JSON.
    pub entry: String,
}

/// A new approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The change to store.
    pub transition: Transition,
    /// The view of the new version, as [`show`](super::Verifier::show) returns it.
    pub view: String,
    /// The canonical context.
    pub context: String,
    /// The canonical plan.
    pub plan: Option<String>,
}

/// The view of an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The approval, JSON, with its effective status.
    pub view: String,
    /// Its indexed fields.
    pub summary: Summary,
}

/// The arguments of [`verify_approval`](super::Verifier::verify_approval).
#[derive(Clone, Copy, Debug)]
pub struct ApprovalArgs<'a> {
    /// The approval exactly as the server shows it, JSON.
    pub approval: &'a str,
    /// The id that was requested.
    pub id: &'a str,
    /// The deployment that the caller works for.
    pub audience: &'a str,
    /// `{agent, action, context, plan?}`, JSON.
    pub attempt: &'a str,
    /// The approvers' keys that the caller trusts, and the accepted profiles.
    pub accepted: Accepted<'a>,
    /// The time, in seconds since 1970.
    pub now: u64,
    /// The earliest request time that counts.
    pub requested_after: Option<u64>,
    /// The minimum requirement, JSON.
    pub floor: Option<&'a str>,
}

/// The arguments of [`verify_receipt`](super::Verifier::verify_receipt).
#[derive(Clone, Copy, Debug)]
pub struct ReceiptArgs<'a> {
    /// The receipt.
    pub receipt: &'a str,
    /// The log keys trusted to sign its checkpoint; without any, the checkpoint is not
    /// authenticated.
    pub log_keys: &'a [String],
    /// The id of the approval that it must prove.
    pub id: Option<&'a str>,
    /// The audience that it must have.
    pub audience: Option<&'a str>,
    /// Approvers' keys to use instead of the log's, and the accepted profiles.
    pub accepted: Accepted<'a>,
    /// A checkpoint of the log that the caller holds.
    pub checkpoint: Option<&'a str>,
    /// The consistency proof between it and the receipt's checkpoint, hex.
    pub consistency: &'a [String],
}

/// The arguments of [`open`](super::Verifier::open).
#[derive(Clone, Copy, Debug)]
pub struct OpenArgs<'a> {
    /// The request, JSON.
    pub request: &'a str,
    /// The context, JSON.
    pub context: &'a str,
    /// The plan, JSON.
    pub plan: Option<&'a str>,
    /// The accepted signature profiles.
    pub accept: &'a [String],
    /// The time, in seconds since 1970.
    pub now: u64,
}

/// The arguments of [`check`](super::Verifier::check).
#[derive(Clone, Copy, Debug)]
pub struct CheckArgs<'a> {
    /// The attempt, JSON.
    pub attempt: &'a str,
    /// The context, JSON; not compared if unset.
    pub context: Option<&'a str>,
    /// The plan, JSON; not compared if unset.
    pub plan: Option<&'a str>,
}

/// The arguments of [`claim`](super::Verifier::claim).
#[derive(Clone, Copy, Debug)]
pub struct ClaimArgs<'a> {
    /// The claim, JSON.
    pub claim: &'a str,
    /// The context, JSON.
    pub context: &'a str,
    /// The plan, JSON; required if one was approved.
    pub plan: Option<&'a str>,
}

/// One approver's decision: the parts of the statement to sign that are not in the approval.
#[derive(Clone, Copy, Debug)]
pub struct DecisionArgs<'a> {
    /// `approved` or `rejected`.
    pub decision: &'a str,
    /// The approver.
    pub approver: &'a str,
    /// The key that signs; empty under `v1`.
    pub key_id: &'a str,
    /// The approver's comment; may be empty.
    pub comment: &'a str,
}

/// An approval as shown by a server, with the texts that the approver saw.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The approval, JSON.
    pub approval: &'a str,
    /// The context, JSON.
    pub context: &'a str,
    /// The plan, JSON.
    pub plan: Option<&'a str>,
}

impl fmt::Debug for Key {
    /// Leaves the material out: it may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .field("status", &self.status)
            .field("usage", &self.usage)
            .field("approver", &self.approver)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}
