//! Receipts of random stories, each built with the verifier's own operations, and of corrupted
//! receipts.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

#[path = "../harness/mod.rs"]
mod harness;
mod mutations;
mod world;

use std::collections::BTreeMap;

use harness::{EXECUTION, Random};
use serde_json::{Value, json};
use signoff_verifier::receipt::Verify;
use signoff_verifier::rejection::{Code, Rejection};
use world::{World, log_key, people};

/// Returns what a receipt proves to a caller that trusts the log's key, as JSON text.
fn verified(receipt: &str) -> Result<String, Rejection> {
    arguments(receipt).run().map(|report| serde_json::to_string(&report).unwrap())
}

fn arguments(receipt: &str) -> Verify<'_> {
    Verify {
        receipt: receipt.into(),
        log_keys: vec![log_key().to_string().into()],
        id: None,
        audience: None,
        keys: None,
        accept: vec!["v1".to_owned(), "v2".to_owned()],
        checkpoint: None,
        consistency: None,
    }
}

/// Takes one random step; a step that the verifier refuses changes nothing.
fn step(world: &mut World, random: &mut Random) -> Result<(), String> {
    world.now += [1, 20, 400, 3_000][random.below(4)] * u64::from(!random.once_in(3));
    let event = json!({"expires_in_seconds": 3_600 + random.below(9_000)});
    match random.below(12) {
        0..5 => {
            let decision = if random.once_in(6) { "rejected" } else { "approved" };
            world.decide(random.below(4), decision)
        }
        5 | 6 => world.claim(),
        7 => {
            let outcome = *random.pick(&["succeeded", "failed"]);
            world.admin("settle", json!({"execution_id": EXECUTION, "outcome": outcome}))
        }
        8 => world.admin("extend", event),
        9 => world.run("expire", json!({})),
        10 => {
            let mut person = random.pick(&world.people).clone();
            if random.once_in(2) {
                person.groups = if random.once_in(2) { vec![] } else { vec!["sre"] };
            }
            let at = world.people.iter().position(|other| other.id == person.id).unwrap();
            let revoked = world.status[&person.id] == "revoked" || random.once_in(4);
            world.record_key(&person, if revoked { "revoked" } else { "verify-only" });
            world.people[at] = person;
            Ok(())
        }
        _ if random.once_in(4) => world.admin("void", json!({})),
        _ if random.once_in(3) => world.admin("erase", json!({})),
        _ if random.once_in(3) => world.admin("withdraw", json!({})),
        _ => Ok(()),
    }
}

#[test]
fn every_history_of_allowed_operations_has_a_valid_receipt() {
    let mut random = Random(9);
    let (mut statuses, mut met, mut erased) = (BTreeMap::<String, u32>::new(), 0, 0);
    for story in 0..150 {
        let groups = if random.once_in(3) { json!({"sre": 1}) } else { json!({}) };
        let threshold = 1 + random.below(3);
        let mut world = World::new(people(), &json!({"threshold": threshold, "groups": groups}));
        for _ in 0..16 {
            let _ = step(&mut world, &mut random);
        }
        let report = verified(&world.receipt())
            .unwrap_or_else(|e| panic!("story {story}: {e}\n{}", world.receipt()));
        let (report, record) = (parsed(&report), harness::parsed(&world.record));
        assert_eq!(report["status"], record["status"]);
        assert_eq!(report["expires_at"], record["expires_at"]);
        assert_eq!(report["execution"]["outcome"], record["execution"]["outcome"]);
        assert_eq!(list(&report["ballots"]).len(), list(&record["ballots"]).len());
        for ballot in list(&report["ballots"]) {
            // Erasure removed every comment.
            let is_logged = ballot["algorithm"] == "ed25519" && report["erased_at"].is_null();
            let proof = if is_logged { "logged" } else { "attested" };
            assert_eq!(ballot["proof"], proof);
        }
        met += u32::from(report["requirement_met"] == true);
        erased += u32::from(!report["erased_at"].is_null());
        *statuses.entry(record["status"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    // Stories that reach no other status would prove nothing.
    assert_eq!(statuses.len(), 6, "{statuses:?}");
    assert!(statuses["executed"] > 10 && met > 20 && erased > 5, "{statuses:?}, {met}, {erased}");
}

#[test]
fn an_oversized_receipt_is_refused_before_it_is_parsed() {
    let text = "{".repeat((16 << 20) + 1);
    assert_eq!(verified(&text).unwrap_err().code, Code::LimitExceeded);
}

#[test]
fn white_space_around_a_receipt_is_refused() {
    let receipt = World::new(people(), &json!({})).receipt();
    verified(&receipt).unwrap();
    for space in [" ", "\n", "\r\n", "\t", "\u{a0}", "\u{feff}", "\0"] {
        for text in [format!("{receipt}{space}"), format!("{space}{receipt}")] {
            assert_eq!(verified(&text).unwrap_err().code, Code::ReceiptInvalid, "{space:?}");
        }
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}
