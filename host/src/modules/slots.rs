//! The slots, which hold the active modules. A swap is one assignment and a caller clones the
//! module that it uses, so each decision uses the same module from beginning to end.

use std::sync::{PoisonError, RwLock};

use tokio::sync::Semaphore;

use crate::engine::Loader;
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::service::Service;
use crate::verifier::Verifier;

/// Half of the pool's instances, so that an instance is always free for a short call.
const PLACES: usize = 64;

/// The active modules.
pub(crate) struct Slots {
    verifier: RwLock<Verifier>,
    /// The verifier that is active unless the store names another one.
    built_in: Verifier,
    policy: RwLock<PolicySlot>,
    /// Limits concurrent policy evaluations on blocking threads.
    places: Semaphore,
}

/// The slot `policy` at one moment.
#[derive(Clone, Default)]
pub struct PolicySlot {
    /// The active policy.
    pub active: Active,
    /// The shadow, which is evaluated without effect.
    pub shadow: Option<Policy>,
}

/// The active policy of the slot.
#[derive(Clone, Default)]
pub enum Active {
    /// No policy: every action requires approval.
    #[default]
    Empty,
    /// This policy.
    Policy(Policy),
    /// A policy that cannot be evaluated. Nothing is allowed, requested or claimed until it is
    /// replaced or can be evaluated again.
    Broken {
        /// Its digest.
        digest: String,
        /// The reason.
        why: String,
    },
}

impl Active {
    /// Returns the digest of the active policy, broken or not; `None` if the slot is empty.
    pub fn digest(&self) -> Option<&str> {
        match self {
            Self::Empty => None,
            Self::Policy(policy) => Some(policy.digest()),
            Self::Broken { digest, .. } => Some(digest),
        }
    }
}

impl Slots {
    /// Creates slots with a verifier and no policy.
    pub(crate) fn new(verifier: Verifier) -> Self {
        Self {
            built_in: verifier.clone(),
            verifier: RwLock::new(verifier),
            policy: RwLock::default(),
            places: Semaphore::new(PLACES),
        }
    }

    /// Returns the limit of concurrent evaluations on blocking threads.
    pub(crate) fn places(&self) -> &Semaphore {
        &self.places
    }
}

impl Service {
    /// Returns the active verifier.
    pub fn verifier(&self) -> Verifier {
        self.slots.verifier.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the active policy and the shadow.
    ///
    /// # Errors
    ///
    /// `store-unavailable` if the slot was not loaded yet and the store cannot be read;
    /// `keyring-unavailable` if a module is active and its signer cannot be checked.
    pub async fn policy_slot(&self) -> Result<PolicySlot, Refusal> {
        self.refresh_slots().await?;
        Ok(self.policy_now())
    }

    /// Returns the slot `policy` as last loaded.
    pub(crate) fn policy_now(&self) -> PolicySlot {
        self.slots.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the verifier that is active unless the store names another one.
    pub(crate) fn built_in_verifier(&self) -> Verifier {
        self.slots.built_in.clone()
    }

    /// Replaces the active verifier. Calls in flight finish on the old one.
    pub(crate) fn swap_verifier(&self, verifier: Verifier) {
        *self.slots.verifier.write().unwrap_or_else(PoisonError::into_inner) = verifier;
    }

    /// Changes the slot `policy`. Calls in flight finish on the old module.
    pub(crate) fn swap_policy(&self, change: impl FnOnce(&mut PolicySlot)) {
        let mut slot = self.slots.policy.write().unwrap_or_else(PoisonError::into_inner);
        let shadow = |slot: &PolicySlot| slot.shadow.as_ref().map(|it| it.digest().to_owned());
        let before = shadow(&slot);
        change(&mut slot);
        let after = shadow(&slot);
        if after != before {
            self.shadow.set_current(after.as_deref());
        }
    }

    /// Returns the loader of modules.
    pub(crate) fn loader(&self) -> &Loader {
        &self.loader
    }
}
