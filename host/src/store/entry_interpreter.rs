//! The host's interpretation of texts that the store does not parse, used to compare tables with
//! the log.

use crate::store::About;

/// The host's interpretation of the texts in its store.
pub trait EntryInterpreter {
    /// Returns the subject of an entry, given its text; `None` if this host does not write such an
    /// entry.
    fn about(&self, entry: &str) -> Option<About>;

    /// Returns whether the store holds a module's bytes, given the module's row.
    fn keeps_bytes(&self, module: &str) -> bool;

    /// Returns a time in unix seconds: no answer that was stored at or after it has been deleted.
    fn answers_since(&self) -> u64;
}
