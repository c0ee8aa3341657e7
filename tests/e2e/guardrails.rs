//! The policy's verdict on an action: when it is evaluated, requested and claimed.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    APPROVER, Client, LITTLE_FUEL, MUCH_FUEL, activated, ballot, flat, home_and_server,
    home_with_signer, id, loops_for, pushed, sign_with, signed, text, until,
};

const RULES: &str = r#"
format = 1
name = "mail"
default = "allow"

[[rule]]
id = "risky-mail"
agent = "inbox_*"
action = "quarantine"
when = "context.risk_score >= 70"
verdict = "require_approval"
ttl = "urgent"
reason = "risk {context.risk_score} of {context.email_id}"

[[rule]]
id = "no-purge"
action = "purge"
verdict = "deny"
reason = "nobody purges {context.mailbox}"

[[rule]]
id = "money"
action = "transfer"
verdict = "require_approval"
threshold = 2
groups = { finance = 1 }
ttl = "24h"
reason = "money leaves the house"
"#;

/// Returns `RULES` with one more rule, under another name.
fn stricter() -> String {
    let rule = "\n[[rule]]\nid = \"freeze\"\naction = \"quarantine\"\nverdict = \"deny\"\nreason = \"a freeze\"\n";
    RULES.to_owned() + rule
}

fn evaluate(client: &Client, action: &str, context: Value) -> Value {
    let body = json!({ "agent": "inbox_triage", "action": action, "context": context });
    client.post("/api/v1/guardrails/evaluate", &body).ok()
}

fn mail(risk: u32) -> Value {
    json!({ "risk_score": risk, "email_id": "email_123" })
}

fn request(action: &str, context: Value, requirement: Value, ttl: Option<u32>) -> Value {
    json!({
        "agent": "inbox_triage", "action": action, "context": context,
        "requirement": requirement, "expires_in_seconds": ttl,
    })
}

fn entries(client: &Client, event: &str) -> Vec<Value> {
    let all = client.get("/api/v1/audit?limit=200").ok();
    let all = all["items"].as_array().unwrap().iter();
    let recorded = all.map(|item| flat(&item["entry"]));
    recorded.filter(|entry| entry["event"] == event).collect()
}

#[test]
fn without_a_policy_every_action_requires_approval() {
    let (_home, server) = home_and_server();
    let verdict = evaluate(&server, "quarantine", mail(1));
    assert_eq!(verdict["decision"], "require_approval");
    assert_eq!(verdict["requires_approval"], true);
    assert_eq!(verdict["violation_type"], "approval_required");
    assert_eq!(verdict["message"], "Action requires human approval");
    assert_eq!(verdict["details"]["agent"], "inbox_triage");
    assert_eq!(verdict["details"]["action"], "quarantine");
    assert_eq!(verdict["details"]["reason"], verdict["reason"]);
    assert_eq!((&verdict["policy"], &verdict["rule"]), (&Value::Null, &Value::Null));
    assert_eq!(verdict["requirement"]["threshold"], 1);
}

#[test]
fn a_verdict_names_its_rule() {
    let (home, server) = home_with_signer();
    let policy = activated(&home, &server, "mail", 1, RULES);
    let allowed = evaluate(&server, "quarantine", mail(69));
    assert_eq!(allowed["decision"], "allow");
    assert_eq!(allowed["requires_approval"], false);
    for absent in ["violation_type", "message", "details", "requirement", "rule"] {
        assert_eq!(allowed[absent], Value::Null, "{absent}");
    }
    assert_eq!(allowed["policy"], policy);
    let bound = evaluate(&server, "quarantine", mail(85));
    assert_eq!(bound["decision"], "require_approval");
    assert_eq!(bound["rule"], "risky-mail");
    assert_eq!(bound["reason"], "risk 85 of email_123");
    let urgent = json!({ "ttl_seconds": 1800, "threshold": 1, "groups": {} });
    assert_eq!(bound["requirement"], urgent);
    let denied = evaluate(&server, "purge", json!({ "mailbox": "all" }));
    assert_eq!((&denied["decision"], &denied["rule"]), (&json!("deny"), &json!("no-purge")));
    assert_eq!(denied["violation_type"], "policy_denied");
    assert_eq!(denied["reason"], "nobody purges all");
    // An agent gains nothing by leaving out a member that a rule reads.
    let bent = evaluate(&server, "quarantine", json!({}));
    assert_eq!(
        (&bent["decision"], &bent["rule"]),
        (&json!("require_approval"), &json!("risky-mail"))
    );
    // Each verdict is in the audit log, with its policy and never with the context.
    let recorded = entries(&server, "guardrails_evaluated");
    assert_eq!(recorded.len(), 4);
    for (entry, verdict) in recorded.iter().zip([&allowed, &bound, &denied, &bent]) {
        assert_eq!(entry["moment"], "evaluate");
        assert_eq!(entry["guardrail"]["decision"], verdict["decision"]);
        assert_eq!(entry["guardrail"]["policy"], policy);
        assert_eq!(entry["guardrail"]["rule"], verdict["rule"]);
        assert_eq!(entry["context_hash"], verdict["context_hash"]);
        assert!(!entry.to_string().contains("email_123"), "{entry}");
    }
}

