//! The log of a server: one line per event, whatever callers send and whoever reads it.

use std::io::{Read, Write};
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::{
    Client, Home, Office, Raw, SERVE, Server, home_and_server, id, log_of, open, text, until,
};

/// Returns the line of a request, once it is logged.
fn line_of(server: &Server, request_id: &str) -> Value {
    until("the request is logged", || {
        let lines = server.log_of("request");
        lines.into_iter().find(|line| line["request_id"] == request_id)
    })
}

fn call(client: &Client, method: Method, path: &str, request_id: &str) -> u16 {
    let headers = [("x-request-id", request_id)];
    client.try_call(method, path, &headers, None).unwrap().status
}

#[test]
fn each_request_has_a_line() {
    let (_home, server) = home_and_server();
    let approval = server.request();
    let path = format!("/api/v1/approvals/{}?while=secret-word", id(&approval));
    assert_eq!(call(&server, Method::GET, &path, "one"), 422);
    let line = line_of(&server, "one");
    assert_eq!(line["level"], "INFO");
    assert_eq!((&line["method"], &line["status"]), (&json!("GET"), &json!(422)));
    assert_eq!(line["route"], "/api/v1/approvals/{id}");
    assert_eq!(line["id"], approval["id"]);
    assert_eq!(line["code"], "request-invalid");
    assert_eq!(line["peer"], "127.0.0.1");
    assert!(line["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{line}");
    assert!(line["bytes"].as_u64().is_some_and(|bytes| bytes > 50), "{line}");
    let time = text(&line, "timestamp");
    assert!(time.len() == 24 && time.ends_with('Z') && &time[19..20] == ".", "{time}");
    let absent = ["path", "token_id", "forwarded_for", "held", "aborted", "unlogged"];
    assert!(absent.iter().all(|field| line.get(field).is_none()), "{line}");
    assert_eq!(call(&server, Method::GET, "/nowhere/x", "two"), 404);
    let line = line_of(&server, "two");
    assert_eq!((&line["route"], &line["path"]), (&json!("none"), &json!("/nowhere/x")));
    let printed = server.stop();
    assert!(!printed.contains("secret-word"), "a query is not logged");
}

#[test]
fn probes_are_logged_at_debug_only() {
    for (level, logged) in [("info", false), ("debug", true)] {
        let home = Home::new();
        let mut command = home.signoff(SERVE);
        command.args(["--log-level", level]);
        let server = Server::start_with(command);
        for path in ["/healthz", "/readyz", "/metrics"] {
            assert_eq!(call(&server, Method::GET, path, &path[1..]), 200);
        }
        call(&server, Method::GET, "/api/v1/approvals", "last");
        line_of(&server, "last");
        for path in ["healthz", "readyz", "metrics"] {
            let lines = server.log_of("request");
            let found = lines.iter().find(|line| line["request_id"] == path);
            assert_eq!(found.is_some(), logged, "{level} {path}");
            assert!(found.is_none_or(|line| line["level"] == "DEBUG"));
        }
    }
}

#[test]
fn no_request_writes_a_line_of_its_own() {
    // A proxy is allowed once there is a token.
    let home = Home::new();
    let create = ["token", "create", "--subject", "root", "--role", "admin"];
    let token = home.run(&create).ok().trim().to_owned();
    for format in ["json", "text"] {
        let mut command = home.signoff(SERVE);
        command.args(["--behind-proxy", "--log-format", format]);
        let server = Server::start_with(command);
        let hostile = [
            "GET /a%0a{\"level\":\"ERROR\"} HTTP/1.1\r\nhost: localhost\r\n".to_owned(),
            "GET /\u{1b}[31m\u{202e} HTTP/1.1\r\nhost: localhost\r\n".to_owned(),
            "GET /api/v1/approvals/%0d%0a%1b HTTP/1.1\r\nhost: \"\\\r\n".to_owned(),
            "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-request-id: a\" b\r\nx-forwarded-for: \"\\,\t{\r\n".to_owned(),
            format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n", "x".repeat(9_000)),
            format!("{} / HTTP/1.1\r\nhost: localhost\r\n", "M".repeat(9_000)),
        ];
        for head in hostile {
            Raw::exchange(&server, format!("{head}connection: close\r\n\r\n").as_bytes());
        }
        let of_admin = server.with_token(&*token);
        let headers = [("x-request-id", "last"), ("x-forwarded-for", "10.0.0.1, 203.0.113.7:99")];
        of_admin.try_call(Method::GET, "/api/v1/tokens", &headers, None).unwrap();
        until("the last is logged", || server.printed().contains("203.0.113.7").then_some(()));
        let last = match format {
            "json" => {
                let line = line_of(&server, "last");
                assert_eq!(line["forwarded_for"], "203.0.113.7");
                assert!(text(&line, "token_id").starts_with("tok_"));
                line.to_string()
            }
            _ => String::new(),
        };
        let printed = server.stop();
        assert!(!printed.contains(&token) && !last.contains(&token));
        assert!(!printed.contains('\u{1b}') && !printed.contains('\u{202e}'), "{printed}");
        for line in printed.lines() {
            let is_object = serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object());
            let is_text = line.starts_with("20") && line.get(23..25) == Some("Z ");
            assert!(if format == "json" { is_object } else { is_object || is_text }, "{line}");
            assert!(line.len() < 2_000, "{line}");
        }
    }
}

