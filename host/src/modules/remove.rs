//! Removal of a module's bytes. The audit log keeps its digest and its signer.

use serde_json::json;

use super::audit_fields::AuditFields;
use super::may_change;
use crate::caller::Caller;
use crate::code::Code;
use crate::ledger::Note;
use crate::ledger::{Idempotency, Reply};
use crate::modules::ModuleDigest;
use crate::refusal::Refusal;
use crate::service::Service;
use crate::store::Blob;

impl Service {
    /// Removes a module that is not the active, shadow or previous module of its slot. It may be
    /// pushed again.
    ///
    /// # Errors
    ///
    /// 1. `not-found` 2. `forbidden`: the slot needs another role 3. `request-invalid`: it is
    ///    needed 4. the errors of every change.
    pub async fn remove_module(
        &self,
        caller: &Caller,
        digest: ModuleDigest,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let _turn = self.registry.turn.lock().await;
        match self.remove(caller, digest, idempotency).await {
            Ok(reply) => Ok(reply),
            Err(refusal) => {
                let fields = self.audit_fields_of(digest).await;
                Err(self.refused_module(caller, "remove", fields, refusal).await)
            }
        }
    }

    async fn remove(
        &self,
        caller: &Caller,
        digest: ModuleDigest,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        if let Some(reply) = self.kept_module_answer(caller, digest, idempotency).await? {
            return Ok(reply);
        }
        let mut row = self.module_row(digest).await?;
        let (envelope, manifest) = row.claims()?;
        may_change(caller, manifest.slot)?;
        let slot = self.slot_row(manifest.slot).await?;
        if slot.needed(manifest.slot).contains(digest.to_string().as_str()) {
            let detail = format!(
                "module `{digest}` is the active, shadow or previous module of slot `{}`",
                manifest.slot
            );
            return Err(Refusal::new(Code::REQUEST_INVALID, detail));
        }
        let now = self.now_to_write()?;
        row.removed_at = Some(now);
        let answer = json!({ "digest": digest.to_string(), "slot": manifest.slot.as_str(), "state": "removed" });
        let note = Note {
            event: "module_removed",
            rows: vec![row.change(digest)?],
            fields: AuditFields::of_manifest(&manifest, &envelope).into_fields(),
            guardrail: None,
            answer: Some(Reply::new(200, answer.to_string())),
        };
        let blob = Some(Blob { digest: *digest.bytes(), bytes: None });
        self.keep_note_with(caller, note, blob, idempotency, now).await
    }
}
