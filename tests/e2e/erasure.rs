//! `signoff store erase`: the texts of a final approval are in no byte of the store or a later backup.

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    APPROVER, Client, Home, Office, Ran, ballot, home_and_server, id, request_body, text, until,
};

/// In a context, a plan, a reason, a comment and a detail.
const SECRETS: [&str; 5] = [
    "ctx-4711-secret",
    "plan-4712-secret",
    "why-4713-secret",
    "said-4714-secret",
    "how-4715-secret",
];

/// Returns which of the texts a file contains.
fn found(path: &std::path::Path) -> Vec<&'static str> {
    let bytes = fs::read(path).unwrap();
    let holds = |text: &&str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    SECRETS.into_iter().filter(holds).collect()
}

/// Makes an approval with every kind of text, executed and settled.
fn executed(client: &Client) -> Value {
    let mut body = request_body();
    body["context"]["person"] = json!(SECRETS[0]);
    body["plan"] = json!({ "steps": [SECRETS[1]] });
    body["reason"] = json!(SECRETS[2]);
    let approval = client.post_once("/api/v1/approvals", "first", &body).json(201);
    let mut approved = ballot(&approval, "approved", APPROVER);
    approved["comment"] = json!(SECRETS[3]);
    let path = |operation: &str| format!("/api/v1/approvals/{}/{operation}", id(&approval));
    client.post_once(&path("approve"), "second", &approved).ok();
    let claim = json!({
        "agent": body["agent"], "action": body["action"],
        "context": body["context"], "plan": body["plan"],
    });
    let claimed = client.act(&approval, "execute", &claim).ok();
    let outcome = json!({
        "execution_id": claimed["execution"]["id"], "outcome": "succeeded", "detail": SECRETS[4],
    });
    client.post_once(&path("outcome"), "third", &outcome).ok()
}

fn erase(home: &Home, server: &Client, ids: &[&str]) -> Ran {
    home.run(&[&["--server", &server.url, "--json", "store", "erase"], ids].concat())
}

#[test]
fn erased_texts_are_in_no_byte_of_the_store_or_of_a_backup() {
    let (home, server) = home_and_server();
    let approval = executed(&server);
    let other = server.request();
    assert_eq!(found(&home.store()), SECRETS);
    let shown = server.show(&approval);
    let done = erase(&home, &server, &[id(&approval)]).exits(0).json();
    assert_eq!(done["erased"], json!([id(&approval)]));
    assert!(found(&home.store()).is_empty(), "{:?}", found(&home.store()));
    home.run(&["--server", &server.url, "backup", "copy.redb"]).ok();
    assert!(found(&home.path("copy.redb")).is_empty());
    let erased = server.show(&approval);
    for gone in ["context", "plan", "reason", "comment"] {
        assert_eq!(erased[gone], Value::Null, "{gone}");
    }
    for stays in ["context_hash", "plan_hash", "request_digest", "agent", "signature", "status"] {
        assert_eq!(erased[stays], shown[stays], "{stays}");
    }
    let screen = home.run(&["--server", &server.url, "show", id(&approval)]).ok();
    assert!(screen.contains("erased"), "{screen}");
    assert_eq!(server.show(&other)["context"], request_body()["context"]);
    // The answers that repeated the texts are forgotten, and the operations are refused as usual.
    let outcome = json!({
        "execution_id": shown["execution"]["id"], "outcome": "succeeded", "detail": SECRETS[4],
    });
    let path = format!("/api/v1/approvals/{}/outcome", id(&approval));
    let again = server.post_once(&path, "third", &outcome);
    assert!(!again.body.contains(SECRETS[4]), "{}", again.body);
    let other = json!({ "execution_id": shown["execution"]["id"], "outcome": "failed" });
    server.act(&approval, "outcome", &other).refused("already-erased");
    server.act(&approval, "erase", &json!({})).refused("already-erased");
    assert_eq!(server.events_of(&approval).last().unwrap(), "approval_erased");
    server.stop();
    home.run(&["doctor"]).ok();
    let server = home.serve();
    assert_eq!(server.show(&approval), erased);
    assert!(found(&home.store()).is_empty());
}

#[test]
fn a_server_compacts_by_itself_after_an_erasure_by_the_api() {
    let (home, server) = home_and_server();
    let approval = executed(&server);
    server.act(&approval, "erase", &json!({})).ok();
    until("the server has compacted", || found(&home.store()).is_empty().then_some(()));
    server.claim(&server.approved()).ok();
    server.stop();
    home.run(&["doctor"]).ok();
}

#[test]
fn an_owed_compaction_survives_a_restart() {
    let home = Home::new();
    let server = home.serve();
    let approval = executed(&server);
    server.act(&approval, "erase", &json!({})).ok();
    server.kill();
    assert!(!found(&home.store()).is_empty(), "it was too fast to test anything");
    let _server = home.serve();
    until("the server has compacted", || found(&home.store()).is_empty().then_some(()));
}

#[test]
fn only_final_approvals_are_erased_and_only_by_an_admin() {
    let office = Office::new();
    let ann = office.person("ann@company.com", &[]);
    let approval = office.request(json!({ "threshold": 1 }));
    let erase = |client: &Client| client.act(&approval, "erase", &json!({}));
    for client in [&office.requester, &office.executor, &ann.client] {
        erase(client).refused("forbidden");
    }
    erase(&office.admin).refused("not-final");
    ann.approves(&approval);
    erase(&office.admin).refused("not-final");
    office.requester.act(&approval, "withdraw", &json!({})).ok();
    erase(&office.admin).ok();
    let path = "/api/v1/approvals/appr_01k7r0000000000000000000a0/erase";
    office.admin.post(path, &json!({})).refused("not-found");
    // Nobody can claim or vote on it, and a comment is only attested by its receipt.
    ann.decides(&approval, "approved").refused("already-decided");
}

#[test]
fn a_receipt_of_an_erased_approval_attests_ballots_with_a_comment() {
    let office = Office::new();
    let ann = office.person("ann@company.com", &[]);
    let approval = office.request(json!({ "threshold": 1 }));
    let ballot = json!({
        "decision": "rejected",
        "approver": ann.key.approver,
        "comment": SECRETS[3],
        "signature": ann.key.sign(&approval, "rejected", SECRETS[3]),
    });
    ann.client.act(&approval, "approve", &ballot).ok();
    let report = |name: &str| {
        let export =
            ["receipt", "export", "-o", name, "--server", &office.server.url, id(&approval)];
        Ran::of(office.home.signoff(&export).env("SIGNOFF_TOKEN", office.admin.token())).ok();
        let keys = office.admin.get("/api/v1/audit/keys").ok();
        let key = text(&keys["items"][0], "log_key").to_owned();
        let verify = ["--json", "receipt", "verify", name, "--trust", &key];
        office.home.run(&verify).exits(0).json()
    };
    assert_eq!(report("before")["ballots"][0]["proof"], "logged");
    office.admin.act(&approval, "erase", &json!({})).ok();
    let after = report("after");
    assert_eq!(after["ballots"][0]["proof"], "attested");
    assert_ne!(after["erased_at"], Value::Null);
}
