//! Guardrails: what the policy says of an action, when it is evaluated, requested and claimed.
//!
//! The verifier reads an action first, as it reads a request; the policy sees the canonical texts. Then
//! the verifier opens the approval again with what the policy asks, so that the requirement, the
//! policy and the rule are frozen in the record and in what approvers sign.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::commit::{Idempotency, Reply, with_fields};
use super::note::{Note, rfc3339};
use super::operation::{NewApproval, acts_for};
use super::shadow::Compared;
use super::slots::Active;
use super::{Caller, INLINE_BYTES_MAX, Service};
use crate::bindings::{self, policy::Attempt};
use crate::code::Code;
use crate::engine::{Decision, Policy, PolicyFailure, Verdict, Verifier};
use crate::id::ApprovalId;
use crate::refusal::Refusal;
use crate::store::About;

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

/// When the policy is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Before anything: may this run at all?
    Evaluate,
    /// An approval is requested.
    Request(ApprovalId),
    /// An approval is claimed; only `deny` counts.
    Claim(Option<ApprovalId>),
}

/// A verdict, and whose it is.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    /// The policy's digest; none where the slot is empty.
    pub(super) policy: Option<String>,
    pub(super) moment: Moment,
}

/// An action as the verifier read it.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) agent: String,
    pub(super) action: String,
    pub(super) context_hash: String,
    pub(super) plan_hash: Option<String>,
}

/// Verdicts since the start, by moment and decision.
#[derive(Default)]
pub(super) struct Verdicts([[AtomicU64; 3]; 3]);

