//! The command line: the same commands over a store file and over a server, with the same output
//! and the same exit codes.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::{APPROVER, Home, Ran, home_and_server, id};

const CONTEXT: &str = "{\"version\":\"1.2.3\"}";
const REQUEST: &[&str] = &[
    "request",
    "--agent",
    "demo",
    "--action",
    "deploy",
    "--context",
    CONTEXT,
    "--reason",
    "try it",
];

/// Returns a text with placeholders for values that differ from run to run: ids, times, digests.
fn normal(text: &str) -> String {
    let mut normal = String::new();
    let mut word = String::new();
    let known = |word: &str| match word.len() {
        32 | 64 if word.bytes().all(|b| b.is_ascii_hexdigit()) => Some("HEX"),
        30 if word.starts_with("req_") => Some("ID"),
        16 if word.starts_with("log-") => Some("ID"),
        43 => Some("BASE64URL"),
        31 if word.starts_with("appr_") || word.starts_with("exec_") => Some("ID"),
        20 if word.ends_with('Z') && word.contains('T') => Some("TIME"),
        25 if word.ends_with("+00:00") && word.contains('T') => Some("TIME"),
        _ if word.starts_with("YXBwcl8") => Some("BASE64URL"),
        _ => None,
    };
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_alphanumeric()
            || matches!(c, '_' | '-' | '+')
            || (c == ':' && word.contains('T'))
        {
            word.push(c);
            continue;
        }
        normal.push_str(known(&word).unwrap_or(&word));
        normal.push(c);
        word.clear();
    }
    normal
}

/// Runs the commands of one story; returns every answer, normalized.
fn story(home: &Home, target: &[&str], json: bool) -> Vec<(String, i32, String, String)> {
    let mut output = Vec::new();
    let run = |arguments: &[&str]| {
        let mut all = target.to_vec();
        all.extend(arguments);
        home.run(&all)
    };
    let mut record = |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        if json {
            all.push("--json");
        }
        let ran = run(&all);
        output.push((arguments[0].to_owned(), ran.code, normal(&ran.out), normal(&ran.err)));
        ran
    };
    let made = || {
        let mut json = REQUEST.to_vec();
        json.push("--json");
        id(&run(&json).json()).to_owned()
    };
    record(REQUEST);
    let id = made();
    let claim = [
        "claim",
        &id,
        "--agent",
        "demo",
        "--action",
        "deploy",
        "--context",
        CONTEXT,
        "--lease",
        "60",
    ];
    record(&["show", &id]);
    record(&["verify", &id]);
    record(&claim);
    record(&["wait", &id, "--timeout", "1"]);
    record(&["payload", &id, "--approver", APPROVER]);
    record(&["extend", &id, "--expires-in", "2h"]);
    record(&["approve", &id, "--approver", APPROVER]);
    record(&["approve", &id, "--approver", "agent:demo", "--yes"]);
    record(&["approve", &id, "--approver", APPROVER, "--yes", "--comment", "looks good"]);
    record(&["approve", &id, "--approver", APPROVER, "--yes"]);
    record(&["verify", &id, "--context", CONTEXT, "--agent", "demo"]);
    record(&["verify", &id, "--context", "{}"]);
    record(&["verify", &id, "--signature", &"0".repeat(64)]);
    record(&["wait", &id]);
    record(&["extend", &id, "--expires-in", "2h"]);
    let claimed = {
        let ran = record(&claim);
        if json { ran.json()["execution"]["id"].as_str().unwrap().to_owned() } else { ran.ok() }
    };
    record(&claim);
    let outcome = |outcome| ["outcome", &id, "--execution-id", &claimed, "--outcome", outcome];
    record(&outcome("succeeded"));
    record(&outcome("succeeded"));
    record(&outcome("failed"));
    record(&["show", &id]);
    let rejected = made();
    record(&["reject", &rejected, "--approver", APPROVER, "--yes", "--comment", "too risky"]);
    record(&["wait", &rejected]);
    record(&["verify", &rejected]);
    let withdrawn = made();
    record(&["withdraw", &withdrawn]);
    record(&["withdraw", &withdrawn]);
    record(&["wait", &withdrawn]);
    record(&["list"]);
    record(&["list", "--status", "executed"]);
    record(&["list", "--limit", "2", "--all"]);
    record(&["list", "--agent", "nobody"]);
    record(&["stats"]);
    record(&["audit", "tail"]);
    record(&["audit", "tail", "--after", "3"]);
    record(&["show", "appr_00000000000000000000000000"]);
    record(&["show", "nonsense"]);
    record(&["request", "--agent", "demo", "--action", "deploy", "--context", "{\"a\":NaN}"]);
    record(&["request", "--agent", "", "--action", "deploy", "--context", "{}"]);
    output
}

