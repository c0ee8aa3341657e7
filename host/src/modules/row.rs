//! The stored rows of modules and slots. The signed envelope is stored verbatim: everything that
//! affects a decision is read from it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::engine::VERIFIER_DIGEST;
use crate::modules::{Envelope, Manifest, ModuleDigest, Slot};
use crate::refusal::Refusal;
use crate::store::{Row, RowChange, RowKind, Store};

/// Module rows per read.
const ROWS_AT_ONCE: usize = 256;
const FORMAT: u32 = 1;
/// The name of the embedded verifier in rows.
const BUILT_IN: &str = "built-in";
/// Activations stored per slot, the newest ones; the audit log has all of them.
const HISTORY_MAX: usize = 200;

/// The row of a module. Times are unix seconds.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModuleRow {
    format: u32,
    /// The signed manifest.
    pub(super) envelope: String,
    pub(super) bytes: u64,
    pub(super) pushed_at: u64,
    pub(super) pushed_by: String,
    /// When its bytes were removed.
    pub(super) removed_at: Option<u64>,
    /// The entry that wrote this version; 0 for a new row.
    #[serde(skip)]
    pub(super) entry: u64,
}

/// The row of a slot.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SlotRow {
    format: u32,
    /// The active module; `None` is an empty slot, or the built-in verifier.
    pub(super) active: Option<String>,
    /// The shadow.
    pub(super) shadow: Option<String>,
    /// The highest version that was ever active.
    pub(super) highest_version: u64,
    /// The activations, the newest last.
    pub(super) history: Vec<Activation>,
    /// The entry that wrote this version; 0 for a slot that was never changed.
    #[serde(skip)]
    pub(super) entry: u64,
}

/// One activation in a slot's history.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Activation {
    /// The module's digest, or `built-in`.
    pub(super) digest: String,
    pub(super) at: u64,
    pub(super) by: String,
    /// `activated` or `rolled_back`.
    pub(super) how: String,
    pub(super) reason: Option<String>,
}

impl ModuleRow {
    pub(super) fn new(envelope: &Envelope, bytes: usize, at: u64, by: &str) -> Self {
        Self {
            format: FORMAT,
            envelope: envelope.to_text(),
            bytes: bytes as u64,
            pushed_at: at,
            pushed_by: by.to_owned(),
            removed_at: None,
            entry: 0,
        }
    }

    pub(super) async fn load(
        store: &dyn Store,
        digest: ModuleDigest,
    ) -> Result<Option<Self>, Refusal> {
        let row = store.row(RowKind::Module, &digest.to_string()).await?;
        row.map(|row| Self::read(&row)).transpose()
    }

    /// Returns every stored module that was not removed. One whose row was tampered with is an error
    /// of its own, so that it stands in the way of no other.
    pub(super) async fn all(
        store: &dyn Store,
    ) -> Result<Vec<(ModuleDigest, Result<Self, Refusal>)>, Refusal> {
        let mut rows = Vec::new();
        let mut after = String::new();
        loop {
            let ids = store.row_ids(RowKind::Module, &after, ROWS_AT_ONCE).await?;
            let Some(last) = ids.last() else { return Ok(rows) };
            after.clone_from(last);
            for id in ids {
                let digest = ModuleDigest::parse(&id).ok_or_else(|| damaged("a module's key"))?;
                let row = Self::load(store, digest).await;
                match row.and_then(|row| row.map(|row| row.claims().map(|_| row)).transpose()) {
                    Ok(Some(row)) if row.removed_at.is_none() => rows.push((digest, Ok(row))),
                    Ok(_) => {}
                    Err(refusal) if refusal.code == Code::STORE_TAMPERED => {
                        rows.push((digest, Err(refusal)));
                    }
                    Err(refusal) => return Err(refusal),
                }
            }
        }
    }

    fn read(row: &Row) -> Result<Self, Refusal> {
        let read = serde_json::from_str::<Self>(&row.value).ok();
        let read = read.filter(|read| read.format == FORMAT);
        let read = read.map(|read| Self { entry: row.entry, ..read });
        read.ok_or_else(|| damaged("a module's row"))
    }

    /// Returns the change that replaces the version that was read.
    pub(super) fn change(&self, digest: ModuleDigest) -> Result<RowChange, Refusal> {
        Ok(RowChange {
            kind: RowKind::Module,
            id: digest.to_string(),
            value: Some(text(self)?),
            prev: self.entry,
        })
    }

    /// Returns the envelope and its manifest without verifying the signer. For views.
    pub(super) fn claims(&self) -> Result<(Envelope, Manifest), Refusal> {
        let envelope = Envelope::parse(&self.envelope).map_err(|_| damaged("an envelope"))?;
        let manifest = envelope.claims().map_err(|_| damaged("a manifest"))?;
        Ok((envelope, manifest))
    }
}

impl SlotRow {
    pub(super) async fn load(store: &dyn Store, slot: Slot) -> Result<Self, Refusal> {
        let Some(row) = store.row(RowKind::Slot, slot.as_str()).await? else {
            return Ok(Self { format: FORMAT, ..Self::default() });
        };
        let read = serde_json::from_str::<Self>(&row.value).ok();
        let read = read.filter(|read| read.format == FORMAT);
        let read = read.map(|read| Self { entry: row.entry, ..read });
        read.ok_or_else(|| damaged("a slot's row"))
    }