#[test]
fn a_forwarded_address_is_ignored_without_a_proxy() {
    let (_home, server) = home_and_server();
    let headers = [("x-request-id", "one"), ("x-forwarded-for", "203.0.113.7")];
    server.try_call(Method::GET, "/api/v1/approvals", &headers, None).unwrap();
    line_of(&server, "one");
    assert!(!server.stop().contains("203.0.113.7"));
}

#[test]
fn callers_of_nobody_get_only_so_many_lines() {
    let office = Office::new();
    let nobody = office.server.with_token("");
    for number in 0..150 {
        let path = ["/api/v1/approvals", "/nowhere", "/openapi.json"][number % 3];
        call(&nobody, Method::GET, path, "flood");
    }
    call(&office.admin, Method::GET, "/api/v1/tokens", "known");
    line_of(&office.server, "known");
    let lines = office.server.log_of("request");
    let flood: Vec<&Value> = lines.iter().filter(|line| line["request_id"] == "flood").collect();
    assert!((10..150).contains(&flood.len()), "{}", flood.len());
    // The number of those left out comes with the next line.
    let next = until("another is logged", || {
        call(&nobody, Method::GET, "/nowhere", "next");
        let lines = office.server.log_of("request");
        lines.into_iter().find(|line| line["request_id"] == "next")
    });
    let mut unlogged: u64 = flood.iter().filter_map(|line| line["unlogged"].as_u64()).sum();
    unlogged += next["unlogged"].as_u64().unwrap_or(0);
    assert!(unlogged >= 150 - flood.len() as u64, "{unlogged}");
}

