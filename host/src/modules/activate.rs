//! Activation of a module, and rollback to an earlier one.

use std::future::ready;

use super::prepare::{Candidate, Kept};
use super::row::{Activation, SlotRow, built_in, digest_of, name_in};
use super::{Active, ModuleDigest, Modules, Slot, may_change};
use crate::caller::Caller;
use crate::code::Code;
use crate::keys::Keys;
use crate::ledger::{Event, Idempotency, ModuleFields, Note, Reply};
use crate::policy::Policy;
use crate::refusal::{Missing, Refusal};

/// Maximum length of the reason of a rollback.
const REASON_BYTES_MAX: usize = 4 << 10;

/// A change of a slot, ready to commit, with the keys that its module was verified with.
pub(super) struct Change<'a> {
    pub(super) event: Event<'a>,
    pub(super) slot: Slot,
    pub(super) row: SlotRow,
    pub(super) keys: Keys,
}

impl Modules {
    /// Activates a module. Calls that start later use it; calls in flight finish on the previous
    /// one. Not cancel-safe.
    ///
    /// # Errors
    ///
    /// 1. `not-found` 2. `forbidden`: the slot needs another role 3. as `Envelope::verify`: the
    ///    signer is no longer valid 4. `version-not-newer` 5. `module-invalid`, `limit-exceeded`:
    ///    its checks or its trial failed 6. the errors of every change.
    pub async fn activate(
        &self,
        caller: &Caller,
        digest: ModuleDigest,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let _turn = self.turn.lock().await;
        let done = self.try_activate(caller, digest, idempotency).await;
        self.recorded(caller, "activate", self.fields_of(digest), done).await
    }

    async fn try_activate(
        &self,
        caller: &Caller,
        digest: ModuleDigest,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        if let Some(reply) = self.kept_answer(caller, digest, idempotency).await? {
            return Ok(reply);
        }
        let (keys, kept) = self.load_for_activation(caller, digest).await?;
        let manifest = kept.signed.manifest();
        let (slot, version) = (manifest.slot, manifest.version.number());
        let mut row = self.slot_row(slot).await?;
        let text = digest.to_string();
        if row.active.as_deref() == Some(&text) {
            // The module may have been deactivated because its signer was invalid. If the signer is
            // valid again, the reload activates the module.
            self.invalidate();
            self.refresh().await?;
            let shown = self.shown_slot(slot, &row, &self.unmeetable_now(slot));
            return Ok(Reply::new(200, shown.to_string()));
        }
        if version <= row.highest_version {
            let detail = format!(
                "version {version} is not newer than {}, the highest version that was active in slot `{slot}`; `signoff module rollback {slot} --to` activates an older one again",
                row.highest_version
            );
            return Err(Refusal::new(Code::VERSION_NOT_NEWER, detail));
        }
        let candidate = self.prepare_module(&kept.signed, &kept.wasm).await?;
        let module = ModuleFields::of_manifest(manifest, kept.signed.envelope());
        let previous = previous(&row, slot);
        row.shadow = row.shadow.filter(|shadow| *shadow != text);
        let activation = self.activation(caller, text, "activated", None)?;
        row.activate(slot, activation, Some(version));
        let event = Event::ModuleActivated { module, previous };
        let change = Change { event, slot, row, keys };
        self.swap(caller, change, candidate, idempotency).await
    }

    /// Rolls a slot back to the module `to`; by default, to the previous module. The slot's highest
    /// version does not change. Not cancel-safe.
    ///
    /// # Errors
    ///
    /// 1. `forbidden`: the slot needs another role 2. `request-invalid`, `limit-exceeded`: no
    ///    reason, or one over 4 KiB 3. `not-found`: there is no previous module, or `to` was never
    ///    active; `request-invalid`: `to` is already active 4. as `Envelope::verify`
    ///    5. `module-invalid`, `limit-exceeded`: its checks or its trial failed 6. the errors of
    ///    every change.
    pub async fn roll_back(
        &self,
        caller: &Caller,
        slot: Slot,
        reason: &str,
        to: Option<ModuleDigest>,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let _turn = self.turn.lock().await;
        let done = self.try_roll_back(caller, slot, reason, to, idempotency).await;
        let digest = to.map(|to| to.to_string());
        let fields = ModuleFields { digest, ..ModuleFields::of_slot(slot) };
        self.recorded(caller, "rollback", ready(fields), done).await
    }

