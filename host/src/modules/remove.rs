//! Removal of a module's bytes. The audit log keeps its digest and its signer.

use serde_json::json;

use super::{ModuleDigest, Modules, may_change};
use crate::caller::Caller;
use crate::code::Code;
use crate::ledger::{Event, Idempotency, ModuleFields, Note, Reply};
use crate::refusal::Refusal;
use crate::store::Blob;

impl Modules {
    /// Removes a module that is not the active, shadow or previous module of its slot. It may be
    /// pushed again.
    ///
    /// # Errors
    ///
    /// 1. `not-found` 2. `forbidden`: the slot needs another role 3. `request-invalid`: it is
    ///    needed 4. the errors of every change.
    pub async fn remove(
        &self,
        caller: &Caller,
        digest: ModuleDigest,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let _turn = self.turn.lock().await;
        let done = self.try_remove(caller, digest, idempotency).await;
        self.recorded(caller, "remove", self.fields_of(digest), done).await
    }

    async fn try_remove(
        &self,
        caller: &Caller,
        digest: ModuleDigest,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        if let Some(reply) = self.kept_answer(caller, digest, idempotency).await? {
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
        let now = self.ledger.now_to_write()?;
        row.removed_at = Some(now);
        let answer = json!({ "digest": digest.to_string(), "slot": manifest.slot.as_str(), "state": "removed" });
        let note = Note::of(Event::ModuleRemoved(ModuleFields::of_manifest(&manifest, &envelope)))
            .changing(vec![row.change(digest)?])
            .with_blob(Some(Blob { digest: *digest.bytes(), bytes: None }))
            .answering(200, answer.to_string());
        self.ledger.note_at(now, caller, note, idempotency).await
    }
}
