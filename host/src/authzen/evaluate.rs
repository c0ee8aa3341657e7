//! Evaluations, and re-evaluations with an approval. A re-evaluation that permits claims the approval,
//! so that one approval permits one action.

use serde::Deserialize;
use signoff_core::time::UnixSeconds;

use super::denial::{EvaluationId, WINDOW_SECONDS};
use super::refused::{ReapprovalReason, Refused};
use super::{AuthZen, Question};
use crate::approvals::Claim;
use crate::audit::receipt::Report;
use crate::caller::Caller;
use crate::code::Code;
use crate::id::ApprovalId;
use crate::ledger::{self, Idempotency, Reply};
use crate::policy::Decision;
use crate::refusal::Refusal;
use crate::role::Role;
use crate::verifier::{Accepted, Failure, ReceiptArgs};

/// The operation, as the audit log names it.
const OPERATION: &str = "POST /access/v1/evaluation";

/// An approval that a re-evaluation presents. Its times are not read: the store has them.
#[derive(Clone, Debug)]
pub struct Presented {
    /// The id of the approval.
    pub id: String,
    /// The receipt of the approval; `None` if it was not presented.
    pub state: Option<String>,
}

/// An evaluation with its decision.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The evaluation.
    pub id: EvaluationId,
    /// When: RFC 3339, UTC.
    pub at: String,
    /// The policy's reason, for people.
    pub message: String,
    /// The decision.
    pub ruling: Ruling,
    /// Whether this is the stored answer of an earlier request with the same idempotency key.
    pub replayed: bool,
}

/// The decision on a question.
#[derive(Clone, Debug)]
pub enum Ruling {
    /// The policy allows it.
    Allowed,
    /// The policy denies it.
    Denied,
    /// It requires an approval, which this caller can request, or cannot.
    Requestable(Option<Requestable>),
    /// The approval permits it, and is claimed by that.
    Claimed(Execution),
    /// It requires an approval, and the one presented does not permit it.
    Refused(Refused, Option<Requestable>),
}

/// A denial for which an approval can be requested.
#[derive(Clone, Debug)]
pub struct Requestable {
    /// Until when: RFC 3339, UTC.
    pub expires_at: String,
}

/// The execution that a claim started.
#[derive(Clone, Debug)]
pub struct Execution {
    /// The approval.
    pub approval: ApprovalId,
    /// When the approval expires.
    pub approved_until: String,
    /// The id of the execution.
    pub id: String,
    /// When the outcome becomes `unknown` unless it is reported.
    pub lease_expires_at: String,
}

/// The members of an evaluation's answer that are used here.
#[derive(Deserialize)]
struct Answered {
    decision: Decision,
    reason: String,
    evaluated_at: UnixSeconds,
}

/// The members of a claim's answer that are used here.
#[derive(Deserialize)]
struct Claimed {
    expires_at: String,
    execution: ClaimedExecution,
}

#[derive(Deserialize)]
struct ClaimedExecution {
    id: String,
    lease_expires_at: String,
}

/// A claim that succeeded, or why the approval does not permit it.
type Permitted = Result<(Execution, Reply), Refused>;

impl AuthZen {
    /// Evaluates a question. With an approval, a question that requires one is decided by a claim of
    /// the approval. The idempotency key is that of the claim.
    ///
    /// # Errors
    ///
    /// 1. `forbidden` for an approval that a caller without the role `executor` presents 2. as
    ///    `Guardrails::evaluate` 3. of a claim, what is no verdict on the approval: `rate-limited`,
    ///    `idempotency-key-reused` and failures.
    pub async fn evaluate(
        &self,
        caller: &Caller,
        question: &Question,
        presented: Option<&Presented>,
        idempotency: Option<&Idempotency>,
    ) -> Result<Decided, Refusal> {
        if presented.is_some() && !caller.has(Role::Executor) {
            let detail = "an evaluation with `context.approval` claims the approval, which requires the role executor";
            return Err(Refusal::new(Code::FORBIDDEN, detail));
        }
        // Without the key, also for a repeat: the policy decides as it is now.
        let reply = self.guardrails.evaluate(caller, question.as_action(), None).await?;
        let Answered { decision, reason, evaluated_at } =
            serde_json::from_str(&reply.body).map_err(Refusal::internal)?;
        let entry =
            reply.entry.ok_or_else(|| Refusal::internal("an evaluation without an audit entry"))?;
        let expires_at = evaluated_at.plus(WINDOW_SECONDS)?.rfc3339();
        let requestable = caller.has(Role::Requester).then_some(Requestable { expires_at });
        let mut replayed = false;
        let ruling = match (decision, presented) {
            (Decision::Allow, _) => Ruling::Allowed,
            (Decision::Deny, _) => Ruling::Denied,
            (Decision::RequireApproval, None) => Ruling::Requestable(requestable),
            (Decision::RequireApproval, Some(presented)) => {
                match self.claim(caller, question, presented, idempotency).await? {
                    Ok((execution, reply)) => {
                        replayed = reply.replayed;
                        Ruling::Claimed(execution)
                    }
                    Err(refused) => Ruling::Refused(refused, requestable),
                }
            }
        };
        let id = EvaluationId::of_entry(entry);
        Ok(Decided { id, at: evaluated_at.rfc3339(), message: reason, ruling, replayed })
    }

