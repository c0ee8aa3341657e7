//! `signoff backup` and `signoff restore`: a copy of a running server is whole, and nothing else takes the
//! place of a store.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};
use signoff_core::log::tree::{self, Hash};

use crate::support::{Client, Home, Ran, SERVE, Server, home_and_server, text};

fn backup(home: &Home, server: &Client, file: &str) -> Value {
    home.run(&["--server", &server.url, "--json", "backup", file]).exits(0).json()
}

fn restore(home: &Home, file: &str, more: &[&str]) -> Ran {
    home.run(&[&["--json", "restore", file], more].concat())
}

fn hash(value: &Value) -> Hash {
    let mut hash = Hash::default();
    hex::decode_to_slice(value.as_str().unwrap(), &mut hash).unwrap();
    hash
}

/// Checks that the log of the server extends a tree.
#[track_caller]
fn extends(server: &Client, backup: &Value) {
    let size = backup["entries"].as_u64().unwrap();
    let proof = server.get(&format!("/api/v1/audit/proof?from={size}")).ok();
    let hashes: Vec<Hash> = proof["hashes"].as_array().unwrap().iter().map(hash).collect();
    let (now, root) = (proof["size"].as_u64().unwrap(), hash(&proof["root"]));
    tree::check_consistency(size, &hash(&backup["root"]), now, &root, &hashes).unwrap();
}

#[test]
fn a_backup_under_load_is_whole_and_continues() {
    let (home, server) = home_and_server();
    let over = AtomicBool::new(false);
    let client: Client = server.clone();
    let backups: Vec<Value> = thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    let approval = client.approved();
                    client.claim(&approval).ok();
                }
            });
        }
        let take = |n| {
            let file = format!("{n}.redb");
            home.run(&["--server", &server.url, "--json", "backup", &file])
        };
        let taken: Vec<Ran> = (0..4).map(take).collect();
        over.store(true, Ordering::SeqCst);
        taken.into_iter().map(|taken| taken.exits(0).json()).collect()
    });
    let events: Vec<Value> = server.audit();
    let taken = events.iter().filter(|entry| entry["event"] == "backup_taken");
    for (recorded, backup) in taken.zip(&backups) {
        assert_eq!((&recorded["size"], &recorded["root"]), (&backup["entries"], &backup["root"]));
    }
    for (n, backup) in backups.iter().enumerate() {
        extends(&server, backup);
        let file = home.path(&format!("{n}.redb"));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&file).unwrap().len(), backup["bytes"].as_u64().unwrap());
        assert_eq!(backup["signed"], true);
    }
    server.stop();
    restore(&home, "3.redb", &["--force"]).exits(0);
    home.run(&["doctor"]).ok();
    let server = home.serve();
    server.claim(&server.approved()).ok();
    extends(&server, &backups[3]);
    server.stop();
    home.run(&["doctor"]).ok();
}

#[test]
fn a_stopped_store_is_backed_up_too_and_a_file_is_replaced_only_with_force() {
    let (home, server) = home_and_server();
    server.approved();
    server.stop();
    home.run(&["backup", "copy.redb"]).ok();
    let first = fs::read(home.path("copy.redb")).unwrap();
    let refused = home.run(&["backup", "copy.redb"]).exits(1);
    assert!(refused.err.contains("--force"), "{refused:?}");
    assert_eq!(fs::read(home.path("copy.redb")).unwrap(), first);
    let told = home.run(&["backup", "--force", "copy.redb"]).exits(0);
    assert!(told.err.contains("keyring"), "{told:?}");
    assert_ne!(fs::read(home.path("copy.redb")).unwrap(), first, "it has the entry of the first");
    for name in fs::read_dir(home.path(".")).unwrap() {
        let name = name.unwrap().file_name().into_string().unwrap();
        assert!(!name.ends_with(".tmp") && !name.ends_with(".compact"), "{name} is left");
    }
}

#[test]
fn a_cut_or_altered_backup_is_refused() {
    let (home, server) = home_and_server();
    for _ in 0..20 {
        server.approved();
    }
    backup(&home, &server, "whole.redb");
    server.stop();
    let whole = fs::read(home.path("whole.redb")).unwrap();
    let mut files = Vec::new();
    for share in [0, 10, 50, 99] {
        files.push(whole[..whole.len() * share / 100].to_vec());
    }
    let agent = b"knowledge_update";
    let places: Vec<usize> = whole
        .windows(agent.len())
        .enumerate()
        .filter(|(_, bytes)| bytes == agent)
        .map(|(at, _)| at)
        .collect();
    assert!(places.len() > 20);
    for place in places.iter().step_by(places.len() / 10) {
        let mut altered = whole.clone();
        altered[*place] ^= 1;
        files.push(altered);
    }
    let mut refused = 0;
    for (n, bytes) in files.iter().enumerate() {
        fs::write(home.path("bad.redb"), bytes).unwrap();
        let ran = restore(&home, "bad.redb", &["--force"]);
        assert_eq!(fs::read(home.path("bad.redb")).unwrap(), *bytes, "the backup stays as it is");
        if ran.code == 0 && n > 3 {
            // A byte of unused space: every row is what the log says.
            home.run(&["doctor"]).ok();
            continue;
        }
        assert_eq!(ran.code, 1, "{n}: {ran:?}");
        assert!(ran.err.contains("nothing changed"), "{n}: {ran:?}");
        refused += 1;
    }
    assert!(refused > files.len() / 2, "{refused} of {}", files.len());
    home.run(&["doctor"]).ok();
}

