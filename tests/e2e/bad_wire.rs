//! Malformed HTTP. It neither ends the server nor changes anything.

use std::io::{Read, Write};
use std::thread::{self, sleep};
use std::time::Duration;

use serde_json::json;

use crate::support::{Raw, Server, home_and_server, open, request_body, request_text};

const APPROVALS: &str = "/api/v1/approvals";

fn with_length(body: &str) -> String {
    request_text(APPROVALS, &format!("content-length: {}\r\n", body.len()), body)
}

/// Checks that an exchange was refused below the API: with a 4xx, or by closing the connection.
#[track_caller]
fn refused_or_closed(text: &str) {
    let status = text.split(' ').nth(1);
    assert!(text.is_empty() || status.is_some_and(|s| s.starts_with('4')), "{text}");
}

#[track_caller]
fn unharmed(server: &Server) {
    server.assert_ready();
    assert_eq!(server.audit().len(), 0, "nothing was recorded");
}

#[test]
fn malformed_http_is_refused_or_closed() {
    let (_home, server) = home_and_server();
    let mut noise = 0x9e37_79b9_u32;
    let mut noisy = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 24) as u8
    };
    let garbage: Vec<u8> = (0..4096).map(|_| noisy()).collect();
    let cases: Vec<Vec<u8>> = vec![
        vec![],
        vec![0],
        vec![0; 1000],
        b"\r\n\r\n\r\n".to_vec(),
        garbage,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"GET\r\n\r\n".to_vec(),
        b"GET /healthz\r\n\r\n".to_vec(),
        b"GET /healthz HTTP/9.9\r\nhost: localhost\r\n\r\n".to_vec(),
        b"GET /\x00 HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
        b"GET /healthz HTTP/1.1\r\nhost localhost\r\n\r\n".to_vec(),
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n folded: x\r\n\r\n".to_vec(),
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: \x01\r\n\r\n".to_vec(),
        b"GET /healthz HTTP/1.1\r\nho".to_vec(),
        b"{\"agent\":\"a\"}".to_vec(),
    ];
    for bytes in cases {
        refused_or_closed(&Raw::exchange(&server, &bytes));
        server.assert_ready();
    }
    unharmed(&server);
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let (_home, server) = home_and_server();
    let head = |headers: &str| format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
    let long = head(&format!("x: {}\r\n", "x".repeat(64 << 10)));
    let many = head(&(0..100).map(|n| format!("x-{n}: 1\r\n")).collect::<String>());
    let path = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(64 << 10));
    let endless = head(&format!("x: {}", "x".repeat(4 << 20)));
    for bytes in [long, many, path, endless] {
        refused_or_closed(&Raw::exchange(&server, bytes.as_bytes()));
    }
    let fits = head(&format!("x: {}\r\nconnection: close\r\n", "x".repeat(16 << 10)));
    assert_eq!(Raw::answer(&Raw::hold(&server, fits.as_bytes())).status, 200);
    unharmed(&server);
}

#[test]
fn a_body_over_two_and_a_half_mib_is_413() {
    let (_home, server) = home_and_server();
    let most = 5 << 19;
    for bytes in [most + 1, 3 << 20, 16 << 20] {
        let body = " ".repeat(bytes);
        server.post_text(APPROVALS, &body).refused_with(413, "limit-exceeded");
        let chunked = format!("{bytes:x}\r\n{body}\r\n0\r\n\r\n");
        let text = request_text(APPROVALS, "transfer-encoding: chunked\r\n", &chunked);
        let answer = Raw::answer(&Raw::hold(&server, text.as_bytes()));
        answer.refused_with(413, "limit-exceeded");
    }
    server.post_text(APPROVALS, " ".repeat(most)).refused("request-invalid");
    unharmed(&server);
}

