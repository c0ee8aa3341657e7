//! What an evaluation answers: the runbook's ExecutionGuardrails.

use serde_json::json;
use signoff_core::requirement::Requirement;

use super::super::note::rfc3339;
use super::{Judged, Read};
use crate::code::Code;
use crate::engine::{Decision, Verdict};

/// Why an action may go ahead, must not, or waits for a person, in the words of no rule.
fn reason(decision: Decision, policy: Option<&str>) -> &'static str {
    match (decision, policy) {
        (Decision::Allow, _) => "the policy allows it",
        (Decision::Deny, _) => "the policy denies it",
        (Decision::RequireApproval, Some(_)) => "the policy requires approval",
        (Decision::RequireApproval, None) => {
            "no policy is active, and without one every action requires approval"
        }
    }
}

/// The runbook's ExecutionGuardrails, JSON: decision, reason, whether an approval is needed and what it
/// takes, and what a caller raises who goes ahead without one. `verifier` is the digest of the module
/// that read the action.
pub(super) fn answer(
    judged: &Judged,
    read: &Read,
    requirement: Option<&Requirement>,
    verifier: &str,
    now: u64,
) -> String {
    let Verdict { decision, rule, reason: said, failed, .. } = &judged.verdict;
    let (violation_type, message) = match decision {
        Decision::Allow => (None, None),
        Decision::RequireApproval => {
            (Some("approval_required"), Some("Action requires human approval"))
        }
        Decision::Deny => (Some("policy_denied"), Some(Code::POLICY_DENIED.title)),
    };
    let reason = said.as_deref().unwrap_or_else(|| reason(*decision, judged.policy.as_deref()));
    let details = violation_type
        .map(|_| json!({ "agent": read.agent, "action": read.action, "reason": reason }));
    json!({
        "decision": decision,
        "reason": reason,
        "requires_approval": *decision == Decision::RequireApproval,
        "violation_type": violation_type,
        "message": message,
        "details": details,
        "requirement": requirement,
        "rule": rule,
        "policy": judged.policy,
        "failed": failed,
        "agent": read.agent,
        "action": read.action,
        "context_hash": read.context_hash,
        "plan_hash": read.plan_hash,
        "evaluated_at": rfc3339(now),
        "verifier": verifier,
    })
    .to_string()
}
