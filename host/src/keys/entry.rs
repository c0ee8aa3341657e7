//! One entry of a keyring, in its serialized and in its parsed form.

use serde::{Deserialize, Serialize};
use signoff_core::base64;
use zeroize::{Zeroize, Zeroizing};

use super::ed25519::{self, KEY_BYTES, Seed};
use super::error::KeyError;
use super::name::{Approver, Group, KeyId};
use super::secret::check_secret;
use crate::verifier::Key;

/// Maximum number of groups per key.
const GROUPS_MAX: usize = 64;

/// A serialized entry, not yet validated.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntryText {
    pub(crate) id: String,
    algorithm: String,
    material: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    private: Option<String>,
    status: String,
    #[serde(rename = "use")]
    usage: String,
    #[serde(default)]
    pub(crate) approver: Option<String>,
    #[serde(default)]
    pub(crate) groups: Vec<String>,
}

/// A validated entry. Its secrets are wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: KeyId,
    pub(crate) material: Material,
    pub(crate) status: Status,
    pub(crate) usage: Usage,
    pub(crate) approver: Option<Approver>,
    pub(crate) groups: Vec<Group>,
}

/// The algorithm and its key material.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Material {
    /// `hmac-sha256`: a verifier can also sign.
    Hmac(Zeroizing<Vec<u8>>),
    /// `ed25519`: the seed is present only where signatures are made.
    Ed25519 { public: [u8; KEY_BYTES], seed: Option<Seed> },
}

/// The status of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Signs and verifies.
    Active,
    /// Verifies, including new ballots, but does not sign.
    VerifyOnly,
    /// Refuses everything, including ballots cast before.
    Revoked,
}

/// The use of a key; each key has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Approvers' ballots.
    Approve,
    /// Audit checkpoints.
    Log,
    /// Module manifests.
    Module,
}

/// The public description of a key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct KeyDescription {
    /// `[a-z0-9_-]{1,64}`.
    pub id: String,
    /// `hmac-sha256` or `ed25519`.
    pub algorithm: String,
    /// `active`, `verify-only` or `revoked`.
    pub status: String,
    /// `approve`, `log` or `module`.
    #[serde(rename = "use")]
    pub usage: String,
    /// The approver it is bound to.
    pub approver: Option<String>,
    /// The groups it decides for.
    pub groups: Vec<String>,
    /// The first 32 hex characters of HMAC-SHA256(material, `signoff/key-fingerprint`).
    pub fingerprint: String,
    /// The public key, base64url without padding; `None` for an HMAC key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
}

impl Status {
    /// Returns the name used in keyring entries.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::VerifyOnly => "verify-only",
            Self::Revoked => "revoked",
        }
    }
}

impl Usage {
    /// Returns the name used in keyring entries.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Log => "log",
            Self::Module => "module",
        }
    }
}

impl Drop for EntryText {
    fn drop(&mut self) {
        self.material.zeroize();
        self.private.zeroize();
    }
}

impl EntryText {
    /// Validates every field. Malformed values are not quoted: they may be secrets in the wrong
    /// field.
    ///
    /// # Errors
    ///
    /// In this order: id, algorithm, material, private, status, use, approver, groups; then a use
    /// that the algorithm does not support, or an approver that the use does not support.
    pub(crate) fn read(&self) -> Result<Entry, KeyError> {
        let id = KeyId::new(self.id.as_str())
            .map_err(|_| KeyError::Entry("an entry's id must be `[a-z0-9_-]{1,64}`".to_owned()))?;
        let fail = |why: &str| KeyError::Entry(format!("key `{id}`: {why}"));
        let material = self.material(&id)?;
        let status = match self.status.as_str() {
            "active" => Status::Active,
            "verify-only" => Status::VerifyOnly,
            "revoked" => Status::Revoked,
            _ => return Err(fail("status must be `active`, `verify-only` or `revoked`")),
        };
        let usage = match self.usage.as_str() {
            "approve" => Usage::Approve,
            "log" => Usage::Log,
            "module" => Usage::Module,
            _ => return Err(fail("use must be `approve`, `log` or `module`")),
        };
        let approver = self.approver.as_deref().map(Approver::parse).transpose().map_err(fail)?;
        if self.groups.len() > GROUPS_MAX {
            return Err(fail("it has more than 64 groups"));
        }
        let groups: Result<Vec<Group>, _> =
            self.groups.iter().map(|group| Group::parse(group)).collect();
        let mut groups = groups.map_err(fail)?;
        groups.sort_unstable();
        groups.dedup();
        let entry = Entry { id: id.clone(), material, status, usage, approver, groups };
        entry.fits_together().map_err(fail)?;
        Ok(entry)
    }

