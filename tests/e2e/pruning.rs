//! `signoff store prune`: old final approvals are archived, removed, and leave everything else right.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Client, Home, Ran, claim_body, home_and_server, id, request_body, text};

/// Makes one approval in each final state, and three that are not final.
fn every_state(server: &Client) -> (Vec<Value>, Vec<Value>) {
    let rejected = server.request();
    server.decide(&rejected, "rejected", crate::support::APPROVER).ok();
    let withdrawn = server.request();
    server.act(&withdrawn, "withdraw", &json!({})).ok();
    let settled = server.approved();
    let claimed = server.claim(&settled).ok();
    let outcome = json!({ "execution_id": claimed["execution"]["id"], "outcome": "succeeded" });
    server.act(&settled, "outcome", &outcome).ok();
    let running = server.approved();
    server.claim(&running).ok();
    (vec![rejected, withdrawn, settled], vec![server.request(), server.approved(), running])
}

fn prune(home: &Home, server: &Client, more: &[&str]) -> Ran {
    home.run(&[&["--server", &server.url, "--json", "store", "prune"], more].concat())
}

fn log_key(server: &Client) -> String {
    text(&server.get("/api/v1/audit/keys").ok()["items"][0], "log_key").to_owned()
}

#[test]
fn final_approvals_are_archived_and_removed_and_nothing_else() {
    let (home, server) = home_and_server();
    let (ended, living) = every_state(&server);
    let none = prune(&home, &server, &["--older-than", "1h"]).exits(0).json();
    assert_eq!((&none["pruned"], &none["compacted"]), (&json!(0), &Value::Null));
    let dry = ["--older-than", "0s", "--archive", "receipts.jsonl", "--dry-run"];
    assert_eq!(prune(&home, &server, &dry).exits(0).json()["pruned"], 3);
    assert!(!home.path("receipts.jsonl").exists());
    let shown: Vec<Value> = living.iter().map(|approval| server.show(approval)).collect();
    let done = prune(&home, &server, &dry[..4]).exits(0).json();
    assert_eq!(
        (&done["pruned"], &done["skipped"], &done["unproven"]),
        (&json!(3), &json!(0), &json!(0))
    );
    for approval in &ended {
        let gone = server.get(&format!("/api/v1/approvals/{}", id(approval)));
        let problem = gone.refused("not-found");
        assert!(text(&problem, "detail").contains("pruned"), "{problem}");
        server.act(approval, "withdraw", &json!({})).refused("not-found");
        let problem = server.act(approval, "erase", &json!({})).refused("not-found");
        assert!(text(&problem, "detail").contains("pruned"), "{problem}");
    }
    assert_eq!(living.iter().map(|approval| server.show(approval)).collect::<Vec<_>>(), shown);
    let listed = server.get("/api/v1/approvals").ok();
    assert_eq!(listed["items"].as_array().unwrap().len(), 3);
    let stats = home.run(&["--server", &server.url, "--json", "stats"]).exits(0).json();
    assert_eq!(stats["total"], 3);
    // Each line is a receipt, and the log still has every entry.
    let key = log_key(&server);
    let archive = fs::read_to_string(home.path("receipts.jsonl")).unwrap();
    assert_eq!(archive.lines().count(), 3);
    for (line, approval) in archive.lines().zip(&ended) {
        let verify = ["--json", "receipt", "verify", "-", "--trust", &key, "--id", id(approval)];
        home.run_with_input(&verify, &format!("{line}\n")).exits(0);
    }
    assert_eq!(server.events_of(&ended[0]).len(), 2);
    let pruned = server.audit().pop().unwrap();
    assert_eq!((&pruned["event"], &pruned["approvals"]), (&json!("approvals_pruned"), &json!(3)));
    server.stop();
    home.run(&["doctor"]).ok();
    let server = home.serve();
    assert_eq!(living.iter().map(|approval| server.show(approval)).collect::<Vec<_>>(), shown);
    server.claim(&living[1]).ok();
}

#[test]
fn a_stopped_store_is_pruned_and_an_interrupted_archive_goes_on() {
    let (home, server) = home_and_server();
    let (ended, _) = every_state(&server);
    server.stop();
    fs::write(home.path("receipts.jsonl"), "{\"format\":2,\"kind\":\"sig").unwrap();
    let command = ["--json", "store", "prune", "--older-than", "0s", "--archive", "receipts.jsonl"];
    assert_eq!(home.run(&command).exits(0).json()["pruned"], 3);
    let archive = fs::read_to_string(home.path("receipts.jsonl")).unwrap();
    assert_eq!(archive.lines().count(), 4, "the unfinished line stands alone");
    for approval in &ended {
        assert!(archive.contains(&format!("\"id\":\"{}\"", id(approval))));
    }
    assert_eq!(home.run(&command).exits(0).json()["pruned"], 0);
    home.run(&["doctor"]).ok();
}

