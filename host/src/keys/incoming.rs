//! Entries to import into a keyring.

use super::entry::{Entry, EntryText, KeyDescription, Material, Usage};
use super::error::KeyError;
use super::file;
use super::keyring::{bound_if_it_must_be, change};
use super::name::{Approver, Group};

/// An entry to import.
#[derive(Clone)]
pub struct Incoming(Entry);

/// What the operator says of an entry. One that says otherwise is refused.
pub struct Binding {
    /// What it may sign.
    pub usage: Usage,
    /// The approver whose key it is.
    pub approver: Option<Approver>,
    /// The groups of the approver, or the slots of a module key.
    pub groups: Vec<Group>,
}

impl Incoming {
    /// Parses one entry. An approver or groups that it does not name are those of the binding. The
    /// private half is dropped unless `with_private`.
    ///
    /// # Errors
    ///
    /// In this order: malformed JSON, or no or several entries; a malformed entry; another use,
    /// approver or groups than the operator's; a secret without an approver, unless `with_private`; an
    /// Ed25519 entry for approvals without an approver.
    pub fn one(text: &[u8], binding: &Binding, with_private: bool) -> Result<Self, KeyError> {
        let mut texts = entries(text)?;
        let (Some(text), true) = (texts.pop(), texts.is_empty()) else {
            return Err(KeyError::Entry(format!(
                "{} entries; pass one, or --all to import each as the file has it",
                texts.len() + 1
            )));
        };
        let mut entry = text.read()?;
        binding.fits(&entry)?;
        let is_shared = matches!(entry.material, Material::Hmac(_)) && binding.approver.is_none();
        if is_shared && !with_private {
            return Err(change(
                &entry,
                "is a secret that signs for anyone: --with-private imports it, --approver binds it",
            ));
        }
        entry.approver.clone_from(&binding.approver);
        entry.groups.clone_from(&binding.groups);
        // Checked once more with what was added.
        Self::checked(entry.to_text().read()?, with_private)
    }

    /// Parses an entry, a list of entries, or a keyring, of which the operator accepts everything.
    /// Private halves are dropped unless `with_private`.
    ///
    /// # Errors
    ///
    /// In this order: malformed JSON or no entries; a malformed entry; an Ed25519 entry for
    /// approvals without an approver.
    pub fn all(text: &[u8], with_private: bool) -> Result<Vec<Self>, KeyError> {
        let texts = entries(text)?.into_iter();
        texts.map(|text| Self::checked(text.read()?, with_private)).collect()
    }

    fn checked(mut entry: Entry, with_private: bool) -> Result<Self, KeyError> {
        bound_if_it_must_be(&entry)?;
        if let (Material::Ed25519 { seed, .. }, false) = (&mut entry.material, with_private) {
            *seed = None;
        }
        Ok(Self(entry))
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

impl Binding {
    fn fits(&self, entry: &Entry) -> Result<(), KeyError> {
        let refused = |what: &str, named: &str, flag: &str, said: &str| {
            let said = if said.is_empty() {
                format!("there is no --{flag}")
            } else {
                format!("--{flag} is `{said}`")
            };
            let why = format!(
                "names the {what} `{named}`, but {said}: give the flag if that is right, else ask its owner for another entry"
            );
            Err(change(entry, &why))
        };
        let (usage, said) = (entry.usage.as_str(), self.usage.as_str());
        if usage != said {
            return refused("use", usage, "use", said);
        }
        if let Some(named) = &entry.approver
            && self.approver.as_ref() != Some(named)
        {
            let said = self.approver.as_ref().map_or("", Approver::as_str);
            return refused("approver", named.as_str(), "approver", said);
        }
        let names = |groups: &[Group]| {
            let mut names: Vec<&str> = groups.iter().map(Group::as_str).collect();
            names.sort_unstable();
            names.dedup();
            names.join(" ")
        };
        let (named, said) = (names(&entry.groups), names(&self.groups));
        if !named.is_empty() && named != said {
            let (what, flag) = match entry.usage {
                Usage::Module => ("slots", "slot"),
                Usage::Approve | Usage::Log => ("groups", "group"),
            };
            return refused(what, &named, flag, &said);
        }
        Ok(())
    }
}

fn entries(text: &[u8]) -> Result<Vec<EntryText>, KeyError> {
    let texts = entry_texts(text)?;
    if texts.is_empty() {
        return Err(KeyError::Entry("there is no entry to import".to_owned()));
    }
    Ok(texts)
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
