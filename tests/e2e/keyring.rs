//! `signoff key`, and decisions that are signed on an approver's machine.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Value, json};
use signoff::keys::KeySource;

use crate::support::{
    Home, Ran, SERVE, Server, claim_body, home_and_server, id, message_v2, private, request_body,
    text, until,
};

const ANN: &str = "ann@example.com";
const SIGNOFF: &str = env!("CARGO_BIN_EXE_signoff");

/// Returns the secrets of a keyring file.
fn secrets_of(home: &Home) -> Vec<String> {
    let keyring = fs::read_to_string(home.path("signoff.keys.json")).unwrap_or_default();
    let keyring: Value = serde_json::from_str(&keyring).unwrap_or_default();
    let keys = keyring["keys"].as_array().cloned().unwrap_or_default();
    keys.iter()
        .filter_map(|key| match key["algorithm"].as_str()? {
            "hmac-sha256" => key["material"].as_str(),
            _ => key["private"].as_str(),
        })
        .map(str::to_owned)
        .collect()
}

/// Runs a command, and checks that its output contains no secret.
#[track_caller]
fn run(home: &Home, arguments: &[&str]) -> Ran {
    let ran = home.run(arguments);
    for secret in secrets_of(home) {
        assert!(!ran.out.contains(&secret) && !ran.err.contains(&secret), "{arguments:?}: {ran:?}");
    }
    ran
}

fn statuses(home: &Home) -> Vec<(String, String)> {
    let listed = run(home, &["--json", "key", "list"]).json();
    let items = listed["items"].as_array().unwrap();
    items.iter().map(|key| (text(key, "id").to_owned(), text(key, "status").to_owned())).collect()
}

/// Creates a key on an approver's machine; returns the output of `generate --json`.
fn key_of(home: &Home, approver: &str, more: &[&str]) -> Value {
    let generate = ["--json", "key", "generate", "--approver", approver];
    run(home, &[&generate[..], more].concat()).exits(0).json()
}

#[test]
fn a_new_key_is_in_a_private_file_and_its_entry_is_public() {
    let home = Home::new();
    let made = run(&home, &["key", "generate", "--approver", ANN, "--group", "security"]).ok();
    let path = home.path("signoff.keys.json");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let entry: Value = serde_json::from_str(made.lines().nth(2).unwrap()).unwrap();
    assert_eq!(entry["approver"], ANN);
    assert_eq!(entry["groups"], json!(["security"]));
    assert!(entry.get("private").is_none());
    let import = made.lines().last().unwrap().trim();
    let there = Home::new();
    let import = format!("{} --yes", import.replacen("signoff", SIGNOFF, 1));
    let taken = Ran::of(there.program("sh").args(["-c", &import]));
    assert!(taken.ok().starts_with("added key ed25519-"));
    assert!(!fs::read_to_string(there.path("signoff.keys.json")).unwrap().contains("private"));
    let [here, there] = [&home, &there].map(|home| {
        let mut key = run(home, &["--json", "key", "show", text(&entry, "id")]).json();
        key.as_object_mut().unwrap().remove("private").unwrap();
        key
    });
    assert_eq!(here, there);
    assert_eq!(here["entry"], entry);
}

