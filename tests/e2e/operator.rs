//! Small things that operators meet: tokens in files, messages that name the cause, closed pipes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::{Authority, Home, Ran, Server, home_and_server, serve_tls};

/// A server that requires tokens, and one of an auditor.
fn with_token() -> (Home, Server, String) {
    let (home, server) = home_and_server();
    let create = ["--server", &server.url, "token", "create"];
    let token = [&create[..], &["--subject", "audit@company.com", "--role", "auditor"]].concat();
    let token = home.run(&token).ok();
    (home, server, token)
}

fn list(home: &Home, server: &Server, more: &[&str]) -> Command {
    home.signoff(&[&["--server", &server.url, "list"], more].concat())
}

fn mode(home: &Home, name: &str, mode: u32) {
    fs::set_permissions(home.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_token_may_be_in_a_file() {
    let (home, server, token) = with_token();
    home.file("token", &format!("{token}\n"));
    mode(&home, "token", 0o600);
    home.file("wrong", "sgnt_nobodys");
    mode(&home, "wrong", 0o400);
    Ran::of(&mut list(&home, &server, &["--token-file", "token"])).ok();
    Ran::of(list(&home, &server, &[]).env("SIGNOFF_TOKEN_FILE", "token")).ok();
    // A flag precedes a variable, and the token its file.
    Ran::of(list(&home, &server, &["--token-file", "token"]).env("SIGNOFF_TOKEN", "wrong")).ok();
    let mut given = list(&home, &server, &["--token", &token]);
    Ran::of(given.env("SIGNOFF_TOKEN_FILE", "wrong")).ok();
    Ran::of(&mut list(&home, &server, &["--token-file", "wrong"])).exits(3);
    let ran = Ran::of(
        list(&home, &server, &[]).env("SIGNOFF_TOKEN_FILE", "token").env("SIGNOFF_TOKEN", &token),
    );
    assert!(ran.exits(2).err.contains("both given"));
    // A command on the store file needs no token.
    Ran::of(home.signoff(&["hash", "-"]).env("SIGNOFF_TOKEN_FILE", "missing")).exits(3);
}

#[test]
fn a_token_file_that_others_can_change_or_that_holds_no_token_is_refused() {
    let (home, server, token) = with_token();
    let refused = |name: &str, says: &str| {
        let ran = Ran::of(&mut list(&home, &server, &["--token-file", name])).exits(1);
        assert!(ran.err.contains(says) && ran.err.contains(name), "{ran:?}");
        assert!(!ran.err.contains(&token), "{ran:?}");
    };
    refused("missing", "No such file");
    fs::create_dir(home.path("folder")).unwrap();
    refused("folder", "not a file");
    for (name, text, says) in [
        ("empty", "\n", "expected one token"),
        ("two", &*format!("{token} {token}"), "expected one token"),
        ("large", &*"x".repeat(5_000), "larger than 4096 bytes"),
    ] {
        home.file(name, text);
        mode(&home, name, 0o600);
        refused(name, says);
    }
    fs::write(home.path("bytes"), b"\xff\xfe").unwrap();
    mode(&home, "bytes", 0o600);
    refused("bytes", "not text");
    home.file("open", &token);
    mode(&home, "open", 0o620);
    refused("open", "others can change it");
    // One that they can only read works, with a note.
    mode(&home, "open", 0o644);
    let ran = Ran::of(&mut list(&home, &server, &["--token-file", "open"])).exits(0);
    assert!(ran.err.contains("can be read by others"), "{ran:?}");
}

#[test]
fn a_call_without_a_token_says_where_one_comes_from() {
    let (home, server, _) = with_token();
    let ran = Ran::of(&mut list(&home, &server, &[])).exits(3);
    for part in ["SIGNOFF_TOKEN", "--token-file", "signoff login", "(unauthenticated)"] {
        assert!(ran.err.contains(part), "{part}: {ran:?}");
    }
    let ran = Ran::of(list(&home, &server, &[]).env("SIGNOFF_TOKEN", "sgnt_other")).exits(3);
    assert!(ran.err.contains("the token that was sent is not accepted"), "{ran:?}");
    assert!(!ran.err.contains("sgnt_other"), "{ran:?}");
    let ran = Ran::of(&mut list(&home, &server, &["--json"])).exits(3);
    assert!(ran.json()["detail"].as_str().unwrap().contains("SIGNOFF_TOKEN"), "{ran:?}");
}

#[test]
fn tokens_that_expire_soon_are_marked_and_listed() {
    let (home, server) = home_and_server();
    let run = |arguments: &[&str]| home.run(&[&["--server", &server.url], arguments].concat());
    let admin = run(&["token", "create", "--subject", "root", "--role", "admin"]).ok();
    let run = |arguments: &[&str]| {
        let mut command = home.signoff(&[&["--server", &server.url], arguments].concat());
        Ran::of(command.env("SIGNOFF_TOKEN", &admin))
    };
    for (subject, time) in [("soon@company.com", "13d"), ("later@company.com", "15d")] {
        let made = run(&[
            "token",
            "create",
            "--subject",
            subject,
            "--role",
            "approver",
            "--expires-in",
            time,
            "--json",
        ]);
        assert!(made.exits(0).json()["token"].is_string());
    }
    let listed = run(&["token", "list"]).ok();
    let line = |subject: &str| listed.lines().find(|line| line.contains(subject)).unwrap();
    assert!(line("soon@company.com").contains("expires soon, "), "{listed}");
    assert!(line("later@company.com").contains("until "), "{listed}");
    let within = |time: &str| run(&["token", "list", "--expires-within", time]).ok();
    assert_eq!(within("14d").lines().count(), 1);
    assert_eq!(within("16d").lines().count(), 2);
    assert_eq!(within("1h"), "");
    let json = run(&["token", "list", "--expires-within", "14d", "--json"]).exits(0).json();
    assert_eq!(json["items"].as_array().unwrap().len(), 1);
    let id = json["items"][0]["id"].as_str().unwrap().to_owned();
    server.stop();
    assert!(home.run(&["doctor"]).out.contains("tokens of soon@company.com expire within 14 days"));
    home.run(&["token", "revoke", &id]).ok();
    assert!(!home.run(&["doctor"]).out.contains("expire within 14 days"));
}

#[test]
fn key_says_which_keyring_it_works_on() {
    let home = Home::new();
    home.bystander("one", &[]);
    let mut command = home.signoff(&["key", "list"]);
    let ran = Ran::of(command.env("SIGNOFF_SERVER", "http://127.0.0.1:1")).exits(0);
    assert!(ran.err.contains("keyring `./signoff.keys.json` of this machine"), "{ran:?}");
    assert!(ran.out.contains("one\t"), "{ran:?}");
    assert!(!home.run(&["key", "list"]).err.contains("SIGNOFF_SERVER"));
    let ran = home.run(&["--server", "http://127.0.0.1:1", "key", "revoke", "one", "--yes"]);
    assert!(ran.exits(2).err.contains("on its own machine"));
    // The environment's key counts, but is in no keyring.
    assert!(home.run(&["key", "list"]).err.contains("SIGNOFF_HMAC_SECRET holds a further key"));
}

#[test]
fn a_start_without_the_keys_of_its_store_names_the_keyring() {
    let home = Home::new();
    home.serve().stop();
    fs::rename(home.path("signoff.keys.json"), home.path("away.json")).unwrap();
    let mut command = home.signoff(&["serve", "--listen", "127.0.0.1:0"]);
    let ran = Ran::of(command.env_remove("SIGNOFF_HMAC_SECRET")).exits(1);
    assert!(ran.err.contains("there is no keyring `./signoff.keys.json`"), "{ran:?}");
    assert!(
        ran.err.contains("restore the keyring") && !ran.err.contains("signoff init"),
        "{ran:?}"
    );
}

#[test]
fn plain_http_to_a_port_of_tls_is_explained() {
    let home = Home::new();
    let authority = Authority::new("an authority of a test");
    authority.file(&home);
    authority.issue("127.0.0.1").install(&home);
    let server = serve_tls(&home);
    let plain = format!("http://{}", server.address());
    let ran = home.run(&["--server", &plain, "list"]).exits(1);
    assert!(
        ran.err.contains("does not speak plain HTTP") && ran.err.contains("https://"),
        "{ran:?}"
    );
    let mut other = home.signoff(&["--ca", "ca.pem", "list", "--server"]);
    let port = server.address().port();
    let ran = Ran::of(other.arg(format!("https://localhost:{port}"))).exits(1);
    assert!(ran.err.contains("not valid for the name in the address"), "{ran:?}");
}

/// Made by OpenSSL: rustls has no SHA-1.
#[test]
fn a_certificate_signed_with_sha_1_is_reported_on_both_sides() {
    const MAKE: &str = "umask 077
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=authority -keyout ca.key -out ca.pem
openssl req -newkey rsa:2048 -nodes -subj /CN=server -keyout key.pem -out server.csr
printf 'subjectAltName=IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > extensions
openssl x509 -req -sha1 -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
    -extfile extensions -out cert.pem
openssl x509 -in cert.pem -outform der -out cert.der";
    let home = Home::new();
    Ran::of(home.program("sh").args(["-ec", MAKE])).ok();
    let server = serve_tls(&home);
    let ran = home.run(&["--server", &server.url, "--ca", "ca.pem", "list"]).exits(1);
    assert!(ran.err.contains("an algorithm that is not accepted, such as SHA-1"), "{ran:?}");
    assert!(!ran.err.contains('['), "no debug output: {ran:?}");
    let printed = server.stop();
    assert!(
        printed.contains(r#""problem":"is signed with SHA-1, so clients refuse it""#),
        "{printed}"
    );
    let ran = home.run(&["doctor", "--tls-cert", "cert.pem"]).exits(1);
    assert!(ran.out.contains("BAD   TLS") && ran.out.contains("SHA-1"), "{ran:?}");
    // The authority signed itself with SHA-256.
    assert!(home.run(&["doctor", "--tls-cert", "ca.pem"]).out.matches("SHA-1").count() == 0);
    let der =
        ["serve", "--listen", "127.0.0.1:0", "--tls-cert", "cert.der", "--tls-key", "key.pem"];
    assert!(home.run(&der).exits(1).err.contains("is DER: convert it to PEM"));
}

/// The reader decides how much it reads, and that is no error.
#[test]
fn every_command_that_prints_takes_a_closed_pipe_quietly() {
    let (home, server) = home_and_server();
    server.request();
    home.run(&["key", "generate", "--id", "one"]).ok();
    server.stop();
    for arguments in [
        &["completions", "bash"][..],
        &["completions", "zsh"],
        &["config", "show"],
        &["config", "example"],
        &["config", "check"],
        &["--help"],
        &["serve", "--help"],
        &["list"],
        &["list", "--json"],
        &["stats"],
        &["audit", "tail"],
        &["key", "list"],
        &["token", "list"],
        &["module", "list"],
        &["doctor"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = home.signoff(arguments).stdout(writer).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(!err.contains("panicked") && !err.contains("roken pipe"), "{arguments:?}: {err}");
        let code = output.status.code();
        // `doctor` has its own verdict; no code is that of a signal.
        assert!(
            code == Some(0) || (arguments == ["doctor"] && code == Some(1)),
            "{arguments:?}: {code:?}"
        );
    }
}
