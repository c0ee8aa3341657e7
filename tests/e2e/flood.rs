//! More connections than the server accepts.

use std::io::Write;
use std::net::TcpStream;

use serde_json::json;
use signoff::api::HELD_OF_SUBJECT_MAX;

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
    for head in STALLED {
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut stream = open(&office.server);
            let _ = stream.write_all(head.as_bytes());
            held.push(stream);
        }
        answers_others(&office);
        // The oldest made room; the newest are still held.
        let gone = Raw::rest(held.remove(0));
        assert!(gone.is_empty() || gone.contains(" 401 "), "{gone}");
    }
}

/// Checks that a health check, an administrator's revocation and a request are answered.
#[track_caller]
fn answers_others(office: &Office) {
    office.server.assert_ready();
    assert_eq!(office.server.get("/healthz").status, 200);
    let approver = json!({ "subject": "ann@company.com", "roles": ["approver"] });
    let token = office.admin.post("/api/v1/tokens", &approver).json(201);
    let revoke = format!("/api/v1/tokens/{}/revoke", text(&token, "id"));
    office.admin.post(&revoke, &json!({})).ok();
    office.requester.request();
}

/// Resident memory of a process in bytes.
fn resident(office: &Office) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", office.server.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
}

/// Opens connections that send something and then only hold their place. Others are answered, and the
/// server's memory hardly grows.
#[track_caller]
fn holds_little(connections: usize, send: impl Fn(&mut TcpStream) -> std::io::Result<()>) {
    allow_files(2_500);
    let office = Office::new();
    answers_others(&office);
    let before = resident(&office);
    let held: Vec<TcpStream> = (0..connections)
        .map(|_| {
            let mut stream = open(&office.server);
            // A server that has enough of it closes.
            let _ = send(&mut stream);
            stream
        })
        .collect();
    answers_others(&office);
    let grown = resident(&office).saturating_sub(before);
    assert!(grown < 100 << 20, "memory grew by {grown} bytes");
    drop(held);
}

#[test]
fn clients_that_read_nothing_keep_no_one_out_and_take_little_memory() {
    let requests = "GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(60);
    holds_little(CONNECTIONS, |stream| {
        rustix::net::sockopt::set_socket_recv_buffer_size(&*stream, 2_048)?;
        stream.write_all(requests.as_bytes())
    });
}

#[test]
fn bodies_that_nobody_may_send_take_little_memory() {
    let head = "POST /api/v1/approvals HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                authorization: Bearer wrong\r\ncontent-length: 2500000\r\n\r\n";
    let body = vec![b'x'; 1_200_000];
    holds_little(CONNECTIONS / 4, |stream| {
        stream.write_all(head.as_bytes())?;
        stream.write_all(&body)
    });
}

/// A caller with a token holds only so many waits, and a revocation ends them at once.
#[test]
fn waits_of_one_token_keep_no_one_out_and_end_with_it() {
    allow_files(2_500);
    let office = Office::new();
    let approval = office.requester.request();
    let made =
        json!({ "subject": "agent:mallory", "roles": ["requester", "executor"], "agents": "*" });
    let made = office.admin.post("/api/v1/tokens", &made).json(201);
    let wait = format!(
        "GET /api/v1/approvals/{}?wait=60 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\r\n",
        text(&approval, "id"),
        text(&made, "token"),
    );
    let mut held = Vec::new();
    // Fewer than there are places: otherwise the oldest, which wait, make room.
    for _ in 0..1_000 {
        let mut stream = open(&office.server);
        let _ = stream.write_all(wait.as_bytes());
        held.push(stream);
    }
    answers_others(&office);
    let of_mallory = office.server.with_token(text(&made, "token"));
    let path = format!("/api/v1/approvals/{}", text(&approval, "id"));
    until("all its waits are open", || {
        (of_mallory.get(&format!("{path}?wait=1")).status == 429).then_some(())
    });
    of_mallory.get(&path).ok();
    let start = std::time::Instant::now();
    let revoke = format!("/api/v1/tokens/{}/revoke", text(&made, "id"));
    office.admin.post(&revoke, &json!({})).ok();
    let watched = "signoff_approvals_watched 0\n";
    until("the waits end", || office.admin.get("/metrics").body.contains(watched).then_some(()));
    assert!(start.elapsed().as_secs() < 55, "they ended with their time");
    let answers: Vec<String> = held.into_iter().map(first_line).collect();
    let of = |status: &str| answers.iter().filter(|line| line.contains(status)).count();
    assert_eq!(of(" 401 "), HELD_OF_SUBJECT_MAX, "{answers:?}");
    assert!(of(" 429 ") > 0 && of(" 200 ") == 0, "{answers:?}");
}

/// Reads the status line; empty if the connection was ended.
fn first_line(mut stream: TcpStream) -> String {
    let mut bytes = [0; 64];
    let read = std::io::Read::read(&mut stream, &mut bytes).unwrap_or(0);
    String::from_utf8_lossy(&bytes[..read]).lines().next().unwrap_or_default().to_owned()
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
