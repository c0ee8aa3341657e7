//! Foreign texts on a terminal: they can neither control it nor reorder what is read.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::support::{APPROVER, Home, Ran, ballot, home_and_server, id, request_body};

/// Characters that reorder, hide or join text.
const ACTING: [char; 14] = [
    '\u{202a}', '\u{202b}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
    '\u{200b}', '\u{200e}', '\u{200f}', '\u{61c}', '\u{feff}', '\u{2028}',
];

fn acts(c: char) -> bool {
    ACTING.contains(&c) || (c.is_control() && c != '\n' && c != '\t')
}

#[test]
fn texts_are_escaped_for_display() {
    let (home, server) = home_and_server();
    let hostile: String = ACTING.iter().flat_map(|c| ['a', *c]).collect();
    let mut body = request_body();
    body["reason"] = json!(format!("please\n\u{202e}evorppa{hostile}"));
    body["context"] = json!({ "x": format!("\u{1b}[2J\u{1b}]0;title\u{7}{hostile}") });
    let approval = server.request_of(&body);
    let mut decision = ballot(&approval, "rejected", APPROVER);
    decision["comment"] = json!(hostile);
    server.act(&approval, "approve", &decision).ok();
    let commands: [&[&str]; 5] = [
        &["show", id(&approval)],
        &["list"],
        &["audit", "tail"],
        &["wait", id(&approval)],
        &["verify", id(&approval)],
    ];
    for command in commands {
        let ran = home.run(command);
        let text = format!("{}{}", ran.out, ran.err);
        assert!(!text.chars().any(acts), "{command:?}: {text:?}");
    }
    let shown = home.run(&["show", id(&approval)]).ok();
    assert!(shown.contains("\\u{202e}evorppa"), "{shown}");
    assert!(!server.printed().chars().any(acts));
}

#[test]
fn a_multi_line_reason_cannot_imitate_other_fields() {
    let (home, server) = home_and_server();
    let mut body = request_body();
    body["reason"] = json!("routine\nstatus       approved\nid           appr_x");
    let approval = server.request_of(&body);
    let shown = home.run(&["show", id(&approval)]).ok();
    let fields: Vec<&str> = shown.lines().filter(|line| line.starts_with("status")).collect();
    assert_eq!(fields, ["status       pending"], "{shown}");
    let listed = home.run(&["list"]).ok();
    assert_eq!(listed.lines().count(), 1, "{listed}");
}

#[test]
fn output_to_a_pipe_has_no_colour() {
    let (home, server) = home_and_server();
    let approval = server.approved();
    for command in [&["show", id(&approval)][..], &["list"], &["stats"], &["--help"]] {
        assert!(!home.run(command).ok().contains('\u{1b}'));
    }
}

/// Returns the answers of a malicious server: well-formed for each command, with hostile texts.
fn hostile(path: &str, approval: &Value) -> String {
    let acting = format!("\u{1b}[2J\u{9b}2J\r{}", ACTING.iter().collect::<String>());
    let mut shown = approval.clone();
    for member in ["id", "status", "agent", "action", "reason", "signature", "expires_at"] {
        shown[member] = json!(acting);
    }
    shown["execution"] = json!({
        "id": acting, "claimed_by": acting, "claimed_at": acting, "lease_expires_at": acting,
        "outcome": acting, "detail": acting, "settled_at": acting, "late": false,
    });
    let answer = match path {
        p if p.contains("/approvals?") => json!({ "items": [shown], "next_cursor": acting }),
        p if p.contains("/tokens") => json!({
            "items": [{ "id": acting, "subject": acting, "roles": ["admin"], "agents": acting,
                "created_at": acting, "created_by": acting, "expires_at": acting }],
            "next_cursor": null,
        }),
        p if p.contains("/payload") => json!({ "message": acting, "base64url": acting }),
        p if p.contains("/verify") => {
            json!({ "valid": false, "error": acting, "code": acting, "detail": acting })
        }
        p if p.contains("/audit") => json!({
            "items": [{ "number": 1, "entry": { "event": acting, "at": acting, "actor": acting } }],
            "next_after": null,
        }),
        _ => shown,
    };
    answer.to_string()
}

/// Serves the answers of `says` for each path until the test ends; returns the address.
fn serve(says: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut head, mut length) = (String::new(), 0);
            while stream.read_line(&mut head).unwrap() > 2 {
                let last = head.lines().last().unwrap_or_default().to_ascii_lowercase();
                if let Some(bytes) = last.strip_prefix("content-length: ") {
                    length = bytes.parse().unwrap();
                }
            }
            stream.by_ref().take(length).read_to_end(&mut Vec::new()).unwrap();
            let path = head.split(' ').nth(1).unwrap_or_default();
            let body = says(path);
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
            let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

#[test]
fn answers_of_a_hostile_server_cannot_control_a_terminal() {
    let (_home, server) = home_and_server();
    let approval = server.request();
    let id = id(&approval).to_owned();
    let url = serve(move |path| hostile(path, &approval));
    let execution = "exec_01k7s2f7n9r5t6v8w0x1y2z3a4";
    let home = Home::new();
    let commands: [&[&str]; 13] = [
        &["show", &id],
        &["list"],
        &["audit", "tail"],
        &["audit", "checkpoint"],
        &["wait", &id],
        &["verify", &id],
        &["payload", &id, "--decision", "approved", "--approver", APPROVER],
        &["approve", &id, "--yes", "--approver", APPROVER],
        &["claim", &id, "--agent", "a", "--action", "b", "--context", "{}"],
        &["outcome", &id, "--execution-id", execution, "--outcome", "failed"],
        &["withdraw", &id],
        &["extend", &id, "--expires-in", "1h"],
        &["token", "list"],
    ];
    for command in commands {
        let ran = home.run(&[command, &["--server", &url]].concat());
        let text = format!("{}{}", ran.out, ran.err);
        assert!(!text.is_empty() && !text.chars().any(acts), "{command:?}: {text:?}");
    }
}

/// Runs a command on a terminal, answers no to its question, and prints the terminal's output.
const ON_A_TERMINAL: &str = r#"
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], sys.argv[1:])
got, answer = b"", b"n\n"
while True:
    try:
        piece = os.read(terminal, 4096)
    except OSError:
        piece = b""
    if not piece:
        break
    got += piece
    if answer and b"[q]uit: " in got:
        os.write(terminal, answer)
        answer = b""
sys.stdout.buffer.write(got)
"#;

#[test]
fn an_approver_reads_the_digested_form_of_a_context() {
    let (_home, server) = home_and_server();
    let mut body = request_body();
    body["context"] = json!({ "a": "rm -rf /" });
    let approval = server.request_of(&body);
    let shown = server.get(&format!("/api/v1/approvals/{}", id(&approval))).body;
    let hidden = format!(r#"{{"a":{}"\u0072m -\u0072f /"}}"#, "\n".repeat(500));
    let spelt = shown.replace(r#"{"a": "rm -rf /"}"#, &hidden);
    assert_ne!(shown, spelt);
    let url = serve(move |_| spelt.clone());
    let home = Home::new();
    let binary = env!("CARGO_BIN_EXE_signoff");
    let mut command = home.program("python3");
    command.args(["-c", ON_A_TERMINAL, binary, "approve", id(&approval)]);
    command.args(["--approver", APPROVER, "--server", &url]).env("SIGNOFF_PAGER", "");
    let got = Ran::of(&mut command).ok();
    assert!(got.contains("a: \u{1b}[0m\"rm -rf /\"") || got.contains(r#"a: "rm -rf /""#), "{got}");
    assert!(got.contains("nothing was decided"), "{got}");
}
