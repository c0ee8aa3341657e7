//! A verdict with whose it is and when it was asked for: what the audit keeps of it, and how often it came.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::super::Service;
use super::super::commit::json_text;
use super::super::note::Note;
use super::Read;
use crate::engine::{Decision, Verdict};
use crate::id::ApprovalId;

/// When the policy is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Moment {
    /// Before anything: may this run at all?
    Evaluate,
    /// An approval is requested.
    Request(ApprovalId),
    /// An approval is claimed; only `deny` counts.
    Claim(ApprovalId),
}

/// A verdict, and whose it is.
#[derive(Clone, Debug)]
pub(in super::super) struct Judged {
    pub(in super::super) verdict: Verdict,
    /// The policy's digest; none where the slot is empty.
    pub(in super::super) policy: Option<String>,
    pub(in super::super) moment: Moment,
}

/// What an audit entry says of the policy that was asked.
#[derive(Serialize)]
pub(in super::super) struct Guardrail<'a> {
    decision: Decision,
    rule: Option<&'a str>,
    policy: Option<&'a str>,
    failed: &'a [String],
}

/// Verdicts since the start, by moment and decision.
#[derive(Default)]
pub(in super::super) struct Verdicts([[AtomicU64; 3]; 3]);

impl Verdicts {
    pub(super) fn count(&self, judged: &Judged) {
        let place = self.0.get(judged.moment.place());
        let place = place.and_then(|of| of.get(judged.verdict.decision as usize));
        if let Some(count) = place {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Service {
    /// Verdicts since the start: the moment, the decision, how many.
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
    /// The verdict where the slot is empty: a person must approve.
    pub(super) fn without_policy(moment: Moment) -> Self {
        Self { verdict: Verdict::of_no_policy(), policy: None, moment }
    }

    /// What the audit entry of a change says of the policy that was asked for it.
    pub(in super::super) fn guardrail(&self) -> Guardrail<'_> {
        Guardrail {
            decision: self.verdict.decision,
            rule: self.verdict.rule.as_deref(),
            policy: self.policy.as_deref(),
            failed: &self.verdict.failed,
        }
    }

    /// The audit entry of a verdict that changed no approval.
    pub(super) fn note(&self, action: &Read) -> Note<'_> {
        #[derive(Serialize)]
        struct Fields<'a> {
            moment: &'a str,
            agent: &'a str,
            action: &'a str,
            context_hash: &'a str,
            plan_hash: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            approval_id: Option<String>,
        }
        let fields = Fields {
            moment: self.moment.as_str(),
            agent: &action.agent,
            action: &action.action,
            context_hash: &action.context_hash,
            plan_hash: action.plan_hash.as_deref(),
            // A denied request made no approval.
            approval_id: match self.moment {
                Moment::Claim(id) => Some(id.to_string()),
                Moment::Evaluate | Moment::Request(_) => None,
            },
        };
        Note {
            event: "guardrails_evaluated",
            rows: Vec::new(),
            fields: json_text(&fields),
            guardrail: Some(self.guardrail()),
            answer: None,
        }
    }
}

impl Moment {
    pub(in super::super) fn as_str(self) -> &'static str {
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

    pub(in super::super) fn approval(self) -> Option<ApprovalId> {
        match self {
            Self::Evaluate => None,
            Self::Request(id) | Self::Claim(id) => Some(id),
        }
    }
}
