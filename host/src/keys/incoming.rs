//! Entries to import into a keyring.

use super::entry::{Entry, EntryText, KeyDescription, Material};
use super::error::KeyError;
use super::file;
use super::keyring::bound_if_it_must_be;
use super::name::{Approver, Group};

/// An entry to import.
pub struct Incoming(Entry);

impl Incoming {
    /// Parses entries from a JSON text: one, a list, or a whole keyring. `approver` and `groups`
    /// replace those of the entries; private halves are dropped unless `with_private`.
    ///
    /// # Errors
    ///
    /// In this order: malformed JSON or no entries; a malformed entry; an Ed25519 entry for
    /// approvals without an approver.
    pub fn parse(
        text: &[u8],
        approver: Option<&Approver>,
        groups: &[Group],
        with_private: bool,
    ) -> Result<Vec<Self>, KeyError> {
        let texts = entry_texts(text)?;
        if texts.is_empty() {
            return Err(KeyError::Entry("there is no entry to import".to_owned()));
        }
        let read = |mut text: EntryText| {
            if let Some(approver) = approver {
                text.approver = Some(approver.as_str().to_owned());
            }
            if !groups.is_empty() {
                text.groups = groups.iter().map(|group| group.as_str().to_owned()).collect();
            }
            let mut entry = text.read()?;
            bound_if_it_must_be(&entry)?;
            if let (Material::Ed25519 { seed, .. }, false) = (&mut entry.material, with_private) {
                *seed = None;
            }
            Ok(Self(entry))
        };
        texts.into_iter().map(read).collect()
    }

    /// Returns its public description.
    pub fn described(&self) -> KeyDescription {
        self.0.described()
    }

    /// Returns whether it contains a secret.
    pub fn is_secret(&self) -> bool {
        self.0.material.signing().is_some()
    }

    pub(crate) fn into_entry(self) -> Entry {
        self.0
    }
}

fn entry_texts(text: &[u8]) -> Result<Vec<EntryText>, KeyError> {
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') {
        return serde_json::from_slice(text).map_err(|e| no_entry(&e));
    }
    match serde_json::from_slice::<EntryText>(text) {
        Ok(one) => Ok(vec![one]),
        Err(of_entry) => match file::parse_texts(text) {
            Some(keyring) => Ok(keyring),
            None => Err(no_entry(&of_entry)),
        },
    }
}

/// Reports only the position: the text there may be a secret.
fn no_entry(e: &serde_json::Error) -> KeyError {
    KeyError::Entry(format!(
        "not a keyring entry (line {}, column {}): expected `id`, `algorithm`, `material`, `status`, `use`",
        e.line(),
        e.column()
    ))
}