    async fn try_roll_back(
        &self,
        caller: &Caller,
        slot: Slot,
        reason: &str,
        to: Option<ModuleDigest>,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        may_change(caller, slot)?;
        if let Some(reply) = self.ledger.kept(idempotency).await? {
            return Ok(reply);
        }
        check_reason(reason)?;
        let mut row = self.slot_row(slot).await?;
        let text = target(&row, slot, to)?;
        let (keys, candidate, module) = if built_in(slot) == Some(&text) {
            let (keys, built_in) = (self.keys.recorded().await?, self.verifier.built_in());
            self.compare_stored_views(&built_in).await?;
            (keys, Candidate::Verifier(built_in), ModuleFields::of_built_in(slot))
        } else {
            let to = ModuleDigest::parse(&text).ok_or_else(|| {
                Refusal::missing(Missing::Module, format!("`{text}` is not the digest of a module"))
            })?;
            let (keys, kept) = self.load_for_activation(caller, to).await?;
            let candidate = self.prepare_module(&kept.signed, &kept.wasm).await?;
            let module = ModuleFields::of_manifest(kept.signed.manifest(), kept.signed.envelope());
            (keys, candidate, module)
        };
        let event = Event::ModuleRolledBack { module, previous: previous(&row, slot), reason };
        row.shadow = row.shadow.filter(|shadow| *shadow != text);
        let activation = self.activation(caller, text, "rolled_back", Some(reason.to_owned()))?;
        row.activate(slot, activation, None);
        let change = Change { event, slot, row, keys };
        self.swap(caller, change, candidate, idempotency).await
    }

    /// Loads a module that the caller may activate and whose signer is valid now.
    pub(super) async fn load_for_activation(
        &self,
        caller: &Caller,
        digest: ModuleDigest,
    ) -> Result<(Keys, Kept), Refusal> {
        let (_, claimed) = self.module_row(digest).await?.claims()?;
        may_change(caller, claimed.slot)?;
        let keys = self.keys.recorded().await?;
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
        let (at, by) = (self.ledger.now_to_write()?, caller.subject().to_owned());
        Ok(Activation { digest, at, by, how: how.to_owned(), reason })
    }

    /// Commits the slot's row, and only then swaps the module in: no call uses a module that the
    /// store does not name as active.
    async fn swap(
        &self,
        caller: &Caller,
        change: Change<'_>,
        candidate: Candidate,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let _swap = self.swap.lock().await;
        let keys = change.keys.clone();
        let unmeetable = match &candidate {
            Candidate::Policy(policy) => self.unmeetable(policy),
            Candidate::Verifier(_) => Vec::new(),
        };
        let reply = self.keep_slot(caller, change, &unmeetable, idempotency).await?;
        if reply.replayed {
            return Ok(reply);
        }
        match candidate {
            Candidate::Verifier(verifier) => self.verifier.replace(verifier),
            Candidate::Policy(policy) => self.policy.change(|slot| {
                let same = |shadow: &Policy| shadow.digest() == policy.digest();
                slot.shadow = slot.shadow.take().filter(|shadow| !same(shadow));
                slot.active = Active::Policy(policy);
            }),
        }
        self.set_loaded_with(keys);
        Ok(reply)
    }

    /// Commits a slot's row with its audit event. Invalidates the loaded slots before the commit,
    /// so that calls reload them from the store until the caller of this function has swapped the
    /// module in.
    pub(super) async fn keep_slot(
        &self,
        caller: &Caller,
        change: Change<'_>,
        unmeetable: &[String],
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let Change { event, slot, row, keys: _ } = change;
        // Loads the slots if they are not loaded yet: the swap replaces only the active module, and
        // keeps the loaded shadow.
        self.refresh_locked().await?;
        let shown = self.shown_slot(slot, &row, unmeetable).to_string();
        let note = Note::of(event).changing(vec![row.change(slot)?]).answering(200, shown);
        let now = self.ledger.now_to_write()?;
        self.invalidate();
        self.ledger.note_at(now, caller, note, idempotency).await
    }
}

/// Returns the digest of the active module, which the change replaces.
fn previous(row: &SlotRow, slot: Slot) -> Option<String> {
    row.active_name(slot).map(|name| digest_of(name).to_owned())
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

/// Returns the name, as used in rows, of the module to roll back to.
///
/// Refusals: `not-found`, `request-invalid` if it is already active.
fn target(row: &SlotRow, slot: Slot, to: Option<ModuleDigest>) -> Result<String, Refusal> {
    let refused = |why: String| Err(Refusal::missing(Missing::Module, why));
    let Some(to) = to else {
        return match row.previous(slot) {
            Some(previous) => Ok(previous.to_owned()),
            None => refused(format!(
                "slot `{slot}` has no previous module: name one that was active, as in `signoff module rollback {slot} --to DIGEST`"
            )),
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
