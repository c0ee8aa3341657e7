//! Erasure: the texts of a final approval are deleted, its digests stay.

use super::Approvals;
use super::change::Call;
use crate::caller::Caller;
use crate::id::ApprovalId;
use crate::ledger::{Idempotency, Reply};
use crate::refusal::Refusal;
use crate::store::{About, Scope, answers_of};

/// Audit entries about one approval that are read at once; usually there are a few.
const ENTRIES_AT_ONCE: usize = 1_000;

impl Approvals {
    /// Erases context, plan, reasons, comments and detail of a final approval, and deletes the stored
    /// answers that may contain them. Until the next compaction, unused space of the store's file may
    /// still hold them.
    ///
    /// # Errors
    ///
    /// 1. `not-found` 2. as `lifecycle.erase` in `wit/` 3. the errors of every change.
    pub async fn erase(
        &self,
        caller: &Caller,
        id: Option<ApprovalId>,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        self.readable(caller, id).await?;
        if self.load(id).await?.is_none() {
            return Err(self.not_found_because(id).await);
        }
        if let Some(reply) = self.ledger.kept(idempotency).await? {
            return Ok(reply);
        }
        let actor = caller.actor().to_string();
        let call = Call::of(move |verifier, approval, now| verifier.erase(approval, &actor, now));
        self.change(caller, id, idempotency, Call { erases: true, ..call }).await
    }

    /// Returns the scopes of all answers that were stored with changes of an approval.
    ///
    /// Refusals: `store-unavailable`, `store-tampered`.
    pub(crate) async fn answers_about(&self, id: ApprovalId) -> Result<Vec<Scope>, Refusal> {
        let (mut scopes, mut after) = (Vec::new(), 0);
        loop {
            let about = About::approval(id);
            let page = self.ledger.store().entries_about(about, after, ENTRIES_AT_ONCE).await?;
            let Some(last) = page.last() else { break };
            after = last.number;
            page.iter().for_each(|entry| scopes.extend(answers_of(&entry.text)));
        }
        scopes.sort_unstable();
        scopes.dedup();
        Ok(scopes)
    }
}
