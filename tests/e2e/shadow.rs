//! A shadow of the active policy: verdicts that it would change are recorded, and it changes nothing.

use serde_json::{Value, json};

use crate::support::{
    Client, Home, LITTLE_FUEL, Server, activated, flat, home_with_signer, id, loops_for, pushed,
    sign_module, sign_with, signed, text, until,
};

const ACTIVE: &str = r#"
format = 1
name = "p"
default = "allow"
[[rule]]
id = "big"
action = "transfer"
when = "context.amount > 100"
verdict = "require_approval"
reason = "a large amount"
"#;

fn candidate() -> String {
    ACTIVE.replace("> 100", "> 10").replace("\"big\"", "\"not-small\"")
}

fn shadowed(home: &Home, server: &Server, rules: &str) -> String {
    let digest = pushed(home, server, &signed(home, "p", 2, rules));
    server.post(&format!("/api/v1/modules/{digest}/shadow"), &json!({})).ok();
    digest
}

fn transfer(client: &Client, amount: u32) -> Value {
    let body = json!({ "agent": "teller", "action": "transfer", "context": { "amount": amount } });
    client.post("/api/v1/guardrails/evaluate", &body).ok()
}

fn flips(client: &Client, least: usize) -> Vec<Value> {
    let flips =
        || client.get("/api/v1/modules/policy/flips").ok()["items"].as_array().unwrap().clone();
    until("the flips are recorded", || (flips().len() >= least).then_some(()));
    flips()
}

