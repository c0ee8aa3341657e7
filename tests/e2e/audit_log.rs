//! The audit log outside the server: exports, checkpoints, receipts, and the faults that verification finds.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::support::{Home, Ran, Server, id, request_body, text};

const ANN: &str = "ann@example.com";
const CONTEXT: &str = r#"{"version":"1.2.3"}"#;

/// Returns a home with a store, a log key and Ann's key, and the LOGKEY to trust.
fn home() -> (Home, String) {
    let (home, key, _) = home_with_token();
    (home, key)
}

/// Like [`home`], and the token that a server of the store requires.
fn home_with_token() -> (Home, String, String) {
    let home = Home::new();
    home.run(&["init", "--audience", "prod"]).ok();
    let create = ["--json", "token", "create", "--subject", "erin@example.com"];
    let roles = ["--role", "requester", "--role", "auditor"];
    let made = home.run(&[&create[..], &roles].concat()).exits(0).json();
    let token = text(&made, "token").to_owned();
    home.run(&["key", "generate", "--approver", ANN, "--id", "ann"]).ok();
    request(&home);
    let key = home.run(&["audit", "key"]).ok();
    assert!(key.starts_with("signoff/prod+"), "{key}");
    (home, key, token)
}

/// Makes requests continuously while `f` runs.
fn while_requests_are_made(server: &Server, token: &str, f: impl FnOnce()) {
    /// Ends the requests, even if the test fails.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (client, stop) = (server.with_token(token), AtomicBool::new(false));
    thread::scope(|scope| {
        let _stop = Stop(&stop);
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                client.post("/api/v1/approvals", &request_body()).json(201);
            }
        });
        f();
    });
}

fn request(home: &Home) -> String {
    let request = ["--json", "request", "--agent", "deployer", "--action", "deploy"];
    let made = home.run(&[&request[..], &["--context", CONTEXT]].concat());
    id(&made.json()).to_owned()
}

/// Returns the id of an approval that Ann approved and that was claimed.
fn executed(home: &Home) -> String {
    let id = request(home);
    home.run(&["approve", &id, "--approver", ANN, "--comment", "looked at it", "--yes"]).ok();
    let claim = ["claim", &id, "--agent", "deployer", "--action", "deploy", "--context", CONTEXT];
    home.run(&claim).ok();
    id
}

/// Runs a command in a directory without a store and a keyring.
fn elsewhere(arguments: &[&str]) -> Ran {
    let nowhere = Home::new();
    let ran = nowhere.run(arguments);
    assert_eq!(fs::read_dir(nowhere.path(".")).unwrap().count(), 0, "verifying leaves no files");
    ran
}

fn verify(file: &Path, more: &[&str]) -> Ran {
    elsewhere(&[&["audit", "verify", file.to_str().unwrap()], more].concat())
}

fn verify_receipt(file: &Path, more: &[&str]) -> Ran {
    elsewhere(&[&["receipt", "verify", file.to_str().unwrap()], more].concat())
}

/// Runs a command against a server.
fn run_at(home: &Home, server: &Server, token: &str, arguments: &[&str]) -> Ran {
    home.run(&[&["--server", &server.url, "--token", token], arguments].concat())
}

fn without_parts(home: &Home) {
    let left = fs::read_dir(home.path(".")).unwrap();
    let parts =
        left.filter(|f| f.as_ref().unwrap().file_name().to_string_lossy().ends_with("part"));
    assert_eq!(parts.count(), 0, "no partial file is left");
}

#[test]
fn an_export_verifies_against_a_trusted_log_key() {
    let (home, key, token) = home_with_token();
    // The first start of a server records its settings.
    home.serve().stop();
    home.run(&["audit", "checkpoint"]).ok();
    executed(&home);
    let log = home.path("log.jsonl");
    home.run(&["audit", "export", "-o", "log.jsonl"]).ok();
    let verified = verify(&log, &["--trust", &key]).ok();
    assert!(verified.starts_with("verified: "), "{verified}");
    let keys = home.file("keys.txt", &format!("\n{key}\n"));
    verify(&log, &["--trust", &format!("@{}", keys.display())]).exits(0);
    let unknown = verify(&log, &[]).exits(3);
    assert!(unknown.out.starts_with("consistent, signer unknown: "), "{unknown:?}");

    let output = verify(&log, &["--trust", &key, "--json"]).exits(0).json();
    let lines = fs::read_to_string(&log).unwrap();
    assert_eq!(output["entries"].as_u64().unwrap(), lines.lines().count() as u64 - 2);
    assert_eq!((text(&output, "verdict"), text(&output, "signer")), ("verified", key.as_str()));
    assert_eq!(output["bytes"].as_u64().unwrap(), lines.len() as u64);
    // Standard output and HTTP give the same bytes.
    assert_eq!(home.run(&["audit", "export"]).exits(0).out, lines);
    let server = home.serve();
    assert_eq!(run_at(&home, &server, &token, &["audit", "export"]).exits(0).out, lines);
}

