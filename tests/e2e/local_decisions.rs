//! Decisions that an executor makes in its own process: the copy of the active policy, and the
//! report of what was decided with it.

use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use signoff::modules::Envelope;

use crate::support::{Client, activated, flat, home_and_server, home_with_signer, id, text};

const POLICY: &str = "/api/v1/guardrails/policy";
const DECISIONS: &str = "/api/v1/guardrails/decisions";
const ALLOWS: &str = "format = 1\nname = \"copied\"\ndefault = \"allow\"\n";
const DENIES: &str = "format = 1\nname = \"copied\"\ndefault = \"deny\"\n";

fn token(server: &Client, subject: &str, roles: &[&str], agents: Option<&str>) -> Client {
    let body = json!({ "subject": subject, "roles": roles, "agents": agents });
    let made = server.post("/api/v1/tokens", &body).json(201);
    server.with_token(text(&made, "token"))
}

fn decision(id: &str) -> Value {
    json!({
        "id": id, "agent": "deployer", "action": "deploy", "context_hash": "1".repeat(64),
        "decision": "allow", "rule": "small", "policy": "2".repeat(64),
        "decided_at": "2026-01-31T12:00:00Z",
    })
}

fn reported(client: &Client) -> Vec<Value> {
    let all = client.get("/api/v1/audit?limit=200").ok();
    let all = all["items"].as_array().unwrap().iter().map(|item| flat(&item["entry"]));
    all.filter(|entry| entry["event"] == "guardrails_reported").collect()
}

#[test]
fn the_active_policy_is_copied_with_its_manifest_and_the_callers_facts() {
    let (home, server) = home_with_signer();
    let without = server.get(POLICY).ok();
    // Without tokens the requester is the agent, which only the caller knows.
    assert_eq!((&without["policy"], &without["facts"]), (&Value::Null, &Value::Null));
    assert_eq!(without["audience"], "default");
    let digest = activated(&home, &server, "copied", 1, ALLOWS);
    let admin = token(&server, "root@company.com", &["admin"], None);
    let runner = token(&admin, "Runner@Company.com", &["executor"], None);
    let copy = runner.get(POLICY).ok();
    assert_eq!(copy["policy"]["digest"], digest);
    assert_eq!(copy["facts"], json!({ "requester": "runner@company.com" }));
    let manifest = Envelope::parse(&copy["policy"]["manifest"].to_string()).unwrap();
    assert_eq!(manifest.claims().unwrap().digest.to_string(), digest);
    let wasm = runner.get_bytes(&format!("{POLICY}/{digest}/wasm"));
    assert_eq!(hex::encode(Sha256::digest(&wasm)), digest);
    // Only the active one.
    for other in ["0".repeat(64), "x".to_owned(), text(&copy["policy"], "digest").to_uppercase()] {
        runner.get(&format!("{POLICY}/{other}/wasm")).refused("not-found");
    }
    admin.get(POLICY).refused("forbidden");
}

#[test]
fn a_wait_ends_when_another_policy_is_activated() {
    let (home, server) = home_with_signer();
    let first = activated(&home, &server, "copied", 1, ALLOWS);
    let now = server.get(&format!("{POLICY}?wait=60&while=none")).ok();
    assert_eq!(now["policy"]["digest"], first);
    let waits = server.clone();
    let path = format!("{POLICY}?wait=20&while={first}");
    let without_end = move || {
        loop {
            // An activation may take longer than one wait.
            let answer = waits.get(&path).ok();
            if answer["policy"]["digest"] != first {
                return answer;
            }
        }
    };
    let waiting = thread::spawn(without_end);
    let second = activated(&home, &server, "copied", 2, DENIES);
    assert_eq!(waiting.join().unwrap()["policy"]["digest"], second);
    let same = server.get(&format!("{POLICY}?wait=1&while={second}")).ok();
    assert_eq!(same["policy"]["digest"], second);
    for query in ["wait=x", "until=none"] {
        server.get(&format!("{POLICY}?{query}")).refused("request-invalid");
    }
    server.get(&format!("{POLICY}?wait=61&while=none")).refused("limit-exceeded");
}

