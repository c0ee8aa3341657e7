//! A loaded set of keys: those passed to the verifier, and those that sign on this machine.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use signoff_core::limits::KEYS_MAX;
use signoff_core::person::same_person;
use zeroize::Zeroize;

use super::ed25519::KEY_BYTES;
use super::entry::{Entry, KeyDescription, Material, Status, Usage};
use super::error::KeyError;
use super::file;
use super::name::fingerprint;
use super::secret::entry_of_secret;
use super::source::KeySource;
use crate::verifier::Key;

/// An immutable set of keys. Clones share it; dropping the last one wipes it.
#[derive(Clone, Default)]
pub struct Keys(Arc<Set>);

#[derive(Default)]
struct Set {
    entries: Vec<Entry>,
    verifying: Vec<Key>,
}

/// A signing key for the verifier's `signing.sign`: its material is the secret or the seed. Wiped
/// on drop.
pub struct Signer(Key);

/// The key that signs the audit log's checkpoints.
pub struct LogSecret {
    id: String,
    key: SigningKey,
}

/// A key that verifies checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPublic {
    /// Its id.
    pub id: String,
    /// `active` or `verify-only`.
    pub status: Status,
    /// The Ed25519 public key.
    pub public_key: [u8; KEY_BYTES],
}

impl Keys {
    /// Loads the keys of the environment and of a keyring file, if there is one: as
    /// [`KeySource::load`] without a command.
    ///
    /// # Errors
    ///
    /// As [`KeySource::load`].
    pub fn load(keyring: &Path) -> Result<Self, KeyError> {
        KeySource::new(keyring.to_owned(), None).load()
    }

    /// Loads the keys of a keyring file only, which must exist: whoever names the keys to trust must
    /// not get others from the environment, nor none because of a typing error.
    ///
    /// # Errors
    ///
    /// A file that is missing, that other users can read, or that is not a keyring.
    pub fn of_file(keyring: &Path) -> Result<Self, KeyError> {
        let Some(file) = file::read(keyring)? else { return Err(file::missing(keyring)) };
        Self::of_entries(file.entries()?)
    }

    /// Makes the key of one secret.
    ///
    /// # Errors
    ///
    /// A weak secret.
    pub fn of_secret(secret: &str) -> Result<Self, KeyError> {
        Self::of_entries(vec![entry_of_secret("the secret", secret)?])
    }

    /// Makes a set of entries that do not conflict.
    ///
    /// # Errors
    ///
    /// As [`check_together`].
    pub(crate) fn of_entries(mut entries: Vec<Entry>) -> Result<Self, KeyError> {
        check_together(&entries).map_err(KeyError::Conflict)?;
        revoke_by_material(&mut entries)?;
        let approving = entries.iter().filter(|entry| entry.usage == Usage::Approve);
        let verifying = approving.map(Entry::to_verify).collect();
        Ok(Self(Arc::new(Set { entries, verifying })))
    }

    /// Returns the keys that can have signed ballots, with their verifying material: for an Ed25519
    /// key the public half.
    pub fn entries(&self) -> &[Key] {
        &self.0.verifying
    }

    /// Returns the key that signs `v1` statements: the first active HMAC key for approvals without
    /// an approver. The verifier checks it again.
    pub fn to_sign_v1(&self) -> Option<&Key> {
        self.0.verifying.iter().find(|key| {
            key.algorithm == "hmac-sha256" && key.status == "active" && key.approver.is_none()
        })
    }

    /// Returns the key that signs an approver's `v2` statements: the newest of their active keys
    /// whose signing material is available, which is the last one in the keyring.
    pub fn to_sign_v2(&self, approver: &str) -> Option<Signer> {
        let mut theirs = self.approving().rev().filter(|entry| entry.signs());
        theirs
            .find(|entry| bound_to(entry).is_some_and(|bound| same_person(bound, approver)))
            .and_then(Signer::of)
    }

    /// Returns the signing key with an id, regardless of its status, which the verifier checks.
    pub fn signer(&self, id: &str) -> Option<Signer> {
        self.approving().find(|entry| entry.id.as_str() == id).and_then(Signer::of)
    }

    /// Returns the approvers for whom this machine can sign, without duplicates.
    pub fn approvers(&self) -> Vec<&str> {
        let signing = self.approving().filter(|entry| entry.signs());
        let mut approvers: Vec<&str> = signing.filter_map(bound_to).collect();
        approvers.sort_unstable_by_key(|name| name.to_ascii_lowercase());
        approvers.dedup_by(|a, b| same_person(a, b));
        approvers
    }

