//! The settings file, and keys that a command prints.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;

use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    APPROVER, Home, NAMED_SETTINGS, Ran, SECRET, SERVE, Server, id, message, sign_message, until,
};

const OTHER: &str = "another-secret-of-thirty-two-bytes-or-more";

/// A home whose only keys come from a command.
struct Commanded {
    home: Home,
}

impl Commanded {
    /// Uses a shell script as the command; it runs in the home.
    fn new(script: &str) -> Self {
        let home = Home::new();
        let path = home.file("keys.sh", script);
        let command = json!(["sh", path]);
        home.file(NAMED_SETTINGS, &format!("[keys]\ncommand = {command}\n"));
        Self { home }
    }

    fn signoff(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.signoff(arguments);
        command.env_remove("SIGNOFF_HMAC_SECRET");
        command
    }

    /// Writes the keyring that a script can print.
    fn prints(&self, id: &str, secret: &str, status: &str) {
        use base64ct::{Base64UrlUnpadded, Encoding};
        let key = json!({
            "id": id, "algorithm": "hmac-sha256", "status": status, "use": "approve",
            "material": Base64UrlUnpadded::encode_string(secret.as_bytes()),
        });
        self.home.file("printed.json", &json!({ "format": 1, "keys": [key] }).to_string());
    }

    #[track_caller]
    fn refused(&self) -> String {
        let ran = Ran::of(&mut self.signoff(SERVE)).exits(1);
        assert_eq!(ran.out, "");
        assert!(ran.err.starts_with("signoff: ") && !ran.err.contains("panicked"), "{ran:?}");
        assert!(!self.home.store().exists(), "no store is created");
        ran.err
    }
}

#[test]
fn invalid_settings_prevent_a_start() {
    let home = Home::new();
    let groups: String = (0..17).map(|n| format!("g{n} = 1, ")).collect();
    let groups = format!("[requirement]\ngroups = {{ {} }}", groups.trim_end_matches(", "));
    let long = format!("[requirement]\ngroups = {{ {} = 1 }}", "x".repeat(129));
    for (text, why) in [
        ("accept = [\"v2\"]", "accept"),
        ("[signature]\naccept = [\"v2\"]", "signature"),
        ("[signatures]\naccepts = [\"v2\"]", "accepts"),
        ("[signatures]\naccept = []", "names no profile"),
        ("[signatures]\naccept = [\"v3\"]", "`v3`"),
        ("[signatures]\naccept = \"v2\"", "accept"),
        ("[signatures]\naccept = [\"v2\"]\naccept = [\"v1\"]", "accept"),
        ("[requirement]\nthreshold = 0", "threshold"),
        ("[requirement]\nthreshold = 17", "threshold"),
        ("[requirement]\nthreshold = -1", "threshold"),
        ("[requirement]\nthreshold = \"2\"", "threshold"),
        ("[requirement]\ngroups = [\"sre\"]", "groups"),
        ("[requirement]\ngroups = { sre = 0 }", "sre"),
        ("[requirement]\ngroups = { sre = 17 }", "sre"),
        ("[requirement]\ngroups = { \"s re\" = 1 }", "s re"),
        (&groups, "groups"),
        (&long, "group"),
        ("[requirement]\nttl_seconds = 60", "ttl_seconds"),
        ("[signatures]\naccept = [\"v1\"]\n[requirement]\nthreshold = 2", "v1"),
        ("[quotas]\npending = 0", "quotas.pending is 0"),
        ("[quotas]\npending = 100001", "quotas.pending is 100001"),
        ("[quotas]\npending = -1", "pending"),
        ("[quotas]\npending_bytes = 2097151", "quotas.pending_bytes is 2097151"),
        ("[quotas]\nper_hour = 1", "per_hour"),
        ("[keys]\ncommand = []", "names no program"),
        ("[keys]\ncommand = [\"\"]", "names no program"),
        ("[keys]\ncommand = \"vault\"", "command"),
        ("[keys]\nsecret = \"x\"", "secret"),
        ("[", "TOML"),
    ] {
        let path = home.file("signoff.toml", text);
        for arguments in [SERVE, &["list"]] {
            let ran = home.run(arguments).exits(1);
            assert!(ran.err.starts_with("signoff: "), "{text}: {ran:?}");
            assert!(ran.err.contains(why), "{text}: {ran:?}");
            assert!(!ran.err.contains("panicked"), "{ran:?}");
        }
        assert!(!home.store().exists(), "{text}: no store is created");
        fs::remove_file(path).unwrap();
    }
    home.serve().assert_ready();
}

