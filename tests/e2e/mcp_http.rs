//! `signoff mcp gate --upstream … --listen …`: who may call it, what it passes, and that no tool runs otherwise.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use crate::mcp_calls::{RULES, pending};
use crate::support::{Home, activated, home_with_signer, until};

const TOOLS: &str = r#"{"tools":[{"name":"read","inputSchema":{"type":"object"}},{"name":"write","inputSchema":{"type":"object"}}]}"#;
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
const READ: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"read"}}"#;
const WRITE: &str =
    r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"write","arguments":{}}}"#;
/// Events as the server writes them: unknown fields and members, and numbers that a float cannot hold.
const EVENTS: &str = "id: 7\r\nretry: 9\r\ndata:\r\n\r\n: a comment\n\nevent: message\nfuture: x\ndata: {\"jsonrpc\":\"2.0\", \"id\":2,\ndata: \"result\":{\"n\":12345678901234567890123,\"n2\":1.0,\"content\":[]}}\n\n";

/// A server over HTTP, which records what it gets.
struct Upstream {
    url: String,
    got: Arc<Mutex<Vec<(String, String)>>>,
}

impl Upstream {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let got = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&got);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || answer(stream.unwrap(), &kept));
            }
        });
        Self { url, got }
    }

    /// Returns the calls of tools that it got.
    fn calls(&self) -> usize {
        let got = self.got.lock().unwrap();
        got.iter().filter(|(_, body)| body.contains("tools/call")).count()
    }
}

fn answer(stream: TcpStream, got: &Mutex<Vec<(String, String)>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut line) = (String::new(), String::new());
    while reader.read_line(&mut line).unwrap_or(0) > 2 {
        head.push_str(&line);
        line.clear();
    }
    let length = head.to_ascii_lowercase();
    let length =
        length.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    got.lock().unwrap().push((head, body.clone()));
    let json = |text: &str, more: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len()
        )
    };
    let id = serde_json::from_str::<serde_json::Value>(&body).unwrap_or_default()["id"].to_string();
    let text = if body.contains("\"initialize\"") {
        json(
            &format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"protocolVersion\":\"2025-11-25\"}}}}"
            ),
            "Mcp-Session-Id: s1\r\n",
        )
    } else if body.contains("tools/list") {
        json(&format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{TOOLS}}}"), "")
    } else if body.contains("redirect") {
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()
    } else {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n{EVENTS}"
        )
    };
    (&stream).write_all(text.as_bytes()).unwrap();
}

/// A gate over HTTP.
struct Gate {
    child: Child,
    at: String,
}

