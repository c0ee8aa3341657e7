//! Activation of a module, and rollback to an earlier one.

use serde_json::json;

use super::audit_fields::AuditFields;
use super::may_change;
use super::prepare::{Candidate, Kept};
use super::row::{Activation, SlotRow, built_in, digest_of, name_in};
use crate::caller::Caller;
use crate::code::Code;
use crate::keys::Keys;
use crate::ledger::Note;
use crate::ledger::{Idempotency, Reply};
use crate::modules::Active;
use crate::modules::{ModuleDigest, Slot};
use crate::refusal::Refusal;
use crate::service::Service;

/// Maximum length of the reason of a rollback.
const REASON_BYTES_MAX: usize = 4 << 10;

/// A change of a slot, ready to commit.
pub(crate) struct Change {
    pub(crate) event: &'static str,
    pub(crate) slot: Slot,
    pub(crate) row: SlotRow,
    pub(crate) fields: AuditFields,
    pub(crate) keys: Keys,
}

impl Service {
    /// Activates a module. Calls that start later use it; calls in flight finish on the old one.
    /// Not cancel-safe.
    ///
    /// # Errors
    ///
    /// 1. `not-found` 2. `forbidden`: the slot needs another role 3. as `Envelope::verify`: the
    ///    signer is no longer valid 4. `version-not-newer` 5. `module-invalid`, `limit-exceeded`:
    ///    its checks or its trial failed 6. the errors of every change.
    pub async fn activate_module(
        &self,
        caller: &Caller,
        digest: ModuleDigest,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let _turn = self.registry.turn.lock().await;
        match self.activate(caller, digest, idempotency).await {
            Ok(reply) => Ok(reply),
            Err(refusal) => {
                let fields = self.audit_fields_of(digest).await;
                Err(self.refused_module(caller, "activate", fields, refusal).await)
            }
        }
    }

    async fn activate(
        &self,
        caller: &Caller,
        digest: ModuleDigest,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        if let Some(reply) = self.kept_module_answer(caller, digest, idempotency).await? {
            return Ok(reply);
        }
        let (keys, kept) = self.load_for_activation(caller, digest).await?;
        let manifest = kept.signed.manifest();
        let (slot, version) = (manifest.slot, manifest.version.number());
        let mut row = self.slot_row(slot).await?;
        let text = digest.to_string();
        if row.active.as_deref() == Some(&text) {
            // It may have been inactive because its signer was invalid, and is valid again.
            self.registry.invalidate();
            self.refresh_slots().await?;
            return Ok(Reply::new(200, self.shown_slot(slot, &row).to_string()));
        }
        if version <= row.highest_version {
            let detail = format!(
                "version {version} is not newer than {}, the highest version that was active in slot `{slot}`; `signoff module rollback {slot} --to` activates an older one again",
                row.highest_version
            );
            return Err(Refusal::new(Code::VERSION_NOT_NEWER, detail));
        }
        let candidate = self.prepare_module(&kept.signed, &kept.wasm).await?;
        let fields = AuditFields::of_manifest(manifest, kept.signed.envelope())
            .with("previous", json!(row.active_name(slot).map(digest_of)));
        row.shadow = row.shadow.filter(|shadow| *shadow != text);
        let activation = self.activation(caller, text, "activated", None)?;
        row.activate(slot, activation, Some(version));
        let change = Change { event: "module_activated", slot, row, fields, keys };
        self.swap(caller, change, candidate, idempotency).await
    }

    /// Rolls the slot back to the previous module, or to `to`. The highest version is unchanged.
    /// Not cancel-safe.
    ///
    /// # Errors
    ///
    /// 1. `forbidden`: the slot needs another role 2. `request-invalid`, `limit-exceeded`: no
    ///    reason, or one over 4 KiB 3. `not-found`: there is no previous module, or `to` was never
    ///    active; `request-invalid`: `to` is already active 4. as `Envelope::verify`
    ///    5. `module-invalid`, `limit-exceeded`: its checks or its trial failed 6. the errors of
    ///    every change.
    pub async fn roll_back_module(
        &self,
        caller: &Caller,
        slot: Slot,
        reason: &str,
        to: Option<ModuleDigest>,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let _turn = self.registry.turn.lock().await;
        match self.roll_back(caller, slot, reason, to, idempotency).await {
            Ok(reply) => Ok(reply),
            Err(refusal) => {
                let fields = match to {
                    Some(to) => AuditFields::of_slot(slot).with("digest", json!(to.to_string())),
                    None => AuditFields::of_slot(slot),
                };
                Err(self.refused_module(caller, "rollback", fields, refusal).await)
            }
        }
    }

