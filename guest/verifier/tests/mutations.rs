//! Right things made a little wrong: signatures, records and requests.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod door;

use std::collections::BTreeMap;

use base64ct::{Base64UrlUnpadded, Encoding};
use door::signer::{Signer, statement};
use door::{APPROVER, CONTEXT, EXECUTION, ID, REQUESTED, Random, SECRET};
use serde_json::{Value, json};
use signoff_verifier::operation;
use signoff_verifier::rejection::Code;
use signoff_verifier::wire;

const EXPIRES: u64 = REQUESTED + 3600;

#[test]
fn ten_thousand_changed_signatures_and_statements_are_refused() {
    let right = json!({
        "statement": {"approval_id": ID, "decision": "approved", "approver": APPROVER, "expires_at": EXPIRES},
        "signature": door::sign(SECRET, ID, "approved", APPROVER, EXPIRES),
        "keys": [door::key("k", SECRET, "active")],
        "accept": ["v1"],
    });
    assert_eq!(door::call("signing.verify", &right), Ok(json!({"key_id": "k"})));
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
        match door::call("signing.verify", &wrong) {
            Ok(_) => panic!("accepted {wrong}"),
            Err(code) => *codes.entry(code).or_default() += 1,
        }
        refused += 1;
    }
    // Changes that never come as far as the signature would prove nothing.
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
            // The same letters, divided between the fields in another way.
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
            args["keys"] = json!([door::key("k", &other, "active")]);
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
fn a_changed_record_is_refused_or_says_the_same_of_what_is_signed() {
    let record = approved();
    let before = door::parsed(&record);
    let text = record.as_str().unwrap();
    let mut random = Random(2);
    let (mut refused, mut accepted) = (0, 0);
    for _ in 0..10_000 {
        let changed = mutated(text, &mut random);
        let args = json!({
            "approval": changed,
            "attempt": "{}",
            "keys": [door::key("k", SECRET, "active")],
            "accept": ["v1"],
            "now": REQUESTED + 2,
        });
        if door::call("lifecycle.check", &args).is_err() {
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
fn whatever_comes_through_the_door_gets_a_clean_answer() {
    let requests = requests();
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
    // Where a caller might put a secret by mistake.
    let key = door::key("k", SECRET, "active");
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

/// The answer to a request, held against what every answer is.
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
    // The name of a type here says nothing to a caller.
    assert!(!message.contains("struct "), "{answer}");
    answer
}

/// A request of every op, each of which is answered.
fn requests() -> Vec<String> {
    let keys = json!([door::key("k", SECRET, "active")]);
    let pending = door::open(3600, None)["record"].take();
    let approved = approved();
    let signature = door::sign(SECRET, ID, "approved", APPROVER, EXPIRES);
    let statement = json!({"approval_id": ID, "decision": "approved", "approver": APPROVER, "expires_at": EXPIRES});
    let actor = json!({"subject": "root", "roles": ["admin"]});
    let request = json!({
        "id": ID,
        "audience": "prod",
        "agent": "a",
        "action": "b",
        "requested_by": "c",
        "reason": "d\n",
        "requirement": {"ttl_seconds": 60, "threshold": 1, "groups": {}},
    });
    let ballot = json!({"decision": "approved", "approver": APPROVER, "comment": "é", "signature": signature});
    let attempt = json!({"signature": signature, "agent": "deployer", "action": "deploy"});
    let claim = json!({
        "agent": "deployer",
        "action": "deploy",
        "claimed_by": "r",
        "execution_id": EXECUTION,
        "lease_seconds": 60,
    });
    let claim = json!({
        "approval": approved,
        "claim": claim.to_string(),
        "context": CONTEXT,
        "plan": null,
        "keys": keys,
        "accept": ["v1"],
        "now": REQUESTED + 2,
    });
    let extension = json!({"expires_in_seconds": 7200, "actor": actor});
    let withdrawal = json!({"actor": actor});
    let claimed = door::call("lifecycle.claim", &claim).unwrap()["record"].take();
    let outcome =
        json!({"execution_id": EXECUTION, "outcome": "failed", "detail": "e", "actor": actor});
    let now = REQUESTED + 3;
    let shown = json!({"approval": pending, "now": now});
    let shown = door::call("lifecycle.show", &shown).unwrap()["view"].take();
    let view = json!({"approval": approved, "now": now});
    let question = json!({
        "approval": door::call("lifecycle.show", &view).unwrap()["view"],
        "id": ID,
        "audience": "prod",
        "attempt": json!({"agent": "deployer", "action": "deploy", "context": CONTEXT}).to_string(),
        "keys": keys,
        "accept": ["v1", "v2"],
        "now": now,
        "requested_after": REQUESTED,
        "floor": json!({"threshold": 1, "ttl_seconds": 3600}).to_string(),
        "policies": null,
    });
    let requests = [
        ("describe", json!({})),
        ("context.canonicalize", json!({"context": CONTEXT})),
        ("context.digest", json!({"context": CONTEXT})),
        ("context.read", json!({"context": CONTEXT})),
        ("signing.payload", json!({"statement": statement, "profile": "v1"})),
        ("signing.sign", json!({"statement": statement, "profile": "v1", "key": keys[0]})),
        (
            "signing.verify",
            json!({"statement": statement, "signature": signature, "keys": keys, "accept": ["v1"]}),
        ),
        (
            "lifecycle.open",
            json!({"request": request.to_string(), "context": CONTEXT, "plan": CONTEXT, "accept": ["v1"], "now": now}),
        ),
        (
            "lifecycle.decide",
            json!({"approval": pending, "ballot": ballot.to_string(), "keys": keys, "accept": ["v1"], "now": now}),
        ),
        (
            "lifecycle.check",
            json!({
                "approval": approved,
                "attempt": attempt.to_string(),
                "context": CONTEXT,
                "plan": null,
                "keys": keys,
                "accept": ["v1"],
                "now": now,
            }),
        ),
        (
            "lifecycle.recognize",
            json!({"approval": approved, "signature": signature, "keys": keys, "accept": ["v1"]}),
        ),
        ("lifecycle.claim", claim),
        (
            "lifecycle.settle",
            json!({"approval": claimed, "outcome": outcome.to_string(), "now": now}),
        ),
        ("lifecycle.expire", json!({"approval": approved, "now": EXPIRES})),
        (
            "lifecycle.withdraw",
            json!({"approval": approved, "withdrawal": withdrawal.to_string(), "now": now}),
        ),
        (
            "lifecycle.extend",
            json!({"approval": pending, "extension": extension.to_string(), "now": now}),
        ),
        ("lifecycle.void", json!({"approval": pending, "actor": actor.to_string(), "now": now})),
        ("lifecycle.show", json!({"approval": claimed, "now": now})),
        (
            "lifecycle.state",
            json!({"approval": pending, "decision": "approved", "approver": APPROVER, "key_id": "k", "comment": ""}),
        ),
        (
            "lifecycle.review",
            json!({"approval": shown, "context": CONTEXT, "decision": "approved", "approver": APPROVER, "key_id": "k", "comment": ""}),
        ),
        ("approval.verify", question),
        ("receipt.verify", receipt()),
    ];
    assert!(requests.iter().map(|(op, _)| *op).eq(operation::OPS.iter().copied()));
    let requests = requests.into_iter().chain(v2_requests());
    requests.map(|(op, args)| json!({"op": op, "args": args}).to_string()).collect()
}

/// A receipt of the vectors, and what is given beside it.
fn receipt() -> Value {
    let file = include_str!("../../../tests/vectors/receipt.json");
    let define = door::parsed(&file.into())["define"].take();
    let receipt = door::parsed(&define["single"]);
    json!({
        "receipt": define["single"],
        "log_keys": [define["log_key"]],
        "id": receipt["approval"]["id"],
        "audience": receipt["audience"],
        "keys": [define["carol"]],
        "accept": ["v1", "v2"],
        "checkpoint": receipt["checkpoint"],
        "consistency": [],
    })
}

/// What of them is another matter under v2: one approver of two has voted, the other is to.
fn v2_requests() -> Vec<(&'static str, Value)> {
    let accept = json!(["v1", "v2"]);
    let ed = Signer::new("ed", "ed25519", 7, APPROVER);
    let mac = Signer::new("mac", "hmac-sha256", 8, "bob");
    let keys = json!([ed.entry("active"), mac.entry("verify-only")]);
    let request = json!({
        "id": ID,
        "audience": "prod",
        "agent": "a",
        "action": "b",
        "requested_by": "c",
        "requirement": {"threshold": 2},
    });
    let open = json!({"request": request.to_string(), "context": CONTEXT, "accept": accept, "now": REQUESTED});
    let mut record = door::call("lifecycle.open", &open).unwrap()["record"].take();
    let mut requests = vec![("lifecycle.open", open)];
    for signer in [&ed, &mac] {
        let statement = statement(&door::parsed(&record), signer, "approved", "fine");
        let signature = signer.sign(&statement);
        let private = json!({
            "id": signer.id,
            "algorithm": signer.algorithm,
            "material": Base64UrlUnpadded::encode_string(&signer.secret),
            "status": "active",
            "use": "approve",
            "approver": signer.approver,
        });
        let ballot = json!({"decision": "approved", "approver": signer.approver, "comment": "fine", "signature": signature});
        let decide = json!({"approval": record, "ballot": ballot.to_string(), "keys": keys, "accept": accept, "now": REQUESTED});
        record = door::call("lifecycle.decide", &decide).unwrap()["record"].take();
        requests.extend([
            ("signing.payload", json!({"statement": statement, "profile": "v2"})),
            ("signing.sign", json!({"statement": statement, "profile": "v2", "key": private})),
            (
                "signing.verify",
                json!({"statement": statement, "signature": signature, "keys": keys, "accept": accept}),
            ),
            ("lifecycle.decide", decide),
        ]);
    }
    let check = json!({"approval": record, "attempt": "{}", "keys": keys, "accept": accept, "now": REQUESTED});
    requests.push(("lifecycle.check", check));
    requests
}

fn approved() -> Value {
    let signature = door::sign(SECRET, ID, "approved", APPROVER, EXPIRES);
    let ballot = json!({"decision": "approved", "approver": APPROVER, "signature": signature});
    let args = json!({
        "approval": door::open(3600, None)["record"],
        "ballot": ballot.to_string(),
        "keys": [door::key("k", SECRET, "active")],
        "accept": ["v1"],
        "now": REQUESTED + 1,
    });
    door::call("lifecycle.decide", &args).unwrap()["record"].take()
}

/// A text with one change: a piece put in, taken out, doubled, moved or replaced.
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
            // A digit or a letter for another keeps most texts well-formed.
            let digits = "0123456789abcdef";
            if characters[start].is_ascii_alphanumeric() {
                characters[start] = char::from(*random.pick(digits.as_bytes()));
            }
        }
    }
    characters.into_iter().collect()
}

/// What a text is broken with.
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
