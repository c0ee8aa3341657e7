//! `manifest.verify`: verifies the signed manifest of a module, by the rules of
//! [`signoff_core::module`], with the keys that the caller trusts.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use signoff_core::module::{Envelope, Limits, Manifest, ModuleDigest, ModuleSigner, Slot, is_for};

use crate::approval::JsonText;
use crate::key::{Key, KeyEntry, KeyUse, Keyring};
use crate::name::{Digest, Identifier};
use crate::object::objects;
use crate::rejection::{Code, Rejection};

/// The arguments of `manifest.verify`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/manifest.wit")]
pub struct Verify<'a> {
    #[serde(borrow)]
    pub manifest: JsonText<'a>,
    #[serde(borrow)]
    pub digest: Cow<'a, str>,
    #[serde(borrow)]
    pub slot: Cow<'a, str>,
    #[serde(borrow, default)]
    pub audience: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "objects")]
    pub keys: Vec<KeyEntry>,
}

/// The answer of `manifest.verify`, as JSON: what the signer said of the module.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the members are explained in wit/manifest.wit")]
pub struct VerifiedManifest {
    pub key_id: String,
    pub digest: String,
    pub slot: &'static str,
    pub name: String,
    pub version: u64,
    pub limits: ManifestLimits,
    pub facts: Vec<String>,
    pub audience: Vec<String>,
    pub created: String,
}

/// The resource limits of one evaluation.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the members are explained in wit/manifest.wit")]
pub struct ManifestLimits {
    pub fuel: u64,
    pub memory_bytes: usize,
}

impl Verify<'_> {
    /// Verifies a manifest; see `manifest.verify` in `wit/` for shapes and the order of the
    /// rejections.
    pub fn run(&self) -> Result<VerifiedManifest, Rejection> {
        let digest = Digest::new("digest", self.digest.as_ref())?;
        let slot = Slot::parse(&self.slot)
            .ok_or_else(|| Rejection::request("slot must be `policy` or `verifier`"))?;
        let audience = self.audience.as_deref();
        let audience = audience.map(|name| Identifier::new("audience", name)).transpose()?;
        let keys = Keyring::read(&self.keys)?;

        let envelope = Envelope::parse(self.manifest.as_str())?;
        let signer = keys.find(envelope.key_id()).and_then(|key| signer(key, &keys));
        let manifest = envelope.verify(signer.as_ref())?;
        is_expected(&manifest, &digest, slot)?;
        if let Some(audience) = audience {
            is_for(&manifest, audience.as_str())?;
        }
        Ok(VerifiedManifest::new(&manifest, envelope.key_id().as_str()))
    }
}

/// Returns the signer that a key is; `None` if it signs no manifests.
fn signer<'a>(key: &'a Key, keys: &Keyring) -> Option<ModuleSigner<'a>> {
    if key.usage != KeyUse::Module || !key.is_public() {
        return None;
    }
    Some(ModuleSigner {
        is_revoked: keys.revoked(key).is_some(),
        slots: key.groups.iter().map(Identifier::as_str).collect(),
        public_key: key.bytes()?.try_into().ok()?,
    })
}

fn is_expected(manifest: &Manifest, digest: &Digest, slot: Slot) -> Result<(), Rejection> {
    let invalid = |detail: String| Err(Rejection::new(Code::ManifestInvalid, detail));
    if ModuleDigest::parse(digest.as_str()) != Some(manifest.digest) {
        let named = manifest.digest;
        return invalid(format!("the manifest names module `{named}`, expected `{digest}`"));
    }
    if manifest.slot != slot {
        return invalid(format!("the manifest is for slot `{}`, expected `{slot}`", manifest.slot));
    }
    Ok(())
}

impl VerifiedManifest {
    fn new(manifest: &Manifest, key_id: &str) -> Self {
        let Limits { fuel, memory_bytes } = manifest.limits;
        Self {
            key_id: key_id.to_owned(),
            digest: manifest.digest.to_string(),
            slot: manifest.slot.as_str(),
            name: manifest.name.as_str().to_owned(),
            version: manifest.version.number(),
            limits: ManifestLimits { fuel, memory_bytes },
            facts: manifest.facts.iter().map(|fact| fact.as_str().to_owned()).collect(),
            audience: manifest.audiences.iter().map(|name| name.as_str().to_owned()).collect(),
            created: manifest.created(),
        }
    }
}
