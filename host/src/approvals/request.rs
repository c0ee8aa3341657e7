//! Requests of approvals: the policy is evaluated, and the verifier opens the approval with the
//! policy's requirement.

use std::mem;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use signoff_core::facts::Facts;
use signoff_core::requirement::Requirement;

use super::Approvals;
use super::view::{shown, with_members};
use crate::caller::Caller;
use crate::code::Code;
use crate::guardrails::{Action, Judged, Moment, Read, attempt};
use crate::id::ApprovalId;
use crate::ledger::{ApprovalChange, Deciders, Idempotency, Reply};
use crate::modules::Active;
use crate::policy::Decision;
use crate::refusal::Refusal;
use crate::store::{Base, Texts};
use crate::verifier::{OpenArgs, Opened, Verifier};

/// A request for an approval. Context and plan are JSON texts, passed to the verifier verbatim.
#[derive(Clone, Debug)]
pub struct NewApproval {
    /// The agent.
    pub agent: String,
    /// The action.
    pub action: String,
    /// The context of the action.
    pub context: String,
    /// The exact plan to execute.
    pub plan: Option<String>,
    /// The reason, for approvers.
    pub reason: Option<String>,
    /// The lifetime of the approval.
    pub expires_in_seconds: Option<i64>,
    /// The requirement, JSON, passed to the verifier verbatim; the default is one approver.
    pub requirement: Option<String>,
}

/// The members of a new approval's view that decide whether it is stored.
#[derive(Deserialize)]
struct Required {
    requested_by: String,
    requirement: Requirement,
}

/// An approval that is not stored yet.
struct Prepared {
    verifier: Verifier,
    judged: Judged,
    opened: Opened,
}

impl Approvals {
    /// Creates a pending approval.
    ///
    /// # Errors
    ///
    /// 1. `forbidden` for an agent that the caller does not act for 2. with an active policy:
    ///    `request-invalid`, `limit-exceeded` for a malformed agent or action, `context-invalid`,
    ///    `policy-trapped`, `policy-denied` 3. as `lifecycle.open` in `wit/` 4.
    ///    `requirement-unmeetable` 5. `rate-limited`: the requester's quota of pending approvals
    ///    6. the errors of every change.
    pub async fn request(
        &self,
        caller: &Caller,
        new: NewApproval,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        caller.must_act_for(&new.agent)?;
        if let Some(reply) = self.ledger.kept(idempotency).await? {
            return Ok(reply);
        }
        // Records the keys in the log before the approval that they may decide. A request itself
        // needs no key, so a failure is ignored.
        let _ = self.keys.recorded().await;
        let now = self.ledger.now_to_write()?;
        let id = self.ids.approval();
        let Prepared { verifier, judged, opened } = self.prepare(caller, &id, new, now).await?;
        let Opened { transition, view, context, plan } = opened;
        let required: Required = serde_json::from_str(&view).map_err(Refusal::internal)?;
        self.can_be_met(&required)?;
        let texts = Texts { context, plan };
        let mut place = self.take_place(&required.requested_by, id, texts.bytes()).await?;
        let reply = Reply::new(201, shown(&verifier, &view, Some(&texts)));
        let guardrail = judged.policy.as_ref().map(|_| judged.guardrail());
        let by = Deciders { verifier: &verifier, guardrail };
        let change = ApprovalChange {
            by,
            transition,
            base: Base::New(texts),
            forgotten: Vec::new(),
            reply,
            at: now,
        };
        place.hand_over();
        let reply = self.ledger.commit(caller, change, idempotency).await?.ok_or_else(|| {
            Refusal::new(Code::STORE_UNAVAILABLE, "the generated id is already taken; retry")
        })?;
        place.keep();
        Ok(reply)
    }

    /// Refuses a request that would only wait for its expiry, because too few approvers have a key.
    ///
    /// Refusals: `requirement-unmeetable`.
    fn can_be_met(&self, required: &Required) -> Result<(), Refusal> {
        // A request itself needs no key: without a readable keyring nothing is known.
        let Ok(keys) = self.keys.current() else { return Ok(()) };
        let Required { requested_by, requirement } = required;
        let short = keys.shortages(&self.accept, requirement, Some(requested_by));
        if short.is_empty() {
            return Ok(());
        }
        let short: Vec<String> = short.iter().map(ToString::to_string).collect();
        let short = short.join("; ");
        Err(Refusal::new(
            Code::REQUIREMENT_UNMEETABLE,
            format!(
                "the approval requires {short} (the requester does not count); import the approvers' keys first"
            ),
        ))
    }

