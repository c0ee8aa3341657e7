//! Decisions that executors made in their own process, with a copy of the active policy: what they
//! need for it, and the record of it.
//!
//! An executor that decides locally is trusted for what it reports, as it is trusted to act on a
//! verdict of the server. The audit log therefore keeps its decisions as reports, in entries of
//! their own, and never as verdicts of this host.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use signoff_core::facts::Facts;
use signoff_core::name::{Digest, Identifier, is_name};
use signoff_core::time::UnixSeconds;

use super::Guardrails;
use crate::caller::Caller;
use crate::code::Code;
use crate::ledger::{Event, Idempotency, Note, Reply, ReportedDecision};
use crate::modules::{Active, ModuleDigest};
use crate::policy::Decision;
use crate::refusal::{Missing, Refusal};

/// Maximum decisions in one report.
pub const REPORTED_MAX: usize = 256;
/// Decisions that one caller may report per second, over time: the log keeps each for good.
const REPORTED_PER_SECOND: u64 = 1_024;
/// Decisions that one caller may report at once, after a time without reports.
const REPORTED_AT_ONCE: u64 = 8 * REPORTED_PER_SECOND;
/// How far the executor's clock may be ahead, in seconds.
const CLOCK_SKEW_MAX: u64 = 300;

/// The active policy, for an executor that evaluates it itself.
#[derive(Clone, Debug)]
pub struct PolicyCopy {
    /// The digest of the active policy and its signed manifest; `None` if none is active.
    pub policy: Option<(String, String)>,
    /// The facts of this caller's attempts; `None` where they depend on the agent, because this host
    /// requires no tokens.
    pub facts: Option<String>,
    /// The deployment.
    pub audience: String,
    /// The time at which the policy was active.
    pub at: String,
}

/// A decision that an executor made.
#[derive(Clone, Debug)]
pub struct LocalDecision {
    /// The executor's own id of it: `[a-z0-9_-]{1,64}`.
    pub id: String,
    /// The agent.
    pub agent: String,
    /// The action.
    pub action: String,
    /// The digest of the context.
    pub context_hash: String,
    /// The digest of the plan.
    pub plan_hash: Option<String>,
    /// The decision.
    pub decision: Decision,
    /// The rule that decided.
    pub rule: Option<String>,
    /// The digest of the policy.
    pub policy: String,
    /// When it was made: RFC 3339, UTC.
    pub decided_at: String,
}

/// How many decisions each subject may still report.
#[derive(Debug, Default)]
pub(super) struct ReportRates(Mutex<HashMap<String, Allowance>>);

#[derive(Debug)]
struct Allowance {
    left: u64,
    at: u64,
}

impl ReportRates {
    /// Takes `count` decisions of a subject's allowance, in any spelling of its name.
    ///
    /// Refusals: `rate-limited`.
    fn take(&self, subject: &str, count: usize, now: u64) -> Result<(), Refusal> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Allowance { left: REPORTED_AT_ONCE, at: now };
        let allowance = all.entry(subject.to_ascii_lowercase()).or_insert_with(fresh);
        let more = now.saturating_sub(allowance.at).saturating_mul(REPORTED_PER_SECOND);
        let left = allowance.left.saturating_add(more).min(REPORTED_AT_ONCE);
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        *allowance = Allowance { left: left.saturating_sub(count), at: now.max(allowance.at) };
        if left >= count {
            return Ok(());
        }
        allowance.left = left;
        Err(Refusal::new(
            Code::RATE_LIMITED,
            format!(
                "a caller reports at most {REPORTED_PER_SECOND} decisions per second; send the rest later"
            ),
        ))
    }
}

impl Guardrails {
    /// Returns the digest of the active policy; `None` if none is active.
    ///
    /// # Errors
    ///
    /// `policy-trapped` if the active policy cannot be evaluated; `store-unavailable`.
    pub async fn active_policy(&self) -> Result<Option<String>, Refusal> {
        Ok(match self.usable_policy_slot().await?.active {
            Active::Policy(policy) => Some(policy.digest().to_owned()),
            Active::Empty | Active::Broken { .. } => None,
        })
    }

    /// Returns what an executor needs to evaluate the active policy itself.
    ///
    /// # Errors
    ///
    /// As [`Self::active_policy`]; `store-unavailable`.
    pub async fn policy_copy(&self, caller: &Caller) -> Result<PolicyCopy, Refusal> {
        let at = self.ledger.now_to_write()?;
        let policy = match self.active_policy().await? {
            Some(digest) => {
                let parsed = ModuleDigest::parse(&digest)
                    .ok_or_else(|| Refusal::internal("malformed digest of the active policy"))?;
                Some((digest, self.modules.envelope(parsed).await?))
            }
            None => None,
        };
        let facts = caller.proven_subject().map(|subject| Facts::of_request(subject).to_text());
        Ok(PolicyCopy {
            policy,
            facts,
            audience: self.ledger.audience().to_owned(),
            at: UnixSeconds::new(at)?.rfc3339(),
        })
    }