#[test]
fn only_a_backup_of_this_deployment_takes_the_place_of_a_store() {
    let (home, server) = home_and_server();
    server.approved();
    backup(&home, &server, "own.redb");
    let refused = restore(&home, "own.redb", &[]).exits(1);
    assert!(refused.err.contains("--force"), "{refused:?}");
    let refused = restore(&home, "own.redb", &["--force"]).exits(1);
    assert!(refused.err.contains("stop it first"), "{refused:?}");
    server.stop();
    let refused = restore(&home, "own.redb", &["--force", "--audience", "other"]).exits(1);
    assert!(refused.err.contains("expected `other`"), "{refused:?}");
    // Another key signed this one.
    let (stranger, server) = home_and_server();
    server.approved();
    backup(&stranger, &server, "theirs.redb");
    fs::copy(stranger.path("theirs.redb"), home.path("theirs.redb")).unwrap();
    let refused = restore(&home, "theirs.redb", &["--force"]).exits(1);
    assert!(refused.err.contains("nothing changed"), "{refused:?}");
    // So did this one, and the operator trusts only the own keys.
    fs::write(home.path("log.keys"), home.run(&["audit", "key"]).ok()).unwrap();
    let theirs = ["--server", &server.url, "backup", "--trust", "@log.keys", "x.redb"];
    let refused = home.run(&theirs).exits(1);
    assert!(refused.err.contains("is refused"), "{refused:?}");
    assert!(!home.path("x.redb").exists());
    home.run(&["doctor"]).ok();
}

#[test]
fn a_restored_store_starts_by_an_accepted_rollback_that_revokes_tokens() {
    let home = Home::new();
    fs::create_dir(home.path("elsewhere")).unwrap();
    let serve =
        |more: &[&str]| home.signoff(&[SERVE, &["--witness", "elsewhere/note"], more].concat());
    let server = Server::start_with(serve(&["--create-store", "--new-witness"]));
    let root = json!({ "subject": "root", "roles": ["admin"] });
    let root = server.post("/api/v1/tokens", &root).json(201);
    let admin = server.with_token(text(&root, "token"));
    let other = json!({ "subject": "ci", "roles": ["requester"] });
    let other = admin.post("/api/v1/tokens", &other).json(201);
    let ci = server.with_token(text(&other, "token"));
    ci.request();
    let copy = ["--server", &server.url, "backup", "copy.redb"];
    Ran::of(home.signoff(&copy).env("SIGNOFF_TOKEN", admin.token())).ok();
    ci.request();
    server.stop();
    let restored = restore(&home, "copy.redb", &["--force"]).exits(0).json();
    assert!(text(&restored, "witness").ends_with("elsewhere/note"), "{restored}");
    let refused = Ran::of(&mut serve(&[])).exits(1);
    assert!(refused.err.contains("--accept-rollback"), "{refused:?}");
    Ran::of(&mut serve(&["--keep-token", "tok_x"])).exits(2);
    let keep = |id: &str| serve(&["--accept-rollback", "--keep-token", id]);
    let refused = Ran::of(&mut keep("tok_x")).exits(1);
    assert!(refused.err.contains("--keep-token"), "{refused:?}");
    let server = Server::start_with(keep(text(&root, "id")));
    let (admin, ci) = (admin.at(&server.url), ci.at(&server.url));
    ci.get("/api/v1/approvals").refused("unauthenticated");
    let statuses = admin.get("/api/v1/approvals").ok();
    assert_eq!(statuses["items"][0]["status"], "expired");
    let revoked: Vec<Value> =
        admin.audit().into_iter().filter(|entry| entry["event"] == "token_revoked").collect();
    assert_eq!(revoked.len(), 1);
    assert_eq!((&revoked[0]["token_id"], &revoked[0]["actor"]), (&other["id"], &json!("system")));
    server.stop();
    // Without --keep-token every token is revoked, and the store file gives a new one.
    restore(&home, "copy.redb", &["--force"]).exits(0);
    let server = Server::start_with(serve(&["--accept-rollback"]));
    admin.at(&server.url).get("/api/v1/approvals").refused("unauthenticated");
    server.get("/api/v1/approvals").refused("unauthenticated");
    server.stop();
    let token = home.run(&["token", "create", "--subject", "root", "--role", "admin"]).ok();
    let server = Server::start_with(serve(&[]));
    server.with_token(token.trim()).get("/api/v1/approvals").ok();
}

