//! Manifests that were verified with this host's keys.

use ed25519_dalek::Signer;
use signoff_core::module::{Envelope, Manifest, ModuleSigner};

use crate::keys::{Keys, ModuleKey, Status};
use crate::refusal::Refusal;

/// A manifest whose signature was verified with a key that signs for its slot. Only
/// [`Signed::verified`] makes one.
#[derive(Clone, Debug)]
pub struct Signed {
    manifest: Manifest,
    envelope: Envelope,
    /// The keys it was verified with.
    keys: Keys,
}

/// Signs a manifest.
pub fn sign(manifest: &Manifest, key: &ModuleKey) -> Envelope {
    Envelope::sign(manifest, key.id().clone(), |bytes| key.signing_key().sign(bytes).to_bytes())
}

impl Signed {
    /// Verifies an envelope with the module keys of a keyring.
    ///
    /// # Errors
    ///
    /// As [`Envelope::verify`].
    pub fn verified(envelope: Envelope, keys: &Keys) -> Result<Self, Refusal> {
        let key = keys.module_public(envelope.key_id().as_str());
        let signer = key.as_ref().map(|key| ModuleSigner {
            is_revoked: key.status == Status::Revoked,
            slots: key.groups.iter().map(|group| group.as_str()).collect(),
            public_key: key.public_key,
        });
        let manifest = envelope.verify(signer.as_ref())?;
        Ok(Self { manifest, envelope, keys: keys.clone() })
    }

    /// Returns the signed manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns its envelope.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Renews the proof under current keys. Verifies the signature again only if the keys changed.
    ///
    /// # Errors
    ///
    /// As [`Envelope::verify`].
    pub fn under(self, keys: &Keys) -> Result<Self, Refusal> {
        if self.keys.is(keys) { Ok(self) } else { Self::verified(self.envelope, keys) }
    }
}
