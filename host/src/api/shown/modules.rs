//! Modules, slots, the active policy, and what a shadow would have changed.

use serde::Deserialize;
use utoipa::ToSchema;

use super::{JsonObject, NumberedEntry};
use crate::api::enums::{ModuleSlot, ModuleState};

/// The active policy, for an evaluation in the caller's own process.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ActivePolicy {
    /// The active policy; null if none is active.
    #[schema(required)]
    pub policy: Option<SignedPolicy>,
    /// The facts of this caller's attempts; null if they are `{"requester":"agent:AGENT"}`.
    #[schema(required)]
    pub facts: Option<JsonObject>,
    /// The name of the deployment.
    pub audience: String,
    /// The time of the answer, RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub at: String,
}

/// A policy's digest and its signed manifest.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct SignedPolicy {
    /// SHA-256 of the component.
    pub digest: String,
    /// The manifest as it was pushed: a DSSE envelope.
    pub manifest: JsonObject,
}

/// Every slot, and every stored module.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = ModuleList)]
pub struct ModulesShown {
    /// The slots.
    pub slots: Vec<SlotShown>,
    /// The modules.
    pub items: Vec<ModuleShown>,
}

/// A slot with its modules, each by its digest.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = SlotInfo)]
pub struct SlotShown {
    /// The slot.
    #[schema(value_type = ModuleSlot)]
    pub slot: String,
    /// The active module.
    #[schema(required)]
    pub active: Option<String>,
    /// The shadow.
    #[schema(required)]
    pub shadow: Option<String>,
    /// The module that was active before.
    #[schema(required)]
    pub previous: Option<String>,
    /// The highest version that was ever active; a module with no higher one is not activated.
    pub highest_version: u64,
    /// Why the active module cannot be used.
    #[schema(required)]
    pub failing: Option<String>,
    /// The requirements of its rules that nobody with a key can meet.
    pub unmeetable: Vec<String>,
}

/// A stored module. A module whose row is damaged, and the built-in verifier, have no manifest and
/// none of its members.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = ModuleInfo)]
pub struct ModuleShown {
    /// Its slot: `policy` or `verifier`; `unknown` for a damaged module that is in none.
    pub slot: String,
    /// SHA-256 of the component.
    pub digest: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Option<u64>,
    /// The limits of one call.
    pub limits: Option<JsonObject>,
    /// The facts that it reads.
    pub facts: Option<Vec<String>>,
    /// The deployments that it is for; empty for all.
    pub audience: Option<Vec<String>>,
    /// When the manifest was made, RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub created: Option<String>,
    /// The id of the key that signed the manifest.
    pub key_id: Option<String>,
    /// `ok`, or the code of the reason why its signer is not valid now.
    pub signer: Option<String>,
    /// SHA-256 of the signed manifest.
    pub envelope: Option<String>,
    /// Its size.
    pub bytes: u64,
    /// When it was pushed, RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub pushed_at: Option<String>,
    /// Who pushed it.
    pub pushed_by: Option<String>,
    /// Its state.
    #[schema(value_type = ModuleState)]
    pub state: String,
    /// The signed manifest, a DSSE envelope; only from `GET /modules/{digest}`.
    pub manifest: Option<JsonObject>,
    /// What the module says of itself; only from `GET /modules/{digest}`.
    pub describe: Option<JsonObject>,
    /// Its activations; only from `GET /modules/{digest}`.
    pub history: Option<Vec<ModuleActivation>>,
}

/// An activation of a module.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ModuleActivation {
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub at: String,
    /// Who activated it.
    pub by: String,
    /// How, such as `activated`.
    pub how: String,
    /// The reason of a rollback.
    #[schema(required)]
    pub reason: Option<String>,
}

/// A module that was removed.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct RemovedModule {
    /// SHA-256 of the component.
    pub digest: String,
    /// Its slot.
    pub slot: String,
    /// `removed`.
    pub state: String,
}

/// Verdicts that the shadow would have changed.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = FlipPage)]
pub struct Flips {
    /// The digest of the shadow; null if there is none.
    #[schema(required)]
    pub shadow: Option<String>,
    /// The counts of the current shadow since the server started.
    pub counts: FlipCounts,
    /// The entries of the audit log that record a difference.
    pub items: Vec<NumberedEntry>,
}

/// What the shadow did.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct FlipCounts {
    /// Evaluations that both policies answered.
    pub compared: u64,
    /// Different verdicts.
    pub flips: u64,
    /// Evaluations in which the shadow failed.
    pub failures: u64,
    /// Evaluations that were not compared, because the shadow was too slow.
    pub dropped: u64,
}
