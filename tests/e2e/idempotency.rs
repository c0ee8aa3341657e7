//! Idempotency keys: a repeat gets the same answer, and no change is made twice.

use std::thread;

use serde_json::{Value, json};

use crate::support::{APPROVER, ballot, claim_body, home_and_server, id, request_body, text};

const PATH: &str = "/api/v1/approvals";

fn path(approval: &Value, operation: &str) -> String {
    format!("{PATH}/{}/{operation}", id(approval))
}

#[test]
fn a_repeated_request_gets_the_same_answer() {
    let (_home, server) = home_and_server();
    let first = server.post_once(PATH, "order-1", &request_body());
    let again = server.post_once(PATH, "order-1", &request_body());
    assert_eq!(first.json(201), again.json(201));
    assert_eq!(first.body, again.body);
    assert_eq!(first.header("location"), again.header("location"));
    assert_eq!(first.header("idempotency-replayed"), None);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(server.audit().len(), 1);
}

#[test]
fn the_same_key_with_another_body_is_refused() {
    let (_home, server) = home_and_server();
    server.post_once(PATH, "order-1", &request_body()).json(201);
    let mut other = request_body();
    other["reason"] = json!("another");
    server.post_once(PATH, "order-1", &other).refused("idempotency-key-reused");
    assert_eq!(server.audit().len(), 1);
}

#[test]
fn a_key_applies_only_to_its_path() {
    let (_home, server) = home_and_server();
    let (one, two) = (server.request(), server.request());
    for approval in [&one, &two] {
        let body = json!({});
        let answer = server.post_once(&path(approval, "withdraw"), "k", &body).ok();
        assert_eq!(answer["id"], approval["id"]);
    }
}

#[test]
fn a_refusal_is_not_kept() {
    let (_home, server) = home_and_server();
    let mut body = request_body();
    body["agent"] = json!("");
    server.post_once(PATH, "k", &body).refused("request-invalid");
    server.post_once(PATH, "k", &request_body()).json(201);
}

#[test]
fn every_change_takes_a_key() {
    let (_home, server) = home_and_server();
    let twice = |path: &str, body: &Value| {
        let first = server.post_once(path, "k", body).ok();
        let again = server.post_once(path, "k", body);
        assert_eq!(again.ok(), first, "{path}");
        assert_eq!(again.header("idempotency-replayed"), Some("true"), "{path}");
        first
    };
    let extended = server.request();
    let extended = twice(&path(&extended, "extend"), &json!({ "expires_in_seconds": 7_200 }));
    let decided = ballot(&extended, "approved", APPROVER);
    let approved = twice(&path(&extended, "approve"), &decided);
    let executed = server.claim(&approved).ok();
    let outcome = json!({ "execution_id": executed["execution"]["id"], "outcome": "failed" });
    twice(&path(&approved, "outcome"), &outcome);
    let rejected = server.request();
    twice(&path(&rejected, "reject"), &ballot(&rejected, "rejected", APPROVER));
    let withdrawn = server.request();
    twice(&path(&withdrawn, "withdraw"), &json!({}));
    twice(&path(&withdrawn, "erase"), &json!({}));
    let asked = json!({
        "subject": { "type": "agent", "id": "deployer" },
        "action": { "name": "deploy" },
        "resource": { "type": "service", "id": "checkout" },
    });
    // An evaluation changes nothing but the log, and is made anew each time.
    let decided = server.post("/access/v1/evaluation", &asked).ok();
    let mut submission = asked;
    submission["denial"] = json!({
        "evaluation_id": decided["context"]["evaluation_id"],
        "expires_at": decided["context"]["access_request"]["expires_at"],
    });
    let requests = "/access/v1/requests";
    let first = server.post_once(requests, "k", &submission).json(201);
    let again = server.post_once(requests, "k", &submission);
    assert_eq!(again.json(201), first);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let cancel = format!("{requests}/{}/cancel", text(&first["task"], "id"));
    twice(&cancel, &json!({}));
    let prunable = server.get("/api/v1/store/prunable?older_than_seconds=0").ok();
    let item = &prunable["items"][2];
    let prune = json!({
        "older_than_seconds": 0, "approvals": [{ "id": item["id"], "entry": item["entry"] }],
    });
    assert_eq!(twice("/api/v1/store/prune", &prune)["pruned"], 1);
    assert_eq!(server.audit().len(), 14, "each change once");
}

#[test]
fn a_repeated_decision_replays_and_is_not_already_decided() {
    let (_home, server) = home_and_server();
    let approval = server.request();
    let body = ballot(&approval, "approved", APPROVER);
    let approve = path(&approval, "approve");
    server.post_once(&approve, "k", &body).ok();
    assert_eq!(server.post_once(&approve, "k", &body).ok()["status"], "approved");
    server.post(&approve, &body).refused("already-decided");
    server.post_once(&approve, "another", &body).refused("already-decided");
}

