//! The keys that decide, as they are now, and their traces in the audit: an entry for each key that
//! is new or has changed, so that the log says whose key made a ballot.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use serde_json::json;

use super::Service;
use super::caller::Caller;
use super::note::Note;
use crate::code::Code;
use crate::keys::{KeyDescription, Keys};
use crate::refusal::Refusal;
use crate::store::{Row, RowChange, RowKind};

/// A key that is new to the audit, or has changed.
struct ToRecord {
    key: KeyDescription,
    /// Its row.
    value: String,
    /// The entry that wrote the row before.
    prev: u64,
}

/// Keys that are recorded at once.
const RECORDED_AT_ONCE: usize = 64;

impl Service {
    /// The keys as they are now: a change of the keyring file counts from the next call.
    ///
    /// # Errors
    ///
    /// `keyring-unavailable`: what cannot be read any more decides nothing.
    pub fn keys(&self) -> Result<Keys, Refusal> {
        self.keys.current().map_err(|e| Refusal::new(Code::KEYRING_UNAVAILABLE, e.to_string()))
    }

    /// Reads every source of keys again, and records what changed.
    ///
    /// # Errors
    ///
    /// `keyring-unavailable`, and those of every change.
    pub async fn reload_keys(&self) -> Result<(), Refusal> {
        // A command may take its time.
        let keys = Arc::clone(&self.keys);
        let reloaded = tokio::task::spawn_blocking(move || keys.reload().map(drop)).await;
        let unavailable = |why: String| Refusal::new(Code::KEYRING_UNAVAILABLE, why);
        reloaded
            .map_err(|e| unavailable(e.to_string()))?
            .map_err(|e| unavailable(e.to_string()))?;
        self.recorded_keys().await.map(drop)
    }

    /// The keys as they are now, each of them recorded in the audit.
    ///
    /// # Errors
    ///
    /// `keyring-unavailable`, also where an id stands for another key than the audit has seen under
    /// it, or a revoked key has come back; those of every change.
    pub async fn recorded_keys(&self) -> Result<Keys, Refusal> {
        let mut recorded = self.recorded.lock().await;
        // Not before its turn: keys of before must not be recorded after those of now.
        let keys = self.keys()?;
        if recorded.as_ref().is_some_and(|recorded| recorded.is(&keys)) {
            return Ok(keys);
        }
        // All are checked before the first is recorded.
        let to_record = self.to_record(&keys).await?;
        // Several at once: the writer commits them together.
        let recording = to_record.into_iter().map(|key| self.record(key));
        let mut recording = stream::iter(recording).buffered(RECORDED_AT_ONCE);
        while let Some(recorded) = recording.next().await {
            recorded?;
        }
        *recorded = Some(keys.clone());
        Ok(keys)
    }

    /// The keys as they are now, each compared with what the audit has seen of it; recorded if the store
    /// can be written. For what is decided without a change of the store.
    ///
    /// # Errors
    ///
    /// As [`Self::recorded_keys`], without those of a change.
    pub(super) async fn keys_to_verify(&self) -> Result<Keys, Refusal> {
        match self.recorded_keys().await {
            Err(refusal) if refusal.code != Code::KEYRING_UNAVAILABLE => self.checked_keys().await,
            keys => keys,
        }
    }

    /// The keys as they are now, each compared with what the audit has seen of it: a key that it saw
    /// revoked does not come back. Writes nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::keys_to_verify`].
    pub(super) async fn checked_keys(&self) -> Result<Keys, Refusal> {
        let recorded = self.recorded.lock().await;
        let keys = self.keys()?;
        if !recorded.as_ref().is_some_and(|recorded| recorded.is(&keys)) {
            self.to_record(&keys).await?;
        }
        Ok(keys)
    }

    /// Every key that the audit does not have as it is.
    ///
    /// Refusals: `keyring-unavailable` for a key that may not become what it is now; `store-unavailable`,
    /// `store-tampered`.
    async fn to_record(&self, keys: &Keys) -> Result<Vec<ToRecord>, Refusal> {
        let mut to_record = Vec::new();
        for key in keys.described() {
            to_record.extend(self.changed(key).await?);
        }
        Ok(to_record)
    }

    async fn changed(&self, key: KeyDescription) -> Result<Option<ToRecord>, Refusal> {
        let value = serde_json::to_string(&key).map_err(Refusal::internal)?;
        let before = self.store.row(RowKind::Key, &key.id).await?;
        let prev = before.as_ref().map_or(0, |row| row.entry);
        if let Some(Row { value: before, .. }) = before {
            if before == value {
                return Ok(None);
            }
            let before: KeyDescription = serde_json::from_str(&before).map_err(|_| {
                Refusal::new(
                    Code::STORE_UNAVAILABLE,
                    format!("the record of key `{}` cannot be read", key.id),
                )
            })?;
            follows(&before, &key)?;
        }
        Ok(Some(ToRecord { key, value, prev }))
    }

    async fn record(&self, to_record: ToRecord) -> Result<(), Refusal> {
        let ToRecord { key, value, prev } = to_record;
        let note = Note {
            event: "key_recorded",
            rows: vec![RowChange {
                kind: RowKind::Key,
                id: key.id.clone(),
                value: Some(value),
                prev,
            }],
            fields: audited(&key).to_string(),
            guardrail: None,
            answer: None,
        };
        let now = self.now_to_write()?;
        self.keep_note(&Caller::system(), note, None, now).await.map(drop)
    }
}

/// One id never means two keys, and a revoked one stays revoked.
fn follows(before: &KeyDescription, now: &KeyDescription) -> Result<(), Refusal> {
    let why = if before.fingerprint != now.fingerprint {
        "stands for another key than before; give the new key an id of its own"
    } else if before.approver != now.approver || before.usage != now.usage {
        "is of another person or for another use than before; give it to nobody else"
    } else if before.status == "revoked" && now.status != "revoked" {
        "was revoked, and a revoked key stays revoked"
    } else {
        return Ok(());
    };
    Err(Refusal::new(Code::KEYRING_UNAVAILABLE, format!("key `{}` {why}", now.id)))
}

fn audited(key: &KeyDescription) -> serde_json::Value {
    let mut fields = json!({
        "key_id": key.id,
        "algorithm": key.algorithm,
        "status": key.status,
        "use": key.usage,
        "approver": key.approver,
        "groups": key.groups,
        "fingerprint": key.fingerprint,
    });
    if let (Some(public), serde_json::Value::Object(fields)) = (&key.public_key, &mut fields) {
        fields.insert("public_key".to_owned(), json!(public));
    }
    fields
}