    /// Opens an approval with the policy's requirement, without storing it.
    ///
    /// Refusals: with an active policy 1. `request-invalid`, `limit-exceeded` for a malformed agent
    /// or action 2. `context-invalid` for the context, then for the plan 3. `policy-trapped`,
    /// `policy-denied`; then as `lifecycle.open`.
    async fn prepare(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        mut new: NewApproval,
        now: u64,
    ) -> Result<Prepared, Refusal> {
        let verifier = self.verifier.current();
        let slot = self.guardrails.slot().await?;
        let (context, plan) = (mem::take(&mut new.context), new.plan.take());
        let facts = Facts::of_request(&caller.as_agent(&new.agent));
        let moment = Moment::Request(*id);
        if matches!(slot.active, Active::Empty) {
            let request = self.event(caller, id, &new, None);
            let opened = self.open(&verifier, request, Texts { context, plan }, now).await?;
            let judged = if slot.shadow.is_some() {
                let (read, texts) = Read::of(&opened)?;
                self.guardrails
                    .judge(slot, attempt(&read, texts, &facts, now), moment, &read)
                    .await?
            } else {
                self.guardrails.counted(Judged::without_policy(moment))
            };
            return Ok(Prepared { verifier, judged, opened });
        }
        let action = Action {
            agent: new.agent.clone(),
            action: new.action.clone(),
            context: context.into(),
            plan: plan.map(Into::into),
        };
        let (read, texts) = self.guardrails.read(&verifier, action).await?;
        let attempt = attempt(&read, texts.clone(), &facts, now);
        let judged = self.guardrails.judge(slot, attempt, moment, &read).await?;
        if judged.verdict.decision == Decision::Deny {
            return Err(self.guardrails.denied(caller, &judged, &read, now).await?);
        }
        let request = self.event(caller, id, &new, Some(&judged));
        let opened = self.open(&verifier, request, texts, now).await?;
        Ok(Prepared { verifier, judged, opened })
    }

    /// Opens an approval without storing it.
    ///
    /// Refusals: as `lifecycle.open` in `wit/`; `verifier-trapped`.
    async fn open(
        &self,
        verifier: &Verifier,
        request: String,
        texts: Texts,
        now: u64,
    ) -> Result<Opened, Refusal> {
        let accept = Arc::clone(&self.accept);
        let bytes = texts.context.len() + texts.plan.as_ref().map_or(0, String::len);
        let opened = verifier.run(bytes, move |verifier| {
            let Texts { context, plan } = &texts;
            let plan = plan.as_deref();
            verifier.open(&OpenArgs { request: &request, context, plan, accept: &accept, now })
        });
        Ok(opened.await?)
    }

    /// Builds the verifier's event of a request.
    fn event(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        new: &NewApproval,
        judged: Option<&Judged>,
    ) -> String {
        let verdict = judged.map(|judged| &judged.verdict);
        let required = verdict.and_then(|verdict| verdict.requirement.clone()).unwrap_or_default();
        let event = json!({
            "id": id.to_string(),
            "audience": self.ledger.audience(),
            "requested_by": caller.as_agent(&new.agent),
            "agent": new.agent,
            "action": new.action,
            "reason": new.reason,
            "ttl_seconds": new.expires_in_seconds,
            "floor": self.floor,
            "policy_requirement": required,
            "policy": judged.and_then(|judged| judged.policy.as_deref()),
            "rule": verdict.and_then(|verdict| verdict.rule.as_deref()),
            "policy_reason": verdict.and_then(|verdict| verdict.reason.as_deref()),
            "failed": verdict.map(|verdict| verdict.failed.as_slice()).unwrap_or_default(),
        });
        let requirement = new.requirement.as_deref().unwrap_or("{}");
        with_members(&event.to_string(), &[("requirement", requirement)])
    }
}
