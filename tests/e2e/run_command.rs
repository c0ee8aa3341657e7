//! `signoff run`: a command that runs only with an approval.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{APPROVER, Home, SECRET, Server, home_and_server, id, text, until};

/// A `signoff run` that requested its approval and waits.
struct Running {
    child: Child,
    err: BufReader<ChildStderr>,
    approval: Value,
}

impl Running {
    fn start(home: &Home, server: &Server, options: &[&str], command: &[&str]) -> Self {
        let mut arguments =
            vec!["--server", &server.url, "run", "--agent", "deployer", "--action", "deploy"];
        arguments.extend(options);
        arguments.push("--");
        arguments.extend(command);
        let mut signoff = home.signoff(&arguments);
        signoff.env("HMAC_SECRET", SECRET);
        let mut child =
            signoff.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        err.read_line(&mut line).unwrap();
        let id = line.split_whitespace().find(|word| word.starts_with("appr_")).expect(&line);
        let approval = server.get(&format!("/api/v1/approvals/{id}")).ok();
        Self { child, err, approval }
    }

    /// Waits for its end; returns its exit code, standard output, and the rest of standard error.
    fn end(self) -> (i32, String, String) {
        let Self { child, mut err, .. } = self;
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut err, &mut rest).unwrap();
        let output = child.wait_with_output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap_or(-1), out, rest)
    }
}

fn program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn execution(server: &Server, approval: &Value) -> Value {
    server.show(approval)["execution"].clone()
}

#[test]
fn an_approved_command_runs_and_its_exit_code_is_passed_on() {
    let (home, server) = home_and_server();
    for (script, code, outcome) in [
        ("echo done", 0, "succeeded"),
        ("echo done; exit 7", 7, "failed"),
        ("echo done; exit 125", 125, "failed"),
        ("echo done; exit 255", 255, "failed"),
        ("echo done; kill -9 $$", 128 + 9, "failed"),
    ] {
        let run =
            Running::start(&home, &server, &["--context", "{\"v\":1}"], &["sh", "-c", script]);
        let approval = run.approval.clone();
        assert_eq!(approval["agent"], "deployer");
        assert_eq!(approval["context"], json!({ "v": 1 }));
        assert_eq!(approval["plan"]["command"], json!(["sh", "-c", script]));
        server.decide(&approval, "approved", APPROVER).ok();
        let (exit, out, err) = run.end();
        assert_eq!((exit, out.as_str()), (code, "done\n"), "{err}");
        assert_eq!(execution(&server, &approval)["outcome"], outcome);
    }
}

#[test]
fn the_command_gets_no_secret_of_signoff() {
    let (home, server) = home_and_server();
    let script = "env | grep -E '^(SIGNOFF|HMAC)_' | cut -d= -f1 | sort | tr '\\n' ' '";
    let run = Running::start(&home, &server, &[], &["sh", "-c", script]);
    server.decide(&run.approval, "approved", APPROVER).ok();
    let (exit, out, err) = run.end();
    assert_eq!((exit, out.as_str()), (0, "SIGNOFF_CACHE_DIR "), "{err}");
}

#[test]
fn without_an_approval_nothing_runs() {
    let (home, server) = home_and_server();
    let touch = ["touch", "it-ran"];
    let rejected = Running::start(&home, &server, &[], &touch);
    server.decide(&rejected.approval, "rejected", APPROVER).ok();
    let (code, _, err) = rejected.end();
    assert_eq!(code, 125);
    assert!(err.contains("is rejected"), "{err}");
    let withdrawn = Running::start(&home, &server, &[], &touch);
    server.act(&withdrawn.approval, "withdraw", &json!({})).ok();
    assert_eq!(withdrawn.end().0, 125);
    let expired = Running::start(&home, &server, &["--expires-in", "1"], &touch);
    let (code, _, err) = expired.end();
    assert_eq!(code, 125);
    assert!(err.contains("is expired"), "{err}");
    let waited = Running::start(&home, &server, &["--timeout", "1"], &touch);
    let approval = waited.approval.clone();
    let (code, _, err) = waited.end();
    assert_eq!(code, 125);
    assert!(err.contains("was not decided in time"), "{err}");
    assert_eq!(server.show(&approval)["status"], "withdrawn");
    assert!(!home.path("it-ran").exists());
}

