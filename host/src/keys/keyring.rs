//! Changes to a keyring file: one at a time, each written atomically.

use std::path::Path;

use signoff_core::person::same_person;
use zeroize::Zeroizing;

use super::ed25519::{new_seed, public_of};
use super::entry::{Entry, KeyDescription, Material, Status, Usage};
use super::error::KeyError;
use super::file;
use super::incoming::Incoming;
use super::lock::locked;
use super::name::{Approver, Group, KeyId, derived, fingerprint};
use super::secret::new_secret;
use super::set::{check_together, revoke_by_material};

/// The entries of a keyring file, for changing them.
#[derive(Default)]
pub struct Keyring {
    entries: Vec<Entry>,
    changed: bool,
}

/// A key to generate. Unset fields take their defaults.
#[derive(Clone, Debug, Default)]
pub struct NewKey {
    /// Derived from the key itself by default.
    pub id: Option<KeyId>,
    /// `hmac-sha256` or `ed25519`. Defaults to HMAC for a key for approvals without an approver,
    /// and to Ed25519 otherwise.
    pub algorithm: Option<&'static str>,
    /// Defaults to [`Usage::Approve`].
    pub usage: Option<Usage>,
    /// Defaults to [`Status::Active`].
    pub status: Option<Status>,
    /// The approver it is bound to.
    pub approver: Option<Approver>,
    /// The groups it decides for.
    pub groups: Vec<Group>,
}

/// The result of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// The key was changed.
    Done,
    /// The key already had that status.
    Already,
}

/// The result of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// The key was added.
    Added,
    /// The key existed, and its groups, its private half or its status were updated.
    Updated,
    /// The key existed and was not changed.
    Already,
}

impl Keyring {
    /// Reads a keyring file; `None` if there is no file.
    ///
    /// # Errors
    ///
    /// As [`super::KeySource::load`] for a file.
    pub fn read(path: &Path) -> Result<Option<Self>, KeyError> {
        let Some(file) = file::read(path)? else { return Ok(None) };
        let mut entries = file.entries()?;
        revoke_by_material(&mut entries)?;
        Ok(Some(Self { entries, changed: false }))
    }

    /// Generates a key.
    ///
    /// # Errors
    ///
    /// In this order: an unsupported combination of algorithm, use and approver; an id that is
    /// taken; a second active `log` key; an approver whose other keys name them in another spelling.
    pub fn generate(&mut self, new: NewKey) -> Result<KeyDescription, KeyError> {
        let usage = new.usage.unwrap_or(Usage::Approve);
        let hmac = match new.algorithm {
            Some(algorithm) => algorithm == "hmac-sha256",
            None => usage == Usage::Approve && new.approver.is_none(),
        };
        let material = if hmac {
            Material::Hmac(Zeroizing::new(new_secret().as_bytes().to_vec()))
        } else {
            let seed = new_seed();
            Material::Ed25519 { public: public_of(&seed), seed: Some(seed) }
        };
        let prefix = match usage {
            Usage::Approve if hmac => "hmac",
            Usage::Approve => "ed25519",
            Usage::Log | Usage::Module => usage.as_str(),
        };
        let id = match new.id {
            Some(id) => id,
            None => derived(prefix, material.verifying())?,
        };
        let mut groups = new.groups;
        groups.sort_unstable();
        groups.dedup();
        let status = new.status.unwrap_or(Status::Active);
        let entry = Entry { id, material, status, usage, approver: new.approver, groups };
        bound_if_it_must_be(&entry)?;
        // A written entry must be readable again.
        let entry = entry.to_text().read()?;
        if self.find(entry.id.as_str()).is_some() {
            return Err(change(&entry, "already exists; choose another --id"));
        }
        let active_log =
            |entry: &Entry| entry.usage == Usage::Log && entry.status == Status::Active;
        if let Some(other) =
            self.entries.iter().find(|other| active_log(other)).filter(|_| active_log(&entry))
        {
            return Err(change(
                other,
                "is the active log key; create the new one with --status verify-only, and promote it after every verifier has it",
            ));
        }
        self.spelled_alike(&entry)?;
        let made = entry.described();
        self.entries.push(entry);
        self.checked()?;
        Ok(made)
    }

