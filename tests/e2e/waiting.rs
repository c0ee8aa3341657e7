//! Waiting for a decision, and the stream of changes.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use signoff::clock::SystemClock;
use signoff::engine::VERIFIER;

use crate::support::{
    APPROVER, Home, Inside, Office, Server, flat, home_and_server, id, open, until,
};

/// Server-sent events: number, kind, entry.
struct Events(BufReader<TcpStream>);

impl Events {
    /// Opens the stream, with HTTP/1.0 so that it is not chunked.
    fn listen(server: &Server, headers: &str) -> Self {
        let mut stream = open(server);
        let request = format!("GET /api/v1/events HTTP/1.0\r\nhost: localhost\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut events = Self(BufReader::new(stream));
        let head = events.until_blank().unwrap();
        assert!(head[0].contains(" 200 "), "{head:?}");
        assert!(head.contains(&"content-type: text/event-stream".to_owned()), "{head:?}");
        events
    }

    fn next(&mut self) -> Option<(u64, String, Value)> {
        loop {
            let lines = self.until_blank()?;
            let field = |name: &str| {
                lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            };
            if let Some(number) = field("id") {
                let entry = serde_json::from_str(field("data").unwrap()).unwrap();
                return Some((number.parse().unwrap(), field("event").unwrap().to_owned(), entry));
            }
            // A block without an id is a heartbeat, a comment.
            assert!(lines.iter().all(|line| line.starts_with(':')), "{lines:?}");
        }
    }

    fn until_blank(&mut self) -> Option<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).expect("the stream continues") == 0 {
                return None;
            }
            match line.trim_end() {
                "" if lines.is_empty() => {}
                "" => return Some(lines),
                line => lines.push(line.to_owned()),
            }
        }
    }
}

/// Checks that a wait of 60 s was woken: otherwise it takes the full time.
#[track_caller]
fn woken(start: Instant) {
    assert!(start.elapsed() < Duration::from_secs(55), "it was not woken: {:?}", start.elapsed());
}

fn wait_for(server: &Server, approval: &Value, query: &str) -> Value {
    server.get(&format!("/api/v1/approvals/{}?{query}", id(approval))).ok()
}

/// Waits until this many approvals are watched.
fn until_watched(server: &Server, watched: usize) {
    let line = format!("signoff_approvals_watched {watched}\n");
    until("it is watched", || server.get("/metrics").body.contains(&line).then_some(()));
}

#[test]
fn a_wait_ends_with_the_decision() {
    let (_home, server) = home_and_server();
    for (decision, status) in [("approved", "approved"), ("rejected", "rejected")] {
        let approval = server.request();
        let start = Instant::now();
        let answer = thread::scope(|scope| {
            let waits = scope.spawn(|| wait_for(&server, &approval, "wait=60"));
            until_watched(&server, 1);
            server.decide(&approval, decision, APPROVER).ok();
            waits.join().unwrap()
        });
        assert_eq!(answer["status"], status);
        woken(start);
        until_watched(&server, 0);
    }
}

#[test]
fn a_wait_ends_with_the_expiry() {
    let (_home, server) = home_and_server();
    let approval = server.request_for(2);
    let start = Instant::now();
    assert_eq!(wait_for(&server, &approval, "wait=60")["status"], "expired");
    woken(start);
}

#[test]
fn a_wait_ends_with_the_expiry_before_it_is_stored() {
    let home = Home::new();
    let inside = Inside::start(&home, VERIFIER, Arc::new(SystemClock));
    let approval = inside.client.request_for(2);
    let start = Instant::now();
    let path = format!("/api/v1/approvals/{}?wait=60", id(&approval));
    assert_eq!(inside.client.get(&path).ok()["status"], "expired");
    woken(start);
    assert_eq!(inside.client.audit().len(), 1, "the expiry is not stored yet");
    inside.stop();
}

#[test]
fn a_wait_ends_unchanged_after_its_time() {
    let (_home, server) = home_and_server();
    let approval = server.request();
    let start = Instant::now();
    assert_eq!(wait_for(&server, &approval, "wait=2")["status"], "pending");
    assert!(start.elapsed() >= Duration::from_secs(2));
}

#[test]
fn a_wait_answers_at_once_if_the_status_differs() {
    let (_home, server) = home_and_server();
    let approval = server.approved();
    assert_eq!(wait_for(&server, &approval, "wait=60")["status"], "approved");
    assert_eq!(wait_for(&server, &approval, "wait=60&while=executed")["status"], "approved");
    assert_eq!(wait_for(&server, &approval, "wait=0&while=approved")["status"], "approved");
}

#[test]
fn an_executor_can_wait_while_approved() {
    let (_home, server) = home_and_server();
    let approval = server.approved();
    let start = Instant::now();
    let answer = thread::scope(|scope| {
        let waits = scope.spawn(|| wait_for(&server, &approval, "wait=60&while=approved"));
        until_watched(&server, 1);
        server.claim(&approval).ok();
        waits.join().unwrap()
    });
    assert_eq!(answer["status"], "executed");
    woken(start);
}

