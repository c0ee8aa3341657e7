//! Validation of keyrings, changes to them, and reloading.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::command::{keys_of, keys_within};
use super::*;

/// RFC 8032, section 7.1, test 1.
const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const SECRET: &str = "a-test-secret-that-nobody-else-has-0123456789";
const OTHER: &str = "another-secret-of-thirty-two-bytes-or-more";

struct Ring {
    dir: TempDir,
}

impl Ring {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("keys.json")
    }

    fn holds(&self, keys: &[Value]) -> PathBuf {
        self.text(&json!({ "format": 1, "keys": keys }).to_string())
    }

    fn text(&self, text: &str) -> PathBuf {
        write(&self.path(), text, 0o600);
        self.path()
    }
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn hex_as_base64(text: &str) -> String {
    Base64UrlUnpadded::encode_string(&hex::decode(text).unwrap())
}

fn hmac(id: &str, secret: &str) -> Value {
    json!({
        "id": id, "algorithm": "hmac-sha256", "status": "active", "use": "approve",
        "material": Base64UrlUnpadded::encode_string(secret.as_bytes()),
    })
}

fn ed25519(id: &str) -> Value {
    json!({
        "id": id, "algorithm": "ed25519", "status": "active", "use": "approve",
        "material": hex_as_base64(PUBLIC), "private": hex_as_base64(SEED),
        "approver": "ann@example.com", "groups": ["security", "security", "ops"],
    })
}

fn with(mut key: Value, field: &str, value: impl Into<Value>) -> Value {
    key[field] = value.into();
    key
}

fn load(path: &Path) -> Result<Keys, KeyError> {
    Keys::load(path)
}

#[test]
fn verifying_keys_are_public_and_signing_keys_are_selected() {
    let ring = Ring::new();
    let keys = load(&ring.holds(&[hmac("shared", SECRET), ed25519("ann")])).unwrap();
    let shown = format!("{keys:?}{:?}", keys.described());
    let ann = keys.entries().iter().find(|key| key.id == "ann").unwrap();
    assert_eq!(ann.material, hex_as_base64(PUBLIC));
    assert_eq!(ann.groups, ["ops", "security"]);
    assert_eq!(keys.to_sign_v1().unwrap().id, "shared");
    assert_eq!(keys.to_sign_v2("ann@example.com").unwrap().material, hex_as_base64(SEED));
    assert!(keys.to_sign_v2("bob@example.com").is_none());
    assert_eq!(keys.approvers(), ["ann@example.com"]);
    for secret in [hex_as_base64(SEED), Base64UrlUnpadded::encode_string(SECRET.as_bytes())] {
        assert!(!shown.contains(&secret), "{shown}");
    }
}

#[test]
fn a_fingerprint_is_an_hmac_that_cpython_agrees_with() {
    let ring = Ring::new();
    let keys = load(&ring.holds(&[hmac("shared", SECRET), ed25519("ann")])).unwrap();
    // python3: hmac.new(material, b"signoff/key-fingerprint", "sha256").hexdigest()[:32]
    let of = |material: &[u8]| {
        let program = "import hmac,sys; print(hmac.new(bytes.fromhex(sys.argv[1]), b'signoff/key-fingerprint', 'sha256').hexdigest()[:32])";
        let ran = std::process::Command::new("python3")
            .args(["-c", program, &hex::encode(material)])
            .output()
            .unwrap();
        String::from_utf8(ran.stdout).unwrap().trim().to_owned()
    };
    let [shared, ann] = &keys.described()[..] else { panic!("two keys") };
    assert_eq!(shared.fingerprint, of(SECRET.as_bytes()));
    assert_eq!(shared.public_key, None);
    assert_eq!(ann.fingerprint, of(&hex::decode(PUBLIC).unwrap()));
    assert_eq!(ann.public_key, Some(hex_as_base64(PUBLIC)));
}