#[test]
fn a_declared_length_alone_is_enough_to_refuse() {
    let (_home, server) = home_and_server();
    let text = request_text(APPROVALS, "content-length: 99999999999\r\n", "{");
    let answer = Raw::answer(&Raw::hold(&server, text.as_bytes()));
    answer.refused_with(413, "limit-exceeded");
    unharmed(&server);
}

#[test]
fn a_body_that_breaks_off_is_refused() {
    let (_home, server) = home_and_server();
    let body = request_body().to_string();
    let whole = with_length(&body);
    for missing in [1, 10, body.len()] {
        refused_or_closed(&Raw::exchange(&server, &whole.as_bytes()[..whole.len() - missing]));
    }
    for chunks in [
        "zz\r\n{}\r\n0\r\n\r\n",
        "-1\r\n",
        "2\r\n{}",
        "2\r\n{}xx0\r\n\r\n",
        "ffffffffffffffffff\r\n",
    ] {
        let text = request_text(APPROVALS, "transfer-encoding: chunked\r\n", chunks);
        refused_or_closed(&Raw::exchange(&server, text.as_bytes()));
    }
    unharmed(&server);
}

#[test]
fn a_chunked_body_is_a_body() {
    let (_home, server) = home_and_server();
    let body = request_body().to_string();
    let (one, two) = body.split_at(20);
    let chunks = format!("14\r\n{one}\r\n{:x};ext=1\r\n{two}\r\n0\r\n\r\n", two.len());
    let text = request_text(APPROVALS, "transfer-encoding: chunked\r\n", &chunks);
    Raw::answer(&Raw::hold(&server, text.as_bytes())).json(201);
    assert_eq!(server.audit().len(), 1);
}

#[test]
fn an_unclear_length_is_never_read_as_two_requests() {
    let (_home, server) = home_and_server();
    let body = "0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for headers in [
        "content-length: 2\r\ncontent-length: 3\r\n",
        "content-length: 2, 3\r\n",
        "content-length: -1\r\n",
        "content-length: +2\r\n",
        "content-length: 0x2\r\n",
        "content-length: 99999999999999999999\r\n",
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: xchunked\r\n",
        "content-length : 2\r\n",
    ] {
        let text = Raw::exchange(&server, request_text(APPROVALS, headers, body).as_bytes());
        refused_or_closed(&text);
        assert!(text.matches("HTTP/1.1 ").count() <= 1, "{headers}: {text}");
        server.assert_ready();
    }
    unharmed(&server);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (_home, server) = home_and_server();
    let get = |path: &str, headers: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n")
    };
    let text = Raw::hold(
        &server,
        [get("/healthz", ""), get("/nowhere", ""), get("/readyz", "connection: close\r\n")]
            .concat()
            .as_bytes(),
    );
    let statuses: Vec<&str> = text.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "404", "200"], "{text}");
}

