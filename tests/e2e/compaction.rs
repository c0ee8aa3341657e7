//! `signoff store compact`: the file is exchanged under load, and a crash at any moment leaves a whole one.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, Home, home_and_server, id};

const COMPACT: &str = "/api/v1/store/compact";
const ROUNDS: u64 = 12;

/// Ends the workers of a test, also of one that fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Returns the files of unfinished compactions.
fn drafts(home: &Home) -> Vec<String> {
    let names = fs::read_dir(home.path(".")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".compact")).collect()
}

#[test]
fn a_file_is_exchanged_under_load_and_loses_nothing() {
    let (home, server) = home_and_server();
    let (over, made) = (AtomicBool::new(false), AtomicUsize::new(0));
    let client: Client = server.clone();
    let approvals: Vec<Value> = thread::scope(|scope| {
        let work = || {
            let mut approvals = Vec::new();
            while !over.load(Ordering::SeqCst) {
                let approval = client.approved();
                approvals.push(client.claim(&approval).ok());
                made.fetch_add(1, Ordering::SeqCst);
            }
            approvals
        };
        let _stop = Stop(&over);
        let workers: Vec<_> = (0..3).map(|_| scope.spawn(work)).collect();
        for round in 0..6 {
            let before = made.load(Ordering::SeqCst);
            server.post(COMPACT, &json!({})).ok();
            crate::support::until("changes go on", || {
                (made.load(Ordering::SeqCst) > before + round).then_some(())
            });
        }
        over.store(true, Ordering::SeqCst);
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert_eq!(drafts(&home), Vec::<String>::new());
    // Commands on the file find the new one.
    assert!(home.run(&["list", "--limit", "1"]).ok().contains("appr_"));
    server.stop();
    home.run(&["doctor"]).ok();
    let server = home.serve();
    for approval in &approvals {
        assert_eq!(server.show(approval)["execution"]["id"], approval["execution"]["id"]);
    }
}

#[test]
fn kill_9_during_a_compaction_leaves_a_whole_file() {
    let home = Home::new();
    let mut approvals: Vec<Value> = Vec::new();
    for round in 0..ROUNDS {
        let server = home.serve();
        for approval in &approvals {
            assert_eq!(server.show(approval)["status"], "executed");
        }
        assert_eq!(drafts(&home), Vec::<String>::new(), "a start removes them");
        let client: Client = server.clone();
        let stop = AtomicBool::new(false);
        let made: Vec<Value> = thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    if client.try_post(COMPACT, &[], b"{}").is_err() {
                        return;
                    }
                }
            });
            let mut made = Vec::new();
            for _ in 0..6 {
                let approval = client.approved();
                client.claim(&approval).ok();
                made.push(approval);
            }
            sleep(Duration::from_millis(3 * round));
            server.kill();
            stop.store(true, Ordering::SeqCst);
            made
        });
        approvals.extend(made);
    }
    home.run(&["doctor"]).ok();
    let server = home.serve();
    for approval in &approvals {
        assert_eq!(server.show(approval)["status"], "executed", "{}", id(approval));
    }
}

#[test]
fn a_server_whose_file_was_replaced_stops_writing_and_leaves_the_other_file() {
    let (home, server) = home_and_server();
    server.approved();
    home.run(&["--server", &server.url, "backup", "copy.redb"]).ok();
    fs::remove_file(home.store()).unwrap();
    home.run(&["restore", "copy.redb"]).ok();
    let restored = fs::read(home.store()).unwrap();
    server.post(COMPACT, &json!({})).refused("store-unavailable");
    server.post("/api/v1/approvals", &crate::support::request_body()).refused("store-unavailable");
    server.stop();
    assert_eq!(fs::read(home.store()).unwrap(), restored);
}
