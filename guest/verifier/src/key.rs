//! Keys: id, algorithm, material, status, use, owner and groups.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use signoff_core::base64;
use signoff_core::fingerprint::fingerprint;
use zeroize::{Zeroize, Zeroizing};

use crate::limits::{ED25519_KEY_BYTES, HMAC_KEY_BYTES_MAX, HMAC_KEY_BYTES_MIN, KEYS_MAX};
use crate::name::{Identifier, KeyId};
use crate::person::same_person;
use crate::rejection::Rejection;
use crate::statement::Profile;

/// Block size of SHA-256: HMAC hashes longer keys first.
const HMAC_BLOCK_BYTES: usize = 64;

/// A keyring entry as passed by the host, not yet validated.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields of `key` in wit/types.wit")]
pub struct KeyEntry {
    pub id: String,
    pub algorithm: String,
    pub material: String,
    pub status: String,
    #[serde(rename = "use")]
    pub usage: String,
    #[serde(default)]
    pub approver: Option<String>,
    #[serde(default)]
    pub groups: Vec<String>,
}

impl Drop for KeyEntry {
    fn drop(&mut self) {
        self.material.zeroize();
    }
}

/// A validated key. Its material is wiped on drop.
pub struct Key {
    pub(crate) id: KeyId,
    pub(crate) algorithm: Algorithm,
    material: Material,
    pub(crate) status: KeyStatus,
    pub(crate) usage: KeyUse,
    pub(crate) approver: Option<Identifier>,
    pub(crate) groups: Vec<Identifier>,
}

/// What the caller has of a key.
enum Material {
    /// The secret of an HMAC key, or the public key or seed of an Ed25519 key.
    Bytes(Zeroizing<Vec<u8>>),
    /// The fingerprint of an HMAC key whose secret is unavailable: it cannot verify anything.
    Fingerprint(String),
}

/// A key as the audit log describes it. Only an Ed25519 key can verify anything.
#[derive(Deserialize)]
#[allow(missing_docs, reason = "the members of a `key_recorded` entry")]
pub(crate) struct LoggedKey {
    key_id: String,
    algorithm: String,
    status: String,
    #[serde(rename = "use")]
    usage: String,
    approver: Option<String>,
    groups: Vec<String>,
    fingerprint: String,
    public_key: Option<String>,
}

/// Signature algorithm. It belongs to the key, so no signature can choose another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256 (RFC 2104): signer and verifier hold one secret.
    HmacSha256,
    /// Ed25519 (RFC 8032): the verifier holds the public key, the signer the seed.
    Ed25519,
}

/// Lifecycle status of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStatus {
    /// Signs and verifies.
    Active,
    /// Verifies, including new ballots, but does not sign.
    VerifyOnly,
    /// Always refused, also for ballots cast before the revocation.
    Revoked,
}

/// Purpose of a key. Each key has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    /// Approvers' ballots.
    Approve,
    /// Audit checkpoints.
    Log,
    /// Module manifests.
    Module,
}

impl Key {
    /// Validates a keyring entry.
    ///
    /// Rejections: `request-invalid` for a malformed field or material of the wrong length.
    pub fn read(entry: &KeyEntry) -> Result<Self, Rejection> {
        Self::described(entry, None)
    }