#[test]
fn exactly_one_host_is_required() {
    let (_home, server) = home_and_server();
    let get = |target: &str, hosts: &str| {
        let text = format!("GET {target} HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
        Raw::answer(&Raw::hold(&server, text.as_bytes()))
    };
    get("/healthz", "host: localhost\r\n").ok();
    get("/healthz", "").refused_with(400, "request-invalid");
    get("/healthz", "host:\r\n").refused("forbidden");
    for two in
        ["host: localhost\r\nhost: evil.example\r\n", "host: evil.example\r\nhost: localhost\r\n"]
    {
        get("/healthz", two).refused_with(400, "request-invalid");
    }
    get("http://evil.example/healthz", "host: localhost\r\n").refused("forbidden");
    get("http://localhost/healthz", "host: evil.example\r\n").refused("forbidden");
    get("http://localhost/healthz", "host: localhost\r\n").ok();
    get("/healthz", "host: user@localhost\r\n").refused("forbidden");
}

#[test]
fn a_path_with_parent_segments_is_not_found() {
    let (_home, server) = home_and_server();
    for target in [
        "/../../etc/passwd",
        "/api/v1/approvals/../../../healthz",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/api/v1/approvals/..%2f..%2fhealthz",
        "/api/v1/approvals/%00",
    ] {
        let text = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        Raw::answer(&Raw::hold(&server, text.as_bytes())).refused("not-found");
    }
    unharmed(&server);
}

#[test]
fn a_body_that_arrives_too_slowly_is_refused() {
    let (_home, server) = home_and_server();
    let mut stream = open(&server);
    let body = request_body().to_string();
    let text = request_text(APPROVALS, "content-length: 4000\r\n", &body);
    stream.write_all(text.as_bytes()).unwrap();
    let mut slow = stream.try_clone().unwrap();
    // Each byte arrives in time; the whole body never does.
    let dribble = thread::spawn(move || {
        while slow.write_all(b" ").is_ok() {
            sleep(Duration::from_millis(200));
        }
    });
    let answer = Raw::answer(&Raw::rest(stream));
    let problem = answer.refused("limit-exceeded");
    assert!(problem["detail"].as_str().unwrap().contains("did not arrive within"), "{problem}");
    dribble.join().unwrap();
    unharmed(&server);
}

#[test]
fn a_head_that_never_ends_is_closed() {
    let (_home, server) = home_and_server();
    let starts = ["", "G", "GET /healthz HTTP/1.1\r\nhost: loc"];
    // All at the same time, because each waits for a time-out.
    let held = starts.map(|start| {
        let mut stream = open(&server);
        stream.write_all(start.as_bytes()).unwrap();
        stream
    });
    for stream in held {
        refused_or_closed(&Raw::rest(stream));
    }
    unharmed(&server);
}

#[test]
fn a_client_that_disconnects_does_not_affect_others() {
    let (_home, server) = home_and_server();
    let text = with_length(&request_body().to_string());
    for cut in (1..text.len()).step_by(7) {
        let mut stream = open(&server);
        stream.write_all(&text.as_bytes()[..cut]).unwrap();
    }
    unharmed(&server);
    // Complete requests whose answers are not read.
    for _ in 0..50 {
        open(&server).write_all(text.as_bytes()).unwrap();
    }
    server.assert_ready();
    let made = server.get("/api/v1/approvals?limit=200").ok()["items"].as_array().unwrap().len();
    assert!(made <= 50);
    server.post(APPROVALS, &json!({ "agent": "a", "action": "b", "context": {} })).json(201);
}

#[test]
fn a_connection_stays_open_after_a_refusal() {
    let (_home, server) = home_and_server();
    let mut stream = open(&server);
    let body = request_body().to_string();
    let good = with_length(&body).replace("connection: close\r\n", "");
    let bad = good.replace("application/json", "text/plain");
    let mut answers = 0;
    for request in [&good, &bad, &good] {
        stream.write_all(request.as_bytes()).unwrap();
        let mut piece = [0; 16 << 10];
        let n = stream.read(&mut piece).unwrap();
        let text = std::str::from_utf8(&piece[..n]).unwrap();
        let expected = if request == &bad { " 415 " } else { " 201 " };
        assert!(text.contains(expected), "{text}");
        answers += 1;
    }
    assert_eq!((answers, server.audit().len()), (3, 2));
}

#[test]
fn a_connection_stays_open_after_an_unknown_path_or_method() {
    let (_home, server) = home_and_server();
    for path in [APPROVALS, "/none", "/api/v1/none", "/healthz"] {
        let mut stream = open(&server);
        let head = format!("PUT {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        // The end of the body arrives late.
        sleep(Duration::from_millis(100));
        let rest = "lateGET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(rest.as_bytes()).unwrap();
        let text = Raw::rest(stream);
        assert_eq!(text.matches("HTTP/1.1 ").count(), 2, "{path}: {text}");
        assert!(text.contains("HTTP/1.1 200 "), "{path}: {text}");
    }
}
