//! Views of the registry.

use std::sync::Arc;

use serde_json::{Value, json};
use signoff_core::name::Identifier;

use super::prepare::{Candidate, loaded, run_blocking};
use super::row::{ModuleRow, SlotRow, digest_of, name_in};
use super::{Active, FactName, ModuleDigest, Modules, Slot, limits_json};
use crate::engine::{VERIFIER, VERIFIER_DIGEST};
use crate::ledger::rfc3339;
use crate::refusal::Refusal;
use crate::verifier::Verifier;

/// The rows of all slots.
pub(super) struct SlotRows([(Slot, SlotRow); 2]);

impl SlotRows {
    pub(super) async fn of_all(modules: &Modules) -> Result<Self, Refusal> {
        let [verifier, policy] = Slot::ALL;
        Ok(Self([
            (verifier, modules.slot_row(verifier).await?),
            (policy, modules.slot_row(policy).await?),
        ]))
    }

    /// Returns the state of a module in its slot.
    fn state(&self, slot: Slot, name: &str) -> &'static str {
        let Some((_, row)) = self.0.iter().find(|(of, _)| *of == slot) else { return "kept" };
        if row.active_name(slot) == Some(name) {
            "active"
        } else if row.shadow.as_deref() == Some(name) {
            "shadow"
        } else if row.previous(slot) == Some(name) {
            "previous"
        } else {
            "kept"
        }
    }
}

impl Modules {
    /// Returns every slot with its active module, and every stored module.
    ///
    /// # Errors
    ///
    /// `store-unavailable`.
    pub async fn list(&self) -> Result<Value, Refusal> {
        // A failure is shown in `failing`.
        let _ = self.refresh().await;
        let rows = SlotRows::of_all(self).await?;
        let mut items = vec![built_in_shown(&rows)];
        for (digest, row) in ModuleRow::all(self.ledger.store()).await? {
            items.push(match row {
                Ok(row) => self.shown_module(digest, &row, &rows)?,
                Err(refusal) => damaged_shown(digest, &refusal, &rows),
            });
        }
        let slots = rows
            .0
            .iter()
            .map(|(slot, row)| self.shown_slot(*slot, row, &self.unmeetable_now(*slot)));
        Ok(json!({ "slots": slots.collect::<Vec<_>>(), "items": items }))
    }

    /// Returns one module: its manifest, its signer, its activations and its own description.
    ///
    /// # Errors
    ///
    /// `not-found`, `store-unavailable`.
    pub async fn show(&self, digest: ModuleDigest) -> Result<Value, Refusal> {
        let rows = SlotRows::of_all(self).await?;
        let text = digest.to_string();
        let (mut shown, description) = if text == VERIFIER_DIGEST {
            let embedded = Verifier::embedded(self.loader.allocation(), self.loader.cache());
            let description = embedded.ok().and_then(|verifier| verifier.describe().ok());
            (built_in_shown(&rows), description)
        } else {
            let row = self.module_row(digest).await?;
            let (envelope, manifest) = row.claims()?;
            let wasm = self.module_bytes(digest).await?;
            let mut shown = self.shown_module(digest, &row, &rows)?;
            if let (Value::Object(fields), Ok(text)) =
                (&mut shown, serde_json::from_str::<Value>(&envelope.to_text()))
            {
                fields.insert("manifest".to_owned(), text);
            }
            let loader = self.loader.clone();
            let described = run_blocking(move || {
                Ok(match loaded(&loader, &manifest, &wasm)? {
                    Candidate::Policy(policy) => policy.describe().ok(),
                    Candidate::Verifier(verifier) => verifier.describe().ok(),
                })
            });
            (shown, described.await.ok().flatten())
        };
        let description = description.and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let activations = rows.0.iter().flat_map(|(_, row)| &row.history);
        let history: Vec<Value> = activations
            .filter(|activation| digest_of(&activation.digest) == text)
            .map(|activation| {
                json!({
                    "at": rfc3339(activation.at),
                    "by": activation.by,
                    "how": activation.how,
                    "reason": activation.reason,
                })
            })
            .collect();
        if let Value::Object(fields) = &mut shown {
            fields.insert("describe".to_owned(), json!(description));
            fields.insert("history".to_owned(), json!(history));
        }
        Ok(shown)
    }