#[test]
fn a_rejection_reports_its_reason() {
    let (home, server) = home_and_server();
    let run = Running::start(&home, &server, &[], &["true"]);
    let mut body = crate::support::ballot(&run.approval, "rejected", APPROVER);
    body["comment"] = json!("too \u{202e}risky");
    server.act(&run.approval, "reject", &body).ok();
    let (_, _, err) = run.end();
    assert!(err.contains("too \\u{202e}risky"), "{err}");
}

#[test]
fn a_claim_by_another_executor_prevents_the_run() {
    let (home, server) = home_and_server();
    let run = Running::start(&home, &server, &["--context", "{}"], &["touch", "it-ran"]);
    let approval = run.approval.clone();
    // The first claim wins; the refused one may be the command's own.
    let decided = server.decide(&approval, "approved", APPROVER).ok();
    let body = json!({
        "agent": "deployer", "action": "deploy", "context": {}, "plan": approval["plan"],
    });
    let stolen = server.act(&decided, "execute", &body).status == 200;
    let (code, _, err) = run.end();
    assert_eq!(code == 0, !stolen, "{err}");
    assert_eq!(home.path("it-ran").exists(), !stolen);
}

#[test]
fn a_command_that_does_not_start_is_reported_as_failed() {
    let (home, server) = home_and_server();
    let missing = home.run(&[
        "--server",
        &server.url,
        "run",
        "--agent",
        "a",
        "--action",
        "b",
        "--",
        "./no-such-program",
    ]);
    assert_eq!(missing.code, 125);
    assert!(missing.err.contains("no-such-program"), "{}", missing.err);
    program(&home.path("text"), "not a program, and without an interpreter\n");
    let arguments =
        ["--server", &server.url, "run", "--agent", "a", "--action", "b", "--", "./text"];
    let text = home.run(&arguments);
    assert!(text.code == 125 && text.err.contains("neither a binary nor a script"), "{text:?}");
    program(&home.path("broken"), "\u{7f}ELF, but not more\n");
    let run = Running::start(&home, &server, &[], &["./broken", "--flag"]);
    let approval = run.approval.clone();
    server.decide(&approval, "approved", APPROVER).ok();
    let (code, _, err) = run.end();
    assert_eq!(code, 125);
    assert!(err.contains("broken"), "{err}");
    let execution = execution(&server, &approval);
    assert_eq!(execution["outcome"], "failed");
    assert!(execution["detail"].as_str().unwrap().contains("did not start"), "{execution}");
}

#[test]
fn sigterm_is_forwarded_and_the_outcome_is_reported() {
    let (home, server) = home_and_server();
    let script = "trap 'exit 42' TERM; touch ready; while :; do sleep 0.05; done";
    let run = Running::start(&home, &server, &[], &["sh", "-c", script]);
    let approval = run.approval.clone();
    server.decide(&approval, "approved", APPROVER).ok();
    until("the command runs", || home.path("ready").exists().then_some(()));
    kill_process(Pid::from_child(&run.child), Signal::TERM).unwrap();
    let (code, _, err) = run.end();
    assert_eq!(code, 42, "{err}");
    assert_eq!(execution(&server, &approval)["outcome"], "failed");
}

