//! Store files that are invalid or in use: each gives a clear error, and the file is left unchanged.

use std::fs;
use std::path::Path;

use rustix::process::geteuid;
use serde_json::json;

use crate::support::{Home, Ran, home_and_server, id};

/// Runs a command that writes, one that reads, and `serve`; returns their results.
fn outputs(home: &Home, store: &str) -> Vec<Ran> {
    let request = ["--store", store, "request", "--agent", "a", "--action", "b", "--context", "{}"];
    let serve = ["--store", store, "serve", "--listen", "127.0.0.1:0"];
    let commands: [&[&str]; 3] = [&request, &["--store", store, "list"], &serve];
    commands.into_iter().map(|command| home.run(command)).collect()
}

/// Checks that every command fails with these words and leaves the file unchanged.
#[track_caller]
fn refused(home: &Home, store: &Path, words: &str) {
    let before = fs::read(store).ok();
    for ran in outputs(home, store.to_str().unwrap()) {
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.contains(words), "{words}: {ran:?}");
        let last = ran.err.lines().last().unwrap_or_default();
        assert!(last.starts_with("signoff: ") && !ran.err.contains("panicked"), "{ran:?}");
    }
    assert_eq!(fs::read(store).ok(), before, "the file is left unchanged");
}

fn store_with_approvals(home: &Home) -> Vec<u8> {
    let server = home.serve();
    for _ in 0..20 {
        server.approved();
    }
    server.stop();
    fs::read(home.store()).unwrap()
}

#[test]
fn a_file_that_is_not_a_store_is_refused_and_unchanged() {
    let home = Home::new();
    let no_store = "is not a signoff store";
    refused(&home, &home.file("empty", ""), no_store);
    refused(&home, &home.file("text", "hello\n"), no_store);
    refused(&home, &home.file("long", &"x".repeat(1 << 20)), no_store);
    refused(&home, &home.file("json", "{\"format\":1}"), no_store);
    let folder = home.path("folder");
    fs::create_dir(&folder).unwrap();
    refused(&home, &folder, no_store);
    refused(&home, Path::new("/dev/null"), no_store);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn only_commands_that_write_create_a_missing_store() {
    let home = Home::new();
    for command in [
        &["list"][..],
        &["stats"],
        &["audit", "tail"],
        &["show", "appr_01k7r0000000000000000000a0"],
        &["withdraw", "appr_01k7r0000000000000000000a0"],
    ] {
        let ran = home.run(command).exits(1);
        assert!(ran.err.contains("no store at"), "{ran:?}");
        assert!(!home.store().exists(), "{command:?}");
    }
    let request = ["request", "--agent", "a", "--action", "b", "--context", "{}"];
    home.run(&request).ok();
    assert!(home.store().exists());
}

#[test]
fn a_path_where_no_store_can_be_created_is_a_clear_error() {
    let home = Home::new();
    home.file("file", "");
    for place in ["missing/signoff.redb", "file/signoff.redb", "/proc/signoff.redb"] {
        let serve = ["--store", place, "serve", "--listen", "127.0.0.1:0"];
        let request =
            ["--store", place, "request", "--agent", "a", "--action", "b", "--context", "{}"];
        for command in [&serve[..], &request] {
            let ran = home.run(command).exits(1);
            assert!(ran.err.contains("signoff.redb"), "{ran:?}");
            assert!(!ran.err.contains("panicked"), "{ran:?}");
        }
    }
}

#[test]
fn a_truncated_store_is_read_completely_or_refused() {
    let home = Home::new();
    let whole = store_with_approvals(&home);
    let everything = home.run(&["list"]).ok();
    for share in [1, 2, 10, 50, 90, 99] {
        let length = whole.len() * share / 100;
        fs::write(home.store(), &whole[..length]).unwrap();
        for (command, ran) in
            ["request", "list", "serve"].iter().zip(outputs(&home, "signoff.redb"))
        {
            // If only free pages were cut off, a reader still finds every row; no command writes to
            // such a file.
            if *command == "list" && ran.code == 0 {
                assert_eq!(ran.ok(), everything, "{share} %");
                continue;
            }
            assert_eq!(ran.code, 1, "{share} %: {ran:?}");
            assert!(ran.err.contains("store"), "{ran:?}");
            assert!(!ran.err.contains("panicked"), "{ran:?}");
        }
    }
    fs::write(home.store(), &whole).unwrap();
    home.run(&["doctor"]).ok();
}

#[test]
fn doctor_and_serve_detect_flipped_bytes_in_a_store() {
    let home = Home::new();
    let mut damaged = store_with_approvals(&home);
    let text = b"knowledge_update";
    let at = damaged.windows(text.len()).position(|window| window == text).expect("a record");
    damaged[at] ^= 0x20;
    fs::write(home.store(), &damaged).unwrap();
    let serve = home.run(&["serve", "--listen", "127.0.0.1:0"]).exits(1);
    assert!(serve.err.contains("damaged"), "{serve:?}");
    let doctor = home.run(&["doctor"]).exits(1);
    assert!(doctor.out.contains("BAD   store"), "{doctor:?}");
    assert!(doctor.out.contains("damaged"), "{doctor:?}");
}

/// The database library panics on some damage. The command prints one sentence.
#[test]
fn a_damaged_page_is_reported_without_a_panic() {
    let home = Home::new();
    let whole = store_with_approvals(&home);
    let mut given_up = 0;
    for page in (0..whole.len()).step_by(4096) {
        let mut damaged = whole.clone();
        damaged[page..page + 2].fill(0xff);
        fs::write(home.store(), &damaged).unwrap();
        let list = Ran::of(home.signoff(&["list"]).env_remove("RUST_BACKTRACE"));
        assert!(!list.err.contains("thread "), "page at {page}: {list:?}");
        given_up += usize::from(list.err.contains("reading it panicked"));
    }
    assert!(given_up > 0, "no page led to a panic, so this test proves nothing");
}

#[test]
fn a_store_without_permissions_is_a_clear_error() {
    use std::os::unix::fs::PermissionsExt;
    if geteuid().is_root() {
        return; // Root may read and write everything.
    }
    let home = Home::new();
    store_with_approvals(&home);
    fs::set_permissions(home.store(), fs::Permissions::from_mode(0o000)).unwrap();
    for ran in outputs(&home, "signoff.redb") {
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.contains("ermission denied"), "{ran:?}");
    }
    fs::set_permissions(home.store(), fs::Permissions::from_mode(0o400)).unwrap();
    home.run(&["list"]).ok();
    home.run(&["serve", "--listen", "127.0.0.1:0"]).exits(1);
}