#[test]
fn nothing_is_removed_before_its_receipt_is_on_disk() {
    let (home, server) = home_and_server();
    let (ended, _) = every_state(&server);
    fs::create_dir(home.path("folder")).unwrap();
    std::os::unix::fs::symlink("/dev/null", home.path("link")).unwrap();
    for archive in ["folder", "missing/receipts.jsonl", "link", "/dev/full"] {
        let refused = prune(&home, &server, &["--older-than", "0s", "--archive", archive]).exits(1);
        assert!(refused.err.contains("archive"), "{refused:?}");
    }
    for approval in &ended {
        server.show(approval);
    }
    let lock = fs::File::create(home.path("locked")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let refused = prune(&home, &server, &["--older-than", "0s", "--archive", "locked"]).exits(1);
    assert!(refused.err.contains("another command"), "{refused:?}");
}

#[test]
fn what_changed_meanwhile_or_is_not_final_is_skipped() {
    let (_home, server) = home_and_server();
    let (ended, living) = every_state(&server);
    let call = |approvals: Value| {
        let body = json!({ "older_than_seconds": 0, "approvals": approvals });
        server.post("/api/v1/store/prune", &body)
    };
    let page = server.get("/api/v1/store/prunable?older_than_seconds=0&limit=2").ok();
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    let next = format!(
        "/api/v1/store/prunable?older_than_seconds=0&limit=2&cursor={}",
        text(&page, "next_cursor")
    );
    assert_eq!(server.get(&next).ok()["items"].as_array().unwrap().len(), 1);
    let item = page["items"][0].clone();
    assert_eq!(item["id"], ended[0]["id"]);
    let mut other = item.clone();
    other["entry"] = json!(item["entry"].as_u64().unwrap() - 1);
    other.as_object_mut().unwrap().retain(|name, _| name == "id" || name == "entry");
    assert_eq!(call(json!([other])).ok(), json!({ "pruned": 0, "skipped": 1 }));
    for approval in &living {
        for entry in 1..30 {
            let one = json!([{ "id": approval["id"], "entry": entry }]);
            assert_eq!(call(one).ok()["pruned"], 0, "{entry}");
        }
    }
    let young = json!({ "older_than_seconds": 3_600, "approvals": [{ "id": item["id"], "entry": item["entry"] }] });
    assert_eq!(server.post("/api/v1/store/prune", &young).ok()["pruned"], 0);
    call(json!([])).refused("request-invalid");
    let one = json!({ "id": item["id"], "entry": item["entry"] });
    call(json!([one, one])).refused("request-invalid");
    call(json!([{ "id": "x", "entry": 1 }])).refused("request-invalid");
    call(json!(vec![one.clone(); 257])).refused("limit-exceeded");
    assert_eq!(call(json!([one])).ok(), json!({ "pruned": 1, "skipped": 0 }));
    for query in [
        "",
        "?older_than_seconds=x",
        "?older_than_seconds=1&limit=0",
        "?older_than_seconds=1&cursor=x",
    ] {
        server.get(&format!("/api/v1/store/prunable{query}")).refused("request-invalid");
    }
}

#[test]
fn a_forgotten_answer_asks_again_and_starts_nothing_twice() {
    let (home, server) = home_and_server();
    let approval = server.post_once("/api/v1/approvals", "k", &request_body()).json(201);
    server.decide(&approval, "approved", crate::support::APPROVER).ok();
    let execute = format!("/api/v1/approvals/{}/execute", id(&approval));
    let claimed = server.post_once(&execute, "k", &claim_body()).ok();
    let outcome = json!({ "execution_id": claimed["execution"]["id"], "outcome": "failed" });
    server.act(&approval, "outcome", &outcome).ok();
    prune(&home, &server, &["--older-than", "0s"]).exits(0);
    server.post_once(&execute, "k", &claim_body()).refused("not-found");
    let again = server.post_once("/api/v1/approvals", "k", &request_body()).json(201);
    assert_ne!(again["id"], approval["id"], "a new request");
    server.stop();
    home.run(&["doctor"]).ok();
}

/// The ratio that retention promises: the disk is near the size of what is left.
#[test]
fn a_pruned_store_gives_its_disk_back() {
    let (home, server) = home_and_server();
    let mut body = request_body();
    body["context"]["text"] = json!("x".repeat(20_000));
    for _ in 0..400 {
        let approval = server.request_of(&body);
        server.act(&approval, "withdraw", &json!({})).ok();
    }
    let full = fs::metadata(home.store()).unwrap().len();
    prune(&home, &server, &["--older-than", "0s"]).exits(0);
    let pruned = fs::metadata(home.store()).unwrap().len();
    // What is left is the log; a test of the store compares its file with its rows.
    assert!(full > 4_000_000 && pruned < full / 4, "{full} to {pruned}");
}