    /// Imports an entry. If the key exists, its groups, private half and revocation are updated
    /// from the entry; a revoked key never becomes valid again.
    ///
    /// # Errors
    ///
    /// In this order: an id that is taken by another key; a key with another approver or use; an
    /// approver whose other keys name them in another spelling; a key that was revoked under another
    /// id; conflicting keys.
    pub fn import(&mut self, incoming: Incoming) -> Result<Imported, KeyError> {
        let new = incoming.into_entry();
        let Some(old) = self.entries.iter_mut().find(|old| old.id == new.id) else {
            self.spelled_alike(&new)?;
            self.never_revoked(&new)?;
            self.entries.push(new);
            self.checked()?;
            return Ok(Imported::Added);
        };
        if old.material.verifying() != new.material.verifying()
            || old.material.algorithm() != new.material.algorithm()
        {
            return Err(change(&new, "already exists with other key material"));
        }
        if old.approver != new.approver || old.usage != new.usage {
            return Err(change(
                &new,
                "already exists with another approver or use, which never change; generate a new key",
            ));
        }
        let mut updated = false;
        if old.groups != new.groups {
            old.groups = new.groups;
            updated = true;
        }
        if old.material.signing().is_none() && new.material.signing().is_some() {
            old.material = new.material;
            updated = true;
        }
        if new.status == Status::Revoked && old.status != Status::Revoked {
            old.status = Status::Revoked;
            updated = true;
        }
        if !updated {
            return Ok(Imported::Already);
        }
        self.checked()?;
        Ok(Imported::Updated)
    }

    /// Checks that a key does not come back under another id after it was revoked. Keys are compared
    /// by fingerprint, as different HMAC secrets can be one key.
    fn never_revoked(&self, new: &Entry) -> Result<(), KeyError> {
        let of_new = fingerprint(new.material.verifying())?;
        for entry in self.entries.iter().filter(|entry| entry.status == Status::Revoked) {
            if fingerprint(entry.material.verifying())? == of_new {
                let why =
                    format!("is key `{}`, which is revoked for good; generate a new key", entry.id);
                return Err(change(new, &why));
            }
        }
        Ok(())
    }

    /// Checks that all keys of a person name them in one spelling.
    fn spelled_alike(&self, new: &Entry) -> Result<(), KeyError> {
        let Some(approver) = &new.approver else { return Ok(()) };
        let other = self.entries.iter().filter_map(|entry| Some((entry, entry.approver.as_ref()?)));
        let other = other
            .filter(|(_, known)| known != &approver)
            .find(|(_, known)| same_person(known.as_str(), approver.as_str()));
        match other {
            None => Ok(()),
            Some((entry, known)) => Err(change(
                new,
                &format!(
                    "names the approver `{}`, whom key `{}` names `{}`; write one person in one way",
                    approver.as_str(),
                    entry.id,
                    known.as_str()
                ),
            )),
        }
    }

    /// Changes `verify-only` to `active`. Only one `log` key is active: the previous one is
    /// retired.
    ///
    /// # Errors
    ///
    /// In this order: an unknown key; a revoked key; a `log` key without its private half.
    pub fn promote(&mut self, id: &str) -> Result<Changed, KeyError> {
        let entry = self.known(id)?;
        match entry.status {
            Status::Active => return Ok(Changed::Already),
            Status::Revoked => return Err(change(entry, "is revoked, which is final")),
            Status::VerifyOnly => {}
        }
        let is_log = entry.usage == Usage::Log;
        if is_log && entry.material.signing().is_none() {
            return Err(change(entry, "cannot sign: its private half is not in this keyring"));
        }
        for entry in &mut self.entries {
            if entry.id.as_str() == id {
                entry.status = Status::Active;
            } else if is_log && entry.usage == Usage::Log && entry.status == Status::Active {
                entry.status = Status::VerifyOnly;
            }
        }
        self.checked()?;
        Ok(Changed::Done)
    }

