//! Guardrails: the policy's verdict on an action when it is evaluated, requested and claimed.
//!
//! The verifier canonicalizes the action first, and the policy sees the canonical texts. Then the
//! verifier opens the approval with the policy's requirement, so that requirement, policy and rule
//! are fixed in the record and signed by approvers. At a claim the verifier has already compared
//! the texts, and the policy sees the stored ones.

mod answer;
mod judged;
mod request;
mod required;
mod shadow;

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use signoff_core::facts::Facts;

use crate::approvals::{NewApproval, acts_for};
use crate::caller::Caller;
use crate::code::Code;
use crate::id::ApprovalId;
use crate::ledger::Note;
use crate::ledger::{Idempotency, Reply};
use crate::modules::{Active, PolicySlot};
use crate::policy::{Attempt, Decision, Policy, PolicyFailure, Verdict};
use crate::refusal::Refusal;
use crate::service::{INLINE_BYTES_MAX, Service};
use crate::store::Texts;
use crate::verifier::{Opened, Verifier};

use answer::answer;

pub(crate) use judged::{Guardrail, Judged, Moment, Verdicts};
pub(crate) use request::Read;
pub(crate) use shadow::{Compared, Shadow};
pub use shadow::{Flip, ShadowCounts};

/// Policies that usually take longer run on a blocking thread.
const INLINE_TIME_MAX: Duration = Duration::from_micros(500);

/// The action that an agent is about to take. Context and plan are JSON texts, passed on verbatim.
#[derive(Clone, Debug)]
pub struct Action {
    /// The agent.
    pub agent: String,
    /// The action.
    pub action: String,
    /// The context.
    pub context: Arc<str>,
    /// The plan.
    pub plan: Option<Arc<str>>,
}

/// An approval that is not stored yet.
pub(crate) struct Prepared {
    pub(crate) verifier: Verifier,
    pub(crate) judged: Judged,
    pub(crate) opened: Opened,
}

impl Service {
    /// Evaluates whether an action may run. The answer is recorded in the audit log, so that it
    /// shows what ran without approval, and by which policy. An idempotent answer is repeated only
    /// while its policy is active: a replaced policy allows nothing.
    ///
    /// # Errors
    ///
    /// 1. `policy-trapped` if the active policy cannot be evaluated 2. `forbidden` for an agent
    ///    that the caller does not act for 3. `request-invalid`, `limit-exceeded` for a malformed
    ///    agent or action 4. `context-invalid` for the context, then for the plan
    ///    5. `policy-trapped` 6. `limit-exceeded`: policy and settings require more than 16 groups
    ///    together 7. `request-invalid`: no accepted profile can meet the policy's requirement
    ///    8. the errors of every change.
    pub async fn evaluate(
        &self,
        caller: &Caller,
        action: Action,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let slot = self.usable_policy_slot().await?;
        acts_for(caller, &action.agent)?;
        let key = idempotency.map(|key| key.under(slot.active.digest()));
        if let Some(reply) = self.kept(key.as_ref()).await? {
            return Ok(reply);
        }
        let now = self.now_to_write()?;
        let verifier = self.verifier();
        let (read, texts) = self.read(&verifier, action).await?;
        let facts = Facts::of_request(&caller.as_agent(&read.agent));
        let attempt = attempt(&read, texts, &facts, now);
        let judged = self.judge(slot, attempt, Moment::Evaluate, &read).await?;
        let requirement = match judged.verdict.decision {
            Decision::RequireApproval => Some(self.required(&judged.verdict)?),
            Decision::Allow | Decision::Deny => None,
        };
        let answer = answer(&judged, &read, requirement.as_ref(), verifier.digest(), now);
        let note = Note { answer: Some(Reply::new(200, answer)), ..judged.note(&read) };
        self.keep_note(caller, note, key.as_ref(), now).await
    }

    /// Opens an approval with the policy's requirement, without storing it.
    ///
    /// Refusals: with an active policy 1. `request-invalid`, `limit-exceeded` for a malformed agent
    /// or action 2. `context-invalid` for the context, then for the plan 3. `policy-trapped`,
    /// `policy-denied`; then as `lifecycle.open`.
    pub(crate) async fn prepare(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        mut new: NewApproval,
        now: u64,
    ) -> Result<Prepared, Refusal> {
        let verifier = self.verifier();
        let slot = self.policy_slot().await?;
        let (context, plan) = (mem::take(&mut new.context), new.plan.take());
        let facts = Facts::of_request(&caller.as_agent(&new.agent));
        let moment = Moment::Request(*id);
        if matches!(slot.active, Active::Empty) {
            let request = self.event(caller, id, &new, None);
            let opened = self.open(&verifier, request, Texts { context, plan }, now).await?;
            let judged = if slot.shadow.is_some() {
                let (read, texts) = Read::of(&opened)?;
                self.judge(slot, attempt(&read, texts, &facts, now), moment, &read).await?
            } else {
                self.counted(Judged::without_policy(moment))
            };
            return Ok(Prepared { verifier, judged, opened });
        }
        let action = Action {
            agent: new.agent.clone(),
            action: new.action.clone(),
            context: context.into(),
            plan: plan.map(Into::into),
        };
        let (read, texts) = self.read(&verifier, action).await?;
        let attempt = attempt(&read, texts.clone(), &facts, now);
        let judged = self.judge(slot, attempt, moment, &read).await?;
        if judged.verdict.decision == Decision::Deny {
            return Err(self.denied(caller, &judged, &read, now).await?);
        }
        let request = self.event(caller, id, &new, Some(&judged));
        let opened = self.open(&verifier, request, texts, now).await?;
        Ok(Prepared { verifier, judged, opened })
    }

