//! What time does: approvals expire, leases run out, kept answers are forgotten.

use std::sync::Arc;

use futures_util::future::join_all;

use super::Service;
use super::caller::Caller;
use super::commit::Question;
use crate::id::ApprovalId;
use crate::refusal::Refusal;
use crate::store::ANSWER_SECONDS;

/// Changes in flight at once: they share a commit.
const BATCH: usize = 256;
/// Batches in one sweep, so that a sweep ends.
const BATCHES_MAX: usize = 64;

impl Service {
    /// Does what is due, records the time once a day, and forgets old answers. How many approvals changed.
    ///
    /// # Errors
    ///
    /// Those of every change; what was done stays done.
    pub async fn sweep(&self) -> Result<usize, Refusal> {
        if self.registry.is_in_use() {
            // A module whose signer was revoked ends to serve, also where nobody asks.
            let _ = self.follow_keys().await;
        }
        // A revocation is recorded before anybody puts an older keyring back. What cannot be recorded
        // refuses what needs it.
        let _ = self.recorded_keys().await;
        let mut swept = 0;
        for _ in 0..BATCHES_MAX {
            let due = self.store.due(self.now_to_write()?, BATCH).await?;
            let full = due.len() == BATCH;
            for result in join_all(due.into_iter().map(|id| self.expire(id))).await {
                result?;
                swept += 1;
            }
            if !full {
                break;
            }
        }
        self.record_clock().await?;
        let before = self.now().saturating_sub(ANSWER_SECONDS);
        self.store.forget_answers(before, BATCH).await?;
        Ok(swept)
    }

    /// Sweeps where something is due. A store that cannot be written is read as it is.
    pub(super) async fn sweep_before_reading(&self) {
        let due = self.store.due(self.now(), 1).await;
        if due.is_ok_and(|due| !due.is_empty()) {
            let _ = self.sweep().await;
        }
    }

    /// Stores that an approval has expired.
    pub(super) async fn expire(&self, id: ApprovalId) -> Result<(), Refusal> {
        let question: Arc<Question> =
            Arc::new(|verifier, approval, now| verifier.expire(approval, now));
        self.change(&Caller::system(), Some(id), None, question).await.map(drop)
    }
}