#[test]
fn a_malformed_entry_is_refused_with_a_message() {
    let ring = Ring::new();
    let zero = hex_as_base64(&"00".repeat(32));
    let one = hex_as_base64(&format!("01{}", "00".repeat(31)));
    let order8 = hex_as_base64("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05");
    // y = p + 1 encodes the same point as y = 1.
    let unreduced = hex_as_base64(&format!("ee{}7f", "ff".repeat(30)));
    let no_point = hex_as_base64(&format!("02{}", "00".repeat(31)));
    let key = |field: &str, value: Value| with(ed25519("ann"), field, value);
    let secret = |field: &str, value: Value| with(hmac("shared", SECRET), field, value);
    for (entry, why) in [
        (key("id", json!("")), "id must be"),
        (key("id", json!("Ann")), "id must be"),
        (key("id", json!("a".repeat(65))), "id must be"),
        (key("algorithm", json!("rsa")), "algorithm must be"),
        (key("status", json!("retired")), "status must be"),
        (key("use", json!("sign")), "use must be"),
        (key("material", json!("a+b/")), "its material is not base64url"),
        (key("material", json!("AAAA")), "its material must be 32 bytes"),
        (key("material", json!(zero)), "small order"),
        (key("material", json!(one)), "small order"),
        (key("material", json!(order8)), "small order"),
        (key("material", json!(unreduced)), "not the canonical encoding"),
        (key("material", json!(no_point)), "not an ed25519 public key"),
        (key("private", json!(hex_as_base64(PUBLIC))), "does not belong"),
        (key("private", json!("AAAA")), "its private must be 32 bytes"),
        (key("approver", json!("")), "approver must be"),
        (key("approver", json!("ann lee")), "approver must be"),
        (key("approver", json!("a".repeat(129))), "approver must be"),
        (key("approver", json!("agent:deployer")), "must be a person"),
        (key("groups", json!(["a b"])), "group must be"),
        (key("groups", json!(vec!["g"; 65])), "more than 64 groups"),
        (key("use", json!("log")), "only a key of use `approve` is bound"),
        (secret("private", json!(zero)), "an HMAC key has no `private`"),
        (secret("use", json!("log")), "only ed25519 keys"),
        (secret("use", json!("module")), "only ed25519 keys"),
        (hmac("shared", "short"), "shorter than 32 bytes"),
        (hmac("shared", &"ab".repeat(40)), "repeats"),
        (hmac("shared", &"longer ".repeat(600)), "longer than 4096"),
    ] {
        let message = load(&ring.holds(std::slice::from_ref(&entry))).unwrap_err().to_string();
        assert!(message.contains(why), "{entry}: {message}");
    }
}

#[test]
fn keys_that_do_not_go_together_are_refused() {
    let ring = Ring::new();
    let log = |id: &str| {
        let unbound = with(with(ed25519(id), "approver", Value::Null), "use", "log");
        with(unbound, "groups", json!([]))
    };
    let of_public = json!({
        "id": "public", "algorithm": "hmac-sha256", "status": "active", "use": "approve",
        "material": hex_as_base64(PUBLIC),
    });
    let (padded, long) = (format!("{SECRET}\0"), SECRET.repeat(2));
    let digest = Base64UrlUnpadded::encode_string(&Sha256::digest(&long));
    let hashed = with(hmac("b", SECRET), "material", digest);
    for (keys, why) in [
        (vec![ed25519("a"), ed25519("a")], "two keys have the id `a`"),
        (vec![ed25519("a"), with(ed25519("b"), "approver", "bob@example.com")], "are one key"),
        (vec![hmac("a", SECRET), with(hmac("b", SECRET), "approver", "bob")], "are one key"),
        // HMAC pads a short key with zeros and hashes a long one.
        (vec![hmac("a", SECRET), with(hmac("b", &padded), "approver", "bob")], "are one key"),
        (vec![hmac("a", &long), with(hashed, "approver", "bob")], "are one key"),
        (vec![ed25519("a"), log("b")], "are one key"),
        (vec![ed25519("a"), of_public], "are one key"),
        (vec![log("a"), log("b")], "are both active"),
        (
            (0..4097).map(|n| with(ed25519(&format!("k{n}")), "private", Value::Null)).collect(),
            "the limit is 4096",
        ),
    ] {
        let message = load(&ring.holds(&keys)).unwrap_err().to_string();
        assert!(message.contains(why), "{message}");
    }
    let same = [ed25519("a"), with(ed25519("b"), "status", "revoked")];
    assert_eq!(load(&ring.holds(&same)).unwrap().entries().len(), 2);
}