    /// Returns the bytes of the active policy.
    ///
    /// # Errors
    ///
    /// As [`Self::active_policy`]; `not-found` for any other module.
    pub async fn policy_bytes(&self, digest: &str) -> Result<Arc<[u8]>, Refusal> {
        let parsed = ModuleDigest::parse(digest);
        let active = self.active_policy().await?;
        match parsed.filter(|_| active.as_deref() == Some(digest)) {
            Some(digest) => self.modules.wasm(digest).await,
            None => Err(Refusal::missing(Missing::Module, "this policy is not active")),
        }
    }

    /// Records decisions that an executor made, in one entry.
    ///
    /// # Errors
    ///
    /// 1. `request-invalid`, `limit-exceeded`: no decisions, or more than 256; a malformed member; a
    ///    duplicate id; a time more than 300 s ahead 2. `forbidden` for an agent that the caller does
    ///    not act for 3. `rate-limited`: more than 8,192 at once, or 1,024 per second 4. the errors of
    ///    every change.
    pub async fn report_local(
        &self,
        caller: &Caller,
        decisions: &[LocalDecision],
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let now = self.ledger.now_to_write()?;
        checked(decisions, now)?;
        for decision in decisions {
            caller.must_act_for(&decision.agent)?;
        }
        if let Some(reply) = self.ledger.kept(idempotency).await? {
            return Ok(reply);
        }
        self.reports.take(caller.subject(), decisions.len(), now)?;
        let reported = decisions.iter().map(|decision| ReportedDecision {
            id: &decision.id,
            agent: &decision.agent,
            action: &decision.action,
            context_hash: &decision.context_hash,
            plan_hash: decision.plan_hash.as_deref(),
            decision: decision.decision,
            rule: decision.rule.as_deref(),
            policy: &decision.policy,
            decided_at: &decision.decided_at,
        });
        let event = Event::GuardrailsReported { decisions: reported.collect() };
        let answer = json!({ "recorded": decisions.len() }).to_string();
        let note = Note::of(event).answering(200, answer);
        self.ledger.note_at(now, caller, note, idempotency).await
    }
}

/// Refusals: as [`Guardrails::report_local`], 1.
fn checked(decisions: &[LocalDecision], now: u64) -> Result<(), Refusal> {
    let invalid = |why: String| Err(Refusal::new(Code::REQUEST_INVALID, why));
    if decisions.is_empty() {
        return invalid("decisions is empty".to_owned());
    }
    if decisions.len() > REPORTED_MAX {
        let detail = format!("{} decisions, the limit is {REPORTED_MAX}", decisions.len());
        return Err(Refusal::new(Code::LIMIT_EXCEEDED, detail));
    }
    let mut ids = BTreeSet::new();
    for decision in decisions {
        if !is_name(&decision.id) {
            return invalid("decisions: id must be `[a-z0-9_-]{1,64}`".to_owned());
        }
        if !ids.insert(&decision.id) {
            return invalid(format!("decisions: `{}` is listed twice", decision.id));
        }
        Identifier::new("agent", decision.agent.as_str())?;
        Identifier::new("action", decision.action.as_str())?;
        Digest::new("context_hash", decision.context_hash.as_str())?;
        if let Some(plan) = &decision.plan_hash {
            Digest::new("plan_hash", plan.as_str())?;
        }
        Digest::new("policy", decision.policy.as_str())?;
        if let Some(rule) = &decision.rule {
            Identifier::new("rule", rule.as_str())?;
        }
        let Some(at) = UnixSeconds::parse(&decision.decided_at) else {
            return invalid("decided_at must be a time like `2026-01-31T12:00:00Z`".to_owned());
        };
        if at.seconds() > now.saturating_add(CLOCK_SKEW_MAX) {
            return invalid(format!(
                "decided_at `{}` is in the future; set the executor's clock",
                decision.decided_at
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// One caller does not fill the log, in any spelling of its name, and keeps no one else out.
    #[test]
    fn a_caller_reports_only_so_many_decisions_per_second() {
        let rates = ReportRates::default();
        let reports = |subject: &str, now: u64| {
            (0..1_000).take_while(|_| rates.take(subject, REPORTED_MAX, now).is_ok()).count()
        };
        assert_eq!(reports("ann@company.com", 100), 32);
        assert_eq!(reports("Ann@Company.com", 100), 0);
        assert_eq!(reports("ben@company.com", 100), 32);
        assert_eq!(reports("ann@company.com", 101), 4);
        // A clock that goes back gives nothing.
        assert_eq!(reports("ann@company.com", 90), 0);
        assert_eq!(reports("ann@company.com", 101), 0);
        assert_eq!(reports("ann@company.com", 10_000), 32);
        let refused = rates.take("ann@company.com", 1, 10_000).unwrap_err();
        assert_eq!(refused.code, Code::RATE_LIMITED);
    }
}
