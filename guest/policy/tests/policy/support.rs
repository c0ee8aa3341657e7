//! Builders of rules files and attempts.

use signoff_policy::attempt::Attempt;
use signoff_policy::policy::Policy;
use signoff_policy::problem::{Problem, Severity};
use signoff_policy::verdict::Verdict;

/// 2025-10-17T10:30:00Z, a Friday.
pub(crate) const NOW: u64 = 1_760_697_000;

/// The facts from a host that requires no tokens.
pub(crate) const FACTS: &str = r#"{"requester": "agent:inbox"}"#;

pub(crate) fn load(rules: &str) -> Policy {
    let text = format!("format = 1\nname = \"t\"\n{rules}");
    match Policy::load(&text) {
        Ok((policy, _)) => policy,
        Err(problems) => panic!("{text}\n{problems:#?}"),
    }
}

/// Returns the problems of a file given without its first two lines.
pub(crate) fn problems(rules: &str) -> Vec<Problem> {
    let text = format!("format = 1\nname = \"t\"\n{rules}");
    match Policy::load(&text) {
        Ok((_, problems)) | Err(problems) => problems,
    }
}

pub(crate) fn errors(rules: &str) -> Vec<Problem> {
    problems(rules).into_iter().filter(|problem| problem.severity == Severity::Error).collect()
}

pub(crate) fn attempt<'a>(context: &'a str, plan: Option<&'a str>) -> Attempt<'a> {
    Attempt { agent: "inbox", action: "quarantine", context, plan, facts: FACTS, now: NOW }
}

pub(crate) fn evaluate(policy: &Policy, context: &str) -> Verdict {
    policy.evaluate(&attempt(context, None))
}

/// Returns the result of a condition: `true`, `false` or `error`.
pub(crate) fn outcome(when: &str, context: &str) -> String {
    outcome_with_plan(when, context, None)
}

pub(crate) fn outcome_with_plan(when: &str, context: &str, plan: Option<&str>) -> String {
    let policy = load(&format!(
        "default = 'deny'\n[[rule]]\nid = 'r'\nverdict = 'allow'\nwhen = '''{when}'''\n"
    ));
    let trace = policy.trace(&attempt(context, plan));
    let [only] = trace.as_slice() else { panic!("{trace:?}") };
    assert_eq!(only.when == "error", only.error.is_some(), "{only:?}");
    let decision = policy.evaluate(&attempt(context, plan)).decision.as_str();
    assert_eq!(decision, if only.when == "true" { "allow" } else { "deny" }, "{when}");
    only.when.to_owned()
}