    /// Returns a module's bytes.
    ///
    /// # Errors
    ///
    /// `not-found`, `store-unavailable`.
    pub async fn wasm(&self, digest: ModuleDigest) -> Result<Arc<[u8]>, Refusal> {
        if digest.to_string() == VERIFIER_DIGEST {
            return Ok(VERIFIER.into());
        }
        self.module_row(digest).await?;
        self.module_bytes(digest).await
    }

    /// Returns the signed manifest of a stored module, JSON.
    pub(crate) async fn envelope(&self, digest: ModuleDigest) -> Result<String, Refusal> {
        Ok(self.module_row(digest).await?.claims()?.0.to_text())
    }

    /// Returns the view of a module.
    pub(super) fn shown_module(
        &self,
        digest: ModuleDigest,
        row: &ModuleRow,
        rows: &SlotRows,
    ) -> Result<Value, Refusal> {
        let (envelope, manifest) = row.claims()?;
        // `ok`, or the code of the reason why its signer is invalid.
        let signer = match self.keys.current().and_then(|keys| self.signed(row, digest, &keys)) {
            Ok(_) => "ok",
            Err(refusal) => refusal.code.text,
        };
        Ok(json!({
            "slot": manifest.slot.as_str(),
            "digest": digest.to_string(),
            "name": manifest.name.as_str(),
            "version": manifest.version.number(),
            "limits": limits_json(manifest.limits),
            "facts": manifest.facts.iter().map(FactName::as_str).collect::<Vec<_>>(),
            "audience": manifest.audiences.iter().map(Identifier::as_str).collect::<Vec<_>>(),
            "created": manifest.created(),
            "key_id": envelope.key_id().as_str(),
            "signer": signer,
            "envelope": envelope.digest(),
            "bytes": row.bytes,
            "pushed_at": rfc3339(row.pushed_at),
            "pushed_by": row.pushed_by,
            "state": rows.state(manifest.slot, &digest.to_string()),
        }))
    }

    /// Returns the view of a slot: its row, why its active module fails, if it does, and what it
    /// requires that nobody can meet.
    pub(super) fn shown_slot(&self, slot: Slot, row: &SlotRow, unmeetable: &[String]) -> Value {
        json!({
            "slot": slot.as_str(),
            "active": row.active_name(slot).map(digest_of),
            "shadow": row.shadow,
            "previous": row.previous(slot).map(digest_of),
            "highest_version": row.highest_version,
            "failing": self.failing(slot),
            "unmeetable": unmeetable,
        })
    }

    /// Returns why the active module of a slot cannot be used, if so.
    pub(super) fn failing(&self, slot: Slot) -> Option<String> {
        match slot {
            Slot::Verifier => self.verifier.current().why_broken().map(str::to_owned),
            Slot::Policy => match self.policy_now().active {
                Active::Broken { why, .. } => Some(why),
                Active::Empty | Active::Policy(_) => None,
            },
        }
    }
}

/// Returns the view of a module whose row was tampered with: only its digest is known, from the log.
fn damaged_shown(digest: ModuleDigest, refusal: &Refusal, rows: &SlotRows) -> Value {
    let text = digest.to_string();
    let of = |slot: &Slot| rows.state(*slot, &text) != "kept";
    json!({
        "slot": Slot::ALL.into_iter().find(of).map_or("unknown", Slot::as_str),
        "digest": text,
        "name": "damaged",
        "bytes": 0,
        "signer": refusal.code.text,
        "state": "damaged",
    })
}

fn built_in_shown(rows: &SlotRows) -> Value {
    json!({
        "slot": Slot::Verifier.as_str(),
        "digest": VERIFIER_DIGEST,
        "name": "built-in",
        "bytes": VERIFIER.len(),
        "state": ModuleDigest::parse(VERIFIER_DIGEST)
            .map(|digest| rows.state(Slot::Verifier, &name_in(Slot::Verifier, digest))),
    })
}