    /// Changes `active` to `verify-only`: its signatures stay valid, and it signs no more.
    ///
    /// # Errors
    ///
    /// In this order: an unknown key; a revoked key.
    pub fn retire(&mut self, id: &str) -> Result<Changed, KeyError> {
        let entry = self.known(id)?;
        match entry.status {
            Status::VerifyOnly => return Ok(Changed::Already),
            Status::Revoked => return Err(change(entry, "is revoked, which is final")),
            Status::Active => entry.status = Status::VerifyOnly,
        }
        self.checked()?;
        Ok(Changed::Done)
    }

    /// Changes any status to `revoked`, permanently, under every id of the key. The entry stays, so
    /// that its signatures are refused as revoked.
    ///
    /// # Errors
    ///
    /// In this order: an unknown key; the active log key.
    pub fn revoke(&mut self, id: &str) -> Result<Changed, KeyError> {
        let entry = self.known(id)?;
        if entry.status == Status::Revoked {
            return Ok(Changed::Already);
        }
        // Without an active log key nothing can be written, and the head signed by a revoked one is
        // not trusted.
        if entry.usage == Usage::Log && entry.status == Status::Active {
            return Err(change(
                entry,
                "is the active log key; promote another one, let the server write an entry under it, then revoke this one",
            ));
        }
        entry.status = Status::Revoked;
        self.checked()?;
        Ok(Changed::Done)
    }

    /// Returns the description of every key, and whether its signing material is available.
    pub fn described(&self) -> impl Iterator<Item = (KeyDescription, bool)> {
        self.entries.iter().map(|entry| (entry.described(), entry.material.signing().is_some()))
    }

    /// Returns a key's entry for import into another keyring: one line of JSON without a secret;
    /// `None` for an HMAC key, which is a secret.
    pub fn public_entry(&self, id: &str) -> Option<String> {
        serde_json::to_string(&self.find(id)?.to_public_text()?).ok()
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn find(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id.as_str() == id)
    }

    fn known(&mut self, id: &str) -> Result<&mut Entry, KeyError> {
        let found = self.entries.iter_mut().find(|entry| entry.id.as_str() == id);
        found.ok_or_else(|| KeyError::Entry(format!("no key of this keyring has the id `{id}`")))
    }

    /// Validates the keyring after a change.
    fn checked(&mut self) -> Result<(), KeyError> {
        self.changed = true;
        check_together(&self.entries).map_err(KeyError::Conflict)?;
        revoke_by_material(&mut self.entries)
    }
}

/// Changes a keyring file under a lock: concurrent changes are serialized, and none is lost. The
/// file is created if it is missing, unless the change fails; it is written only if it changed.
///
/// # Errors
///
/// In this order: a lock that is not released in time; a keyring that cannot be read; an error of
/// the change; a file that cannot be written.
pub fn edit<T>(
    path: &Path,
    change: impl FnOnce(&mut Keyring) -> Result<T, KeyError>,
) -> Result<T, KeyError> {
    locked(path, |path| {
        let mut keyring = Keyring::read(path)?.unwrap_or_default();
        let answer = change(&mut keyring)?;
        if keyring.changed {
            file::replace(path, keyring.entries())?;
        }
        Ok(answer)
    })
}

/// Requires an approver for an Ed25519 key for approvals: its signatures count for that approver
/// only.
pub(crate) fn bound_if_it_must_be(entry: &Entry) -> Result<(), KeyError> {
    entry.fits_together().map_err(|why| change(entry, &format!("does not fit: {why}")))?;
    match (&entry.material, entry.usage, &entry.approver) {
        (Material::Ed25519 { .. }, Usage::Approve, None) => {
            Err(change(entry, "is ed25519 for approvals, so it needs an --approver"))
        }
        _ => Ok(()),
    }
}

pub(crate) fn change(entry: &Entry, why: &str) -> KeyError {
    KeyError::Change { id: entry.id.to_string(), why: why.to_owned() }
}
