//! Slightly corrupted signatures, records and requests.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod harness;

use std::collections::BTreeMap;

use harness::requests::{approved, requests};
use harness::{APPROVER, ID, REQUESTED, Random, SECRET};
use serde_json::{Value, json};
use signoff_verifier::rejection::Code;
use signoff_verifier::wire;

const EXPIRES: u64 = REQUESTED + 3600;

#[test]
fn ten_thousand_changed_signatures_and_statements_are_refused() {
    let right = json!({
        "statement": {"approval_id": ID, "decision": "approved", "approver": APPROVER, "expires_at": EXPIRES},
        "signature": harness::sign(SECRET, ID, "approved", APPROVER, EXPIRES),
        "keys": [harness::key("k", SECRET, "active")],
        "accept": ["v1"],
    });
    assert_eq!(harness::call("signing.verify", &right), Ok(json!({"key_id": "k"})));
    let mut random = Random(1);
    let mut codes = BTreeMap::<String, u32>::new();
    let mut refused = 0;
    while refused < 10_000 {
        let mut wrong = right.clone();
        for _ in 0..=random.below(2) {
            change_statement(&mut wrong, &mut random);
        }
        if wrong == right {
            continue;
        }
        match harness::call("signing.verify", &wrong) {
            Ok(_) => panic!("accepted {wrong}"),
            Err(code) => *codes.entry(code).or_default() += 1,
        }
        refused += 1;
    }
    // Changes that never reach the signature would prove nothing.
    assert!(codes["signature-invalid"] > 4_000, "{codes:?}");
    assert!(codes["signature-malformed"] > 500, "{codes:?}");
    assert!(codes["statement-ambiguous"] > 50, "{codes:?}");
}

/// Changes something that a v1 signature covers, or the signature.
fn change_statement(args: &mut Value, random: &mut Random) {
    match random.below(8) {
        0 => edit(&mut args["signature"], random, b"0123456789abcdef"),
        1 => edit(&mut args["signature"], random, b"0123456789abcdefABCDEFgv. \n"),
        2 => edit(&mut args["statement"]["approval_id"], random, b"appr_0123456789z"),
        3 => edit(&mut args["statement"]["approver"], random, b"abcUSER@.:-~!"),
        4 => args["statement"]["decision"] = "rejected".into(),
        5 => {
            let by = 1 << random.below(33);
            args["statement"]["expires_at"] =
                if random.once_in(2) { EXPIRES + by } else { EXPIRES.saturating_sub(by) }.into();
        }
        6 => {
            // The same characters, divided differently between the fields.
            let all = format!("{ID}{APPROVER}");
            let (id, approver) = all.split_at(1 + random.below(all.len() - 1));
            args["statement"]["approval_id"] = id.into();
            args["statement"]["approver"] = approver.into();
        }
        _ => {
            let mut secret = SECRET.as_bytes().to_vec();
            let at = random.below(secret.len());
            secret[at] = b'a' + u8::try_from(random.below(26)).unwrap();
            let other = String::from_utf8(secret).unwrap();
            args["keys"] = json!([harness::key("k", &other, "active")]);
        }
    }
}

/// Replaces, inserts or removes one character of a text.
fn edit(text: &mut Value, random: &mut Random, alphabet: &[u8]) {
    let mut bytes = text.as_str().unwrap().as_bytes().to_vec();
    let letter = *random.pick(alphabet);
    let at = random.below(bytes.len());
    match random.below(4) {
        0 => bytes.insert(at, letter),
        1 if bytes.len() > 1 => drop(bytes.remove(at)),
        _ => bytes[at] = letter,
    }
    *text = String::from_utf8(bytes).unwrap().into();
}

#[test]
fn a_changed_record_is_refused_or_keeps_its_signed_members() {
    let record = approved();
    let before = harness::parsed(&record);
    let text = record.as_str().unwrap();
    let mut random = Random(2);
    let (mut refused, mut accepted) = (0, 0);
    for _ in 0..10_000 {
        let changed = mutated(text, &mut random);
        let args = json!({
            "id": ID, "approval": changed,
            "attempt": "{}",
            "keys": [harness::key("k", SECRET, "active")],
            "accept": ["v1"],
            "now": REQUESTED + 2,
        });
        if harness::call("lifecycle.check", &args).is_err() {
            refused += 1;
            continue;
        }
        accepted += 1;
        let after: Value = serde_json::from_str(&changed).unwrap();
        for covered in [
            "/format",
            "/id",
            "/status",
            "/expires_at",
            "/requirement/threshold",
            "/requirement/groups",
        ] {
            assert_eq!(after.pointer(covered), before.pointer(covered), "{changed}");
        }
        assert_eq!(after["ballots"].as_array().unwrap().len(), 1, "{changed}");
        for covered in ["decision", "approver", "signature", "profile", "key_id"] {
            assert_eq!(after["ballots"][0][covered], before["ballots"][0][covered], "{changed}");
        }
    }
    assert!(refused > 5_000 && accepted > 100, "{refused} refused, {accepted} accepted");
}