#[test]
fn conflicting_options_are_refused_and_create_nothing() {
    let home = Home::new();
    for (arguments, code, why) in [
        (&["generate", "--use", "log", "--approver", ANN][..], 1, "only a key of use `approve`"),
        (&["generate", "--use", "log", "--algorithm", "hmac-sha256"], 1, "only ed25519 keys"),
        (&["generate", "--algorithm", "ed25519"], 1, "needs an --approver"),
        (&["generate", "--id", "Not An Id"], 2, "[a-z0-9_-]{1,64}"),
        (&["generate", "--approver", "agent:deployer"], 2, "must be a person"),
        (&["generate", "--approver", ""], 2, "approver must be"),
        (&["generate", "--group", "a b"], 2, "group must be"),
        (&["generate", "--use", "other"], 2, "expected `approve`"),
        (&["generate", "--status", "revoked"], 2, "expected `active`"),
        (&["list"], 1, "no keyring at"),
        (&["promote", "x"], 1, "no keyring at"),
        (&["revoke", "x", "--yes"], 1, "no keyring at"),
        (&["import", "{}"], 1, "not a keyring entry"),
        (&["import", "[]"], 1, "no entry to import"),
        (&["import", "no-such-file"], 1, "no-such-file"),
    ] {
        let ran = run(&home, &[&["key"], arguments].concat()).exits(code);
        assert!(ran.err.contains(why), "{arguments:?}: {ran:?}");
        assert!(!home.path("signoff.keys.json").exists(), "{arguments:?}");
    }
    run(&home, &["key", "generate", "--id", "one"]).ok();
    let again = run(&home, &["key", "generate", "--id", "one"]).exits(1);
    assert!(again.err.contains("already exists"), "{again:?}");
    let unknown = run(&home, &["key", "retire", "two"]).exits(1);
    assert!(unknown.err.contains("no key of this keyring has the id `two`"), "{unknown:?}");
}

#[test]
fn a_status_changes_only_as_allowed_and_repeats_succeed() {
    let home = Home::new();
    run(&home, &["key", "generate", "--id", "a", "--status", "verify-only"]).ok();
    let change = |arguments: &[&str], code: i32, message: &str| {
        let ran = run(&home, &[&["key"], arguments, &["a"]].concat()).exits(code);
        assert!(ran.out.contains(message) || ran.err.contains(message), "{arguments:?}: {ran:?}");
    };
    change(&["promote"], 0, "is now active");
    change(&["promote"], 0, "is already active");
    change(&["retire"], 0, "is now verify-only");
    change(&["retire"], 0, "is already verify-only");
    change(&["revoke"], 2, "--yes is required");
    assert_eq!(statuses(&home), [("a".to_owned(), "verify-only".to_owned())]);
    change(&["revoke", "--yes"], 0, "is now revoked");
    change(&["revoke", "--yes"], 0, "is already revoked");
    change(&["revoke"], 0, "is already revoked");
    change(&["promote"], 1, "is revoked, which is final");
    change(&["retire"], 1, "is revoked, which is final");
    assert_eq!(statuses(&home), [("a".to_owned(), "revoked".to_owned())]);
}

#[test]
fn an_import_keeps_existing_keys_and_never_revives_one() {
    let ann = Home::new();
    let made = key_of(&ann, ANN, &["--id", "ann"]);
    let entry = made["entry"].to_string();
    let server = Home::new();
    let import = |arguments: &[&str], code: i32, message: &str| {
        let ran = run(&server, &[&["key", "import", "--yes"], arguments].concat()).exits(code);
        assert!(ran.out.contains(message) || ran.err.contains(message), "{arguments:?}: {ran:?}");
    };
    let ann_says = ["--approver", ANN];
    let as_ann = |more: &[&str], code: i32, message: &str| {
        import(&[&[entry.as_str()], &ann_says[..], more].concat(), code, message);
    };
    let shown = || run(&server, &["--json", "key", "show", "ann"]).json();
    as_ann(&["--group", "security"], 0, "added key ann");
    as_ann(&["--group", "security"], 0, "unchanged key ann");
    as_ann(&["--group", "ops"], 0, "updated key ann");
    assert_eq!(shown()["groups"], json!(["ops"]));
    let other = key_of(&Home::new(), ANN, &["--id", "ann"])["entry"].to_string();
    import(&[&other, "--approver", ANN], 1, "other key material");
    let mut renamed = made["entry"].clone();
    renamed["id"] = json!("bob");
    renamed["approver"] = json!(null);
    import(&[&renamed.to_string(), "--approver", "bob@example.com"], 1, "are one key");
    renamed["id"] = json!("ann");
    import(&[&renamed.to_string(), "--approver", "bob@example.com"], 1, "with another approver");
    run(&server, &["key", "revoke", "ann", "--yes"]).ok();
    as_ann(&["--group", "ops"], 0, "unchanged key ann");
    // What is shown is what is stored, and the key does not come back under another id.
    as_ann(&["--group", "security"], 0, "updated key ann (ed25519, approve, revoked,");
    let mut again = made["entry"].clone();
    again["id"] = json!("ann-again");
    import(&[&again.to_string(), "--approver", ANN], 1, "is key `ann`, which is revoked for good");
    assert_eq!(statuses(&server), [("ann".to_owned(), "revoked".to_owned())]);
    assert_eq!(shown()["status"], "revoked");
    // Under every id that it has, a key is revoked with one.
    let twice = Home::new();
    for entry in [&entry, &again.to_string()] {
        run(&twice, &["key", "import", "--yes", entry, "--approver", ANN]).ok();
    }
    run(&twice, &["key", "revoke", "ann", "--yes"]).ok();
    let all = ["ann", "ann-again"].map(|id| (id.to_owned(), "revoked".to_owned()));
    assert_eq!(statuses(&twice), all);
    // The private half is imported only on request.
    let whole = ann.path("signoff.keys.json");
    let there = Home::new();
    let whole = ["key", "import", whole.to_str().unwrap(), "--all", "--yes"];
    run(&there, &whole).ok();
    assert_eq!(run(&there, &["--json", "key", "show", "ann"]).json()["private"], false);
    run(&there, &[&whole[..], &["--with-private"]].concat()).ok();
    assert_eq!(run(&there, &["--json", "key", "show", "ann"]).json()["private"], true);
}

