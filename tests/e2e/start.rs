//! The checks of `serve` before it accepts requests: a log key, an existing store, the clock.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use signoff::clock::{Clock, ManualClock, SystemClock};
use signoff::engine::VERIFIER;

use crate::support::{
    APPROVER, Authority, Home, Inside, Ran, SERVE, Server, home_and_server, id, text, until,
};

const DAY: u64 = 86_400;

/// Checks that a start is refused; returns its message.
#[track_caller]
fn refused(home: &Home, more: &[&str]) -> String {
    let ran = home.run(&[SERVE, more].concat()).exits(1);
    assert_eq!(ran.out, "", "no address is printed");
    // Before it come lines of the log.
    let last = ran.err.lines().last().unwrap_or_default();
    assert!(last.starts_with("signoff: ") && !ran.err.contains("panicked"), "{ran:?}");
    ran.err
}

#[track_caller]
fn started(home: &Home, more: &[&str]) -> Server {
    Server::start_with(home.signoff(&[SERVE, more].concat()))
}

/// Returns the audit entries of an event, those of the start included.
#[track_caller]
fn events(server: &Server, event: &str) -> Vec<Value> {
    let page = server.get("/api/v1/audit?limit=1000").ok();
    let entries = page["items"].as_array().unwrap().iter();
    entries.map(|item| item["entry"]["event"].clone()).filter(|e| e["event"] == event).collect()
}

/// Returns the first line that the server printed, as JSON.
fn facts(server: &Server) -> Value {
    let printed = server.printed();
    let first = printed.lines().find(|line| line.starts_with("{\"") && line.contains("\"url\""));
    serde_json::from_str(first.unwrap()).unwrap()
}

#[test]
fn serve_creates_a_log_key_if_the_keyring_has_none() {
    let home = Home::new();
    let keyring = home.path("signoff.keys.json");
    // An existing store whose rows are not authenticated.
    let request = ["--json", "request", "--agent", "a", "--action", "b", "--context", "{}"];
    let before = home.run(&request).exits(0).json();
    assert!(home.run(&["doctor"]).out.contains("rows are not authenticated"));
    assert!(!keyring.exists());
    let server = home.serve();
    assert_eq!(fs::metadata(&keyring).unwrap().permissions().mode() & 0o777, 0o600);
    let made = facts(&server);
    let log_key = text(&made, "log_key").to_owned();
    let output = format!("created log key `{log_key}`");
    until("the key is reported", || server.printed().contains(&output).then_some(()));
    let recorded = events(&server, "key_recorded");
    assert!(recorded.iter().any(|key| key["key_id"] == log_key && key["use"] == "log"));
    assert_eq!(server.show(&before)["status"], "pending");
    server.get("/api/v1/audit/checkpoint");
    server.stop();
    let doctor = home.run(&["doctor"]).ok();
    assert!(!doctor.contains("rows are not authenticated"), "{doctor}");
    // Only once: the next start uses it.
    let server = home.serve();
    assert_eq!(facts(&server)["log_key"], log_key);
    assert!(!server.stop().contains("created log key"));
}

#[test]
fn a_created_log_key_is_added_to_the_keyring() {
    let home = Home::new();
    home.run(&["key", "generate", "--id", "ann", "--approver", APPROVER]).ok();
    let server = home.serve();
    let keys = facts(&server)["keys"].as_array().unwrap().len();
    assert_eq!(keys, 3, "the secret, ann's, and the log's");
    assert_eq!(events(&server, "key_recorded").len(), 3);
}

/// Returns `serve` with a keyring path that cannot be written.
fn without_keyring(home: &Home, more: &[&str]) -> Command {
    let mut command = home.signoff(&[SERVE, more].concat());
    command.env("SIGNOFF_KEYRING", "no-such-folder/keys.json");
    command
}

#[test]
fn a_server_without_a_log_key_stays_on_loopback_and_reports_it() {
    let home = Home::new();
    home.run(&["token", "create", "--subject", "root", "--role", "admin"]).ok();
    let server = Server::start_with(without_keyring(&home, &[]));
    assert_eq!(facts(&server)["log_key"], Value::Null);
    assert!(server.stop().contains("rows of the store are not authenticated"));
    Authority::new("an authority of a test").issue("127.0.0.1").install(&home);
    let tls = ["--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    for more in [
        &["--listen", "0.0.0.0:0", "--behind-proxy"][..],
        &["--listen", "127.0.0.1:0", "--behind-proxy"],
        &[&["--listen", "0.0.0.0:0"][..], &tls].concat(),
    ] {
        let more = [&["serve"], more].concat();
        let mut command = home.signoff(&more);
        command.env("SIGNOFF_KEYRING", "no-such-folder/keys.json");
        let ran = Ran::of(&mut command).exits(1);
        assert!(ran.err.contains("refusing to listen on"), "{ran:?}");
        assert!(ran.err.contains("without a log key"), "{ran:?}");
        assert!(ran.err.contains("signoff key generate --use log"), "{ran:?}");
    }
}