    /// Validates an entry, using `fingerprint` in place of the material if given.
    fn described(entry: &KeyEntry, fingerprint: Option<&str>) -> Result<Self, Rejection> {
        let id = KeyId::new(entry.id.as_str())?;
        let fail = |message: &str| Rejection::request(format!("key `{id}`: {message}"));
        let known = [Algorithm::HmacSha256, Algorithm::Ed25519];
        let algorithm = known
            .into_iter()
            .find(|known| known.as_str() == entry.algorithm)
            .ok_or_else(|| fail("algorithm must be `hmac-sha256` or `ed25519`"))?;
        let material = match fingerprint {
            Some(fingerprint) => Material::Fingerprint(fingerprint.to_owned()),
            None => algorithm.material(&entry.material).map_err(|why| fail(&why))?,
        };
        let status = match entry.status.as_str() {
            "active" => KeyStatus::Active,
            "verify-only" => KeyStatus::VerifyOnly,
            "revoked" => KeyStatus::Revoked,
            _ => return Err(fail("status must be `active`, `verify-only` or `revoked`")),
        };
        let usage = match entry.usage.as_str() {
            "approve" => KeyUse::Approve,
            "log" => KeyUse::Log,
            "module" => KeyUse::Module,
            _ => return Err(fail("use must be `approve`, `log` or `module`")),
        };
        let approver = entry
            .approver
            .as_deref()
            .map(|approver| Identifier::new("approver", approver))
            .transpose()?;
        let groups = entry.groups.iter().map(|group| Identifier::new("group", group.as_str()));
        let groups = groups.collect::<Result<_, _>>()?;
        Ok(Self { id, algorithm, material, status, usage, approver, groups })
    }

    /// Returns whether the key can make signatures of a profile. A `v1` signature names neither key
    /// nor algorithm, so only an HMAC key without an approver can make one. A `v2` key signs for
    /// the approver it is bound to.
    pub(crate) fn can_sign(&self, profile: Profile) -> bool {
        self.usage == KeyUse::Approve
            && match profile {
                Profile::V1 => self.algorithm == Algorithm::HmacSha256 && self.approver.is_none(),
                Profile::V2 => true,
            }
    }

    /// Returns whether the key is bound to this approver, ignoring ASCII case.
    pub(crate) fn is_of(&self, approver: &str) -> bool {
        self.approver.as_ref().is_some_and(|bound| same_person(bound.as_str(), approver))
    }

    /// Returns whether the key's keyring entry lists the group.
    pub(crate) fn has_group(&self, group: &str) -> bool {
        self.groups.iter().any(|held| held.as_str() == group)
    }

    /// Returns whether two keys have the same algorithm and material, whatever their ids.
    pub(crate) fn has_same_material(&self, other: &Self) -> bool {
        let is_same = match (&self.material, &other.material) {
            (Material::Bytes(one), Material::Bytes(other)) => one == other,
            (one, other) => one.fingerprint() == other.fingerprint(),
        };
        self.algorithm == other.algorithm && is_same
    }

    /// Returns whether the key verifies with public material.
    pub(crate) fn is_public(&self) -> bool {
        self.algorithm == Algorithm::Ed25519
    }

    /// Returns the bytes to verify or sign with; `None` if the secret is unavailable.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match &self.material {
            Material::Bytes(bytes) => Some(bytes),
            Material::Fingerprint(_) => None,
        }
    }
}

impl Material {
    fn fingerprint(&self) -> Option<String> {
        match self {
            Self::Bytes(bytes) => fingerprint(bytes),
            Self::Fingerprint(fingerprint) => Some(fingerprint.clone()),
        }
    }
}

impl LoggedKey {
    /// The key's id, not yet validated.
    pub(crate) fn id(&self) -> &str {
        &self.key_id
    }

    /// Validates the description: by its public key, or by its fingerprint if the key is an HMAC
    /// key.
    ///
    /// Rejections: `request-invalid` as [`Key::read`], for an Ed25519 key without its public key,
    /// or for the fingerprint of another key.
    pub(crate) fn read(&self) -> Result<Key, Rejection> {
        let entry = KeyEntry {
            id: self.key_id.clone(),
            algorithm: self.algorithm.clone(),
            material: self.public_key.clone().unwrap_or_default(),
            status: self.status.clone(),
            usage: self.usage.clone(),
            approver: self.approver.clone(),
            groups: self.groups.clone(),
        };
        let secret = self.algorithm == Algorithm::HmacSha256.as_str();
        let key = Key::described(&entry, secret.then_some(self.fingerprint.as_str()))?;
        if key.material.fingerprint().as_ref() == Some(&self.fingerprint) {
            return Ok(key);
        }
        Err(Rejection::request(format!("key `{}`: the fingerprint is of another key", key.id)))
    }
}