#[test]
fn a_changed_file_is_used_from_the_next_call_on() {
    let ring = Ring::new();
    let path = ring.holds(&[hmac("shared", SECRET)]);
    let source = KeySource::new(path.clone(), None);
    assert_eq!(source.current().unwrap_err(), KeyError::None, "nothing is read yet");
    source.load().unwrap();
    for _ in 0..50 {
        // Same size, and within one tick of the file system's clock.
        for id in ["shared", "sharee", "sharef"] {
            ring.holds(&[hmac(id, SECRET)]);
            assert_eq!(source.current().unwrap().ids().collect::<Vec<_>>(), [id]);
        }
    }
    edit(&path, |keyring| keyring.revoke("sharef")).unwrap();
    assert_eq!(source.current().unwrap().entries()[0].status, "revoked");
    assert!(source.current().unwrap().to_sign_v1().is_none());
}

#[test]
fn a_malformed_or_removed_file_leaves_no_keys() {
    let ring = Ring::new();
    let path = ring.holds(&[hmac("shared", SECRET)]);
    let source = KeySource::new(path.clone(), None);
    source.load().unwrap();
    ring.text("{");
    assert!(source.current().unwrap_err().to_string().contains("not a keyring"));
    ring.holds(&[]);
    assert_eq!(source.current().unwrap_err(), KeyError::None);
    ring.holds(&[hmac("shared", SECRET)]);
    source.current().unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(source.current(), Err(KeyError::Exposed { .. })));
    fs::remove_file(&path).unwrap();
    for _ in 0..2 {
        assert!(source.current().unwrap_err().to_string().contains("the file was removed"));
        assert!(source.reload().unwrap_err().to_string().contains("the file was removed"));
    }
    ring.holds(&[hmac("shared", SECRET)]);
    source.current().unwrap();
}

#[test]
fn a_file_may_come_later() {
    let ring = Ring::new();
    let command = command(&ring, &[hmac("of-command", SECRET)]);
    let source = KeySource::new(ring.path(), Some(command));
    source.load().unwrap();
    source.current().unwrap();
    ring.holds(&[hmac("of-file", OTHER)]);
    let keys = source.current().unwrap();
    assert_eq!(keys.ids().collect::<Vec<_>>(), ["of-command", "of-file"]);
}

#[test]
fn a_settled_file_is_not_read_again() {
    let ring = Ring::new();
    let path = ring.holds(&[hmac("shared", SECRET)]);
    let stamp = |path: &Path| file::read(path).unwrap().unwrap().stamp;
    assert_eq!(stamp(&path), None, "it may change again within the same tick");
    until_settled(&path);
    assert_eq!(stamp(&path), file::Stamp::at(&path).unwrap());
}