    async fn roll_back(
        &self,
        caller: &Caller,
        slot: Slot,
        reason: &str,
        to: Option<ModuleDigest>,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        may_change(caller, slot)?;
        if let Some(reply) = self.kept(idempotency).await? {
            return Ok(reply);
        }
        check_reason(reason)?;
        let mut row = self.slot_row(slot).await?;
        let text = target(&row, slot, to)?;
        let (keys, candidate, fields) = if built_in(slot) == Some(&text) {
            let (keys, built_in) = (self.recorded_keys().await?, self.built_in_verifier());
            self.compare_stored_views(&built_in).await?;
            (keys, Candidate::Verifier(built_in), AuditFields::of_built_in(slot))
        } else {
            let to = ModuleDigest::parse(&text).ok_or_else(|| {
                Refusal::new(Code::NOT_FOUND, format!("`{text}` is not the digest of a module"))
            })?;
            let (keys, kept) = self.load_for_activation(caller, to).await?;
            let candidate = self.prepare_module(&kept.signed, &kept.wasm).await?;
            let fields = AuditFields::of_manifest(kept.signed.manifest(), kept.signed.envelope());
            (keys, candidate, fields)
        };
        let fields = fields
            .with("previous", json!(row.active_name(slot).map(digest_of)))
            .with("reason", json!(reason));
        row.shadow = row.shadow.filter(|shadow| *shadow != text);
        let activation = self.activation(caller, text, "rolled_back", Some(reason.to_owned()))?;
        row.activate(slot, activation, None);
        let change = Change { event: "module_rolled_back", slot, row, fields, keys };
        self.swap(caller, change, candidate, idempotency).await
    }

    /// Loads a module that the caller may activate and whose signer is valid now.
    pub(crate) async fn load_for_activation(
        &self,
        caller: &Caller,
        digest: ModuleDigest,
    ) -> Result<(Keys, Kept), Refusal> {
        let (_, claimed) = self.module_row(digest).await?.claims()?;
        may_change(caller, claimed.slot)?;
        let keys = self.recorded_keys().await?;
        let kept = self.kept_module(digest, &keys).await?;
        Ok((keys, kept))
    }

    fn activation(
        &self,
        caller: &Caller,
        digest: String,
        how: &str,
        reason: Option<String>,
    ) -> Result<Activation, Refusal> {
        let (at, by) = (self.now_to_write()?, caller.subject().to_owned());
        Ok(Activation { digest, at, by, how: how.to_owned(), reason })
    }

    /// Commits the slot's row, then swaps the module in, so that no call uses a module that the
    /// store does not name.
    async fn swap(
        &self,
        caller: &Caller,
        change: Change,
        candidate: Candidate,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let _swap = self.registry.swap.lock().await;
        let keys = change.keys.clone();
        let reply = self.keep_slot(caller, change, idempotency).await?;
        if reply.replayed {
            return Ok(reply);
        }
        match candidate {
            Candidate::Verifier(verifier) => self.swap_verifier(verifier),
            Candidate::Policy(policy) => self.swap_policy(|slot| {
                let same = |shadow: &crate::policy::Policy| shadow.digest() == policy.digest();
                slot.shadow = slot.shadow.take().filter(|shadow| !same(shadow));
                slot.active = Active::Policy(policy);
            }),
        }
        self.registry.set_loaded_with(Some(keys));
        Ok(reply)
    }

    /// Commits a slot's row with its audit event. Invalidates the loaded slots: until the caller
    /// swaps the module in, the next call reloads them from the store.
    pub(crate) async fn keep_slot(
        &self,
        caller: &Caller,
        change: Change,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let Change { event, slot, row, fields, keys: _ } = change;
        // Loads the slots if that did not happen yet, so that the shadow is present.
        self.refresh_slots_locked().await?;
        let shown = self.shown_slot(slot, &row).to_string();
        let note = Note {
            event,
            rows: vec![row.change(slot)?],
            fields: fields.into_fields(),
            guardrail: None,
            answer: Some(Reply::new(200, shown)),
        };
        let now = self.now_to_write()?;
        self.registry.invalidate();
        self.keep_note(caller, note, idempotency, now).await
    }

    /// Returns the audit fields of a module as far as known, for a refusal.
    pub(crate) async fn audit_fields_of(&self, digest: ModuleDigest) -> AuditFields {
        let row = self.module_row(digest).await.and_then(|row| row.claims());
        row.map_or_else(
            |_| AuditFields::of_digest(digest),
            |(envelope, manifest)| AuditFields::of_manifest(&manifest, &envelope),
        )
    }
}

fn check_reason(reason: &str) -> Result<(), Refusal> {
    if reason.trim().is_empty() {
        return Err(Refusal::new(
            Code::REQUEST_INVALID,
            "reason is empty; the audit log requires one",
        ));
    }
    if reason.len() > REASON_BYTES_MAX {
        let bytes = reason.len();
        let detail = format!("reason is {bytes} bytes, the limit is {REASON_BYTES_MAX}");
        return Err(Refusal::new(Code::LIMIT_EXCEEDED, detail));
    }
    Ok(())
}

/// Returns the target of a rollback, as rows name it.
///
/// Refusals: `not-found`, `request-invalid` if it is already active.
fn target(row: &SlotRow, slot: Slot, to: Option<ModuleDigest>) -> Result<String, Refusal> {
    let refused = |why: String| Err(Refusal::new(Code::NOT_FOUND, why));
    let Some(to) = to else {
        return match row.previous(slot) {
            Some(previous) => Ok(previous.to_owned()),
            None => refused(format!("slot `{slot}` has no previous module")),
        };
    };
    let name = name_in(slot, to);
    if row.active_name(slot) == Some(&name) {
        let detail = format!("module `{to}` is already active in slot `{slot}`");
        return Err(Refusal::new(Code::REQUEST_INVALID, detail));
    }
    match row.was_active(slot, &name) {
        true => Ok(name),
        false => {
            refused(format!("module `{to}` was never active in slot `{slot}`; activate it instead"))
        }
    }
}
