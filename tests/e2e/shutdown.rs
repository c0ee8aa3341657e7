//! Shutdown: accepted requests are finished before the server exits.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Stdio;

use rustix::process::Signal;

use crate::support::{
    Client, Home, Raw, SERVE, home_and_server, open, request_body, request_text, until,
};

#[test]
fn an_accepted_request_is_finished() {
    let (home, mut server) = home_and_server();
    let body = request_body().to_string();
    let headers = format!("content-length: {}\r\n", body.len());
    let text = request_text("/api/v1/approvals", &headers, &body);
    let (sent, rest) = text.split_at(text.len() - 10);
    let mut stream = open(&server);
    stream.write_all(sent.as_bytes()).unwrap();
    until("the request has arrived", || {
        server.get("/metrics").body.contains("signoff_connections 2\n").then_some(())
    });
    server.terminate();
    until("it accepts no more", || TcpStream::connect(server.address()).is_err().then_some(()));
    stream.write_all(rest.as_bytes()).unwrap();
    let made = Raw::answer(&Raw::rest(stream)).json(201);
    assert!(server.ended().success());
    assert_eq!(home.serve().show(&made)["status"], "pending");
}

#[test]
fn sigint_and_sigterm_exit_with_0() {
    for signal in [Signal::INT, Signal::TERM] {
        let (home, mut server) = home_and_server();
        let approval = server.approved();
        server.signal(signal);
        let status = server.ended();
        assert_eq!(status.code(), Some(0), "{signal:?}: {}", server.printed());
        assert_eq!(home.serve().show(&approval)["status"], "approved");
    }
}

#[test]
fn a_server_can_be_stopped_right_after_it_prints_its_address() {
    let home = Home::new();
    for _ in 0..20 {
        home.serve().stop();
    }
}

#[test]
fn a_server_keeps_running_when_its_output_is_closed() {
    let home = Home::new();
    let mut command = home.signoff(SERVE);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    let facts: serde_json::Value = serde_json::from_str(&first).unwrap();
    drop((out, child.stderr.take()));
    let client = Client::new(facts["url"].as_str().unwrap());
    for _ in 0..3 {
        client.approved();
    }
    let short = client.request_for(1);
    until("the sweeper still runs", || {
        client.events_of(&short).contains(&"approval_expired".to_owned()).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn idle_connections_do_not_delay_a_shutdown() {
    let (_home, mut server) = home_and_server();
    let idle: Vec<TcpStream> = (0..50).map(|_| open(&server)).collect();
    let mut used = open(&server);
    used.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    server.assert_ready();
    server.terminate();
    assert!(server.ended().success());
    drop(idle);
}

#[test]
fn a_cleanly_closed_store_opens_without_repair() {
    let (home, server) = home_and_server();
    for _ in 0..10 {
        server.approved();
    }
    server.stop();
    let doctor = home.run(&["doctor"]).ok();
    assert!(doctor.contains("10 approvals and 23 audit entries agree"), "{doctor}");
}
