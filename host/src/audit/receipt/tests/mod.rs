//! Receipts of whole stories, and that nothing in one can be changed.

mod world;

use serde_json::{Value, json};

use super::*;
use crate::audit::log_key::LogSigner;
use world::{ID, VERIFIER, Who, World, signer, trusted};

fn check(receipt: &str) -> Result<Report, ReceiptError> {
    verify(receipt, &trusted(), &VERIFIER)
}

#[track_caller]
fn wrong(receipt: &str) -> String {
    check(receipt).expect_err("it is wrong").to_string()
}

/// A receipt with one thing changed.
fn changed(receipt: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_str(receipt).unwrap();
    change(&mut value);
    value.to_string()
}

#[test]
fn a_whole_story_is_proven_ballot_by_ballot() {
    let report = check(&World::story().receipt()).unwrap();
    assert_eq!((report.approval_id.as_str(), report.status.as_str()), (ID, "executed"));
    assert_eq!(report.signer.as_ref(), Some(signer().key()));
    assert!(report.requirement_met);
    let [alice, carol] = report.ballots.as_slice() else { panic!("two ballots") };
    assert_eq!(
        (alice.proof, alice.comment.as_deref()),
        (Proof::Verified, Some("looked at the diff"))
    );
    assert_eq!((carol.proof, carol.comment.as_deref()), (Proof::Attested, None));
    assert_eq!(alice.groups, ["sre"]);
    assert_eq!(report.execution.unwrap().outcome, "succeeded");
    // The request, two ballots, the claim, the outcome, two keys.
    assert_eq!((report.entries, report.checkpoint_size), (7, 13));
}

#[test]
fn every_state_has_a_receipt() {
    type Steps = fn(&mut World);
    let stories: [(&str, bool, Steps); 7] = [
        ("pending", false, |_| {}),
        ("approved", true, |world| world.decide(Who::Shared, "approved", Some("v1"))),
        ("rejected", false, |world| world.decide(Who::Alice, "rejected", None)),
        ("withdrawn", true, |world| {
            world.decide(Who::Alice, "approved", None);
            world.withdraw();
        }),
        ("pending", false, World::extend),
        ("expired", false, |world| {
            world.now += 4_000;
            world.expire();
        }),
        ("executed", true, |world| {
            world.decide(Who::Alice, "approved", None);
            world.claim();
            world.now += 4_000;
            world.expire();
        }),
    ];
    for (status, is_met, steps) in stories {
        let mut world = World::new();
        world.open(1, &json!({}));
        steps(&mut world);
        let report = check(&world.receipt()).unwrap();
        assert_eq!((report.status.as_str(), report.requirement_met), (status, is_met));
    }
}

#[test]
fn what_time_did_and_nobody_logged_is_not_in_a_receipt() {
    let mut world = World::new();
    world.open(1, &json!({}));
    world.decide(Who::Alice, "approved", None);
    let mut late = world.clone();
    late.now += 4_000;
    assert!(late.approval().contains(r#""status":"expired""#));
    assert_eq!(check(&late.receipt()).unwrap().status, "approved");
    world.claim();
    world.now += 4_000;
    assert!(world.approval().contains(r#""outcome":"unknown""#));
    assert_eq!(check(&world.receipt()).unwrap().execution.unwrap().outcome, "claimed");
}

#[test]
fn without_a_trusted_key_nobody_vouches() {
    let receipt = World::story().receipt();
    assert_eq!(verify(&receipt, &[], &VERIFIER).unwrap().signer, None);
    let stranger = LogSigner::new("prod", &[8; 32]).unwrap();
    let refused = verify(&receipt, &[stranger.key().clone()], &VERIFIER).unwrap_err();
    assert!(refused.to_string().contains("no trusted key of `signoff/prod` signed it"));
}

/// Each way to change one value.
fn mutations(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => vec![json!("x"), json!({}), json!(0)],
        Value::Bool(is) => vec![json!(!is), Value::Null],
        Value::Number(number) => {
            let number = number.as_u64().unwrap_or(1);
            vec![json!(number + 1), json!(number.wrapping_sub(1)), json!("1"), Value::Null]
        }
        Value::String(text) => {
            let mut mutations = vec![Value::Null, json!(""), json!(format!("{text}x")), json!(1)];
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            for at in places.iter().step_by((places.len() / 8).max(1)) {
                let was = text[*at..].chars().next().unwrap();
                let other = if was == 'a' { "b" } else { "a" };
                let mut changed = text.clone();
                changed.replace_range(*at..*at + was.len_utf8(), other);
                mutations.push(json!(changed));
            }
            mutations
        }
        Value::Array(items) => {
            let mut mutations = vec![Value::Null];
            for at in 0..items.len() {
                let mut fewer = items.clone();
                fewer.remove(at);
                let mut more = items.clone();
                more.insert(at, items[at].clone());
                let mut swapped = items.clone();
                swapped.swap(0, at);
                mutations.extend([fewer, more, swapped].map(Value::Array));
            }
            mutations.push(Value::Array([items.as_slice(), &[json!({})]].concat()));
            mutations
        }
        Value::Object(members) => {
            let mut mutations = vec![Value::Null];
            for name in members.keys() {
                let mut fewer = members.clone();
                fewer.remove(name);
                mutations.push(Value::Object(fewer));
            }
            let mut more = members.clone();
            more.insert("another".to_owned(), Value::Null);
            mutations.push(Value::Object(more));
            mutations
        }
    }
}

/// The pointers of a value and of everything in it.
fn places(value: &Value, at: &str, places: &mut Vec<String>) {
    places.push(at.to_owned());
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                self::places(item, &format!("{at}/{index}"), places);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                self::places(member, &format!("{at}/{name}"), places);
            }
        }
        _ => {}
    }
}