    /// Evaluates the policy for a claim that the verifier accepts. `view` is the view of the
    /// approval.
    ///
    /// Refusals: `policy-trapped`, `policy-denied`; those of reading the store.
    pub(crate) async fn not_denied(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        view: &str,
        now: u64,
    ) -> Result<Option<Judged>, Refusal> {
        let slot = self.policy_slot().await?;
        if matches!(slot.active, Active::Empty) {
            return Ok(None);
        }
        let (read, texts, requested_by) = self.approved(id, view).await?;
        let facts = Facts::of_claim(&requested_by, &caller.as_agent(&read.agent));
        let attempt = attempt(&read, texts, &facts, now);
        let judged = self.judge(slot, attempt, Moment::Claim(*id), &read).await?;
        if judged.verdict.decision == Decision::Deny {
            return Err(self.denied(caller, &judged, &read, now).await?);
        }
        Ok(Some(judged))
    }

    /// Records that the policy denied an action. Returns the refusal for the caller.
    pub(crate) async fn denied(
        &self,
        caller: &Caller,
        judged: &Judged,
        action: &Read,
        now: u64,
    ) -> Result<Refusal, Refusal> {
        self.keep_note(caller, judged.note(action), None, now).await?;
        let rule = judged.verdict.rule.as_deref();
        let by = rule.map_or_else(|| "the default".to_owned(), |rule| format!("rule `{rule}`"));
        let detail = match &judged.verdict.reason {
            Some(reason) => format!("{by} of the policy denies it: {reason}"),
            None => format!("{by} of the policy denies it"),
        };
        Ok(Refusal::new(Code::POLICY_DENIED, detail))
    }

    /// Checks that the active policy can be evaluated.
    ///
    /// Refusals: `policy-trapped`.
    pub(crate) async fn policy_ready(&self) -> Result<(), Refusal> {
        self.usable_policy_slot().await.map(drop)
    }

    /// Returns the slot `policy`, unless its active policy cannot be evaluated.
    ///
    /// Refusals: `policy-trapped`.
    async fn usable_policy_slot(&self) -> Result<PolicySlot, Refusal> {
        let slot = self.policy_slot().await?;
        match &slot.active {
            Active::Broken { digest, why } => Err(broken(digest, why)),
            Active::Empty | Active::Policy(_) => Ok(slot),
        }
    }

    /// Evaluates the active policy, and queues the comparison with the shadow.
    async fn judge(
        &self,
        slot: PolicySlot,
        attempt: Attempt,
        moment: Moment,
        read: &Read,
    ) -> Result<Judged, Refusal> {
        let attempt = Arc::new(attempt);
        let judged = match slot.active {
            Active::Empty => Judged::without_policy(moment),
            Active::Broken { digest, why } => return Err(broken(&digest, &why)),
            Active::Policy(policy) => {
                let verdict = self.evaluate_policy(&policy, &attempt).await?;
                Judged { verdict, policy: Some(policy.digest().to_owned()), moment }
            }
        };
        let judged = self.counted(judged);
        if let Some(candidate) = slot.shadow {
            let action = read.clone();
            self.shadow.compare(Compared { candidate, attempt, judged: judged.clone(), action });
        }
        Ok(judged)
    }

    fn counted(&self, judged: Judged) -> Judged {
        self.verdicts.count(&judged);
        judged
    }

    async fn evaluate_policy(
        &self,
        policy: &Policy,
        attempt: &Arc<Attempt>,
    ) -> Result<Verdict, PolicyFailure> {
        let bytes = attempt.context.len() + attempt.plan.as_ref().map_or(0, String::len);
        if bytes <= INLINE_BYTES_MAX && policy.usual() <= INLINE_TIME_MAX {
            return policy.evaluate(attempt);
        }
        // Each evaluation takes an instance with its memory: limit them to those of the pool.
        let _place = self.slots.places().acquire().await;
        let (policy, attempt) = (policy.clone(), Arc::clone(attempt));
        let answer = tokio::task::spawn_blocking(move || policy.evaluate(&attempt)).await;
        answer.unwrap_or_else(|e| Err(PolicyFailure::Uncallable(e.to_string())))
    }
}

impl Action {
    /// Returns the size of its texts.
    pub(crate) fn bytes(&self) -> usize {
        self.context.len() + self.plan.as_ref().map_or(0, |plan| plan.len())
    }
}

/// Returns the policy's view of an action.
fn attempt(read: &Read, texts: Texts, facts: &Facts, now: u64) -> Attempt {
    Attempt {
        agent: read.agent.clone(),
        action: read.action.clone(),
        context: texts.context,
        plan: texts.plan,
        facts: facts.to_text(),
        now,
    }
}

fn broken(digest: &str, why: &str) -> Refusal {
    Refusal::new(
        Code::POLICY_TRAPPED,
        format!("the active policy {digest} cannot be evaluated, so no action is allowed: {why}"),
    )
}
