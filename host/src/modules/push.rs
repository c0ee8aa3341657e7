//! Push of a module with its manifest.

use std::sync::Arc;

use super::list::SlotRows;
use super::row::ModuleRow;
use super::{
    Envelope, MODULE_BYTES_MAX, MODULES_MAX, Manifest, ModuleDigest, Modules, Signed, is_for,
    may_change,
};
use crate::caller::Caller;
use crate::code::Code;
use crate::ledger::{Event, Idempotency, ModuleFields, Note, Reply};
use crate::refusal::Refusal;
use crate::store::Blob;

/// A pushed module.
#[derive(Clone, Debug)]
pub struct NewModule {
    /// The envelope of its manifest, JSON.
    pub manifest: String,
    /// Its bytes.
    pub wasm: Arc<[u8]>,
}

/// What to do with a pushed module.
enum Place {
    /// It is already stored with this manifest; the answer.
    Here(Reply),
    /// Store this row, and the bytes unless they are already stored.
    For(ModuleRow, Option<Blob>),
}

impl Modules {
    /// Stores a module if its checks and its trial succeed, so that it can be activated. A stored
    /// module may be pushed again with the same manifest, signed by another key. Not cancel-safe.
    ///
    /// # Errors
    ///
    /// 1. as [`Envelope::parse`] and [`Envelope::verify`] 2. `audience-mismatch` 3. `forbidden`:
    ///    the slot needs another role 4. `manifest-invalid`: it names other bytes; or the module is
    ///    stored with another name, version, limits or facts 5. `version-not-newer`:
    ///    another module has this name and version 6. `limit-exceeded`: 64 modules of the slot, or
    ///    1 GiB of all modules, are stored 7. `module-invalid`, `limit-exceeded`: its checks or its
    ///    trial failed 8. the errors of every change.
    pub async fn push(
        &self,
        caller: &Caller,
        new: NewModule,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let _pushing = self.pushing.lock().await;
        let done = self.try_push(caller, &new, idempotency).await;
        let fields = async { ModuleFields::of_push(&new.manifest, &new.wasm) };
        self.recorded(caller, "push", fields, done).await
    }

    async fn try_push(
        &self,
        caller: &Caller,
        new: &NewModule,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let keys = self.keys.recorded().await?;
        if !new.manifest.starts_with('{') {
            return Err(Refusal::new(Code::MANIFEST_INVALID, "manifest: expected an object"));
        }
        let signed = Signed::verified(Envelope::parse(&new.manifest)?, &keys)?;
        let manifest = signed.manifest();
        is_for(manifest, self.ledger.audience())?;
        may_change(caller, manifest.slot)?;
        if let Some(reply) = self.ledger.kept(idempotency).await? {
            return Ok(reply);
        }
        let digest = ModuleDigest::of(&new.wasm);
        if digest != manifest.digest {
            let detail = format!(
                "the manifest names module `{}`, the bytes have the digest `{digest}`",
                manifest.digest
            );
            return Err(Refusal::new(Code::MANIFEST_INVALID, detail));
        }
        // Checked first, so that a module that may not be stored is not compiled.
        if let Place::Here(reply) = self.place(caller, &signed, &new.wasm).await? {
            return Ok(reply);
        }
        self.prepare_module(&signed, &new.wasm).await?;
        let _turn = self.turn.lock().await;
        // Meanwhile keys may have changed, and a module may have been removed.
        let signed = signed.under(&self.keys.recorded().await?)?;
        match self.place(caller, &signed, &new.wasm).await? {
            Place::Here(reply) => Ok(reply),
            Place::For(row, blob) => {
                self.keep_module(caller, &signed, &row, blob, idempotency).await
            }
        }
    }

