//! Blocks writes while a check that only a start can complete is pending. Reads are not blocked.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use crate::refusal::Refusal;

/// Why writes are blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// The settings are weaker than the recorded ones.
    Settings,
    /// The log records a witness, and this process does not update it.
    Witness,
}

/// The pending reasons, each with the refusal that callers get.
#[derive(Default)]
pub(crate) struct Gate(RwLock<BTreeMap<Reason, Refusal>>);

impl Gate {
    /// Blocks writes for a reason.
    pub(crate) fn close(&self, reason: Reason, refusal: Refusal) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(reason, refusal);
    }

    /// Removes a reason.
    pub(crate) fn open(&self, reason: Reason) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&reason);
    }

    /// Checks that writes and decisions are allowed.
    ///
    /// Refusals: that of the first pending reason.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let reasons = self.0.read().unwrap_or_else(PoisonError::into_inner);
        reasons.values().next().map_or(Ok(()), |refusal| Err(refusal.clone()))
    }
}
