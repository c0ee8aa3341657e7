//! Guardrails: the policy's verdict on an action when it is evaluated, requested and claimed.
//!
//! The verifier canonicalizes the action first, and the policy sees the canonical texts. Then the
//! verifier opens the approval with the policy's requirement, so that requirement, policy and rule
//! are fixed in the record and signed by approvers. At a claim the verifier has already compared
//! the texts, and the policy sees the stored ones.

mod answer;
mod compare;
mod judged;
mod local;
mod read;
mod recorded;
mod required;

use std::sync::Arc;
use std::time::Duration;

use signoff_core::facts::Facts;
use tokio::sync::Semaphore;

use crate::caller::Caller;
use crate::code::Code;
use crate::config::{Config, Floor};
use crate::id::ApprovalId;
use crate::ledger::{Idempotency, Ledger, Reply};
use crate::modules::{Active, Modules, PolicySlot};
use crate::policy::{Attempt, Decision, Policy, PolicyFailure, Verdict};
use crate::refusal::Refusal;
use crate::store::Texts;
use crate::verifier::{ActiveVerifier, INLINE_BYTES_MAX};

use answer::answer;
use compare::{Compared, Comparisons};
use judged::Verdicts;
use local::ReportRates;

pub use compare::Flip;
pub(crate) use judged::{Judged, Moment};
pub use local::{LocalDecision, PolicyCopy, REPORTED_MAX};
pub(crate) use read::Read;

/// Maximum evaluations on blocking threads: half of the pool's instances, so that an instance is
/// always free for a short evaluation.
const PLACES: usize = 64;
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

/// The evaluation of policies.
pub struct Guardrails {
    ledger: Arc<Ledger>,
    modules: Arc<Modules>,
    verifier: Arc<ActiveVerifier>,
    /// The minimum requirement of every approval.
    floor: Floor,
    /// The accepted signature profiles.
    accept: Arc<[String]>,
    verdicts: Verdicts,
    reports: ReportRates,
    comparisons: Comparisons,
    /// Limits concurrent policy evaluations on blocking threads.
    places: Arc<Semaphore>,
}

impl Guardrails {
    pub(crate) fn new(
        ledger: Arc<Ledger>,
        modules: Arc<Modules>,
        verifier: Arc<ActiveVerifier>,
        config: &Config,
    ) -> Self {
        Self {
            ledger,
            modules,
            verifier,
            floor: config.requirement.clone(),
            accept: config.signatures.accept.clone().into(),
            verdicts: Verdicts::default(),
            reports: ReportRates::default(),
            comparisons: Comparisons::default(),
            places: Arc::new(Semaphore::new(PLACES)),
        }
    }

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
        caller.must_act_for(&action.agent)?;
        let key = idempotency.map(|key| key.under(slot.active.digest()));
        if let Some(reply) = self.ledger.kept(key.as_ref()).await? {
            return Ok(reply);
        }
        let now = self.ledger.now_to_write()?;
        let verifier = self.verifier.current();
        let (read, texts) = self.read(&verifier, action).await?;
        let facts = Facts::of_request(&caller.as_agent(&read.agent));
        let attempt = attempt(&read, texts, &facts, now);
        let judged = self.judge(slot, attempt, Moment::Evaluate, &read).await?;
        let requirement = match judged.verdict.decision {
            Decision::RequireApproval => Some(self.required(&judged.verdict)?),
            Decision::Allow | Decision::Deny => None,
        };
        let answer = answer(&judged, &read, requirement.as_ref(), verifier.digest(), now);
        let note = judged.note(&read).answering(200, answer);
        self.ledger.note_at(now, caller, note, key.as_ref()).await
    }

    /// Evaluates the policy for a claim that the verifier accepts. `view` is the view of the
    /// approval.
    ///
    /// Refusals: `policy-trapped`, `policy-denied`; those of reading the store.
    pub(crate) async fn judge_claim(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        view: &str,
        now: u64,
    ) -> Result<Option<Judged>, Refusal> {
        let slot = self.slot().await?;
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
        self.ledger.note_at(now, caller, judged.note(action), None).await?;
        let by = match &judged.verdict.rule {
            Some(rule) => format!("rule `{rule}` of the policy denies it"),
            None => format!(
                "no rule of the policy matches `{}` of `{}`, and its default denies it",
                action.action, action.agent
            ),
        };
        let reason = judged.verdict.reason.as_ref();
        let detail = reason.map_or_else(|| by.clone(), |reason| format!("{by}: {reason}"));
        Ok(Refusal::new(Code::POLICY_DENIED, detail))
    }

    /// Checks that the active policy can be evaluated.
    ///
    /// Refusals: `policy-trapped`.
    pub(crate) async fn ready(&self) -> Result<(), Refusal> {
        self.usable_policy_slot().await.map(drop)
    }

    /// Returns the active policy and the shadow.
    ///
    /// Refusals: as [`Modules::policy_slot`].
    pub(crate) async fn slot(&self) -> Result<PolicySlot, Refusal> {
        self.modules.policy_slot().await
    }

    /// Returns the slot `policy`, unless its active policy cannot be evaluated.
    ///
    /// Refusals: `policy-trapped`.
    async fn usable_policy_slot(&self) -> Result<PolicySlot, Refusal> {
        let slot = self.slot().await?;
        match &slot.active {
            Active::Broken { digest, why } => Err(broken(digest, why)),
            Active::Empty | Active::Policy(_) => Ok(slot),
        }
    }

    /// Evaluates the active policy, and queues the comparison with the shadow.
    pub(crate) async fn judge(
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
            let (judged, action, counts) = (judged.clone(), read.clone(), slot.counts);
            self.comparisons.queue(Compared { candidate, counts, attempt, judged, action });
        }
        Ok(judged)
    }

    pub(crate) fn counted(&self, judged: Judged) -> Judged {
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
        // Each evaluation occupies an instance of the pool, so their number is limited. It goes on if its
        // client has gone, and keeps its place until then.
        let place = Arc::clone(&self.places).acquire_owned().await;
        let (policy, attempt) = (policy.clone(), Arc::clone(attempt));
        let evaluated = tokio::task::spawn_blocking(move || {
            let answer = policy.evaluate(&attempt);
            drop(place);
            answer
        });
        let answer = evaluated.await;
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
pub(crate) fn attempt(read: &Read, texts: Texts, facts: &Facts, now: u64) -> Attempt {
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
