//! `serve --witness`: a store that was rolled back does not start.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Client, Home, Ran, SERVE, Server, claim_body, empty_lists, home_and_server, id, request_body,
    text,
};

const ROUNDS_DEFAULT: u32 = 12;
const WORKERS: usize = 3;

/// The first start of a store with a witness.
const FIRST: &[&str] = &["--create-store", "--new-witness"];

/// A store with a log key, and a folder for its witness.
struct Witnessed {
    home: Home,
}

impl Witnessed {
    /// Returns a store that was started once.
    fn new() -> Self {
        let witnessed = Self::unstarted();
        Server::start_with(witnessed.command(FIRST)).stop();
        witnessed
    }

    fn unstarted() -> Self {
        let home = Home::new();
        home.run(&["key", "generate", "--use", "log"]).ok();
        fs::create_dir(home.path("elsewhere")).unwrap();
        Self { home }
    }

    fn file(&self) -> PathBuf {
        self.home.path("elsewhere/witness.note")
    }

    fn command(&self, more: &[&str]) -> Command {
        self.home.signoff(&[SERVE, &["--witness", "elsewhere/witness.note"], more].concat())
    }

    fn serve(&self) -> Server {
        Server::start_with(self.command(&[]))
    }

    /// Checks that a start is refused; returns its message.
    #[track_caller]
    fn refused(&self) -> String {
        self.refused_with(&[])
    }

    #[track_caller]
    fn refused_with(&self, more: &[&str]) -> String {
        let ran = Ran::of(&mut self.command(more)).exits(1);
        assert_eq!(ran.out, "", "no address is printed");
        let last = ran.err.lines().last().unwrap_or_default();
        assert!(last.starts_with("signoff: ") && !ran.err.contains("panicked"), "{ran:?}");
        ran.err
    }

    /// Returns the number of entries that the witness has seen.
    #[track_caller]
    fn seen(&self) -> u64 {
        size_of(&fs::read_to_string(self.file()).unwrap())
    }

    fn backup(&self) -> Vec<u8> {
        fs::read(self.home.store()).unwrap()
    }

    fn restore(&self, backup: &[u8]) {
        fs::write(self.home.store(), backup).unwrap();
    }
}

/// Returns the tree size, the second line of a checkpoint.
fn size_of(note: &str) -> u64 {
    note.lines().nth(1).unwrap().parse().unwrap()
}

/// Returns the number of audit entries.
fn entries(client: &Client) -> u64 {
    let page = client.get("/api/v1/audit?limit=1000").ok();
    assert!(page["next_after"].is_null());
    page["items"].as_array().unwrap().len() as u64
}

