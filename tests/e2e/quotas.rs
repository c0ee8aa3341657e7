//! Quotas of pending approvals: of a requester, in every spelling, and of nobody else.

use std::io::Write;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::support::{APPROVER, Client, Office, Server, open, request_body, text, until};

const APPROVALS: &str = "/api/v1/approvals";

#[track_caller]
fn is_full(client: &Client) {
    let refused = client.post(APPROVALS, &request_body());
    let detail = refused.body.clone();
    refused.refused_with(429, "rate-limited");
    assert!(detail.contains("requester@company.com has "), "{detail}");
}

#[test]
fn a_requester_has_a_quota_of_pending_approvals() {
    let office = Office::set_to("[quotas]\npending = 3\n");
    let approver = office.token(APPROVER, &["approver"]);
    let other = office.token("other@company.com", &["requester"]);
    let pending: Vec<_> = (0..2).map(|_| office.requester.request()).collect();
    let kept = office.requester.post_once(APPROVALS, "one", &request_body()).json(201);
    is_full(&office.requester);
    // A repeated request is answered again, and others have their own quota.
    let again = office.requester.post_once(APPROVALS, "one", &request_body());
    assert_eq!(again.json(201)["id"], kept["id"]);
    other.request();
    // Whatever ends an approval frees its place; deciding does, too.
    office.requester.act(&pending[0], "withdraw", &json!({})).ok();
    let replaced = office.requester.request();
    is_full(&office.requester);
    approver.decide(&pending[1], "approved", APPROVER).ok();
    office.requester.request_for(1);
    is_full(&office.requester);
    // The memory of a new process comes from the store.
    let Office { server, home, requester, .. } = office;
    server.stop();
    let server = Server::start(&home);
    let requester = server.with_token(requester.token());
    until("the last one expires", || {
        (requester.post(APPROVALS, &request_body()).status == 201).then_some(())
    });
    is_full(&requester);
    requester.act(&replaced, "withdraw", &json!({})).ok();
    requester.request();
    is_full(&requester);
}

#[test]
fn simultaneous_requests_do_not_exceed_a_quota() {
    let office = Office::set_to("[quotas]\npending = 5\n");
    let start = Barrier::new(20);
    let made = thread::scope(|scope| {
        let calls: Vec<_> = (0..20)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    office.requester.post(APPROVALS, &request_body()).status
                })
            })
            .collect();
        let statuses = calls.into_iter().map(|call| call.join().unwrap());
        statuses.filter(|status| *status == 201).count()
    });
    assert_eq!(made, 5);
    is_full(&office.requester);
}

/// The handler of a request ends with its connection, but the store commits what it was given.
#[test]
fn a_client_that_closes_its_connection_gains_no_place() {
    let office = Office::set_to("[quotas]\npending = 5\n");
    let body = request_body().to_string();
    let head = format!(
        "POST /api/v1/approvals HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        office.requester.token(),
        body.len(),
    );
    thread::scope(|scope| {
        for at in 0..8 {
            let (office, head) = (&office, &head);
            scope.spawn(move || {
                for pause in 0..100 {
                    let mut stream = open(&office.server);
                    stream.write_all(head.as_bytes()).unwrap();
                    // From before the commit to after the answer.
                    thread::sleep(Duration::from_micros(200 * (pause + at)));
                }
            });
        }
    });
    is_full(&office.requester);
    let pending = "/api/v1/approvals?status=pending&limit=200";
    let pending = office.requester.get(pending).ok()["items"].as_array().unwrap().len();
    assert!(pending <= 5, "{pending} are pending");
}

#[test]
fn a_request_that_is_refused_takes_no_place() {
    let office = Office::set_to("[quotas]\npending = 1\n");
    for _ in 0..3 {
        office.request_unmeetable(json!({ "threshold": 9 }));
        office.requester.post(APPROVALS, &json!({ "agent": "a" })).refused("request-invalid");
    }
    office.requester.request();
    is_full(&office.requester);
}

#[test]
fn a_requester_has_a_quota_of_bytes() {
    let office = Office::set_to("[quotas]\npending_bytes = 2097152\n");
    let request = |context: usize, plan: usize| {
        let mut body = request_body();
        body["context"] = json!({ "a": "x".repeat(context - 9) });
        body["plan"] = json!({ "a": "x".repeat(plan - 9) });
        office.requester.post(APPROVALS, &body)
    };
    let mib = 1 << 20;
    let largest = request(mib, mib).json(201);
    let refused = request(100, 100);
    assert!(refused.body.contains("quotas.pending_bytes"), "{}", refused.body);
    refused.refused_with(429, "rate-limited");
    office.requester.act(&largest, "withdraw", &json!({})).ok();
    let half = request(mib, 9).json(201);
    request(mib, 9).refused_with(429, "rate-limited");
    request(mib - 18, 9).json(201);
    assert_eq!(text(&half, "status"), "pending");
}