/// Whoever made the file could name another person, a group, another use, or add keys.
#[test]
fn an_entry_that_says_other_than_the_operator_is_refused() {
    let ann = Home::new();
    let honest = key_of(&ann, ANN, &["--id", "ann"])["entry"].clone();
    let generate = ["--json", "key", "generate", "--use", "module", "--slot", "policy"];
    let signer = run(&ann, &generate).json()["entry"].clone();
    let with = |name: &str, value: Value| {
        let mut entry = honest.clone();
        entry[name] = value;
        entry.to_string()
    };
    let groups = with("groups", json!(["sre", "security"]));
    let ceo = with("approver", json!("ceo@company.com"));
    let respelled = with("approver", json!("ANN@example.com"));
    let (honest, signer) = (honest.to_string(), signer.to_string());
    let several = format!(r#"{{"format":1,"keys":[{honest},{signer}]}}"#);
    let as_ann = ["--approver", ANN];
    let refused: [(&str, &[&str], i32, &str); 13] = [
        (&honest, &[], 1, "names the approver `ann@example.com`, but there is no --approver"),
        (&ceo, &as_ann, 1, "--approver is `ann@example.com`"),
        (&respelled, &as_ann, 1, "names the approver `ANN@example.com`"),
        (&groups, &as_ann, 1, "names the groups `security sre`, but there is no --group"),
        (&groups, &["--approver", ANN, "--group", "sre"], 1, "--group is `sre`"),
        (&signer, &as_ann, 1, "names the use `module`"),
        (&signer, &["--use", "module"], 2, "needs --slot"),
        (&signer, &["--use", "module", "--slot", "verifier"], 1, "names the slots `policy`"),
        (&honest, &["--use", "module", "--slot", "policy"], 1, "names the use `approve`"),
        (&honest, &["--approver", ANN, "--slot", "policy"], 2, "--slot goes with --use module"),
        (&several, &as_ann, 1, "2 entries"),
        (&several, &["--all", "--approver", ANN], 2, "cannot be used with"),
        ("[]", &["--all"], 1, "no entry to import"),
    ];
    let server = Home::new();
    for (entry, flags, code, message) in refused {
        let ran = run(&server, &[&["key", "import", "--yes", entry], flags].concat()).exits(code);
        assert!(ran.err.contains(message), "{flags:?}: {ran:?}");
        assert!(!server.path("signoff.keys.json").exists(), "{flags:?}");
    }
    // Nothing is written without an answer.
    let ran = run(&server, &["key", "import", &honest, "--approver", ANN]).exits(2);
    assert!(ran.err.contains("--yes is required"), "{ran:?}");
    assert!(!server.path("signoff.keys.json").exists());
    run(
        &server,
        &[
            "key",
            "import",
            "--yes",
            &groups,
            "--approver",
            ANN,
            "--group",
            "security",
            "--group",
            "sre",
        ],
    )
    .ok();
    run(&server, &["key", "import", "--yes", &signer, "--use", "module", "--slot", "policy"]).ok();
    run(&Home::new(), &["key", "import", "--yes", &several, "--all"]).ok();
}

#[test]
fn a_person_has_one_spelling_in_keys_and_tokens() {
    let home = Home::new();
    key_of(&home, ANN, &["--id", "ann"]);
    let ran = run(&home, &["key", "generate", "--approver", "Ann@example.com"]).exits(1);
    assert!(ran.err.contains("whom key `ann` names `ann@example.com`"), "{ran:?}");
    let token = |subject: &str, code: i32| {
        run(&home, &["token", "create", "--subject", subject, "--role", "requester"]).exits(code)
    };
    token("bob@example.com", 0);
    token("agent:Deployer", 0);
    token("bob@example.com", 0);
    for (subject, known) in [
        ("Bob@example.com", "bob@example.com"),
        ("agent:deployer", "agent:Deployer"),
        ("AGENT:Deployer", "agent:Deployer"),
        ("ANN@example.com", "ann@example.com"),
    ] {
        let ran = token(subject, 3);
        assert!(ran.err.contains(&format!("`{known}`")), "{ran:?}");
    }
}

#[test]
fn the_keys_of_a_server_are_listed_and_not_changed_from_elsewhere() {
    let (home, elsewhere) = (Home::new(), Home::new());
    key_of(&home, ANN, &["--id", "ann"]);
    let server = home.serve();
    let at = |arguments: &[&str]| {
        let url = format!("http://{}", server.address());
        run(&elsewhere, &[&["--server", &url], arguments].concat())
    };
    let items = at(&["--json", "key", "list"]).json()["items"].clone();
    let ann = items.as_array().unwrap().iter().find(|key| key["id"] == "ann").unwrap();
    assert_eq!((&ann["approver"], &ann["private"]), (&json!(ANN), &Value::Null));
    assert!(at(&["key", "show", "ann"]).ok().contains("ann@example.com"));
    at(&["key", "show", "nobody"]).exits(1);
    for change in [
        &["key", "revoke", "ann", "--yes"][..],
        &["key", "generate"],
        &["key", "import", "{}", "--yes"],
        &["key", "promote", "ann"],
        &["key", "retire", "ann"],
    ] {
        let ran = at(change).exits(2);
        assert!(ran.err.contains("on its own machine"), "{ran:?}");
    }
    assert!(!elsewhere.path("signoff.keys.json").exists());
    assert_eq!(statuses(&home).iter().find(|(id, _)| id == "ann").unwrap().1, "active");
}

#[test]
fn a_secret_is_read_from_standard_input_and_not_from_an_argument() {
    let home = Home::new();
    run(&home, &["key", "generate", "--id", "shared"]).ok();
    let keyring = fs::read_to_string(home.path("signoff.keys.json")).unwrap();
    let there = Home::new();
    // A secret that is bound to nobody signs for anyone: the operator has to say so.
    let ran = run(&there, &["key", "import", &keyring, "--yes"]).exits(1);
    assert!(ran.err.contains("signs for anyone"), "{ran:?}");
    let ran = run(&there, &["key", "import", &keyring, "--with-private", "--yes"]).exits(2);
    assert!(ran.err.contains("visible to other processes"), "{ran:?}");
    assert!(!there.path("signoff.keys.json").exists());
    let mut child = there
        .signoff(&["key", "import", "-", "--with-private", "--yes"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(keyring.as_bytes()).unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!(secrets_of(&there), secrets_of(&home));
}

#[test]
fn concurrent_commands_lose_no_key() {
    let home = Home::new();
    let commands: Vec<_> = (0..12)
        .map(|n| {
            let id = format!("key-{n}");
            home.signoff(&["key", "generate", "--approver", &format!("p{n}"), "--id", &id])
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut command in commands {
        assert!(command.wait().unwrap().success());
    }
    let ids: HashSet<String> = statuses(&home).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), 12);
    let left = fs::read_dir(home.store().parent().unwrap()).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = left.filter(|name| name.ends_with(".tmp")).collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn a_malformed_or_readable_keyring_is_left_unchanged() {
    let home = Home::new();
    let path = home.file("signoff.keys.json", "{\"format\":1,\"keys\":[");
    let commands: [&[&str]; 4] =
        [&["generate"], &["list"], &["revoke", "x", "--yes"], &["import", "{}"]];
    for mode in [0o600, 0o644] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        for command in commands {
            run(&home, &[&["key"], command].concat()).exits(1);
        }
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"format\":1,\"keys\":[");
}

#[test]
fn a_keyring_change_by_another_process_counts_from_the_next_call() {
    let home = Home::new();
    let path = home.path("signoff.keys.json");
    run(&home, &["key", "generate", "--id", "first"]).ok();
    let source = KeySource::new(path, None);
    source.load().unwrap();
    let status_of = |id: &str| {
        let keys = source.current().unwrap();
        keys.entries().iter().find(|key| key.id == id).map(|key| key.status.clone())
    };
    assert_eq!(status_of("first").as_deref(), Some("active"));
    for n in 0..5 {
        let id = format!("key-{n}");
        run(&home, &["key", "generate", "--approver", ANN, "--id", &id]).ok();
        assert_eq!(status_of(&id).as_deref(), Some("active"));
        run(&home, &["key", "retire", &id]).ok();
        assert_eq!(status_of(&id).as_deref(), Some("verify-only"));
        run(&home, &["key", "revoke", &id, "--yes"]).ok();
        assert_eq!(status_of(&id).as_deref(), Some("revoked"));
    }
}

#[test]
fn a_link_to_a_keyring_stays_a_link() {
    let home = Home::new();
    run(&home, &["key", "generate", "--keyring", "real.json", "--id", "one"]).ok();
    std::os::unix::fs::symlink("real.json", home.path("signoff.keys.json")).unwrap();
    run(&home, &["key", "generate", "--id", "two"]).ok();
    assert!(fs::symlink_metadata(home.path("signoff.keys.json")).unwrap().is_symlink());
    assert_eq!(statuses(&home).len(), 2);
}

#[test]
fn init_creates_a_secret_and_a_log_key() {
    let home = Home::new();
    let made = run(&home, &["--json", "init"]).json();
    let listed = run(&home, &["--json", "key", "list"]).json();
    let use_of = |key: &Value| {
        let items = listed["items"].as_array().unwrap();
        items.iter().find(|item| item["id"] == *key).unwrap()["use"].clone()
    };
    assert_eq!(use_of(&made["key_id"]), "approve");
    assert_eq!(use_of(&made["log_key_id"]), "log");
    let doctor = run(&home, &["doctor"]).ok();
    assert!(doctor.contains(&format!("{} signs", text(&made, "log_key_id"))), "{doctor}");
}

/// Restores an older copy of the keyring, with the server running and with it stopped.
#[test]
fn a_logged_revocation_is_not_undone_by_an_older_keyring() {
    let home = Home::new();
    run(&home, &["key", "generate", "--id", "ann", "--approver", ANN]).ok();
    let server = home.serve();
    let approval = server.request();
    server.stop();
    let approve = ["approve", id(&approval), "--approver", ANN, "--profile", "v2", "--yes"];
    run(&home, &approve).ok();
    let server = home.serve();
    let body = json!({ "signature": server.show(&approval)["signature"] });
    server.act(&approval, "verify", &body).ok();
    let keyring = home.path("signoff.keys.json");
    let older = fs::read(&keyring).unwrap();
    run(&home, &["key", "revoke", "ann", "--yes"]).ok();
    // Recorded without any call that needs the key.
    until("the revocation is in the log", || {
        let page = server.get("/api/v1/audit?limit=1000").ok();
        let entries = page["items"].as_array().unwrap().clone();
        let event = |item: &Value| item["entry"]["event"].clone();
        let revoked = |e: Value| e["key_id"] == "ann" && e["status"] == "revoked";
        entries.iter().map(event).any(revoked).then_some(())
    });
    fs::write(&keyring, older).unwrap();
    server.act(&approval, "verify", &body).refused("keyring-unavailable");
    server.claim(&approval).refused("keyring-unavailable");
    assert_ne!(server.get("/readyz").status, 200);
    server.stop();
    assert!(home.run(SERVE).exits(1).err.contains("stays revoked"));
    let verify = ["verify", id(&approval), "--agent", "incident_bot", "--action", "x"];
    for command in [&[&verify[..], &["--context", "{}"]].concat()[..], &["wait", id(&approval)]] {
        let ran = home.run(command);
        assert!(ran.code != 0 && ran.err.contains("stays revoked"), "{ran:?}");
    }
    assert!(home.run(&["doctor"]).exits(1).out.contains("stays revoked"));
}

#[test]
fn the_last_active_log_key_cannot_be_revoked() {
    let home = Home::new();
    let made = run(&home, &["--json", "key", "generate", "--use", "log"]).json();
    let log = text(&made["key"], "id").to_owned();
    assert!(run(&home, &["key", "revoke", &log, "--yes"]).exits(1).err.contains("promote another"));
    let next = ["key", "generate", "--use", "log", "--id", "next", "--status", "verify-only"];
    run(&home, &next).ok();
    run(&home, &["key", "promote", "next"]).ok();
    run(&home, &["key", "revoke", &log, "--yes"]).ok();
}

#[test]
fn doctor_counts_a_person_once_in_any_case() {
    let home = Home::new();
    home.file("signoff.toml", "[requirement]\nthreshold = 2\ngroups = { sre = 2 }\n");
    for id in ["one", "two"] {
        run(&home, &["key", "generate", "--id", id, "--approver", ANN, "--group", "sre"]).ok();
    }
    // No command writes one person in two ways.
    let keyring = fs::read_to_string(home.path("signoff.keys.json")).unwrap();
    private(&home, "signoff.keys.json", &keyring.replacen(ANN, "Ann@Example.COM", 1));
    let output = run(&home, &["doctor"]).exits(1).out;
    assert!(output.contains("requires 2 approvers, but 1 has a key"), "{output}");
    assert!(output.contains("requires 2 approvers of `sre`, but 1 has a key"), "{output}");
    let other =
        ["key", "generate", "--id", "three", "--approver", "ben@example.com", "--group", "sre"];
    run(&home, &other).ok();
    let output = run(&home, &["doctor"]).out;
    assert!(!output.contains("every approval requires"), "{output}");
}

/// Returns the message that Ann signs to approve.
fn message(approval: &Value, key_id: &str, comment: &str) -> Vec<u8> {
    message_v2(approval, key_id, "approved", ANN, comment)
}

/// Whether openssl verifies an Ed25519 signature.
fn openssl_verifies(home: &Home, public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    // RFC 8410: the fixed prefix of an Ed25519 SubjectPublicKeyInfo.
    let mut der = hex::decode("302a300506032b6570032100").unwrap();
    der.extend(public);
    for (name, bytes) in [("public", &der[..]), ("message", message), ("signature", signature)] {
        fs::write(home.path(name), bytes).unwrap();
    }
    let verify =
        "pkeyutl -verify -pubin -keyform DER -inkey public -rawin -in message -sigfile signature";
    let mut openssl = home.program("openssl");
    openssl.args(verify.split(' ')).stdout(Stdio::null()).stderr(Stdio::null());
    openssl.status().unwrap().success()
}

#[test]
fn an_approver_signs_the_request_and_openssl_verifies_it() {
    let ann = Home::new();
    let entry = key_of(&ann, ANN, &["--id", "ann-1"])["entry"].clone();
    let home = Home::new();
    run(&home, &["key", "import", &entry.to_string(), "--approver", ANN, "--yes"]).ok();
    let server = home.serve();
    let approval = server.request();
    let approve = ["approve", id(&approval), "--yes", "--comment", "fine", "--server", &server.url];
    let output = run(&ann, &approve).ok();
    assert!(output.ends_with("approved"), "{output}");
    let shown = server.show(&approval);
    let ballot = &shown["ballots"][0];
    assert_eq!(
        (&ballot["profile"], &ballot["key_id"], &ballot["approver"]),
        (&json!("v2"), &json!("ann-1"), &json!(ANN))
    );
    let signature = text(ballot, "signature").strip_prefix("v2.ann-1.").unwrap();
    let signature = Base64UrlUnpadded::decode_vec(signature).unwrap();
    let public = Base64UrlUnpadded::decode_vec(text(&entry, "material")).unwrap();
    let signed = message(&shown, "ann-1", "fine");
    assert!(openssl_verifies(&home, &public, &signed, &signature));
    assert!(!openssl_verifies(&home, &public, &message(&shown, "ann-1", "fin"), &signature));
    // `signoff sign` gives the same signature: Ed25519 is deterministic.
    let by_hand = run(
        &ann,
        &[
            "sign",
            "--profile",
            "v2",
            "--id",
            id(&approval),
            "--decision",
            "approved",
            "--expires-at",
            text(&shown, "expires_at"),
            "--audience",
            text(&shown, "audience"),
            "--request-digest",
            text(&shown, "request_digest"),
            "--comment",
            "fine",
        ],
    );
    assert_eq!(by_hand.ok(), text(ballot, "signature"));
    let payload = [
        "payload",
        id(&approval),
        "--profile",
        "v2",
        "--key",
        "ann-1",
        "--approver",
        ANN,
        "--comment",
        "fine",
        "--server",
        &server.url,
    ];
    assert_eq!(run(&ann, &payload).ok(), Base64UrlUnpadded::encode_string(&signed));
    server.act(&approval, "execute", &claim_body()).ok();
}

#[test]
fn keys_and_options_determine_the_profile() {
    let home = Home::new();
    let profile_of = |more: &[&str]| {
        let body = request_body();
        let request = [
            "--json",
            "request",
            "--agent",
            "a",
            "--action",
            "b",
            "--context",
            &body["context"].to_string(),
        ];
        let approval = run(&home, &request).exits(0).json();
        let approve = ["--json", "approve", id(&approval), "--yes"];
        let ran = run(&home, &[&approve[..], more].concat());
        match ran.code {
            0 => text(&ran.json()["ballots"][0], "profile").to_owned(),
            3 => text(&ran.json(), "code").to_owned(),
            _ => ran.err,
        }
    };
    assert!(profile_of(&[]).contains("--approver is required"));
    assert_eq!(profile_of(&["--approver", ANN]), "v1");
    assert_eq!(profile_of(&["--approver", ANN, "--profile", "v2"]), "key-unknown");
    assert_eq!(profile_of(&["--approver", ANN, "--key", "none"]), "key-unknown");
    let hmac = ["--algorithm", "hmac-sha256", "--id", "hmac-of-ann"];
    key_of(&home, ANN, &hmac);
    assert_eq!(profile_of(&[]), "v2");
    assert_eq!(profile_of(&["--approver", ANN, "--profile", "v1"]), "v1");
    assert_eq!(profile_of(&["--approver", "bob@example.com"]), "v1");
    assert_eq!(
        profile_of(&["--approver", "bob@example.com", "--key", "hmac-of-ann"]),
        "key-not-yours"
    );
    assert_eq!(profile_of(&["--key", "hmac-of-ann", "--profile", "v1"]), "request-invalid");
    key_of(&home, "bob@example.com", &["--id", "bob"]);
    assert!(profile_of(&[]).contains("ann@example.com, bob@example.com"));
    run(&home, &["key", "retire", "bob"]).ok();
    assert_eq!(profile_of(&["--key", "bob"]), "key-revoked");
    run(&home, &["key", "revoke", "hmac-of-ann", "--yes"]).ok();
    assert_eq!(profile_of(&["--key", "hmac-of-ann"]), "key-revoked");
    assert_eq!(profile_of(&["--approver", ANN, "--profile", "v2"]), "key-unknown");
}

/// A server that returns one text for every GET, and records the requests.
fn liar(shown: String) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::<Mutex<Vec<String>>>::default();
    let heard = Arc::clone(&requests);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut head = String::new();
            while reader.read_line(&mut head).is_ok_and(|bytes| bytes > 2) {}
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
                })
                .unwrap_or(0);
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            heard.lock().unwrap().push(head.lines().next().unwrap_or_default().to_owned());
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{shown}",
                shown.len()
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, requests)
}

