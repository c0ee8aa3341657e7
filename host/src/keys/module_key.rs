//! Keys of use `module`, which sign module manifests for given slots.

use std::fmt;

use ed25519_dalek::SigningKey;

use super::ed25519::KEY_BYTES;
use super::entry::{Material, Status, Usage};
use super::name::{Group, KeyId};
use super::set::Keys;

/// A key that verifies manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModulePublic {
    /// Its id.
    pub id: KeyId,
    /// Its status; `revoked` also if the same material is revoked under another id.
    pub status: Status,
    /// The slots it signs for.
    pub groups: Vec<Group>,
    /// The Ed25519 public key.
    pub public_key: [u8; KEY_BYTES],
}

/// A key that signs manifests on this machine. Wiped on drop.
pub struct ModuleKey {
    id: KeyId,
    key: SigningKey,
}

impl Keys {
    /// Returns the module key with an id, regardless of its status.
    pub fn module_public(&self, id: &str) -> Option<ModulePublic> {
        self.module_publics().into_iter().find(|key| key.id.as_str() == id)
    }

    /// Returns every module key.
    pub fn module_publics(&self) -> Vec<ModulePublic> {
        let all = || self.all().iter().filter(|entry| entry.usage == Usage::Module);
        let revoked = |public: &[u8]| {
            all().any(|entry| {
                entry.status == Status::Revoked && entry.material.verifying() == public
            })
        };
        all()
            .filter_map(|entry| match &entry.material {
                Material::Ed25519 { public, .. } => Some(ModulePublic {
                    id: entry.id.clone(),
                    status: if revoked(public) { Status::Revoked } else { entry.status },
                    groups: entry.groups.clone(),
                    public_key: *public,
                }),
                Material::Hmac(_) => None,
            })
            .collect()
    }

    /// Returns the module key with an id for signing; `None` unless it is active and its seed is
    /// available.
    pub fn module_key(&self, id: &str) -> Option<ModuleKey> {
        let mut own = self.all().iter().filter(|entry| entry.usage == Usage::Module);
        let entry = own.find(|entry| entry.id.as_str() == id && entry.signs())?;
        match &entry.material {
            Material::Ed25519 { seed: Some(seed), .. } => {
                Some(ModuleKey { id: entry.id.clone(), key: SigningKey::from_bytes(seed) })
            }
            _ => None,
        }
    }
}

impl ModuleKey {
    /// Its id.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The signing key.
    pub fn signing_key(&self) -> &SigningKey {
        &self.key
    }
}

impl fmt::Debug for ModuleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ModuleKey").field(&self.id).finish()
    }
}
