//! The keys of one moment: what the verifier is given, and what signs on this machine.

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
use super::name::fingerprint;
use super::secret::entry_of_secret;
use super::source::KeySource;
use crate::verifier::Key;

/// The keys of one moment. Clones share them; the last one wipes them.
#[derive(Clone, Default)]
pub struct Keys(Arc<Set>);

#[derive(Default)]
struct Set {
    entries: Vec<Entry>,
    verifying: Vec<Key>,
}

/// A key to sign with, for the verifier's `signing.sign`: its material is the secret or the seed.
/// Wiped when it is dropped.
pub struct Signer(Key);

/// The key that signs the audit log's checkpoints.
pub struct LogKey {
    id: String,
    key: SigningKey,
}

/// A key that checkpoints are verified with.
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
    /// The keys of the environment and of a keyring file, where there is one: as
    /// [`KeySource::load`] without a command.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn load(keyring: &Path) -> Result<Self, KeyError> {
        KeySource::new(keyring.to_owned(), None).load()
    }

    /// The key of one secret.
    ///
    /// # Errors
    ///
    /// A weak secret.
    pub fn of_secret(secret: &str) -> Result<Self, KeyError> {
        Self::of_entries(vec![entry_of_secret("the secret", secret)?])
    }

    /// Keys that go together.
    ///
    /// # Errors
    ///
    /// As [`check_together`].
    pub(crate) fn of_entries(entries: Vec<Entry>) -> Result<Self, KeyError> {
        check_together(&entries).map_err(KeyError::Conflict)?;
        let approving = entries.iter().filter(|entry| entry.usage == Usage::Approve);
        let verifying = approving.map(Entry::to_verify).collect();
        Ok(Self(Arc::new(Set { entries, verifying })))
    }

    /// The keys that can have signed ballots, for the verifier to verify with: of an Ed25519 key
    /// the public half.
    pub fn entries(&self) -> &[Key] {
        &self.0.verifying
    }

    /// The key to sign a `v1` statement with: the first active one for approvals that is HMAC and
    /// bound to nobody. The verifier checks it again.
    pub fn to_sign_v1(&self) -> Option<&Key> {
        self.0.verifying.iter().find(|key| {
            key.algorithm == "hmac-sha256" && key.status == "active" && key.approver.is_none()
        })
    }

    /// The key to sign a `v2` statement of an approver with: of their active keys that can sign
    /// here the newest, which is the last one in the keyring.
    pub fn to_sign_v2(&self, approver: &str) -> Option<Signer> {
        let mut theirs = self.approving().rev().filter(|entry| entry.signs());
        theirs
            .find(|entry| bound_to(entry).is_some_and(|bound| same_person(bound, approver)))
            .and_then(Signer::of)
    }

    /// The key of an id to sign with, whatever its status: the verifier says what is wrong with it.
    pub fn signer(&self, id: &str) -> Option<Signer> {
        self.approving().find(|entry| entry.id.as_str() == id).and_then(Signer::of)
    }

    /// The approvers that this machine can sign for, each once.
    pub fn approvers(&self) -> Vec<&str> {
        let signing = self.approving().filter(|entry| entry.signs());
        let mut approvers: Vec<&str> = signing.filter_map(bound_to).collect();
        approvers.sort_unstable_by_key(|name| name.to_ascii_lowercase());
        approvers.dedup_by(|a, b| same_person(a, b));
        approvers
    }

    /// The one active `log` key, where its seed is here.
    pub fn log_key(&self) -> Option<LogKey> {
        let mut log = self.0.entries.iter().filter(|entry| entry.usage == Usage::Log);
        log.find_map(|entry| match (&entry.material, entry.status) {
            (Material::Ed25519 { seed: Some(seed), .. }, Status::Active) => {
                Some(LogKey { id: entry.id.to_string(), key: SigningKey::from_bytes(seed) })
            }
            _ => None,
        })
    }

    /// The keys that checkpoints are verified with: every `log` key that is not revoked.
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

    /// What may be told of every key, for lists and the audit.
    pub fn described(&self) -> Vec<KeyDescription> {
        self.0.entries.iter().map(Entry::described).collect()
    }

    /// Whether these are the same keys, whenever they were read.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.entries == other.0.entries
    }

    /// Whether both came from one reading.
    #[cfg(test)]
    pub(crate) fn is_identical(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The ids of all keys, for people.
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

    /// The key, for the verifier.
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

impl LogKey {
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

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogKey").field(&self.id).finish()
    }
}

fn bound_to(entry: &Entry) -> Option<&str> {
    entry.approver.as_ref().map(|approver| approver.as_str())
}

/// Whether keys go together.
///
/// # Errors
///
/// In this order: too many; two of one id; one material that serves two approvers, uses or
/// algorithms; two active `log` keys.
pub(crate) fn check_together(entries: &[Entry]) -> Result<(), String> {
    if entries.len() > KEYS_MAX {
        return Err(format!("{} keys, the limit is {KEYS_MAX}", entries.len()));
    }
    let mut of_id = BTreeSet::new();
    // By fingerprint: HMAC fills a secret up with zeros and hashes a long one, so texts that differ
    // can be one key.
    let mut of_material: HashMap<String, &Entry> = HashMap::new();
    for entry in entries {
        if !of_id.insert(&entry.id) {
            return Err(format!("two keys have the id `{}`", entry.id));
        }
    }
    for entry in entries {
        let fingerprint = fingerprint(entry.material.verifying()).map_err(|e| e.to_string())?;
        let Some(other) = of_material.insert(fingerprint, entry) else { continue };
        let serves = |entry: &Entry| (entry.usage, entry.material.algorithm());
        if other.approver != entry.approver || serves(other) != serves(entry) {
            return Err(format!(
                "keys `{}` and `{}` are one key; it can serve one approver and one use only",
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