#[test]
fn an_edited_log_does_not_verify_and_the_first_fault_is_reported() {
    let (home, key) = home();
    executed(&home);
    let log = home.run(&["audit", "export"]).exits(0).out;
    let lines: Vec<&str> = log.split_inclusive('\n').collect();
    let mut swapped = lines.clone();
    swapped.swap(1, 2);
    for (edited, why) in [
        (log.replace("deployer", "deploxer"), "the entries are not those"),
        (swapped.concat(), "the entries are not those"),
        ([&lines[..2], &lines[3..]].concat().concat(), "the log ends after"),
        (log.replace("\"prod\"", "\"other\""), "the log is called `signoff/other`"),
        (log.replace("{\"checkpoint\":\"", "{\"checkpoint\":\"x"), "the checkpoint: "),
        (log[..log.len() - 1].to_owned(), "is cut off"),
        (String::new(), "line 1 is not the header"),
    ] {
        let file = home.file("edited.jsonl", &edited);
        let ran = verify(&file, &["--trust", &key]).exits(1);
        assert!(ran.err.contains("does not verify: ") && ran.err.contains(why), "{ran:?}");
        let output = verify(&file, &["--trust", &key, "--json"]).exits(1).json();
        assert_eq!(text(&output, "verdict"), "wrong");
        assert!(text(&output, "error").contains(why), "{output}");
    }
    let other = Home::new();
    other.run(&["init", "--audience", "prod"]).ok();
    request(&other);
    let stranger = other.run(&["audit", "key"]).ok();
    let file = home.file("log.jsonl", &log);
    let ran = verify(&file, &["--trust", &stranger]).exits(1);
    assert!(ran.err.contains("no trusted key of `signoff/prod` signed it"), "{ran:?}");
    verify(&file, &["--trust", &stranger, "--trust", &key]).exits(0);
}

#[test]
fn a_kept_checkpoint_detects_a_truncated_log() {
    let (home, key) = home();
    home.run(&["audit", "export", "-o", "older.jsonl"]).ok();
    executed(&home);
    let kept = home.file("kept.txt", &home.run(&["audit", "checkpoint"]).exits(0).out);
    let kept = kept.to_str().unwrap();
    home.run(&["audit", "export", "-o", "newer.jsonl"]).ok();
    let (older, newer) = (home.path("older.jsonl"), home.path("newer.jsonl"));
    verify(&older, &["--trust", &key]).exits(0);
    let found = verify(&older, &["--trust", &key, "--checkpoint", kept]).exits(1);
    assert!(found.err.contains("fewer than"), "{found:?}");
    let extends = verify(&newer, &["--trust", &key, "--checkpoint", kept]).ok();
    assert!(extends.contains("extends"), "{extends}");
    let output = verify(&newer, &["--checkpoint", kept, "--json"]).exits(3).json();
    assert_eq!(
        (output["extends"].as_u64(), output["signer"].as_str()),
        (output["entries"].as_u64(), None)
    );
    // A kept checkpoint without a valid signature is refused.
    let forged = fs::read_to_string(kept).unwrap().replace("signoff/prod\n", "signoff/other\n");
    let forged = home.file("forged.txt", &forged);
    let ran = verify(&newer, &["--trust", &key, "--checkpoint", forged.to_str().unwrap()]).exits(1);
    assert!(ran.err.contains("the saved checkpoint"), "{ran:?}");
}

#[test]
fn a_malformed_trusted_key_is_refused_before_any_file_is_read() {
    let (home, key) = home();
    let empty = home.file("empty.txt", "\n");
    let empty = format!("@{}", empty.display());
    let short = key.strip_suffix('=').unwrap_or(&key[..key.len() - 2]);
    for (trust, why) in [
        ("", "contains no key"),
        (empty.as_str(), "contains no key"),
        ("signoff/prod", "a log key is written"),
        (short, "a log key is written"),
        (&key.replacen("prod", "staging", 1), "hash is not that of its name and key"),
    ] {
        for command in ["audit", "receipt"] {
            let ran = elsewhere(&[command, "verify", "no-such-file", "--trust", trust]).exits(2);
            assert!(ran.err.contains(why), "{trust}: {ran:?}");
        }
    }
    for command in ["audit", "receipt"] {
        let ran = elsewhere(&[command, "verify", "no-such-file", "--trust", &key]).exits(1);
        assert!(ran.err.contains("cannot read `no-such-file`"), "{ran:?}");
    }
}

