//! The change of one approval: load it, call the verifier, commit; on a conflict, start over.

use std::sync::Arc;

use serde_json::Value;

use super::view::shown;
use super::{Approvals, text_of};
use crate::caller::Caller;
use crate::code::Code;
use crate::guardrails::Judged;
use crate::id::ApprovalId;
use crate::ledger::{ApprovalChange, Deciders, Idempotency, Reply};
use crate::refusal::Refusal;
use crate::store::{Base, Status, Stored};
use crate::verifier::{Approval, Failure, Step, Verifier};

/// Conflicts after which a change fails. Each one means that another change was committed.
const ATTEMPTS_MAX: usize = 1_000;

/// A call of the verifier, with its arguments bound.
type Operation = dyn Fn(&Verifier, Approval<'_>, u64) -> Result<Step, Failure> + Send + Sync;

/// A change of one approval, as a call of the verifier.
pub(super) struct Call {
    /// The approximate size of the arguments.
    pub(super) bytes: usize,
    /// The call of the verifier.
    pub(super) operation: Arc<Operation>,
    /// Whether the policy is evaluated too. Only `deny` has an effect.
    pub(super) is_claim: bool,
    /// Whether the approval's texts are deleted, and with them the stored answers to its callers.
    pub(super) erases: bool,
    /// The stored status that the approval must have, if the caller requires one.
    pub(super) from: Option<Status>,
}

impl Call {
    /// A change that only the verifier decides, with small arguments.
    pub(super) fn of(
        operation: impl Fn(&Verifier, Approval<'_>, u64) -> Result<Step, Failure>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self {
            bytes: 0,
            operation: Arc::new(operation),
            is_claim: false,
            erases: false,
            from: None,
        }
    }
}

impl Approvals {
    /// Changes an approval that the caller may read, by an operation whose only argument is an
    /// event.
    ///
    /// Refusals: `not-found`, then as [`Self::change`].
    pub(super) async fn change_by(
        &self,
        caller: &Caller,
        id: Option<ApprovalId>,
        event: &Value,
        operation: fn(&Verifier, Approval<'_>, &str, u64) -> Result<Step, Failure>,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        self.change_from(None, caller, id, event, operation, idempotency).await
    }

    /// Changes an approval as [`Self::change_by`], if its stored status is `from`. No other change
    /// comes between the check and the change.
    ///
    /// Refusals: `not-found`, `already-decided` for another status, then as [`Self::change`].
    pub(super) async fn change_from(
        &self,
        from: Option<Status>,
        caller: &Caller,
        id: Option<ApprovalId>,
        event: &Value,
        operation: fn(&Verifier, Approval<'_>, &str, u64) -> Result<Step, Failure>,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        self.readable(caller, id).await?;
        if let Some(reply) = self.ledger.kept(idempotency).await? {
            return Ok(reply);
        }
        let event = event.to_string();
        let call =
            Call::of(move |verifier, approval, now| operation(verifier, approval, &event, now));
        self.change(caller, id, idempotency, Call { from, ..call }).await
    }

    /// Changes one approval, and stores the answer under the idempotency key.
    ///
    /// Refusals: those of the verifier's operation, then those of every change.
    pub(super) async fn change(
        &self,
        caller: &Caller,
        id: Option<ApprovalId>,
        idempotency: Option<&Idempotency>,
        call: Call,
    ) -> Result<Reply, Refusal> {
        match self.transition(caller, id, idempotency, &call).await {
            // The same request may have been committed since the first lookup. Then this one is a
            // repeat: it gets the stored answer instead of the refusal.
            Err(refusal) => self.ledger.kept(idempotency).await?.ok_or(refusal),
            reply => reply,
        }
    }

    /// Calls the verifier and commits the transition; starts over if another change came first.
    pub(super) async fn transition(
        &self,
        caller: &Caller,
        id: Option<ApprovalId>,
        idempotency: Option<&Idempotency>,
        call: &Call,
    ) -> Result<Reply, Refusal> {
        for _ in 0..ATTEMPTS_MAX {
            let now = self.ledger.now_to_write()?;
            let stored = self.load(id).await?;
            must_be(call.from, stored.as_ref())?;
            // The same verifier for all of this change, even if another one is activated meanwhile.
            let verifier = self.verifier.current();
            let step = step(&verifier, id, stored.as_ref(), call, now).await?;
            let reply = Reply::new(200, shown(&verifier, &step.view, None));
            let (Some(transition), Some(stored)) = (step.transition, stored) else {
                return Ok(reply);
            };
            let judged = if call.is_claim {
                let id = &stored.summary.id;
                self.guardrails.judge_claim(caller, id, &step.view, now).await?
            } else {
                None
            };
            let from = stored.summary.status;
            let waited = now.saturating_sub(stored.summary.requested_at);
            let to = transition.summary.status.clone();
            let forgotten = match call.erases {
                true => self.answers_about(stored.summary.id).await?,
                false => Vec::new(),
            };
            let base = match call.erases {
                true => Base::Erased(stored.entry),
                false => Base::Entry(stored.entry),
            };
            let change = ApprovalChange {
                by: Deciders {
                    verifier: &verifier,
                    guardrail: judged.as_ref().map(Judged::guardrail),
                },
                transition,
                base,
                forgotten,
                reply,
                at: now,
            };
            if let Some(reply) = self.ledger.commit(caller, change, idempotency).await? {
                if !reply.replayed {
                    self.count_decision(from, &to, waited);
                }
                return Ok(reply);
            }
        }
        Err(Refusal::new(
            Code::STORE_UNAVAILABLE,
            "too many concurrent changes to this approval; retry",
        ))
    }
}

/// Checks the status that a caller requires. An approval that is absent is refused by the verifier.
///
/// Refusals: `already-decided`.
fn must_be(required: Option<Status>, stored: Option<&Stored>) -> Result<(), Refusal> {
    let is = stored.map(|stored| stored.summary.status);
    match (required, is) {
        (Some(required), Some(is)) if required != is => {
            let detail = format!("the approval is {}, not {}", is.as_str(), required.as_str());
            Err(Refusal::new(Code::ALREADY_DECIDED, detail))
        }
        _ => Ok(()),
    }
}

async fn step(
    verifier: &Verifier,
    id: Option<ApprovalId>,
    stored: Option<&Stored>,
    call: &Call,
    now: u64,
) -> Result<Step, Failure> {
    let id = text_of(id);
    let record = stored.map(|stored| stored.record.clone());
    let operation = Arc::clone(&call.operation);
    verifier
        .run(call.bytes, move |verifier| {
            operation(verifier, Approval { id: &id, record: record.as_deref() }, now)
        })
        .await
}
