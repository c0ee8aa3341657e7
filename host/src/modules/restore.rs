//! Loading of the active modules from the store: at start, after a change of the keys, and if a
//! change of a slot was committed but not swapped in.
//!
//! A module whose signer is no longer valid, whose bytes differ from the signed ones, or whose row
//! differs from the audit log, is not active, and nothing is active in its place: the slot refuses
//! every call. If it counted as empty, actions that the lost policy denies would only require
//! approval.

use signoff_core::deceptive::in_one_line;

use super::prepare::{Candidate, loaded, run_blocking};
use super::row::SlotRow;
use super::{Active, ModuleDigest, Modules, Slot};
use crate::code::Code;
use crate::keys::Keys;
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::verifier::Verifier;

impl Modules {
    /// Reloads both slots from the store if the keyring changed since the last check, or if a
    /// change invalidated them.
    ///
    /// Refusals: `store-unavailable`; `keyring-unavailable` if a slot has a module.
    pub(super) async fn refresh(&self) -> Result<(), Refusal> {
        let _swap = match self.keys.current() {
            Ok(keys) if self.is_loaded_with(&keys) => return Ok(()),
            _ => self.swap.lock().await,
        };
        self.refresh_locked().await
    }

    /// As [`Self::refresh`], for a caller that holds the lock `swap`.
    pub(super) async fn refresh_locked(&self) -> Result<(), Refusal> {
        let rows = [self.slot_row(Slot::Verifier).await?, self.slot_row(Slot::Policy).await?];
        let keys = match self.keys.current() {
            Ok(keys) if self.is_loaded_with(&keys) => return Ok(()),
            // A key that the log recorded as revoked is not a valid signer.
            Ok(_) => self.keys.checked().await?,
            // The built-in verifier needs no key.
            Err(_) if rows.iter().all(|row| row.history.is_empty() && row.shadow.is_none()) => {
                return Ok(());
            }
            Err(refusal) => return Err(refusal),
        };
        let [verifier, policy] = rows;
        self.restore_verifier(&verifier, &keys).await?;
        self.restore_policy(&policy, &keys).await?;
        self.set_loaded_with(keys);
        Ok(())
    }

    /// Loads the verifier that the store names, at start.
    ///
    /// Refusals: as [`Self::refresh`].
    pub(crate) async fn load_stored_verifier(&self) -> Result<(), Refusal> {
        let row = match self.slot_row(Slot::Verifier).await {
            Ok(row) => row,
            Err(refusal) if refusal.code == Code::STORE_TAMPERED => {
                self.verifier.replace(Verifier::broken("none", &inactive_because(&refusal)));
                return Ok(());
            }
            Err(refusal) => return Err(refusal),
        };
        let keys = match row.active {
            Some(_) => self.keys.checked().await?,
            None => Keys::default(),
        };
        self.restore_verifier(&row, &keys).await
    }

    async fn restore_verifier(&self, row: &SlotRow, keys: &Keys) -> Result<(), Refusal> {
        let Some(digest) = row.active.as_deref() else {
            self.verifier.replace(self.verifier.built_in());
            return Ok(());
        };
        let current = self.verifier.current();
        let same = current.digest() == digest && current.why_broken().is_none();
        match self.load_named(Slot::Verifier, digest, keys, same).await? {
            Ok(Some(Candidate::Verifier(verifier))) => self.verifier.replace(verifier),
            Ok(Some(Candidate::Policy(_)) | None) => {}
            Err(why) => self.verifier.replace(Verifier::broken(digest, &why)),
        }
        Ok(())
    }

    async fn restore_policy(&self, row: &SlotRow, keys: &Keys) -> Result<(), Refusal> {
        let current = self.policy_now();
        let active = match row.active.as_deref() {
            None => Active::Empty,
            Some(digest) => {
                let same =
                    matches!(&current.active, Active::Policy(policy) if policy.digest() == digest);
                match self.load_named(Slot::Policy, digest, keys, same).await? {
                    Ok(Some(Candidate::Policy(policy))) => Active::Policy(policy),
                    Ok(Some(Candidate::Verifier(_)) | None) => current.active,
                    Err(why) => Active::Broken { digest: digest.to_owned(), why },
                }
            }
        };
        let shadow = match row.shadow.as_deref() {
            None => None,
            Some(digest) => self.restored_shadow(digest, keys, current.shadow).await?,
        };
        self.policy.change(|slot| (slot.active, slot.shadow) = (active, shadow));
        Ok(())
    }

    /// Loads the module that a slot's row names; `None` if it is already loaded. The inner error is
    /// the reason why the module is not active.
    async fn load_named(
        &self,
        slot: Slot,
        digest: &str,
        keys: &Keys,
        is_loaded: bool,
    ) -> Result<Result<Option<Candidate>, String>, Refusal> {
        let kept = match ModuleDigest::parse(digest) {
            Some(digest) => self.kept_module(digest, keys).await,
            None => return Ok(Err(format!("`{digest}` is not a digest"))),
        };
        let kept = match kept {
            Ok(kept) => kept,
            // An I/O error may be temporary.
            Err(refusal) if is_io(&refusal) => return Err(refusal),
            Err(refusal) => return Ok(Err(inactive_because(&refusal))),
        };
        if kept.signed.manifest().slot != slot {
            return Ok(Err(format!("its manifest names slot `{}`", kept.signed.manifest().slot)));
        }
        if is_loaded {
            return Ok(Ok(None));
        }
        let loader = self.loader.clone();
        let candidate =
            run_blocking(move || loaded(&loader, kept.signed.manifest(), &kept.wasm).map(Some))
                .await;
        Ok(candidate.map_err(|refusal| inactive_because(&refusal)))
    }

    async fn restored_shadow(
        &self,
        digest: &str,
        keys: &Keys,
        current: Option<Policy>,
    ) -> Result<Option<Policy>, Refusal> {
        let same = current.as_ref().is_some_and(|policy| policy.digest() == digest);
        Ok(match self.load_named(Slot::Policy, digest, keys, same).await? {
            Ok(Some(Candidate::Policy(policy))) => Some(policy),
            Ok(None) => current,
            // A broken shadow is not evaluated: it has no effect.
            Ok(Some(Candidate::Verifier(_))) | Err(_) => None,
        })
    }
}

/// Logs why a module is not active, and returns what callers may see of it.
fn inactive_because(refusal: &Refusal) -> String {
    tracing::error!(cause = in_one_line(&refusal.reason()), "module not active");
    refusal.without_cause()
}

/// Returns whether the store failed, rather than its content.
fn is_io(refusal: &Refusal) -> bool {
    refusal.code == Code::STORE_UNAVAILABLE
}
