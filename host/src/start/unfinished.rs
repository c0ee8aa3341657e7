//! Ends every unfinished approval of a store with an uncertain history: some of them may have been
//! used in the part that is lost.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;

use crate::audit::checkpoint::Checkpoint;
use crate::caller::Caller;
use crate::id::ApprovalId;
use crate::ledger::Operation;
use crate::refusal::Refusal;
use crate::service::Service;
use crate::store::{Status, WithTexts};
use crate::verifier::Failure;

/// Approvals per batch; those that end share a commit.
const BATCH: usize = 256;

impl Service {
    /// Records an accepted rollback and ends every unfinished approval. Returns how many there
    /// were.
    ///
    /// Errors: the errors of every change; approvals that ended before stay ended.
    pub(crate) async fn accept_rollback(
        &self,
        seen: Option<&Checkpoint>,
    ) -> Result<usize, Refusal> {
        let seen = seen.map(|seen| json!({ "size": seen.size, "root": hex::encode(seen.root) }));
        self.record_start("rollback_accepted", Vec::new(), json!({ "witnessed": seen })).await?;
        self.end_unfinished().await
    }

    /// Ends every unfinished approval according to the log; no index can hide one. Returns how many
    /// there were.
    ///
    /// Errors: the errors of every change; `store-tampered` for an approval that cannot be read,
    /// because it could be restored later.
    pub(crate) async fn end_unfinished(&self) -> Result<usize, Refusal> {
        let (mut after, mut ended) = (None, 0);
        loop {
            let ids = self.store.approvals(after, BATCH).await?;
            let Some(last) = ids.last() else { return Ok(ended) };
            after = Some(*last);
            let mut unfinished = Vec::new();
            for id in ids {
                let stored = self.store.load(&id, WithTexts::No).await?;
                let status = stored.map(|stored| stored.summary.status);
                if matches!(status, Some(Status::Pending | Status::Approved)) {
                    unfinished.push(id);
                }
            }
            ended += unfinished.len();
            for result in join_all(unfinished.into_iter().map(|id| self.end(id))).await {
                result?;
            }
        }
    }

    /// Ends one approval: expires it if it is due, otherwise voids it.
    async fn end(&self, id: ApprovalId) -> Result<(), Refusal> {
        let actor = Caller::system().actor().to_string();
        let operation: Arc<Operation> = Arc::new(move |verifier, approval, now| {
            match verifier.expire(approval, now) {
                Ok(step) if step.transition.is_some() => return Ok(step),
                Err(trapped @ Failure::Trapped(_)) => return Err(trapped),
                Ok(_) | Err(Failure::Rejected(_)) => {}
            }
            verifier.void(approval, &actor, now)
        });
        self.change(&Caller::system(), Some(id), None, operation).await.map(drop)
    }
}
