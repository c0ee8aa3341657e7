//! A verdict with its policy and its moment, for the audit log; counts of verdicts.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Guardrails, Read};
use crate::id::ApprovalId;
use crate::ledger::{EvaluatedFields, Event, Guardrail, Note};
use crate::policy::{Decision, Verdict};

/// When a policy is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// An agent evaluates an action before it requests anything.
    Evaluate,
    /// An approval is requested.
    Request(ApprovalId),
    /// An approval is claimed; only `deny` has an effect.
    Claim(ApprovalId),
}

/// A verdict, with its policy and moment.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    pub(crate) verdict: Verdict,
    /// The policy's digest; `None` if the slot is empty.
    pub(crate) policy: Option<String>,
    pub(crate) moment: Moment,
}

/// Verdicts since the start, by moment and decision.
#[derive(Default)]
pub(crate) struct Verdicts([[AtomicU64; 3]; 3]);

impl Verdicts {
    pub(crate) fn count(&self, judged: &Judged) {
        let place = self.0.get(judged.moment.place());
        let place = place.and_then(|of| of.get(judged.verdict.decision as usize));
        if let Some(count) = place {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Guardrails {
    /// Returns the verdicts since the start: moment, decision and count.
    pub fn verdicts(&self) -> Vec<(&'static str, Decision, u64)> {
        let decisions = [Decision::Allow, Decision::RequireApproval, Decision::Deny];
        let moments = ["evaluate", "request", "claim"].into_iter().zip(&self.verdicts.0);
        let counts = moments.flat_map(|(moment, counts)| {
            decisions.into_iter().zip(counts).map(move |(decision, n)| (moment, decision, n))
        });
        counts.map(|(m, d, n)| (m, d, n.load(Ordering::Relaxed))).collect()
    }
}

impl Judged {
    /// The verdict of an empty slot: approval is required.
    pub(crate) fn without_policy(moment: Moment) -> Self {
        Self { verdict: Verdict::of_no_policy(), policy: None, moment }
    }

    /// Returns the verdict for the audit entry of a change.
    pub(crate) fn guardrail(&self) -> Guardrail<'_> {
        Guardrail {
            decision: self.verdict.decision,
            rule: self.verdict.rule.as_deref(),
            policy: self.policy.as_deref(),
            failed: &self.verdict.failed,
        }
    }

    /// Returns the note of a verdict that changed no approval.
    pub(super) fn note<'a>(&'a self, action: &'a Read) -> Note<'a> {
        let event = Event::GuardrailsEvaluated(EvaluatedFields {
            moment: self.moment.as_str(),
            agent: &action.agent,
            action: &action.action,
            context_hash: &action.context_hash,
            plan_hash: action.plan_hash.as_deref(),
            // A denied request creates no approval.
            approval_id: match self.moment {
                Moment::Claim(id) => Some(id.to_string()),
                Moment::Evaluate | Moment::Request(_) => None,
            },
        });
        Note::of(event).with_guardrail(self.guardrail())
    }
}

impl Moment {
    pub(crate) fn as_str(self) -> &'static str {
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

    pub(crate) fn approval(self) -> Option<ApprovalId> {
        match self {
            Self::Evaluate => None,
            Self::Request(id) | Self::Claim(id) => Some(id),
        }
    }
}