#[test]
fn a_wait_and_a_stream_are_logged_with_their_end() {
    let (_home, server) = home_and_server();
    let approval = server.request();
    let get = |path: &str, name: &str| {
        let mut stream = open(&server);
        let head =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nx-request-id: {name}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    let wait = get(&format!("/api/v1/approvals/{}?wait=60", id(&approval)), "wait");
    let mut stream = get("/api/v1/events", "stream");
    until("both are open", || {
        let metrics = server.get("/metrics").body;
        let open =
            ["wait", "stream"].map(|kind| format!("signoff_held_requests{{kind=\"{kind}\"}} 1"));
        open.iter().all(|line| metrics.contains(line)).then_some(())
    });
    stream.read_exact(&mut [0; 16]).unwrap();
    assert!(server.log_of("request").iter().all(|line| line["request_id"] != "stream"));
    drop((wait, stream));
    let line = line_of(&server, "wait");
    assert_eq!((&line["held"], &line["aborted"]), (&json!(true), &json!(true)));
    assert!(line.get("status").is_none(), "{line}");
    // The server notices at the next event.
    server.request();
    server.request();
    let line = line_of(&server, "stream");
    assert_eq!((&line["held"], &line["status"]), (&json!(true), &json!(200)));
}

#[test]
fn a_server_says_when_it_starts_reloads_and_stops() {
    let (_home, server) = home_and_server();
    server.signal(Signal::HUP);
    until("it reloaded", || (server.log_of("keys reloaded").len() == 1).then_some(()));
    let verifier = server.get("/readyz").ok()["verifier"].clone();
    let url = server.url.clone();
    let printed = server.stop();
    let only = |message: &str| {
        let [line] = log_of(&printed, message).try_into().expect(message);
        line
    };
    assert_eq!(text(&only("started"), "settings").len(), 64);
    let ready = only("ready");
    assert_eq!((&ready["verifier"], &ready["listeners"]), (&verifier, &json!(url)));
    only("reloading");
    assert_eq!(only("stopping")["signal"], "SIGTERM");
    only("stopped");
}

#[test]
fn a_quiet_server_prints_warnings_and_errors_only() {
    let home = Home::new();
    // Creates the store and a log key, which a start reports.
    home.serve().stop();
    for (arguments, start, events, lines) in [
        (&["--quiet"][..], false, false, false),
        (&["--quiet", "--json"], true, false, false),
        (&["--no-events", "--log-level", "error"], true, false, false),
        (&["--log-level", "warn"], true, true, false),
        (&[], true, true, true),
    ] {
        let mut command = home.signoff(&["serve", "--listen", "unix:here.sock"]);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        until("it answers", || {
            (home.run(&["--server", "unix:here.sock", "list"]).code == 0).then_some(())
        });
        let body = ["request", "--agent", "a", "--action", "b", "--context", "{}"];
        home.run(&[&["--server", "unix:here.sock"][..], &body].concat()).exits(0);
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, Signal::TERM).unwrap();
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success());
        let (out, err) =
            (String::from_utf8(ended.stdout).unwrap(), String::from_utf8(ended.stderr).unwrap());
        assert_eq!(out.contains("unix:here.sock"), start, "{arguments:?}: {out}");
        assert_eq!(out.contains("approval_requested"), events, "{arguments:?}: {out}");
        assert_eq!(err.contains("request_id"), lines, "{arguments:?}: {err}");
        assert!(lines || err.is_empty(), "{arguments:?}: {err}");
    }
}

#[test]
fn a_reader_that_takes_nothing_holds_up_neither_calls_nor_the_stop() {
    let home = Home::new();
    let mut command = home.signoff(SERVE);
    command.args(["--log-format", "text"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    std::io::BufRead::read_line(&mut out, &mut first).unwrap();
    let facts: Value = serde_json::from_str(&first).unwrap();
    let client = Client::new(text(&facts, "url"));
    // Nobody reads either output from here on. The pipes and the queue take some thousand lines.
    let dropped = || {
        let metrics = client.get("/metrics").body;
        let found =
            metrics.lines().find_map(|l| l.strip_prefix("signoff_log_lines_dropped_total "));
        found.unwrap().parse::<u64>().unwrap()
    };
    while dropped() == 0 {
        for _ in 0..500 {
            assert_eq!(client.get("/api/v1/approvals?limit=1").status, 200);
        }
    }
    for _ in 0..400 {
        client.request();
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    let status = until("it ends", || child.try_wait().unwrap());
    assert!(status.success());
    drop(out);
}

#[test]
fn event_lines_say_what_happened() {
    let office = Office::new();
    let [ann, bob] = ["ann@example.com", "bob@example.com"].map(|name| office.person(name, &[]));
    let approval = office.request(json!({ "threshold": 2 }));
    assert_eq!(ann.approves(&approval), "pending");
    let tail = || {
        let arguments = ["--server", &office.server.url, "--token", office.admin.token()];
        office.home.run(&[&arguments[..], &["audit", "tail"]].concat()).ok()
    };
    let shown = tail();
    assert!(shown.contains("\tpending: approved, 1 of 2\tann@example.com"), "{shown}");
    bob.approves(&approval);
    let claimed = office.executor.claim(&approval).ok();
    let outcome = json!({ "execution_id": claimed["execution"]["id"], "outcome": "failed" });
    office.executor.act(&approval, "outcome", &outcome).ok();
    let shown = tail();
    assert!(shown.contains("\texecuted: failed\t"), "{shown}");
}