#[test]
fn a_restored_store_without_a_witness_gets_one_by_an_accepted_rollback() {
    let (home, server) = home_and_server();
    let approval = server.approved();
    backup(&home, &server, "copy.redb");
    server.claim(&approval).ok();
    server.stop();
    let restored = restore(&home, "copy.redb", &["--force"]).exits(0).json();
    assert_eq!(restored["witness"], Value::Null);
    fs::create_dir(home.path("elsewhere")).unwrap();
    let accept = ["--witness", "elsewhere/note", "--new-witness", "--accept-rollback"];
    let server = Server::start_with(home.signoff(&[SERVE, &accept].concat()));
    server.claim(&approval).refused("expired");
}

#[test]
fn one_backup_at_a_time_and_only_for_an_admin() {
    let (_home, server) = home_and_server();
    let root = json!({ "subject": "root", "roles": ["admin"] });
    let admin = server.post("/api/v1/tokens", &root).json(201);
    let admin = server.with_token(text(&admin, "token"));
    let auditor = json!({ "subject": "a", "roles": ["auditor", "policy"] });
    let auditor = admin.post("/api/v1/tokens", &auditor).json(201);
    let auditor = server.with_token(text(&auditor, "token"));
    auditor.post("/api/v1/store/backup", &json!({})).refused("forbidden");
    admin.post("/api/v1/store/backup", &json!({ "x": 1 })).refused("request-invalid");
    let answers: Vec<u16> = thread::scope(|scope| {
        let take = || admin.post_head("/api/v1/store/backup", &json!({})).status;
        let taken: Vec<_> = (0..8).map(|_| scope.spawn(take)).collect();
        taken.into_iter().map(|taken| taken.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|status| [200, 429].contains(status)), "{answers:?}");
    assert!(answers.contains(&200), "{answers:?}");
}

#[test]
fn a_backup_never_takes_the_place_of_a_store_in_use() {
    let (home, server) = home_and_server();
    server.approved();
    let store = home.store().display().to_string();
    let over = ["--server", &server.url, "backup", "--force", &store];
    let refused = home.run(&over).exits(1);
    assert!(refused.err.contains("holds"), "{refused:?}");
    let approval = server.approved();
    server.stop();
    let refused = home.run(&["backup", "--force", &store]).exits(1);
    assert!(refused.err.contains("the store itself"), "{refused:?}");
    std::os::unix::fs::symlink(&store, home.path("link.redb")).unwrap();
    let refused = home.run(&["backup", "--force", "link.redb"]).exits(1);
    assert!(refused.err.contains("the store itself"), "{refused:?}");
    home.run(&["doctor"]).ok();
    home.serve().claim(&approval).ok();
}

#[test]
fn only_files_are_replaced() {
    let (home, server) = home_and_server();
    backup(&home, &server, "copy.redb");
    server.stop();
    fs::create_dir(home.path("folder")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(home.path("pipe")).status().unwrap();
    assert!(made.success());
    std::os::unix::fs::symlink("nowhere", home.path("dangling")).unwrap();
    for (name, why) in [
        ("folder", "is not a file"),
        ("pipe", "is not a file"),
        ("/dev/null", "is not a file"),
        ("dangling", "leads to"),
    ] {
        for force in [&["--force"][..], &[]] {
            let refused = home.run(&[&["backup", name], force].concat()).exits(1);
            assert!(refused.err.contains(why), "{refused:?}");
            let onto = [&["restore", "copy.redb", "--store", name], force].concat();
            let refused = home.run(&onto).exits(1);
            assert!(refused.err.contains(why), "{refused:?}");
        }
    }
}

#[test]
fn a_store_of_another_audience_is_not_replaced_even_if_it_is_not_trusted() {
    let (home, server) = home_and_server();
    backup(&home, &server, "copy.redb");
    server.stop();
    let other = Home::new();
    other.run(&["init", "--audience", "stage"]).ok();
    let theirs = other.store().display().to_string();
    let keys = home.path("signoff.keys.json").display().to_string();
    let onto = ["restore", "copy.redb", "--force", "--store", &theirs, "--keyring", &keys];
    let refused = home.run(&onto).exits(1);
    assert!(refused.err.contains("expected `stage`"), "{refused:?}");
    other.run(&["doctor"]).ok();
}

#[test]
fn a_restored_store_keeps_the_mode_of_the_one_that_it_replaces() {
    let (home, server) = home_and_server();
    backup(&home, &server, "copy.redb");
    server.stop();
    fs::set_permissions(home.store(), fs::Permissions::from_mode(0o640)).unwrap();
    restore(&home, "copy.redb", &["--force"]).exits(0);
    assert_eq!(fs::metadata(home.store()).unwrap().permissions().mode() & 0o777, 0o640);
}