#[test]
fn a_store_file_and_a_server_answer_alike() {
    for json in [false, true] {
        let home = Home::new();
        // The first start of a server makes a log key and records its settings.
        home.serve().stop();
        let over_file = story(&home, &["--store", "signoff.redb"], json);
        let (home, server) = home_and_server();
        let over_http = story(&home, &["--server", &server.url], json);
        assert_eq!(over_file.len(), over_http.len());
        for (file, http) in over_file.iter().zip(&over_http) {
            assert_eq!(file, http);
        }
        let codes: Vec<i32> = over_file.iter().map(|(_, code, ..)| *code).collect();
        let expected = [
            0, 0, 4, 3, 4, 0, 0, 2, 3, 0, 3, 0, 3, 3, 0, 3, 0, 3, 0, 0, 3, 0, // one story
            0, 3, 3, 0, 3, 3, // rejected and withdrawn
            0, 0, 0, 0, 0, 0, 0, 3, 3, 3, 3,
        ];
        assert_eq!(codes, expected);
        for (command, code, out, err) in &over_file {
            if json && *code != 2 {
                for line in out.lines().filter(|line| !line.is_empty()) {
                    let parsed = serde_json::from_str::<Value>(line);
                    assert!(parsed.is_ok(), "{command}: {line}");
                }
                assert!(!out.trim().is_empty(), "{command} {code}: {err}");
            }
            assert!(!err.contains("panicked"), "{command}: {err}");
        }
    }
}

#[test]
fn a_refusal_names_its_title_and_code() {
    let (home, server) = home_and_server();
    let approval = server.approved();
    let decide =
        ["approve", id(&approval), "--approver", APPROVER, "--yes", "--server", &server.url];
    let ran = home.run(&decide).exits(3);
    assert_eq!(ran.out, "");
    assert!(ran.err.starts_with("signoff: Approval already decided: "), "{ran:?}");
    assert!(ran.err.trim_end().ends_with("(already-decided)"), "{ran:?}");
    let mut json = decide.to_vec();
    json.push("--json");
    let ran = home.run(&json).exits(3);
    assert_eq!(ran.json()["code"], "already-decided");
    assert_eq!(ran.err, "");
}

#[test]
fn an_id_may_be_a_unique_prefix() {
    let (home, server) = home_and_server();
    let show = |id: &str| home.run(&["--server", &server.url, "--json", "show", id]);
    let made = server.request();
    let whole = id(&made);
    for length in ["appr_0".len(), 20, 30, 31] {
        assert_eq!(show(&whole[..length]).json()["id"], *whole);
    }
    assert_eq!(show(&whole["appr_".len()..]).json()["id"], *whole, "also without `appr_`");
    assert_eq!(show("appr_").json()["id"], *whole);
    server.request();
    let ran = show("appr_0").exits(2);
    assert!(ran.err.contains("more than one"), "{ran:?}");
    assert_eq!(show(whole).json()["id"], *whole);
    for none in ["appr_7zzz", "appr_u", "approval", "appr_0/../x", "?", "%", "é", "appr_0 "] {
        assert_eq!(show(none).exits(3).json()["code"], "not-found", "{none}");
    }
    let file = home.run(&["show", &whole[..30]]);
    assert!(file.code == 0 || file.err.contains("more than one"), "{file:?}");
}

#[test]
fn a_store_and_a_server_at_once_are_a_usage_error_unless_one_is_a_flag() {
    let (home, server) = home_and_server();
    let approval = server.request();
    let both = home.run(&["--store", "x.redb", "--server", &server.url, "list"]).exits(2);
    assert!(both.err.contains("--store") && both.err.contains("--server"), "{both:?}");
    home.run(&["list", "--store", "x.redb", "--server", &server.url]).exits(2);
    home.run(&["--store", "x.redb", "list", "--server", &server.url]).exits(2);
    let with_env = |env: &[(&str, &str)], arguments: &[&str]| {
        Ran::of(home.signoff(arguments).envs(env.iter().copied()))
    };
    let (url, id) = (server.url.as_str(), id(&approval));
    let server_set = [("SIGNOFF_SERVER", url)];
    assert!(with_env(&server_set, &["list"]).ok().contains(id));
    assert!(with_env(&[("SIGNOFF_STORE", "signoff.redb")], &["list"]).ok().contains(id));
    with_env(&[("SIGNOFF_SERVER", url), ("SIGNOFF_STORE", "x.redb")], &["list"]).exits(2);
    let missing = with_env(&server_set, &["--store", "x.redb", "list"]).exits(1);
    assert!(missing.err.contains("no store at `x.redb`"), "the flag wins: {missing:?}");
    let store_set = [("SIGNOFF_STORE", "x.redb")];
    assert!(with_env(&store_set, &["--server", url, "list"]).ok().contains(id));
}

