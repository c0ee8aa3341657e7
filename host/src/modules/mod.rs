//! Modules that are shipped to a running host: their signed manifests, the checks of their bytes,
//! and the registry of stored and active modules.
//!
//! A module is pushed with its signed manifest. It is inspected, compiled and tried before it is
//! stored, and again before it is activated, because keys, approvals and active modules change
//! meanwhile. The store determines the active modules: a change of a slot is committed first and
//! swapped in afterwards, and a start reads the store again. A changed keyring is checked before
//! the next call: a module whose signer is no longer valid is deactivated, and calls of its slot
//! fail until the slot is repaired.
//!
//! | file | contains |
//! | --- | --- |
//! | `signed` | manifests verified with this host's keys; their rules are in [`signoff_core::module`] |
//! | `inspect` | checks of a module's bytes before anything is compiled or run |
//! | `slots` | the active modules |
//! | `row` | the stored rows of modules and slots |
//! | `push`, `activate`, `shadow`, `remove` | changes of them |
//! | `list` | views |
//! | `reach` | requirements of a policy that nobody can meet |
//! | `prepare` | checks and compilation of a module; `trial_policy`, `trial_verifier` try it |
//! | `restore` | loading the active modules from the store |
//! | `audit_fields` | the audit entries of changes and refusals |

mod activate;
mod audit_fields;
mod in_use;
mod inspect;
mod list;
mod prepare;
mod push;
mod reach;
mod remove;
mod restore;
mod row;
mod shadow;
mod signed;
mod slots;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;
mod trial_policy;
mod trial_verifier;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::caller::Caller;
use crate::code::Code;
use crate::config::{Config, Floor};
use crate::engine::Loader;
use crate::keys::{Keys, RecordedKeys};
use crate::ledger::{Idempotency, Ledger, Refusals, Reply};
#[cfg(test)]
use crate::policy::Policy;
use crate::refusal::{Missing, Refusal};
use crate::role::Role;
use crate::verifier::ActiveVerifier;

pub use crate::engine::WASM_BYTES_MAX;
pub use in_use::ActiveModule;
pub use inspect::{Inspected, inspect};
pub use push::NewModule;
pub use signed::{Signed, sign};
pub use signoff_core::module::{
    ENVELOPE_BYTES_MAX, Envelope, FACTS_MAX, FactName, MEMORY_BYTES_MIN, Manifest, ModuleDigest,
    ModuleName, PAYLOAD_TYPE, Slot, Version, all_given, all_listed, facts_described, is_for,
    limits, limits_json,
};
pub use slots::{Active, PolicySlot, ShadowCounts};

pub(crate) use row::keeps_bytes;
use row::{ModuleRow, SlotRow};
pub(crate) use slots::Counts;
use slots::SharedPolicySlot;

/// Maximum stored modules per slot.
const MODULES_MAX: usize = 64;
/// Maximum size of all stored modules together.
const MODULE_BYTES_MAX: u64 = 1 << 30;
/// Maximum pushes whose bodies are in memory at the same time.
const UPLOADS_MAX: usize = 2;

/// The registry of modules.
pub struct Modules {
    ledger: Arc<Ledger>,
    keys: Arc<RecordedKeys>,
    refusals: Arc<Refusals>,
    loader: Loader,
    verifier: Arc<ActiveVerifier>,
    policy: SharedPolicySlot,
    /// The accepted signature profiles, and the minimum requirement of every approval.
    accept: Vec<String>,
    floor: Floor,
    /// Serializes pushes: a push compiles and tries a module, which may take minutes. Locked before
    /// `turn`, never after it.
    pushing: tokio::sync::Mutex<()>,
    /// Serializes changes. Stored modules are in the compilation cache, so the replacement of a bad
    /// module never waits for a push.
    turn: tokio::sync::Mutex<()>,
    /// Held briefly, while the store and the loaded modules change together.
    swap: tokio::sync::Mutex<()>,
    /// The keys against which the loaded modules were last checked; `None` until they are loaded.
    loaded_with: Mutex<Option<Keys>>,
    /// The verified manifest of the last push, for its activation.
    proof: Mutex<Option<Signed>>,
    uploads: Arc<Semaphore>,
}

