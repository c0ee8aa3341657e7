//! The active module of each slot, for the metrics.

use super::row::{ModuleRow, digest_of};
use super::{ModuleDigest, Modules, Slot};
use crate::engine::VERIFIER_DIGEST;
use crate::refusal::Refusal;

/// The active module of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveModule {
    /// The slot.
    pub slot: &'static str,
    /// The digest in hex.
    pub digest: String,
    /// The name in its manifest, or `built-in`.
    pub name: String,
    /// The version in its manifest; 0 for the built-in verifier.
    pub version: u64,
    /// The key that signed its manifest; empty for the built-in verifier.
    pub key_id: String,
    /// Whether every call of it fails.
    pub is_failing: bool,
}

impl Modules {
    /// Returns the active module of each slot that is not empty, as last loaded.
    ///
    /// # Errors
    ///
    /// `store-unavailable`, `store-tampered`.
    pub async fn active_modules(&self) -> Result<Vec<ActiveModule>, Refusal> {
        let mut active = Vec::new();
        for slot in Slot::ALL {
            let row = self.slot_row(slot).await?;
            let Some(digest) = row.active_name(slot).map(|name| digest_of(name).to_owned()) else {
                continue;
            };
            let is_failing = self.failing(slot).is_some();
            let mut module = ActiveModule {
                slot: slot.as_str(),
                name: "built-in".to_owned(),
                version: 0,
                key_id: String::new(),
                is_failing,
                digest,
            };
            if module.digest != VERIFIER_DIGEST
                && let Some(digest) = ModuleDigest::parse(&module.digest)
                && let Some(row) = ModuleRow::load(self.ledger.store(), digest).await?
            {
                let (envelope, manifest) = row.claims()?;
                manifest.name.as_str().clone_into(&mut module.name);
                module.version = manifest.version.number();
                envelope.key_id().as_str().clone_into(&mut module.key_id);
            }
            active.push(module);
        }
        Ok(active)
    }
}
