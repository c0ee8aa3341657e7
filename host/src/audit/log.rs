//! Checkpoints and proofs of the audit log (RFC 6962).

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use crate::approvals::Approvals;
use crate::code::Code;
use crate::keys::{Keys, LogPublic, RecordedKeys};
use crate::ledger::Ledger;
use crate::log_key::{LogKey, LogKeyError, LogSigner, origin};
use crate::refusal::{Missing, Refusal};
use crate::store::Entry;
use signoff_core::log::checkpoint::Checkpoint;
use signoff_core::log::tree::{self, EMPTY_ROOT, Hash, TreeError};

/// An inclusion or consistency proof.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The tree size.
    pub size: u64,
    /// The tree's root.
    pub root: Hash,
    /// The hashes, from the leaves up.
    pub hashes: Vec<Hash>,
}

/// The audit log of a store.
pub struct AuditLog {
    pub(super) ledger: Arc<Ledger>,
    keys: Arc<RecordedKeys>,
    pub(super) approvals: Arc<Approvals>,
}

impl AuditLog {
    pub(crate) fn new(
        ledger: Arc<Ledger>,
        keys: Arc<RecordedKeys>,
        approvals: Arc<Approvals>,
    ) -> Self {
        Self { ledger, keys, approvals }
    }

    /// Lists audit entries with a number above `after`.
    ///
    /// # Errors
    ///
    /// `store-unavailable`.
    pub async fn entries(&self, after: u64, limit: usize) -> Result<Vec<Entry>, Refusal> {
        Ok(self.ledger.store().entries(after, limit).await?)
    }

    /// Returns the tree size and the signed head of the audit log as of the last commit: a C2SP
    /// checkpoint.
    ///
    /// # Errors
    ///
    /// `keyring-unavailable`; `not-found` if the keyring has no active log key;
    /// `store-unavailable`.
    pub async fn checkpoint(&self) -> Result<(u64, String), Refusal> {
        let signer = signer(&self.keys.current()?, self.ledger.audience())
            .map_err(|why| Refusal::missing(Missing::LogKey, why))?;
        let head = self.ledger.store().head().await?;
        let origin = signer.key().name().to_owned();
        let checkpoint = Checkpoint { origin, size: head.entries, root: head.root };
        Ok((head.entries, signer.sign(&checkpoint)))
    }

    /// Returns the ids and keys that sign, or signed, this log's checkpoints.
    ///
    /// # Errors
    ///
    /// `keyring-unavailable`.
    pub fn log_keys(&self) -> Result<Vec<(String, LogKey)>, Refusal> {
        let name = origin(self.ledger.audience());
        let keys = self.keys.current()?.log_public();
        let key = |public: LogPublic| {
            let key = LogKey::new(&name, &public.public_key);
            let refused = |e: LogKeyError| {
                let detail = format!("log key `{}` cannot be used", public.id);
                Refusal::new(Code::KEYRING_UNAVAILABLE, detail).because(e)
            };
            key.map_err(refused).map(|key| (public.id.clone(), key))
        };
        keys.into_iter().map(key).collect()
    }

    /// Returns the inclusion proof of an entry in the tree of `size`; the default is the current
    /// size.
    ///
    /// # Errors
    ///
    /// `not-found` for a size or an entry that does not exist; `store-unavailable`.
    pub async fn inclusion(&self, number: u64, size: Option<u64>) -> Result<Proof, Refusal> {
        let size = self.size(size).await?;
        let index = number.checked_sub(1).filter(|index| *index < size);
        let index = index.ok_or_else(|| {
            Refusal::missing(Missing::Entry, format!("no entry {number} in a tree of size {size}"))
        })?;
        let hashes = self.computed(|read| tree::inclusion(index, size, read)).await?;
        Ok(Proof { size, root: self.root(size).await?, hashes })
    }

    /// Returns the consistency proof between the trees of sizes `from` and `size` (RFC 6962,
    /// section 2.1.2); the default of `size` is the current size.
    ///
    /// # Errors
    ///
    /// `not-found` for a size that does not exist, or `from` above `size`; `store-unavailable`.
    pub async fn consistency(&self, from: u64, size: Option<u64>) -> Result<Proof, Refusal> {
        let size = self.size(size).await?;
        if from > size {
            return Err(Refusal::missing(
                Missing::TreeSize,
                format!("a tree of size {size} cannot extend one of size {from}"),
            ));
        }
        let hashes = self.computed(|read| tree::consistency(from, size, read)).await?;
        Ok(Proof { size, root: self.root(size).await?, hashes })
    }

    /// Returns the root of the tree of a size, which must not exceed the current one.
    ///
    /// # Errors
    ///
    /// `store-unavailable`.
    pub async fn root(&self, size: u64) -> Result<Hash, Refusal> {
        self.computed(|read| tree::root(size, read)).await
    }

    async fn size(&self, requested: Option<u64>) -> Result<u64, Refusal> {
        let entries = self.ledger.store().head().await?.entries;
        let size = requested.unwrap_or(entries);
        if size > entries {
            return Err(Refusal::missing(
                Missing::TreeSize,
                format!("no tree of size {size}; the audit log has {entries} entries"),
            ));
        }
        Ok(size)
    }

    /// Runs a computation over stored hashes twice: first to collect the positions that it reads,
    /// then with the hashes. The positions never depend on the hashes.
    async fn computed<T>(
        &self,
        compute: impl Fn(
            &mut dyn FnMut(u64) -> Result<Hash, Infallible>,
        ) -> Result<T, TreeError<Infallible>>,
    ) -> Result<T, Refusal> {
        let failed = |e: TreeError<Infallible>| {
            Refusal::new(Code::STORE_UNAVAILABLE, "the audit tree cannot be read").because(e)
        };
        let mut needed = Vec::new();
        compute(&mut |position| {
            needed.push(position);
            Ok(EMPTY_ROOT)
        })
        .map_err(failed)?;
        let hashes = self.ledger.store().hashes(&needed).await?;
        let known: HashMap<u64, Hash> = needed.into_iter().zip(hashes).collect();
        compute(&mut |position| Ok(known.get(&position).copied().unwrap_or(EMPTY_ROOT)))
            .map_err(failed)
    }
}

/// Returns the active log key's signer of checkpoints.
fn signer(keys: &Keys, audience: &str) -> Result<LogSigner, String> {
    let key = keys
        .log_key()
        .ok_or("no active log key signs checkpoints; `signoff key generate --use log` makes one")?;
    LogSigner::new(audience, &key.signing_key().to_bytes()).map_err(|e| e.to_string())
}