#[test]
fn no_member_of_a_receipt_can_be_changed() {
    let mut withdrawn = World::new();
    withdrawn.open(1, &json!({}));
    withdrawn.extend();
    withdrawn.decide(Who::Shared, "approved", None);
    withdrawn.withdraw();
    let mut count = 0;
    for receipt in [World::story().receipt(), withdrawn.receipt()] {
        let original: Value = serde_json::from_str(&receipt).unwrap();
        // Order and space between members are nobody's; all else is held.
        check(&serde_json::to_string_pretty(&original).unwrap()).unwrap();
        let mut all = Vec::new();
        places(&original, "", &mut all);
        for place in all {
            let value = original.pointer(&place).unwrap();
            for mutation in mutations(value) {
                let mut mutated = original.clone();
                if mutation == *value {
                    continue;
                }
                *mutated.pointer_mut(&place).unwrap() = mutation.clone();
                let verified = check(&mutated.to_string());
                assert!(verified.is_err(), "{place} changed to {mutation} is not found");
                count += 1;
            }
        }
    }
    println!("{count} mutations, each found");
    assert!(count > 1_000, "{count}");
}

#[test]
fn no_member_of_a_receipt_stands_twice() {
    let receipt = World::story().receipt();
    for (once, twice) in [
        (r#""format":1,"kind""#, r#""format":1,"format":1,"kind""#),
        (r#""status":"executed""#, r#""status":"pending","status":"executed""#),
        (r#""sre":1"#, r#""sre":9,"sre":1"#),
        (r#""replicas": 3"#, r#""replicas": 4,"replicas": 3"#),
        (r#""number":"#, r#""number":1,"number":"#),
    ] {
        assert!(receipt.contains(once), "{once}");
        wrong(&receipt.replacen(once, twice, 1));
    }
}

#[test]
fn entries_that_are_logged_and_tell_another_story_are_found() {
    let story = World::story;
    // Each changes the log itself, which is then signed as it is.
    type Change = fn(&mut World);
    let changes: [(&str, Change); 9] = [
        ("was revoked", |world| world.rekey(Who::Alice, &json!({ "status": "revoked" }))),
        ("was for `log`", |world| world.rekey(Who::Alice, &json!({ "use": "log" }))),
        ("was `mallory`'s", |world| world.rekey(Who::Carol, &json!({ "approver": "mallory" }))),
        ("was nobody's", |world| world.rekey(Who::Carol, &json!({ "approver": null }))),
        ("key", |world| world.rekey(Who::Alice, &json!({ "public_key": "A".repeat(43) }))),
        ("no public key", |world| world.rekey(Who::Alice, &json!({ "public_key": null }))),
        ("its ballots are not what it takes", |world| {
            world.rekey(Who::Alice, &json!({ "groups": ["dba"] }));
        }),
        ("its ballots are not what it takes", |world| {
            world.rekey(Who::Alice, &json!({ "fingerprint": "same" }));
            world.rekey(Who::Carol, &json!({ "fingerprint": "same" }));
        }),
        ("no algorithm", |world| world.rekey(Who::Alice, &json!({ "algorithm": "rsa" }))),
    ];
    for (why, change) in changes {
        let mut world = story();
        change(&mut world);
        let found = wrong(&world.receipt());
        assert!(found.contains(why), "{why}: {found}");
    }
}

#[test]
fn whoever_asks_and_whoever_is_an_agent_does_not_count() {
    check(&World::story().receipt()).unwrap();
    for name in ["agent:deployer", "deployer", "agent:another"] {
        let mut world = World::story();
        world.rename(Who::Carol.name(), name);
        let found = wrong(&world.receipt());
        assert!(found.contains("its ballots are not what it takes"), "{name}: {found}");
    }
}

impl World {
    /// Rewrites the entry of a key.
    fn rekey(&mut self, who: Who, changed: &Value) {
        let at = match who {
            Who::Alice => 1,
            Who::Carol => 2,
            Who::Shared => 3,
        };
        let before: Value = serde_json::from_str(&self.entries[at]).unwrap();
        let mut entry = before.as_object().unwrap().clone();
        let event = entry.get_mut("event").unwrap().as_object_mut().unwrap();
        event.extend(changed.as_object().unwrap().clone());
        self.entries[at] = Value::Object(entry).to_string();
    }
}

#[test]
fn steps_that_do_not_follow_from_each_other_are_found() {
    let world = World::story();
    let receipt: Receipt = serde_json::from_str(&world.receipt()).unwrap();
    let all: Vec<Logged> = receipt
        .entries
        .iter()
        .map(|line| Logged { number: line.number, text: line.entry.clone() })
        .collect();
    check(&world.receipt_of(&all)).unwrap();
    for left_out in 0..all.len() {
        let mut some = all.clone();
        some.remove(left_out);
        wrong(&world.receipt_of(&some));
    }
    let other = Logged { number: 4, text: world.entries[3].clone() };
    let mut more = all;
    more.insert(2, other);
    assert!(wrong(&world.receipt_of(&more)).contains("no ballot names the key `shared`"));
}

#[test]
fn steps_out_of_time_or_from_another_status_are_found() {
    let mut extended = World::new();
    extended.open(1, &json!({}));
    extended.extend();
    let mut withdrawn = World::new();
    withdrawn.open(1, &json!({}));
    withdrawn.withdraw();
    for (mut world, was, is) in [
        (extended, "\"at\":\"2025-10-17T10:3", "\"at\":\"2025-10-17T10:2"),
        (withdrawn, "\"from\":\"pending\"", "\"from\":\"approved\""),
    ] {
        check(&world.receipt()).unwrap();
        let last = world.entries.last_mut().unwrap();
        assert!(last.contains(was), "{last}");
        *last = last.replace(was, is);
        assert!(wrong(&world.receipt()).contains("does not follow from the entries before it"));
    }
}

#[test]
fn a_key_that_was_revoked_later_still_made_its_ballot() {
    let mut world = World::story();
    world.record_key(Who::Alice, &json!({ "status": "revoked" }));
    check(&world.receipt()).unwrap();
    // Between her ballot and the last one it no longer counts.
    let mut between = World::new();
    between.open(2, &json!({}));
    between.decide(Who::Alice, "approved", None);
    between.record_key(Who::Alice, &json!({ "status": "revoked" }));
    between.decide(Who::Carol, "approved", None);
    assert!(wrong(&between.receipt()).contains("not what it takes"));
}

#[test]
fn what_is_no_receipt_is_refused() {
    for (odd, why) in
        [("", "EOF"), ("[]", "no receipt"), ("{}", "missing field"), ("\u{0}", "expected value")]
    {
        assert!(wrong(odd).contains(why), "{odd}: {}", wrong(odd));
    }
    let receipt = World::story().receipt();
    assert!(wrong(&" ".repeat(RECEIPT_BYTES_MAX + 1)).contains("longer than 16 MiB"));
    assert!(wrong(&format!("{receipt}{receipt}")).contains("trailing"));
    let deep = changed(&receipt, |value| value["entries"][0]["entry"] = json!("[".repeat(9_999)));
    wrong(&deep);
    let long = changed(&receipt, |value| {
        value["entries"][0]["proof"] = json!(vec!["00".repeat(32); 1_000]);
    });
    assert!(wrong(&long).contains("longer than any"));
    let capital = changed(&receipt, |value| {
        let hash = value["entries"][0]["proof"][0].as_str().unwrap().to_uppercase();
        value["entries"][0]["proof"][0] = json!(hash);
    });
    assert!(wrong(&capital).contains("not of hashes in hex"));
    let of_other = changed(&receipt, |value| value["kind"] = json!("signoff-audit"));
    assert!(wrong(&of_other).contains("it is a `signoff-audit` of format 1"));
}
