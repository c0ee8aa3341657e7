//! What proves the audit: signed checkpoints, and proofs that an entry or an earlier tree is in it.

use std::collections::HashMap;
use std::convert::Infallible;

use super::Service;
use super::start::signer;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::log_key::{LogKey, LogKeyError, origin};
use crate::audit::tree::{self, EMPTY_ROOT, Hash, TreeError};
use crate::code::Code;
use crate::keys::LogPublic;
use crate::refusal::Refusal;

/// A proof within the tree of a size.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The size of the tree.
    pub size: u64,
    /// The tree's root.
    pub root: Hash,
    /// The hashes, from the leaves up.
    pub hashes: Vec<Hash>,
}

impl Service {
    /// The signed head of the audit tree, as of the last commit: a C2SP checkpoint.
    ///
    /// # Errors
    ///
    /// `not-found` where the keyring has no active log key; `store-unavailable`.
    pub async fn checkpoint(&self) -> Result<(u64, String), Refusal> {
        let signer =
            signer(&self.keys, &self.audience).map_err(|why| Refusal::new(Code::NOT_FOUND, why))?;
        let head = self.store.head().await?;
        let origin = signer.key().name().to_owned();
        let checkpoint = Checkpoint { origin, size: head.entries, root: head.root };
        Ok((head.entries, signer.sign(&checkpoint)))
    }

    /// The keys that sign, or signed, this log's checkpoints, by their ids.
    ///
    /// # Errors
    ///
    /// `keyring-unavailable`.
    pub fn log_keys(&self) -> Result<Vec<(String, LogKey)>, Refusal> {
        let name = origin(&self.audience);
        let keys = self.keys()?.log_public();
        let key = |public: LogPublic| {
            let key = LogKey::new(&name, &public.public_key);
            let refused = |e: LogKeyError| {
                Refusal::new(Code::KEYRING_UNAVAILABLE, format!("key `{}`: {e}", public.id))
            };
            key.map_err(refused).map(|key| (public.id.clone(), key))
        };
        keys.into_iter().map(key).collect()
    }

    /// That an entry is in the tree of a size; the last one's if none is given.
    ///
    /// # Errors
    ///
    /// `not-found` for an entry or a size that is not there; `store-unavailable`.
    pub async fn inclusion(&self, number: u64, size: Option<u64>) -> Result<Proof, Refusal> {
        let size = self.size(size).await?;
        let index = number.checked_sub(1).filter(|index| *index < size);
        let index = index.ok_or_else(|| {
            Refusal::new(Code::NOT_FOUND, format!("no entry {number} in a tree of {size}"))
        })?;
        let hashes = self.computed(|read| tree::inclusion(index, size, read)).await?;
        Ok(Proof { size, root: self.root(size).await?, hashes })
    }

    /// That the tree of a size extends the tree of an earlier one.
    ///
    /// # Errors
    ///
    /// `not-found` for a size that is not there; `store-unavailable`.
    pub async fn consistency(&self, from: u64, size: Option<u64>) -> Result<Proof, Refusal> {
        let size = self.size(size).await?;
        if from > size {
            return Err(Refusal::new(
                Code::NOT_FOUND,
                format!("a tree of {size} extends no tree of {from}"),
            ));
        }
        let hashes = self.computed(|read| tree::consistency(from, size, read)).await?;
        Ok(Proof { size, root: self.root(size).await?, hashes })
    }

    /// The root of the tree of a size that was reached.
    ///
    /// # Errors
    ///
    /// `store-unavailable`.
    pub async fn root(&self, size: u64) -> Result<Hash, Refusal> {
        self.computed(|read| tree::root(size, read)).await
    }

    async fn size(&self, asked: Option<u64>) -> Result<u64, Refusal> {
        let entries = self.store.head().await?.entries;
        let size = asked.unwrap_or(entries);
        if size > entries {
            return Err(Refusal::new(
                Code::NOT_FOUND,
                format!("the audit has {entries} entries, not {size}"),
            ));
        }
        Ok(size)
    }

    /// Computes over stored hashes: once to find out which, and once with them. Which are needed
    /// never depends on their values.
    async fn computed<T>(
        &self,
        compute: impl Fn(
            &mut dyn FnMut(u64) -> Result<Hash, Infallible>,
        ) -> Result<T, TreeError<Infallible>>,
    ) -> Result<T, Refusal> {
        let failed =
            |e: TreeError<Infallible>| Refusal::new(Code::STORE_UNAVAILABLE, e.to_string());
        let mut needed = Vec::new();
        compute(&mut |position| {
            needed.push(position);
            Ok(EMPTY_ROOT)
        })
        .map_err(failed)?;
        let hashes = self.store.hashes(&needed).await?;
        let known: HashMap<u64, Hash> = needed.into_iter().zip(hashes).collect();
        compute(&mut |position| Ok(known.get(&position).copied().unwrap_or(EMPTY_ROOT)))
            .map_err(failed)
    }
}
