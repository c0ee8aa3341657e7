//! The slot `policy`: the active policy and its shadow. A swap is one assignment, and a caller
//! clones the module that it uses, so each decision uses the same module from beginning to end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::policy::Policy;

/// The slot `policy`, shared by all callers.
#[derive(Default)]
pub(super) struct SharedPolicySlot(RwLock<PolicySlot>);

/// The slot `policy` at one moment.
#[derive(Clone, Default)]
pub struct PolicySlot {
    /// The active policy.
    pub active: Active,
    /// The shadow, which is evaluated without effect.
    pub shadow: Option<Policy>,
    /// The counts of the shadow since it became one, or since the start. They remain after it ends,
    /// until there is another shadow.
    pub(crate) counts: Arc<Counts>,
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

/// Counts of a shadow's comparisons.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) compared: AtomicU64,
    pub(crate) flips: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) dropped: AtomicU64,
}

/// Counts of the shadow since it became one, or since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShadowCounts {
    /// Attempts that the candidate evaluated too.
    pub compared: u64,
    /// Attempts on which the candidate differs.
    pub flips: u64,
    /// Attempts on which the candidate failed; each is a flip too.
    pub failures: u64,
    /// Attempts that were dropped because the queue was full.
    pub dropped: u64,
}

impl SharedPolicySlot {
    /// Returns the slot as last loaded.
    pub(super) fn current(&self) -> PolicySlot {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the slot. Calls in flight finish on the old module. A new shadow has new counts.
    pub(super) fn change(&self, change: impl FnOnce(&mut PolicySlot)) {
        let mut slot = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = slot.shadow.clone();
        change(&mut slot);
        let digest = |policy: &Policy| policy.digest().to_owned();
        if slot.shadow.is_some() && slot.shadow.as_ref().map(digest) != before.as_ref().map(digest)
        {
            slot.counts = Arc::default();
        }
    }
}

impl PolicySlot {
    /// Returns the counts of the shadow.
    pub fn shadow_counts(&self) -> ShadowCounts {
        let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
        ShadowCounts {
            compared: count(&self.counts.compared),
            flips: count(&self.counts.flips),
            failures: count(&self.counts.failures),
            dropped: count(&self.counts.dropped),
        }
    }
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
