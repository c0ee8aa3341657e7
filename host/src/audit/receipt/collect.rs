//! Collects a receipt from a store: the proof of one approval, for someone who has only the log's
//! key.

use std::collections::BTreeSet;

use crate::audit::AuditLog;
use crate::audit::receipt::{Logged, ReceiptError, assemble, choose, keys_named};
use crate::code::Code;
use crate::id::ApprovalId;
use crate::keys::KeyDescription;
use crate::refusal::Refusal;
use crate::store::{About, Entry, RowKind, WithTexts};

/// Maximum audit entries about one approval or key; usually there are a few.
const ENTRIES_MAX: usize = 1_000;
/// Key ids per read.
const KEYS_AT_ONCE: usize = 1_000;
/// Attempts if the approval changes while its receipt is assembled.
const ATTEMPTS_MAX: usize = 20;

impl AuditLog {
    /// Returns a receipt: the approval, the audit entries about it and its keys, an inclusion proof
    /// for each entry, and the checkpoint.
    ///
    /// # Errors
    ///
    /// 1. `not-found`, also if there is no active log key 2. `limit-exceeded` for more than 1000
    ///    entries about the approval or one key 3. `store-unavailable`, `verifier-trapped`.
    pub async fn receipt(&self, id: Option<ApprovalId>) -> Result<String, Refusal> {
        for _ in 0..ATTEMPTS_MAX {
            let approval = self.approvals.show(id, WithTexts::Yes).await?;
            let entries = self.entries_of(id).await?;
            let (size, checkpoint) = self.checkpoint().await?;
            // The view lacks entries that were added meanwhile.
            if self.approvals.show(id, WithTexts::Yes).await? != approval {
                continue;
            }
            let mut proven = Vec::with_capacity(entries.len());
            for logged in entries {
                let proof = self.inclusion(logged.number, Some(size)).await?;
                proven.push((logged, proof.hashes));
            }
            return assemble(&approval, &proven, &checkpoint).map_err(|e| unreadable(&e));
        }
        Err(Refusal::new(
            Code::STORE_UNAVAILABLE,
            "the approval changed during every attempt; retry",
        ))
    }

    /// Returns the entries that a receipt needs.
    async fn entries_of(&self, id: Option<ApprovalId>) -> Result<Vec<Logged>, Refusal> {
        let Some(id) = id else {
            return Err(Refusal::new(Code::NOT_FOUND, "no such approval"));
        };
        let of_approval = self.about(About::approval(id)).await?;
        let named = keys_named(&of_approval).map_err(|e| unreadable(&e))?;
        let mut of_keys = Vec::new();
        for key in self.of_one_material(named).await? {
            of_keys.extend(self.about(About::named("key", &key)).await?);
        }
        choose(&of_approval, &of_keys).map_err(|e| unreadable(&e))
    }

    /// Returns the ids of these keys and of all keys with the same material: a key that is revoked
    /// under any id is invalid under all of them.
    async fn of_one_material(
        &self,
        mut named: BTreeSet<String>,
    ) -> Result<BTreeSet<String>, Refusal> {
        let mut keys = Vec::new();
        for id in self.recorded_ids().await? {
            if let Some(row) = self.ledger.store().row(RowKind::Key, &id).await? {
                let key: KeyDescription = serde_json::from_str(&row.value).map_err(|e| {
                    let detail = format!("the record of key `{id}` cannot be read");
                    Refusal::new(Code::STORE_UNAVAILABLE, detail).because(e)
                })?;
                keys.push((id, key.fingerprint));
            }
        }
        let theirs: BTreeSet<String> = keys
            .iter()
            .filter(|(id, _)| named.contains(id))
            .map(|(_, fingerprint)| fingerprint.clone())
            .collect();
        let twins = keys.into_iter().filter(|(_, fingerprint)| theirs.contains(fingerprint));
        named.extend(twins.map(|(id, _)| id));
        Ok(named)
    }

    /// Returns the ids of all keys that were ever recorded.
    async fn recorded_ids(&self) -> Result<Vec<String>, Refusal> {
        let mut ids: Vec<String> = Vec::new();
        loop {
            let after = ids.last().cloned().unwrap_or_default();
            let more = self.ledger.store().row_ids(RowKind::Key, &after, KEYS_AT_ONCE).await?;
            if more.is_empty() {
                return Ok(ids);
            }
            ids.extend(more);
        }
    }

    /// Returns the entries about one subject. Entries of refusals are about the refused caller, so
    /// refused requests cannot lengthen this list.
    async fn about(&self, about: About) -> Result<Vec<Logged>, Refusal> {
        let entries = self.ledger.store().entries_about(about, 0, ENTRIES_MAX + 1).await?;
        if entries.len() > ENTRIES_MAX {
            return Err(Refusal::new(
                Code::LIMIT_EXCEEDED,
                format!("more than {ENTRIES_MAX} audit entries are about one approval or key"),
            ));
        }
        let logged = |entry: Entry| Logged { number: entry.number, text: entry.text };
        Ok(entries.into_iter().map(logged).collect())
    }
}

fn unreadable(e: &ReceiptError) -> Refusal {
    Refusal::new(Code::STORE_UNAVAILABLE, "an audit entry cannot be read").because(e)
}