#[test]
fn the_witness_sees_a_change_before_its_answer() {
    let witnessed = Witnessed::new();
    let server = witnessed.serve();
    assert_eq!(witnessed.seen(), entries(&server));
    let look = || assert_eq!(witnessed.seen(), entries(&server));
    for _ in 0..5 {
        let approval = server.request();
        look();
        server.decide(&approval, "approved", "user@company.com").ok();
        look();
        let claimed = server.claim(&approval).ok();
        look();
        let execution = &claimed["execution"]["id"];
        let outcome = json!({ "execution_id": execution, "outcome": "succeeded" });
        server.act(&approval, "outcome", &outcome).ok();
        look();
    }
    let made = json!({ "subject": "root", "roles": ["admin", "auditor"] });
    let made = server.post("/api/v1/tokens", &made).json(201);
    let admin = server.with_token(text(&made, "token"));
    assert_eq!(witnessed.seen(), entries(&admin));
    // The witness is the log's own checkpoint.
    let checkpoint = admin.get("/api/v1/audit/checkpoint").body;
    assert_eq!(fs::read_to_string(witnessed.file()).unwrap(), checkpoint);
    server.stop();
    let server = witnessed.serve();
    server.with_token(text(&made, "token")).get("/api/v1/audit").ok();
    let left: Vec<_> = fs::read_dir(witnessed.home.path("elsewhere")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn only_witnessed_entries_are_readable() {
    let witnessed = Witnessed::new();
    let server = witnessed.serve();
    let approval = server.request();
    let done = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        let done = &done;
        scope.spawn(|| {
            for _ in 0..150 {
                server.request();
            }
            done.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        while !done.load(std::sync::atomic::Ordering::SeqCst) {
            let size = size_of(&server.get("/api/v1/audit/checkpoint").body);
            let seen = witnessed.seen();
            assert!(size <= seen, "the checkpoint has {size} entries, the witness saw {seen}");
        }
    });
    server.show(&approval);
}

#[test]
fn an_older_copy_of_the_store_does_not_start() {
    let witnessed = Witnessed::new();
    let server = witnessed.serve();
    let approval = server.approved();
    server.stop();
    let backup = witnessed.backup();
    let server = witnessed.serve();
    server.request();
    let size = entries(&server);
    server.stop();
    witnessed.restore(&backup);
    for _ in 0..2 {
        let output = witnessed.refused();
        let sizes = [format!("holds {} audit entries", size - 1), format!("saw {size}")];
        assert!(sizes.iter().all(|size| output.contains(size)), "{output}");
        assert!(
            output.contains("--accept-rollback") && output.contains("witness.note"),
            "{output}"
        );
    }
    // Nor does a command report an approval in it as valid.
    for command in ["wait", "verify"] {
        let ran = witnessed.home.run(&[command, text(&approval, "id")]).exits(1);
        assert!(ran.err.contains("does not extend its witness"), "{ran:?}");
    }
    // The refused start changed nothing; without the witness the copy looks intact.
    let doctor = witnessed.home.run(&["doctor"]).exits(1).out;
    assert!(doctor.contains(&format!("{} audit entries agree", size - 1)), "{doctor}");
    assert!(doctor.contains("BAD   witness"), "{doctor}");
    assert_eq!(witnessed.seen(), size);
    // A new store in its place does not extend the witness either.
    fs::remove_file(witnessed.home.store()).unwrap();
    assert!(witnessed.refused().contains("--create-store"));
    let output = witnessed.refused_with(&["--create-store"]);
    assert!(output.contains("has seen one"), "{output}");
    assert!(!witnessed.home.store().exists());
}

#[test]
fn a_store_with_other_entries_does_not_start() {
    // A copy from before the first witness, which has no record of one.
    let witnessed = Witnessed::unstarted();
    witnessed.home.serve().stop();
    let backup = witnessed.backup();
    let server = Server::start_with(witnessed.command(&["--new-witness"]));
    server.request();
    server.request();
    let size = entries(&server);
    server.stop();
    witnessed.restore(&backup);
    let server = witnessed.home.serve();
    for _ in 0..4 {
        server.request();
        if entries(&server) == size {
            server.get("/readyz").ok();
            break;
        }
    }
    assert_eq!(entries(&server), size, "as many entries, but different ones");
    server.stop();
    let output = witnessed.refused();
    assert!(output.contains(&format!("its first {size} entries differ")), "{output}");
    // A longer log is refused too.
    let server = witnessed.home.serve();
    server.request();
    server.stop();
    assert!(witnessed.refused().contains("entries differ"));
}

#[test]
fn an_accepted_rollback_ends_unfinished_approvals() {
    let witnessed = Witnessed::new();
    let server = witnessed.serve();
    let pending = server.request();
    let approved = server.approved();
    let rejected = server.request();
    server.decide(&rejected, "rejected", "user@company.com").ok();
    let claimed = server.approved();
    server.claim(&claimed).ok();
    let withdrawn = server.request();
    server.act(&withdrawn, "withdraw", &json!({})).ok();
    let size = entries(&server);
    server.stop();
    let backup = witnessed.backup();
    let server = witnessed.serve();
    // The aim of a rollback: to claim the approval once more.
    server.claim(&approved).ok();
    let seen = entries(&server);
    server.stop();
    witnessed.restore(&backup);
    witnessed.refused();
    let server = Server::start_with(witnessed.command(&["--accept-rollback"]));
    for (approval, status, code) in [
        (&pending, "expired", "expired"),
        (&approved, "expired", "expired"),
        (&rejected, "rejected", "not-approved"),
        (&claimed, "executed", "already-executed"),
        (&withdrawn, "withdrawn", "not-approved"),
    ] {
        assert_eq!(server.show(approval)["status"], status);
        server.claim(approval).refused(code);
    }
    server.decide(&pending, "approved", "user@company.com").refused("expired");
    let audit = server.audit();
    let rollbacks: Vec<&Value> =
        audit.iter().filter(|e| e["event"] == "rollback_accepted").collect();
    assert_eq!(rollbacks.len(), 1);
    assert_eq!(rollbacks[0]["witnessed"]["size"], seen, "{rollbacks:?}");
    assert_eq!(rollbacks[0]["actor"], "system");
    let voided: Vec<&str> = audit
        .iter()
        .filter(|entry| entry["event"] == "approval_voided")
        .map(|entry| text(entry, "approval_id"))
        .collect();
    assert_eq!(voided.len(), 2);
    assert!(voided.contains(&id(&pending)) && voided.contains(&id(&approved)), "{voided:?}");
    let printed = server.stop();
    assert!(printed.contains("2 unfinished approvals expired"), "{printed}");
    assert_eq!(witnessed.seen(), size + 3);
    let server = witnessed.serve();
    server.approved();
    assert_eq!(server.audit().iter().filter(|e| e["event"] == "rollback_accepted").count(), 1);
    server.stop();
    // The flag has no effect on a store that extends its witness.
    let server = Server::start_with(witnessed.command(&["--accept-rollback"]));
    assert_eq!(server.audit().iter().filter(|e| e["event"] == "rollback_accepted").count(), 1);
    let open = server.get("/api/v1/approvals?status=approved").ok();
    assert_eq!(open["items"].as_array().unwrap().len(), 1);
    server.stop();
    witnessed.home.run(&["doctor"]).ok();
}

#[test]
fn an_accepted_rollback_ends_many_approvals() {
    let witnessed = Witnessed::new();
    let server = witnessed.serve();
    let requests = 300;
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| (0..requests / 6).for_each(|_| drop(server.request())));
        }
    });
    server.stop();
    let backup = witnessed.backup();
    let server = witnessed.serve();
    server.request();
    server.stop();
    witnessed.restore(&backup);
    let server = Server::start_with(witnessed.command(&["--accept-rollback"]));
    for status in ["pending", "approved"] {
        let left = server.get(&format!("/api/v1/approvals?status={status}")).ok();
        assert_eq!(left["items"], json!([]), "{status}");
    }
    let voided = server.audit().iter().filter(|e| e["event"] == "approval_voided").count();
    assert_eq!(voided, requests);
}