#[test]
fn a_recently_changed_file_is_parsed_again_only_if_its_bytes_differ() {
    let ring = Ring::new();
    let path = ring.holds(&[hmac("shared", SECRET)]);
    let printed = |id: &str| command(&ring, &[hmac(id, OTHER)]);
    let source = KeySource::new(path.clone(), Some(printed("of-command")));
    let ids = |keys: Keys| keys.ids().map(str::to_owned).collect::<Vec<_>>();
    let first = source.load().unwrap();
    assert_eq!(file::read(&path).unwrap().unwrap().stamp, None);
    assert!(source.current().unwrap().is_identical(&first));
    // An unchanged file says nothing about the command's output.
    printed("of-command-again");
    assert!(source.current().unwrap().is_identical(&first));
    assert_eq!(ids(source.reload().unwrap()), ["of-command-again", "shared"]);
    assert_eq!(ids(source.current().unwrap()), ["of-command-again", "shared"]);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("shared", "sharec")).unwrap();
    assert_eq!(ids(source.current().unwrap()), ["of-command-again", "sharec"]);
    fs::write(&path, &text[1..]).unwrap();
    source.current().unwrap_err();
    fs::write(&path, &text).unwrap();
    assert_eq!(ids(source.current().unwrap()), ["of-command-again", "shared"]);
}