    /// Returns what to store of a module, or the answer if it is already stored.
    async fn place(
        &self,
        caller: &Caller,
        signed: &Signed,
        wasm: &Arc<[u8]>,
    ) -> Result<Place, Refusal> {
        let (manifest, now) = (signed.manifest(), self.ledger.now_to_write()?);
        let digest = manifest.digest;
        let mut row = ModuleRow::new(signed.envelope(), wasm.len(), now, caller.subject());
        let rows = ModuleRow::all(self.ledger.store()).await?;
        let Some((_, known)) = rows.iter().find(|(known, _)| *known == digest) else {
            has_room(&rows, manifest, wasm.len() as u64)?;
            // It may have been stored before and removed.
            let before = ModuleRow::load(self.ledger.store(), digest).await?;
            row.entry = before.map_or(0, |before| before.entry);
            let blob = Blob { digest: *digest.bytes(), bytes: Some(Arc::clone(wasm)) };
            return Ok(Place::For(row, Some(blob)));
        };
        let known = known.as_ref().map_err(Clone::clone)?;
        if known.envelope == row.envelope {
            let shown = self.shown_module(digest, known, &SlotRows::of_all(self).await?)?;
            return Ok(Place::Here(Reply::new(200, shown.to_string())));
        }
        signed_anew(manifest, known)?;
        (row.pushed_at, row.pushed_by) = (known.pushed_at, known.pushed_by.clone());
        row.entry = known.entry;
        Ok(Place::For(row, None))
    }

    async fn keep_module(
        &self,
        caller: &Caller,
        signed: &Signed,
        row: &ModuleRow,
        blob: Option<Blob>,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let manifest = signed.manifest();
        let shown = self.shown_module(manifest.digest, row, &SlotRows::of_all(self).await?)?;
        let status = if blob.is_some() { 201 } else { 200 };
        let module = ModuleFields::of_manifest(manifest, signed.envelope());
        let note = Note::of(Event::ModulePushed { module, bytes: row.bytes })
            .changing(vec![row.change(manifest.digest)?])
            .with_blob(blob)
            .answering(status, shown.to_string());
        let reply = self.ledger.note(caller, note, idempotency).await?;
        self.prove(signed.clone());
        // It may be the active module, now signed by a valid key.
        self.invalidate();
        Ok(reply)
    }
}

/// Checks that a stored module is pushed again with the same manifest; only the signer may differ.
fn signed_anew(manifest: &Manifest, known: &ModuleRow) -> Result<(), Refusal> {
    let (_, before) = known.claims()?;
    if before.says_the_same_as(manifest) {
        return Ok(());
    }
    Err(Refusal::new(
        Code::MANIFEST_INVALID,
        format!(
            "this module is already stored as `{}` version {}, and its name, version, limits and facts cannot change; `signoff module rollback --to` activates it again, and a new version needs different bytes",
            before.name, before.version
        ),
    ))
}

/// Checks that there is room for a module, and no other one with its name and version.
///
/// Refusals: `version-not-newer`, `limit-exceeded`.
fn has_room(
    rows: &[(ModuleDigest, Result<ModuleRow, Refusal>)],
    manifest: &Manifest,
    bytes: u64,
) -> Result<(), Refusal> {
    let mut of_slot = 0;
    let mut total = bytes;
    for (digest, row) in rows {
        // Whatever it was, it takes a place.
        let Ok(row) = row else {
            of_slot += 1;
            continue;
        };
        let (_, other) = row.claims()?;
        total = total.saturating_add(row.bytes);
        if other.slot != manifest.slot {
            continue;
        }
        of_slot += 1;
        if other.name == manifest.name && other.version == manifest.version {
            let detail = format!(
                "`{}` version {} is already stored as module `{digest}`",
                other.name, other.version
            );
            return Err(Refusal::new(Code::VERSION_NOT_NEWER, detail));
        }
    }
    let over = |what: String| {
        let detail = format!("{what} are stored; remove some with `signoff module remove`");
        Err(Refusal::new(Code::LIMIT_EXCEEDED, detail))
    };
    if of_slot >= MODULES_MAX {
        return over(format!("{of_slot} modules of slot `{}`", manifest.slot));
    }
    if total > MODULE_BYTES_MAX {
        return over(format!("with this one more than {MODULE_BYTES_MAX} bytes of modules"));
    }
    Ok(())
}