#[test]
fn an_export_verifies_while_the_server_writes() {
    let (home, key, token) = home_with_token();
    let server = home.serve();
    while_requests_are_made(&server, &token, || {
        for _ in 0..5 {
            let export = ["audit", "export", "-o", "log.jsonl"];
            run_at(&home, &server, &token, &export).exits(0);
            verify(&home.path("log.jsonl"), &["--trust", &key]).exits(0);
        }
    });
    without_parts(&home);
}

#[test]
fn an_export_that_does_not_verify_leaves_no_file() {
    let (home, _) = home();
    executed(&home);
    let note = home.run(&["audit", "checkpoint"]).exits(0).out;
    let keys = home.run(&["audit", "key", "--json"]).exits(0).out;
    let size: u64 = note.lines().nth(1).unwrap().parse().unwrap();
    let page = |edit: fn(&mut Vec<Value>)| {
        let tail = home.run(&["audit", "tail", "--json"]).exits(0).out;
        let mut items = tail.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        edit(&mut items);
        serde_json::json!({ "items": items, "next_after": null }).to_string()
    };
    for (page, why) in [
        (page(|items| items[1]["entry"]["at"] = "2020-01-01T00:00:00Z".into()), "does not verify"),
        (page(|items| drop(items.remove(1))), "the server sent entry 3, expected 2"),
        (page(|items| items.clear()), "its checkpoint covers"),
        (page(|items| items.push(serde_json::json!({"number": 99, "entry": {}}))), "99"),
    ] {
        let url = lying_server(note.clone(), keys.clone(), page);
        let ran = home.run(&["--server", &url, "audit", "export", "-o", "log.jsonl"]).exits(1);
        assert!(ran.err.contains(why), "{why} ({size} entries): {ran:?}");
        assert!(!home.path("log.jsonl").exists());
        without_parts(&home);
    }
    let forged = note.replace("signoff/prod\n", "signoff/other\n");
    let url = lying_server(forged, keys, page(|_| {}));
    let ran = home.run(&["--server", &url, "audit", "export", "-o", "log.jsonl"]).exits(1);
    assert!(ran.err.contains("does not verify against the log's own keys"), "{ran:?}");
    let ran = home.run(&["audit", "export", "-o", "no/such/directory"]).exits(1);
    assert!(ran.err.contains("cannot write"), "{ran:?}");
}

/// A server that answers three paths with these texts.
fn lying_server(note: String, keys: String, page: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let Some(Ok(first)) = lines.next() else { continue };
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let body = match first.split_whitespace().nth(1).unwrap() {
                path if path.starts_with("/api/v1/audit/checkpoint") => &note,
                path if path.starts_with("/api/v1/audit/keys") => &keys,
                _ => &page,
            };
            let head =
                format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}", body.len());
            write!(stream, "{head}\r\n\r\n{body}").unwrap();
        }
    });
    url
}

#[test]
fn without_a_log_key_checkpoints_exports_and_receipts_are_refused() {
    let home = Home::new();
    let made = request(&home);
    let ran = home.run(&["audit", "key"]).exits(0);
    assert!(ran.out.is_empty() && ran.err.contains("no key signs this log"), "{ran:?}");
    for command in
        [&["audit", "checkpoint"][..], &["audit", "export"], &["receipt", "export", &made]]
    {
        let ran = home.run(command).exits(3);
        assert!(ran.out.is_empty() && ran.err.contains("not-found"), "{ran:?}");
    }
}

#[test]
fn tail_shows_subject_result_and_actor() {
    let (home, _) = home();
    let id = executed(&home);
    let tail = home.run(&["audit", "tail"]).ok();
    let lines: Vec<Vec<&str>> = tail.lines().map(|line| line.split('\t').collect()).collect();
    assert!(lines.iter().all(|line| line.len() == 6), "{tail}");
    let has = |event: &str, about: &str, led_to: &str, actor: &str| {
        lines.iter().any(|line| line[2..] == [event, about, led_to, actor])
    };
    assert!(has("approval_decided", &id, "approved", ANN), "{tail}");
    assert!(has("key_recorded", "ann", "active", "system"), "{tail}");
    assert!(has("approval_claimed", &id, "executed: claimed", "agent:deployer"), "{tail}");
}

