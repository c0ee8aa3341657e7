//! Gathers what proves one approval to somebody who has nothing but the log's key.

use super::Service;
use crate::audit::receipt::{Logged, assemble, choose, keys_named};
use crate::code::Code;
use crate::id::ApprovalId;
use crate::refusal::Refusal;
use crate::store::{About, Entry, WithTexts};

/// An approval and a key have a few entries each.
const ENTRIES_MAX: usize = 1_000;
/// How often an approval may change while its receipt is gathered.
const ATTEMPTS_MAX: usize = 20;

impl Service {
    /// A receipt: the approval, the audit entries that tell of it and of its keys, a proof for each of
    /// them, and the checkpoint that they lead to.
    ///
    /// # Errors
    ///
    /// 1. `not-found`, also where no log key signs checkpoints 2. `limit-exceeded` for more than 1000
    ///    entries of one thing 3. `store-unavailable`, `verifier-trapped`.
    pub async fn receipt(&self, id: Option<ApprovalId>) -> Result<String, Refusal> {
        for _ in 0..ATTEMPTS_MAX {
            let approval = self.show(id, WithTexts::Yes).await?;
            let entries = self.entries_of(id).await?;
            let (size, checkpoint) = self.checkpoint().await?;
            // What came meanwhile is not in the view.
            if self.show(id, WithTexts::Yes).await? != approval {
                continue;
            }
            let mut proven = Vec::with_capacity(entries.len());
            for logged in entries {
                let proof = self.inclusion(logged.number, Some(size)).await?;
                proven.push((logged, proof.hashes));
            }
            return assemble(&approval, &proven, &checkpoint)
                .map_err(|e| Refusal::new(Code::STORE_UNAVAILABLE, e.to_string()));
        }
        Err(Refusal::new(Code::STORE_UNAVAILABLE, "the approval changes all the time; ask again"))
    }

    /// The entries that a receipt needs.
    async fn entries_of(&self, id: Option<ApprovalId>) -> Result<Vec<Logged>, Refusal> {
        let Some(id) = id else {
            return Err(Refusal::new(Code::NOT_FOUND, "no such approval"));
        };
        let of_approval = self.about(About::approval(id)).await?;
        let mut of_keys = Vec::new();
        for key in keys_named(&of_approval) {
            of_keys.extend(self.about(About::named("key", &key)).await?);
        }
        Ok(choose(&of_approval, &of_keys))
    }

    /// Entries about one thing. Refusals are about who was refused: nobody adds to these by asking.
    async fn about(&self, about: About) -> Result<Vec<Logged>, Refusal> {
        let entries = self.store.entries_about(about, 0, ENTRIES_MAX + 1).await?;
        if entries.len() > ENTRIES_MAX {
            return Err(Refusal::new(
                Code::LIMIT_EXCEEDED,
                format!("more than {ENTRIES_MAX} audit entries are of one thing"),
            ));
        }
        let logged = |entry: Entry| Logged { number: entry.number, text: entry.text };
        Ok(entries.into_iter().map(logged).collect())
    }
}