#[test]
fn a_crash_never_prevents_a_start() {
    let rounds = std::env::var("SIGNOFF_CRASH_ROUNDS")
        .map_or(ROUNDS_DEFAULT, |rounds| rounds.parse().expect("a number of rounds"));
    let witnessed = Witnessed::new();
    let mut server = witnessed.serve();
    let mut numbered = 0;
    for round in 0..rounds {
        let client: Client = server.clone();
        let acknowledged: Vec<String> = thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS)
                .map(|_| {
                    let client = client.clone();
                    scope.spawn(move || {
                        let mut ids = Vec::new();
                        let body = request_body().to_string();
                        while let Ok(answer) =
                            client.try_post("/api/v1/approvals", &[], body.as_bytes())
                        {
                            ids.push(id(&answer.json(201)).to_owned());
                        }
                        ids
                    })
                })
                .collect();
            // Short and long delays in mixed order.
            thread::sleep(Duration::from_millis(u64::from(round * 37 % 101) * 2));
            server.kill();
            workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
        });
        let seen = witnessed.seen();
        server = witnessed.serve();
        numbered = check_acknowledged(&server, numbered, seen, &acknowledged);
    }
    server.stop();
    let left: Vec<_> = fs::read_dir(witnessed.home.path("elsewhere")).unwrap().collect();
    assert!(left.len() <= 2, "crashes do not accumulate files: {left:?}");
}

