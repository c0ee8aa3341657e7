//! Keys: those that verify, and the ones that sign.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use zeroize::Zeroize;

use crate::rejection::Rejection;

/// A key of a keyring. Its material is wiped when it is dropped, and never printed.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    id: String,
    algorithm: String,
    material: String,
    status: KeyStatus,
    #[serde(rename = "use")]
    usage: KeyUse,
    #[serde(default)]
    approver: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
}

/// What a key may still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KeyStatus {
    /// Signs and verifies.
    Active,
    /// Verifies, but signs nothing more.
    VerifyOnly,
    /// Counts no more, also for what it signed, under whatever id its material is given.
    Revoked,
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum KeyUse {
    /// Approvers' ballots.
    Approve,
    /// Audit checkpoints.
    Log,
    /// Module manifests.
    Module,
}

impl Key {
    /// An approver's Ed25519 public key: active, and bound to that approver.
    pub fn ed25519(
        id: impl Into<String>,
        public_key: &[u8; 32],
        approver: impl Into<String>,
    ) -> Self {
        Self::new(id.into(), "ed25519", public_key).bound_to(approver)
    }

    /// An HMAC-SHA256 secret of 32 to 4096 bytes: active, and bound to nobody. Whoever verifies with it
    /// can also sign with it.
    pub fn hmac_sha256(id: impl Into<String>, secret: &[u8]) -> Self {
        Self::new(id.into(), "hmac-sha256", secret)
    }

    /// Binds the key to an approver, as every key of profile `v2` is.
    #[must_use]
    pub fn bound_to(mut self, approver: impl Into<String>) -> Self {
        self.approver = Some(approver.into());
        self
    }

    /// Adds a group that the key's approver decides for.
    #[must_use]
    pub fn in_group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }

    /// Sets what the key may still do.
    #[must_use]
    pub fn with_status(mut self, status: KeyStatus) -> Self {
        self.status = status;
        self
    }

    /// The key's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    fn new(id: String, algorithm: &str, material: &[u8]) -> Self {
        Self {
            id,
            algorithm: algorithm.to_owned(),
            material: Base64UrlUnpadded::encode_string(material),
            status: KeyStatus::Active,
            usage: KeyUse::Approve,
            approver: None,
            groups: Vec::new(),
        }
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.material.zeroize();
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .field("status", &self.status)
            .field("usage", &self.usage)
            .field("approver", &self.approver)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}

/// The keys that count. Keep revoked ones in it: their material then counts under no other id either.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Keyring(Vec<Key>);

impl Keyring {
    /// A keyring of these keys.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Self {
        Self(keys.into_iter().collect())
    }

    /// Reads public entries as `signoff key generate` prints them: one, a list, or `{"keys": […]}`.
    ///
    /// # Errors
    ///
    /// `request-invalid` for anything else, also for an entry that holds a private half.
    pub fn from_json(text: &str) -> Result<Self, Rejection> {
        let Entries(keys) = serde_json::from_str(text).map_err(|e| {
            // Without serde's own words, which may quote a secret in the wrong place.
            Rejection::invalid(format!(
                "keyring: expected entries of id, algorithm, material, status, use, approver and \
                 groups, found another form at line {} column {}",
                e.line(),
                e.column()
            ))
        })?;
        Ok(Self(keys))
    }

    /// Adds a key.
    pub fn push(&mut self, key: Key) {
        self.0.push(key);
    }

    /// Every key, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }
}

impl FromIterator<Key> for Keyring {
    fn from_iter<I: IntoIterator<Item = Key>>(keys: I) -> Self {
        Self::new(keys)
    }
}

struct Entries(Vec<Key>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Listed {
            keys: Vec<Key>,
        }
        let mut value = serde_json::Value::deserialize(deserializer)?;
        let read = if value.is_array() {
            Vec::deserialize(&value)
        } else if value.get("keys").is_some() {
            Listed::deserialize(&value).map(|listed| listed.keys)
        } else {
            Key::deserialize(&value).map(|key| vec![key])
        };
        wipe(&mut value);
        read.map(Entries).map_err(D::Error::custom)
    }
}

/// Wipes every text of a value that may hold secrets.
fn wipe(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => text.zeroize(),
        serde_json::Value::Array(items) => items.iter_mut().for_each(wipe),
        serde_json::Value::Object(members) => members.values_mut().for_each(wipe),
        _ => {}
    }
}

/// The private half of an approver's key, or an HMAC secret. Signs; never printed.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct SigningKey(Key);

impl SigningKey {
    /// An approver's Ed25519 seed (RFC 8032), for profile `v2`.
    pub fn ed25519(id: impl Into<String>, seed: &[u8; 32], approver: impl Into<String>) -> Self {
        Self(Key::ed25519(id, seed, approver))
    }

    /// An HMAC-SHA256 secret: bound to nobody for `v1`, to an approver for `v2`.
    pub fn hmac_sha256(id: impl Into<String>, secret: &[u8], approver: Option<&str>) -> Self {
        let key = Key::hmac_sha256(id, secret);
        Self(match approver {
            Some(approver) => key.bound_to(approver),
            None => key,
        })
    }

    /// The key's id.
    pub fn id(&self) -> &str {
        self.0.id()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.0).finish()
    }
}