#[test]
fn a_repeated_claim_replays_while_the_execution_runs() {
    let (_home, server) = home_and_server();
    let approval = server.approved();
    let execute = path(&approval, "execute");
    let first = server.post_once(&execute, "k", &claim_body()).ok();
    assert_eq!(first.get("replayed"), None);
    for _ in 0..3 {
        let again = server.post_once(&execute, "k", &claim_body());
        let replayed = again.ok();
        assert_eq!(replayed["replayed"], true);
        assert_eq!(replayed["execution"], first["execution"]);
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
    }
    server.post_once(&execute, "another", &claim_body()).refused("already-executed");
    let mut other = claim_body();
    other["lease_seconds"] = json!(60);
    server.post_once(&execute, "k", &other).refused("idempotency-key-reused");
    let outcome = json!({ "execution_id": first["execution"]["id"], "outcome": "succeeded" });
    server.act(&approval, "outcome", &outcome).ok();
    server.post_once(&execute, "k", &claim_body()).refused("already-executed");
}

#[test]
fn concurrent_requests_with_one_key_create_one_approval() {
    let (_home, server) = home_and_server();
    for round in 0..20 {
        let key = format!("round-{round}");
        let ids: Vec<Value> = thread::scope(|scope| {
            let send = || server.post_once(PATH, &key, &request_body()).json(201)["id"].clone();
            let sent: Vec<_> = (0..16).map(|_| scope.spawn(send)).collect();
            sent.into_iter().map(|handle| handle.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(server.audit().len(), round + 1);
    }
}

#[test]
fn concurrent_claims_with_one_key_start_one_execution() {
    let (_home, server) = home_and_server();
    for round in 0..20 {
        let approval = server.approved();
        let execute = path(&approval, "execute");
        let key = format!("round-{round}");
        let executions: Vec<Value> = thread::scope(|scope| {
            let claim = || server.post_once(&execute, &key, &claim_body()).ok();
            let sent: Vec<_> = (0..16).map(|_| scope.spawn(claim)).collect();
            sent.into_iter().map(|handle| handle.join().unwrap()).collect()
        });
        assert!(executions.iter().all(|e| e["execution"] == executions[0]["execution"]));
        let fresh = executions.iter().filter(|e| e.get("replayed").is_none()).count();
        assert_eq!(fresh, 1, "one is the claim, the others are marked as replays");
    }
}

#[test]
fn concurrent_changes_with_one_key_apply_once_and_get_equal_answers() {
    let (_home, server) = home_and_server();
    for round in 0..20 {
        let approval = server.request();
        let (operation, body) = match round % 3 {
            0 => ("approve", ballot(&approval, "approved", APPROVER)),
            1 => ("withdraw", json!({})),
            _ => ("extend", json!({ "expires_in_seconds": 7_200 })),
        };
        let path = path(&approval, operation);
        let bodies: Vec<String> = thread::scope(|scope| {
            let send = || server.post_once(&path, "k", &body);
            let sent: Vec<_> = (0..16).map(|_| scope.spawn(send)).collect();
            let answers = sent.into_iter().map(|handle| handle.join().unwrap());
            answers.inspect(|answer| drop(answer.ok())).map(|answer| answer.body).collect()
        });
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{operation}: {bodies:?}");
        assert_eq!(server.events_of(&approval).len(), 2, "{operation}");
    }
}

#[test]
fn a_key_is_one_header_of_up_to_255_visible_characters() {
    let (_home, server) = home_and_server();
    let body = request_body().to_string();
    let with = |headers: &[(&str, &str)]| server.try_post(PATH, headers, body.as_bytes()).unwrap();
    with(&[("idempotency-key", &"k".repeat(255))]).json(201);
    with(&[("idempotency-key", &"k".repeat(256))]).refused("limit-exceeded");
    with(&[("idempotency-key", "")]).refused("request-invalid");
    with(&[("idempotency-key", "a"), ("idempotency-key", "a")]).refused("request-invalid");
    with(&[("idempotency-key", "\u{e9}")]).refused("request-invalid");
    assert_eq!(server.audit().len(), 1);
}

#[test]
fn a_kept_answer_survives_a_restart() {
    let (home, server) = home_and_server();
    let first = server.post_once(PATH, "k", &request_body());
    server.stop();
    let server = home.serve();
    assert_eq!(server.post_once(PATH, "k", &request_body()).body, first.body);
}

/// Two tokens of one subject: a kept answer to the first is given to the second only if the second may
/// make the same call.
#[test]
fn roles_and_agents_are_checked_before_a_kept_answer() {
    let (_home, server) = home_and_server();
    let admin = server.post("/api/v1/tokens", &json!({ "subject": "ops", "roles": ["admin"] }));
    let admin = server.with_token(text(&admin.json(201), "token"));
    let token = |roles: &[&str], agents: Option<&str>| {
        let body = json!({ "subject": "ci", "roles": roles, "agents": agents });
        server.with_token(text(&admin.post("/api/v1/tokens", &body).json(201), "token"))
    };
    let (any, web) = (token(&["requester"], None), token(&["requester"], Some("web-*")));
    any.post_once(PATH, "k", &request_body()).json(201);
    any.post_once(PATH, "k", &request_body()).json(201);
    web.post_once(PATH, "k", &request_body()).refused("forbidden");
    let question = json!({ "agent": "teller", "action": "pay", "context": {} });
    any.post_once("/api/v1/guardrails/evaluate", "k", &question).ok();
    web.post_once("/api/v1/guardrails/evaluate", "k", &question).refused("forbidden");
}
