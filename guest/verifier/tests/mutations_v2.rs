//! Slightly corrupted signatures, statements and records of profile v2, for both algorithms: none
//! is accepted, and most reach the signature check.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod harness;

use std::collections::BTreeMap;

use base64ct::{Base64UrlUnpadded, Encoding};
use harness::signer::{ALGORITHMS, Signer, statement, text};
use harness::{APPROVER, CONTEXT, EXECUTION, ID, REQUESTED, Random};
use serde_json::{Value, json};

const MUTATIONS: u32 = 10_000;
const EXPIRES: u64 = REQUESTED + 3600;
const COMMENT: &str = "Reviewed - looks safe";

fn alice(algorithm: &'static str) -> Signer {
    Signer::new("alice", algorithm, 7, APPROVER)
}

/// Returns another person with a key in the same keyring.
fn bob(algorithm: &'static str) -> Signer {
    Signer::new("bob", algorithm, 8, "bob@company.com")
}

#[test]
fn ten_thousand_changed_signatures_and_statements_of_each_algorithm_are_refused() {
    for algorithm in ALGORITHMS {
        let right = signed(algorithm);
        assert_eq!(harness::call("signing.verify", &right), Ok(json!({"key_id": "alice"})));
        let mut random = Random(11);
        let (mut codes, mut kinds) = (BTreeMap::<String, u32>::new(), BTreeMap::new());
        while codes.values().sum::<u32>() < MUTATIONS {
            let mut wrong = right.clone();
            let kind = random.below(KINDS.len());
            KINDS[kind].1(&mut wrong, &mut random, algorithm);
            if wrong == right {
                continue;
            }
            match harness::call("signing.verify", &wrong) {
                Ok(_) => panic!("accepted, {}: {wrong}", KINDS[kind].0),
                Err(code) => *codes.entry(code).or_default() += 1,
            }
            *kinds.entry(KINDS[kind].0).or_insert(0) += 1;
        }
        // Changes that never reach the signature would prove nothing.
        assert!(codes["signature-invalid"] > MUTATIONS / 2, "{codes:?}");
        assert!(codes["signature-malformed"] > MUTATIONS / 20, "{codes:?}");
        for code in ["key-unknown", "key-not-yours", "key-revoked", "request-invalid"] {
            assert!(codes[code] > 50, "{codes:?}");
        }
        assert_eq!(kinds.len(), KINDS.len());
    }
}

/// Returns a request that `signing.verify` accepts.
fn signed(algorithm: &'static str) -> Value {
    let signer = alice(algorithm);
    let statement = json!({
        "audience": "prod",
        "key_id": "alice",
        "approval_id": ID,
        "request_digest": "0123456789abcdef".repeat(4),
        "expires_at": EXPIRES,
        "decision": "approved",
        "approver": APPROVER,
        "comment": COMMENT,
    });
    json!({
        "signature": signer.sign(&statement),
        "statement": statement,
        "keys": [signer.entry("active"), bob(algorithm).entry("active"), harness::key("shared", harness::SECRET, "active")],
        "accept": ["v1", "v2"],
    })
}

