//! Audit entries of the registry: each change and each refused change, with the module and its
//! signer.

use std::future::Future;

use super::{Envelope, Manifest, ModuleDigest, Modules, Slot};
use crate::caller::Caller;
use crate::code::Code;
use crate::engine::VERIFIER_DIGEST;
use crate::ledger::{Event, ModuleFields, Reply};
use crate::refusal::Refusal;

impl ModuleFields {
    /// The fields of a slot.
    pub(super) fn of_slot(slot: Slot) -> Self {
        Self { slot: Some(slot.as_str()), ..Self::default() }
    }

    /// The fields of the built-in verifier.
    pub(super) fn of_built_in(slot: Slot) -> Self {
        Self { built_in: Some(true), ..Self::of_slot(slot).with_digest(&VERIFIER_DIGEST) }
    }

    /// The fields of a module with its manifest.
    pub(super) fn of_manifest(manifest: &Manifest, envelope: &Envelope) -> Self {
        Self {
            name: Some(manifest.name.as_str().to_owned()),
            version: Some(manifest.version.number()),
            key_id: Some(envelope.key_id().as_str().to_owned()),
            envelope: Some(envelope.digest()),
            ..Self::of_slot(manifest.slot).with_digest(&manifest.digest)
        }
    }

    /// The fields of a push, which may be malformed.
    pub(super) fn of_push(envelope: &str, wasm: &[u8]) -> Self {
        let fields = match Envelope::parse(envelope) {
            Err(_) => Self::default(),
            Ok(envelope) => match envelope.claims() {
                Ok(manifest) => Self::of_manifest(&manifest, &envelope),
                Err(_) => {
                    Self { key_id: Some(envelope.key_id().as_str().to_owned()), ..Self::default() }
                }
            },
        };
        // The digest of the pushed bytes, whatever the manifest says.
        fields.with_digest(&ModuleDigest::of(wasm))
    }

    pub(super) fn with_digest(self, digest: &impl ToString) -> Self {
        Self { digest: Some(digest.to_string()), ..self }
    }
}

impl Modules {
    /// Returns the fields of a module as far as known, for a refusal.
    pub(super) async fn fields_of(&self, digest: ModuleDigest) -> ModuleFields {
        let row = self.module_row(digest).await.and_then(|row| row.claims());
        row.map_or_else(
            |_| ModuleFields::default().with_digest(&digest),
            |(envelope, manifest)| ModuleFields::of_manifest(&manifest, &envelope),
        )
    }

    /// Records a refused change of the registry, within the caller's rate limit. A failure to
    /// record it does not change the refusal.
    pub(super) async fn recorded(
        &self,
        caller: &Caller,
        operation: &str,
        module: impl Future<Output = ModuleFields>,
        done: Result<Reply, Refusal>,
    ) -> Result<Reply, Refusal> {
        if let Err(Refusal { code, .. }) = &done
            && code.status < 500
            && *code != Code::IDEMPOTENCY_KEY_REUSED
        {
            let (module, code) = (module.await, code.text);
            let event = |dropped| Event::ModuleRefused { module, operation, code, dropped };
            let _ = self.refusals.record_event(caller, event).await;
        }
        done
    }
}
