//! `signoff run`: a command that runs only with an approval.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{APPROVER, Home, SECRET, Server, home_and_server, id, until};

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
    assert!(err.contains("is pending"), "{err}");
    assert_eq!(server.show(&approval)["status"], "pending");
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
    let run = Running::start(&home, &server, &[], &["./no-such-program", "--flag"]);
    let approval = run.approval.clone();
    server.decide(&approval, "approved", APPROVER).ok();
    let (code, _, err) = run.end();
    assert_eq!(code, 125);
    assert!(err.contains("no-such-program"), "{err}");
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
