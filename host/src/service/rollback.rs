//! A store that went back in time: whether it extends its witness, and what is done where it does not
//! and somebody accepts that.

use std::sync::Arc;

use serde_json::json;

use super::Service;
use super::caller::Caller;
use super::commit::Question;
use super::note::Note;
use crate::audit::log_key::LogSigner;
use crate::code::Code;
use crate::keys::KeySource;
use crate::refusal::Refusal;
use crate::store::{Query, Status, Witness};
use crate::verifier::Failure;
use crate::witness::{WitnessError, WitnessFile};

/// Approvals ended at once: they share a commit.
const BATCH: usize = 256;

impl Service {
    /// Whether the audit extends what a witness saw last.
    ///
    /// # Errors
    ///
    /// [`WitnessError`]; a store that cannot be read is no extension either.
    pub async fn extends(&self, file: &WitnessFile) -> Result<(), WitnessError> {
        let trusted = self.log_keys().map_err(|e| file.unusable(e))?;
        let trusted: Vec<_> = trusted.into_iter().map(|(_, key)| key).collect();
        let Some(seen) = file.last(&trusted)? else { return Ok(()) };
        let head = self.head().await.map_err(|e| file.unusable(e))?;
        if head.entries < seen.size {
            return Err(file.rolled_back(format!(
                "it holds {} audit entries, the witness saw {}",
                head.entries, seen.size
            )));
        }
        let root = self.root(seen.size).await.map_err(|e| file.unusable(e))?;
        if root != seen.root {
            return Err(file.rolled_back(format!("its first {} entries are others", seen.size)));
        }
        Ok(())
    }

    /// Ends every unfinished approval of a store that went back in time: nobody knows which of them
    /// were used in the part that is lost. How many there were.
    ///
    /// # Errors
    ///
    /// Those of every change; what was ended stays ended.
    pub async fn accept_rollback(&self, file: &WitnessFile) -> Result<usize, Refusal> {
        let trusted = self.log_keys()?;
        let trusted: Vec<_> = trusted.into_iter().map(|(_, key)| key).collect();
        let seen = file
            .last(&trusted)
            .map_err(|e| Refusal::new(Code::STORE_UNAVAILABLE, e.to_string()))?;
        let seen = seen.map(|seen| json!({ "size": seen.size, "root": hex::encode(seen.root) }));
        let note = Note {
            event: "rollback_accepted",
            rows: Vec::new(),
            fields: json!({ "witnessed": seen }),
            guardrail: None,
            answer: None,
        };
        self.keep_note(&Caller::system(), note, None, self.now_to_write()?).await?;
        let mut ended = 0;
        for status in [Status::Pending, Status::Approved] {
            loop {
                let query = Query { status: Some(status), limit: BATCH, ..Query::default() };
                let unfinished = self.store.list(&query).await?;
                if unfinished.is_empty() {
                    break;
                }
                for stored in unfinished {
                    let actor = Caller::system().actor().to_string();
                    let question: Arc<Question> = Arc::new(move |verifier, approval, now| {
                        match verifier.expire(approval, now) {
                            Ok(step) if step.transition.is_some() => return Ok(step),
                            Err(trapped @ Failure::Trapped(_)) => return Err(trapped),
                            Ok(_) | Err(Failure::Rejected(_)) => {}
                        }
                        verifier.void(approval, &actor, now)
                    });
                    let id = Some(stored.summary.id);
                    self.change(&Caller::system(), id, None, question).await?;
                    ended += 1;
                }
            }
        }
        Ok(ended)
    }

    /// Keeps a checkpoint of the audit as it is, and what the store tells of every commit from now
    /// on.
    ///
    /// # Errors
    ///
    /// [`WitnessError::Unusable`].
    pub async fn witness(&self, file: &WitnessFile) -> Result<Witness, WitnessError> {
        let told = file.clone();
        let mut witness: Witness = Box::new(move |head| told.keep(head).map_err(|e| e.to_string()));
        let (_, head) = self.checkpoint().await.map_err(|e| file.unusable(e))?;
        witness(&head).map_err(|e| file.unusable(e))?;
        Ok(witness)
    }
}

/// What signs checkpoints now.
pub(super) fn signer(keys: &KeySource, audience: &str) -> Result<LogSigner, String> {
    let keys = keys.current().map_err(|e| e.to_string())?;
    let key = keys
        .log_key()
        .ok_or("no active log key signs checkpoints; `signoff key generate --use log` makes one")?;
    LogSigner::new(audience, &key.signing_key().to_bytes()).map_err(|e| e.to_string())
}