fn until_settled(path: &Path) {
    while file::read(path).unwrap().unwrap().stamp.is_none() {
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_keyring_that_is_not_a_regular_file_is_refused_without_blocking() {
    let ring = Ring::new();
    fs::create_dir(ring.path()).unwrap();
    assert!(matches!(load(&ring.path()), Err(KeyError::Exposed { .. })));
    fs::remove_dir(ring.path()).unwrap();
    let made = std::process::Command::new("mkfifo").args(["-m", "600"]).arg(ring.path()).status();
    assert!(made.unwrap().success());
    assert!(matches!(load(&ring.path()), Err(KeyError::Exposed { .. })));
    fs::remove_file(ring.path()).unwrap();
    ring.text(&format!("{}{}", " ".repeat(2 << 20), "{}"));
    assert!(load(&ring.path()).unwrap_err().to_string().contains("longer than"));
    write(&ring.path(), "\u{fffd}", 0o600);
    fs::write(ring.path(), [0xff, 0xfe]).unwrap();
    assert!(load(&ring.path()).unwrap_err().to_string().contains("not a keyring"));
}

fn command(ring: &Ring, keys: &[Value]) -> Vec<String> {
    let path = ring.dir.path().join("printed.json");
    fs::write(&path, json!({ "format": 1, "keys": keys }).to_string()).unwrap();
    vec!["cat".to_owned(), path.display().to_string()]
}

fn sh(script: &str) -> Vec<String> {
    vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()]
}

#[test]
fn a_command_that_gives_no_keyring_is_an_error_that_repeats_nothing() {
    let noisy = format!("echo {SECRET}; echo {SECRET} >&2");
    for (argv, why) in [
        (vec![], "is empty"),
        (vec![String::new()], "is empty"),
        (vec!["./no-such-program".to_owned()], "cannot be started"),
        (sh(&noisy), "did not print a keyring"),
        (sh(&format!("{noisy}; exit 3")), "exit status: 3"),
        (sh("kill -9 $$"), "signal: 9"),
        (sh("printf '\\377\\376'"), "did not print a keyring"),
        (sh("true"), "did not print a keyring"),
        (sh("cat /dev/zero"), "printed more than"),
        (sh("cat"), "did not print a keyring"),
    ] {
        let message = keys_of(&argv).err().expect("refused").to_string();
        assert!(message.contains(why) && !message.contains(SECRET), "{argv:?}: {message}");
    }
}

#[test]
fn a_command_that_does_not_end_is_ended_with_all_it_started() {
    let ring = Ring::new();
    let pid = ring.dir.path().join("pid");
    let scripts = [
        format!("sleep 1000 & echo $! > {0}; wait", pid.display()),
        format!("exec >&-; sleep 1000 & echo $! > {0}; wait", pid.display()),
        format!("sleep 1000 & echo $! > {0}", pid.display()),
    ];
    for script in scripts {
        // Long enough for the shell to start its children.
        let message =
            keys_within(&sh(&script), Duration::from_millis(1500)).err().expect("refused");
        assert!(
            message.to_string().contains("took longer")
                || message.to_string().contains("not print a keyring")
        );
        let pid: i32 = fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
        while is_running(pid) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Returns whether a process is running and not a zombie.
fn is_running(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[test]
fn a_reload_runs_the_command_again_and_a_failure_leaves_no_keys() {
    let ring = Ring::new();
    let printed = ring.dir.path().join("printed.json");
    let source = KeySource::new(ring.path(), Some(command(&ring, &[hmac("one", SECRET)])));
    source.load().unwrap();
    command(&ring, &[hmac("two", OTHER)]);
    assert_eq!(source.current().unwrap().ids().collect::<Vec<_>>(), ["one"]);
    assert_eq!(source.reload().unwrap().ids().collect::<Vec<_>>(), ["two"]);
    fs::remove_file(&printed).unwrap();
    source.reload().unwrap_err();
    source.current().unwrap_err();
    command(&ring, &[hmac("one", SECRET)]);
    source.reload().unwrap();
    source.current().unwrap();
}

#[test]
fn the_keyrings_status_of_a_commands_key_takes_precedence() {
    let ring = Ring::new();
    let given = hmac("shared", SECRET);
    let path = ring.holds(&[with(given.clone(), "status", "revoked")]);
    let source = KeySource::new(path, Some(command(&ring, std::slice::from_ref(&given))));
    let keys = source.load().unwrap();
    assert_eq!(keys.entries().len(), 1);
    assert_eq!(keys.entries()[0].status, "revoked");
    ring.holds(&[hmac("shared", OTHER)]);
    assert!(source.current().unwrap_err().to_string().contains("two keys have the id"));
}

#[test]
fn log_keys_rotate_and_the_old_one_still_verifies() {
    let ring = Ring::new();
    make_keyring(&ring.path()).unwrap();
    let keys = load(&ring.path()).unwrap();
    let old = keys.log_key().unwrap();
    assert!(keys.entries().iter().all(|key| key.usage == "approve"));
    let new = |status| NewKey { usage: Some(Usage::Log), status, ..NewKey::default() };
    let refused = edit(&ring.path(), |keyring| keyring.generate(new(None))).unwrap_err();
    assert!(refused.to_string().contains("is the active log key"), "{refused}");
    let made = edit(&ring.path(), |keyring| keyring.generate(new(Some(Status::VerifyOnly))));
    let id = made.unwrap().id;
    assert_eq!(load(&ring.path()).unwrap().log_key().unwrap().id(), old.id());
    edit(&ring.path(), |keyring| keyring.promote(&id)).unwrap();
    let keys = load(&ring.path()).unwrap();
    assert_eq!(keys.log_key().unwrap().id(), id);
    assert_eq!(keys.log_public().len(), 2);
    edit(&ring.path(), |keyring| keyring.revoke(old.id())).unwrap();
    assert_eq!(load(&ring.path()).unwrap().log_public()[0].id, id);
    assert!(!format!("{old:?}").contains(&hex::encode(old.signing_key().to_bytes())));
}

#[test]
fn an_openssl_key_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let pem = dir.path().join("key.pem");
    let openssl = |arguments: &[&str]| {
        std::process::Command::new("openssl").args(arguments).output().unwrap().stdout
    };
    let pem = pem.to_str().unwrap();
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", pem]);
    let private = openssl(&["pkey", "-in", pem, "-outform", "DER"]);
    let public = openssl(&["pkey", "-in", pem, "-pubout", "-outform", "DER"]);
    let last = |der: &[u8]| Base64UrlUnpadded::encode_string(&der[der.len() - 32..]);
    let key = with(ed25519("ann"), "material", last(&public));
    let ring = Ring::new();
    let keys = load(&ring.holds(&[with(key, "private", last(&private))])).unwrap();
    assert_eq!(keys.to_sign_v2("ann@example.com").unwrap().material, last(&private));
}
