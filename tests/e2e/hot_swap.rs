//! Policies that change under load: no request fails, and each decision comes from one module.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::support::{activated, flat, home_with_signer, text};

/// Returns rules that give the same verdict for every attempt, with the policy's name.
fn rules(name: &str, verdict: &str) -> String {
    format!(
        "format = 1\nname = \"{name}\"\n[[rule]]\nid = \"rule-of-{name}\"\nverdict = \"{verdict}\"\nreason = \"{name} says so\"\n"
    )
}

/// Returns the number of swaps; `SIGNOFF_SWAPS` sets it.
fn swaps() -> u64 {
    std::env::var("SIGNOFF_SWAPS").map_or(60, |text| text.parse().expect("a number"))
}

#[test]
fn swaps_under_load_fail_no_request_and_mix_no_verdicts() {
    let (home, server) = home_with_signer();
    let a = activated(&home, &server, "a", 1, &rules("a", "allow"));
    let b = activated(&home, &server, "b", 2, &rules("b", "require_approval"));
    let known: BTreeMap<&str, (&str, &str)> =
        [(a.as_str(), ("rule-of-a", "allow")), (b.as_str(), ("rule-of-b", "require_approval"))]
            .into();
    let over = AtomicBool::new(false);
    let requests = AtomicU64::new(0);
    thread::scope(|scope| {
        for n in 0..4 {
            let (client, known, over, requests) = ((*server).clone(), &known, &over, &requests);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let body = json!({ "agent": format!("agent-{n}"), "action": "act", "context": { "n": n } });
                    let verdict = client.post("/api/v1/guardrails/evaluate", &body).ok();
                    let (rule, decision) = known[text(&verdict, "policy")];
                    assert_eq!((text(&verdict, "rule"), text(&verdict, "decision")), (rule, decision));
                    let approval = client.post("/api/v1/approvals", &body).json(201);
                    let (rule, _) = known[text(&approval, "policy")];
                    assert_eq!(text(&approval, "rule"), rule);
                    requests.fetch_add(2, Ordering::Relaxed);
                }
            });
        }
        for n in 0..swaps() {
            let (to, from) = if n % 2 == 0 { (&a, &b) } else { (&b, &a) };
            let body = json!({ "reason": "again", "to": to });
            let swapped = server.post("/api/v1/modules/policy/rollback", &body).ok();
            assert_ne!(&swapped["digest"], from);
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(requests.load(Ordering::Relaxed) > 0);
    let (mut after, mut recorded, mut swapped) = (0, 0, 0);
    loop {
        let page = server.get(&format!("/api/v1/audit?after={after}&limit=200")).ok();
        let items = page["items"].as_array().unwrap();
        let Some(last) = items.last() else { break };
        after = last["number"].as_u64().unwrap();
        for item in items {
            let entry = &flat(&item["entry"]);
            swapped += u64::from(entry["event"] == "module_rolled_back");
            let guardrail = &entry["guardrail"];
            if *guardrail != Value::Null {
                let (rule, decision) = known[text(guardrail, "policy")];
                assert_eq!(
                    (text(guardrail, "rule"), text(guardrail, "decision")),
                    (rule, decision)
                );
                recorded += 1;
            }
        }
    }
    assert_eq!(recorded, requests.load(Ordering::Relaxed), "each decision has its entry");
    assert_eq!(swapped, swaps());
}

#[test]
fn the_active_policy_survives_a_restart() {
    let (home, server) = home_with_signer();
    let a = activated(&home, &server, "a", 1, &rules("a", "allow"));
    drop(server);
    let server = home.serve();
    let body = json!({ "agent": "x", "action": "act", "context": {} });
    let verdict = server.post("/api/v1/guardrails/evaluate", &body).ok();
    assert_eq!((text(&verdict, "policy"), text(&verdict, "decision")), (a.as_str(), "allow"));
    assert_eq!(server.get("/readyz").ok()["policy"], json!(a));
}