impl Algorithm {
    /// Returns the algorithm's name in a keyring entry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Ed25519 => "ed25519",
        }
    }

    /// Decodes the material of a key.
    ///
    /// # Errors
    ///
    /// A message that says what is wrong with it.
    fn material(self, encoded: &str) -> Result<Material, String> {
        let bytes = base64::decode_url(encoded)
            .map(Zeroizing::new)
            .ok_or_else(|| "material must be base64url without padding".to_owned())?;
        match self.misfit(bytes.len()) {
            Some(expected) => Err(format!("material must be {expected}")),
            None => Ok(Material::Bytes(self.plainest(bytes))),
        }
    }

    /// Returns the canonical form of key material. HMAC hashes a key longer than one block and pads
    /// a shorter one with zeros (RFC 2104, section 2), so keys that are equal afterwards sign alike
    /// and are treated as one key.
    fn plainest(self, mut material: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
        if self == Self::Ed25519 {
            return material;
        }
        if material.len() > HMAC_BLOCK_BYTES {
            material = Zeroizing::new(Sha256::digest(&*material).to_vec());
        }
        let significant = material.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        material.truncate(significant);
        material
    }

    /// Returns the expected length if the material has another.
    fn misfit(self, bytes: usize) -> Option<String> {
        match self {
            Self::HmacSha256 => (!(HMAC_KEY_BYTES_MIN..=HMAC_KEY_BYTES_MAX).contains(&bytes))
                .then(|| format!("{HMAC_KEY_BYTES_MIN} to {HMAC_KEY_BYTES_MAX} bytes")),
            Self::Ed25519 => {
                (bytes != ED25519_KEY_BYTES).then(|| format!("{ED25519_KEY_BYTES} bytes"))
            }
        }
    }
}

/// The keys of one call, with distinct ids.
#[derive(Default)]
pub struct Keyring(Vec<Key>);

impl Keyring {
    /// Validates all entries.
    ///
    /// Rejections: `limit-exceeded` for more than 4096 keys; `request-invalid` as [`Key::read`], or
    /// for a duplicate id.
    pub fn read(entries: &[KeyEntry]) -> Result<Self, Rejection> {
        if entries.len() > KEYS_MAX {
            return Err(Rejection::limit(format!(
                "{} keys, the limit is {KEYS_MAX}",
                entries.len()
            )));
        }
        let keys = entries.iter().map(Key::read).collect::<Result<Vec<_>, _>>()?;
        let mut ids: Vec<&KeyId> = keys.iter().map(|key| &key.id).collect();
        ids.sort_unstable();
        match ids.windows(2).find(|pair| matches!(pair, [a, b] if a == b)) {
            Some([id, ..]) => Err(Rejection::request(format!("two keys have the id `{id}`"))),
            _ => Ok(Self(keys)),
        }
    }

    /// Adds the keys of a log. The last logged key of an id counts; a key already in this keyring
    /// takes precedence over a logged key with its id.
    pub(crate) fn beside(mut self, logged: impl DoubleEndedIterator<Item = Key>) -> Self {
        for key in logged.rev() {
            if self.find(&key.id).is_none() {
                self.0.push(key);
            }
        }
        self
    }

    /// Returns the key with an id.
    pub(crate) fn find(&self, id: &KeyId) -> Option<&Key> {
        self.0.iter().find(|key| key.id == *id)
    }

    /// Iterates over the keys in the order given.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    /// Returns a revoked key of the same material: the key itself, or one under another id and for
    /// another use. Material revoked under one id is trusted under none.
    pub(crate) fn revoked(&self, key: &Key) -> Option<&Key> {
        let revoked =
            |other: &&Key| other.status == KeyStatus::Revoked && other.has_same_material(key);
        self.iter().find(revoked)
    }
}
