//! Whatever is changed in a receipt, the answer is a rejection or the same as for the original.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::Random;
use crate::world::{World, people};
use crate::{arguments, parsed, verified};

/// Receipts of two approvals: one that three people grant and that is used, and one that is
/// extended and withdrawn.
fn originals() -> [String; 2] {
    let mut used = World::new(people(), &json!({"threshold": 3, "groups": {"sre": 1}}));
    for person in [0, 1, 2] {
        used.now += 10;
        used.decide(person, "approved").unwrap();
    }
    used.claim().unwrap();
    used.now += 10;
    let outcome = json!({"execution_id": crate::harness::EXECUTION, "outcome": "succeeded"});
    used.admin("settle", outcome).unwrap();
    let mut taken_back = World::new(people(), &json!({}));
    taken_back.admin("extend", json!({"expires_in_seconds": 7_200})).unwrap();
    taken_back.decide(3, "approved").unwrap();
    taken_back.admin("withdraw", json!({})).unwrap();
    [used.receipt(), taken_back.receipt()]
}

#[test]
fn ten_thousand_changed_characters_do_not_change_the_answer() {
    let mut random = Random(4);
    let mut codes = BTreeMap::<String, u32>::new();
    for original in originals() {
        let answer = verified(&original).unwrap();
        let mut changed = 0;
        while changed < 5_500 {
            let mut bytes = original.clone().into_bytes();
            for _ in 0..=random.below(2) {
                change(&mut bytes, &mut random);
            }
            let Ok(text) = String::from_utf8(bytes) else { continue };
            changed += 1;
            match verified(&text) {
                Ok(other) => {
                    assert_eq!(other, answer, "{text}");
                    *codes.entry("same".to_owned()).or_default() += 1;
                }
                Err(e) => *codes.entry(e.code.as_str().to_owned()).or_default() += 1,
            }
        }
    }
    // Changes that never reach the tree or the signature would prove nothing.
    assert!(codes["receipt-invalid"] > 5_000 && codes["receipt-untrusted"] > 100, "{codes:?}");
    println!("{codes:?}");
}

/// Replaces, doubles or removes one byte, or inserts a piece of JSON.
fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    const PIECES: [&str; 14] =
        [" ", "\n", "0", "1", "\"", "\\", ",", "{", "}", "null", "true", "-", "e1", "\u{e9}"];
    let at = random.below(bytes.len());
    match random.below(6) {
        0 => drop(bytes.remove(at)),
        1 => bytes.insert(at, bytes[at]),
        2 => drop(bytes.splice(at..at, random.pick(&PIECES).bytes())),
        3 => {
            let other = random.below(bytes.len());
            bytes.swap(at, other);
        }
        _ => bytes[at] = *random.pick(b"0123456789abcdefXYZ_-.:/ "),
    }
}

#[test]
fn every_changed_value_is_refused() {
    let mut count = 0;
    for original in originals() {
        let (answer, original) = (verified(&original).unwrap(), parsed(&original));
        let mut all = Vec::new();
        places(&original, "", &mut all);
        for place in all {
            let value = original.pointer(&place).unwrap();
            for mutation in mutations(value) {
                let mut mutated = original.clone();
                *mutated.pointer_mut(&place).unwrap() = mutation.clone();
                let verified = verified(&mutated.to_string());
                // The comment of a ballot may be omitted if it is null.
                let is_same = verified.as_ref().is_ok_and(|other| *other == answer);
                let is_comment = place.contains("/ballots/") && mutation.get("comment").is_none();
                assert!(
                    verified.is_err() || is_same && (mutation == *value || is_comment),
                    "{place} changed to {mutation} is not found"
                );
                count += 1;
            }
        }
    }
    assert!(count > 2_000, "{count}");
}

#[test]
fn a_receipt_of_another_log_is_refused_even_without_a_log_key() {
    let [original, _] = originals();
    let mut args = arguments(&original);
    args.log_keys.clear();
    assert_eq!(args.run().unwrap().signer, None);
    let mut swapped = parsed(&original);
    swapped["checkpoint"] = parsed(&originals()[1])["checkpoint"].take();
    let text = swapped.to_string();
    let mut args = arguments(&text);
    args.log_keys.clear();
    args.run().unwrap_err();
}

/// Returns every way to change one value.
fn mutations(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => vec![json!("x"), json!({}), json!(0)],
        Value::Bool(is) => vec![json!(!is), Value::Null],
        Value::Number(number) => {
            let number = number.as_u64().unwrap();
            vec![json!(number + 1), json!(number.wrapping_sub(1)), json!("1"), Value::Null]
        }
        Value::String(text) => {
            let mut mutations = vec![Value::Null, json!(""), json!(format!("{text}x")), json!(1)];
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            for at in places.iter().step_by((places.len() / 8).max(1)) {
                let was = text[*at..].chars().next().unwrap();
                let mut changed = text.clone();
                changed
                    .replace_range(*at..*at + was.len_utf8(), if was == 'a' { "b" } else { "a" });
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

/// Collects the pointers of a value and of everything in it.
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
