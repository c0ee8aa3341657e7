//! What a store keeps and does not read, for who compares its tables with its log.

use crate::store::About;

/// What the host knows of the texts in its store.
pub trait Meaning {
    /// What an entry is about, by its text; `None` for one that this host does not write.
    fn about(&self, entry: &str) -> Option<About>;

    /// Whether a module's bytes are in the store, by the module's row.
    fn keeps_bytes(&self, module: &str) -> bool;

    /// The time, in unix seconds, since which no kept answer has been forgotten.
    fn answers_since(&self) -> u64;
}
