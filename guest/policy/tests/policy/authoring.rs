//! The authoring interface: JSON in, JSON out.

use serde_json::{Value, json};
use signoff_policy::authoring;

const RULES: &str = r#"
format = 1
name = "mail-guardrails"
default = "require_approval"
[ttl]
weekend = "72h"
[[rule]]
id = "quarantine-high-risk"
agent = "inbox_*"
action = ["quarantine", "delete*"]
when = "context.risk_score >= 80"
verdict = "require_approval"
ttl = "urgent"
threshold = 2
groups = { security = 1 }
reason = "risk {context.risk_score}: mail {context.email_id}"
[[rule]]
id = "never-the-ceo"
action = "delete*"
when = "context.mailbox == 'ceo'"
verdict = "deny"
reason = "not that mailbox"
[[rule]]
id = "reports"
action = "report"
verdict = "allow"
[[test]]
name = "a risky mail waits for a person"
agent = "inbox_triage"
action = "quarantine"
context = { risk_score = 92, email_id = "e1" }
plan = '{"steps": [null]}'
now = 2025-10-17T10:30:00Z
expect = "require_approval"
rule = "quarantine-high-risk"
requirement = { ttl_seconds = 1800, threshold = 2, groups = { security = 1 } }
reason = "risk 92: mail e1"
[[test]]
name = "reports run"
agent = "anyone"
action = "report"
expect = "allow"
[[test]]
name = "this one is wrong"
agent = "anyone"
action = "unknown"
expect = "allow"
"#;

fn call(request: &Value) -> Value {
    serde_json::from_str(&authoring::call(&request.to_string())).unwrap()
}

#[test]
fn requests_before_a_load_are_refused() {
    for request in [
        json!({"op": "describe"}),
        json!({"op": "test"}),
        json!({"op": "evaluate", "attempt": {"agent": "a", "action": "b", "context": "{}", "facts": "{}", "now": 0}}),
    ] {
        assert_eq!(call(&request), json!({"error": {"message": "no rules are loaded"}}));
    }
    let attempt = super::support::attempt("{}", None);
    assert!(authoring::verdict(&attempt).is_none() && authoring::describe().is_none());
}

#[test]
fn rules_are_loaded_described_and_evaluated() {
    let loaded = call(&json!({"op": "load", "rules": RULES}));
    let requirements = json!([{
        "rule": "quarantine-high-risk", "line": 7,
        "requirement": {"ttl_seconds": 1800, "threshold": 2, "groups": {"security": 1}},
    }]);
    assert_eq!(
        loaded,
        json!({"ok": {"name": "mail-guardrails", "rules": 3, "tests": 3, "facts": [],
                      "requirements": requirements, "problems": []}})
    );
    let described = &call(&json!({"op": "describe"}))["ok"];
    assert_eq!(described["requirements"], requirements);
    assert_eq!(described["name"], "mail-guardrails");
    assert_eq!(described["kind"], "rules");
    assert_eq!(described["format"], 1);
    assert_eq!(described["rules_count"], 3);
    assert_eq!(described["default"], "require_approval");
    assert_eq!(described["rules"], RULES);
    let request = json!({"op": "evaluate", "attempt": {
        "agent": "inbox_triage", "action": "delete_mail",
        "context": r#"{"email_id": "e\n1", "mailbox": "ceo"}"#, "plan": null, "facts": "{}", "now": 1_760_697_000,
    }});
    let answer = json!({"ok": {
        "verdict": {"decision": "deny", "rule": "never-the-ceo", "reason": "not that mailbox", "requirement": null,
                    "failed": ["quarantine-high-risk"]},
        "trace": [
            {"rule": "quarantine-high-risk", "verdict": "require_approval", "line": 7, "matched": true,
             "when": "error", "error": "`context.risk_score` is missing"},
            {"rule": "never-the-ceo", "verdict": "deny", "line": 17, "matched": true, "when": "true", "error": null},
        ],
    }});
    assert_eq!(call(&request), answer);
    assert_eq!(call(&request), answer);
}

#[test]
fn a_description_lists_each_demanding_requirement_once() {
    let rules: String = (0..200)
        .map(|at| {
            let demands = match at % 4 {
                0 => String::new(),
                1 => "threshold = 1".to_owned(),
                2 => "threshold = 2".to_owned(),
                _ => format!("groups = {{ g{at} = 1 }}"),
            };
            format!("[[rule]]\nid = 'r{at}'\nverdict = 'require_approval'\n{demands}\n")
        })
        .collect();
    let all: String = (0..70)
        .map(|at| format!("[[rule]]\nid = 'm{at}'\nverdict = 'require_approval'\ngroups = {{ more{at} = 1 }}\n"))
        .collect();
    let listed = |rules: &str| -> Vec<String> {
        let rules = format!("format = 1\nname = 'r'\n{rules}");
        let loaded = call(&json!({"op": "load", "rules": rules}));
        let listed = loaded["ok"]["requirements"].as_array().unwrap().clone();
        listed.iter().map(|one| one["rule"].as_str().unwrap().to_owned()).collect()
    };
    let first = listed(&rules);
    assert_eq!((first.len(), first[0].as_str(), first[1].as_str()), (51, "r2", "r3"));
    assert_eq!(listed(&(rules + &all)).len(), 64);
}

