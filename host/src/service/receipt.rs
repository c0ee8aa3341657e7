//! Gathers what proves one approval to somebody who has nothing but the log's key.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::json;

use super::Service;
use crate::code::Code;
use crate::id::ApprovalId;
use crate::refusal::Refusal;
use crate::store::{About, Entry, WithTexts};

/// An approval has a few entries; refusals about it are within a rate.
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
            for (number, text) in entries {
                let proof = self.inclusion(number, Some(size)).await?;
                let proof: Vec<String> = proof.hashes.iter().map(hex::encode).collect();
                proven.push(json!({ "number": number, "entry": text, "proof": proof }));
            }
            return Ok(format!(
                "{{\"format\":1,\"kind\":\"signoff-receipt\",\"audience\":{},\"approval\":{approval},\"entries\":{},\"checkpoint\":{}}}",
                json!(self.audience()),
                json!(proven),
                json!(checkpoint)
            ));
        }
        Err(Refusal::new(Code::STORE_UNAVAILABLE, "the approval changes all the time; ask again"))
    }

    /// Entries about an approval, and before the last of them about each key that it names.
    async fn entries_of(&self, id: Option<ApprovalId>) -> Result<BTreeMap<u64, String>, Refusal> {
        let Some(id) = id else {
            return Err(Refusal::new(Code::NOT_FOUND, "no such approval"));
        };
        let of_approval = self.about(About::approval(id)).await?;
        let last = of_approval.last().map_or(0, |entry| entry.number);
        let keys: BTreeSet<String> = of_approval.iter().filter_map(key_of).collect();
        let mut entries: BTreeMap<u64, String> =
            of_approval.into_iter().map(|entry| (entry.number, entry.text)).collect();
        for key in keys {
            let of_key = self.about(About::named("key", &key)).await?;
            let before = of_key.into_iter().filter(|entry| entry.number < last);
            entries.extend(before.map(|entry| (entry.number, entry.text)));
        }
        Ok(entries)
    }

    async fn about(&self, about: About) -> Result<Vec<Entry>, Refusal> {
        let entries = self.store.entries_about(about, 0, ENTRIES_MAX + 1).await?;
        if entries.len() > ENTRIES_MAX {
            return Err(Refusal::new(
                Code::LIMIT_EXCEEDED,
                format!("more than {ENTRIES_MAX} audit entries are of one thing"),
            ));
        }
        Ok(entries)
    }
}

/// The key that an entry names.
fn key_of(entry: &Entry) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        key_id: Option<String>,
    }
    serde_json::from_str::<Named>(&entry.text).ok()?.key_id
}
