//! Start and end of a shadow: a policy that is evaluated next to the active one, without effect.

use std::future::ready;

use super::activate::Change;
use super::prepare::Candidate;
use super::{ModuleDigest, Modules, Slot, may_change};
use crate::caller::Caller;
use crate::code::Code;
use crate::ledger::{Event, Idempotency, ModuleFields, Reply};
use crate::refusal::Refusal;

impl Modules {
    /// Makes a policy the shadow, replacing the current one. Not cancel-safe.
    ///
    /// # Errors
    ///
    /// 1. `not-found` 2. `forbidden`: the slot needs another role 3. as `Envelope::verify`
    ///    4. `request-invalid`: not a policy, or the active one 5. `module-invalid`,
    ///    `limit-exceeded`: its checks or its trial failed 6. the errors of every change.
    pub async fn shadow(
        &self,
        caller: &Caller,
        digest: ModuleDigest,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let _turn = self.turn.lock().await;
        let done = self.begin_shadow(caller, digest, idempotency).await;
        self.recorded(caller, "shadow", self.fields_of(digest), done).await
    }

    /// Stops shadowing; has no effect if there is no shadow.
    ///
    /// # Errors
    ///
    /// 1. `request-invalid`: the slot cannot have a shadow 2. `forbidden`: the slot needs another
    ///    role 3. the errors of every change.
    pub async fn unshadow(
        &self,
        caller: &Caller,
        slot: Slot,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let _turn = self.turn.lock().await;
        let done = self.end_shadow(caller, slot, idempotency).await;
        self.recorded(caller, "unshadow", ready(ModuleFields::of_slot(slot)), done).await
    }

    async fn begin_shadow(
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
        let slot = manifest.slot;
        check_shadowable(slot)?;
        let mut row = self.slot_row(slot).await?;
        let text = digest.to_string();
        if row.active.as_deref() == Some(&text) {
            let detail =
                format!("module `{digest}` is active in slot `{slot}`; shadow a different one");
            return Err(Refusal::new(Code::REQUEST_INVALID, detail));
        }
        if row.shadow.as_deref() == Some(&text) {
            let shown = self.shown_slot(slot, &row, &self.unmeetable_now(slot));
            return Ok(Reply::new(200, shown.to_string()));
        }
        let Candidate::Policy(policy) = self.prepare_module(&kept.signed, &kept.wasm).await? else {
            return Err(Refusal::new(Code::MODULE_INVALID, "the module is not a policy"));
        };
        row.shadow = Some(text);
        let module = ModuleFields::of_manifest(manifest, kept.signed.envelope());
        let event = Event::ModuleShadowed(module);
        let change = Change { event, slot, row, keys: keys.clone() };
        let _swap = self.swap.lock().await;
        let reply = self.keep_slot(caller, change, &self.unmeetable_now(slot), idempotency).await?;
        if !reply.replayed {
            self.policy.change(|slot| slot.shadow = Some(policy));
            self.set_loaded_with(keys);
        }
        Ok(reply)
    }

    async fn end_shadow(
        &self,
        caller: &Caller,
        slot: Slot,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        check_shadowable(slot)?;
        may_change(caller, slot)?;
        if let Some(reply) = self.ledger.kept(idempotency).await? {
            return Ok(reply);
        }
        let mut row = self.slot_row(slot).await?;
        let Some(digest) = row.shadow.take() else {
            let shown = self.shown_slot(slot, &row, &self.unmeetable_now(slot));
            return Ok(Reply::new(200, shown.to_string()));
        };
        let event = Event::ModuleUnshadowed(ModuleFields::of_slot(slot).with_digest(&digest));
        let keys = self.keys.recorded().await?;
        let change = Change { event, slot, row, keys: keys.clone() };
        let _swap = self.swap.lock().await;
        let reply = self.keep_slot(caller, change, &self.unmeetable_now(slot), idempotency).await?;
        if !reply.replayed {
            self.policy.change(|slot| slot.shadow = None);
            self.set_loaded_with(keys);
        }
        Ok(reply)
    }
}

fn check_shadowable(slot: Slot) -> Result<(), Refusal> {
    match slot {
        Slot::Policy => Ok(()),
        Slot::Verifier => {
            Err(Refusal::new(Code::REQUEST_INVALID, "only slot `policy` has a shadow"))
        }
    }
}
