//! The shortest way through the workbench.

use signoff_policy::workbench::call;

#[test]
fn rules_are_loaded_and_answer() {
    let rules = r#"
format = 1
name = "mail"
default = "allow"
[[rule]]
id = "risky"
action = ["quarantine", "delete*"]
when = "context.risk_score >= 80"
verdict = "require_approval"
ttl = "urgent"
"#;
    let answer = call(&serde_json::json!({"op": "load", "rules": rules}).to_string());
    assert!(answer.contains(r#""rules":1"#), "{answer}");
    let ask = |context: &str| {
        let attempt = serde_json::json!({
            "agent": "inbox", "action": "quarantine", "context": context, "plan": null, "now": 0
        });
        let answer = call(&serde_json::json!({"op": "evaluate", "attempt": attempt}).to_string());
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        answer["ok"]["verdict"]["decision"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(ask(r#"{"risk_score": 92}"#), "require_approval");
    assert_eq!(ask(r#"{"risk_score": 12}"#), "allow");
    assert_eq!(ask(r#"{}"#), "require_approval");
}