#[test]
fn while_a_server_runs_commands_read_the_file_and_refuse_to_write() {
    let (home, server) = home_and_server();
    let approval = server.approved();
    let id = id(&approval);
    assert!(home.run(&["list"]).ok().contains(id));
    assert!(home.run(&["show", id]).ok().contains("approved"));
    home.run(&["verify", id]).ok();
    home.run(&["stats"]).ok();
    home.run(&["audit", "tail"]).ok();
    let doctor = home.run(&["doctor"]).ok();
    assert!(doctor.contains("while another process writes"), "{doctor}");
    let held = "store is held by another process; use --server URL";
    for command in [
        &["request", "--agent", "a", "--action", "b", "--context", "{}"][..],
        &["withdraw", id],
        &["extend", id, "--expires-in", "2h"],
        &["serve", "--listen", "127.0.0.1:0"],
    ] {
        let ran = home.run(command).exits(1);
        assert_eq!(ran.err.trim_end(), format!("signoff: {held}"), "{command:?}");
    }
    assert_eq!(server.show(&approval)["status"], "approved");
    server.assert_ready();
}

#[test]
fn readers_of_the_file_see_the_writes_of_a_server_at_once() {
    let (home, server) = home_and_server();
    for _ in 0..5 {
        let approval = server.request();
        assert!(home.run(&["show", id(&approval)]).ok().contains("pending"));
        server.act(&approval, "withdraw", &json!({})).ok();
        assert!(home.run(&["show", id(&approval)]).ok().contains("withdrawn"));
    }
}

#[test]
fn init_on_an_existing_store_refuses_another_audience() {
    let home = Home::new();
    home.run(&["request", "--agent", "a", "--action", "b", "--context", "{}"]).ok();
    let ran = home.run(&["init", "--audience", "payments"]).exits(1);
    assert!(ran.err.contains("`default`") && ran.err.contains("`payments`"), "{ran:?}");
    assert!(!home.path("signoff.keys.json").exists());
    let ran = home.run(&["init"]).ok();
    assert!(ran.contains("audience default"), "{ran}");
}

#[test]
fn a_store_keeps_the_audience_it_was_created_with() {
    let home = Home::new();
    home.run(&["init", "--audience", "payments"]).ok();
    let mut command = home.signoff(crate::support::SERVE);
    command.args(["--audience", "other"]);
    let refused = Ran::of(&mut command).exits(1);
    assert!(refused.err.contains("is `payments`, not `other`"), "{refused:?}");
    let doctor = home.run(&["doctor"]).ok();
    assert!(doctor.contains("audience payments"), "{doctor}");
}
