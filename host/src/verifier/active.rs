//! The active verifier. A swap is one assignment and a caller clones the verifier that it uses, so
//! each decision uses the same one from beginning to end.

use std::sync::{PoisonError, RwLock};

use super::Verifier;

/// The active verifier, and the one that is active unless the store names another.
pub struct ActiveVerifier {
    built_in: Verifier,
    current: RwLock<Verifier>,
}

impl ActiveVerifier {
    /// Starts with the built-in verifier.
    pub fn new(built_in: Verifier) -> Self {
        Self { current: RwLock::new(built_in.clone()), built_in }
    }

    /// Returns the active verifier.
    pub fn current(&self) -> Verifier {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the verifier that is active unless the store names another.
    pub(crate) fn built_in(&self) -> Verifier {
        self.built_in.clone()
    }

    /// Replaces the active verifier. Calls in flight finish on the old one.
    pub(crate) fn replace(&self, verifier: Verifier) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = verifier;
    }
}