#[test]
fn accepting_an_unsigned_store_ends_unfinished_approvals_once() {
    let home = Home::new();
    let request = ["--json", "request", "--agent", "a", "--action", "b", "--context", "{}"];
    let pending = home.run(&request).exits(0).json();
    let approved = home.run(&request).exits(0).json();
    home.run(&["approve", id(&approved), "--approver", APPROVER, "--yes"]).ok();
    home.run(&["key", "generate", "--use", "log"]).ok();
    let stored = fs::read(home.store()).unwrap();
    let output = refused(&home, &[]);
    assert!(output.contains("not signed") && output.contains("--accept-unsigned"), "{output}");
    assert!(home.run(&["list"]).exits(1).err.contains("--accept-unsigned"));
    let server = started(&home, &["--accept-unsigned"]);
    for approval in [&pending, &approved] {
        assert_eq!(server.show(approval)["status"], "expired");
    }
    let accepted = events(&server, "unsigned_accepted");
    assert_eq!((accepted.len(), &accepted[0]["ended"]), (1, &json!(2)));
    let open = server.request();
    assert!(server.stop().contains("2 unfinished approvals expired"));
    // The store is signed now: no flag is needed, and the flag ends no more approvals.
    home.serve().stop();
    let server = started(&home, &["--accept-unsigned"]);
    assert_eq!(events(&server, "unsigned_accepted").len(), 1);
    assert_eq!(server.show(&open)["status"], "pending");
    server.stop();
    // The old file is still unsigned.
    fs::write(home.store(), stored).unwrap();
    refused(&home, &[]);
    home.run(&["doctor"]).exits(1);
}

#[test]
fn with_a_log_key_a_missing_store_is_not_created() {
    let home = Home::new();
    home.run(&["key", "generate", "--use", "log"]).ok();
    let output = refused(&home, &[]);
    assert!(output.contains("signoff.redb") && output.contains("--create-store"), "{output}");
    assert!(!home.store().exists());
    // Nor does a message suggest `init` for a missing store.
    for command in [&["list"][..], &["stats"], &["verify", "appr_0", "--agent", "a"]] {
        let ran = home.run(command);
        assert!(ran.code != 0 && !ran.err.contains("signoff init"), "{ran:?}");
    }
    let output = started(&home, &["--create-store"]).stop();
    assert!(output.contains("created a new, empty store for audience `default`"), "{output}");
    home.run(&["doctor"]).ok();
    let server = home.serve();
    server.approved();
    server.stop();
    fs::rename(home.store(), home.path("away.redb")).unwrap();
    refused(&home, &[]);
    assert!(!home.store().exists());
    // Nor does a command create it: an empty store would know no token and no setting.
    for command in [
        vec!["request", "--agent", "a", "--action", "b", "--context", "{}"],
        vec!["evaluate", "--agent", "a", "--action", "b", "--context", "{}"],
        vec!["token", "create", "--subject", "root", "--role", "admin"],
    ] {
        let ran = home.run(&command).exits(1);
        assert!(ran.err.contains("--create-store"), "{ran:?}");
        assert!(!home.store().exists(), "{command:?}");
    }
    fs::rename(home.path("away.redb"), home.store()).unwrap();
    home.serve().assert_ready();
    // If both are missing, `serve` creates both; so does `init`.
    let (other, server) = home_and_server();
    server.stop();
    assert!(other.store().exists() && other.path("signoff.keys.json").exists());
    let third = Home::new();
    third.run(&["init"]).ok();
    third.serve().assert_ready();
}

/// Returns a home whose last entry has this time.
fn last_entry_at(seconds: u64) -> Home {
    let home = Home::new();
    let clock = Arc::new(ManualClock::at(seconds));
    let inside = Inside::start(&home, VERIFIER, Arc::clone(&clock) as Arc<dyn Clock>);
    inside.client.request();
    inside.stop();
    home
}

