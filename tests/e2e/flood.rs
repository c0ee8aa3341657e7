//! More connections than the server accepts.

use std::io::ErrorKind;
use std::net::TcpStream;

use crate::support::{HANG, Raw, allow_files, home_and_server, open, until};

/// Above the connection limit of the server.
const CONNECTIONS: usize = 1_100;

#[test]
fn a_flood_of_connections_is_refused_and_the_server_keeps_running() {
    allow_files(2_500);
    let (_home, server) = home_and_server();
    let mut open_connections = Vec::new();
    for _ in 0..CONNECTIONS {
        match TcpStream::connect_timeout(&server.address(), HANG) {
            Ok(stream) => {
                stream.set_read_timeout(Some(HANG)).unwrap();
                open_connections.push(stream);
            }
            Err(e) => assert_eq!(e.kind(), ErrorKind::ConnectionRefused),
        }
    }
    // No client sends anything: accepted connections are closed by a time-out, and the others are
    // refused at once.
    let mut refused = 0;
    for stream in open_connections {
        let text = Raw::rest(stream);
        if text.contains(" 429 ") {
            let answer = Raw::answer(&text);
            assert_eq!(answer.header("connection"), Some("close"));
            answer.refused("rate-limited");
            refused += 1;
        } else {
            assert!(text.is_empty() || text.contains(" 408 "), "{text}");
        }
    }
    println!("{refused} of {CONNECTIONS} connections were refused");
    server.assert_ready();
    assert_eq!(server.get("/healthz").status, 200);
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