/// Checks that the witness saw the entry of each acknowledged request; returns the last number.
fn check_acknowledged(client: &Client, after: u64, seen: u64, acknowledged: &[String]) -> u64 {
    let mut number_of = std::collections::HashMap::new();
    let mut last = after;
    loop {
        let page = client.get(&format!("/api/v1/audit?after={last}&limit=1000")).ok();
        for item in page["items"].as_array().unwrap() {
            last = item["number"].as_u64().unwrap();
            if let Some(id) = item["entry"]["event"]["approval_id"].as_str() {
                number_of.insert(id.to_owned(), last);
            }
        }
        if page["next_after"].is_null() {
            break;
        }
    }
    for id in acknowledged {
        let number = number_of.get(id).unwrap_or_else(|| panic!("{id} is lost"));
        assert!(*number <= seen, "{id} is entry {number}, and the witness saw {seen}");
    }
    last
}

#[test]
fn a_witness_that_cannot_be_replaced_stops_writing() {
    let witnessed = Witnessed::new();
    let server = witnessed.serve();
    let approved = server.approved();
    let (file, away) = (witnessed.file(), witnessed.home.path("elsewhere/away.note"));
    fs::rename(&file, &away).unwrap();
    // A file does not replace a directory.
    fs::create_dir(&file).unwrap();
    ends_writing(&server, &approved);
    assert_eq!(fs::read_dir(witnessed.home.path("elsewhere")).unwrap().count(), 2);
    fs::remove_dir(&file).unwrap();
    fs::rename(&away, &file).unwrap();
    starts_again(&witnessed, server, &approved);
}

#[test]
fn nothing_is_written_or_read_through_a_link_in_place_of_a_witness() {
    let witnessed = Witnessed::new();
    let (file, target) = (witnessed.file(), witnessed.home.path("target"));
    fs::rename(&file, &target).unwrap();
    symlink(&target, &file).unwrap();
    witnessed.refused();
    let before = fs::read(&target).unwrap();
    fs::remove_file(&file).unwrap();
    fs::rename(&target, &file).unwrap();
    let server = witnessed.serve();
    fs::remove_file(&file).unwrap();
    fs::write(&target, &before).unwrap();
    symlink(&target, &file).unwrap();
    server.approved();
    assert_eq!(fs::read(&target).unwrap(), before, "the link was replaced, not followed");
    assert!(fs::symlink_metadata(&file).unwrap().is_file());
}

/// Only root can make what belongs to another user, so elsewhere there is nothing to try.
#[test]
fn a_witness_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let witnessed = Witnessed::new();
    let folder = witnessed.home.path("elsewhere");
    for path in [folder.clone(), witnessed.file()] {
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        let message = witnessed.refused();
        assert!(message.contains("belongs to another user"), "{message}");
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    }
    let server = witnessed.serve();
    let approved = server.approved();
    std::os::unix::fs::chown(&folder, Some(65_534), None).unwrap();
    ends_writing(&server, &approved);
}

#[test]
fn a_witness_whose_folder_is_missing_stops_writing() {
    let witnessed = Witnessed::new();
    let server = witnessed.serve();
    let approved = server.approved();
    let (folder, away) = (witnessed.home.path("elsewhere"), witnessed.home.path("away"));
    fs::rename(&folder, &away).unwrap();
    server.assert_ready();
    ends_writing(&server, &approved);
    fs::rename(&away, &folder).unwrap();
    starts_again(&witnessed, server, &approved);
}

#[test]
fn a_retired_log_key_stops_writing() {
    let witnessed = Witnessed::new();
    let server = witnessed.serve();
    let approved = server.approved();
    let keyring = witnessed.home.path("signoff.keys.json");
    let keys: Value = serde_json::from_slice(&fs::read(&keyring).unwrap()).unwrap();
    let log = text(&keys["keys"][0], "id");
    witnessed.home.run(&["key", "retire", log]).ok();
    ends_writing(&server, &approved);
    assert!(witnessed.home.run(&["doctor"]).exits(1).out.contains("BAD   log key"));
    witnessed.home.run(&["key", "promote", log]).ok();
    starts_again(&witnessed, server, &approved);
}