impl Verdicts {
    fn count(&self, judged: &Judged) {
        let place = self.0.get(judged.moment.place());
        let place = place.and_then(|of| of.get(judged.verdict.decision as usize));
        if let Some(count) = place {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// An approval that is not kept yet.
pub(super) struct Prepared {
    pub(super) verifier: Verifier,
    pub(super) judged: Judged,
    pub(super) action: Read,
    pub(super) opened: bindings::Opened,
    pub(super) view: String,
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
        if let Some(reply) = self.kept(key(serving.as_deref()).as_ref()).await? {
            return Ok(reply);
        }
        acts_for(caller, &action.agent)?;
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
        let (opened, view) = read.await?;
        let action = Read::of(&new, &view)?;
        let attempt = Attempt {
            agent: new.agent.clone(),
            action: new.action.clone(),
            context: opened.context.clone(),
            plan: opened.plan.clone(),
            now,
        };
        let judged = self.judge(Arc::new(attempt), moment, &action).await?;
        let (opened, view) = if judged.policy.is_none() || judged.verdict.decision == Decision::Deny
        {
            (opened, view)
        } else {
            let event = self.event(caller, id, &new, Some(&judged));
            self.open(&verifier, bytes, event, opened.context, opened.plan, now).await?
        };
        Ok(Prepared { verifier, judged, action, opened, view })
    }

    /// Asks the policy about a claim that the verifier accepts.
    ///
    /// Refusals: `policy-trapped`, `policy-denied`.
    pub(super) async fn not_denied(
        &self,
        caller: &Caller,
        verifier: &Verifier,
        action: &Action,
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

    /// Verdicts since the start: the moment, the decision, how many.
    pub fn verdicts(&self) -> Vec<(&'static str, Decision, u64)> {
        let decisions = [Decision::Allow, Decision::RequireApproval, Decision::Deny];
        let moments = ["evaluate", "request", "claim"].into_iter().zip(&self.verdicts.0);
        let counts = moments.flat_map(|(moment, counts)| {
            decisions.into_iter().zip(counts).map(move |(decision, n)| (moment, decision, n))
        });
        counts.map(|(m, d, n)| (m, d, n.load(Ordering::Relaxed))).collect()
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

    /// A request, worded for the verifier.
    fn event(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        new: &NewApproval,
        judged: Option<&Judged>,
    ) -> String {
        let verdict = judged.map(|judged| &judged.verdict);
        let said = verdict.and_then(|verdict| verdict.reason.as_deref());
        let asked = verdict.and_then(|verdict| verdict.requirement.clone()).unwrap_or_default();
        let event = json!({
            "id": id.to_string(),
            "audience": self.audience,
            "requested_by": caller.as_agent(&new.agent),
            "agent": new.agent,
            "action": new.action,
            "reason": new.reason.as_deref().or(said),
            "ttl_seconds": new.expires_in_seconds,
            "floor": self.config.requirement,
            "policy_requirement": asked,
            "policy": judged.and_then(|judged| judged.policy.as_deref()),
            "rule": verdict.and_then(|verdict| verdict.rule.as_deref()),
        });
        let requirement = new.requirement.as_deref().unwrap_or("{}");
        with_fields(&event.to_string(), &[("requirement", requirement)])
    }

    async fn open(
        &self,
        verifier: &Verifier,
        bytes: usize,
        event: String,
        context: String,
        plan: Option<String>,
        now: u64,
    ) -> Result<(bindings::Opened, String), Refusal> {
        let accept = Arc::clone(&self.accept);
        self.ask(verifier, bytes, move |verifier| {
            verifier.call(|i| {
                let lifecycle = i.exports.signoff_approval_lifecycle();
                let plan = plan.as_deref();
                let opened =
                    lifecycle.call_open(&mut i.store, &event, &context, plan, &accept, now)?;
                let opened = match opened {
                    Ok(opened) => opened,
                    Err(rejection) => return Ok(Err(rejection)),
                };
                let record = Some(opened.transition.record.as_str());
                let shown = lifecycle.call_show(&mut i.store, record, now)?;
                Ok(shown.map(|shown| (opened, shown.view)))
            })
        })
        .await
    }

    async fn canonical(&self, verifier: &Verifier, action: &Action) -> Result<Texts, Refusal> {
        let (context, plan) = (Arc::clone(&action.context), action.plan.clone());
        self.ask(verifier, action.bytes(), move |verifier| {
            verifier.call(|i| {
                let read = i.exports.signoff_approval_context();
                let mut one = |text: &str| -> wasmtime::Result<_> {
                    let canonical = match read.call_canonicalize(&mut i.store, text)? {
                        Ok(canonical) => canonical,
                        Err(rejection) => return Ok(Err(rejection)),
                    };
                    let digest = read.call_digest(&mut i.store, &canonical)?;
                    Ok(digest.map(|digest| (canonical, digest)))
                };
                let context = one(&context)?;
                let plan = plan.as_deref().map(&mut one).transpose()?.transpose();
                Ok(context.and_then(|(context, context_hash)| {
                    let (plan, plan_hash) = plan?.unzip();
                    Ok(Texts { context, context_hash, plan, plan_hash })
                }))
            })
        })
        .await
    }
}

/// The canonical texts of an action, and their digests.
struct Texts {
    context: String,
    context_hash: String,
    plan: Option<String>,
    plan_hash: Option<String>,
}

impl Action {
    /// About how large it is.
    pub(super) fn bytes(&self) -> usize {
        self.context.len() + self.plan.as_ref().map_or(0, |plan| plan.len())
    }
}

/// What is read of a verifier's view.
#[derive(Deserialize)]
struct Viewed {
    context_hash: String,
    plan_hash: Option<String>,
    requirement: Value,
}

impl Viewed {
    fn of(view: &str) -> Result<Self, Refusal> {
        serde_json::from_str(view).map_err(|_| {
            Refusal::new(Code::VERIFIER_TRAPPED, "the verifier's answer cannot be read")
        })
    }
}

impl Read {
    fn of(new: &NewApproval, view: &str) -> Result<Self, Refusal> {
        let viewed = Viewed::of(view)?;
        Ok(Self {
            agent: new.agent.clone(),
            action: new.action.clone(),
            context_hash: viewed.context_hash,
            plan_hash: viewed.plan_hash,
        })
    }
}

impl Prepared {
    /// The runbook's ExecutionGuardrails: decision, reason, whether an approval is needed, and what a
    /// caller raises who goes ahead without one.
    fn answer(&self, now: u64) -> Result<String, Refusal> {
        let Verdict { decision, rule, reason, .. } = &self.judged.verdict;
        let requires_approval = *decision == Decision::RequireApproval;
        let reason = reason.as_deref().unwrap_or(match (decision, &self.judged.policy) {
            (Decision::Allow, _) => "the policy allows it",
            (Decision::Deny, _) => "the policy denies it",
            (Decision::RequireApproval, Some(_)) => "the policy requires approval",
            (Decision::RequireApproval, None) => {
                "no policy is active, and without one every action requires approval"
            }
        });
        let (violation_type, message) = match decision {
            Decision::Allow => (None, None),
            Decision::RequireApproval => {
                (Some("approval_required"), Some("Action requires human approval"))
            }
            Decision::Deny => (Some("policy_denied"), Some(Code::POLICY_DENIED.title)),
        };
        let details = violation_type.map(|_| {
            json!({ "agent": self.action.agent, "action": self.action.action, "reason": reason })
        });
        let requirement = match requires_approval {
            true => Some(Viewed::of(&self.view)?.requirement),
            false => None,
        };
        let answer = json!({
            "decision": decision,
            "reason": reason,
            "requires_approval": requires_approval,
            "violation_type": violation_type,
            "message": message,
            "details": details,
            "requirement": requirement,
            "rule": rule,
            "policy": self.judged.policy,
            "agent": self.action.agent,
            "action": self.action.action,
            "context_hash": self.action.context_hash,
            "plan_hash": self.action.plan_hash,
            "evaluated_at": rfc3339(now),
            "verifier": self.verifier.digest(),
        });
        Ok(answer.to_string())
    }
}

impl Judged {
    /// What the audit entry of a change says of the policy that was asked for it.
    pub(super) fn to_entry(&self) -> Value {
        json!({
            "decision": self.verdict.decision,
            "rule": self.verdict.rule,
            "policy": self.policy,
        })
    }

    /// The audit entry of a verdict that changed no approval.
    fn note(&self, action: &Read) -> Note {
        let mut fields = json!({
            "moment": self.moment.as_str(),
            "agent": action.agent,
            "action": action.action,
            "context_hash": action.context_hash,
            "plan_hash": action.plan_hash,
            "guardrail": self.to_entry(),
        });
        if let (Some(id), Value::Object(fields)) = (self.moment.approval(), &mut fields)
            // A denied request made no approval.
            && matches!(self.moment, Moment::Claim(_))
        {
            fields.insert("approval_id".to_owned(), json!(id.to_string()));
        }
        Note {
            event: "guardrails_evaluated",
            // Not about an approval: what is read to prove one must not grow by who is denied.
            about: About::named("agent", &action.agent),
            facts: Vec::new(),
            fields,
            answer: None,
        }
    }
}

impl Moment {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Evaluate => "evaluate",
            Self::Request(_) => "request",
            Self::Claim(_) => "claim",
        }
    }

    fn place(self) -> usize {
        match self {
            Self::Evaluate => 0,
            Self::Request(_) => 1,
            Self::Claim(_) => 2,
        }
    }

    pub(super) fn approval(self) -> Option<ApprovalId> {
        match self {
            Self::Evaluate => None,
            Self::Request(id) => Some(id),
            Self::Claim(id) => id,
        }
    }
}

fn broken(digest: &str, why: &str) -> Refusal {
    Refusal::new(
        Code::POLICY_TRAPPED,
        format!("the active policy {digest} cannot be asked, so nothing is allowed: {why}"),
    )
}