#[test]
fn nothing_is_signed_if_the_server_shows_a_different_request() {
    let (_home, server) = home_and_server();
    let ann = Home::new();
    key_of(&ann, ANN, &[]);
    let honest = server.request();
    let other = server.request();
    let with = |field: &str, value: Value| {
        let mut shown = honest.clone();
        shown[field] = value;
        shown.to_string()
    };
    let twice = format!("{},\"reason\":\"routine\"}}", honest.to_string().trim_end_matches('}'));
    for (shown, code) in [
        (with("reason", json!("routine")), 3),
        (with("agent", json!("deployer")), 3),
        (with("action", json!("read")), 3),
        (with("requested_by", json!("agent:deployer")), 3),
        (with("requested_at", json!("2025-10-17T11:30:00Z")), 3),
        (with("policy", json!("0".repeat(64))), 3),
        (with("rule", json!("r")), 3),
        (with("requirement", json!({ "ttl_seconds": 60, "threshold": 2, "groups": {} })), 3),
        (with("context", json!({ "file": "config/production.yaml" })), 3),
        (with("context_hash", json!("0".repeat(64))), 3),
        (with("plan", json!({ "steps": [] })), 3),
        (with("plan_hash", json!("0".repeat(64))), 3),
        (with("request_digest", other["context_hash"].clone()), 3),
        (with("id", other["id"].clone()), 3),
        (with("context", Value::Null), 3),
        (with("audience", json!("")), 3),
        (twice, 1),
        ("{}".to_owned(), 1),
        ("not json".to_owned(), 1),
    ] {
        let (url, requests) = liar(shown.clone());
        let ran = run(&ann, &["approve", id(&honest), "--yes", "--server", &url]).exits(code);
        assert!(code == 1 || ran.err.contains("sign nothing"), "{shown}: {ran:?}");
        let requests = requests.lock().unwrap();
        assert!(requests.iter().all(|line| line.starts_with("GET ")), "{shown}: {requests:?}");
        assert!(!requests.is_empty());
    }
    // The unchanged text is signed and sent.
    let (url, requests) = liar(honest.to_string());
    run(&ann, &["approve", id(&honest), "--yes", "--server", &url]).ok();
    assert!(requests.lock().unwrap().iter().any(|line| line.starts_with("POST ")));
}

