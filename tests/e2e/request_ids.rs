//! Every answer has the id of its request.

use std::collections::HashSet;

use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::{Home, Raw, SERVE, Server, claim_body, home_and_server, log_of, text, until};

#[test]
fn every_answer_has_a_request_id() {
    let (_home, server) = home_and_server();
    let mut ids = HashSet::new();
    for (method, path, status) in [
        (Method::GET, "/healthz", 200),
        (Method::GET, "/api/v1/approvals", 200),
        (Method::GET, "/nowhere", 404),
        (Method::DELETE, "/healthz", 405),
        (Method::GET, "/api/v1/approvals/appr_x", 404),
    ] {
        let answer = server.try_call(method, path, &[], None).unwrap();
        assert_eq!(answer.status, status, "{path}");
        let id = answer.header("x-request-id").expect("an id").to_owned();
        assert!(id.starts_with("req_") && id.len() == 30, "{id}");
        assert!(ids.insert(id), "duplicate id");
    }
    let answer = server.post_text("/api/v1/approvals", "{");
    assert!(ids.insert(answer.header("x-request-id").unwrap().to_owned()));
    // The connection stays open: a client that disconnects early would get no answer.
    let guarded = Raw::hold(
        &server,
        b"GET /healthz HTTP/1.1\r\nhost: evil.example\r\nx-request-id: mine\r\nconnection: close\r\n\r\n",
    );
    let guarded = Raw::answer(&guarded);
    guarded.refused("forbidden");
    assert_eq!(guarded.header("x-request-id"), Some("mine"));
}

#[test]
fn a_well_formed_request_id_is_returned() {
    let (_home, server) = home_and_server();
    let call = |id: &str| {
        let headers = [("x-request-id", id)];
        let answer = server.try_call(Method::GET, "/healthz", &headers, None).unwrap();
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(call("trace.4_2-Z"), "trace.4_2-Z");
    for id in ["", "a b", "<script>", &"x".repeat(65)] {
        assert!(call(id).starts_with("req_"), "{id}");
    }
}

#[test]
fn a_failure_is_logged_once_with_its_cause_and_answered_without_it() {
    let (home, server) = home_and_server();
    let approval = server.approved();
    home.file("signoff.keys.json", "\u{1b}[31m{");
    let path = format!("/api/v1/approvals/{}/execute", text(&approval, "id"));
    let body = claim_body().to_string();
    let claim = |id: &str| {
        let headers = [("x-request-id", id), ("content-type", "application/json")];
        server.try_call(Method::POST, &path, &headers, Some(body.as_bytes())).unwrap()
    };
    let refused = claim("mine-4711").refused("keyring-unavailable");
    assert!(!refused["detail"].as_str().unwrap().contains("signoff.keys.json"), "{refused}");
    // The caller's own mistake is not logged.
    let headers = [("x-request-id", "theirs-4711")];
    let missing = server.try_call(Method::GET, "/api/v1/approvals/appr_x", &headers, None).unwrap();
    missing.refused("not-found");
    // Lines come in order: with this one, all before it are there.
    claim("last-4711").refused("keyring-unavailable");
    until("the last failure is logged", || {
        let failed = server.log_of("request failed");
        failed.iter().any(|line| line["request_id"] == "last-4711").then_some(())
    });
    let printed = server.printed();
    let failed = log_of(&printed, "request failed");
    let lines: Vec<&Value> =
        failed.iter().filter(|line| line["request_id"] == "mine-4711").collect();
    let [line] = lines.try_into().unwrap();
    assert_eq!(line["code"], "keyring-unavailable");
    assert_eq!((&line["status"], &line["method"]), (&json!(503), &json!("POST")));
    assert_eq!(line["route"], "/api/v1/approvals/{id}/execute");
    assert!(text(line, "cause").contains("signoff.keys.json"), "{line}");
    assert!(failed.iter().all(|line| line["request_id"] != "theirs-4711"), "{failed:?}");
    assert!(!printed.contains('\u{1b}'), "{printed}");
}

/// `/readyz` needs no token: it must not fill the log.
#[test]
fn a_server_that_is_not_ready_says_so_once_for_each_cause() {
    let (home, server) = home_and_server();
    let keys = std::fs::read_to_string(home.path("signoff.keys.json")).unwrap();
    home.file("signoff.keys.json", "{");
    for _ in 0..5 {
        server.get("/readyz").refused("keyring-unavailable");
    }
    home.file("signoff.keys.json", &keys);
    server.get("/readyz").ok();
    home.file("signoff.keys.json", "{");
    server.get("/readyz").refused("keyring-unavailable");
    let logged = || server.printed().matches(r#""route":"/readyz""#).count();
    until("both are logged", || (logged() >= 2).then_some(()));
    assert_eq!(logged(), 2, "{}", server.printed());
}

#[test]
fn a_log_that_cannot_be_written_changes_no_answer() {
    let home = Home::new();
    home.signoff(&["init"]).output().unwrap();
    let mut command = home.program("sh");
    let script = "exec \"$0\" \"$@\" 2>/dev/full";
    command.args(["-c", script, env!("CARGO_BIN_EXE_signoff")]).args(SERVE);
    let server = Server::start_with(command);
    home.file("signoff.keys.json", "{");
    for _ in 0..3 {
        server.get("/readyz").refused("keyring-unavailable");
    }
}
