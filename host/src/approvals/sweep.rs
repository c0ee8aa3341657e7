//! The sweep: expires approvals and leases, and deletes old idempotent answers.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::caller::Caller;
use crate::id::ApprovalId;
use crate::ledger::Operation;
use crate::refusal::Refusal;
use crate::service::Service;
use crate::store::ANSWER_SECONDS;

/// Concurrent changes: they share a commit.
const BATCH: usize = 256;
/// Maximum batches per sweep, so that a sweep ends.
const BATCHES_MAX: usize = 64;

impl Service {
    /// Expires what is due, records the time once a day, and deletes old answers. Returns how many
    /// approvals changed.
    ///
    /// # Errors
    ///
    /// The errors of every change; changes made before stay.
    pub async fn sweep(&self) -> Result<usize, Refusal> {
        if self.registry.is_loaded() {
            // Deactivates modules whose signer was revoked, even without traffic.
            let _ = self.refresh_slots().await;
        }
        // Records a revocation before someone restores an older keyring. If that fails, the
        // operations that need the keys are refused.
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

    /// Sweeps if something is due. A failure is ignored: the store is then read as it is.
    pub(crate) async fn sweep_before_reading(&self) {
        let due = self.store.due(self.now(), 1).await;
        if due.is_ok_and(|due| !due.is_empty()) {
            let _ = self.sweep().await;
        }
    }

    /// Stores the expiry of an approval.
    pub(crate) async fn expire(&self, id: ApprovalId) -> Result<(), Refusal> {
        let operation: Arc<Operation> =
            Arc::new(|verifier, approval, now| verifier.expire(approval, now));
        self.change(&Caller::system(), Some(id), None, operation).await.map(drop)
    }
}