#[test]
fn run_works_on_a_store_file() {
    let home = Home::new();
    let mut command = home
        .signoff(&["run", "--agent", "deployer", "--action", "deploy", "--", "sh", "-c", "exit 3"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let wanted = line.split_whitespace().find(|word| word.starts_with("appr_")).expect(&line);
    home.run(&["approve", wanted, "--approver", APPROVER, "--yes"]).ok();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    let shown = home.run(&["--json", "show", wanted]).json();
    assert_eq!(id(&shown), wanted);
    assert_eq!(shown["execution"]["outcome"], "failed");
}

#[test]
fn a_closed_standard_error_does_not_stop_the_run() {
    let (home, server) = home_and_server();
    let run = Running::start(&home, &server, &[], &["sh", "-c", "exit 5"]);
    let Running { mut child, err, approval } = run;
    drop(err);
    server.decide(&approval, "approved", APPROVER).ok();
    assert_eq!(until("it ends", || child.try_wait().unwrap()).code(), Some(5));
    assert_eq!(execution(&server, &approval)["outcome"], "failed");
}

#[test]
fn failures_of_run_exit_with_125() {
    let home = Home::new();
    let run = |options: &[&str]| {
        let mut arguments = options.to_vec();
        arguments.extend(["run", "--agent", "a", "--action", "b", "--", "true"]);
        home.run(&arguments).code
    };
    assert_eq!(run(&["--server", "http://127.0.0.1:9"]), 125);
    assert_eq!(run(&["--store", "missing/signoff.redb"]), 125);
    let refused = home.run(&["run", "--agent", "", "--action", "b", "--", "true"]);
    assert_eq!(refused.code, 125, "{refused:?}");
}

/// Runs `command`, edits files while the approval is pending, and approves. Returns the exit code,
/// both outputs and the execution.
fn edited(
    home: &Home,
    server: &Server,
    options: &[&str],
    command: &[&str],
    edit: impl FnOnce(),
) -> (i32, String, String, Value) {
    let run = Running::start(home, server, options, command);
    let approval = run.approval.clone();
    edit();
    server.decide(&approval, "approved", APPROVER).ok();
    let (code, out, err) = run.end();
    (code, out, err, execution(server, &approval))
}

#[test]
fn what_changes_while_the_approval_is_pending_does_not_run() {
    let (home, server) = home_and_server();
    let path = |name: &str| home.path(name);
    let script = "#!/bin/sh\necho ran \"$@\"; cat\n";
    let reset = || {
        program(&path("tool"), script);
        fs::write(path("schema.sql"), "create").unwrap();
        fs::write(path("input"), "in").unwrap();
    };
    let options = ["--bind", "input"];
    let command = ["./tool", "--file=schema.sql", "@schema.sql", "schema.sql"];
    reset();
    let (code, out, err, execution) = edited(&home, &server, &options, &command, || {});
    assert_eq!(
        (code, out.as_str()),
        (0, "ran --file=schema.sql @schema.sql schema.sql\n"),
        "{err}"
    );
    assert_eq!(execution["outcome"], "succeeded");
    let replaced = || {
        fs::remove_file(path("tool")).unwrap();
        program(&path("tool"), "#!/bin/sh\ntouch planted\n");
    };
    let edits: [(&str, &dyn Fn()); 4] = [
        ("tool", &|| program(&path("tool"), "#!/bin/sh\ntouch planted\n")),
        ("tool", &replaced),
        ("schema.sql", &|| fs::write(path("schema.sql"), "drop").unwrap()),
        ("input", &|| fs::write(path("input"), "other").unwrap()),
    ];
    for (name, edit) in edits {
        reset();
        let (code, out, err, execution) = edited(&home, &server, &options, &command, edit);
        assert_eq!((code, out.as_str()), (125, ""), "{err}");
        assert!(err.contains(name) && err.contains("plan-mismatch"), "{name}: {err}");
        assert_eq!(execution["outcome"], "failed", "{name}");
        assert!(!path("planted").exists());
    }
}

#[test]
fn a_program_that_takes_the_place_of_another_in_path_does_not_run() {
    let (home, server) = home_and_server();
    for folder in ["first", "second"] {
        fs::create_dir(home.path(folder)).unwrap();
    }
    program(&home.path("second/deploy"), "#!/usr/bin/env sh\necho deployed\n");
    let paths =
        format!("{}:{}:/usr/bin:/bin", home.path("first").display(), home.path("second").display());
    let start = || {
        let mut signoff = home.signoff(&[
            "--server",
            &server.url,
            "run",
            "--agent",
            "a",
            "--action",
            "b",
            "--",
            "deploy",
        ]);
        signoff.env("PATH", &paths).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = signoff.spawn().unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        err.read_line(&mut line).unwrap();
        let id = line.split_whitespace().find(|word| word.starts_with("appr_")).expect(&line);
        let approval = server.get(&format!("/api/v1/approvals/{id}")).ok();
        Running { child, err, approval }
    };
    let run = start();
    let plan = &run.approval["plan"];
    assert!(plan["program"]["path"].as_str().unwrap().ends_with("second/deploy"), "{plan}");
    assert!(plan["interpreter"]["path"].as_str().unwrap().ends_with("/sh"), "{plan}");
    server.decide(&run.approval, "approved", APPROVER).ok();
    let (code, out, err) = run.end();
    assert_eq!((code, out.as_str()), (0, "deployed\n"), "{err}");
    let run = start();
    program(&home.path("first/deploy"), "#!/bin/sh\ntouch planted\n");
    server.decide(&run.approval, "approved", APPROVER).ok();
    let (code, out, err) = run.end();
    assert_eq!((code, out.as_str()), (125, ""), "{err}");
    assert!(err.contains("plan-mismatch"), "{err}");
}

#[test]
fn a_pipe_in_the_place_of_a_bound_file_is_a_mismatch() {
    let (home, server) = home_and_server();
    fs::write(home.path("input"), "in").unwrap();
    let replaced = || {
        fs::remove_file(home.path("input")).unwrap();
        let made = home.program("mkfifo").arg("input").status().unwrap();
        assert!(made.success());
    };
    let options = ["--bind", "input"];
    let (code, out, err, execution) = edited(&home, &server, &options, &["echo", "ran"], replaced);
    assert_eq!((code, out.as_str()), (125, ""), "{err}");
    assert_eq!(execution["outcome"], "failed");
}

/// An agent that can create a file cannot take another one out of the plan.
#[test]
fn each_file_that_an_argument_may_name_is_bound() {
    let (home, server) = home_and_server();
    fs::write(home.path("data"), "good").unwrap();
    fs::write(home.path("if=data"), "decoy").unwrap();
    let changed = || fs::write(home.path("data"), "evil").unwrap();
    let command = ["dd", "if=data", "status=none"];
    let (code, out, err, _) = edited(&home, &server, &[], &command, changed);
    assert_eq!((code, out.as_str()), (125, ""), "{err}");
    let attached = ["cat", "-n", "-fdata"];
    let (code, out, err, _) = edited(&home, &server, &[], &attached, || {
        fs::write(home.path("data"), "worse").unwrap();
    });
    assert_eq!((code, out.as_str()), (125, ""), "{err}");
    fs::create_dir(home.path("app")).unwrap();
    // What is named and not bound is shown to the approver: the content of a folder, and what is left out.
    for (options, command, argument, why) in [
        (&["--no-bind", "1"][..], &command[..], 1, "left out"),
        (&[], &["ls", "app"], 1, "a folder"),
        (&[], &["ls", "-l", "--color=./app"], 2, "a folder"),
    ] {
        let run = Running::start(&home, &server, options, command);
        let unbound = &run.approval["plan"]["unbound"][0];
        assert_eq!((&unbound["argument"], &unbound["why"]), (&json!(argument), &json!(why)));
        server.decide(&run.approval, "rejected", APPROVER).ok();
        run.end();
    }
}

#[test]
fn the_standard_input_is_empty_or_the_bound_file() {
    let (home, server) = home_and_server();
    let (code, out, _, _) = edited(&home, &server, &[], &["cat"], || {});
    assert_eq!((code, out.as_str()), (0, ""));
    fs::write(home.path("input"), "bound").unwrap();
    let (code, out, _, _) = edited(&home, &server, &["--stdin", "input"], &["cat"], || {});
    assert_eq!((code, out.as_str()), (0, "bound"));
    let changed = || fs::write(home.path("input"), "other").unwrap();
    let (code, out, err, _) = edited(&home, &server, &["--stdin", "input"], &["cat"], changed);
    assert_eq!((code, out.as_str()), (125, ""), "{err}");
}

#[test]
fn an_interrupted_run_withdraws_its_request() {
    let (home, server) = home_and_server();
    for (signal, code) in
        [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129), (Signal::QUIT, 131)]
    {
        let run = Running::start(&home, &server, &[], &["touch", "it-ran"]);
        let approval = run.approval.clone();
        kill_process(Pid::from_child(&run.child), signal).unwrap();
        let (ended, _, err) = run.end();
        assert_eq!(ended, code, "{err}");
        assert_eq!(server.show(&approval)["status"], "withdrawn");
    }
    assert!(!home.path("it-ran").exists());
}

#[test]
fn json_says_why_nothing_ran() {
    let (home, server) = home_and_server();
    for (reason, how) in [("rejected", "reject"), ("withdrawn", "withdraw")] {
        let run = Running::start(&home, &server, &["--json"], &["true"]);
        match how {
            "reject" => server.decide(&run.approval, "rejected", APPROVER).ok(),
            _ => server.act(&run.approval, "withdraw", &json!({})).ok(),
        };
        let (code, out, _) = run.end();
        let answer: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, answer["reason"].as_str()), (125, Some(reason)), "{out}");
    }
    let expired = Running::start(&home, &server, &["--json", "--expires-in", "1"], &["true"]);
    let (_, out, _) = expired.end();
    assert!(out.contains("\"reason\":\"expired\""), "{out}");
}

