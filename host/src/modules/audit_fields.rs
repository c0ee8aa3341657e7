//! Audit entries of the registry: each change and each refused change, with the module and its
//! signer.

use serde_json::{Map, Value, json};

use crate::caller::Caller;
use crate::code::Code;
use crate::engine::VERIFIER_DIGEST;
use crate::ledger::Note;
use crate::modules::{Envelope, Manifest, ModuleDigest, Slot};
use crate::refusal::Refusal;
use crate::service::Service;

/// The audit fields of a module or slot, as far as known.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditFields(Map<String, Value>);

impl AuditFields {
    /// The fields of a slot.
    pub(crate) fn of_slot(slot: Slot) -> Self {
        Self::default().with("slot", json!(slot.as_str()))
    }

    /// The fields of the built-in verifier.
    pub(crate) fn of_built_in(slot: Slot) -> Self {
        Self::of_slot(slot).with("digest", json!(VERIFIER_DIGEST)).with("built_in", json!(true))
    }

    /// The fields of a module of which only the digest is known.
    pub(crate) fn of_digest(digest: ModuleDigest) -> Self {
        Self::default().with("digest", json!(digest.to_string()))
    }

    /// The fields of a module with its manifest.
    pub(crate) fn of_manifest(manifest: &Manifest, envelope: &Envelope) -> Self {
        Self::of_slot(manifest.slot)
            .with("digest", json!(manifest.digest.to_string()))
            .with("name", json!(manifest.name.as_str()))
            .with("version", json!(manifest.version.number()))
            .with("key_id", json!(envelope.key_id().as_str()))
            .with("envelope", json!(envelope.digest()))
    }

    /// The fields of a push, which may be malformed.
    pub(crate) fn of_push(envelope: &str, wasm: &[u8]) -> Self {
        let Ok(envelope) = Envelope::parse(envelope) else {
            return Self::of_digest(ModuleDigest::of(wasm));
        };
        let fields = match envelope.claims() {
            Ok(manifest) => Self::of_manifest(&manifest, &envelope),
            Err(_) => Self::default().with("key_id", json!(envelope.key_id().as_str())),
        };
        // The digest of the pushed bytes, whatever the manifest says.
        fields.with("digest", json!(ModuleDigest::of(wasm).to_string()))
    }

    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }

    pub(crate) fn into_fields(self) -> String {
        Value::Object(self.0).to_string()
    }
}

impl Service {
    /// Records a refused change of the registry, within the caller's rate limit. Returns the
    /// refusal.
    pub(crate) async fn refused_module(
        &self,
        caller: &Caller,
        operation: &str,
        fields: AuditFields,
        refusal: Refusal,
    ) -> Refusal {
        if refusal.code.status >= 500 || refusal.code == Code::IDEMPOTENCY_KEY_REUSED {
            return refusal;
        }
        let Ok(now) = self.now_to_write() else { return refusal };
        let Some(dropped) = self.refusals.take(caller.subject(), now) else { return refusal };
        let mut fields =
            fields.with("operation", json!(operation)).with("code", json!(refusal.code.text));
        if dropped > 0 {
            fields = fields.with("dropped", json!(dropped));
        }
        let note = Note {
            event: "module_refused",
            rows: Vec::new(),
            fields: fields.into_fields(),
            guardrail: None,
            answer: None,
        };
        // A failure to record it does not change the refusal.
        let _ = self.keep_note(caller, note, None, now).await;
        refusal
    }
}
