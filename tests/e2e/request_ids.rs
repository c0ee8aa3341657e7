//! Every answer has the id of its request.

use std::collections::HashSet;

use ureq::http::Method;

use crate::support::{Raw, home_and_server};

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
