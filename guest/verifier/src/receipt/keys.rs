//! The keys of the ballots as the log records them.

use super::entry::Entry;
use super::{entry_invalid, invalid};
use crate::key::{Key, Keyring, LoggedKey};
use crate::record::Ballot;
use crate::rejection::Rejection;

/// The keys that a receipt's entries record, in the order of the log.
pub(super) struct LoggedKeys(Vec<Entry<LoggedKey>>);

impl LoggedKeys {
    /// Creates the keys of a receipt: those that its ballots name, and others of the same material.
    ///
    /// Rejections: `receipt-invalid` for a malformed key, or one that nothing in the receipt needs.
    pub(super) fn new(
        entries: Vec<Entry<LoggedKey>>,
        ballots: &[Ballot],
    ) -> Result<Self, Rejection> {
        let is_named = |key: &Key| ballots.iter().any(|b| b.key_id == key.id.as_str());
        let mut keys = Vec::with_capacity(entries.len());
        for entry in &entries {
            let key = entry.event.read();
            keys.push((entry.number, key.map_err(|e| entry_invalid(entry.number, &e.message))?));
        }
        let is_needed = |key: &Key| {
            is_named(key)
                || keys.iter().any(|(_, other)| is_named(other) && other.has_same_material(key))
        };
        match keys.iter().find(|(_, key)| !is_needed(key)) {
            None => Ok(Self(entries)),
            Some((number, key)) => {
                Err(entry_invalid(*number, &format!("no ballot names the key `{}`", key.id)))
            }
        }
    }

    /// Returns the keys recorded before an entry, together with pinned keys, which take precedence.
    ///
    /// Rejections: `receipt-invalid`.
    pub(super) fn before(&self, number: u64, pinned: Keyring) -> Result<Keyring, Rejection> {
        let recorded = self.0.iter().filter(|entry| entry.number < number);
        let keys = recorded.map(|entry| entry.event.read()).collect::<Result<Vec<_>, _>>();
        Ok(pinned.beside(keys.map_err(|e| invalid(e.message))?.into_iter()))
    }
}
