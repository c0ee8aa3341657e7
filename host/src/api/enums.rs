//! The closed sets of words in answers, for the OpenAPI document. The members themselves are strings
//! here, so that a client of an older version reads the words of a newer one.

use utoipa::ToSchema;

/// The status of an approval.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum ApprovalStatus {
    /// Waits for approvers.
    Pending,
    /// May be claimed once.
    Approved,
    /// An approver rejected it.
    Rejected,
    /// It was claimed; `execution` has the outcome.
    Executed,
    /// Its time is over.
    Expired,
    /// It was withdrawn before it was claimed.
    Withdrawn,
}

/// An approver's decision.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum BallotDecision {
    /// The approver approves the request.
    Approved,
    /// The approver rejects the request.
    Rejected,
}

/// What a signature covers: `v1` the id, decision, approver and expiry; `v2` the whole request.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum SignatureProfile {
    /// The runbook's profile, HMAC-SHA256.
    V1,
    /// HMAC-SHA256 or Ed25519, over the whole request.
    V2,
}

/// How a claimed execution ended.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum ExecutionOutcome {
    /// It runs: no outcome is reported yet.
    Claimed,
    /// The action ran.
    Succeeded,
    /// The action failed.
    Failed,
    /// The lease expired before an outcome was reported.
    Unknown,
}

/// An outcome that an executor reports.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum ReportedOutcome {
    /// The action ran.
    Succeeded,
    /// The action failed.
    Failed,
}

/// Why an action may not run without more.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum ViolationType {
    /// It requires an approval.
    ApprovalRequired,
    /// The policy denies it.
    PolicyDenied,
}

/// The algorithm of a key.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum KeyAlgorithm {
    /// HMAC-SHA256, with a secret that signs and verifies.
    HmacSha256,
    /// Ed25519.
    Ed25519,
}

/// The status of a key.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum KeyStatus {
    /// Signs and verifies.
    Active,
    /// Only verifies.
    VerifyOnly,
    /// Neither.
    Revoked,
}

/// What a key signs.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum KeyUse {
    /// Ballots.
    Approve,
    /// Checkpoints of the audit log.
    Log,
    /// Manifests of modules.
    Module,
}

/// A role in which a module is active.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum ModuleSlot {
    /// The rules that decide trust.
    Verifier,
    /// Which actions require an approval.
    Policy,
}

/// The state of a module in its slot.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum ModuleState {
    /// Calls use it.
    Active,
    /// It is evaluated next to the active one, without effect.
    Shadow,
    /// It was active before; a rollback activates it again.
    Previous,
    /// It is stored.
    Kept,
    /// Its stored row does not match the audit log.
    Damaged,
}
