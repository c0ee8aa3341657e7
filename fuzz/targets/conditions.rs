//! A condition of a rule that allows: whatever it is, the answer is a verdict, and a condition that fails
//! allows nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signoff_policy::attempt::Attempt;
use signoff_policy::policy::Policy;

const CONTEXT: &str = r#"{"score": 80, "name": "a", "list": [1, 2.5, "x"], "when": "2025-10-17T10:30:00Z", "big": 123456789012345678901234567890}"#;

fuzz_target!(|condition: &str| {
    if condition.contains("'''") {
        return;
    }
    let rules = format!(
        "format = 1\nname = \"f\"\ndefault = \"deny\"\n[[rule]]\nid = \"r\"\nverdict = \"allow\"\nwhen = '''{condition}'''\n"
    );
    let Ok((policy, _)) = Policy::load(&rules) else { return };
    let facts = r#"{"requester": "agent:inbox"}"#;
    let attempt = Attempt {
        agent: "inbox",
        action: "quarantine",
        context: CONTEXT,
        plan: None,
        facts,
        now: 1_760_697_000,
    };
    let verdict = policy.evaluate(&attempt);
    let trace = policy.trace(&attempt);
    let is_true = trace.iter().any(|rule| rule.when == "true");
    assert_eq!(verdict.decision.as_str() == "allow", is_true, "{trace:?}");
});