type Change = fn(&mut Value, &mut Random, &'static str);

/// The kinds of changes.
const KINDS: &[(&str, Change)] = &[
    ("a bit flipped", |args, random, _| {
        let mut raw = raw_of(args);
        let bit = random.below(raw.len() * 8);
        raw[bit / 8] ^= 1 << (bit % 8);
        args["signature"] = text("alice", &raw).into();
    }),
    ("forged", |args, random, _| {
        let raw: Vec<u8> = raw_of(args).iter().map(|_| byte(random)).collect();
        args["signature"] = text("alice", &raw).into();
    }),
    ("truncated", |args, random, _| {
        let signature = args["signature"].as_str().unwrap();
        let end = random.below(signature.len());
        args["signature"] = signature[..end].into();
    }),
    ("of another length", |args, random, _| {
        let mut raw = raw_of(args);
        raw.resize(*random.pick(&[0, 16, 31, 32, 33, 63, 64, 65, 128]), 0);
        args["signature"] = text("alice", &raw).into();
    }),
    ("the text edited", |args, random, _| {
        edit(&mut args["signature"], random, b"abcXYZ019-_.+/= v2");
    }),
    ("another audience", |args, random, _| {
        edit(&mut args["statement"]["audience"], random, b"prodstaging/-.:");
    }),
    ("another approval", |args, random, _| {
        edit(&mut args["statement"]["approval_id"], random, b"appr_0123456789z:");
    }),
    ("another request", |args, random, _| {
        edit(&mut args["statement"]["request_digest"], random, b"0123456789abcdef");
    }),
    ("another comment", |args, random, _| {
        edit(&mut args["statement"]["comment"], random, b"Reviwd \n\t\"\\.");
    }),
    ("another expiry", |args, random, _| {
        let by = 1 << random.below(33);
        args["statement"]["expires_at"] =
            if random.once_in(2) { EXPIRES + by } else { EXPIRES.saturating_sub(by) }.into();
    }),
    ("another decision", |args, random, _| {
        args["statement"]["decision"] = "rejected".into();
        if random.once_in(2) {
            edit(&mut args["statement"]["comment"], random, b"abc");
        }
    }),
    ("another approver", |args, random, _| {
        edit(&mut args["statement"]["approver"], random, b"user@company.com:!");
        if random.once_in(2) {
            // Even if the key is bound to the new name.
            args["keys"][0]["approver"] = args["statement"]["approver"].clone();
        }
    }),
    ("another key of this id", |args, random, algorithm| {
        let mut secret = alice(algorithm).secret;
        secret[random.below(32)] ^= 1 << random.below(8);
        args["keys"][0] = alice(algorithm).with_secret(secret).entry("active");
    }),
    ("the key under another id", |args, random, _| {
        let id = format!("key-{}", random.below(1000));
        args["keys"][0]["id"] = id.clone().into();
        if random.once_in(2) {
            let raw = raw_of(args);
            args["signature"] = text(&id, &raw).into();
        }
        if random.once_in(2) {
            args["statement"]["key_id"] = id.into();
        }
    }),
    ("another's key", |args, random, algorithm| {
        let bob = bob(algorithm);
        let mut statement = args["statement"].clone();
        if random.once_in(2) {
            statement["key_id"] = "bob".into();
        }
        let id = if random.once_in(2) { "alice" } else { "bob" };
        args["signature"] = text(id, &bob.raw(&harness::signer::message(&statement))).into();
        args["statement"] = statement;
        edit(&mut args["statement"]["comment"], random, b"abc");
    }),
    ("pieces that shift", |args, random, _| {
        // The same characters in the same order, divided differently between the pieces.
        let names = ["audience", "key_id", "approval_id"];
        let all: String = names.map(|n| args["statement"][n].as_str().unwrap()).concat();
        let (one, two) = (1 + random.below(all.len() - 2), 1 + random.below(all.len() - 2));
        let (one, two) = (one.min(two), one.max(two).max(one.min(two) + 1));
        for (name, part) in names.into_iter().zip([&all[..one], &all[one..two], &all[two..]]) {
            args["statement"][name] = part.into();
        }
    }),
    ("approver into comment", |args, random, _| {
        let all = format!("{APPROVER}{COMMENT}");
        let at = 1 + random.below(all.len() - 1);
        args["statement"]["approver"] = all[..at].into();
        args["statement"]["comment"] = all[at..].into();
        args["keys"][0]["approver"] = all[..at].into();
    }),
    ("downgraded", |args, random, algorithm| {
        let signer = alice(algorithm);
        let secret = if random.once_in(2) { signer.secret.to_vec() } else { key_of(args) };
        let v1 = v1_message(&args["statement"]);
        let by_secret = hmac(&secret, &v1);
        args["signature"] = match random.below(3) {
            0 => hex::encode(&by_secret),
            1 => text("alice", &by_secret),
            _ => text("alice", &signer.raw(&v1)),
        }
        .into();
        args["accept"] = random.pick(&[json!(["v1"]), json!(["v2"]), json!(["v1", "v2"])]).clone();
        edit(&mut args["statement"]["comment"], random, b"abc");
    }),
    ("hex of the bytes", |args, random, _| {
        args["signature"] = hex::encode(raw_of(args)).into();
        args["accept"] = random.pick(&[json!(["v1"]), json!(["v2"]), json!(["v1", "v2"])]).clone();
    }),
    ("of another algorithm", |args, random, algorithm| {
        let other = if algorithm == "ed25519" { "hmac-sha256" } else { "ed25519" };
        match random.below(3) {
            // The same material for the other algorithm, with the signature unchanged.
            0 => args["keys"][0]["algorithm"] = other.into(),
            // The right secret under the other algorithm, which is not the key's.
            1 => args["signature"] = alice(other).sign(&args["statement"]).into(),
            _ => {
                let secret = key_of(args);
                let message = harness::signer::message(&args["statement"]);
                let raw = hmac(if algorithm == "ed25519" { &secret } else { b"" }, &message);
                args["signature"] = text("alice", &raw).into();
            }
        }
        edit(&mut args["statement"]["comment"], random, b"abc");
    }),
    ("revoked or gone", |args, random, _| {
        match random.below(4) {
            0 => args["keys"][0]["status"] = "revoked".into(),
            1 => args["keys"][0]["use"] = (*random.pick(&["log", "module"])).into(),
            2 => args["keys"][0]["approver"] = Value::Null,
            _ => drop(args["keys"].as_array_mut().unwrap().remove(0)),
        }
        if random.once_in(2) {
            let mut raw = raw_of(args);
            raw[0] ^= 1;
            args["signature"] = text("alice", &raw).into();
        }
    }),
];

fn raw_of(args: &Value) -> Vec<u8> {
    let encoded = args["signature"].as_str().unwrap().rsplit('.').next().unwrap();
    Base64UrlUnpadded::decode_vec(encoded).unwrap()
}

/// Returns the first key's material.
fn key_of(args: &Value) -> Vec<u8> {
    Base64UrlUnpadded::decode_vec(args["keys"][0]["material"].as_str().unwrap()).unwrap()
}

fn v1_message(statement: &Value) -> Vec<u8> {
    let field = |name: &str| statement[name].as_str().unwrap();
    format!(
        "{}:{}:{}:2025-10-17T11:30:00+00:00",
        field("approval_id"),
        field("decision"),
        field("approver")
    )
    .into_bytes()
}

fn hmac(secret: &[u8], message: &[u8]) -> Vec<u8> {
    signoff_verifier::mac::sign(secret, message).unwrap().to_vec()
}

fn byte(random: &mut Random) -> u8 {
    u8::try_from(random.below(256)).unwrap()
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

/// The members of a record that no ballot signs: the times of later events, which are in the audit
/// log.
const UNCOVERED: [&str; 5] =
    ["/decided_at", "/ballots/0/cast_at", "/executed_at", "/withdrawn_at", "/withdrawn_by"];

#[test]
fn ten_thousand_changed_records_of_each_algorithm_are_refused_at_check_and_claim() {
    for algorithm in ALGORITHMS {
        let record = approved(algorithm);
        let keys = json!([alice(algorithm).entry("active"), bob(algorithm).entry("active")]);
        let mut random = Random(12);
        let (mut codes, mut same) = (BTreeMap::<String, u32>::new(), 0);
        while codes.values().sum::<u32>() < MUTATIONS {
            let mut wrong = record.clone();
            for _ in 0..=random.below(2) {
                change_record(&mut wrong, &mut random, algorithm);
            }
            let changed = covered(&wrong) != covered(&record);
            for (op, answer) in used(&wrong, &keys) {
                match answer {
                    Ok(_) if changed => panic!("{op} accepted {wrong}"),
                    Ok(_) => same += 1,
                    Err(code) => *codes.entry(code).or_default() += 1,
                }
            }
        }
        assert!(codes["signature-invalid"] > MUTATIONS / 2, "{codes:?}");
        assert!(same > 200, "{same} said the same of what is signed");
        for code in
            ["signature-malformed", "key-unknown", "key-not-yours", "not-approved", "expired"]
        {
            assert!(codes[code] > 20, "{codes:?}");
        }
    }
}

/// Returns the results of check and claim for a record.
fn used(record: &Value, keys: &Value) -> [(&'static str, Result<Value, String>); 2] {
    let claim = json!({
        "agent": record["agent"],
        "action": record["action"],
        "claimed_by": "runner",
        "execution_id": EXECUTION,
    });
    let mut args = json!({
        "id": record["id"],
        "approval": record.to_string(),
        "context": CONTEXT,
        "keys": keys,
        "accept": ["v1", "v2"],
        "now": REQUESTED + 2,
    });
    args["attempt"] = "{}".into();
    let check = harness::call("lifecycle.check", &args);
    args.as_object_mut().unwrap().remove("attempt");
    args["claim"] = claim.to_string().into();
    [("check", check), ("claim", harness::call("lifecycle.claim", &args))]
}

fn covered(record: &Value) -> Value {
    let mut record = record.clone();
    for path in UNCOVERED {
        if let Some(value) = record.pointer_mut(path) {
            *value = Value::Null;
        }
    }
    record
}

fn approved(algorithm: &'static str) -> Value {
    let signer = alice(algorithm);
    let request = json!({
        "id": ID,
        "audience": "prod",
        "agent": "deployer",
        "action": "deploy",
        "reason": "a release",
        "requested_by": "agent:deployer",
        "requirement": {"ttl_seconds": 3600, "threshold": 1},
        "policy": "p1",
    });
    let args = json!({"request": request.to_string(), "context": CONTEXT, "accept": ["v2"], "now": REQUESTED});
    let record = harness::call("lifecycle.open", &args).unwrap()["record"].take();
    let signature =
        signer.sign(&statement(&harness::parsed(&record), &signer, "approved", COMMENT));
    let ballot = json!({"decision": "approved", "approver": APPROVER, "comment": COMMENT, "signature": signature});
    let args = json!({
        "id": ID,
        "approval": record,
        "ballot": ballot.to_string(),
        "keys": [signer.entry("active")],
        "accept": ["v2"],
        "now": REQUESTED + 1,
    });
    harness::parsed(&harness::call("lifecycle.decide", &args).unwrap()["record"])
}

/// Changes one member to another well-formed value.
fn change_record(record: &mut Value, random: &mut Random, algorithm: &'static str) {
    let time = |random: &mut Random| {
        let seconds = REQUESTED + u64::try_from(random.below(100_000)).unwrap();
        let moment = chrono::DateTime::from_timestamp(seconds.try_into().unwrap(), 0).unwrap();
        Value::from(moment.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
    };
    let text_paths = [
        "/id",
        "/audience",
        "/agent",
        "/action",
        "/context_hash",
        "/reason",
        "/requested_by",
        "/policy",
        "/ballots/0/approver",
        "/ballots/0/comment",
        "/ballots/0/signature",
        "/ballots/0/key_id",
    ];
    let times =
        ["/requested_at", "/expires_at", "/decided_at", "/ballots/0/cast_at", "/withdrawn_at"];
    match random.below(12) {
        0..5 => {
            let path = *random.pick(&text_paths);
            if let Some(text) = record.pointer_mut(path).filter(|value| value.is_string()) {
                edit(text, random, b"abcdef0123456789");
            }
        }
        5 | 6 => {
            let path = *random.pick(&times);
            set(record, path, time(random));
        }
        7 => {
            let (path, value) = random
                .pick(&[
                    ("/requirement/threshold", json!(0)),
                    ("/requirement/threshold", json!(2)),
                    ("/requirement/ttl_seconds", json!(60)),
                    ("/requirement/groups", json!({"sre": 1})),
                    ("/requirement/groups", json!({"sre": 0})),
                ])
                .clone();
            set(record, path, value);
        }
        8 => {
            let path =
                *random.pick(&["/reason", "/policy", "/rule", "/plan_hash", "/ballots/0/comment"]);
            let values = [Value::Null, "".into(), "x".into(), "0".repeat(64).into()];
            set(record, path, random.pick(&values).clone());
        }
        9 => {
            let status = *random.pick(&["pending", "rejected", "expired", "withdrawn", "executed"]);
            record["status"] = status.into();
        }
        10 => {
            let (path, value) = random
                .pick(&[
                    ("/ballots/0/decision", json!("rejected")),
                    ("/ballots/0/profile", json!("v1")),
                    ("/ballots/0/key_id", json!("bob")),
                    ("/ballots/0/approver", json!("bob@company.com")),
                    ("/ballots", json!([])),
                ])
                .clone();
            set(record, path, value);
        }
        _ => change_ballots(record, random, algorithm),
    }
}

/// Replaces the value at a path, if it still exists.
fn set(record: &mut Value, path: &str, value: Value) {
    if let Some(place) = record.pointer_mut(path) {
        *place = value;
    }
}

/// Adds another ballot, or replaces the right one by it.
fn change_ballots(record: &mut Value, random: &mut Random, algorithm: &'static str) {
    let Some(first) = record["ballots"].get(0).cloned() else { return };
    let bob = bob(algorithm);
    let mut theirs = first.clone();
    theirs["key_id"] = "bob".into();
    theirs["approver"] = bob.approver.clone().into();
    // Bob's own signature over another record, so it is worthless here.
    let mut other = record.clone();
    other["reason"] = "something else".into();
    theirs["signature"] = bob.sign(&statement(&other, &bob, "approved", COMMENT)).into();
    let ballots = record["ballots"].as_array_mut().unwrap();
    match random.below(3) {
        0 => ballots.push(first),
        1 => ballots.push(theirs),
        _ => *ballots = vec![theirs],
    }
}