#[test]
fn show_prints_everything_that_is_signed() {
    let (home, server) = home_and_server();
    let approval = server.request();
    let shown = home.run(&["show", id(&approval)]).ok();
    for field in [
        "id",
        "audience",
        "agent",
        "action",
        "reason",
        "requested_by",
        "requested_at",
        "expires_at",
        "context_hash",
        "request_digest",
    ] {
        assert!(shown.contains(text(&approval, field)), "{field}: {shown}");
    }
    assert!(shown.contains("1 approver"), "{shown}");
}

#[test]
fn a_signature_for_one_audience_is_not_valid_in_another() {
    let ann = Home::new();
    let entry = key_of(&ann, ANN, &[])["entry"].to_string();
    let here = Home::new();
    run(&here, &["key", "import", &entry, "--approver", ANN, "--yes"]).ok();
    let serve = [SERVE, &["--audience", "here"]].concat();
    let server = Server::start_with(here.signoff(&serve));
    let approval = server.request();
    let sign = |audience: &str| {
        let mut sign: Command = ann.signoff(&[
            "sign",
            "--profile",
            "v2",
            "--id",
            id(&approval),
            "--decision",
            "approved",
            "--expires-at",
            text(&approval, "expires_at"),
            "--audience",
            audience,
            "--request-digest",
            text(&approval, "request_digest"),
        ]);
        Ran::of(&mut sign).ok()
    };
    let ballot = |signature: String| json!({ "decision": "approved", "approver": ANN, "signature": signature });
    server.act(&approval, "approve", &ballot(sign("there"))).refused("signature-invalid");
    server.act(&approval, "approve", &ballot(sign("here"))).ok();
}