#[test]
fn usage_errors_exit_with_2_and_a_message() {
    let home = Home::new();
    for arguments in [
        &[][..],
        &["nonsense"],
        &["list", "--nonsense"],
        &["list", "--limit", "0"],
        &["list", "--limit", "201"],
        &["list", "--status", "done"],
        &["show"],
        &["request", "--agent", "a"],
        &["request", "--agent", "a", "--action", "b", "--context", "{}", "--expires-in", "soon"],
        &["outcome", "appr_0", "--execution-id", "x", "--outcome", "unknown"],
        &["run", "--agent", "a", "--action", "b"],
        &["serve", "--listen", "nowhere"],
        &["serve", "--server", "http://127.0.0.1:1"],
        &["init", "--server", "http://127.0.0.1:1"],
        &["doctor", "--server", "http://127.0.0.1:1"],
        &["list", "--server", "ftp://127.0.0.1:1"],
        &["init", "--audience", ""],
        &["sign", "--id", "x", "--decision", "approved", "--approver", "a", "--expires-at", "now"],
        &["completions", "tcsh"],
    ] {
        let ran = home.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(!ran.err.is_empty() && ran.out.is_empty(), "{arguments:?}: {ran:?}");
    }
    assert!(!home.store().exists());
}

#[test]
fn an_unreachable_server_is_a_failure() {
    let home = Home::new();
    let ran = home.run(&["--server", "http://127.0.0.1:9", "list"]).exits(1);
    assert!(ran.err.contains("cannot reach the server"), "{ran:?}");
}

#[test]
fn serve_listens_on_loopback_only() {
    let home = Home::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8787", "8.8.8.8:80"] {
        let ran = home.run(&["serve", "--listen", address]).exits(1);
        assert!(ran.err.contains("which is not loopback"), "{ran:?}");
    }
    let (home, server) = home_and_server();
    let taken = server.address().to_string();
    let other = Home::new();
    let ran = other.run(&["serve", "--listen", &taken]).exits(1);
    assert!(ran.err.contains("cannot listen"), "{ran:?}");
    drop(home);
}

#[test]
fn every_command_has_help_with_a_first_line() {
    let home = Home::new();
    let help = home.run(&["--help"]).ok();
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands {
        let help = home.run(&["help", command]).ok();
        assert!(help.contains("Usage: signoff"), "{help}");
        assert!(help.lines().next().is_some_and(|line| line.len() > 10), "{command}: {help}");
        if command != "help" {
            assert!(!home.run(&[command, "--help"]).ok().is_empty());
        }
    }
    assert!(home.run(&["--version"]).ok().starts_with("signoff "));
}

#[test]
fn completions_exist_for_each_shell() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = home.run(&["completions", shell]).ok();
        for word in ["signoff", "withdraw", "approve"] {
            assert!(script.contains(word), "{shell} has no `{word}`");
        }
    }
}

#[test]
fn a_manual_page_exists_for_each_command_that_help_shows() {
    let home = Home::new();
    let written = home.run(&["man", "pages/man1", "--json"]).exits(0).json();
    let files: Vec<String> = serde_json::from_value(written["files"].clone()).unwrap();
    let mut commands = vec![String::new()];
    while let Some(command) = commands.pop() {
        let page = format!("signoff{command}.1").replace(' ', "-");
        assert!(files.contains(&page), "{page} is missing in {files:?}");
        let text = std::fs::read_to_string(home.path(&format!("pages/man1/{page}"))).unwrap();
        let title = format!(".TH \"{}\" 1 \"\" ", page.trim_end_matches(".1"));
        assert!(text.contains(&title) && text.contains("\n.SH NAME\n"), "{page}: {text}");
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let help = home.run(&arguments).ok();
        let inner = help.split("Commands:\n").nth(1).unwrap_or_default();
        let inner = inner.lines().take_while(|line| !line.is_empty());
        let inner = inner.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let names = inner.filter_map(|line| line.split_whitespace().next());
        commands.extend(names.filter(|name| *name != "help").map(|n| format!("{command} {n}")));
    }
    assert!(files.len() > 50 && !files.iter().any(|file| file.contains("compile-module")));
    let printed = home.run(&["man"]).ok();
    let page = std::fs::read_to_string(home.path("pages/man1/signoff.1")).unwrap();
    assert_eq!(printed, page.trim_end());
    home.file("file", "");
    let refused = home.run(&["man", "file"]).exits(1);
    assert!(refused.err.contains("`file`"), "{refused:?}");
}