#[test]
fn every_mutated_request_gets_a_clean_answer() {
    let requests: Vec<String> =
        requests().iter().map(|(op, args)| json!({"op": op, "args": args}).to_string()).collect();
    for request in &requests {
        assert!(answered(request).get("ok").is_some(), "{request}");
    }
    let mut random = Random(3);
    let (mut accepted, mut refused) = (0, BTreeMap::<String, u32>::new());
    for _ in 0..20_000 {
        let mut request = random.pick(&requests).clone();
        for _ in 0..=random.below(4) {
            request = mutated(&request, &mut random);
        }
        match answered(&request)["error"]["code"].as_str() {
            None => accepted += 1,
            Some(code) => *refused.entry(code.to_owned()).or_default() += 1,
        }
    }
    assert!(accepted > 200 && refused.len() > 8, "{accepted} accepted, {refused:?} refused");
}

#[test]
fn noise_gets_a_clean_answer() {
    let mut random = Random(4);
    for _ in 0..20_000 {
        let length = random.below(60);
        let noise: String = (0..length).map(|_| piece(&mut random)).collect();
        assert_eq!(answered(&noise)["error"]["code"], "request-invalid", "{noise}");
    }
}

#[test]
fn a_refusal_never_repeats_a_secret() {
    // Places where a caller might put a secret by mistake.
    let key = harness::key("k", SECRET, "active");
    let material = &key["material"];
    let statement =
        json!({"approval_id": ID, "decision": "approved", "approver": APPROVER, "expires_at": 0});
    for args in [
        json!({"statement": statement, "profile": "v1", "key": material}),
        json!({"statement": statement, "profile": "v1", "key": [material]}),
        json!({"statement": material, "profile": "v1", "key": key}),
        json!({"statement": statement, "profile": "v1", "key": {"id": "k", "material": [material]}}),
        json!({"statement": statement, "profile": "v1", "key": {"id": "k", "groups": material}}),
        json!(material),
    ] {
        let answer = wire::call(&json!({"op": "signing.sign", "args": args}).to_string());
        assert!(answer.contains("request-invalid"), "{answer}");
        assert!(!answer.contains(material.as_str().unwrap()), "{answer}");
    }
    for args in [
        json!({"statement": statement, "signature": "", "keys": [material], "accept": ["v1"]}),
        json!({"statement": statement, "signature": "", "keys": material, "accept": ["v1"]}),
        json!({"statement": statement, "signature": "", "keys": [], "accept": material}),
    ] {
        let answer = wire::call(&json!({"op": "signing.verify", "args": args}).to_string());
        assert!(!answer.contains(material.as_str().unwrap()), "{answer}");
    }
}

/// Returns the answer to a request, after checking the form that every answer must have.
fn answered(request: &str) -> Value {
    let answer = wire::call(request);
    let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{e}: {answer}"));
    assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
    if answer["error"].is_null() {
        assert!(answer["ok"].is_object(), "{answer}");
        return answer;
    }
    assert_eq!(answer["error"].as_object().unwrap().len(), 2, "{answer}");
    let code = answer["error"]["code"].as_str().unwrap();
    assert!(Code::ALL.iter().any(|known| known.as_str() == code), "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(!message.is_empty() && message.len() < 2_000, "{answer}");
    assert!(!message.contains(char::is_control), "{answer}");
    // Names of Rust types mean nothing to a caller.
    assert!(!message.contains("struct "), "{answer}");
    answer
}

/// Returns a text with one change: a piece inserted, removed, doubled, moved or replaced.
fn mutated(text: &str, random: &mut Random) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    if characters.is_empty() {
        return piece(random).to_owned();
    }
    let start = random.below(characters.len());
    let end = (start + 1 + random.below(12)).min(characters.len());
    match random.below(7) {
        0 => drop(characters.splice(start..start, piece(random).chars())),
        1 => drop(characters.splice(start..end, piece(random).chars())),
        2 => drop(characters.drain(start..end)),
        3 => {
            let doubled = characters[start..end].to_vec();
            drop(characters.splice(start..start, doubled));
        }
        4 if random.once_in(4) => characters.truncate(start),
        5 => characters.swap(start, end - 1),
        _ => {
            // Replacing a digit or letter by another keeps most texts well-formed.
            let digits = "0123456789abcdef";
            if characters[start].is_ascii_alphanumeric() {
                characters[start] = char::from(*random.pick(digits.as_bytes()));
            }
        }
    }
    characters.into_iter().collect()
}

/// Pieces to insert into a text.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "0",
    "-1",
    "1e9",
    "18446744073709551616",
    "\"op\"",
    "\"args\":",
    "\"now\":",
    "{}",
    "[]",
    "\"\"",
    " ",
    "\n",
    "\0",
    "\u{1b}",
    "\u{7f}",
    "é",
    "\u{202e}",
    "\u{10ffff}",
    "v1",
    "approved",
    "rejected",
    "lifecycle.",
    "[[[[[[[[",
    "{\"a\":",
    "executed",
    "1970-01-01T00:00:00Z",
];

fn piece(random: &mut Random) -> &'static str {
    PIECES[random.below(PIECES.len())]
}