#[test]
fn a_receipt_verifies_with_only_the_log_key() {
    let (home, key, token) = home_with_token();
    // The first start of a server records its settings.
    home.serve().stop();
    let id = executed(&home);
    home.run(&["receipt", "export", &id[..20], "-o", "receipt.json"]).ok();
    let receipt = home.path("receipt.json");
    let output = verify_receipt(&receipt, &["--trust", &key]).ok();
    assert!(output.starts_with(&format!("verified: {id} is executed")), "{output}");
    assert!(output.contains("(ed25519 key ann): signature verified"), "{output}");
    assert!(output.contains("1 approver: met") && output.contains("looked at it"), "{output}");
    let output = verify_receipt(&receipt, &["--trust", &key, "--json"]).exits(0).json();
    assert_eq!((text(&output, "verdict"), text(&output, "status")), ("verified", "executed"));
    assert_eq!(text(&output["ballots"][0], "proof"), "logged");
    let unknown = verify_receipt(&receipt, &[]).exits(3);
    assert!(unknown.out.starts_with("consistent, signer unknown: "), "{unknown:?}");
    assert!(unknown.out.contains("signature fits the key in the receipt"), "{unknown:?}");

    // With known approvers' keys, and with expectations.
    let keyring = home.path("signoff.keys.json");
    let pinned = ["--trust", &key, "--keys", keyring.to_str().unwrap(), "--id", &id];
    let output = verify_receipt(&receipt, &[&pinned[..], &["--audience", "prod"]].concat()).ok();
    assert!(output.contains("signature verified with the key given"), "{output}");
    let other = verify_receipt(&receipt, &["--trust", &key, "--audience", "dev"]).exits(1);
    assert!(other.err.contains("not of `dev`"), "{other:?}");
    verify_receipt(&receipt, &["--trust", &key, "--id", "appr_1"]).exits(2);

    // HTTP gives the same bytes.
    let bytes = fs::read_to_string(&receipt).unwrap();
    let server = home.serve();
    let ran = run_at(&home, &server, &token, &["receipt", "export", &id]).exits(0);
    assert_eq!(ran.out, bytes);
    // The answer is the text that `receipt.verify` takes, without a line feed.
    let answer = server.with_token(&token).get(&format!("/api/v1/approvals/{id}/receipt"));
    let request = json!({ "op": "receipt.verify", "args": { "receipt": answer.body, "log_keys": [key], "accept": ["v2"] } });
    let report = signoff_verifier::wire::call(&request.to_string());
    assert!(report.starts_with("{\"ok\":"), "{report}");

    for (was, is, why) in [
        ("1.2.3", "1.2.4", "the context has the digest"),
        ("looked at it", "looked at that", "the ballot of `ann@example.com`"),
        ("executed", "approved", ""),
        (ANN, "bob@example.com", ""),
        ("\"prod\"", "\"dev\"", "the receipt is of `signoff/dev`"),
        ("", " ", ""),
    ] {
        let text = if was.is_empty() { bytes.clone() + is } else { bytes.replace(was, is) };
        let edited = home.file("edited.json", &text);
        let ran = verify_receipt(&edited, &["--trust", &key]).exits(1);
        assert!(ran.err.contains("does not verify: ") && ran.err.contains(why), "{was}: {ran:?}");
    }

    // A later revocation does not invalidate the ballot, unless the verifying keyring has it.
    home.run(&["key", "revoke", "ann", "--yes"]).ok();
    let output = verify_receipt(&receipt, &["--trust", &key]).ok();
    assert!(output.contains("signature verified with the key in the log"), "{output}");
    let revoked = verify_receipt(&receipt, &pinned).exits(1);
    assert!(revoked.err.contains("key `ann` is revoked"), "{revoked:?}");
}

#[test]
fn a_ballot_by_a_shared_secret_is_only_attested() {
    let (home, key) = home();
    let id = request(&home);
    let approve = ["approve", &id, "--approver", "dave@example.com", "--comment", "fine", "--yes"];
    home.run(&[&approve[..], &["--profile", "v1"]].concat()).ok();
    home.run(&["receipt", "export", &id, "-o", "receipt.json"]).ok();
    let output = verify_receipt(&home.path("receipt.json"), &["--trust", &key]).ok();
    assert!(output.contains("attested by the log") && !output.contains("fine"), "{output}");
    assert!(
        output.contains("1 approver: met; 1 approval is attested by the log alone"),
        "{output}"
    );
}

#[test]
fn every_approval_has_a_receipt_while_others_are_requested() {
    let (home, key, token) = home_with_token();
    let id = executed(&home);
    let server = home.serve();
    while_requests_are_made(&server, &token, || {
        for _ in 0..5 {
            let export = ["receipt", "export", &id, "-o", "receipt.json"];
            run_at(&home, &server, &token, &export).exits(0);
            verify_receipt(&home.path("receipt.json"), &["--trust", &key]).exits(0);
        }
    });
}
