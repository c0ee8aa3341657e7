//! More connections than the server accepts.

use std::io::Write;
use std::net::TcpStream;

use serde_json::json;

use crate::support::{Office, Raw, allow_files, home_and_server, open, text, until};

/// Above the connection limit of the server.
const CONNECTIONS: usize = 1_100;

/// Each kind of connection that only takes a place: it sends nothing, half a head, or half a body.
const STALLED: [&str; 3] = [
    "",
    "POST /api/v1/approvals HTTP/1.1\r\nhost: localhost\r\n",
    "POST /api/v1/approvals HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
     content-length: 1000000\r\n\r\n{",
];

#[test]
fn stalled_connections_keep_no_one_out() {
    allow_files(2_500);
    let office = Office::new();
    let approver = json!({ "subject": "ann@company.com", "roles": ["approver"] });
    for head in STALLED {
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut stream = open(&office.server);
            let _ = stream.write_all(head.as_bytes());
            held.push(stream);
        }
        office.server.assert_ready();
        let token = office.admin.post("/api/v1/tokens", &approver).json(201);
        let revoke = format!("/api/v1/tokens/{}/revoke", text(&token, "id"));
        office.admin.post(&revoke, &json!({})).ok();
        office.requester.request();
        // The oldest made room; the newest are still held.
        let gone = Raw::rest(held.remove(0));
        assert!(gone.is_empty() || gone.contains(" 401 "), "{gone}");
    }
}

#[test]
fn stalled_connections_of_a_server_without_tokens_keep_no_one_out() {
    allow_files(2_500);
    let (_home, server) = home_and_server();
    let held: Vec<TcpStream> = (0..CONNECTIONS).map(|_| open(&server)).collect();
    server.assert_ready();
    assert_eq!(server.get("/healthz").status, 200);
    let gone = held.into_iter().take(CONNECTIONS - 1_024).map(Raw::rest);
    assert!(gone.into_iter().all(|text| text.is_empty()));
}

#[test]
fn a_stop_does_not_wait_for_half_a_request() {
    let (_home, server) = home_and_server();
    let held: Vec<TcpStream> = STALLED
        .iter()
        .map(|head| {
            let mut stream = open(&server);
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    server.stop();
    drop(held);
}

#[test]
fn closed_connections_free_their_places() {
    let (_home, server) = home_and_server();
    for _ in 0..3 {
        let held: Vec<TcpStream> = (0..200).map(|_| open(&server)).collect();
        server.assert_ready();
        drop(held);
    }
    // The remaining one is the connection of this request.
    until("all places are free but one", || {
        server.get("/metrics").body.contains("signoff_connections 1\n").then_some(())
    });
}