fn counted(client: &Client, result: &str) -> u64 {
    let metrics = client.get("/metrics").body;
    let line = format!("signoff_shadow_evaluations_total{{result=\"{result}\"}} ");
    let found = metrics.lines().find_map(|text| text.strip_prefix(&line));
    found.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

#[test]
fn flips_are_counted_and_listed_and_the_active_policy_decides() {
    let (home, server) = home_with_signer();
    let active = activated(&home, &server, "p", 1, ACTIVE);
    let shadow = shadowed(&home, &server, &candidate());
    for amount in [5, 50, 500] {
        assert_eq!(transfer(&server, amount)["policy"], json!(active));
    }
    let body = json!({ "agent": "teller", "action": "transfer", "context": { "amount": 60 } });
    let approval = server.post("/api/v1/approvals", &body).json(201);
    assert_eq!((&approval["policy"], &approval["rule"]), (&json!(active), &Value::Null));
    until("all were compared", || (counted(&server, "compared") == 4).then_some(()));
    assert_eq!((counted(&server, "flips"), counted(&server, "failures")), (2, 0));
    let flips = flips(&server, 2);
    assert_eq!(flips.len(), 2);
    let entry = |n: usize| flat(&flips[n]["entry"]);
    assert_eq!(entry(0)["moment"], "evaluate");
    assert_eq!(entry(0)["active"]["decision"], "allow");
    assert_eq!(entry(0)["active"]["policy"], json!(active));
    assert_eq!(entry(0)["shadow"]["decision"], "require_approval");
    assert_eq!(entry(0)["shadow"]["rule"], "not-small");
    assert_eq!(entry(0)["shadow"]["policy"], json!(shadow));
    assert_eq!(
        (text(&entry(1), "moment"), text(&entry(1), "approval_id")),
        ("request", id(&approval))
    );
    // No decision names the candidate.
    let all = server.get("/api/v1/audit?limit=200").ok();
    for item in all["items"].as_array().unwrap() {
        let entry = item.get("entry").unwrap_or(item);
        assert_ne!(entry["guardrail"]["policy"], json!(shadow), "{entry}");
    }
    // After `unshadow` it is no longer evaluated.
    server.post("/api/v1/modules/policy/unshadow", &json!({})).ok();
    transfer(&server, 50);
    assert_eq!(counted(&server, "compared"), 4);
}

#[test]
fn a_looping_candidate_affects_no_answer() {
    let (home, server) = home_with_signer();
    let active = activated(&home, &server, "p", 1, ACTIVE);
    std::fs::write(home.path("loops.wasm"), loops_for("teller")).unwrap();
    sign_with(&home, "loops.wasm", "p", 2, &["--fuel", LITTLE_FUEL]);
    let shadow = pushed(&home, &server, "loops.wasm");
    server.post(&format!("/api/v1/modules/{shadow}/shadow"), &json!({})).ok();
    for amount in 0..20 {
        let verdict = transfer(&server, amount);
        assert_eq!(
            (text(&verdict, "decision"), text(&verdict, "policy")),
            ("allow", active.as_str())
        );
    }
    let flips = flips(&server, 1);
    let entry = flat(&flips[0]["entry"]);
    assert!(text(&entry["shadow"], "failure").contains("fuel"), "{entry}");
    assert_eq!(entry["shadow"].get("decision"), None);
    until("each failed", || (counted(&server, "failures") == 20).then_some(()));
}

#[test]
fn a_shadow_survives_a_restart_and_ends_when_it_is_promoted() {
    let (home, server) = home_with_signer();
    activated(&home, &server, "p", 1, ACTIVE);
    let shadow = shadowed(&home, &server, &candidate());
    drop(server);
    let server = home.serve();
    transfer(&server, 50);
    flips(&server, 1);
    server.post(&format!("/api/v1/modules/{shadow}/activate"), &json!({})).ok();
    let verdict = transfer(&server, 50);
    assert_eq!((&verdict["policy"], &verdict["rule"]), (&json!(shadow), &json!("not-small")));
    let before = counted(&server, "compared");
    transfer(&server, 50);
    assert_eq!(counted(&server, "compared"), before, "the active policy is not its own shadow");
}

/// Shadows a candidate that loops for the agent `teller`, and queues many comparisons for it.
fn looping(home: &Home, server: &Server) -> String {
    activated(home, server, "p", 1, ACTIVE);
    std::fs::write(home.path("loops.wasm"), loops_for("teller")).unwrap();
    sign_module(home, "loops.wasm", "p", 2);
    let shadow = pushed(home, server, "loops.wasm");
    server.post(&format!("/api/v1/modules/{shadow}/shadow"), &json!({})).ok();
    for amount in 0..80 {
        transfer(server, amount);
    }
    shadow
}

#[test]
fn comparisons_queued_for_a_candidate_end_with_it() {
    let (home, server) = home_with_signer();
    looping(&home, &server);
    let next = pushed(&home, &server, &signed(&home, "p", 3, &candidate()));
    server.post(&format!("/api/v1/modules/{next}/shadow"), &json!({})).ok();
    transfer(&server, 50);
    transfer(&server, 5);
    until("both were compared", || (counted(&server, "compared") == 2).then_some(()));
    assert_eq!((counted(&server, "flips"), counted(&server, "failures")), (1, 0));
    let flips = flips(&server, 1);
    assert_eq!(flips[0]["entry"]["event"]["shadow"]["policy"], json!(next));
}

#[test]
fn a_shutdown_drops_queued_comparisons() {
    let (home, mut server) = home_with_signer();
    let shadow = looping(&home, &server);
    server.terminate();
    assert!(server.ended().success());
    let server = home.serve();
    let flips = server.get(&format!("/api/v1/modules/policy/flips?digest={shadow}&limit=200")).ok();
    // At most one batch was compared; the rest is dropped.
    assert!(flips["items"].as_array().unwrap().len() < 64, "{flips}");
}

#[test]
fn large_contexts_are_dropped_when_the_queue_is_full() {
    let (home, server) = home_with_signer();
    looping(&home, &server);
    let context = json!({ "pad": "x".repeat(1_000_000) });
    let body =
        json!({ "agent": "teller", "action": "transfer", "context": context, "plan": context });
    for _ in 0..40 {
        server.post("/api/v1/guardrails/evaluate", &body).ok();
    }
    until("some were dropped", || (counted(&server, "dropped") > 0).then_some(()));
}