    fn material(&self, id: &KeyId) -> Result<Material, KeyError> {
        let name = format!("key `{id}`");
        let fail = |why: &str| KeyError::Entry(format!("{name}: {why}"));
        let decoded = |text: &str, what: &str| {
            base64::decode_url(text)
                .map(Zeroizing::new)
                .ok_or_else(|| fail(&format!("{what} is not base64url without padding")))
        };
        let bytes_of_key = |text: &str, what: &str| {
            let bytes = decoded(text, what)?;
            <[u8; KEY_BYTES]>::try_from(bytes.as_slice())
                .map(Zeroizing::new)
                .map_err(|_| fail(&format!("{what} must be 32 bytes")))
        };
        match self.algorithm.as_str() {
            "hmac-sha256" => {
                let secret = decoded(&self.material, "its material")?;
                check_secret(&name, &secret)?;
                if self.private.is_some() {
                    return Err(fail("an HMAC key has no `private`"));
                }
                Ok(Material::Hmac(secret))
            }
            "ed25519" => {
                let public = *bytes_of_key(&self.material, "its material")?;
                ed25519::check_public(&public).map_err(|why| fail(&why))?;
                let private = self.private.as_deref();
                let seed = private.map(|text| bytes_of_key(text, "its private")).transpose()?;
                if seed.as_ref().is_some_and(|seed| ed25519::public_of(seed) != public) {
                    return Err(fail("its private does not belong to its material"));
                }
                Ok(Material::Ed25519 { public, seed })
            }
            _ => Err(fail("algorithm must be `hmac-sha256` or `ed25519`")),
        }
    }
}

impl Material {
    /// Returns the name used in keyring entries.
    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Hmac(_) => "hmac-sha256",
            Self::Ed25519 { .. } => "ed25519",
        }
    }

    /// Returns the verifying material: an HMAC secret or an Ed25519 public key.
    pub(crate) fn verifying(&self) -> &[u8] {
        match self {
            Self::Hmac(secret) => secret,
            Self::Ed25519 { public, .. } => public,
        }
    }

    /// Returns the signing material, if this machine has it.
    pub(crate) fn signing(&self) -> Option<&[u8]> {
        match self {
            Self::Hmac(secret) => Some(secret),
            Self::Ed25519 { seed, .. } => seed.as_ref().map(|seed| seed.as_slice()),
        }
    }
}

impl Entry {
    pub(crate) fn fits_together(&self) -> Result<(), &'static str> {
        match (self.usage, &self.material, &self.approver) {
            (Usage::Log | Usage::Module, Material::Hmac(_), _) => {
                Err("only ed25519 keys have the use `log` or `module`")
            }
            (Usage::Log | Usage::Module, _, Some(_)) => {
                Err("only a key of use `approve` is bound to an approver")
            }
            _ => Ok(()),
        }
    }

    /// Returns whether the key is active and its signing material is available.
    pub(crate) fn signs(&self) -> bool {
        self.status == Status::Active && self.material.signing().is_some()
    }

    /// Returns the key with its verifying material, for the verifier.
    pub(crate) fn to_verify(&self) -> Key {
        self.key(self.material.verifying())
    }

    /// Returns the key with its signing material, for the verifier.
    pub(crate) fn to_sign(&self) -> Option<Key> {
        Some(self.key(self.material.signing()?))
    }

    fn key(&self, material: &[u8]) -> Key {
        Key {
            id: self.id.to_string(),
            algorithm: self.material.algorithm().to_owned(),
            material: base64::encode_url(material),
            status: self.status.as_str().to_owned(),
            usage: self.usage.as_str().to_owned(),
            approver: self.approver.as_ref().map(|approver| approver.as_str().to_owned()),
            groups: self.groups.iter().map(|group| group.as_str().to_owned()).collect(),
        }
    }

    /// Returns the serialized entry, with its private half.
    pub(crate) fn to_text(&self) -> EntryText {
        let Key { id, algorithm, material, status, usage, approver, groups } = self.to_verify();
        let private = match &self.material {
            Material::Ed25519 { seed: Some(seed), .. } => Some(base64::encode_url(seed.as_slice())),
            _ => None,
        };
        EntryText { id, algorithm, material, private, status, usage, approver, groups }
    }

    /// Returns the serialized entry without its private half; `None` for an HMAC key, which is a
    /// secret.
    pub(crate) fn to_public_text(&self) -> Option<EntryText> {
        match self.material {
            Material::Hmac(_) => None,
            Material::Ed25519 { .. } => {
                let mut text = self.to_text();
                text.private.zeroize();
                text.private = None;
                Some(text)
            }
        }
    }

    /// Returns the public description.
    pub(crate) fn described(&self) -> KeyDescription {
        let mut key = self.to_verify();
        let material = Zeroizing::new(std::mem::take(&mut key.material));
        let public = matches!(self.material, Material::Ed25519 { .. });
        KeyDescription {
            id: key.id,
            algorithm: key.algorithm,
            status: key.status,
            usage: key.usage,
            approver: key.approver,
            groups: key.groups,
            // HMAC accepts keys of any length, so this never falls back.
            fingerprint: super::name::fingerprint(self.material.verifying()).unwrap_or_default(),
            public_key: public.then(|| material.to_string()),
        }
    }
}