#[test]
fn unreadable_settings_prevent_a_start() {
    let home = Home::new();
    let refused = |why: &str| {
        let ran = home.run(SERVE).exits(1);
        assert!(ran.err.contains("settings `./signoff.toml`"), "{ran:?}");
        assert!(ran.err.contains(why), "{ran:?}");
        assert_eq!(ran.err.lines().count(), 1, "one sentence: {ran:?}");
    };
    let path = home.path("signoff.toml");
    fs::create_dir(&path).unwrap();
    refused("");
    fs::remove_dir(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    refused("not a file");
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"\xff\xfe = 1").unwrap();
    refused("UTF-8");
    home.file("signoff.toml", &"# long\n".repeat(10_000));
    refused("larger than 65536 bytes");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("signoff.toml", &path).unwrap();
    refused("");
    fs::remove_file(&path).unwrap();
    if !rustix::process::geteuid().is_root() {
        home.file("signoff.toml", "");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        refused("ermission");
        fs::remove_file(&path).unwrap();
    }
    // A named settings file must exist; the default one is optional.
    for name in ["missing.toml", "signoff.redb/x.toml"] {
        let ran = home.run(&[SERVE, &["--config", name]].concat()).exits(1);
        assert!(ran.err.contains(name), "{ran:?}");
        let mut by_variable = home.signoff(SERVE);
        by_variable.env("SIGNOFF_CONFIG", name);
        Ran::of(&mut by_variable).exits(1);
    }
    home.serve().assert_ready();
}

#[test]
fn named_settings_replace_those_next_to_the_store() {
    let home = Home::new();
    ["one", "two", "three"].iter().for_each(|id| home.bystander(id, &[]));
    home.file("signoff.toml", "[requirement]\nthreshold = 3\n");
    home.file("other.toml", "[requirement]\nthreshold = 2\n");
    let server = Server::start_with(home.signoff(&[SERVE, &["--config", "other.toml"]].concat()));
    assert_eq!(server.request()["requirement"]["threshold"], 2);
    server.stop();
    // A command on the store file applies the floor of its settings too.
    let request = ["--json", "request", "--agent", "a", "--action", "b", "--context", "{}"];
    let requested = home.run(&request).exits(0).json();
    assert_eq!(requested["requirement"]["threshold"], 3);
}

#[test]
fn keys_come_from_a_command() {
    let commanded = Commanded::new("cat printed.json\n");
    commanded.prints("vault-1", SECRET, "active");
    let server = Server::start_with(commanded.signoff(SERVE));
    let approved = server.approved();
    assert_eq!(approved["ballots"][0]["key_id"], "vault-1");
    // The command runs again at a hangup, and not before.
    commanded.prints("vault-1", SECRET, "revoked");
    server.approved();
    server.signal(Signal::HUP);
    until("keys are read again", || server.printed().contains("keys reloaded").then_some(()));
    server.claim(&approved).refused("key-revoked");
    // A revocation is final, and an id never means another key.
    for (secret, status) in [(SECRET, "active"), (OTHER, "active")] {
        commanded.prints("vault-1", secret, status);
        let before = server.printed().len();
        server.signal(Signal::HUP);
        until("the refusal is reported", || {
            server.printed()[before..].contains("every decision is refused").then_some(())
        });
        server.claim(&approved).refused("keyring-unavailable");
    }
    assert!(!server.printed().contains(SECRET));
}

#[test]
fn a_failing_command_leaves_no_keys_until_it_succeeds() {
    let commanded = Commanded::new("[ ! -e broken ] && cat printed.json\n");
    commanded.prints("vault-1", SECRET, "active");
    let server = Server::start_with(commanded.signoff(SERVE));
    let approved = server.approved();
    let pending = server.request();
    let hangup = |message: &str| {
        let before = server.printed().len();
        server.signal(Signal::HUP);
        until("the hangup is answered", || {
            server.printed()[before..].contains(message).then_some(())
        });
    };
    commanded.home.file("broken", "");
    hangup("every decision is refused until this is fixed");
    server.claim(&approved).refused("keyring-unavailable");
    server.decide(&pending, "approved", APPROVER).refused("keyring-unavailable");
    server.get("/readyz").refused("keyring-unavailable");
    // A request needs no key.
    server.request();
    fs::remove_file(commanded.home.path("broken")).unwrap();
    hangup("keys reloaded");
    server.assert_ready();
    server.claim(&approved).ok();
}

