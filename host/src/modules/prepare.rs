//! Preparation of a module: inspection, compilation, linking without imports, and trial.

use std::sync::Arc;

use super::row::ModuleRow;
use super::{
    Envelope, Manifest, ModuleDigest, Modules, Signed, Slot, all_given, inspect, is_for, missing,
    trial_policy, trial_verifier,
};
use crate::code::Code;
use crate::engine::{CompileError, Loader};
use crate::keys::Keys;
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::verifier::Verifier;

/// A module that is ready to be activated.
#[derive(Clone)]
pub(super) enum Candidate {
    Verifier(Verifier),
    Policy(Policy),
}

/// A stored module: its verified manifest and its bytes.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) signed: Signed,
    pub(super) wasm: Arc<[u8]>,
}

impl Modules {
    /// Loads a stored module, if its signer is valid now and its bytes have the signed digest.
    ///
    /// Refusals: 1. `not-found` 2. as [`Envelope::verify`] 3. `store-tampered`: the stored manifest
    /// names another module 4. `audience-mismatch` 5. `store-tampered`: the bytes have another
    /// digest
    pub(super) async fn kept_module(
        &self,
        digest: ModuleDigest,
        keys: &Keys,
    ) -> Result<Kept, Refusal> {
        let row = self.module_row(digest).await?;
        let signed = self.signed(&row, digest, keys)?;
        let wasm = self.module_bytes(digest).await?;
        Ok(Kept { signed, wasm })
    }

    /// Loads the bytes of a stored module.
    ///
    /// Refusals: `not-found`, `store-unavailable`, `store-tampered`.
    pub(super) async fn module_bytes(&self, digest: ModuleDigest) -> Result<Arc<[u8]>, Refusal> {
        let wasm =
            self.ledger.store().blob(digest.bytes()).await?.ok_or_else(|| missing(digest))?;
        if ModuleDigest::of(&wasm) != digest {
            let detail = format!("the stored bytes of module `{digest}` have another digest");
            return Err(Refusal::new(Code::STORE_TAMPERED, detail));
        }
        Ok(wasm.into())
    }

    /// Returns the verified manifest of a row, if its signer is valid now. The result is cached for
    /// the envelope that was pushed last.
    ///
    /// Refusals: as [`Envelope::verify`]; `store-tampered`; `audience-mismatch`.
    pub(super) fn signed(
        &self,
        row: &ModuleRow,
        digest: ModuleDigest,
        keys: &Keys,
    ) -> Result<Signed, Refusal> {
        let signed = match self.proof(&row.envelope) {
            Some(proof) => proof.under(keys)?,
            None => Signed::verified(Envelope::parse(&row.envelope)?, keys)?,
        };
        if signed.manifest().digest != digest {
            let detail = format!("the stored manifest of module `{digest}` names another module");
            return Err(Refusal::new(Code::STORE_TAMPERED, detail));
        }
        is_for(signed.manifest(), self.ledger.audience())?;
        Ok(signed)
    }

    /// Prepares a module for activation, from its bytes and its signed manifest.
    ///
    /// Refusals: 1. `module-invalid`: it reads a fact that this host does not provide 2. as
    /// [`inspect`] 3. `module-invalid`, `limit-exceeded`: it does not compile, or not within the
    /// limits; its exports have wrong types 4. `module-invalid`: its trial failed;
    /// `manifest-invalid`: its description lists a fact that its manifest does not
    pub(super) async fn prepare_module(
        &self,
        signed: &Signed,
        wasm: &Arc<[u8]>,
    ) -> Result<Candidate, Refusal> {
        let now = self.ledger.now();
        let active = self.verifier.current();
        let candidate = {
            let (loader, manifest) = (self.loader.clone(), signed.manifest().clone());
            let wasm = Arc::clone(wasm);
            run_blocking(move || {
                let candidate = loaded(&loader, &manifest, &wasm)?;
                match &candidate {
                    Candidate::Policy(policy) => trial_policy::try_out(policy, &manifest, now)?,
                    Candidate::Verifier(verifier) => trial_verifier::try_out(verifier, &active)?,
                }
                Ok(candidate)
            })
            .await?
        };
        if let Candidate::Verifier(verifier) = &candidate {
            self.compare_stored_views(verifier).await?;
        }
        Ok(candidate)
    }
}

/// Inspects a module, compiles it, and links it without imports. Refuses a module that reads a fact
/// which this host does not provide.
pub(super) fn loaded(
    loader: &Loader,
    manifest: &Manifest,
    wasm: &[u8],
) -> Result<Candidate, Refusal> {
    all_given(manifest)?;
    inspect(wasm, manifest.slot, manifest.limits)?;
    let digest = manifest.digest.to_string();
    Ok(match manifest.slot {
        Slot::Policy => {
            let policy = Policy::load_by(loader, wasm, &digest, manifest.limits);
            let policy = policy.map_err(|e| unusable(&e))?;
            // Here, where it blocks no async thread.
            let _ = policy.requirements();
            Candidate::Policy(policy)
        }
        Slot::Verifier => {
            Candidate::Verifier(Verifier::load_by(loader, wasm, &digest).map_err(|e| unusable(&e))?)
        }
    })
}

/// Runs blocking work outside the async threads.
pub(super) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| Err(Refusal::internal(e)))
}

fn unusable(error: &anyhow::Error) -> Refusal {
    let code = match error.downcast_ref::<CompileError>() {
        Some(CompileError::TooMuch(_)) => Code::LIMIT_EXCEEDED,
        Some(CompileError::Invalid(_)) | None => Code::MODULE_INVALID,
    };
    let why: String = format!("{error:#}").chars().take(1_000).collect();
    Refusal::new(code, format!("the module cannot be loaded: {why}").replace(char::is_control, " "))
}