#[test]
fn a_manual_page_shows_no_value_of_the_environment() {
    let home = Home::new();
    let mut command = home.signoff(&["man"]);
    command.env("SIGNOFF_TOKEN", "a-secret").env("SIGNOFF_CA", "/a/path");
    let page = Ran::of(&mut command).ok();
    assert!(
        page.contains("SIGNOFF_TOKEN") && !page.contains("a-secret") && !page.contains("/a/path")
    );
}

#[test]
fn ready_succeeds_only_for_a_server_that_can_decide() {
    let home = Home::new();
    home.run(&["init"]).ok();
    let server = home.serve();
    let ask = |url: &str| home.run(&["ready", "--server", url]);
    assert_eq!(ask(&server.url).ok(), "ready");
    let shown = home.run(&["ready", "--json", "--server", &server.url]).exits(0).json();
    assert_eq!(shown["status"], "ready");
    home.file("signoff.keys.json", "no keyring");
    let refused = ask(&server.url).exits(1);
    assert!(refused.err.contains("keyring-unavailable"), "{refused:?}");
    let address = server.address();
    server.stop();
    let gone = ask(&format!("http://{address}")).exits(1);
    assert!(gone.err.contains("cannot reach the server"), "{gone:?}");
    home.run(&["ready"]).exits(2);
}

#[test]
fn ready_is_not_deceived_by_another_web_server() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let other = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
    });
    let refused = Home::new().run(&["ready", "--server", &url]).exits(1);
    assert!(refused.err.contains("not one of signoff"), "{refused:?}");
    other.join().unwrap();
}

#[test]
fn version_names_the_embedded_verifier() {
    let home = Home::new();
    let facts = home.run(&["version", "--json"]).exits(0).json();
    home.run(&["module", "export", "verifier", "-o", "verifier.wasm"]).ok();
    let exported = std::fs::read(home.path("verifier.wasm")).unwrap();
    assert_eq!(facts["verifier"], hex::encode(Sha256::digest(&exported)));
    let text = home.run(&["version"]).ok();
    for value in ["version", "target", "verifier"] {
        assert!(text.contains(facts[value].as_str().unwrap()), "{text}");
    }
    assert_eq!(home.run(&["--version"]).ok(), text.lines().next().unwrap().replace("  ", ""));
}

#[test]
fn serve_prints_the_next_step_and_each_change() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    let home = Home::new();
    let mut child =
        home.signoff(&["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let head: Vec<String> = lines.by_ref().take(7).collect();
    let url = head[0].strip_prefix("signoff serves ").unwrap();
    for (line, word) in head[1..].iter().zip(["store", "keys", "log", "verifier", "policy", "try"])
    {
        assert!(line.starts_with(word), "{line}");
    }
    let client = crate::support::Client::new(url);
    let approval = client.approved();
    let output: Vec<String> = lines.by_ref().take(2).collect();
    assert!(
        output[0].contains("approval_requested") && output[0].contains(id(&approval)),
        "{output:?}"
    );
    assert!(output[1].contains("approval_decided") && output[1].contains(APPROVER), "{output:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_closed_pipe_ends_a_command_without_an_error() {
    let (home, server) = home_and_server();
    for _ in 0..200 {
        server.request();
    }
    let script = format!("\"$0\" --server {} audit tail | head -n 1", server.url);
    let mut command = home.program("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_signoff")]);
    let ran = Ran::of(&mut command).exits(0);
    assert_eq!((ran.out.lines().count(), ran.err.as_str()), (1, ""));
}

/// A script that appends to a full disk must not take a refusal for success.
#[test]
fn the_exit_code_does_not_depend_on_the_output() {
    let (home, server) = home_and_server();
    let rejected = server.request();
    server.decide(&rejected, "rejected", APPROVER).ok();
    let into = |path: &str, arguments: &[&str]| {
        let mut command = home.signoff(&[&["--server", &server.url], arguments].concat());
        let out = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        command.stdout(out).output().unwrap().status.code()
    };
    assert_eq!(into("/dev/full", &["wait", id(&rejected)]), Some(3));
    assert_eq!(into("/dev/full", &["verify", id(&rejected), "--json"]), Some(3));
    assert_eq!(into("/dev/full", &["show", id(&rejected)]), Some(1), "the output is lost");
    assert_eq!(into("/dev/null", &["show", id(&rejected)]), Some(0));
}

#[test]
fn a_named_approver_does_not_change_lists() {
    let (home, server) = home_and_server();
    server.request();
    let mut list = home.signoff(&["--server", &server.url, "list"]);
    list.env("SIGNOFF_APPROVER", APPROVER);
    assert_eq!(Ran::of(&mut list).ok().lines().count(), 1);
}
