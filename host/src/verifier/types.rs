//! What the verifier is given and what it answers. The meaning of each field is in `wit/`.

use std::fmt;

/// A refusal by the verifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// A stable code, one of those in `wit/codes.md`.
    pub code: String,
    /// One sentence for a person: lower case, no secret.
    pub message: String,
}

/// Why a call gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The verifier refused.
    #[error("{}: {}", .0.code, .0.message)]
    Rejected(Rejection),
    /// The verifier trapped, ran out of memory or took too long. Nothing was decided.
    #[error("verifier failed: {0}")]
    Trapped(String),
}

/// A key as its keyring entry says it.
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
    /// The one person whose key it is.
    pub approver: Option<String>,
    /// The groups that its owner is in.
    pub groups: Vec<String>,
}

/// The keys and the signature profiles that count.
#[derive(Clone, Copy, Debug)]
pub struct Accepted<'a> {
    /// The keys.
    pub keys: &'a [Key],
    /// The profiles.
    pub profiles: &'a [String],
}

/// What an approver signs.
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
    /// Who decides.
    pub approver: String,
    /// What the approver says; empty if nothing.
    pub comment: String,
}

/// The exact bytes to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The profile that these bytes belong to.
    pub profile: String,
    /// The bytes, base64url without padding.
    pub base64url: String,
    /// The same bytes where they are text.
    pub text: Option<String>,
}

/// What a store indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The approval's id.
    pub id: String,
    /// The status; effective in a [`View`].
    pub status: String,
    /// Who acts.
    pub agent: String,
    /// What it does.
    pub action: String,
    /// When it was requested, in seconds since 1970.
    pub requested_at: u64,
    /// When it expires, in seconds since 1970.
    pub expires_at: u64,
    /// When `expire` would next change the record.
    pub due_at: Option<u64>,
}

/// A stored approval, as the operations take it.
#[derive(Clone, Copy, Debug)]
pub struct Approval<'a> {
    /// The id under which it is stored; the verifier refuses the record of another.
    pub id: &'a str,
    /// The record, the verifier's own JSON; none where there is no such approval.
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

/// What an operation makes of an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The change to keep; none where nothing changes.
    pub transition: Option<Transition>,
    /// The approval as it then is, as [`show`](super::Verifier::show) shows it.
    pub view: String,
}

/// A change to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The new record, the verifier's own JSON.
    pub record: String,
    /// What the store indexes of it.
    pub summary: Summary,
    /// The audit entry, JSON.
    pub entry: String,
}

/// A new approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The change to keep.
    pub transition: Transition,
    /// The approval as it then is, as [`show`](super::Verifier::show) shows it.
    pub view: String,
    /// The canonical context.
    pub context: String,
    /// The canonical plan.
    pub plan: Option<String>,
}

/// An approval as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The approval, JSON, with its effective status.
    pub view: String,
    /// What a store indexes of it.
    pub summary: Summary,
}

/// The arguments of [`verify_receipt`](super::Verifier::verify_receipt).
#[derive(Clone, Copy, Debug)]
pub struct ReceiptArgs<'a> {
    /// The receipt.
    pub receipt: &'a str,
    /// The log keys that may have signed its checkpoint; with none nobody vouches for it.
    pub log_keys: &'a [String],
    /// The approval that it must be of.
    pub id: Option<&'a str>,
    /// The audience that it must be of.
    pub audience: Option<&'a str>,
    /// Keys of approvers that count instead of the log's, and the profiles that count.
    pub accepted: Accepted<'a>,
    /// A checkpoint of the log that the caller holds.
    pub checkpoint: Option<&'a str>,
    /// The proof between it and the receipt's, hex.
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
    /// The signature profiles that count.
    pub accept: &'a [String],
    /// The time, in seconds since 1970.
    pub now: u64,
}

/// What is about to run: the arguments of [`check`](super::Verifier::check).
#[derive(Clone, Copy, Debug)]
pub struct CheckArgs<'a> {
    /// The attempt, JSON.
    pub attempt: &'a str,
    /// The context, JSON; not compared where unset.
    pub context: Option<&'a str>,
    /// The plan, JSON; not compared where unset.
    pub plan: Option<&'a str>,
}

/// What is about to run: the arguments of [`claim`](super::Verifier::claim).
#[derive(Clone, Copy, Debug)]
pub struct ClaimArgs<'a> {
    /// The claim, JSON.
    pub claim: &'a str,
    /// The context, JSON.
    pub context: &'a str,
    /// The plan, JSON; required where one was approved.
    pub plan: Option<&'a str>,
}

/// One approver's decision: what is not in the approval of the statement to sign.
#[derive(Clone, Copy, Debug)]
pub struct DecisionArgs<'a> {
    /// `approved` or `rejected`.
    pub decision: &'a str,
    /// Who decides.
    pub approver: &'a str,
    /// The key that signs; empty under `v1`.
    pub key_id: &'a str,
    /// What the approver says; empty if nothing.
    pub comment: &'a str,
}

/// An approval as a server shows it, and what the approver saw.
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
