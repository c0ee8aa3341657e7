//! Changes of a keyring file: one at a time, each written as a whole.

use std::path::Path;

use zeroize::Zeroizing;

use super::ed25519::{new_seed, public_of};
use super::entry::{Entry, KeyDescription, Material, Status, Usage};
use super::error::KeyError;
use super::file;
use super::incoming::Incoming;
use super::lock::locked;
use super::name::{Approver, Group, KeyId, derived};
use super::secret::new_secret;
use super::set::check_together;

/// The entries of a keyring file, to change.
#[derive(Default)]
pub struct Keyring {
    entries: Vec<Entry>,
    changed: bool,
}

/// A key to make. What is none is picked to fit.
#[derive(Clone, Debug, Default)]
pub struct NewKey {
    /// Made from the key itself if none.
    pub id: Option<KeyId>,
    /// `hmac-sha256` or `ed25519`; HMAC only for a key for approvals that is bound to nobody, if
    /// none.
    pub algorithm: Option<&'static str>,
    /// [`Usage::Approve`] if none.
    pub usage: Option<Usage>,
    /// [`Status::Active`] if none.
    pub status: Option<Status>,
    /// Whom it is bound to.
    pub approver: Option<Approver>,
    /// The groups it decides for.
    pub groups: Vec<Group>,
}

/// What a change did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It changed the key.
    Done,
    /// The key was so already.
    Already,
}

/// What taking in an entry did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// A new key is there.
    Added,
    /// The key was there, and its groups, its private half or its status are new.
    Updated,
    /// The key was there as it is.
    Already,
}

impl Keyring {
    /// Reads a keyring file, none where no file is.
    ///
    /// # Errors
    ///
    /// As [`super::KeySource::load`] has them of a file.
    pub fn read(path: &Path) -> Result<Option<Self>, KeyError> {
        let Some(file) = file::read(path)? else { return Ok(None) };
        Ok(Some(Self { entries: file.entries()?, changed: false }))
    }

    /// Makes a key.
    ///
    /// # Errors
    ///
    /// In this order: an algorithm, use and approver that do not go together; an id that is taken;
    /// an active `log` key where another one is active.
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
        // What is written must be readable again.
        let entry = entry.to_text().read()?;
        if self.find(entry.id.as_str()).is_some() {
            return Err(change(&entry, "is there already; choose another --id"));
        }
        let active_log =
            |entry: &Entry| entry.usage == Usage::Log && entry.status == Status::Active;
        if let Some(other) =
            self.entries.iter().find(|other| active_log(other)).filter(|_| active_log(&entry))
        {
            return Err(change(
                other,
                "is the active log key; make the new one with --status verify-only, and promote it once everybody who verifies has it",
            ));
        }
        let made = entry.described();
        self.entries.push(entry);
        self.checked()?;
        Ok(made)
    }

    /// Takes in an entry from elsewhere. Of one that is there already the groups are taken, and the
    /// private half, and that it is revoked; nothing makes a revoked key count again.
    ///
    /// # Errors
    ///
    /// The id of another key, or a key of another approver or use; keys that do not go together.
    pub fn import(&mut self, incoming: Incoming) -> Result<Imported, KeyError> {
        let new = incoming.into_entry();
        let Some(old) = self.entries.iter_mut().find(|old| old.id == new.id) else {
            self.entries.push(new);
            self.checked()?;
            return Ok(Imported::Added);
        };
        if old.material.verifying() != new.material.verifying()
            || old.material.algorithm() != new.material.algorithm()
        {
            return Err(change(&new, "is there already, and it is another key"));
        }
        if old.approver != new.approver || old.usage != new.usage {
            return Err(change(
                &new,
                "is there already for another approver or use; that of a key never changes, so a new key is needed",
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

    /// `verify-only` becomes `active`. Of `log` keys one is active: the one that was retires.
    ///
    /// # Errors
    ///
    /// No such key; a revoked one; one whose private half is not here.
    pub fn promote(&mut self, id: &str) -> Result<Changed, KeyError> {
        let entry = self.known(id)?;
        match entry.status {
            Status::Active => return Ok(Changed::Already),
            Status::Revoked => return Err(change(entry, "is revoked, and that is final")),
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

    /// `active` becomes `verify-only`: what it signed counts, and it signs nothing more.
    ///
    /// # Errors
    ///
    /// No such key; a revoked one.
    pub fn retire(&mut self, id: &str) -> Result<Changed, KeyError> {
        let entry = self.known(id)?;
        match entry.status {
            Status::VerifyOnly => return Ok(Changed::Already),
            Status::Revoked => return Err(change(entry, "is revoked, and that is final")),
            Status::Active => entry.status = Status::VerifyOnly,
        }
        self.checked()?;
        Ok(Changed::Done)
    }

    /// Any status becomes `revoked`, for good. The entry stays, so that what it signed is refused
    /// as that.
    ///
    /// # Errors
    ///
    /// No such key; the active log key.
    pub fn revoke(&mut self, id: &str) -> Result<Changed, KeyError> {
        let entry = self.known(id)?;
        if entry.status == Status::Revoked {
            return Ok(Changed::Already);
        }
        // Without one nothing is written any more, and the head that it signed is not believed.
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

    /// What may be told of every key, and whether it can sign here.
    pub fn described(&self) -> impl Iterator<Item = (KeyDescription, bool)> {
        self.entries.iter().map(|entry| (entry.described(), entry.material.signing().is_some()))
    }

    /// A key's entry as another keyring may import it: one line of JSON without a secret, none of
    /// an HMAC key, which is one.
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

    /// After a change.
    fn checked(&mut self) -> Result<(), KeyError> {
        self.changed = true;
        check_together(&self.entries).map_err(KeyError::Conflict)
    }
}

/// Changes a keyring file, alone: two changes at once take turns, and neither is lost. The file is
/// made where it is not there, unless the change fails; it is written only if it changed.
///
/// # Errors
///
/// In this order: another change that does not end; a keyring that cannot be read; the change's
/// own; a file that cannot be written.
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

/// A signature of an Ed25519 key counts for the one approver whom it is bound to.
pub(crate) fn bound_if_it_must_be(entry: &Entry) -> Result<(), KeyError> {
    entry.fits_together().map_err(|why| change(entry, &format!("does not fit: {why}")))?;
    match (&entry.material, entry.usage, &entry.approver) {
        (Material::Ed25519 { .. }, Usage::Approve, None) => {
            Err(change(entry, "is ed25519 for approvals, so it needs an --approver"))
        }
        _ => Ok(()),
    }
}

fn change(entry: &Entry, why: &str) -> KeyError {
    KeyError::Change { id: entry.id.to_string(), why: why.to_owned() }
}
