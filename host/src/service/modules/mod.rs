//! The registry: modules that are kept, and which of them serves in which slot.
//!
//! A module is pushed with its signed manifest, looked at, compiled and tried before it is kept; it is
//! looked at and tried again before it serves, because keys, approvals and what serves change meanwhile.
//! What serves is what the store says: a change of a slot is committed first and swapped in after, and
//! at start the store is read again. Keys that change are looked at before the next question: a module
//! whose signer no longer counts serves no more, and its slot answers nothing until that is mended.
//!
//! | file | holds |
//! | --- | --- |
//! | `row` | what the store keeps of a module and of a slot |
//! | `push`, `activate`, `shadow`, `remove` | what changes them |
//! | `list` | what is shown |
//! | `prepare` | bytes that become a module that may serve; `trial_policy`, `trial_verifier` try it |
//! | `restore` | what serves, from the store |
//! | `told` | the audit entries of changes and of refusals |

mod activate;
mod list;
mod prepare;
mod push;
mod remove;
mod restore;
mod row;
mod shadow;
mod told;
mod trial_policy;
mod trial_verifier;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Caller, Idempotency, Reply, Service};
use crate::code::Code;
use crate::keys::Keys;
use crate::module::{ModuleDigest, Signed, Slot};
use crate::refusal::Refusal;
use crate::role::Role;

pub use push::NewModule;

pub(super) use row::keeps_bytes;
use row::{ModuleRow, SlotRow};

/// Modules kept for one slot.
const MODULES_MAX: usize = 64;
/// Their bytes together, of all slots.
const MODULE_BYTES_MAX: u64 = 1 << 30;
/// Pushes whose bodies are in memory at once.
const UPLOADS_MAX: usize = 2;

/// Turns of those who change the registry.
pub(super) struct Registry {
    /// One push at a time: a module is compiled and tried inside it, which may take minutes. Before
    /// `turn`, never after it.
    pushing: tokio::sync::Mutex<()>,
    /// One change at a time. A module that is here is compiled already, so nobody who takes a bad one
    /// out of service waits for one that is pushed.
    turn: tokio::sync::Mutex<()>,
    /// What the store says and what serves change together inside it. Short.
    swap: tokio::sync::Mutex<()>,
    /// The keys that what serves was last held against; none before it was first looked up.
    held_against: Mutex<Option<Keys>>,
    /// The proof of the last push, for its activation.
    proof: Mutex<Option<Signed>>,
    uploads: Arc<Semaphore>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            pushing: tokio::sync::Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            swap: tokio::sync::Mutex::default(),
            held_against: Mutex::default(),
            proof: Mutex::default(),
            uploads: Arc::new(Semaphore::new(UPLOADS_MAX)),
        }
    }
}

impl Registry {
    fn was_held_against(&self, keys: &Keys) -> bool {
        let held = self.held_against.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().is_some_and(|held| held.is(keys))
    }

    /// The proof of an envelope, if it was pushed last.
    fn proof(&self, envelope: &str) -> Option<Signed> {
        let proof = self.proof.lock().unwrap_or_else(PoisonError::into_inner);
        proof.as_ref().filter(|proof| proof.envelope().to_text() == envelope).cloned()
    }

    fn prove(&self, signed: Signed) {
        *self.proof.lock().unwrap_or_else(PoisonError::into_inner) = Some(signed);
    }

    /// Has the next question look at the store.
    fn look_again(&self) {
        self.hold_against(None);
    }

    /// Whether the store was looked at yet.
    pub(super) fn is_in_use(&self) -> bool {
        self.held_against.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn hold_against(&self, keys: Option<Keys>) {
        *self.held_against.lock().unwrap_or_else(PoisonError::into_inner) = keys;
    }
}

impl Service {
    /// A place for the body of a push.
    ///
    /// # Errors
    ///
    /// `rate-limited` where all are taken.
    pub fn upload_place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.registry.uploads).try_acquire_owned().map_err(|_| {
            Refusal::new(Code::RATE_LIMITED, "other modules are being pushed; try again soon")
        })
    }

    async fn module_row(&self, digest: ModuleDigest) -> Result<ModuleRow, Refusal> {
        let row = ModuleRow::load(&*self.store, digest).await?;
        row.filter(|row| row.removed_at.is_none()).ok_or_else(|| missing(digest))
    }

    /// The kept answer of a change of a module, also of one that was removed since.
    ///
    /// Refusals: `forbidden`: another role's slot; then as `kept`.
    async fn kept_of_module(
        &self,
        caller: &Caller,
        digest: ModuleDigest,
        idempotency: Option<&Idempotency>,
    ) -> Result<Option<Reply>, Refusal> {
        if idempotency.is_none() {
            return Ok(None);
        }
        if let Some(row) = ModuleRow::load(&*self.store, digest).await? {
            may_change(caller, row.claims()?.1.slot)?;
        }
        self.kept(idempotency).await
    }

    async fn slot_row(&self, slot: Slot) -> Result<SlotRow, Refusal> {
        SlotRow::load(&*self.store, slot).await
    }
}

/// Who changes a slot: the policy team its own, an admin the root of trust.
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
    Err(Refusal::new(Code::FORBIDDEN, format!("slot `{slot}` needs the role {role}")))
}

fn missing(digest: ModuleDigest) -> Refusal {
    Refusal::new(Code::NOT_FOUND, format!("no module `{digest}` is kept here"))
}
