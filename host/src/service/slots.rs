//! The slots: which modules serve. A swap is one assignment, so each decision sees one module from
//! beginning to end: whoever asks takes what serves then, and ends on it.

use std::sync::{PoisonError, RwLock};

use tokio::sync::Semaphore;

use super::Service;
use crate::engine::{Loader, Policy};
use crate::refusal::Refusal;
use crate::verifier::Verifier;

/// Half of the instances that the pool has, so that a short question always finds one.
const PLACES: usize = 64;

/// What serves in the slots.
pub(super) struct Slots {
    verifier: RwLock<Verifier>,
    /// What serves where the store names no other.
    built_in: Verifier,
    policy: RwLock<PolicySlot>,
    /// Policies asked at once beside the async threads.
    places: Semaphore,
}

/// The slot `policy` at one moment.
#[derive(Clone, Default)]
pub struct PolicySlot {
    /// What decides.
    pub active: Active,
    /// What is asked beside it, without effect.
    pub shadow: Option<Policy>,
}

/// What decides in the slot `policy`.
#[derive(Clone, Default)]
pub enum Active {
    /// Nothing: every action requires approval.
    #[default]
    Empty,
    /// This policy.
    Policy(Policy),
    /// A policy that cannot be asked. Nothing is allowed, requested or claimed until that is mended.
    Broken {
        /// Which one.
        digest: String,
        /// Why not.
        why: String,
    },
}

impl Active {
    /// The digest of what decides, or should; none where nothing does.
    pub fn digest(&self) -> Option<&str> {
        match self {
            Self::Empty => None,
            Self::Policy(policy) => Some(policy.digest()),
            Self::Broken { digest, .. } => Some(digest),
        }
    }
}

impl Slots {
    /// The slots with a verifier and no policy.
    pub(super) fn new(verifier: Verifier) -> Self {
        Self {
            built_in: verifier.clone(),
            verifier: RwLock::new(verifier),
            policy: RwLock::default(),
            places: Semaphore::new(PLACES),
        }
    }

    /// Places for questions that leave the async threads.
    pub(super) fn places(&self) -> &Semaphore {
        &self.places
    }
}

impl Service {
    /// The verifier that decides now.
    pub fn verifier(&self) -> Verifier {
        self.slots.verifier.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What decides about actions now, and what is asked beside it.
    ///
    /// # Errors
    ///
    /// `store-unavailable` where it is not known yet and the store does not say;
    /// `keyring-unavailable` where a module serves and nobody can say whether its signer counts.
    pub async fn policy_slot(&self) -> Result<PolicySlot, Refusal> {
        self.follow_keys().await?;
        Ok(self.policy_now())
    }

    /// What serves in the slot `policy`, as it was last looked up.
    pub(super) fn policy_now(&self) -> PolicySlot {
        self.slots.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The verifier that serves where the store names no other.
    pub(super) fn built_in_verifier(&self) -> Verifier {
        self.slots.built_in.clone()
    }

    /// Puts another verifier in its slot. What is under way ends on the one it began with.
    pub(super) fn swap_verifier(&self, verifier: Verifier) {
        *self.slots.verifier.write().unwrap_or_else(PoisonError::into_inner) = verifier;
    }

    /// Changes the slot `policy`. What is under way ends on the module it began with.
    pub(super) fn swap_policy(&self, change: impl FnOnce(&mut PolicySlot)) {
        let mut slot = self.slots.policy.write().unwrap_or_else(PoisonError::into_inner);
        let shadow = |slot: &PolicySlot| slot.shadow.as_ref().map(|it| it.digest().to_owned());
        let before = shadow(&slot);
        change(&mut slot);
        let after = shadow(&slot);
        if after != before {
            self.shadow.ask(after.as_deref());
        }
    }

    /// How modules are loaded.
    pub(super) fn loader(&self) -> &Loader {
        &self.loader
    }
}
