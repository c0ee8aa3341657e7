//! `signoff login`: the server that commands call by default.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::{Home, Server, home_and_server, text};

const FILE: &str = ".config/signoff/client.json";

/// A second machine without a store, and a token of the server.
fn user_of(server: &Server) -> (Home, String) {
    let made = json!({ "subject": "ann@company.com", "roles": ["auditor"] });
    let made = server.post("/api/v1/tokens", &made).json(201);
    (Home::new(), text(&made, "token").to_owned())
}

fn file(user: &Home) -> Value {
    serde_json::from_slice(&fs::read(user.path(FILE)).unwrap()).unwrap()
}

#[test]
fn commands_call_the_server_of_the_login() {
    let (_home, server) = home_and_server();
    let request = server.request();
    let (user, token) = user_of(&server);
    user.file("approvers.json", "[]");
    let login = ["login", &server.url, "--audience", "prod", "--keys", "approvers.json", "--json"];
    let said = user.run_with_input(&login, &format!("{token}\n")).exits(0).json();
    assert_eq!((&said["server"], &said["audience"]), (&json!(server.url), &json!("prod")));
    assert!(!said.to_string().contains(&token));
    assert_eq!(fs::metadata(user.path(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
    let keys = fs::canonicalize(user.path("approvers.json")).unwrap();
    let expected =
        json!({ "server": server.url, "token": token, "keys": keys, "audience": "prod" });
    assert_eq!(file(&user), expected);
    assert!(user.run(&["list"]).ok().contains(text(&request, "id")));
    // A new token changes nothing else: without its keys an executor would trust the server.
    user.run_with_input(&["login", &server.url], &token).exits(0);
    assert_eq!(file(&user), expected);
    let other = user.run_with_input(&["login", "http://127.0.0.1:1"], &token).exits(2);
    assert!(other.err.contains("pins approvers' keys for another server"), "{other:?}");
    // A store in this folder, and whatever is named, come first.
    user.run(&["list", "--store", "other.redb"]).exits(1);
    user.run(&["init"]).ok();
    assert!(!user.run(&["list"]).ok().contains(text(&request, "id")));
    user.run(&["logout"]).ok();
    assert!(!user.path(FILE).exists());
    user.run(&["logout"]).ok();
}

#[test]
fn a_token_is_sent_to_its_own_server_only() {
    let (_home, server) = home_and_server();
    let (_other_home, other) = home_and_server();
    let (user, token) = user_of(&server);
    user.run_with_input(&["login", &server.url], &token).exits(0);
    // The other server requires a token now, and gets none.
    other.post("/api/v1/tokens", &json!({ "subject": "x", "roles": ["admin"] })).json(201);
    let refused = user.run(&["list", "--server", &other.url, "--json"]).exits(3).json();
    assert_eq!(refused["code"], "unauthenticated");
    assert!(refused["detail"].as_str().unwrap().to_lowercase().contains("token"), "{refused}");
    user.run(&["list", "--server", &server.url]).ok();
}

#[test]
fn a_login_that_would_not_work_writes_nothing() {
    let (_home, server) = home_and_server();
    let (user, token) = user_of(&server);
    let wrong = token.replace(char::is_numeric, "x");
    assert_eq!(user.run_with_input(&["login", &server.url], &wrong).exits(3).out, "");
    user.run_with_input(&["login", &server.url], "").exits(3);
    user.run_with_input(&["login", "http://127.0.0.1:1"], &token).exits(1);
    user.run_with_input(&["login", "ftp://127.0.0.1"], &token).exits(2);
    user.run_with_input(&["login", "http://signoff.company.com"], &token).exits(2);
    user.run_with_input(&["login", &server.url, "--keys", "missing"], &token).exits(2);
    user.run_with_input(&["login", &server.url, "--token", &token], "").exits(2);
    let audience = user.run_with_input(&["login", &server.url, "--audience", "a b"], &token);
    assert!(audience.exits(2).err.contains("audience must be printable ASCII"));
    assert!(!user.path(FILE).exists());
}

#[test]
fn a_home_file_that_others_can_read_or_that_is_malformed_is_refused() {
    let (_home, server) = home_and_server();
    let (user, token) = user_of(&server);
    user.run_with_input(&["login", &server.url], &token).exits(0);
    let path = user.path(FILE);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = user.run(&["list"]).exits(1);
    assert!(refused.err.contains("others can read it"), "{refused:?}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let more = file(&user).to_string().replacen('{', "{\"of_tomorrow\":1,", 1);
    fs::write(&path, more).unwrap();
    user.run(&["list"]).ok();
    for malformed in ["", "[]", "{\"server\":1}", "{\"token\":\"secret\""] {
        fs::write(&path, malformed).unwrap();
        let refused = user.run(&["list"]).exits(1);
        assert!(refused.err.contains("is malformed"), "{refused:?}");
        assert!(!refused.err.contains("secret"), "{refused:?}");
    }
    // What works on this machine's files does not need it.
    user.run(&["init"]).ok();
}