    /// Returns the active `log` key, if its seed is available.
    pub fn log_key(&self) -> Option<LogSecret> {
        let mut log = self.0.entries.iter().filter(|entry| entry.usage == Usage::Log);
        log.find_map(|entry| match (&entry.material, entry.status) {
            (Material::Ed25519 { seed: Some(seed), .. }, Status::Active) => {
                Some(LogSecret { id: entry.id.to_string(), key: SigningKey::from_bytes(seed) })
            }
            _ => None,
        })
    }

    /// Returns the keys that verify checkpoints: every `log` key that is not revoked.
    pub fn log_public(&self) -> Vec<LogPublic> {
        let log = self.0.entries.iter().filter(|entry| entry.usage == Usage::Log);
        log.filter(|entry| entry.status != Status::Revoked)
            .filter_map(|entry| match entry.material {
                Material::Ed25519 { public, .. } => Some(LogPublic {
                    id: entry.id.to_string(),
                    status: entry.status,
                    public_key: public,
                }),
                Material::Hmac(_) => None,
            })
            .collect()
    }

    /// Returns the public description of every key, for lists and the audit log.
    pub fn described(&self) -> Vec<KeyDescription> {
        self.0.entries.iter().map(Entry::described).collect()
    }

    /// Returns whether both sets have the same keys.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.entries == other.0.entries
    }

    /// Returns whether both are clones of one set.
    #[cfg(test)]
    pub(crate) fn is_identical(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns the ids of all keys.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.entries.iter().map(|entry| entry.id.as_str())
    }

    pub(super) fn all(&self) -> &[Entry] {
        &self.0.entries
    }

    fn approving(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.0.entries.iter().filter(|entry| entry.usage == Usage::Approve)
    }
}

impl Signer {
    fn of(entry: &Entry) -> Option<Self> {
        entry.to_sign().map(Self)
    }

    /// Returns the key, for the verifier.
    pub fn key(&self) -> &Key {
        &self.0
    }
}

impl Deref for Signer {
    type Target = Key;

    fn deref(&self) -> &Key {
        &self.0
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        self.0.material.zeroize();
    }
}

impl LogSecret {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The signing key.
    pub fn signing_key(&self) -> &SigningKey {
        &self.key
    }

    /// The Ed25519 public key.
    pub fn public_key(&self) -> [u8; KEY_BYTES] {
        self.key.verifying_key().to_bytes()
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        for key in &mut self.verifying {
            key.material.zeroize();
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

impl fmt::Debug for LogSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogSecret").field(&self.id).finish()
    }
}

fn bound_to(entry: &Entry) -> Option<&str> {
    entry.approver.as_ref().map(|approver| approver.as_str())
}

/// Revokes every entry of a key that is revoked under any id: the key is revoked, not its name.
pub(crate) fn revoke_by_material(entries: &mut [Entry]) -> Result<(), KeyError> {
    let revoked = entries.iter().filter(|entry| entry.status == Status::Revoked);
    let revoked = revoked.map(|entry| fingerprint(entry.material.verifying()));
    let revoked = revoked.collect::<Result<BTreeSet<_>, _>>()?;
    if revoked.is_empty() {
        return Ok(());
    }
    for entry in entries {
        if revoked.contains(&fingerprint(entry.material.verifying())?) {
            entry.status = Status::Revoked;
        }
    }
    Ok(())
}

/// Checks that keys do not conflict.
///
/// # Errors
///
/// In this order: too many keys; a duplicate id; one material with two approvers, uses or
/// algorithms; two active `log` keys.
pub(crate) fn check_together(entries: &[Entry]) -> Result<(), String> {
    if entries.len() > KEYS_MAX {
        return Err(format!("{} keys, the limit is {KEYS_MAX}", entries.len()));
    }
    let mut of_id = BTreeSet::new();
    // Compared by fingerprint: HMAC pads a short secret with zeros and hashes a long one, so
    // different texts can be the same key.
    let mut of_material: HashMap<String, &Entry> = HashMap::new();
    for entry in entries {
        if !of_id.insert(&entry.id) {
            return Err(format!("two keys have the id `{}`", entry.id));
        }
    }
    for entry in entries {
        let fingerprint = fingerprint(entry.material.verifying()).map_err(|e| e.to_string())?;
        let Some(other) = of_material.insert(fingerprint, entry) else { continue };
        let purpose = |entry: &Entry| (entry.usage, entry.material.algorithm());
        if other.approver != entry.approver || purpose(other) != purpose(entry) {
            return Err(format!(
                "keys `{}` and `{}` are one key; a key has one approver and one use",
                other.id, entry.id
            ));
        }
    }
    let is_log = |entry: &&Entry| entry.usage == Usage::Log && entry.status == Status::Active;
    let mut log = entries.iter().filter(is_log);
    match (log.next(), log.next()) {
        (Some(a), Some(b)) => Err(format!(
            "log keys `{}` and `{}` are both active; `signoff key retire` one",
            a.id, b.id
        )),
        _ => Ok(()),
    }
}
