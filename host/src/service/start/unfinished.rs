//! Ends every unfinished approval of a store whose past is in doubt: nobody knows which of them were used
//! in a part that is lost.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;

use super::super::caller::Caller;
use super::super::commit::Question;
use super::Service;
use crate::audit::checkpoint::Checkpoint;
use crate::id::ApprovalId;
use crate::refusal::Refusal;
use crate::store::{Status, WithTexts};
use crate::verifier::Failure;

/// Approvals looked at at once; those that end share a commit.
const BATCH: usize = 256;

impl Service {
    /// Records an accepted rollback and ends what is unfinished. Returns how many there were.
    ///
    /// Errors: those of every change; what was ended stays ended.
    pub(super) async fn accept_rollback(
        &self,
        seen: Option<&Checkpoint>,
    ) -> Result<usize, Refusal> {
        let seen = seen.map(|seen| json!({ "size": seen.size, "root": hex::encode(seen.root) }));
        self.record_start("rollback_accepted", Vec::new(), json!({ "witnessed": seen })).await?;
        self.end_unfinished().await
    }

    /// Ends every unfinished approval that the log knows; no index can hide one. Returns how many there
    /// were.
    ///
    /// Errors: those of every change, and `store-tampered` for an approval that cannot be read: it could
    /// come back later.
    pub(super) async fn end_unfinished(&self) -> Result<usize, Refusal> {
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

    /// Ends one: expired where its time is over, else voided.
    async fn end(&self, id: ApprovalId) -> Result<(), Refusal> {
        let actor = Caller::system().actor().to_string();
        let question: Arc<Question> = Arc::new(move |verifier, approval, now| {
            match verifier.expire(approval, now) {
                Ok(step) if step.transition.is_some() => return Ok(step),
                Err(trapped @ Failure::Trapped(_)) => return Err(trapped),
                Ok(_) | Err(Failure::Rejected(_)) => {}
            }
            verifier.void(approval, &actor, now)
        });
        self.change(&Caller::system(), Some(id), None, question).await.map(drop)
    }
}