#[test]
fn with_trust_the_servers_word_is_not_enough() {
    let (home, server) = home_and_server();
    let approvers = home.path("approvers");
    fs::create_dir(&approvers).unwrap();
    let key = |folder: &Path| {
        let mut signoff =
            home.signoff(&["key", "generate", "--id", "ann", "--approver", "ann@company.com"]);
        let made = signoff.current_dir(folder).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    key(&approvers);
    // The server's own approver signs with a shared secret: its word, as far as the executor knows.
    let trust = home.path("approvers/signoff.keys.json").display().to_string();
    let options = ["--trust", trust.as_str(), "--audience", "default"];
    let (code, out, err, execution) = edited(&home, &server, &options, &["touch", "it-ran"], || {});
    assert_eq!((code, out.as_str()), (125, ""), "{err}");
    assert!(execution.is_null() && !home.path("it-ran").exists(), "{err}");
    // Another run of the same command needs another approval, even if the server lies.
    let nonces = [(); 2].map(|()| {
        let run = Running::start(&home, &server, &options, &["true"]);
        server.decide(&run.approval, "rejected", APPROVER).ok();
        let nonce = text(&run.approval["plan"], "nonce").to_owned();
        run.end();
        nonce
    });
    assert!(nonces[0].len() == 32 && nonces[0] != nonces[1], "{nonces:?}");
    // A typing error is no empty keyring, and the keys of the environment are not trusted.
    let command = ["run", "--agent", "a", "--action", "b", "--server", &server.url];
    let absent = ["--trust", "absent.json", "--audience", "default", "--", "true"];
    let ran = home.run(&[&command[..], &absent[..]].concat()).exits(125);
    assert!(ran.err.contains("absent.json") && ran.err.contains("no such file"), "{ran:?}");
}