#[test]
fn reports_are_recorded_once_as_reports() {
    let (_home, server) = home_and_server();
    let admin = token(&server, "root@company.com", &["admin"], None);
    let auditor = token(&admin, "auditor@company.com", &["auditor"], None);
    let runner = token(&admin, "runner@company.com", &["executor"], Some("deploy*"));
    let two = json!({ "decisions": [decision("d-1"), decision("d-2")] });
    assert_eq!(runner.post_once(DECISIONS, "batch-1", &two).ok(), json!({ "recorded": 2 }));
    assert_eq!(runner.post_once(DECISIONS, "batch-1", &two).ok(), json!({ "recorded": 2 }));
    let recorded = reported(&auditor);
    assert_eq!(recorded.len(), 1);
    assert_eq!(recorded[0]["actor"], "runner@company.com");
    let mut expected = two["decisions"].clone();
    for decision in expected.as_array_mut().unwrap() {
        decision["plan_hash"] = Value::Null;
    }
    assert_eq!(recorded[0]["decisions"], expected);
    // They are no verdicts of this server.
    assert_eq!(recorded[0]["guardrail"], Value::Null);
}

/// A report is one entry: the largest must be exported and verified like any other.
#[test]
fn the_largest_report_can_be_exported_and_verified() {
    let (home, server) = home_and_server();
    let admin = token(&server, "root@company.com", &["admin"], None);
    let auditor = token(&admin, "auditor@company.com", &["auditor"], None);
    let runner = token(&admin, "runner@company.com", &["executor"], None);
    let largest = |number: usize| {
        json!({
            "id": format!("{number:0>64}"), "agent": "\"".repeat(128), "action": "\"".repeat(128),
            "context_hash": "1".repeat(64), "plan_hash": "2".repeat(64), "rule": "\\".repeat(128),
            "decision": "require_approval", "policy": "2".repeat(64), "decided_at": "2026-01-31T12:00:00Z",
        })
    };
    let all: Vec<Value> = (0..256).map(largest).collect();
    for batch in 0..32 {
        let body = json!({ "decisions": all });
        assert_eq!(runner.post_once(DECISIONS, &format!("b{batch}"), &body).ok()["recorded"], 256);
    }
    // Pages are limited by their size, too.
    let page = auditor.get("/api/v1/audit?limit=1000");
    assert!(page.body.len() < 12 << 20, "{}", page.body.len());
    let page = page.ok();
    let last = page["items"].as_array().unwrap().last().unwrap()["number"].clone();
    assert_eq!(page["next_after"], last);
    server.stop();
    home.run(&["audit", "export", "-o", "log"]).ok();
    // Consistent; the signer is unknown without `--trust`.
    let verified = home.run(&["audit", "verify", "log"]).exits(3);
    assert!(verified.out.starts_with("consistent, "), "{verified:?}");
}

#[test]
fn malformed_reports_are_refused_whole() {
    let (_home, server) = home_and_server();
    let admin = token(&server, "root@company.com", &["admin"], None);
    let auditor = token(&admin, "auditor@company.com", &["auditor"], None);
    let runner = token(&admin, "runner@company.com", &["executor"], Some("deploy*"));
    let refused = |decisions: Value, code: &str| {
        runner.post(DECISIONS, &json!({ "decisions": decisions })).refused(code);
    };
    refused(json!([]), "request-invalid");
    refused(json!({}), "request-invalid");
    refused(json!([decision("a"), decision("a")]), "request-invalid");
    let many: Vec<Value> = (0..257).map(|number| decision(&format!("d{number}"))).collect();
    refused(json!(many), "limit-exceeded");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let future = i64::try_from(now + 400).unwrap();
    let future = chrono::DateTime::from_timestamp(future, 0).unwrap();
    let future = future.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    for (member, value, code) in [
        ("id", json!("A b"), "request-invalid"),
        ("id", json!(""), "request-invalid"),
        ("agent", json!("inbox"), "forbidden"),
        ("agent", json!(""), "request-invalid"),
        ("action", json!("a".repeat(129)), "limit-exceeded"),
        ("context_hash", json!("1"), "request-invalid"),
        ("plan_hash", json!("1"), "request-invalid"),
        ("decision", json!("yes"), "request-invalid"),
        ("rule", json!("a b"), "request-invalid"),
        ("policy", json!(null), "request-invalid"),
        ("decided_at", json!("2026-01-31"), "request-invalid"),
        ("decided_at", json!(future), "request-invalid"),
        ("more", json!(1), "request-invalid"),
    ] {
        let mut wrong = decision("b");
        wrong[member] = value;
        refused(json!([decision("a"), wrong]), code);
    }
    assert_eq!(reported(&auditor).len(), 0);
    let fine = runner.post(DECISIONS, &json!({ "decisions": [decision("a")] })).ok();
    assert_eq!(fine["recorded"], 1);
    assert!(!id(&reported(&auditor)[0]["decisions"][0]).is_empty());
}
