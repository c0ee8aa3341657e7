//! Facts: what the host tells a policy about the callers, and the modules that it refuses because of
//! the facts that they read.

use std::fs;

use serde_json::{Value, json};
use signoff::keys::Keys;
use signoff::modules::{Envelope, Manifest, Slot, sign};

use crate::support::modules::{Core, Shop, change, push};
use crate::support::{Client, Home, activated, claim_body, flat, home_with_signer, request_body};

const RULES: &str = r#"
format = 1
name = "facts"
default = "deny"

[[rule]]
id = "staff"
when = "facts.requester.endsWith('@company.com')"
verdict = "require_approval"
reason = "asked by {facts.requester}"

[[rule]]
id = "not-oneself"
when = "has(facts.claimed_by) && facts.claimed_by == facts.requester"
verdict = "deny"
reason = "{facts.claimed_by} asked for it"
"#;

/// Returns a module that the team built from rules.
fn built(shop: &Shop, rules: &str) -> Vec<u8> {
    shop.team.file("rules.toml", rules);
    shop.team.run(&["policy", "build", "rules.toml"]).ok();
    fs::read(shop.team.path("rules.wasm")).unwrap()
}

fn evaluated(client: &Client, body: &Value) -> Value {
    client.post("/api/v1/guardrails/evaluate", body).ok()
}

/// Returns the rule that denies a claim.
fn denied_by(client: &Client, approval: &Value) -> String {
    let refused = client.act(approval, "execute", &claim_body()).refused("policy-denied");
    refused["detail"].as_str().unwrap().to_owned()
}

#[test]
fn a_policy_reads_the_requester_and_the_claimer_in_lower_case() {
    let shop = Shop::new();
    let wasm = built(&shop, RULES);
    let digest = shop.push(&wasm, 1).json(201)["digest"].as_str().unwrap().to_owned();
    change(&shop.policy, &digest, "activate").ok();
    let verdict = evaluated(&shop.office.requester, &claim_body());
    assert_eq!(
        (&verdict["rule"], &verdict["reason"]),
        (&json!("staff"), &json!("asked by requester@company.com"))
    );
    let both = shop.office.token("CI@Company.com", &["requester", "executor"]);
    assert_eq!(evaluated(&both, &claim_body())["reason"], "asked by ci@company.com");
    let outsider = shop.office.token("ci@elsewhere.com", &["requester"]);
    assert_eq!(evaluated(&outsider, &claim_body())["decision"], "deny");
    // Text in the context is not a fact.
    let mut worded = claim_body();
    worded["context"]["facts"] = json!({ "requester": "ci@company.com" });
    worded["context"]["requester"] = json!("ci@company.com");
    assert_eq!(evaluated(&outsider, &worded)["decision"], "deny");
    worded["facts"] = json!({ "requester": "ci@company.com" });
    outsider.post("/api/v1/guardrails/evaluate", &worded).refused("request-invalid");
    // At a claim `requester` is the requester of the approval, whoever claims.
    let approved = both.request_of(&request_body());
    assert_eq!(shop.office.person("boss@company.com", &[]).approves(&approved), "approved");
    assert!(denied_by(&both, &approved).contains("ci@company.com asked for it"));
    let claimed = shop.office.executor.act(&approved, "execute", &claim_body()).ok();
    assert_eq!(claimed["status"], "executed");
}

#[test]
fn without_tokens_the_requester_is_the_agent() {
    let (home, server) = home_with_signer();
    activated(&home, &server, "facts", 1, RULES);
    assert_eq!(evaluated(&server, &claim_body())["decision"], "deny");
    let rules = RULES.replace("endsWith('@company.com')", "startsWith('agent:')");
    activated(&home, &server, "facts", 2, &rules);
    let mut body = claim_body();
    body["agent"] = json!("Inbox_Triage");
    assert_eq!(evaluated(&server, &body)["reason"], "asked by agent:inbox_triage");
}

#[test]
fn the_answer_and_the_audit_name_the_rules_that_failed() {
    let (home, server) = home_with_signer();
    let rule = |id: &str, verdict: &str| {
        format!(
            "[[rule]]\nid = \"{id}\"\nverdict = \"{verdict}\"\nwhen = \"context.absent == 1\"\nreason = \"theirs\"\n"
        )
    };
    let rules =
        ["format = 1\nname = \"f\"\n", &rule("one", "allow"), &rule("two", "deny")].concat();
    activated(&home, &server, "f", 1, &rules);
    let answer = evaluated(&server, &claim_body());
    assert_eq!(answer["failed"], json!(["one", "two"]));
    assert_eq!((&answer["decision"], &answer["rule"]), (&json!("deny"), &json!("two")));
    assert_eq!(
        answer["reason"],
        "the condition of rule `two` could not be evaluated: `context.absent` is missing"
    );
    server.post("/api/v1/approvals", &request_body()).refused("policy-denied");
    let mut whole = claim_body();
    whole["context"]["absent"] = json!(0);
    assert_eq!(evaluated(&server, &whole)["failed"], json!([]));
    let all = server.get("/api/v1/audit?limit=200").ok();
    let all = all["items"].as_array().unwrap().iter();
    let entries = all.map(|item| flat(&item["entry"]));
    let failed: Vec<Value> = entries
        .filter(|entry| entry["event"] == "guardrails_evaluated")
        .map(|entry| entry["guardrail"]["failed"].clone())
        .collect();
    assert_eq!(failed, [json!(["one", "two"]), json!(["one", "two"]), json!([])]);
}