/// Also without a witness: a signed log never continues unsigned.
#[test]
fn a_log_key_that_is_removed_while_the_server_runs_stops_writing() {
    let (home, server) = home_and_server();
    let approved = server.approved();
    let keyring = home.path("signoff.keys.json");
    let keys = fs::read_to_string(&keyring).unwrap();
    fs::write(&keyring, r#"{"format":1,"keys":[]}"#).unwrap();
    server.claim(&approved).refused("store-unavailable");
    server.post("/api/v1/approvals", &request_body()).refused("store-unavailable");
    server.get("/readyz").refused("store-unavailable");
    server.get("/api/v1/audit/checkpoint").refused("not-found");
    fs::write(&keyring, "{").unwrap();
    server.get("/api/v1/audit/checkpoint").refused("keyring-unavailable");
    fs::write(&keyring, keys).unwrap();
    server.stop();
    let server = home.serve();
    server.claim(&approved).ok();
}

#[track_caller]
fn ends_writing(server: &Server, approved: &Value) {
    let before = entries(server);
    server.claim(approved).refused("store-unavailable");
    server.claim(approved).refused("store-unavailable");
    server.post("/api/v1/approvals", &request_body()).refused("store-unavailable");
    server.act(approved, "withdraw", &json!({})).refused("store-unavailable");
    let made = json!({ "subject": "x", "roles": ["admin"] });
    server.post("/api/v1/tokens", &made).refused("store-unavailable");
    server.get("/readyz").refused("store-unavailable");
    server.get("/healthz").ok();
    assert_eq!(entries(server), before, "entries that the witness has not seen are not readable");
    assert_eq!(server.show(approved)["status"], "approved");
}

#[track_caller]
fn starts_again(witnessed: &Witnessed, server: Server, approved: &Value) {
    server.stop();
    let server = witnessed.serve();
    server.assert_ready();
    // The first claim may have been committed without an answer; then a repeat is `already-executed`.
    let code = server.act(approved, "execute", &claim_body());
    assert!(code.status == 200 || code.code() == "already-executed", "{code:?}");
    server.approved();
    assert_eq!(witnessed.seen(), entries(&server));
    server.stop();
    witnessed.home.run(&["doctor"]).ok();
}

#[test]
fn a_witness_needs_a_log_key() {
    let home = Home::new();
    let command = [SERVE, &["--witness", "witness.note", "--new-witness"]].concat();
    let mut without = home.signoff(&command);
    without.env("SIGNOFF_KEYRING", "no-such-folder/keys.json");
    let ran = Ran::of(&mut without).exits(1);
    assert!(ran.err.contains("signoff key generate --use log"), "{ran:?}");
    assert!(!home.path("witness.note").exists());
    let home = Home::new();
    home.run(&["key", "generate", "--use", "log", "--id", "one"]).ok();
    home.run(&["key", "retire", "one"]).ok();
    let ran = home.run(&[&command[..], &["--create-store"]].concat()).exits(1);
    assert!(ran.err.contains("no log key of the keyring is active"), "{ran:?}");
}

#[test]
fn a_malformed_witness_is_refused() {
    let witnessed = Witnessed::new();
    witnessed.serve().stop();
    let good = fs::read_to_string(witnessed.file()).unwrap();
    let foreign = {
        let other = Witnessed::new();
        let server = other.serve();
        server.request();
        server.stop();
        fs::read_to_string(other.file()).unwrap()
    };
    let size = size_of(&good);
    let write = |text: &[u8]| fs::write(witnessed.file(), text).unwrap();
    let signature = good.rfind('—').unwrap();
    let unsigned = &good[..signature];
    for (text, why) in [
        ("", "an empty file"),
        ("\n", "nothing"),
        ("witness", "no note"),
        (unsigned, "a note that nobody signed"),
        (good.trim_end(), "a note cut short"),
        (&good.replacen(&format!("\n{size}\n"), "\n0\n", 1), "another size"),
        (
            &good.replacen(&format!("\n{size}\n"), &format!("\n0{size}\n"), 1),
            "a size like no other",
        ),
        (&good.replacen("signoff/default", "signoff/other", 1), "another log"),
        (&foreign, "another key"),
        (&format!("{unsigned}{}", &foreign[foreign.rfind('—').unwrap()..]), "another's signature"),
        (&format!("{good}{}", " ".repeat(17 << 10)), "a huge file"),
    ] {
        write(text.as_bytes());
        let output = witnessed.refused();
        assert!(output.contains("witness.note"), "{why}: {output}");
        assert_eq!(output.contains("--accept-rollback"), text.is_empty(), "{why}: {output}");
        assert_eq!(output.contains("is missing or empty"), text.is_empty(), "{why}: {output}");
        // `--accept-rollback` does not help either.
        Ran::of(&mut witnessed.command(&["--accept-rollback"])).exits(1);
        assert_eq!(fs::read(witnessed.file()).unwrap(), text.as_bytes(), "{why}: it stays");
    }
    write(b"\xff\xfe");
    witnessed.refused();
    fs::remove_file(witnessed.file()).unwrap();
    fs::create_dir(witnessed.file()).unwrap();
    assert!(witnessed.refused().contains("it is not a file"));
    fs::remove_dir(witnessed.file()).unwrap();
    assert!(Command::new("mkfifo").arg(witnessed.file()).status().unwrap().success());
    assert!(witnessed.refused().contains("it is not a file"));
    fs::remove_file(witnessed.file()).unwrap();
    fs::write(witnessed.file(), &good).unwrap();
    witnessed.serve().assert_ready();
}

#[test]
fn a_missing_witness_folder_is_refused_at_the_start() {
    let witnessed = Witnessed::unstarted();
    fs::remove_dir(witnessed.home.path("elsewhere")).unwrap();
    assert!(witnessed.refused_with(FIRST).contains("witness.note"));
    assert!(!Path::new(&witnessed.file()).exists());
}

#[test]
fn a_rollback_is_accepted_only_with_a_witness() {
    let (home, server) = home_and_server();
    server.stop();
    let ran = home.run(&["serve", "--listen", "127.0.0.1:0", "--accept-rollback"]).exits(2);
    assert!(ran.err.contains("--witness"), "{ran:?}");
}

#[test]
fn log_keys_rotate_under_a_witness() {
    let witnessed = Witnessed::new();
    let server = witnessed.serve();
    server.request();
    witnessed
        .home
        .run(&["key", "generate", "--use", "log", "--id", "next", "--status", "verify-only"])
        .ok();
    witnessed.home.run(&["key", "promote", "next"]).ok();
    server.request();
    assert_eq!(witnessed.seen(), entries(&server));
    server.stop();
    witnessed.serve().stop();
    witnessed
        .home
        .run(&["key", "generate", "--use", "log", "--id", "third", "--status", "verify-only"])
        .ok();
    witnessed.home.run(&["key", "promote", "third"]).ok();
    // The witness is signed by a key that is retired now.
    let server = witnessed.serve();
    server.request();
    server.stop();
    witnessed.home.run(&["key", "promote", "next"]).ok();
    witnessed.home.run(&["key", "revoke", "third", "--yes"]).ok();
    // Nor is the store itself accepted, whose head the revoked key signed last.
    let output = witnessed.refused();
    assert!(output.contains("no trusted key of `signoff/default` signed it"), "{output}");
}

#[test]
fn a_missing_or_empty_witness_does_not_start_and_a_new_one_is_recorded() {
    let witnessed = Witnessed::unstarted();
    let output = witnessed.refused_with(&["--create-store"]);
    assert!(output.contains("is missing or empty") && output.contains("--new-witness"), "{output}");
    fs::write(witnessed.file(), "").unwrap();
    let output = witnessed.refused();
    assert!(output.contains("is missing or empty") && output.contains("--new-witness"), "{output}");
    let server = Server::start_with(witnessed.command(&["--new-witness"]));
    assert_eq!(recorded(&server, "witness_recorded"), 1);
    assert_eq!(witnessed.seen(), entries(&server));
    server.stop();
    // `--new-witness` is only for the first start.
    let output = witnessed.refused_with(&["--new-witness"]);
    assert!(output.contains("already exists"), "{output}");
    let server = witnessed.serve();
    assert_eq!(recorded(&server, "witness_recorded"), 1);
    server.stop();
    let ran = witnessed.home.run(&[SERVE, &["--new-witness"]].concat()).exits(2);
    assert!(ran.err.contains("--witness"), "{ran:?}");
}

/// The attack that a witness prevents: its disk is not mounted, and the store is an old copy.
#[test]
fn a_store_that_knows_a_witness_does_not_start_without_it() {
    let witnessed = Witnessed::new();
    let server = witnessed.serve();
    let approved = server.approved();
    server.stop();
    let backup = witnessed.backup();
    let server = witnessed.serve();
    server.claim(&approved).ok();
    server.stop();
    witnessed.restore(&backup);
    let ran = witnessed.home.run(SERVE).exits(1);
    assert!(ran.err.contains("records a witness") && ran.err.contains("--witness"), "{ran:?}");
    fs::rename(witnessed.file(), witnessed.home.path("away.note")).unwrap();
    let output = witnessed.refused();
    assert!(
        output.contains("is missing or empty") && output.contains("--accept-rollback"),
        "{output}"
    );
    let output = witnessed.refused_with(&["--new-witness"]);
    assert!(output.contains("--accept-rollback"), "{output}");
    let other = ["--witness", "other.note", "--new-witness"];
    assert!(witnessed.home.run(&[SERVE, &other].concat()).exits(1).err.contains("other.note"));
    let accepted = ["--new-witness", "--accept-rollback"];
    let server = Server::start_with(witnessed.command(&accepted));
    assert_eq!(server.show(&approved)["status"], "expired");
    server.claim(&approved).refused("expired");
    assert_eq!(recorded(&server, "rollback_accepted"), 1);
    assert_eq!(witnessed.seen(), entries(&server));
    server.stop();
    witnessed.serve().assert_ready();
}

#[test]
fn a_moved_witness_is_recorded_again() {
    let witnessed = Witnessed::new();
    fs::rename(witnessed.file(), witnessed.home.path("moved.note")).unwrap();
    let moved = [SERVE, &["--witness", "moved.note"]].concat();
    let server = Server::start_with(witnessed.home.signoff(&moved));
    assert_eq!(recorded(&server, "witness_recorded"), 2);
    server.stop();
    let server = Server::start_with(witnessed.home.signoff(&moved));
    assert_eq!(recorded(&server, "witness_recorded"), 2);
}

#[test]
fn a_command_on_the_file_checks_and_updates_the_witness() {
    let witnessed = Witnessed::new();
    let home = &witnessed.home;
    let request = ["--json", "request", "--agent", "a", "--action", "b", "--context", "{}"];
    let approval = home.run(&request).exits(0).json();
    let approval = id(&approval).to_owned();
    home.run(&["approve", &approval, "--approver", "user@company.com", "--yes"]).ok();
    let backup = witnessed.backup();
    let before = witnessed.seen();
    let attempt = ["--agent", "a", "--action", "b", "--context", "{}"];
    let claim = [&["claim", &approval][..], &attempt].concat();
    let verify = [&["verify", &approval][..], &attempt].concat();
    home.run(&verify).ok();
    home.run(&claim).ok();
    assert_eq!(witnessed.seen(), before + 1);
    witnessed.restore(&backup);
    for arguments in [&claim, &verify, &request.to_vec()] {
        let ran = home.run(arguments).exits(1);
        assert!(ran.err.contains("does not extend its witness"), "{ran:?}");
    }
    fs::rename(witnessed.file(), home.path("away.note")).unwrap();
    for arguments in [&claim, &verify, &request.to_vec()] {
        let ran = home.run(arguments).exits(1);
        assert!(ran.err.contains("is missing or empty"), "{ran:?}");
    }
    // Reading needs no witness.
    home.run(&["show", &approval]).ok();
    home.run(&["list"]).ok();
}

/// Lists find rows and never decide: emptying them hides nothing from an accepted rollback.
#[test]
fn an_accepted_rollback_ends_approvals_that_no_list_has() {
    let witnessed = Witnessed::new();
    let server = witnessed.serve();
    let approvals = [server.approved(), server.request()];
    server.stop();
    let backup = witnessed.backup();
    let server = witnessed.serve();
    server.claim(&approvals[0]).ok();
    server.stop();
    witnessed.restore(&backup);
    empty_lists(&witnessed.home);
    let server = Server::start_with(witnessed.command(&["--accept-rollback"]));
    for approval in &approvals {
        assert_eq!(server.show(approval)["status"], "expired");
        server.claim(approval).refused("expired");
    }
}

/// Returns the number of entries of an event.
fn recorded(server: &Client, event: &str) -> usize {
    let page = server.get("/api/v1/audit?limit=1000").ok();
    let items = page["items"].as_array().unwrap().iter();
    items.filter(|item| item["entry"]["event"]["event"] == event).count()
}
