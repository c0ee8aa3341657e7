//! Facts of an attempt, and rules whose condition fails.

use serde_json::{Value, json};
use signoff_policy::authoring;
use signoff_policy::policy::Policy;

use super::support::{FACTS, attempt, errors, load};

fn rule(when: &str) -> String {
    format!("default = 'deny'\n[[rule]]\nid = 'r'\nverdict = 'allow'\nwhen = '''{when}'''\n")
}

fn outcome(when: &str, facts: &str) -> String {
    let mut attempted = attempt("{}", None);
    attempted.facts = facts;
    let trace = load(&rule(when)).trace(&attempted);
    trace[0].error.clone().unwrap_or_else(|| trace[0].when.to_owned())
}

fn read(policy: &Policy) -> Vec<&'static str> {
    policy.facts().collect()
}

#[test]
fn conditions_read_facts_by_name() {
    let claim = r#"{"claimed_by": "agent:other", "requester": "ci@company.com"}"#;
    for (when, facts, expected) in [
        ("facts.requester == 'agent:inbox'", FACTS, "true"),
        ("facts.requester == 'agent:inbox'", claim, "false"),
        ("facts['requester'].endsWith('@company.com')", claim, "true"),
        ("facts.claimed_by == facts.requester", claim, "false"),
        ("facts.claimed_by == facts.requester", FACTS, "`facts.claimed_by` is missing"),
        ("!has(facts.claimed_by) || facts.claimed_by == facts.requester", FACTS, "true"),
        ("has(facts.claimed_by)", claim, "true"),
        ("facts.?claimed_by.orValue('none') == 'none'", FACTS, "true"),
        ("facts[?'claimed_by'].hasValue()", claim, "true"),
        ("facts.requester == 'agent:' + agent", FACTS, "true"),
        ("['x'].exists(facts, facts == 'x')", FACTS, "true"),
        ("facts.requester == 'x'", "{}", "`facts.requester` is missing"),
        ("facts.requester == 'x'", "[]", "`facts.requester` is missing"),
        ("facts.requester == 'x'", "", "`facts.requester` is missing"),
    ] {
        assert_eq!(outcome(when, facts), expected, "{when} {facts}");
    }
}

