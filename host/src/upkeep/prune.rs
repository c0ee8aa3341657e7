//! Pruning: final approvals whose last change is old are removed. The audit log keeps their entries.

use std::collections::BTreeSet;

use serde_json::json;

use super::Upkeep;
use crate::caller::Caller;
use crate::code::Code;
use crate::id::ApprovalId;
use crate::ledger::{Event, Idempotency, Note, Reply, rfc3339};
use crate::refusal::Refusal;
use crate::store::{ANSWER_SECONDS, Removed, Status, StoreError, Stored, WithTexts, time_of};

/// Maximum approvals that one entry removes; an item of the entry has about 110 bytes.
pub const PRUNED_AT_ONCE_MAX: usize = 256;
/// Approvals that are looked at for one page.
const LOOKS_MAX: usize = 4_096;
/// Approvals that are looked at before others get a turn.
const TURN: usize = 64;

/// An approval that can be pruned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prunable {
    /// Its id.
    pub id: ApprovalId,
    /// The entry of its last change.
    pub entry: u64,
    /// Its status, which is final.
    pub status: Status,
    /// The time of its last change: RFC 3339, UTC.
    pub changed_at: String,
}

/// A page of approvals that can be pruned, in order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrunablePage {
    /// The approvals. A page may be empty without being the last.
    pub items: Vec<Prunable>,
    /// How many approvals of the page were left out because their rows do not match the log.
    pub damaged: usize,
    /// The id after which the next page begins; `None` after the last.
    pub next: Option<ApprovalId>,
}

/// The approvals to prune, and how old their last change must be.
#[derive(Clone, Debug)]
pub struct Pruned {
    /// In seconds.
    pub older_than_seconds: u64,
    /// The approvals, each with the entry of its last change.
    pub approvals: Vec<Removed>,
}

impl Upkeep {
    /// Lists final approvals whose last change is older than some seconds, at most `limit`.
    ///
    /// # Errors
    ///
    /// `store-unavailable`.
    pub async fn prunable(
        &self,
        older_than_seconds: u64,
        after: Option<ApprovalId>,
        limit: usize,
    ) -> Result<PrunablePage, Refusal> {
        let mut page = PrunablePage::default();
        let ids = self.ledger.store().approvals(after, LOOKS_MAX).await?;
        let is_last = ids.len() < LOOKS_MAX;
        for (number, id) in ids.into_iter().enumerate() {
            if page.items.len() == limit {
                return Ok(page);
            }
            page.next = Some(id);
            if number % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            match self.final_before(id, older_than_seconds).await {
                Ok(Some((prunable, _))) => page.items.push(prunable),
                Ok(None) => {}
                Err(StoreError::Tampered(_)) => page.damaged += 1,
                Err(error) => return Err(error.into()),
            }
        }
        if is_last {
            page.next = None;
        }
        Ok(page)
    }

    /// Removes those of the given approvals that are still final and old, and have not changed since the
    /// given entry. One audit entry names them all. Returns `{"pruned","skipped"}`.
    ///
    /// # Errors
    ///
    /// 1. `request-invalid`, `limit-exceeded` for no approval, more than [`PRUNED_AT_ONCE_MAX`], or one
    ///    twice 2. the errors of every change.
    pub async fn prune(
        &self,
        caller: &Caller,
        pruned: &Pruned,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let Pruned { older_than_seconds, approvals } = pruned;
        check(approvals)?;
        if let Some(reply) = self.ledger.kept(idempotency).await? {
            return Ok(reply);
        }
        let now = self.ledger.now_to_write()?;
        let (mut removed, mut forgotten) = (Vec::new(), Vec::new());
        for approval in approvals {
            let found = match self.final_before(approval.id, *older_than_seconds).await {
                Err(StoreError::Tampered(_)) => None,
                found => found?,
            };
            let Some((prunable, changed_at)) = found else { continue };
            if prunable.entry != approval.entry {
                continue;
            }
            // A stored answer to its callers may repeat it. Older ones are forgotten anyway.
            if changed_at.saturating_add(2 * ANSWER_SECONDS) > now {
                forgotten.extend(self.approvals.answers_about(approval.id).await?);
            }
            removed.push(*approval);
        }
        let counts = json!({ "pruned": removed.len(), "skipped": approvals.len() - removed.len() });
        if removed.is_empty() {
            return Ok(Reply::new(200, counts.to_string()));
        }
        let event = Event::ApprovalsPruned {
            older_than_seconds: *older_than_seconds,
            approvals: removed.len(),
        };
        let note = Note::of(event).removing(removed, forgotten).answering(200, counts.to_string());
        self.ledger.note_at(now, caller, note, idempotency).await
    }

    /// Returns an approval, and when it changed last, if it is final and its last change is older than
    /// some seconds.
    async fn final_before(
        &self,
        id: ApprovalId,
        older_than_seconds: u64,
    ) -> Result<Option<(Prunable, u64)>, StoreError> {
        let Some(stored) = self.ledger.store().load(&id, WithTexts::No).await? else {
            return Ok(None);
        };
        let before = self.ledger.now().saturating_sub(older_than_seconds);
        if !is_final(&stored) || stored.summary.requested_at > before {
            return Ok(None);
        }
        let entries = self.ledger.store().entries(stored.entry.saturating_sub(1), 1).await?;
        let at = entries.first().and_then(|entry| time_of(&entry.text));
        let at = at.ok_or_else(|| StoreError::Damaged(format!("the time of {id} is unknown")))?;
        let (entry, status) = (stored.entry, stored.summary.status);
        let prunable = Prunable { id, entry, status, changed_at: rfc3339(at) };
        Ok((at <= before).then_some((prunable, at)))
    }
}

/// Returns whether time alone changes nothing any more, according to the verifier's summary, and the
/// stored status is final.
fn is_final(stored: &Stored) -> bool {
    let status = stored.summary.status;
    !matches!(status, Status::Pending | Status::Approved) && stored.summary.due_at.is_none()
}

fn check(approvals: &[Removed]) -> Result<(), Refusal> {
    let named: BTreeSet<_> = approvals.iter().map(|approval| approval.id).collect();
    if approvals.len() > PRUNED_AT_ONCE_MAX {
        let detail = format!("{} approvals, the limit is {PRUNED_AT_ONCE_MAX}", approvals.len());
        return Err(Refusal::new(Code::LIMIT_EXCEEDED, detail));
    }
    if named.is_empty() || named.len() != approvals.len() {
        let detail = "`approvals` must name 1 to 256 approvals, each once";
        return Err(Refusal::new(Code::REQUEST_INVALID, detail));
    }
    Ok(())
}
