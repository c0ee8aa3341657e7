//! Erasure: the texts of a final approval are deleted, its digests stay.

use super::Approvals;
use super::change::Call;
use crate::caller::Caller;
use crate::code::Code;
use crate::id::ApprovalId;
use crate::ledger::{Idempotency, Reply};
use crate::refusal::Refusal;
use crate::store::{About, Scope, answers_of};

/// Maximum audit entries about one approval whose stored answers are deleted; usually there are a few.
const ENTRIES_MAX: usize = 1_000;

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
        if let Some(reply) = self.ledger.kept(idempotency).await? {
            return Ok(reply);
        }
        let actor = caller.actor().to_string();
        let call = Call::of(move |verifier, approval, now| verifier.erase(approval, &actor, now));
        self.change(caller, id, idempotency, Call { erases: true, ..call }).await
    }

    /// Returns the scopes of all answers that were stored with changes of an approval.
    ///
    /// Refusals: `limit-exceeded`, `store-unavailable`, `store-tampered`.
    pub(crate) async fn answers_about(&self, id: ApprovalId) -> Result<Vec<Scope>, Refusal> {
        let about = About::approval(id);
        let entries = self.ledger.store().entries_about(about, 0, ENTRIES_MAX + 1).await?;
        if entries.len() > ENTRIES_MAX {
            let detail = format!("more than {ENTRIES_MAX} audit entries are about this approval");
            return Err(Refusal::new(Code::LIMIT_EXCEEDED, detail));
        }
        let mut scopes = Vec::new();
        for entry in &entries {
            scopes.extend(answers_of(&entry.text));
        }
        scopes.sort_unstable();
        scopes.dedup();
        Ok(scopes)
    }
}