impl Gate {
    fn start(home: &Home, server: &str, upstream: &str, options: &[&str]) -> Self {
        let mut all =
            vec!["--server", server, "mcp", "gate", "--name", "web", "--upstream", upstream];
        all.extend(["--listen", "127.0.0.1:0"]);
        all.extend(options);
        let mut child = home.signoff(&all).stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut url).unwrap();
        let at = url.trim().strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
        Self { child, at }
    }

    /// Sends a request, and returns the connection.
    fn send(&self, start: &str, headers: &str, body: &str) -> TcpStream {
        let host = if headers.contains("Host:") {
            String::new()
        } else {
            format!("Host: {}\r\n", self.at)
        };
        let kind = if headers.contains("Content-Type:") {
            ""
        } else {
            "Content-Type: application/json\r\n"
        };
        let head = format!(
            "{start} HTTP/1.1\r\n{host}{kind}Accept: application/json, text/event-stream\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(&self.at).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let _ = stream.write_all(body.as_bytes());
        stream
    }

    /// Sends a message, and returns the status and all of the response.
    fn post(&self, headers: &str, body: &str) -> (u16, String) {
        let mut text = String::new();
        let _ = self.send("POST /web", headers, body).read_to_string(&mut text);
        let status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
        (status.unwrap_or_else(|| panic!("{text}")), text)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const SESSION: &str = "Mcp-Session-Id: s1\r\n";

#[test]
fn requests_that_are_not_of_a_client_reach_no_mcp_server() {
    let (home, server) = home_with_signer();
    activated(&home, &server, "tools", 1, RULES);
    let upstream = Upstream::start();
    let gate = Gate::start(&home, &server.url, &upstream.url, &[]);
    let modern = READ.replace(
        "\"name\":\"read\"",
        "\"name\":\"read\",\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}",
    );
    let agree = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: read\r\n";
    for (headers, body, expected) in [
        ("Host: evil.example\r\n", INITIALIZE, 403),
        ("Host: localhost.evil.example\r\n", INITIALIZE, 403),
        ("Origin: https://evil.example\r\n", INITIALIZE, 403),
        ("Origin: null\r\n", INITIALIZE, 403),
        ("Origin: http://localhost:1\r\nOrigin: https://evil.example\r\n", INITIALIZE, 403),
        ("Content-Type: text/plain\r\n", INITIALIZE, 415),
        ("Content-Type: application/json; charset=utf-7\r\n", INITIALIZE, 415),
        ("Content-Type: application/json; charset=utf-8; x=y\r\n", INITIALIZE, 415),
        ("Content-Encoding: gzip\r\n", INITIALIZE, 415),
        ("", "", 400),
        ("", "[]", 400),
        ("", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"method\":\"ping\"}", 400),
        ("", READ, 400),
        ("Mcp-Session-Id: other\r\n", READ, 404),
        ("Mcp-Session-Id: a\r\nMcp-Session-Id: b\r\n", READ, 400),
        ("MCP-Protocol-Version: 2026-07-28\r\n", READ, 400),
        ("", &modern, 400),
        (&agree.replace("tools/call", "tools/list"), &modern, 400),
        (&agree.replace("read", "write"), &modern, 400),
        (&format!("{agree}Mcp-Name: read\r\n"), &modern, 400),
        (&format!("{agree}Mcp-Param-Path: x\r\n"), &modern, 400),
    ] {
        let (status, text) = gate.post(headers, body);
        assert_eq!(status, expected, "{headers}{body}: {text}");
    }
    assert!(upstream.got.lock().unwrap().is_empty());
    let mut text = String::new();
    gate.send("PUT /web", "", "").read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 405"), "{text}");
    let mut text = String::new();
    gate.send("POST /other", "", INITIALIZE).read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 404"), "{text}");
}

#[test]
fn a_token_is_required_of_clients_and_stays_at_the_gate() {
    let (home, server) = home_with_signer();
    activated(&home, &server, "tools", 1, RULES);
    let upstream = Upstream::start();
    home.file("client.token", "a-secret-of-clients");
    home.file("headers", "Authorization: Bearer a-secret-of-the-server\n# a comment\nX-Key: k\n");
    let token = home.path("client.token");
    let headers = home.path("headers");
    let options = [
        "--client-token-file",
        token.to_str().unwrap(),
        "--upstream-headers",
        headers.to_str().unwrap(),
    ];
    let gate = Gate::start(&home, &server.url, &upstream.url, &options);
    for wrong in
        ["", "Authorization: Bearer other\r\n", "Authorization: Basic a-secret-of-clients\r\n"]
    {
        assert_eq!(gate.post(wrong, INITIALIZE).0, 401, "{wrong}");
    }
    assert!(upstream.got.lock().unwrap().is_empty());
    assert_eq!(gate.post("Authorization: Bearer a-secret-of-clients\r\n", INITIALIZE).0, 200);
    let got = upstream.got.lock().unwrap();
    let (head, body) = got.first().unwrap();
    assert_eq!(body, INITIALIZE);
    assert!(
        head.to_ascii_lowercase().contains("authorization: bearer a-secret-of-the-server\r\n"),
        "{head}"
    );
    assert!(
        head.to_ascii_lowercase().contains("x-key: k\r\n") && !head.contains("of-clients"),
        "{head}"
    );
}

#[test]
fn events_pass_as_bytes_and_redirects_are_not_followed() {
    let (home, server) = home_with_signer();
    activated(&home, &server, "tools", 1, RULES);
    let upstream = Upstream::start();
    let gate = Gate::start(&home, &server.url, &upstream.url, &[]);
    let (status, text) = gate.post("", INITIALIZE);
    assert!(
        status == 200 && text.to_ascii_lowercase().contains("mcp-session-id: s1\r\n"),
        "{text}"
    );
    let (_, text) = gate.post(SESSION, READ);
    let received: String = dechunked(text.split_once("\r\n\r\n").unwrap().1);
    let received = received.strip_prefix(": waiting\n\n").unwrap_or(&received);
    assert_eq!(received, EVENTS);
    let (_, text) = gate.post(SESSION, "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"redirect\"}");
    assert!(text.contains("does not follow"), "{text}");
}

#[test]
fn a_closed_connection_withdraws_the_request() {
    let (home, server) = home_with_signer();
    activated(&home, &server, "tools", 1, RULES);
    let upstream = Upstream::start();
    let gate = Gate::start(&home, &server.url, &upstream.url, &[]);
    gate.post("", INITIALIZE);
    let stream = gate.send("POST /web", SESSION, WRITE);
    let id = pending(&server);
    drop(stream);
    until("the request is withdrawn", || (server.show(&id)["status"] == "withdrawn").then_some(()));
    assert_eq!(upstream.calls(), 0);
}

#[test]
fn other_machines_are_refused_without_a_token_and_a_proxy() {
    let (home, server) = home_with_signer();
    for (upstream, listen) in [
        ("http://127.0.0.1:9/", "0.0.0.0:0"),
        ("http://mcp.example/", "127.0.0.1:0"),
        ("https://a@b/", "127.0.0.1:0"),
    ] {
        let ran = home.run(&[
            "--server",
            &server.url,
            "mcp",
            "gate",
            "--name",
            "web",
            "--upstream",
            upstream,
            "--listen",
            listen,
        ]);
        assert_ne!(ran.code, 0, "{upstream} {listen}");
    }
}

/// Returns a body without its chunks.
fn dechunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        whole.push_str(&rest[..size]);
        body = &rest[size + 2..];
    }
    whole
}