#[test]
fn all_waiters_of_an_approval_are_woken() {
    let (_home, server) = home_and_server();
    let approval = server.request();
    let start = Instant::now();
    thread::scope(|scope| {
        let waits: Vec<_> = (0..32)
            .map(|_| scope.spawn(|| wait_for(&server, &approval, "wait=60")["status"].clone()))
            .collect();
        until_watched(&server, 1);
        server.decide(&approval, "approved", APPROVER).ok();
        for wait in waits {
            assert_eq!(wait.join().unwrap(), "approved");
        }
    });
    woken(start);
}

#[test]
fn a_disconnected_waiter_is_removed() {
    let (_home, server) = home_and_server();
    let approval = server.request();
    let mut stream = open(&server);
    let path = format!("/api/v1/approvals/{}?wait=60", id(&approval));
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).unwrap();
    until_watched(&server, 1);
    drop(stream);
    until_watched(&server, 0);
}

#[test]
fn a_stream_has_the_entries_of_the_audit() {
    let (_home, server) = home_and_server();
    server.request();
    let mut events = Events::listen(&server, "");
    let approval = server.approved();
    server.claim(&approval).ok();
    let received: Vec<_> = (0..3).map(|_| events.next().unwrap()).collect();
    let kinds: Vec<&str> = received.iter().map(|(_, kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["approval_requested", "approval_decided", "approval_claimed"]);
    let numbers: Vec<u64> = received.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, [5, 6, 7], "only entries after the start of the stream");
    let entries: Vec<Value> = received.into_iter().map(|(.., entry)| flat(&entry)).collect();
    assert_eq!(entries, server.audit_after(4));
}

#[test]
fn a_stream_ends_as_soon_as_its_token_is_revoked_or_has_expired() {
    let office = Office::new();
    let token = |expires: Value| {
        let made = json!({ "subject": "auditor@company.com", "roles": ["auditor"], "expires_in_seconds": expires });
        office.admin.post("/api/v1/tokens", &made).json(201)
    };
    let listen = |token: &Value| {
        let token = token["token"].as_str().unwrap();
        Events::listen(&office.server, &format!("authorization: Bearer {token}\r\n"))
    };
    let revoked = token(Value::Null);
    let mut events = listen(&revoked);
    let revoke = format!("/api/v1/tokens/{}/revoke", id(&revoked));
    office.admin.post(&revoke, &json!({})).ok();
    assert!(events.next().is_none());
    let mut events = listen(&token(json!(2)));
    assert!(events.next().is_none());
}

#[test]
fn a_stream_resumes_after_the_last_event_id() {
    let (_home, server) = home_and_server();
    for _ in 0..3 {
        server.request();
    }
    let numbers = |headers: &str, count: usize| {
        let mut events = Events::listen(&server, headers);
        (0..count).map(|_| events.next().unwrap().0).collect::<Vec<_>>()
    };
    assert_eq!(numbers("last-event-id: 0\r\n", 3), [1, 2, 3]);
    assert_eq!(numbers("Last-Event-ID: 1\r\n", 2), [2, 3]);
    let mut events = Events::listen(&server, "last-event-id: 3\r\n");
    server.request();
    assert_eq!(events.next().unwrap().0, 4);
}

/// A client that saw a log which was restored from a backup since.
#[test]
fn a_stream_past_the_end_begins_with_a_reset() {
    let (_home, server) = home_and_server();
    server.request();
    let mut events = Events::listen(&server, "last-event-id: 999999\r\n");
    let (newest, event, data) = events.next().unwrap();
    assert_eq!((event.as_str(), data), ("reset", json!({ "entries": newest })));
    server.request();
    assert_eq!(events.next().unwrap().0, newest + 1);
}

#[test]
fn a_stream_continues_over_several_batches() {
    let (_home, server) = home_and_server();
    for _ in 0..600 {
        server.request();
    }
    let mut events = Events::listen(&server, "last-event-id: 0\r\n");
    for number in 1..=600 {
        assert_eq!(events.next().unwrap().0, number);
    }
}

#[test]
fn a_stream_resumes_only_from_an_audit_number() {
    let (_home, server) = home_and_server();
    for wrong in ["x", "-1", "1.5", "18446744073709551616", ""] {
        let headers = [("last-event-id", wrong)];
        let answer = server.try_call(ureq::http::Method::GET, "/api/v1/events", &headers, None);
        answer.unwrap().refused("request-invalid");
    }
}

#[test]
fn a_shutdown_ends_waits_and_streams() {
    let (_home, server) = home_and_server();
    let approval = server.request();
    let mut events = Events::listen(&server, "");
    let start = Instant::now();
    let client = server.clone();
    thread::scope(|scope| {
        let path = format!("/api/v1/approvals/{}?wait=60", id(&approval));
        let wait = scope.spawn(move || client.get(&path).ok());
        until_watched(&server, 1);
        server.stop();
        assert_eq!(wait.join().unwrap()["status"], "pending");
    });
    woken(start);
    assert_eq!(events.next(), None);
}

#[test]
fn a_wait_for_an_unknown_approval_is_not_found_at_once() {
    let (_home, server) = home_and_server();
    let path = format!("/api/v1/approvals/appr_{}?wait=60", "0".repeat(26));
    server.get(&path).refused("not-found");
    server.get("/api/v1/approvals/appr_x?wait=60").refused("not-found");
    let known = server.request();
    let path = format!("/api/v1/approvals/{}?wait=1&while=odd", id(&known));
    server.get(&path).refused("request-invalid");
    assert_eq!(json!(server.show(&known)["status"]), "pending");
}
