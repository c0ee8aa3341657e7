//! Keys: their sources, refused keys, and missing keys.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{APPROVER, Home, Ran, SECRET, SERVE, Server, id, message, sign_message};

const OTHER: &str = "another-secret-of-thirty-two-bytes-or-more";

fn with_secret(home: &Home, name: &str, secret: &str, arguments: &[&str]) -> Command {
    let mut command = home.signoff(arguments);
    command.env_remove("SIGNOFF_HMAC_SECRET").env(name, secret);
    command
}

fn without_secret(home: &Home, arguments: &[&str]) -> Command {
    let mut command = home.signoff(arguments);
    command.env_remove("SIGNOFF_HMAC_SECRET");
    command
}

fn serve_with(home: &Home, secret: &str) -> Server {
    Server::start_with(with_secret(home, "SIGNOFF_HMAC_SECRET", secret, SERVE))
}

/// Writes a keyring next to the store, with keys in the form of the environment's key.
fn keyring(home: &Home, keys: &[Value]) {
    let mut keys = keys.to_vec();
    // Keeps the log key that a server made: the store belongs to it.
    if let Ok(before) = fs::read(home.path("signoff.keys.json")) {
        let before: Value = serde_json::from_slice(&before).unwrap();
        let before = before["keys"].as_array().unwrap().iter();
        keys.extend(before.filter(|key| key["use"] == "log").cloned());
    }
    let path = home.file("signoff.keys.json", &json!({ "format": 1, "keys": keys }).to_string());
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn key(id: &str, secret: &str, status: &str) -> Value {
    use base64ct::{Base64UrlUnpadded, Encoding};
    json!({
        "id": id, "algorithm": "hmac-sha256", "status": status, "use": "approve",
        "material": Base64UrlUnpadded::encode_string(secret.as_bytes()),
    })
}

#[test]
fn serve_without_a_secret_is_refused_with_instructions() {
    let home = Home::new();
    let ran = Ran::of(&mut without_secret(&home, SERVE)).exits(1);
    assert!(ran.err.contains("SIGNOFF_HMAC_SECRET") && ran.err.contains("signoff init"), "{ran:?}");
    assert_eq!(ran.out, "");
    assert!(!home.store().exists(), "no file is created");
}

#[test]
fn weak_secrets_are_refused_and_not_printed() {
    let home = Home::new();
    for (secret, why) in [
        ("hunter2-hunter2", "shorter than 32 bytes"),
        ("exactly-thirty-one-bytes-long-x", "shorter than 32 bytes"),
        (&"ab".repeat(40), "repeats"),
        ("your-hmac-secret", "well-known"),
        ("this-is-Your-HMAC-Secret-for-production-0123456789", "well-known"),
        ("changeme-changeme-changeme-changeme-1", "well-known"),
        ("a-string-secret-at-least-256-bits-long", "well-known"),
    ] {
        for name in ["SIGNOFF_HMAC_SECRET", "HMAC_SECRET"] {
            let ran = Ran::of(&mut with_secret(&home, name, secret, SERVE)).exits(1);
            assert!(ran.err.contains(why) && ran.err.contains(name), "{secret}: {ran:?}");
            assert!(!ran.err.contains(secret), "{ran:?}");
        }
    }
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let home = Home::new();
    let mut serve = with_secret(&home, "HMAC_SECRET", SECRET, SERVE);
    for name in ["SIGNOFF_HMAC_SECRET", "SIGNOFF_STORE", "SIGNOFF_SERVER", "SIGNOFF_CONFIG"] {
        serve.env(name, "");
    }
    let server = Server::start_with(serve);
    server.approved();
    assert!(home.store().exists());
}

#[test]
fn the_runbooks_variable_is_the_fallback() {
    let home = Home::new();
    let server = Server::start_with(with_secret(&home, "HMAC_SECRET", SECRET, SERVE));
    server.approved();
    server.stop();
    let mut both = home.signoff(SERVE);
    both.env("HMAC_SECRET", OTHER);
    Server::start_with(both).approved();
}

#[test]
fn a_secret_is_not_trimmed() {
    let home = Home::new();
    let secret = format!(" {OTHER}\n");
    let server = serve_with(&home, &secret);
    let approval = server.request();
    let decide = |secret: &str| {
        let signature = sign_message(&message(&approval, "approved", APPROVER), secret);
        let body = json!({ "decision": "approved", "approver": APPROVER, "signature": signature });
        server.act(&approval, "approve", &body)
    };
    decide(OTHER).refused("signature-invalid");
    decide(&secret).ok();
}

#[test]
fn a_ballot_whose_key_is_missing_does_not_count() {
    let home = Home::new();
    let server = home.serve();
    let approval = server.approved();
    server.stop();
    let server = serve_with(&home, OTHER);
    server.claim(&approval).refused("key-unknown");
    let body = json!({ "signature": approval["signature"] });
    let answer = server.act(&approval, "verify", &body).ok();
    assert_eq!((&answer["valid"], &answer["signature_valid"]), (&json!(false), &json!(false)));
    assert_eq!(server.show(&approval)["status"], "approved");
    server.stop();
    home.serve().claim(&approval).ok();
}

/// A secret is rotated without losing what was approved with the one before.
#[test]
fn the_previous_secret_verifies_and_signs_no_more() {
    let home = Home::new();
    let server = home.serve();
    let (before, pending) = (server.approved(), server.request());
    server.stop();
    let ran = Ran::of(&mut with_secret(&home, "HMAC_SECRET", OTHER, &["doctor"]));
    assert!(ran.out.contains(&format!("a ballot of {} is by key", id(&before))), "{ran:?}");
    assert!(!ran.out.contains(id(&pending)), "{ran:?}");
    let lost = serve_with(&home, OTHER);
    lost.claim(&before).refused("key-unknown");
    let line = format!("a ballot of {} is by key", id(&before));
    assert!(lost.stop().contains(&line));
    for name in ["SIGNOFF_HMAC_SECRET_PREVIOUS", "HMAC_SECRET_PREVIOUS"] {
        let mut serve = with_secret(&home, "HMAC_SECRET", OTHER, SERVE);
        let server = Server::start_with({
            serve.env(name, SECRET);
            serve
        });
        let keys = server.get("/api/v1/keys").ok()["items"].clone();
        let of = |status: &str| {
            keys.as_array().unwrap().iter().filter(|key| key["status"] == status).count()
        };
        assert_eq!((of("active"), of("verify-only")), (2, 1), "{keys}");
        if name.starts_with("HMAC") {
            server.claim(&before).ok();
        }
        assert!(!server.stop().contains(&line));
    }
    // The same secret twice is one key, and a weak one is refused.
    let mut same = with_secret(&home, "HMAC_SECRET", OTHER, SERVE);
    same.env("HMAC_SECRET_PREVIOUS", OTHER);
    Server::start_with(same).stop();
    let mut serve = with_secret(&home, "HMAC_SECRET", OTHER, SERVE);
    serve.env("HMAC_SECRET_PREVIOUS", "short");
    let refused = Server::try_start_with(serve).map(drop).unwrap_err();
    assert!(refused.contains("HMAC_SECRET_PREVIOUS is refused"), "{refused}");
}

/// A key is revoked, not its name: neither another id nor a variable brings it back.
#[test]
fn a_secret_that_is_revoked_under_any_id_counts_nowhere() {
    let home = Home::new();
    let server = home.serve();
    let (approved, pending) = (server.approved(), server.request());
    server.stop();
    keyring(&home, &[key("of-before", SECRET, "revoked"), key("other", OTHER, "active")]);
    for name in ["SIGNOFF_HMAC_SECRET", "SIGNOFF_HMAC_SECRET_PREVIOUS"] {
        let server = Server::start_with(with_secret(&home, name, SECRET, SERVE));
        server.claim(&approved).refused("key-revoked");
        let signature = sign_message(&message(&pending, "approved", APPROVER), SECRET);
        let ballot =
            json!({ "decision": "approved", "approver": APPROVER, "signature": signature });
        server.act(&pending, "approve", &ballot).refused("key-revoked");
        server.stop();
    }
}

#[test]
fn a_secret_with_a_line_feed_is_noted() {
    let home = Home::new();
    let secret = format!("{OTHER}\n");
    let note = "SIGNOFF_HMAC_SECRET ends with a line feed";
    assert!(serve_with(&home, &secret).stop().contains(note));
    let ran = Ran::of(&mut with_secret(&home, "SIGNOFF_HMAC_SECRET", &secret, &["doctor"]));
    assert!(ran.out.contains(note) && !ran.out.contains(OTHER), "{ran:?}");
    assert!(!serve_with(&home, OTHER).stop().contains(note));
}

#[test]
fn a_verify_only_key_counts_and_a_revoked_one_does_not() {
    let home = Home::new();
    let server = home.serve();
    let approval = server.approved();
    let pending = server.request();
    let id = approval["ballots"][0]["key_id"].as_str().unwrap().to_owned();
    let other = server.approved();
    server.stop();
    keyring(&home, &[key(&id, SECRET, "verify-only")]);
    let server = serve_with(&home, OTHER);
    server.decide(&pending, "approved", APPROVER).ok();
    server.claim(&approval).ok();
    server.claim(&pending).ok();
    let pending = server.request();
    // The revocation counts from the next call, without a restart.
    keyring(&home, &[key(&id, SECRET, "revoked")]);
    server.claim(&other).refused("key-revoked");
    server.decide(&pending, "approved", APPROVER).refused("key-revoked");
    // A revocation is final, whatever the keyring says later.
    keyring(&home, &[key(&id, SECRET, "active")]);
    server.claim(&other).refused("keyring-unavailable");
    server.decide(&pending, "approved", APPROVER).refused("keyring-unavailable");
    server.get("/healthz").ok();
}

#[test]
fn one_key_id_never_means_two_keys() {
    let home = Home::new();
    keyring(&home, &[key("team", OTHER, "active")]);
    let server = home.serve();
    let pending = server.request();
    keyring(&home, &[key("team", "yet-another-secret-that-is-long-enough", "active")]);
    server.decide(&pending, "approved", APPROVER).refused("keyring-unavailable");
    // Nor can one key belong to two people.
    let mut bound = key("team", OTHER, "active");
    bound["approver"] = json!(APPROVER);
    keyring(&home, &[bound]);
    server.decide(&pending, "approved", APPROVER).refused("keyring-unavailable");
    keyring(&home, &[key("team", OTHER, "active")]);
    server.decide(&pending, "approved", APPROVER).ok();
}

#[test]
fn a_keyring_that_others_can_read_is_refused() {
    let home = Home::new();
    Ran::of(&mut without_secret(&home, &["init"])).ok();
    let path = home.path("signoff.keys.json");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(home.store()).unwrap().permissions().mode() & 0o777, 0o600);
    for mode in [0o644, 0o640, 0o604, 0o620, 0o602, 0o700] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let ran = Ran::of(&mut without_secret(&home, SERVE)).exits(1);
        assert!(ran.err.contains("0600"), "{mode:o}: {ran:?}");
        let doctor = Ran::of(&mut without_secret(&home, &["doctor"])).exits(1);
        assert!(doctor.out.contains("BAD   keys"), "{doctor:?}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    Server::start_with(without_secret(&home, SERVE)).assert_ready();
}

#[test]
fn a_malformed_keyring_is_refused_without_quoting_it() {
    let home = Home::new();
    let material = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ1Njc4OTA";
    for text in [
        material.to_owned(),
        format!("{{\"format\":1,\"keys\":[{{\"material\":\"{material}\"}}]}}"),
        format!("{{\"format\":2,\"keys\":[],\"{material}\":1}}"),
        format!("{{\"format\":1,\"keys\":\"{material}\"}}"),
        "{\"format\":2,\"keys\":[]}".to_owned(),
    ] {
        let path = home.file("signoff.keys.json", &text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let ran = Ran::of(&mut without_secret(&home, SERVE)).exits(1);
        assert!(ran.err.contains("keyring"), "{ran:?}");
        assert!(!ran.err.contains(material), "{ran:?}");
    }
    keyring(&home, &[key("same", SECRET, "active"), key("same", OTHER, "active")]);
    let ran = Ran::of(&mut without_secret(&home, SERVE)).exits(1);
    assert!(ran.err.contains("two keys"), "{ran:?}");
    keyring(&home, &[key("weak", &"x".repeat(40), "active")]);
    Ran::of(&mut without_secret(&home, SERVE)).exits(1);
}

#[test]
fn init_never_overwrites_a_keyring_and_leaves_no_partial_files() {
    let home = Home::new();
    Ran::of(&mut without_secret(&home, &["init"])).ok();
    let before = fs::read(home.path("signoff.keys.json")).unwrap();
    let again = Ran::of(&mut without_secret(&home, &["init"])).exits(1);
    assert!(again.err.contains("already exists"), "{again:?}");
    assert_eq!(fs::read(home.path("signoff.keys.json")).unwrap(), before);
    let other = Home::new();
    other.file("signoff.redb", "this is no store");
    Ran::of(&mut without_secret(&other, &["init"])).exits(1);
    assert!(!other.path("signoff.keys.json").exists(), "a later init would be refused");
}

#[test]
fn a_secret_is_in_no_answer_output_or_store() {
    use base64ct::{Base64, Base64UrlUnpadded, Encoding};
    let home = Home::new();
    let server = home.serve();
    let approval = server.approved();
    let id = approval["id"].as_str().unwrap();
    server.decide(&approval, "approved", APPROVER).refused("already-decided");
    let body = json!({ "decision": "approved", "approver": APPROVER, "signature": "x" });
    let mut seen = vec![
        server.act(&approval, "approve", &body).body,
        server.get("/metrics").body,
        server.get("/readyz").body,
        server.get("/api/v1/audit").body,
        server.get("/api/v1/approvals").body,
        server.get("/openapi.json").body,
        server.claim(&approval).body,
    ];
    let sign = [
        "sign",
        "--id",
        id,
        "--decision",
        "approved",
        "--approver",
        APPROVER,
        "--expires-at",
        "2025-10-17T11:30:00Z",
    ];
    for arguments in [&sign[..], &["doctor"], &["show", id], &["--json", "show", id], &["--help"]] {
        let ran = home.run(arguments);
        seen.extend([ran.out, ran.err]);
    }
    seen.push(server.stop());
    seen.push(String::from_utf8_lossy(&fs::read(home.store()).unwrap()).into_owned());
    for form in [
        SECRET.to_owned(),
        SECRET.to_uppercase(),
        hex::encode(SECRET),
        Base64::encode_string(SECRET.as_bytes()),
        Base64UrlUnpadded::encode_string(SECRET.as_bytes()),
    ] {
        for text in &seen {
            assert!(!text.contains(&form), "a form of the secret is in: {text}");
        }
    }
}