#[test]
fn a_command_without_a_valid_keyring_prevents_a_start() {
    for (script, why) in [
        ("exit 3", "exit status: 3"),
        ("kill -9 $$", "signal: 9"),
        ("true", "did not print a keyring"),
        ("echo not-a-keyring-4711", "did not print a keyring"),
        ("echo '{\"format\":2,\"keys\":[]}'", "format 2"),
        ("echo '{\"format\":1,\"keys\":[]}'", "no secret"),
        (
            "echo '{\"format\":1,\"keys\":[{\"id\":\"not-a-keyring-4711\"}]}'",
            "did not print a keyring",
        ),
        ("cat /dev/zero", "printed more than"),
        ("cat printed.json; exit 1", "exit status: 1"),
    ] {
        let commanded = Commanded::new(script);
        commanded.prints("vault-1", SECRET, "active");
        let output = commanded.refused();
        assert!(output.contains(why), "{script}: {output}");
        assert!(!output.contains("not-a-keyring-4711"), "its output is not repeated: {output}");
    }
    let home = Home::new();
    home.file(NAMED_SETTINGS, "[keys]\ncommand = [\"./no-such-program\", \"--token=4711\"]\n");
    let ran = home.run(SERVE).exits(1);
    assert!(ran.err.contains("`./no-such-program` cannot be started"), "{ran:?}");
    assert!(!ran.err.contains("4711"), "its arguments may be secrets: {ran:?}");
}

/// A command may run for 20 s: this test waits for that once, with both cases at the same time.
#[test]
fn a_command_that_hangs_is_stopped() {
    let hangs_first = Commanded::new("sleep 1000\n");
    let starting = thread::spawn(move || hangs_first.refused());
    let commanded = Commanded::new("[ -e hang ] && sleep 1000\ncat printed.json\n");
    commanded.prints("vault-1", SECRET, "active");
    let server = Server::start_with(commanded.signoff(SERVE));
    let approved = server.approved();
    commanded.home.file("hang", "");
    server.signal(Signal::HUP);
    // While the command runs, the previous keys count, and no call waits for it.
    server.request();
    server.approved();
    until("it is given up", || server.printed().contains("took longer than").then_some(()));
    server.claim(&approved).refused("keyring-unavailable");
    assert!(starting.join().unwrap().contains("took longer than"));
}

#[test]
fn a_command_gets_no_secret_of_the_server() {
    let commanded = Commanded::new("env > environment; cat printed.json\n");
    commanded.prints("vault-1", OTHER, "active");
    let mut serve = commanded.signoff(SERVE);
    serve.env("SIGNOFF_HMAC_SECRET", SECRET).env("SIGNOFF_TOKEN", "sgnt_secret-of-a-caller");
    let server = Server::start_with(serve);
    // Both keys are accepted.
    for secret in [SECRET, OTHER] {
        let approval = server.request();
        let signature = sign_message(&message(&approval, "approved", APPROVER), secret);
        let body = json!({ "decision": "approved", "approver": APPROVER, "signature": signature });
        server.act(&approval, "approve", &body).ok();
    }
    let environment = fs::read_to_string(commanded.home.path("environment")).unwrap();
    assert!(environment.contains("PATH="));
    assert!(!environment.contains(SECRET), "{environment}");
    assert!(!environment.contains("sgnt_"), "{environment}");
    assert!(!Path::new(&commanded.home.path("signoff.keys.json")).exists());
}

/// Returns the digest that the refusal of weaker settings prints.
#[track_caller]
fn digest_in(output: &str) -> String {
    let after = output.split("--accept-weaker-settings ").nth(1).expect(output);
    let digest: String = after.chars().take_while(char::is_ascii_hexdigit).collect();
    assert_eq!(digest.len(), 64, "{output}");
    digest
}

/// Returns the entries that record settings.
#[track_caller]
fn recorded(server: &Server) -> Vec<serde_json::Value> {
    let page = server.get("/api/v1/audit?limit=1000").ok();
    let events = page["items"].as_array().unwrap().iter().map(|item| &item["entry"]["event"]);
    events.filter(|event| event["event"] == "settings_recorded").cloned().collect()
}

const STRICT: &str =
    "[signatures]\naccept = [\"v2\"]\n[requirement]\nthreshold = 2\ngroups = { sre = 1 }\n";

