//! The current keys, and their audit entries: one for each new or changed key, so that the log
//! shows whose key signed a ballot.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use tokio::sync::Mutex;

use super::{KeyDescription, KeySource, Keys};
use crate::caller::Caller;
use crate::code::Code;
use crate::ledger::{Event, KeyFields, Ledger, Note};
use crate::refusal::Refusal;
use crate::store::{Row, RowChange, RowKind};

/// A key that the audit log does not have, or has differently.
struct ToRecord {
    key: KeyDescription,
    /// Its new row.
    value: String,
    /// The entry that wrote the previous version of the row; 0 for none.
    prev: u64,
}

/// Keys recorded concurrently.
const RECORDED_AT_ONCE: usize = 64;

/// The current keys, each recorded in the audit log before it decides anything.
pub struct RecordedKeys {
    ledger: Arc<Ledger>,
    source: Arc<KeySource>,
    /// The keys as last recorded.
    recorded: Mutex<Option<Keys>>,
}

impl RecordedKeys {
    pub(crate) fn new(ledger: Arc<Ledger>, source: Arc<KeySource>) -> Self {
        Self { ledger, source, recorded: Mutex::default() }
    }

    /// Returns the current keys. A change of the keyring file takes effect with the next call.
    ///
    /// # Errors
    ///
    /// `keyring-unavailable`: keys that can no longer be read decide nothing.
    pub fn current(&self) -> Result<Keys, Refusal> {
        self.source.current().map_err(unreadable)
    }

    /// Reloads every source of keys, and records what changed.
    ///
    /// # Errors
    ///
    /// `keyring-unavailable`, and the errors of every change.
    pub async fn reload(&self) -> Result<(), Refusal> {
        // A key command may be slow.
        let keys = Arc::clone(&self.source);
        let reloaded = tokio::task::spawn_blocking(move || keys.reload().map(drop)).await;
        reloaded.map_err(unreadable)?.map_err(unreadable)?;
        self.recorded().await.map(drop)
    }

    /// Returns the current keys, each recorded in the audit log.
    ///
    /// # Errors
    ///
    /// `keyring-unavailable`, also if an id names another key than the audit log recorded under it,
    /// or a revoked key is active again; the errors of every change.
    pub async fn recorded(&self) -> Result<Keys, Refusal> {
        let mut recorded = self.recorded.lock().await;
        // Read under the lock: older keys must not be recorded after newer ones.
        let keys = self.current()?;
        if recorded.as_ref().is_some_and(|recorded| recorded.is(&keys)) {
            return Ok(keys);
        }
        // All are checked before the first is recorded.
        let to_record = self.to_record(&keys).await?;
        // Concurrently, so that the writer commits them together.
        let recording = to_record.into_iter().map(|key| self.record(key));
        let mut recording = stream::iter(recording).buffered(RECORDED_AT_ONCE);
        while let Some(recorded) = recording.next().await {
            recorded?;
        }
        *recorded = Some(keys.clone());
        Ok(keys)
    }

    /// Returns the current keys, each compared with the audit log, and recorded if the store can be
    /// written. For decisions that do not change the store.
    ///
    /// # Errors
    ///
    /// As [`Self::recorded`], without the errors of a change.
    pub(crate) async fn to_verify(&self) -> Result<Keys, Refusal> {
        match self.recorded().await {
            Err(refusal) if refusal.code != Code::KEYRING_UNAVAILABLE => self.checked().await,
            keys => keys,
        }
    }

    /// Returns the current keys, each compared with the audit log: a key that it recorded as
    /// revoked stays revoked. Writes nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::to_verify`].
    pub(crate) async fn checked(&self) -> Result<Keys, Refusal> {
        let recorded = self.recorded.lock().await;
        let keys = self.current()?;
        if !recorded.as_ref().is_some_and(|recorded| recorded.is(&keys)) {
            self.to_record(&keys).await?;
        }
        Ok(keys)
    }

    /// Returns every key that differs from its row in the store.
    ///
    /// Refusals: `keyring-unavailable` for a key whose change is not allowed; `store-unavailable`,
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
        let before = self.ledger.store().row(RowKind::Key, &key.id).await?;
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
        let event = Event::KeyRecorded(KeyFields {
            key_id: &key.id,
            algorithm: &key.algorithm,
            status: &key.status,
            usage: &key.usage,
            approver: key.approver.as_deref(),
            groups: &key.groups,
            fingerprint: &key.fingerprint,
            public_key: key.public_key.as_deref(),
        });
        let row = RowChange { kind: RowKind::Key, id: key.id.clone(), value: Some(value), prev };
        let note = Note::of(event).changing(vec![row]);
        self.ledger.note(&Caller::system(), note, None).await.map(drop)
    }
}

/// Makes the refusal for keys that cannot be read. The cause may name files and commands of the
/// server, so only the log shows it.
fn unreadable(cause: impl std::fmt::Display) -> Refusal {
    let detail = "the keys cannot be read, so nothing is decided";
    Refusal::new(Code::KEYRING_UNAVAILABLE, detail).because(cause)
}

/// Checks that a key's change is allowed: an id never names two keys, and a revoked key stays
/// revoked.
fn follows(before: &KeyDescription, now: &KeyDescription) -> Result<(), Refusal> {
    let why = if before.fingerprint != now.fingerprint {
        "names another key than before; give the new key a new id"
    } else if before.approver != now.approver || before.usage != now.usage {
        "has another approver or use than before; generate a new key instead"
    } else if before.status == "revoked" && now.status != "revoked" {
        "was revoked, and a revoked key stays revoked"
    } else {
        return Ok(());
    };
    Err(Refusal::new(Code::KEYRING_UNAVAILABLE, format!("key `{}` {why}", now.id)))
}