    /// Claims the approval that was presented for a question.
    async fn claim(
        &self,
        caller: &Caller,
        question: &Question,
        presented: &Presented,
        idempotency: Option<&Idempotency>,
    ) -> Result<Permitted, Refusal> {
        let id = ApprovalId::parse(&presented.id);
        if let Err(refusal) = self.approvals.readable(caller, id).await {
            return self.verdict(caller, id, refusal).await.map(Err);
        }
        if let (Some(id), Some(state)) = (id, &presented.state)
            && let Err(refusal) = self.verify_state(id, state).await
        {
            return self.verdict(caller, Some(id), refusal).await.map(Err);
        }
        let claim = Claim {
            agent: question.agent.clone(),
            action: question.name.clone(),
            context: question.text(),
            plan: None,
            lease_seconds: None,
        };
        let reply = match self.approvals.claim(caller, id, claim, idempotency).await {
            Ok(reply) => reply,
            Err(refusal) => return self.verdict(caller, id, refusal).await.map(Err),
        };
        let Claimed { expires_at, execution } =
            serde_json::from_str(&reply.body).map_err(Refusal::internal)?;
        let approval = id.ok_or_else(|| Refusal::internal("a claim without an id"))?;
        let execution = Execution {
            approval,
            approved_until: expires_at,
            id: execution.id,
            lease_expires_at: execution.lease_expires_at,
        };
        Ok(Ok((execution, reply)))
    }

    /// Verifies the receipt of an approval with the verifier and this log's keys. The claim verifies
    /// the approval itself, as it is now.
    ///
    /// Refusals: as `receipt.verify` in `wit/`, `receipt-invalid` for what is no receipt;
    /// `receipt-untrusted` without a log key; `keyring-unavailable`, `verifier-trapped`.
    async fn verify_state(&self, id: ApprovalId, state: &str) -> Result<(), Refusal> {
        let log_keys: Vec<String> =
            self.audit.log_keys()?.into_iter().map(|(_, key)| key.to_string()).collect();
        if log_keys.is_empty() {
            let detail = "this server has no log key, so it signed no receipt";
            return Err(Refusal::new(Code::RECEIPT_UNTRUSTED, detail));
        }
        let (id, audience) = (id.to_string(), self.ledger.audience().to_owned());
        let (accept, receipt) = (self.approvals.accepted().to_vec(), state.to_owned());
        let verifier = self.verifier.current();
        let verified = verifier.run(receipt.len(), move |verifier| {
            let args = ReceiptArgs {
                receipt: &receipt,
                log_keys: &log_keys,
                id: Some(&id),
                audience: Some(&audience),
                // The claim uses the keyring as it is now.
                accepted: Accepted { keys: &[], profiles: &accept },
                checkpoint: None,
                consistency: &[],
            };
            Report::of(verifier, &args).map(drop)
        });
        verified.await.map_err(|failure| match failure {
            trapped @ Failure::Trapped(_) => trapped.into(),
            rejected @ Failure::Rejected(_) => {
                let refusal = Refusal::from(rejected);
                match refusal.code {
                    // The form of the receipt.
                    Code::REQUEST_INVALID | Code::LIMIT_EXCEEDED => {
                        Refusal::new(Code::RECEIPT_INVALID, refusal.detail)
                    }
                    _ => refusal,
                }
            }
        })
    }

    /// Returns the verdict behind a refusal; the refusal itself if it is an error of the call. What
    /// concerns trust is recorded in the audit log, as the refusal of a claim is.
    async fn verdict(
        &self,
        caller: &Caller,
        id: Option<ApprovalId>,
        refusal: Refusal,
    ) -> Result<Refused, Refusal> {
        let status = match refusal.code {
            Code::NOT_APPROVED => Some(self.approvals.status(id).await?.0),
            _ => None,
        };
        match ReapprovalReason::of(refusal.code, status.as_deref()) {
            Some(reason) => {
                if refusal.code.concerns_trust() {
                    let code = refusal.code;
                    let refused = ledger::Refused { operation: OPERATION, approval: id, code };
                    // A failure to record it does not change the verdict.
                    let _ = self.refusals.record(caller, refused).await;
                }
                Ok(Refused { reason, message: refusal.detail })
            }
            None => Err(refusal),
        }
    }
}
