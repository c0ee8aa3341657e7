//! What an evaluation answers: the runbook's ExecutionGuardrails.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::note::rfc3339;
use super::super::operation::NewApproval;
use super::{Prepared, Read};
use crate::code::Code;
use crate::engine::{Decision, Verdict};
use crate::refusal::Refusal;

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
    pub(super) fn of(new: &NewApproval, view: &str) -> Result<Self, Refusal> {
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
    pub(super) fn answer(&self, now: u64) -> Result<String, Refusal> {
        let Verdict { decision, rule, reason, failed, .. } = &self.judged.verdict;
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
            true => Some(Viewed::of(&self.opened.view)?.requirement),
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
            "failed": failed,
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
