//! What keeps a service from writing until a start has settled it. Reading goes on.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use crate::refusal::Refusal;

/// Why nothing is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// The settings are weaker than those that the log has.
    Settings,
    /// The log knows a witness, and nobody tells it.
    Witness,
}

/// Every open reason, with the refusal that a caller is answered.
#[derive(Default)]
pub(super) struct Gate(RwLock<BTreeMap<Reason, Refusal>>);

impl Gate {
    /// Refuses every write from now on.
    pub(super) fn close(&self, reason: Reason, refusal: Refusal) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(reason, refusal);
    }

    /// Settles a reason.
    pub(super) fn open(&self, reason: Reason) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&reason);
    }

    /// Whether anything may be written or decided.
    ///
    /// Refusals: that of the first reason.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let reasons = self.0.read().unwrap_or_else(PoisonError::into_inner);
        reasons.values().next().map_or(Ok(()), |refusal| Err(refusal.clone()))
    }
}