#[test]
fn context_members_are_not_facts() {
    let policy = load(&rule("facts.requester == 'admin'"));
    let mut attempted = attempt(r#"{"facts": {"requester": "admin"}, "requester": "admin"}"#, None);
    attempted.plan = Some(r#"{"facts": {"requester": "admin"}}"#);
    assert_eq!(policy.evaluate(&attempted).decision.as_str(), "deny");
    attempted.facts = r#"{"requester": "admin"}"#;
    assert_eq!(policy.evaluate(&attempted).decision.as_str(), "allow");
}

#[test]
fn an_unknown_fact_is_refused_with_the_known_names() {
    let unknown = "there is no fact `role`, expected claimed_by or requester";
    let whole = "a fact is read by its name, as `facts.requester`";
    for (when, column, message) in [
        ("facts.role == 'x'", 14, unknown),
        ("true && facts.role == 'x'", 22, unknown),
        ("facts['role'] == 'x'", 14, unknown),
        ("has(facts.role)", 12, unknown),
        ("facts.?role.orValue('') == ''", 14, unknown),
        ("facts[?'role'].hasValue()", 14, unknown),
        ("facts == {}", 9, whole),
        ("'requester' in facts", 24, whole),
        ("facts.exists(name, name == 'x')", 9, whole),
        ("facts[agent] == 'x'", 9, whole),
        ("size(facts) == 1", 14, whole),
        (
            "facts.requester == 1",
            25,
            "`==` does not take a value of type string and one of type int",
        ),
        ("facts.requester.name == 1", 24, "has no member `name`"),
    ] {
        let quoted = Value::from(when).to_string();
        let found = errors(&format!("[[rule]]\nid = 'r'\nverdict = 'deny'\nwhen = {quoted}\n"));
        let [only] = found.as_slice() else { panic!("{when}: {found:?}") };
        assert!(only.message.contains(message), "{when}: {only:?}");
        assert_eq!((only.line, only.column), (6, column), "{when}");
    }
    for (reason, message) in [
        ("{facts.role}", unknown),
        ("{facts}", "`{facts}` is not a placeholder"),
        ("{facts.requester.name}", "is not a placeholder"),
        ("{facts[0]}", "is not a placeholder"),
    ] {
        let found =
            errors(&format!("[[rule]]\nid = 'r'\nverdict = 'deny'\nreason = 'by {reason}'\n"));
        let [only] = found.as_slice() else { panic!("{reason}: {found:?}") };
        assert!(only.message.contains(message), "{reason}: {only:?}");
        assert_eq!((only.line, only.column), (6, 14), "{reason}");
    }
}

#[test]
fn a_policy_lists_the_facts_that_it_reads() {
    for (rules, expected) in [
        (rule("context.requester == 'x'"), &[][..]),
        (rule("facts.requester == 'x'"), &["requester"]),
        (rule("has(facts.claimed_by) && facts['requester'] == 'x'"), &["claimed_by", "requester"]),
        (rule("facts.?claimed_by.hasValue()"), &["claimed_by"]),
        (rule("['x'].exists(facts, facts == 'x')"), &[]),
        (
            "[[rule]]\nid = 'r'\nverdict = 'deny'\nreason = '{facts.requester}'\n".to_owned(),
            &["requester"],
        ),
    ] {
        let policy = load(&rules);
        assert_eq!(read(&policy), expected, "{rules}");
        let described: Value = serde_json::from_str(&policy.describe()).unwrap();
        assert_eq!(described["facts"], json!(expected), "{rules}");
    }
}

#[test]
fn reasons_show_facts() {
    let rules =
        "[[rule]]\nid = 'r'\nverdict = 'deny'\nreason = '{facts.requester}, {facts.claimed_by}'\n";
    let verdict = load(rules).evaluate(&attempt("{}", None));
    assert_eq!(verdict.reason.as_deref(), Some("agent:inbox, ?"));
}

#[test]
fn the_default_requester_of_a_test_is_its_agent() {
    let rules = "format = 1\nname = 't'\n[[rule]]\nid = 'r'\nverdict = 'deny'\nreason = '{facts.requester} {facts.claimed_by}'\n";
    let _loaded = authoring::call(&json!({"op": "load", "rules": rules}).to_string());
    for (more, expected) in [
        ("", "agent:a_b ?"),
        ("facts = {}", "agent:a_b ?"),
        ("facts = { requester = 'ci@company.com' }", "ci@company.com ?"),
        ("facts = { claimed_by = 'ci' }", "agent:a_b ci"),
        ("[test.facts]\nclaimed_by = 'a\"b\\c'", "agent:a_b a\"b\\c"),
    ] {
        let case =
            format!("[[test]]\nname = 'x'\nagent = 'A_b'\naction = 'b'\nexpect = 'deny'\n{more}\n");
        let report = authoring::call(&json!({"op": "test", "cases": case}).to_string());
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["ok"]["cases"][0]["got"]["reason"], expected, "{more}: {report}");
    }
}

#[test]
fn facts_are_bounded() {
    let _loaded =
        authoring::call(&json!({"op": "load", "rules": "format = 1\nname = 't'\n"}).to_string());
    for (bytes, fits) in [(16 << 10, true), ((16 << 10) + 1, false)] {
        let facts = format!("{{\"requester\": \"{}\"}}", "x".repeat(bytes - 17));
        assert_eq!(facts.len(), bytes);
        let mut attempted = attempt("{}", None);
        attempted.facts = &facts;
        assert_eq!(authoring::verdict(&attempted).is_some(), fits, "{bytes}");
    }
}

#[test]
fn a_verdict_names_the_first_16_rules_whose_condition_failed() {
    let rule = |id: &str, verdict: &str, when: &str| {
        format!("[[rule]]\nid = '{id}'\nverdict = '{verdict}'\nwhen = '{when}'\n")
    };
    let absent = "context.absent == 1";
    let rules = [
        rule("denies", "deny", "agent == \"inbox\""),
        rule("a", "allow", absent),
        rule("r", "require_approval", absent),
        rule("d", "deny", absent),
        rule("false", "deny", "agent == \"x\""),
        rule("other", "deny", absent) + "action = 'other'\n",
    ];
    let verdict = load(&rules.concat()).evaluate(&attempt("{}", None));
    assert_eq!(verdict.failed, ["a", "r", "d"]);
    let many: String = (0..40).map(|at| rule(&format!("r{at}"), "allow", absent)).collect();
    let verdict = load(&many).evaluate(&attempt("{}", None));
    assert_eq!(verdict.failed.len(), 16);
    assert_eq!(verdict.failed[15], "r15");
    assert!(load(&many).evaluate(&attempt(r#"{"absent": 1}"#, None)).failed.is_empty());
}