#[test]
fn tests_report_the_rules_that_they_reach() {
    call(&json!({"op": "load", "rules": RULES}));
    let report = &call(&json!({"op": "test"}))["ok"];
    let passed: Vec<bool> = report["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["passed"].as_bool().unwrap())
        .collect();
    assert_eq!(passed, [true, true, false]);
    assert_eq!(report["fired"], json!(["quarantine-high-risk", "reports"]));
    assert_eq!(report["unfired"], json!(["never-the-ceo"]));
    assert_eq!(report["default_fired"], true);
    let wrong = &report["cases"][2];
    assert_eq!(wrong["line"], 43);
    let only = |decision: &str| json!({"decision": decision, "rule": null, "requirement": null, "reason": null});
    assert_eq!(wrong["expected"], only("allow"));
    assert_eq!(wrong["got"], only("require_approval"));
    assert_eq!(report["cases"][0]["why"][0]["when"], "true");
    let more = "[[test]]\nname = 'ceo'\nagent = 'a'\naction = 'delete'\ncontext = { mailbox = 'ceo' }\nexpect = 'deny'\nrule = 'never-the-ceo'\n";
    let report = &call(&json!({"op": "test", "cases": more}))["ok"];
    assert_eq!(report["cases"][3]["passed"], true);
    assert_eq!(report["unfired"], json!([]));
    let refused = call(&json!({"op": "test", "cases": "[[rule]]"}));
    assert_eq!(refused["error"]["problems"][0]["severity"], "error");
}

#[test]
fn a_test_compares_everything_that_it_expects() {
    let base = "[[test]]\nname = 'x'\nagent = 'inbox_a'\naction = 'quarantine'\ncontext = { risk_score = 92, email_id = 'e' }\nexpect = 'require_approval'\n";
    call(&json!({"op": "load", "rules": RULES}));
    for (more, passed) in [
        ("", true),
        ("rule = 'quarantine-high-risk'", true),
        ("rule = 'reports'", false),
        ("reason = 'risk 92: mail e'", true),
        ("reason = 'risk 92'", false),
        ("requirement = { ttl_seconds = 1800, threshold = 2, groups = { security = 1 } }", true),
        ("requirement = { ttl_seconds = 1800, threshold = 2 }", true),
        ("requirement = { threshold = 2 }", true),
        ("requirement = { ttl_seconds = 1800 }", true),
        ("requirement = { groups = { security = 1 } }", true),
        ("requirement = { ttl_seconds = 1799 }", false),
        ("requirement = { threshold = 3 }", false),
        ("requirement = { groups = { security = 2 } }", false),
        ("requirement = { groups = { security = 1, sre = 1 } }", false),
        ("requirement = { groups = { sre = 1 } }", false),
        ("requirement = { ttl_seconds = 1800, threshold = 1, groups = { security = 1 } }", false),
        ("requirement = {}", false),
    ] {
        let report = &call(&json!({"op": "test", "cases": format!("{base}{more}\n")}))["ok"];
        assert_eq!(report["cases"][3]["passed"], passed, "{more}");
    }
}

#[test]
fn an_empty_requirement_is_met_by_the_default() {
    call(&json!({"op": "load", "rules": RULES}));
    for (action, expect, requirement, passed) in [
        ("other", "require_approval", "{}", true),
        ("other", "require_approval", "{ threshold = 1 }", false),
        ("report", "allow", "{}", false),
    ] {
        let case = format!(
            "[[test]]\nname = 'x'\nagent = 'a'\naction = '{action}'\nexpect = '{expect}'\nrequirement = {requirement}\n"
        );
        let report = &call(&json!({"op": "test", "cases": case}))["ok"];
        assert_eq!(report["cases"][3]["passed"], passed, "{action} {requirement}");
    }
}

#[test]
fn a_rule_whose_condition_fails_is_not_covered() {
    let rules = "format = 1\nname = 'c'\n[[rule]]\nid = 'r'\nverdict = 'deny'\nreason = 'x'\nwhen = 'context.amuont > 5'\n[[test]]\nname = 't'\nagent = 'a'\naction = 'b'\ncontext = { amount = 6 }\nexpect = 'deny'\n";
    call(&json!({"op": "load", "rules": rules}));
    let report = &call(&json!({"op": "test"}))["ok"];
    assert_eq!((&report["cases"][0]["passed"], &report["fired"]), (&json!(true), &json!([])));
    let case = "[[test]]\nname = 'u'\nagent = 'a'\naction = 'b'\ncontext = { amuont = 6 }\nexpect = 'deny'\n";
    assert_eq!(call(&json!({"op": "test", "cases": case}))["ok"]["fired"], json!(["r"]));
}

#[test]
fn a_failed_load_keeps_the_previous_rules() {
    call(&json!({"op": "load", "rules": RULES}));
    let refused = call(&json!({"op": "load", "rules": "format = 2"}));
    assert!(refused["error"]["problems"].as_array().unwrap().len() >= 2);
    assert_eq!(call(&json!({"op": "describe"}))["ok"]["name"], "mail-guardrails");
}

#[test]
fn other_requests_are_refused() {
    call(&json!({"op": "load", "rules": RULES}));
    let attempt = |agent: &str, context: &str| json!({"op": "evaluate", "attempt": {"agent": agent, "action": "b", "context": context, "facts": "{}", "now": 0}});
    let long = "x".repeat((1 << 20) + 1);
    for request in [
        "".to_owned(),
        "{".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        r#"{"op":"x"}"#.to_owned(),
        r#"{"op":"describe","x":1}"#.to_owned(),
        r#"{"op":"load"}"#.to_owned(),
        r#"{"op":"load","rules":1}"#.to_owned(),
        r#"{"op":"load","rules":"","rules":""}"#.to_owned(),
        "[".repeat(100_000),
        attempt("", "{}").to_string(),
        attempt("a b", "{}").to_string(),
        attempt("a", &long).to_string(),
    ] {
        let answer: Value = serde_json::from_str(&authoring::call(&request)).unwrap();
        assert!(answer["error"]["message"].is_string(), "{answer}");
    }
}
