//! Expiry of approvals and leases: it is stored once it is due, so that the audit log and the lists
//! by status show it.

use futures_util::future::join_all;

use super::Approvals;
use super::change::Call;
use crate::caller::Caller;
use crate::id::ApprovalId;
use crate::refusal::Refusal;
use crate::store::{Status, WithTexts};
use crate::verifier::Failure;

/// Changes that run concurrently, so that they share a commit.
const BATCH: usize = 256;
/// Maximum batches per call, so that a call ends.
const BATCHES_MAX: usize = 64;

impl Approvals {
    /// Expires the approvals and leases that are due. Returns how many approvals changed.
    ///
    /// # Errors
    ///
    /// The errors of every change; earlier changes of the call remain.
    pub(crate) async fn expire_due(&self) -> Result<usize, Refusal> {
        let mut changed = 0;
        for _ in 0..BATCHES_MAX {
            let due = self.ledger.store().due(self.ledger.now_to_write()?, BATCH).await?;
            let is_full = due.len() == BATCH;
            for result in join_all(due.into_iter().map(|id| self.expire(id))).await {
                result?;
                changed += 1;
            }
            if !is_full {
                break;
            }
        }
        Ok(changed)
    }

    /// Expires what is due. A failure is ignored: the store is then read as it is.
    pub(super) async fn expire_before_reading(&self) {
        let due = self.ledger.store().due(self.ledger.now(), 1).await;
        if due.is_ok_and(|due| !due.is_empty()) {
            let _ = self.expire_due().await;
        }
    }

    /// Stores the expiry of an approval.
    pub(super) async fn expire(&self, id: ApprovalId) -> Result<(), Refusal> {
        let call = Call::of(|verifier, approval, now| verifier.expire(approval, now));
        self.change(&Caller::system(), Some(id), None, call).await.map(drop)
    }

    /// Ends every approval that is unfinished according to the log: it may have been used in a part
    /// of the log that is lost. The approvals come from the log, because an edited index could hide
    /// one. Returns how many there were.
    ///
    /// Refusals: those of every change; `store-tampered` for an approval that cannot be read,
    /// because its row could be restored later.
    pub(crate) async fn end_unfinished(&self) -> Result<usize, Refusal> {
        let (mut after, mut ended) = (None, 0);
        loop {
            let ids = self.ledger.store().approvals(after, BATCH).await?;
            let Some(last) = ids.last() else { return Ok(ended) };
            after = Some(*last);
            let mut unfinished = Vec::new();
            for id in ids {
                let stored = self.ledger.store().load(&id, WithTexts::No).await?;
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
        let call = Call::of(move |verifier, approval, now| {
            match verifier.expire(approval, now) {
                Ok(step) if step.transition.is_some() => return Ok(step),
                Err(trapped @ Failure::Trapped(_)) => return Err(trapped),
                Ok(_) | Err(Failure::Rejected(_)) => {}
            }
            verifier.void(approval, &actor, now)
        });
        self.change(&Caller::system(), Some(id), None, call).await.map(drop)
    }
}