#[test]
fn settings_are_recorded_when_they_change() {
    let home = Home::new();
    let server = home.serve();
    let first = recorded(&server);
    assert_eq!(first.len(), 1);
    assert_eq!(first[0]["settings"]["signatures.accept"], json!(["v1", "v2"]));
    assert_eq!(first[0]["settings"]["requirement.threshold"], 1);
    let listener = json!({ "address": "loopback", "tls": false, "behind_proxy": false });
    assert_eq!(first[0]["settings"]["listener"], listener);
    server.stop();
    let server = home.serve();
    assert_eq!(recorded(&server), first, "unchanged settings are not recorded again");
    server.stop();
    home.file("signoff.toml", STRICT);
    let server = home.serve();
    let both = recorded(&server);
    assert_eq!(both.len(), 2);
    assert!(both[1]["accepted_weaker"].is_null(), "{both:?}");
    assert_eq!(both[1]["settings"]["requirement.groups"], json!({ "sre": 1 }));
}

/// A renamed file, another --store or a mistyped name: the settings file is missing, so the settings
/// are weaker.
#[test]
fn weaker_settings_are_refused_until_their_digest_is_accepted() {
    let home = Home::new();
    ["one", "two"].iter().for_each(|id| home.bystander(id, &["sre"]));
    home.file("signoff.toml", STRICT);
    let server = home.serve();
    let approval = server.request();
    server.stop();
    fs::rename(home.path("signoff.toml"), home.path("away.toml")).unwrap();
    let output = home.run(SERVE).exits(1).err;
    for part in ["signatures.accept", "requirement.threshold was 2 and is 1", "requirement.groups"]
    {
        assert!(output.contains(part), "{part}: {output}");
    }
    let digest = digest_in(&output);
    // A command on the file decides nothing under them either; reading is allowed.
    let request = ["request", "--agent", "a", "--action", "b", "--context", "{}"];
    let ran = home.run(&request);
    assert!(ran.code != 0 && ran.err.contains("settings-weaker"), "{ran:?}");
    let ran = home.run(&["wait", id(&approval), "--timeout", "1"]);
    assert!(ran.code != 0 && ran.err.contains("settings-weaker"), "{ran:?}");
    home.run(&["list"]).ok();
    assert!(home.run(&["doctor"]).exits(1).out.contains("BAD   settings"));
    let other = "0".repeat(64);
    let ran = home.run(&[SERVE, &["--accept-weaker-settings", &other]].concat()).exits(1);
    assert!(ran.err.contains(&digest) && ran.err.contains("is that of other settings"), "{ran:?}");
    let accepted = [SERVE, &["--accept-weaker-settings", &digest]].concat();
    let server = Server::start_with(home.signoff(&accepted));
    let entries = recorded(&server);
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[1]["digest"], digest);
    assert_eq!(entries[1]["accepted_weaker"].as_array().unwrap().len(), 3, "{entries:?}");
    assert_eq!(server.request()["requirement"]["threshold"], 1);
    until("the start reports it", || {
        let output = "weaker settings were accepted and recorded in the audit log: ";
        server.printed().contains(output).then_some(())
    });
    server.stop();
    home.run(&request).ok();
    // The digest accepts only these settings.
    fs::rename(home.path("away.toml"), home.path("signoff.toml")).unwrap();
    home.serve().stop();
    home.file("signoff.toml", "[requirement]\nthreshold = 2\n");
    home.run(&accepted).exits(1);
}

#[test]
fn each_weaker_setting_is_refused() {
    let home = Home::new();
    home.file("signoff.toml", STRICT);
    home.serve().stop();
    for (weaker, named) in [
        (STRICT.replace("[\"v2\"]", "[\"v1\", \"v2\"]"), "signatures.accept"),
        (STRICT.replace("threshold = 2", "threshold = 1"), "requirement.threshold"),
        (STRICT.replace("sre = 1", "ops = 1"), "requirement.groups"),
    ] {
        home.file("signoff.toml", &weaker);
        let output = home.run(SERVE).exits(1).err;
        assert!(output.contains(named), "{output}");
        assert_eq!(output.matches(" was ").count(), 1, "{output}");
    }
    home.file("signoff.toml", &STRICT.replace("threshold = 2", "threshold = 3"));
    home.serve().assert_ready();
}

#[test]
fn a_changed_listener_must_be_accepted() {
    let home = Home::new();
    home.run(&["token", "create", "--subject", "root", "--role", "admin"]).ok();
    home.serve().stop();
    let proxied = [SERVE, &["--behind-proxy"]].concat();
    let output = home.run(&proxied).exits(1).err;
    assert!(output.contains("listener was"), "{output}");
    let digest = digest_in(&output);
    let accepted = [&proxied[..], &["--accept-weaker-settings", &digest]].concat();
    Server::start_with(home.signoff(&accepted)).stop();
    Server::start_with(home.signoff(&proxied)).stop();
    let output = home.run(SERVE).exits(1).err;
    assert!(output.contains("listener was"), "{output}");
}
