//! Key rotation under load: no ballot of a valid key is refused, and none is accepted once the command
//! that revoked its key has returned.
//!
//! `SIGNOFF_ROTATION_DECISIONS` sets the number of decisions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use crate::support::{Answer, Client, Home, KeyV2, claim_body, text, until};

const DECISIONS_DEFAULT: usize = 300;
const DECISIONS_MAX: usize = 10_000;
const WORKERS: usize = 6;
/// The number of recent keys that a worker uses; some of them are revoked by then.
const RECENT: usize = 8;

/// A key, and when the command that revoked it started and returned.
struct Held {
    key: KeyV2,
    revoking: Option<Instant>,
    revoked: Option<Instant>,
}

/// A call that depends on a key's ballot.
struct Call {
    key: usize,
    from: Instant,
    to: Instant,
    /// The code of the refusal.
    refused: Option<String>,
}

/// The state that the rotation and the workers share.
struct Rotation {
    home: Home,
    keys: Mutex<Vec<Held>>,
    decided: AtomicUsize,
    decisions: usize,
}

impl Rotation {
    fn keys(&self) -> MutexGuard<'_, Vec<Held>> {
        self.keys.lock().unwrap()
    }

    fn key_command(&self, arguments: &[&str]) {
        self.home.run(&[&["key"], arguments].concat()).ok();
    }

    /// Creates and promotes the key of a turn, retires an older one and revokes an even older one.
    fn turn(&self, n: usize) {
        let (id, approver) = (format!("k{n}"), format!("p{n}@example.com"));
        let algorithm = if n.is_multiple_of(3) { "hmac-sha256" } else { "ed25519" };
        self.key_command(&[
            "generate",
            "--id",
            &id,
            "--approver",
            &approver,
            "--algorithm",
            algorithm,
            "--status",
            "verify-only",
        ]);
        let key = KeyV2::of(&self.home, &id);
        self.keys().push(Held { key, revoking: None, revoked: None });
        self.key_command(&["promote", &id]);
        if let Some(older) = n.checked_sub(2) {
            self.key_command(&["retire", &format!("k{older}")]);
        }
        if let Some(oldest) = n.checked_sub(5) {
            self.keys()[oldest].revoking = Some(Instant::now());
            self.key_command(&["revoke", &format!("k{oldest}"), "--yes"]);
            self.keys()[oldest].revoked = Some(Instant::now());
        }
    }

    /// Rotates keys, evenly distributed over the decisions.
    fn rotate(&self) {
        let turns = (self.decisions / 30).clamp(24, 300);
        for n in RECENT..turns {
            let due = n * self.decisions / turns;
            until("the decisions of a turn are made", || {
                (self.decided.load(Ordering::SeqCst) >= due).then_some(())
            });
            self.turn(n);
        }
    }

    /// Makes decisions until the total is reached.
    fn decide(&self, client: &Client, worker: usize) -> Vec<Call> {
        let mut calls = Vec::new();
        loop {
            let n = self.decided.fetch_add(1, Ordering::SeqCst);
            if n >= self.decisions {
                return calls;
            }
            let approval = client.request();
            let (index, key) = {
                let keys = self.keys();
                let index = keys.len() - 1 - (n * 7 + worker) % RECENT;
                (index, keys[index].key.clone())
            };
            let ballot = key.ballot(&approval, "approved");
            let decided = call(index, || client.act(&approval, "approve", &ballot));
            let accepted = decided.refused.is_none();
            calls.push(decided);
            if accepted && n.is_multiple_of(4) {
                calls.push(call(index, || client.act(&approval, "execute", &claim_body())));
            }
        }
    }

    /// Compares a call with the history of its key. Returns whether it had to be accepted, if that is
    /// certain.
    fn check(&self, call: &Call) -> Option<bool> {
        let keys = self.keys();
        let Held { key, revoking, revoked } = &keys[call.key];
        let refused = call.refused.as_deref();
        assert!(matches!(refused, None | Some("key-revoked")), "key {}: {refused:?}", key.id);
        if revoking.is_none_or(|revoking| call.to < revoking) {
            assert_eq!(refused, None, "key {} counted", key.id);
            return Some(true);
        }
        if revoked.is_some_and(|revoked| call.from > revoked) {
            assert_eq!(refused, Some("key-revoked"), "key {} was revoked", key.id);
            return Some(false);
        }
        None
    }
}

fn call(key: usize, call: impl FnOnce() -> Answer) -> Call {
    let from = Instant::now();
    let answer = call();
    let to = Instant::now();
    let refused = (answer.status != 200).then(|| answer.code());
    Call { key, from, to, refused }
}

#[test]
fn keys_rotate_under_load_without_wrong_answers() {
    let decisions = std::env::var("SIGNOFF_ROTATION_DECISIONS")
        .map_or(DECISIONS_DEFAULT, |n| n.parse().expect("a number of decisions"));
    assert!(decisions <= DECISIONS_MAX, "at most {DECISIONS_MAX}");
    let home = Home::new();
    home.file("signoff.toml", "[signatures]\naccept = [\"v2\"]\n");
    let rotation =
        Rotation { home, keys: Mutex::default(), decided: AtomicUsize::new(0), decisions };
    (0..RECENT).for_each(|n| rotation.turn(n));
    let server = rotation.home.serve();
    let client: &Client = &server;
    let started = Instant::now();
    let calls: Vec<Call> = thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                scope.spawn({
                    let rotation = &rotation;
                    move || rotation.decide(client, worker)
                })
            })
            .collect();
        rotation.rotate();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let took = started.elapsed();
    let verdicts: Vec<Option<bool>> = calls.iter().map(|call| rotation.check(call)).collect();
    let count = |verdict: Option<bool>| verdicts.iter().filter(|v| **v == verdict).count();
    let (counted, revoked, between) = (count(Some(true)), count(Some(false)), count(None));
    eprintln!(
        "{decisions} decisions in {took:?}, {} keys: {counted} calls by keys that counted, all \
         accepted; {revoked} by revoked ones, all refused; {between} while theirs was revoked",
        rotation.keys().len()
    );
    assert!(counted > decisions / 4 && revoked > decisions / 20, "both were tried");
    assert_key_history(&server.get("/api/v1/audit?limit=1000").ok(), client);
    server.stop();
    rotation.home.run(&["doctor"]).ok();
}

/// Checks the status changes of each key in the audit log: only those that the command allows, and none
/// after a revocation.
fn assert_key_history(first: &Value, client: &Client) {
    let mut history: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut page = first.clone();
    loop {
        for item in page["items"].as_array().unwrap() {
            let entry = &item["entry"]["event"];
            if entry["event"] == "key_recorded" {
                let status = text(entry, "status").to_owned();
                history.entry(text(entry, "key_id").to_owned()).or_default().push(status);
            }
        }
        let Some(after) = page["next_after"].as_u64() else { break };
        page = client.get(&format!("/api/v1/audit?after={after}&limit=1000")).ok();
    }
    for (key, statuses) in &history {
        let ways = ["verify-only", "active", "verify-only", "revoked"];
        // A status that the server did not see has no entry.
        let mut rest = ways.iter();
        let fits = statuses.iter().all(|status| rest.any(|way| way == status));
        assert!(fits || !key.starts_with('k'), "{key}: {statuses:?}");
    }
    assert!(history.len() >= RECENT, "{history:?}");
}
