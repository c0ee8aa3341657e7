//! Keys: id, algorithm, material, status, use.

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::Deserialize;
use zeroize::{Zeroize, Zeroizing};

use crate::limits::{HMAC_KEY_BYTES_MAX, HMAC_KEY_BYTES_MIN, KEYS_MAX};
use crate::name::{Identifier, KeyId};
use crate::rejection::Rejection;

/// A keyring entry as it crosses the border, unread.
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

/// A key whose every field has been read. Its material is wiped when it is dropped.
pub struct Key {
    pub(crate) id: KeyId,
    pub(crate) material: Zeroizing<Vec<u8>>,
    pub(crate) status: KeyStatus,
    pub(crate) usage: KeyUse,
    pub(crate) approver: Option<Identifier>,
}

/// What a key may still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStatus {
    /// Signs and verifies.
    Active,
    /// Verifies, also new ballots, but signs nothing.
    VerifyOnly,
    /// Refuses always, also ballots cast before.
    Revoked,
}

/// What a key is for; a key has one use.
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
    /// Reads a keyring entry.
    ///
    /// Rejections: `request-invalid` for a field out of its form or material of the wrong length.
    pub fn read(entry: &KeyEntry) -> Result<Self, Rejection> {
        let id = KeyId::new(entry.id.as_str())?;
        let fail = |message: &str| Rejection::request(format!("key `{id}`: {message}"));
        if entry.algorithm != "hmac-sha256" {
            return Err(fail("algorithm must be `hmac-sha256`"));
        }
        let material = Base64UrlUnpadded::decode_vec(&entry.material)
            .map(Zeroizing::new)
            .map_err(|_| fail("material must be base64url without padding"))?;
        if !(HMAC_KEY_BYTES_MIN..=HMAC_KEY_BYTES_MAX).contains(&material.len()) {
            return Err(fail(&format!(
                "material must be {HMAC_KEY_BYTES_MIN} to {HMAC_KEY_BYTES_MAX} bytes"
            )));
        }
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
        for group in &entry.groups {
            Identifier::new("group", group.as_str())?;
        }
        Ok(Self { id, material, status, usage, approver })
    }

    /// Whether the key can have made a `v1` signature, which names no key: one for approvals that
    /// is bound to nobody.
    pub(crate) fn serves_v1(&self) -> bool {
        self.usage == KeyUse::Approve && self.approver.is_none()
    }
}

/// The keys of one call: no two share an id.
pub struct Keyring(Vec<Key>);

impl Keyring {
    /// Reads all entries.
    ///
    /// Rejections: `limit-exceeded` for more than 4096 keys; `request-invalid` as [`Key::read`], or
    /// for two keys of one id.
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

    /// The key of an id.
    pub(crate) fn find(&self, id: &KeyId) -> Option<&Key> {
        self.0.iter().find(|key| key.id == *id)
    }

    /// Every key, in the order given.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }
}