impl Modules {
    pub(crate) fn new(
        ledger: Arc<Ledger>,
        keys: Arc<RecordedKeys>,
        refusals: Arc<Refusals>,
        loader: Loader,
        verifier: Arc<ActiveVerifier>,
        config: &Config,
    ) -> Self {
        Self {
            ledger,
            keys,
            refusals,
            loader,
            verifier,
            policy: SharedPolicySlot::default(),
            accept: config.signatures.accept.clone(),
            floor: config.requirement.clone(),
            pushing: tokio::sync::Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            swap: tokio::sync::Mutex::default(),
            loaded_with: Mutex::default(),
            proof: Mutex::default(),
            uploads: Arc::new(Semaphore::new(UPLOADS_MAX)),
        }
    }

    /// Returns the active policy and the shadow.
    ///
    /// # Errors
    ///
    /// `store-unavailable` if the slot was not loaded yet and the store cannot be read;
    /// `keyring-unavailable` if a module is active and its signer cannot be checked.
    pub async fn policy_slot(&self) -> Result<PolicySlot, Refusal> {
        self.refresh().await?;
        Ok(self.policy_now())
    }

    /// Returns the slot `policy` as last loaded.
    pub fn policy_now(&self) -> PolicySlot {
        self.policy.current()
    }

    /// Sets the active policy, without the store.
    #[cfg(test)]
    pub(crate) fn set_policy(&self, policy: Policy) {
        self.policy.change(|slot| slot.active = Active::Policy(policy));
    }

    /// Deactivates modules whose signer was revoked, even without traffic.
    pub(crate) async fn sweep(&self) {
        if self.loaded_with().is_some() {
            // The next call sees the failure.
            let _ = self.refresh().await;
        }
    }

    /// Reserves memory for the body of a push.
    ///
    /// # Errors
    ///
    /// `rate-limited` if too many pushes are in progress.
    pub fn upload_place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.uploads).try_acquire_owned().map_err(|_| {
            Refusal::new(Code::RATE_LIMITED, "other modules are being pushed; retry later")
        })
    }

    fn is_loaded_with(&self, keys: &Keys) -> bool {
        self.loaded_with().as_ref().is_some_and(|held| held.is(keys))
    }

    /// Returns the verified manifest of an envelope, if it was pushed last.
    fn proof(&self, envelope: &str) -> Option<Signed> {
        let proof = self.proof.lock().unwrap_or_else(PoisonError::into_inner);
        proof.as_ref().filter(|proof| proof.envelope().to_text() == envelope).cloned()
    }

    fn prove(&self, signed: Signed) {
        *self.proof.lock().unwrap_or_else(PoisonError::into_inner) = Some(signed);
    }

    /// Invalidates the loaded slots; the next call reloads them.
    fn invalidate(&self) {
        *self.loaded_with() = None;
    }

    fn set_loaded_with(&self, keys: Keys) {
        *self.loaded_with() = Some(keys);
    }

    fn loaded_with(&self) -> MutexGuard<'_, Option<Keys>> {
        self.loaded_with.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn module_row(&self, digest: ModuleDigest) -> Result<ModuleRow, Refusal> {
        let row = ModuleRow::load(self.ledger.store(), digest).await?;
        row.filter(|row| row.removed_at.is_none()).ok_or_else(|| missing(digest))
    }

    /// Returns the stored answer of a change of a module, which may have been removed since.
    ///
    /// Refusals: `forbidden`: the slot needs another role; then as `kept`.
    async fn kept_answer(
        &self,
        caller: &Caller,
        digest: ModuleDigest,
        idempotency: Option<&Idempotency>,
    ) -> Result<Option<Reply>, Refusal> {
        if idempotency.is_none() {
            return Ok(None);
        }
        if let Some(row) = ModuleRow::load(self.ledger.store(), digest).await? {
            may_change(caller, row.claims()?.1.slot)?;
        }
        self.ledger.kept(idempotency).await
    }

    async fn slot_row(&self, slot: Slot) -> Result<SlotRow, Refusal> {
        SlotRow::load(self.ledger.store(), slot).await
    }
}

/// Checks that a caller may change a slot: `policy` requires the role `policy`, `verifier` the role
/// `admin`.
///
/// Refusals: `forbidden`.
fn may_change(caller: &Caller, slot: Slot) -> Result<(), Refusal> {
    let role = match slot {
        Slot::Policy => Role::Policy,
        Slot::Verifier => Role::Admin,
    };
    if caller.has(role) {
        return Ok(());
    }
    Err(Refusal::new(Code::FORBIDDEN, format!("slot `{slot}` requires the role {role}")))
}

fn missing(digest: ModuleDigest) -> Refusal {
    Refusal::missing(Missing::Module, format!("no such module: `{digest}`"))
}