    /// Returns the change that replaces the version that was read.
    pub(super) fn change(&self, slot: Slot) -> Result<RowChange, Refusal> {
        Ok(RowChange {
            kind: RowKind::Slot,
            id: slot.as_str().to_owned(),
            value: Some(text(self)?),
            prev: self.entry,
        })
    }

    /// Returns the active module, as rows name it.
    pub(super) fn active_name(&self, slot: Slot) -> Option<&str> {
        self.active.as_deref().or(built_in(slot))
    }

    /// Returns the module that was active before the active one was first activated.
    pub(super) fn previous(&self, slot: Slot) -> Option<&str> {
        let active = self.active_name(slot)?;
        let first = self.history.iter().position(|activation| activation.digest == active);
        let before = first.and_then(|first| self.history.get(..first)).unwrap_or_default();
        let previous = before.last().map(|activation| activation.digest.as_str());
        previous.or_else(|| built_in(slot)).filter(|previous| *previous != active)
    }

    /// Returns whether a module was ever active, as far as the history goes back.
    pub(super) fn was_active(&self, slot: Slot, digest: &str) -> bool {
        built_in(slot) == Some(digest)
            || self.history.iter().any(|activation| activation.digest == digest)
    }

    /// Returns the modules that may not be removed.
    pub(super) fn needed(&self, slot: Slot) -> BTreeSet<&str> {
        [self.active.as_deref(), self.shadow.as_deref(), self.previous(slot)]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Activates a module.
    pub(super) fn activate(&mut self, slot: Slot, activation: Activation, version: Option<u64>) {
        self.active =
            Some(activation.digest.clone()).filter(|digest| built_in(slot) != Some(digest));
        self.highest_version = self.highest_version.max(version.unwrap_or_default());
        self.history.push(activation);
        let excess = self.history.len().saturating_sub(HISTORY_MAX);
        self.history.drain(..excess);
    }
}

/// Returns whether a module's bytes are stored, according to its row.
pub(crate) fn keeps_bytes(row: &str) -> bool {
    serde_json::from_str::<ModuleRow>(row).is_ok_and(|row| row.removed_at.is_none())
}

/// Returns the name in rows of a slot's built-in module, which is active if the slot has no other.
/// Rows do not use its digest, because that differs between releases.
pub(super) fn built_in(slot: Slot) -> Option<&'static str> {
    match slot {
        Slot::Verifier => Some(BUILT_IN),
        Slot::Policy => None,
    }
}

/// Returns the name of a module in rows.
pub(super) fn name_in(slot: Slot, digest: ModuleDigest) -> String {
    let digest = digest.to_string();
    match built_in(slot) {
        Some(built_in) if digest == VERIFIER_DIGEST => built_in.to_owned(),
        _ => digest,
    }
}

/// Returns the digest for a name in rows.
pub(super) fn digest_of(name: &str) -> &str {
    if name == BUILT_IN { VERIFIER_DIGEST } else { name }
}

fn text(row: &impl Serialize) -> Result<String, Refusal> {
    serde_json::to_string(row).map_err(Refusal::internal)
}

fn damaged(what: &str) -> Refusal {
    Refusal::new(Code::STORE_TAMPERED, format!("{what} cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot_after(digests: &[&str]) -> SlotRow {
        let mut row = SlotRow::default();
        for digest in digests {
            let how = "activated".to_owned();
            let (digest, by) = ((*digest).to_owned(), String::new());
            row.activate(Slot::Policy, Activation { digest, at: 0, by, how, reason: None }, None);
        }
        row
    }

    #[test]
    fn a_rollback_goes_further_back_each_time() {
        for (history, previous) in [
            (&[][..], None),
            (&["a"], None),
            (&["a", "b"], Some("a")),
            (&["a", "b", "c", "b"], Some("a")),
            (&["a", "b", "c", "b", "a"], None),
            (&["a", "b", "c", "b", "d"], Some("b")),
        ] {
            assert_eq!(slot_after(history).previous(Slot::Policy), previous, "{history:?}");
        }
    }

    #[test]
    fn the_built_in_verifier_precedes_all_others() {
        let mut row = SlotRow::default();
        assert_eq!(row.previous(Slot::Verifier), None);
        for digest in ["a", BUILT_IN] {
            let (digest, by, how) = (digest.to_owned(), String::new(), "activated".to_owned());
            row.activate(Slot::Verifier, Activation { digest, at: 0, by, how, reason: None }, None);
            assert_eq!(row.active.is_some(), row.history.len() == 1);
        }
        row.active = Some("a".to_owned());
        assert_eq!(row.previous(Slot::Verifier), Some(BUILT_IN));
        assert!(row.was_active(Slot::Verifier, BUILT_IN));
        assert!(!SlotRow::default().was_active(Slot::Policy, BUILT_IN));
    }

    #[test]
    fn a_history_is_limited() {
        let digests: Vec<String> = (0..HISTORY_MAX + 5).map(|n| n.to_string()).collect();
        let digests: Vec<&str> = digests.iter().map(String::as_str).collect();
        let row = slot_after(&digests);
        assert_eq!((row.history.len(), row.history[0].digest.as_str()), (HISTORY_MAX, "5"));
    }
}