#[test]
fn a_manifest_lists_the_facts_that_the_rules_read() {
    let shop = Shop::new();
    let wasm = built(&shop, RULES);
    let signed = shop.signed(&wasm, "policy", "rules", 1, "team");
    let claims = Envelope::parse(&signed.to_string()).unwrap().claims().unwrap();
    assert_eq!(claims.to_json()["facts"], json!(["claimed_by", "requester"]));
    // A manifest that omits a fact which the module declares is refused.
    let silent = shop.sealed(&wasm, Slot::Policy, 1, "team");
    let refused = push(&shop.policy, &silent, &wasm).refused("manifest-invalid");
    assert!(refused["detail"].as_str().unwrap().contains("`claimed_by`"), "{refused}");
    let pushed = push(&shop.policy, &signed, &wasm).json(201);
    assert_eq!(pushed["facts"], json!(["claimed_by", "requester"]));
    let plain = shop.signed(&built(&shop, "format = 1\nname = \"x\"\n"), "policy", "x", 1, "team");
    let claims = Envelope::parse(&plain.to_string()).unwrap().claims().unwrap();
    assert_eq!(claims.to_json()["facts"], json!([]));
}

#[test]
fn a_module_that_reads_an_unknown_fact_is_refused() {
    let shop = Shop::new();
    let mut core = Core::deciding("allow", "later");
    core.description = json!({ "name": "later", "facts": ["requester", "risk"] }).to_string();
    let wasm = core.component();
    let manifest = shop.signed(&wasm, "policy", "later", 1, "team");
    let refused = push(&shop.policy, &manifest, &wasm).refused("module-invalid");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("`risk`") && detail.contains("claimed_by, requester"), "{refused}");
    // The manifest counts, whatever the module's description says.
    let wasm = Core::deciding("allow", "quiet").component();
    let mut text = Envelope::parse(&shop.sealed(&wasm, Slot::Policy, 2, "team").to_string())
        .unwrap()
        .claims()
        .unwrap()
        .to_json();
    text["facts"] = json!(["risk"]);
    let manifest = Manifest::parse(&text.to_string()).unwrap();
    let keys = Keys::load(&shop.team.path("signoff.keys.json")).unwrap();
    let envelope = sign(&manifest, &keys.module_key("team").unwrap()).to_text();
    let envelope: Value = serde_json::from_str(&envelope).unwrap();
    push(&shop.policy, &envelope, &wasm).refused("module-invalid");
    assert_eq!(shop.slot("policy")["active"], Value::Null);
}

#[test]
fn eval_and_tests_take_facts() {
    let home = Home::new();
    home.file("rules.toml", RULES);
    let eval = |facts: &[&str]| {
        let arguments = [
            "policy",
            "eval",
            "rules.toml",
            "--agent",
            "Inbox",
            "--action",
            "a",
            "--context",
            "{}",
            "--json",
        ];
        let facts = facts.iter().flat_map(|fact| ["--fact", fact]);
        home.run(&arguments.into_iter().chain(facts).collect::<Vec<_>>())
    };
    let own = eval(&[]).exits(3).json();
    assert_eq!(own["facts"], json!({ "requester": "agent:inbox" }));
    let verdict = eval(&["requester=CI@company.com"]).exits(4).json();
    assert_eq!(verdict["reason"], "asked by ci@company.com");
    let claim = eval(&["requester=ci@company.com", "claimed_by=ci@company.com"]).exits(3).json();
    assert_eq!(claim["rule"], "not-oneself");
    for (facts, message) in [
        (&["role=x"][..], "there is no fact `role`, expected claimed_by or requester"),
        (&["requester"], "expected NAME=VALUE"),
        (&["requester="], "expected 1 to 128 printable ASCII characters"),
        (&["requester=a b"], "expected 1 to 128 printable ASCII characters"),
        (&["requester=a", "requester=b"], "duplicate fact `requester`"),
    ] {
        let ran = eval(facts).exits(2);
        assert!(ran.err.contains(message), "{ran:?}");
    }
    let case = "\n[[test]]\nname = \"staff\"\nagent = \"a\"\naction = \"b\"\nexpect = \"require_approval\"\n[test.facts]\nrequester = \"ci@company.com\"\n";
    home.file("tested.toml", &format!("{RULES}{case}"));
    home.run(&["policy", "test", "tested.toml"]).ok();
    home.file("unknown.toml", &RULES.replace("facts.requester.ends", "facts.role.ends"));
    let ran = home.run(&["policy", "check", "unknown.toml"]).exits(1);
    assert!(
        ran.out.contains("unknown.toml:8:14: error: rule `staff`: there is no fact `role`"),
        "{ran:?}"
    );
}
