//! Guardrails: what the policy says of an action, when it is evaluated, requested and claimed.
//!
//! The verifier reads an action first, as it reads a request; the policy sees the canonical texts. Then
//! the verifier opens the approval again with what the policy asks, so that the requirement, the
//! policy and the rule are frozen in the record and in what approvers sign.

mod answer;
mod asked;
mod judged;

use std::sync::Arc;
use std::time::Duration;

use signoff_core::facts::Facts;

use super::commit::{Idempotency, Reply};
use super::note::Note;
use super::operation::{NewApproval, acts_for};
use super::shadow::Compared;
use super::slots::Active;
use super::{Caller, INLINE_BYTES_MAX, Service};
use crate::code::Code;
use crate::engine::{Attempt, Decision, Policy, PolicyFailure, Verdict};
use crate::id::ApprovalId;
use crate::refusal::Refusal;
use crate::verifier::{Opened, Verifier};

pub(super) use judged::{Judged, Moment, Verdicts};

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

/// An action as the verifier read it.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) agent: String,
    pub(super) action: String,
    pub(super) context_hash: String,
    pub(super) plan_hash: Option<String>,
}

/// An approval that is not kept yet.
pub(super) struct Prepared {
    pub(super) verifier: Verifier,
    pub(super) judged: Judged,
    pub(super) action: Read,
    pub(super) opened: Opened,
}

impl Service {
    /// Whether an action may run. The answer is in the audit: what is allowed without a person is
    /// told there, and by which policy. A kept answer is repeated while the policy serves whose it is:
    /// nothing is allowed in the name of one that was replaced.
    ///
    /// # Errors
    ///
    /// 1. `policy-trapped` where what serves cannot be asked 2. `forbidden` for an agent that the
    ///    caller does not act for 3. as `lifecycle.open` in `wit/` 4. `policy-trapped` 5. as
    ///    `lifecycle.open` again, for what the policy asks 6. those of every change.
    pub async fn evaluate(
        &self,
        caller: &Caller,
        action: Action,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let key = |policy: Option<&str>| idempotency.map(|key| key.under(policy));
        let serving = self.policy_that_answers().await?;
        acts_for(caller, &action.agent)?;
        if let Some(reply) = self.kept(key(serving.as_deref()).as_ref()).await? {
            return Ok(reply);
        }
        let now = self.now_to_write()?;
        let new = NewApproval {
            agent: action.agent,
            action: action.action,
            context: action.context.as_ref().to_owned(),
            plan: action.plan.as_deref().map(str::to_owned),
            reason: None,
            expires_in_seconds: None,
            requirement: None,
        };
        // The verifier reads an action as it reads a request; this one is not kept.
        let id = self.ids.approval();
        let prepared = self.prepare(caller, &id, new, Moment::Evaluate, now).await?;
        let answer = prepared.answer(now)?;
        let note = Note {
            answer: Some(Reply::new(200, answer)),
            ..prepared.judged.note(&prepared.action)
        };
        // Another one may have been asked than the one that served at first.
        let key = key(prepared.judged.policy.as_deref());
        self.keep_note(caller, note, key.as_ref(), now).await
    }

    /// Opens an approval with what the policy asks, without keeping it.
    ///
    /// Refusals: 1. as `lifecycle.open` 2. `policy-trapped` 3. as `lifecycle.open`.
    pub(super) async fn prepare(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        new: NewApproval,
        moment: Moment,
        now: u64,
    ) -> Result<Prepared, Refusal> {
        let verifier = self.verifier();
        let bytes = new.context.len() + new.plan.as_ref().map_or(0, String::len);
        let event = self.event(caller, id, &new, None);
        let read = self.open(&verifier, bytes, event, new.context.clone(), new.plan.clone(), now);
        let opened = read.await?;
        let action = Read::of(&new, &opened.view)?;
        let attempt = Attempt {
            agent: new.agent.clone(),
            action: new.action.clone(),
            context: opened.context.clone(),
            plan: opened.plan.clone(),
            facts: Facts::of_request(&caller.as_agent(&new.agent)).to_text(),
            now,
        };
        let judged = self.judge(Arc::new(attempt), moment, &action).await?;
        let opened = if judged.policy.is_none() || judged.verdict.decision == Decision::Deny {
            opened
        } else {
            let event = self.event(caller, id, &new, Some(&judged));
            self.open(&verifier, bytes, event, opened.context, opened.plan, now).await?
        };
        Ok(Prepared { verifier, judged, action, opened })
    }

    /// Asks the policy about a claim that the verifier accepts, of an approval that `requested_by`
    /// requested.
    ///
    /// Refusals: `policy-trapped`, `policy-denied`.
    pub(super) async fn not_denied(
        &self,
        caller: &Caller,
        verifier: &Verifier,
        action: &Action,
        requested_by: &str,
        moment: Moment,
        now: u64,
    ) -> Result<Option<Judged>, Refusal> {
        if matches!(self.policy_slot().await?.active, Active::Empty) {
            return Ok(None);
        }
        let texts = self.canonical(verifier, action).await?;
        let read = Read {
            agent: action.agent.clone(),
            action: action.action.clone(),
            context_hash: texts.context_hash,
            plan_hash: texts.plan_hash,
        };
        let attempt = Attempt {
            agent: action.agent.clone(),
            action: action.action.clone(),
            context: texts.context,
            plan: texts.plan,
            facts: Facts::of_claim(requested_by, &caller.as_agent(&action.agent)).to_text(),
            now,
        };
        let judged = self.judge(Arc::new(attempt), moment, &read).await?;
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

    /// The digest of the policy that serves; none where the slot is empty.
    ///
    /// Refusals: `policy-trapped`.
    async fn policy_that_answers(&self) -> Result<Option<String>, Refusal> {
        match self.policy_slot().await?.active {
            Active::Broken { digest, why } => Err(broken(&digest, &why)),
            Active::Empty => Ok(None),
            Active::Policy(policy) => Ok(Some(policy.digest().to_owned())),
        }
    }

    async fn judge(
        &self,
        attempt: Arc<Attempt>,
        moment: Moment,
        action: &Read,
    ) -> Result<Judged, Refusal> {
        let slot = self.policy_slot().await?;
        let judged = match slot.active {
            Active::Empty => Judged { verdict: Verdict::of_no_policy(), policy: None, moment },
            Active::Broken { digest, why } => return Err(broken(&digest, &why)),
            Active::Policy(policy) => {
                let verdict = self.ask_policy(&policy, &attempt).await?;
                Judged { verdict, policy: Some(policy.digest().to_owned()), moment }
            }
        };
        self.verdicts.count(&judged);
        if let Some(candidate) = slot.shadow {
            let action = action.clone();
            self.shadow.compare(Compared { candidate, attempt, judged: judged.clone(), action });
        }
        Ok(judged)
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

fn broken(digest: &str, why: &str) -> Refusal {
    Refusal::new(
        Code::POLICY_TRAPPED,
        format!("the active policy {digest} cannot be asked, so nothing is allowed: {why}"),
    )
}