#[test]
fn a_malformed_action_is_refused_before_the_policy_is_evaluated() {
    let (home, server) = home_with_signer();
    activated(&home, &server, "mail", 1, RULES);
    let all = |client: &Client, body: &str, code: &str| {
        client.post_text("/api/v1/guardrails/evaluate", body).refused(code);
        // A request is checked in the same way.
        client.post_text("/api/v1/approvals", body).refused(code);
    };
    all(&server, r#"{"agent":"","action":"purge","context":{}}"#, "request-invalid");
    all(&server, r#"{"agent":"a b","action":"purge","context":{}}"#, "request-invalid");
    all(&server, r#"{"agent":"a","action":"purge","context":{"x":1,"x":2}}"#, "context-invalid");
    all(&server, r#"{"agent":"a","action":"purge","context":[]}"#, "context-invalid");
    all(&server, r#"{"agent":"a","action":"purge","context":{},"plan":1}"#, "context-invalid");
    all(&server, r#"{"agent":"a","action":"purge"}"#, "request-invalid");
    all(&server, r#"{"agent":"a","action":"purge","context":{},"now":1}"#, "request-invalid");
    let deep = format!("{}1{}", "{\"a\":".repeat(70), "}".repeat(70));
    let deep = format!(r#"{{"agent":"a","action":"purge","context":{deep}}}"#);
    all(&server, &deep, "context-invalid");
    assert_eq!(entries(&server, "guardrails_evaluated").len(), 0);
}

#[test]
fn a_denied_request_creates_no_approval_and_is_audited() {
    let (home, server) = home_with_signer();
    let policy = activated(&home, &server, "mail", 1, RULES);
    let body = request("purge", json!({ "mailbox": "all" }), json!({}), None);
    let refused = server.post_once("/api/v1/approvals", "one", &body).refused("policy-denied");
    let detail = text(&refused, "detail");
    assert!(detail.contains("`no-purge`") && detail.contains("nobody purges all"), "{detail}");
    assert_eq!(server.get("/api/v1/approvals").ok()["items"], json!([]));
    let recorded = entries(&server, "guardrails_evaluated");
    assert_eq!(recorded.len(), 1);
    assert_eq!(recorded[0]["moment"], "request");
    assert_eq!(recorded[0]["guardrail"]["policy"], policy);
    // A refusal is not kept for the idempotency key: once the policy allows it, the request succeeds.
    activated(&home, &server, "mail", 2, "format = 1\nname = \"mail\"\ndefault = \"allow\"\n");
    server.post_once("/api/v1/approvals", "one", &body).json(201);
}

#[test]
fn the_requesters_reason_and_the_policys_stand_beside_each_other() {
    let (home, server) = home_with_signer();
    let rules = "format = 1\nname = \"f\"\n[[rule]]\nid = \"late\"\nverdict = \"require_approval\"\nwhen = \"context.hour > 22\"\n[[rule]]\nid = \"all\"\nverdict = \"require_approval\"\nreason = \"{agent} asks\"\n";
    activated(&home, &server, "f", 1, rules);
    let mut body = request("pay", json!({ "amount": 5 }), json!({}), None);
    let unsaid = server.post("/api/v1/approvals", &body).json(201);
    body["reason"] = json!("pay the invoice 4711");
    let said = server.post("/api/v1/approvals", &body).json(201);
    for (approval, reason) in [(&unsaid, Value::Null), (&said, json!("pay the invoice 4711"))] {
        let shown = server.get(&format!("/api/v1/approvals/{}", id(approval))).ok();
        assert_eq!(shown["reason"], reason);
        assert_eq!(shown["policy_reason"], "inbox_triage asks");
        assert_eq!(shown["failed"], json!(["late"]));
    }
    let shown = home.run(&["show", id(&said), "--server", &server.url]).ok();
    let line = |name: &str| {
        let line = shown.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("{name}: {shown}")).to_owned()
    };
    assert!(line("reason").ends_with("pay the invoice 4711"));
    assert!(line("policy says").ends_with("inbox_triage asks"));
    assert!(line("failed").ends_with("the conditions of late could not be evaluated"));
}

#[test]
fn an_activation_says_which_requirements_nobody_can_meet() {
    let (home, server) = home_with_signer();
    home.bystander("one", &["finance"]);
    let digest = pushed(&home, &server, &signed(&home, "mail", 1, RULES));
    let activate = ["module", "activate", &digest, "--server", &server.url];
    let short = "rule `money` requires 2 approvers, but 1 has a key";
    let activated = home.run(&activate).exits(0);
    assert!(activated.err.contains(short), "{activated:?}");
    let slot = |list: &Value| list["slots"][1]["unmeetable"].clone();
    assert_eq!(slot(&server.get("/api/v1/modules").ok()), json!([short]));
    server.stop();
    let doctor = home.run(&["doctor"]).out;
    assert!(
        doctor.lines().any(|line| line.starts_with("weak") && line.contains(short)),
        "{doctor}"
    );
    let server = home.serve();
    home.bystander("two", &[]);
    until("the keyring is read again", || {
        (slot(&server.get("/api/v1/modules").ok()) == json!([])).then_some(())
    });
    let activate = ["module", "activate", &digest, "--server", &server.url];
    assert!(!home.run(&activate).exits(0).err.contains("requires"));
}

#[test]
fn the_requirement_of_a_policy_is_frozen_and_a_caller_can_only_raise_it() {
    let (home, server) = home_with_signer();
    for (id, group) in [("one", "finance"), ("two", "finance"), ("three", "legal")] {
        home.bystander(id, &[group]);
    }
    let policy = activated(&home, &server, "mail", 1, RULES);
    let transfer = |requirement: Value, ttl: Option<u32>| {
        let body = request("transfer", json!({ "amount": 5 }), requirement, ttl);
        server.post("/api/v1/approvals", &body).json(201)
    };
    let finance = |ttl: u32, threshold: u32| json!({ "ttl_seconds": ttl, "threshold": threshold, "groups": { "finance": 1 } });
    let requested = transfer(json!({}), None);
    assert_eq!(requested["requirement"], finance(86_400, 2));
    assert_eq!((&requested["policy"], &requested["rule"]), (&json!(policy), &json!("money")));
    assert_eq!(requested["policy_reason"], "money leaves the house");
    assert_eq!(
        transfer(json!({ "threshold": 1 }), Some(604_800))["requirement"],
        finance(86_400, 2)
    );
    assert_eq!(transfer(json!({ "threshold": 3 }), Some(60))["requirement"], finance(60, 3));
    let more = transfer(json!({ "groups": { "legal": 1, "finance": 2 } }), None);
    assert_eq!(more["requirement"]["groups"], json!({ "finance": 2, "legal": 1 }));
    // Policy and rule are part of what approvers sign.
    let payload = format!("/api/v1/approvals/{}/payload", id(&requested));
    let query = "?decision=approved&approver=a@b.c&profile=v2&key=k";
    assert_eq!(server.get(&format!("{payload}{query}")).status, 200);
    let again = activated(&home, &server, "mail", 2, &RULES.replace("\"money\"", "\"cash\""));
    assert_ne!(again, policy);
    let other = transfer(json!({}), None);
    assert_eq!(other["rule"], "cash");
    let shown = server.get(&format!("/api/v1/approvals/{}", id(&requested))).ok();
    assert_eq!((&shown["policy"], &shown["rule"]), (&json!(policy), &json!("money")));
    assert_eq!(shown["request_digest"], requested["request_digest"]);
    let recorded = entries(&server, "approval_requested");
    assert_eq!(recorded[0]["guardrail"]["policy"], policy);
    assert_eq!(recorded[0]["guardrail"]["rule"], "money");
    assert_eq!(recorded[0]["guardrail"]["decision"], "require_approval");
}

#[test]
fn a_claim_evaluates_the_policy_again_and_only_deny_counts() {
    let (home, server) = home_with_signer();
    let first = activated(&home, &server, "mail", 1, RULES);
    let approved = || {
        let body = request("quarantine", mail(85), json!({}), None);
        let requested = server.post("/api/v1/approvals", &body).json(201);
        let path = format!("/api/v1/approvals/{}/approve", id(&requested));
        server.post(&path, &ballot(&requested, "approved", APPROVER)).ok()
    };
    let claim = |approval: &Value| {
        let body = json!({ "agent": "inbox_triage", "action": "quarantine", "context": mail(85) });
        server.post(&format!("/api/v1/approvals/{}/execute", id(approval)), &body)
    };
    let [one, two, three] = [approved(), approved(), approved()];
    assert_eq!(claim(&one).ok()["status"], "executed");
    let second = activated(&home, &server, "mail", 2, &stricter());
    let refused = claim(&two).refused("policy-denied");
    assert!(text(&refused, "detail").contains("`freeze`"), "{refused}");
    let shown = server.get(&format!("/api/v1/approvals/{}", id(&two))).ok();
    assert_eq!((&shown["status"], &shown["policy"]), (&json!("approved"), &json!(first)));
    let wrong = json!({ "agent": "inbox_triage", "action": "quarantine", "context": mail(86) });
    let path = format!("/api/v1/approvals/{}/execute", id(&two));
    // The verifier's refusals take precedence.
    server.post(&path, &wrong).refused("context-mismatch");
    let recorded = entries(&server, "guardrails_evaluated");
    assert_eq!(recorded.last().unwrap()["moment"], "claim");
    assert_eq!(recorded.last().unwrap()["approval_id"], two["id"]);
    assert_eq!(recorded.last().unwrap()["guardrail"]["policy"], second);
    // A policy that now requires two approvers does not invalidate an approval by one.
    let two_now = RULES.replace("ttl = \"urgent\"", "ttl = \"urgent\"\nthreshold = 2");
    let third = activated(&home, &server, "mail", 3, &two_now);
    assert_eq!(claim(&three).ok()["status"], "executed");
    let claims = entries(&server, "approval_claimed");
    let by: Vec<&Value> = claims.iter().map(|entry| &entry["guardrail"]["policy"]).collect();
    assert_eq!(by, [&json!(first), &json!(third)]);
}

#[test]
fn a_policy_that_fails_allows_nothing() {
    let (home, server) = home_with_signer();
    let first = activated(&home, &server, "mail", 1, RULES);
    let body = request("quarantine", mail(85), json!({}), None);
    let requested = server.post("/api/v1/approvals", &body).json(201);
    let path = format!("/api/v1/approvals/{}/approve", id(&requested));
    server.post(&path, &ballot(&requested, "approved", APPROVER)).ok();
    // It passes the probe before the activation, and loops for one agent.
    std::fs::write(home.path("loops.wasm"), loops_for("inbox_triage")).unwrap();
    sign_with(&home, "loops.wasm", "mail", 2, &["--fuel", LITTLE_FUEL]);
    let looping = pushed(&home, &server, "loops.wasm");
    server.post(&format!("/api/v1/modules/{looping}/activate"), &json!({})).ok();
    let evaluate = json!({ "agent": "inbox_triage", "action": "x", "context": {} });
    server.post("/api/v1/guardrails/evaluate", &evaluate).refused("policy-trapped");
    server.post("/api/v1/approvals", &body).refused("policy-trapped");
    let claim = json!({ "agent": "inbox_triage", "action": "quarantine", "context": mail(85) });
    let execute = format!("/api/v1/approvals/{}/execute", id(&requested));
    let refused = server.post(&execute, &claim).refused("policy-trapped");
    assert!(text(&refused, "detail").contains("fuel"), "{refused}");
    assert_eq!(server.get("/api/v1/approvals").ok()["items"].as_array().unwrap().len(), 1);
    // After the rollback everything works again.
    let back = json!({ "reason": "it loops", "to": first });
    server.post("/api/v1/modules/policy/rollback", &back).ok();
    assert_eq!(server.post(&execute, &claim).ok()["status"], "executed");
}

#[test]
fn a_policy_that_takes_too_long_allows_nothing() {
    let (home, server) = home_with_signer();
    std::fs::write(home.path("loops.wasm"), loops_for("inbox_triage")).unwrap();
    sign_with(&home, "loops.wasm", "mail", 1, &["--fuel", MUCH_FUEL]);
    let looping = pushed(&home, &server, "loops.wasm");
    server.post(&format!("/api/v1/modules/{looping}/activate"), &json!({})).ok();
    let evaluate = json!({ "agent": "inbox_triage", "action": "x", "context": {} });
    let refused = server.post("/api/v1/guardrails/evaluate", &evaluate).refused("policy-trapped");
    assert!(text(&refused, "detail").contains("time limit"), "{refused}");
}

#[test]
fn idempotent_evaluate_replays_and_audits_once() {
    let (home, server) = home_with_signer();
    activated(&home, &server, "mail", 1, RULES);
    let body = json!({ "agent": "inbox_triage", "action": "quarantine", "context": mail(85) });
    let first = server.post_once("/api/v1/guardrails/evaluate", "k", &body).ok();
    let again = server.post_once("/api/v1/guardrails/evaluate", "k", &body).ok();
    assert_eq!(first, again);
    assert_eq!(entries(&server, "guardrails_evaluated").len(), 1);
    let other = json!({ "agent": "inbox_triage", "action": "quarantine", "context": mail(86) });
    server.post_once("/api/v1/guardrails/evaluate", "k", &other).refused("idempotency-key-reused");
}

#[test]
fn the_command_line_evaluates_and_runs_allowed_actions() {
    let (home, server) = home_with_signer();
    activated(&home, &server, "mail", 1, RULES);
    let evaluate = |action: &str, context: &str| {
        let arguments = ["evaluate", "--agent", "inbox_triage", "--action", action];
        home.run(&[&arguments[..], &["--context", context, "--server", &server.url]].concat())
    };
    assert!(evaluate("quarantine", "{\"risk_score\": 1}").exits(0).out.starts_with("allow"));
    assert!(evaluate("quarantine", "{}").exits(4).out.contains("`risky-mail`"));
    assert!(evaluate("purge", "{}").exits(3).out.starts_with("deny by rule `no-purge`"));
    let run = |action: &str| {
        let arguments = ["run", "--guardrails", "--agent", "inbox_triage", "--action", action];
        let rest =
            ["--server", &server.url, "--timeout", "1", "--", "sh", "-c", "echo ran; exit 7"];
        home.run(&[&arguments[..], &rest].concat())
    };
    let allowed = run("list");
    assert!(allowed.out.contains("ran"), "{allowed:?}");
    assert_eq!(allowed.code, 7);
    let denied = run("purge");
    assert!(!denied.out.contains("ran") && denied.err.contains("policy-denied"), "{denied:?}");
    assert_eq!(denied.code, 125);
    // An action that requires approval waits for it.
    let waits = run("transfer");
    assert!(!waits.out.contains("ran"), "{waits:?}");
    assert_eq!(waits.code, 125);
}

#[test]
fn a_kept_answer_ends_with_the_policy_that_gave_it() {
    let (home, server) = home_with_signer();
    let path = "/api/v1/guardrails/evaluate";
    let body = json!({ "agent": "a", "action": "wipe", "context": {} });
    let evaluate_once = || server.post_once(path, "k", &body);
    let decisions =
        |answer: Value| (text(&answer, "decision").to_owned(), answer["policy"].clone());
    assert_eq!(decisions(evaluate_once().ok()), ("require_approval".to_owned(), Value::Null));
    let allows =
        activated(&home, &server, "p", 1, "format = 1\nname = \"p\"\ndefault = \"allow\"\n");
    assert_eq!(decisions(evaluate_once().ok()), ("allow".to_owned(), json!(allows)));
    assert_eq!(evaluate_once().header("idempotency-replayed"), Some("true"));
    let denies =
        activated(&home, &server, "p", 2, "format = 1\nname = \"p\"\ndefault = \"deny\"\n");
    assert_eq!(decisions(evaluate_once().ok()), ("deny".to_owned(), json!(denies)));
    assert_eq!(evaluate_once().header("idempotency-replayed"), Some("true"));
    // Without a usable policy no kept answer is repeated either.
    home.run(&["key", "revoke", "signer", "--yes"]).ok();
    server.signal(Signal::HUP);
    until("the revocation is read", || (evaluate_once().status == 503).then_some(()));
}