#[test]
fn a_log_key_without_its_private_half_does_not_start() {
    let home = Home::new();
    home.serve().stop();
    let keyring = home.path("signoff.keys.json");
    let whole = fs::read_to_string(&keyring).unwrap();
    let mut keys: Value = serde_json::from_str(&whole).unwrap();
    keys["keys"][0].as_object_mut().unwrap().remove("private").unwrap();
    fs::write(&keyring, keys.to_string()).unwrap();
    let store = fs::read(home.store()).unwrap();
    assert!(refused(&home, &[]).contains("private half"));
    assert_eq!(fs::read(home.store()).unwrap(), store, "a refused start writes nothing");
    assert!(home.run(&["doctor"]).exits(1).out.contains("BAD   log key"));
    home.run(&["list"]).ok();
    fs::write(&keyring, whole).unwrap();
    home.serve().assert_ready();
}

#[test]
fn a_start_long_after_the_last_entry_needs_accept_clock() {
    let home = last_entry_at(SystemClock.now() - 31 * DAY);
    let output = refused(&home, &[]);
    assert!(output.contains("31 days after the last audit entry"), "{output}");
    assert!(output.contains("--accept-clock"), "{output}");
    assert!(home.run(&["doctor"]).exits(1).out.contains("BAD   clock"));
    // A command on the file is refused too.
    let request = ["request", "--agent", "a", "--action", "b", "--context", "{}"];
    let ran = home.run(&request);
    assert!(ran.code != 0 && ran.err.contains("clock-ahead"), "{ran:?}");
    home.run(&["list"]).ok();
    let server = started(&home, &["--accept-clock"]);
    let accepted = events(&server, "clock_accepted");
    assert_eq!(accepted.len(), 1);
    assert!(text(&accepted[0], "last") < text(&accepted[0], "now"), "{accepted:?}");
    // What was pending then has ended before anybody is answered.
    assert_eq!(events(&server, "approval_expired").len(), 1);
    server.approved();
    assert!(server.stop().contains("accepted: 1 unfinished approvals expired"));
    // After that the flag is not needed and has no effect.
    home.run(&request).ok();
    let server = started(&home, &["--accept-clock"]);
    assert_eq!(events(&server, "clock_accepted").len(), 1);
    server.stop();
    let recent = last_entry_at(SystemClock.now() - 29 * DAY);
    recent.serve().assert_ready();
}

#[test]
fn a_start_that_the_witness_refuses_leaves_no_new_store() {
    let home = Home::new();
    home.run(&["init"]).ok();
    let witness = home.path("witness").display().to_string();
    started(&home, &["--witness", &witness, "--new-witness"]).stop();
    fs::rename(home.store(), home.path("away.redb")).unwrap();
    let output = refused(&home, &["--witness", &witness, "--create-store"]);
    assert!(output.contains("has seen one"), "{output}");
    assert!(!home.store().exists());
    refused(&home, &[]);
    fs::rename(home.path("away.redb"), home.store()).unwrap();
    started(&home, &["--witness", &witness]).assert_ready();
}

#[test]
fn a_time_past_the_year_9999_is_never_written() {
    let home = Home::new();
    let clock = Arc::new(ManualClock::at(253_402_300_800));
    let inside = Inside::start(&home, VERIFIER, clock as Arc<dyn Clock>);
    let request = json!({ "agent": "a", "action": "b", "context": {} });
    inside.client.post("/api/v1/approvals", &request).refused("clock-ahead");
    inside.stop();
    home.run(&["doctor"]).ok();
}

#[test]
fn a_last_entry_in_the_future_is_reported_with_instructions() {
    // The first start must record its settings, and cannot.
    let home = last_entry_at(SystemClock.now() + 400 * DAY);
    let output = refused(&home, &[]);
    for part in [
        "the last audit entry has the time 20",
        "ahead of this machine's clock",
        "backup",
        "new store",
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }
    // If everything is recorded already, the server starts, for reads only.
    let home = Home::new();
    home.serve().stop();
    let clock = Arc::new(ManualClock::at(SystemClock.now() + 20 * DAY));
    let inside = Inside::start(&home, VERIFIER, clock as Arc<dyn Clock>);
    let approval = inside.client.request();
    inside.stop();
    let server = home.serve();
    until("the future entry is reported", || {
        server.printed().contains("the last audit entry has the time 20").then_some(())
    });
    server.get("/readyz").refused("clock-behind");
    assert_eq!(server.show(&approval)["id"], approval["id"]);
    server.stop();
}
