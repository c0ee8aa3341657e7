//! Guardrails: what the policy says of an action, when it is evaluated, requested and claimed.
//!
//! The verifier reads an action first, and the policy sees the canonical texts. Then the verifier opens
//! the approval with what the policy requires, so that the requirement, the policy and the rule are
//! frozen in the record and in what approvers sign. At a claim the verifier has compared the texts
//! already, and the policy sees the stored ones.

mod answer;
mod asked;
mod judged;
mod required;

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use signoff_core::facts::Facts;

use super::commit::{Idempotency, Reply};
use super::note::Note;
use super::operation::{NewApproval, acts_for};
use super::shadow::Compared;
use super::slots::{Active, PolicySlot};
use super::{Caller, INLINE_BYTES_MAX, Service};
use crate::code::Code;
use crate::engine::{Attempt, Decision, Policy, PolicyFailure, Verdict};
use crate::id::ApprovalId;
use crate::refusal::Refusal;
use crate::store::Texts;
use crate::verifier::{Opened, Verifier};

use answer::answer;

pub(super) use asked::Read;
pub(super) use judged::{Guardrail, Judged, Moment, Verdicts};

/// A policy that usually takes longer than this leaves the async threads.
const INLINE_TIME_MAX: Duration = Duration::from_micros(500);

/// What an agent is about to do. Context and plan are JSON texts, handed on as they came.
#[derive(Clone, Debug)]
pub struct Action {
    /// Who does it.
    pub agent: String,
    /// What it does.
    pub action: String,
    /// About what.
    pub context: Arc<str>,
    /// How exactly.
    pub plan: Option<Arc<str>>,
}

/// An approval that is not kept yet.
pub(super) struct Prepared {
    pub(super) verifier: Verifier,
    pub(super) judged: Judged,
    pub(super) opened: Opened,
}

impl Service {
    /// Whether an action may run. The answer is in the audit: what is allowed without a person is
    /// told there, and by which policy. A kept answer is repeated while the policy serves whose it is:
    /// nothing is allowed in the name of one that was replaced.
    ///
    /// # Errors
    ///
    /// 1. `policy-trapped` where the active policy cannot be evaluated 2. `forbidden` for an agent that the
    ///    caller does not act for 3. `request-invalid`, `limit-exceeded`: the agent or the action out of its
    ///    form 4. `context-invalid`: of the context, then of the plan 5. `policy-trapped`
    ///    6. `limit-exceeded`: policy and settings require more than 16 groups together 7. `request-invalid`:
    ///    no accepted profile can meet what the policy requires 8. those of every change.
    pub async fn evaluate(
        &self,
        caller: &Caller,
        action: Action,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let slot = self.policy_that_answers().await?;
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

    /// Opens an approval with what the policy requires, without keeping it.
    ///
    /// Refusals: under a policy 1. `request-invalid`, `limit-exceeded`: the agent or the action out of its
    /// form 2. `context-invalid`: of the context, then of the plan 3. `policy-trapped`, `policy-denied`;
    /// then as `lifecycle.open`.
    pub(super) async fn prepare(
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

    /// Evaluates the policy for a claim that the verifier accepts. `view` is the approval's.
    ///
    /// Refusals: `policy-trapped`, `policy-denied`; those of reading the store.
    pub(super) async fn not_denied(
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

    /// Keeps that the policy denied an action; answers the refusal.
    pub(super) async fn denied(
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

    /// Whether the policy that serves can be asked.
    ///
    /// Refusals: `policy-trapped`.
    pub(super) async fn policy_ready(&self) -> Result<(), Refusal> {
        self.policy_that_answers().await.map(drop)
    }

    /// The slot of the policy, unless its active policy cannot be evaluated.
    ///
    /// Refusals: `policy-trapped`.
    async fn policy_that_answers(&self) -> Result<PolicySlot, Refusal> {
        let slot = self.policy_slot().await?;
        match &slot.active {
            Active::Broken { digest, why } => Err(broken(digest, why)),
            Active::Empty | Active::Policy(_) => Ok(slot),
        }
    }

    /// Evaluates the active policy, and has the shadow compared with its verdict.
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
                let verdict = self.ask_policy(&policy, &attempt).await?;
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

    async fn ask_policy(
        &self,
        policy: &Policy,
        attempt: &Arc<Attempt>,
    ) -> Result<Verdict, PolicyFailure> {
        let bytes = attempt.context.len() + attempt.plan.as_ref().map_or(0, String::len);
        if bytes <= INLINE_BYTES_MAX && policy.usual() <= INLINE_TIME_MAX {
            return policy.evaluate(attempt);
        }
        // Each has an instance with memory of its own: not more at once than the pool has.
        let _place = self.slots.places().acquire().await;
        let (policy, attempt) = (policy.clone(), Arc::clone(attempt));
        let answer = tokio::task::spawn_blocking(move || policy.evaluate(&attempt)).await;
        answer.unwrap_or_else(|e| Err(PolicyFailure::Trapped(e.to_string())))
    }
}

impl Action {
    /// About how large it is.
    pub(super) fn bytes(&self) -> usize {
        self.context.len() + self.plan.as_ref().map_or(0, |plan| plan.len())
    }
}

/// An action as the policy sees it.
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
        format!("the active policy {digest} cannot be asked, so nothing is allowed: {why}"),
    )
}
