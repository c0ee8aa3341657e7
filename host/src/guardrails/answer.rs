//! The answer of an evaluation: the runbook's ExecutionGuardrails.

use serde::Serialize;
use signoff_core::requirement::Requirement;

use super::{Judged, Read};
use crate::code::Code;
use crate::ledger::json_text;
use crate::ledger::rfc3339;
use crate::policy::{Decision, Verdict};

#[derive(Serialize)]
struct EvaluationJson<'a> {
    decision: Decision,
    reason: &'a str,
    requires_approval: bool,
    violation_type: Option<&'a str>,
    message: Option<&'a str>,
    details: Option<Details<'a>>,
    requirement: Option<&'a Requirement>,
    rule: Option<&'a str>,
    policy: Option<&'a str>,
    failed: &'a [String],
    agent: &'a str,
    action: &'a str,
    context_hash: &'a str,
    plan_hash: Option<&'a str>,
    evaluated_at: String,
    verifier: &'a str,
}

#[derive(Serialize)]
struct Details<'a> {
    agent: &'a str,
    action: &'a str,
    reason: &'a str,
}

/// Returns the reason of a decision for which no rule gives one.
fn reason(decision: Decision, policy: Option<&str>, has_rule: bool, read: &Read) -> String {
    let Read { agent, action, .. } = read;
    let does = match decision {
        Decision::Allow => "allows",
        Decision::Deny => "denies",
        Decision::RequireApproval => "requires approval for",
    };
    match policy {
        Some(_) if has_rule => format!("a rule of the policy {does} `{action}` of `{agent}`"),
        Some(_) => format!(
            "no rule of the policy matches `{action}` of `{agent}`, and its default {does} it"
        ),
        None => "no policy is active, and without one every action requires approval".to_owned(),
    }
}

/// Returns the runbook's ExecutionGuardrails, JSON: decision, reason, whether an approval is
/// required, its requirement, and the violation that a caller raises if it proceeds without one.
/// `verifier` is the digest of the module that read the action.
pub(crate) fn answer(
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
    let Read { agent, action, context_hash, plan_hash } = read;
    let reason = said
        .clone()
        .unwrap_or_else(|| reason(*decision, judged.policy.as_deref(), rule.is_some(), read));
    let reason = reason.as_str();
    json_text(&EvaluationJson {
        decision: *decision,
        reason,
        requires_approval: *decision == Decision::RequireApproval,
        violation_type,
        message,
        details: violation_type.map(|_| Details { agent, action, reason }),
        requirement,
        rule: rule.as_deref(),
        policy: judged.policy.as_deref(),
        failed,
        agent,
        action,
        context_hash,
        plan_hash: plan_hash.as_deref(),
        evaluated_at: rfc3339(now),
        verifier,
    })
}
