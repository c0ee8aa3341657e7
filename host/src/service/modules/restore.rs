//! What serves, from what the store says: at start, after the keys have changed, and where a change of
//! a slot was kept but not swapped in.
//!
//! A module whose signer no longer counts, whose bytes are not those that were signed, or whose row is
//! not the one that the audit log has, is not active; and nothing is active in its place. An empty slot
//! is not the same as one that lost its policy: what was denied would be a matter of approval.

use super::super::Service;
use super::super::slots::{Active, PolicySlot};
use super::prepare::{Candidate, apart, loaded};
use super::row::SlotRow;
use crate::code::Code;
use crate::engine::Policy;
use crate::keys::Keys;
use crate::module::{ModuleDigest, Slot};
use crate::refusal::Refusal;
use crate::verifier::Verifier;

impl Service {
    /// Has serve what the store says, if the keys have changed since that was looked at.
    ///
    /// Refusals: `store-unavailable`; `keyring-unavailable` where a slot has a module.
    pub(in super::super) async fn follow_keys(&self) -> Result<(), Refusal> {
        let _swap = match self.keys() {
            Ok(keys) if self.registry.was_held_against(&keys) => return Ok(()),
            _ => self.registry.swap.lock().await,
        };
        self.follow_keys_in_turn().await
    }

    /// As [`Self::follow_keys`], for who has the turn to swap.
    pub(super) async fn follow_keys_in_turn(&self) -> Result<(), Refusal> {
        let rows = [self.slot_row(Slot::Verifier).await?, self.slot_row(Slot::Policy).await?];
        let keys = match self.keys() {
            Ok(keys) if self.registry.was_held_against(&keys) => return Ok(()),
            // A key that the log saw revoked signs for no slot.
            Ok(_) => self.checked_keys().await?,
            // What is built in needs no key.
            Err(_) if rows.iter().all(|row| row.history.is_empty() && row.shadow.is_none()) => {
                return Ok(());
            }
            Err(refusal) => return Err(refusal),
        };
        let [verifier, policy] = rows;
        self.restore_verifier(&verifier, &keys).await?;
        self.restore_policy(&policy, &keys).await?;
        self.registry.hold_against(Some(keys));
        Ok(())
    }

    /// Has the verifier serve that the store names, at start.
    ///
    /// Refusals: as [`Self::follow_keys`].
    pub(in super::super) async fn begin_with_stored_verifier(&self) -> Result<(), Refusal> {
        let row = match self.slot_row(Slot::Verifier).await {
            Ok(row) => row,
            Err(refusal) if refusal.code == Code::STORE_TAMPERED => {
                self.swap_verifier(Verifier::broken("none", &refusal.to_string()));
                return Ok(());
            }
            Err(refusal) => return Err(refusal),
        };
        let keys = match row.active {
            Some(_) => self.checked_keys().await?,
            None => Keys::default(),
        };
        self.restore_verifier(&row, &keys).await
    }

    async fn restore_verifier(&self, row: &SlotRow, keys: &Keys) -> Result<(), Refusal> {
        let Some(digest) = row.active.as_deref() else {
            self.swap_verifier(self.built_in_verifier());
            return Ok(());
        };
        let serving = self.verifier();
        let same = serving.digest() == digest && serving.why_broken().is_none();
        match self.loaded_again(Slot::Verifier, digest, keys, same).await? {
            Ok(Some(Candidate::Verifier(verifier))) => self.swap_verifier(verifier),
            Ok(Some(Candidate::Policy(_)) | None) => {}
            Err(why) => self.swap_verifier(Verifier::broken(digest, &why)),
        }
        Ok(())
    }

    async fn restore_policy(&self, row: &SlotRow, keys: &Keys) -> Result<(), Refusal> {
        let serving = self.policy_now();
        let active = match row.active.as_deref() {
            None => Active::Empty,
            Some(digest) => {
                let same =
                    matches!(&serving.active, Active::Policy(policy) if policy.digest() == digest);
                match self.loaded_again(Slot::Policy, digest, keys, same).await? {
                    Ok(Some(Candidate::Policy(policy))) => Active::Policy(policy),
                    Ok(Some(Candidate::Verifier(_)) | None) => serving.active,
                    Err(why) => Active::Broken { digest: digest.to_owned(), why },
                }
            }
        };
        let shadow = match row.shadow.as_deref() {
            None => None,
            Some(digest) => self.restored_shadow(digest, keys, serving.shadow).await?,
        };
        self.swap_policy(|slot| *slot = PolicySlot { active, shadow });
        Ok(())
    }

    /// What the slot's row names, if it may serve; none where it serves already. The inner error says
    /// why it may not.
    async fn loaded_again(
        &self,
        slot: Slot,
        digest: &str,
        keys: &Keys,
        serves: bool,
    ) -> Result<Result<Option<Candidate>, String>, Refusal> {
        let kept = match ModuleDigest::parse(digest) {
            Some(digest) => self.kept_module(digest, keys).await,
            None => return Ok(Err(format!("`{digest}` is no digest"))),
        };
        let kept = match kept {
            Ok(kept) => kept,
            // What the disk does not give now it may give later.
            Err(refusal) if is_io(&refusal) => return Err(refusal),
            Err(refusal) => return Ok(Err(refusal.to_string())),
        };
        if kept.signed.manifest().slot != slot {
            return Ok(Err(format!("its manifest is for slot `{}`", kept.signed.manifest().slot)));
        }
        if serves {
            return Ok(Ok(None));
        }
        let loader = self.loader().clone();
        let candidate =
            apart(move || loaded(&loader, kept.signed.manifest(), &kept.wasm).map(Some)).await;
        Ok(candidate.map_err(|refusal| refusal.to_string()))
    }

    async fn restored_shadow(
        &self,
        digest: &str,
        keys: &Keys,
        serving: Option<Policy>,
    ) -> Result<Option<Policy>, Refusal> {
        let same = serving.as_ref().is_some_and(|policy| policy.digest() == digest);
        Ok(match self.loaded_again(Slot::Policy, digest, keys, same).await? {
            Ok(Some(Candidate::Policy(policy))) => Some(policy),
            Ok(None) => serving,
            // It decides nothing; it is not asked.
            Ok(Some(Candidate::Verifier(_))) | Err(_) => None,
        })
    }
}

/// Whether the store failed, rather than what is in it.
fn is_io(refusal: &Refusal) -> bool {
    refusal.code == Code::STORE_UNAVAILABLE
}
