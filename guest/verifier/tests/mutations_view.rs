//! Approvals as a server shows them, corrupted in every way: each is refused, or answered byte for
//! byte like the original.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod harness;

use std::collections::BTreeMap;

use base64ct::{Base64UrlUnpadded, Encoding};
use harness::shown::{approved, approvers, executed, question, view};
use harness::signer::{request_digest, statement, text};
use harness::{CONTEXT, EXECUTION, REQUESTED, Random, parsed};
use serde_json::{Value, json};
use signoff_verifier::wire;

const MUTATIONS: u32 = 12_000;
const OTHER_ID: &str = "appr_01k7s2e3m8q4w6x9y0z1a2b3c9";

/// An approval as it is shown, the request about it, and the answer.
struct Original {
    view: Value,
    question: Value,
    answer: String,
}

impl Original {
    fn new(view: Value, execution_id: Option<&str>) -> Self {
        let mut question = question(&view);
        question["attempt"]["execution_id"] = execution_id.into();
        let answer = answer_to(&question, &view.to_string());
        assert!(answer.starts_with(r#"{"ok":{"approval_id":"#), "{answer}");
        Self { view, question, answer }
    }
}

/// Returns the approval as shown before and after the claim.
fn originals() -> [Original; 2] {
    let keys: Vec<Value> = approvers().iter().map(|signer| signer.entry("active")).collect();
    let approved = approved(&approvers());
    let executed = executed(&approved, &keys.into());
    [Original::new(view(&approved), None), Original::new(view(&executed), Some(EXECUTION))]
}

/// Returns another approval by the same people, from which a server could take pieces.
fn another() -> Value {
    let mut other = view(&approved(&approvers()));
    other["id"] = OTHER_ID.into();
    other["action"] = "drop".into();
    other["reason"] = "something else".into();
    sign_by_all(&mut other);
    other
}

fn answer_to(question: &Value, view: &str) -> String {
    let mut question = question.clone();
    question["approval"] = view.into();
    wire::call(&json!({"op": "approval.verify", "args": question}).to_string())
}

#[test]
fn a_changed_view_is_refused_or_answered_as_the_original() {
    let originals = originals();
    let other = another();
    let mut random = Random(13);
    let (mut codes, mut kinds, mut same) =
        (BTreeMap::<String, u32>::new(), BTreeMap::<&str, u32>::new(), 0);
    for _ in 0..MUTATIONS {
        let original = random.pick(&originals);
        let mut view = original.view.clone();
        for _ in 0..=random.below(2) {
            let (name, change) = random.pick(KINDS);
            change(&mut view, &mut random, &other);
            *kinds.entry(name).or_default() += 1;
        }
        if random.once_in(3) {
            view["request_digest"] = digest_of(&view);
        }
        let mut text = view.to_string();
        if random.once_in(4) {
            text = damaged(&text, &mut random);
            *kinds.entry("the text").or_default() += 1;
        }
        let answer = answer_to(&original.question, &text);
        if answer == original.answer {
            same += 1;
            continue;
        }
        let answer = parsed(&Value::from(answer));
        let code = answer["error"]["code"].as_str();
        let code = code.unwrap_or_else(|| panic!("{text}\nis answered {answer}"));
        *codes.entry(code.to_owned()).or_default() += 1;
    }
    // Changes that never reach the ballots would prove little.
    println!("{same} as the original; {codes:?}; {kinds:?}");
    assert!(same > MUTATIONS / 20, "{same} as the original");
    assert!(codes["signature-invalid"] > MUTATIONS / 10, "{codes:?}");
    for code in [
        "request-invalid",
        "not-found",
        "audience-mismatch",
        "not-approved",
        "expired",
        "already-executed",
        "execution-mismatch",
        "signature-malformed",
        "key-unknown",
        "key-not-yours",
    ] {
        assert!(codes.get(code).is_some_and(|times| *times > 10), "{code} in {codes:?}");
    }
    assert_eq!(kinds.len(), KINDS.len() + 1);
}

type Change = fn(&mut Value, &mut Random, &Value);

/// The kinds of changes.
const KINDS: &[(&str, Change)] = &[
    ("a member removed", |view, random, _| {
        let (path, name) = member(view, random);
        view.pointer_mut(&path).unwrap().as_object_mut().unwrap().remove(&name);
    }),
    ("a member of another type", |view, random, _| {
        let values =
            [Value::Null, true.into(), 0.into(), (-1).into(), "".into(), json!([]), json!({})];
        *at(view, random) = random.pick(&values).clone();
    }),
    ("a member added", |view, random, _| {
        let (path, name) = member(view, random);
        view.pointer_mut(&path).unwrap()[format!("{name}2")] = json!({"more": 1});
    }),
    ("a text edited", |view, random, _| edit(at(view, random), random)),
    ("a signed member edited", |view, random, _| {
        let name = *random.pick(&[
            "id",
            "audience",
            "agent",
            "action",
            "context_hash",
            "plan_hash",
            "reason",
            "requested_by",
            "policy",
            "rule",
        ]);
        edit(&mut view[name], random);
    }),
    ("two members swapped", |view, random, _| {
        let [one, two] = [places(view), places(view)].map(|all| random.pick(&all).clone());
        let value = view.pointer(&one).unwrap().clone();
        let old = std::mem::replace(view.pointer_mut(&two).unwrap(), value);
        if let Some(place) = view.pointer_mut(&one) {
            *place = old;
        }
    }),
    ("a member of another approval", |view, random, other| {
        let path = random.pick(&places(other)).clone();
        if let Some(place) = view.pointer_mut(&path) {
            *place = other.pointer(&path).unwrap().clone();
        }
    }),
    ("a ballot dropped", |view, random, _| {
        ballots(view, |ballots| {
            let at = random.below(ballots.len());
            ballots.remove(at);
        });
    }),
    ("a ballot duplicated", |view, random, _| {
        ballots(view, |ballots| {
            let ballot = random.pick(ballots).clone();
            ballots.insert(random.below(ballots.len() + 1), ballot);
        });
    }),
    ("ballots re-ordered", |view, random, _| {
        ballots(view, |ballots| {
            let by = random.below(ballots.len());
            ballots.rotate_left(by);
        });
    }),
    ("a ballot of another approval", |view, random, other| {
        let theirs = random.pick(other["ballots"].as_array().unwrap()).clone();
        ballots(view, |ballots| {
            let at = random.below(ballots.len());
            if random.once_in(2) {
                ballots[at] = theirs;
            } else {
                ballots.insert(at, theirs);
            }
        });
    }),
    ("members swapped between ballots", |view, random, _| {
        let name = *random.pick(&["approver", "key_id", "signature", "comment", "decision"]);
        ballots(view, |ballots| {
            let value = ballots[0][name].clone();
            let last = ballots.len() - 1;
            ballots[0][name] = std::mem::replace(&mut ballots[last][name], value);
        });
    }),
    ("a signature changed", |view, random, _| {
        ballots(view, |ballots| {
            let ballot = &mut ballots[0];
            let Some(encoded) = ballot["signature"].as_str().and_then(|s| s.rsplit('.').next())
            else {
                return;
            };
            let Ok(mut raw) = Base64UrlUnpadded::decode_vec(encoded) else { return };
            match random.below(3) {
                0 if !raw.is_empty() => {
                    let bit = random.below(raw.len() * 8);
                    raw[bit / 8] ^= 1 << (bit % 8);
                }
                1 => raw.resize(*random.pick(&[0, 31, 32, 63, 65]), 0),
                _ => raw.reverse(),
            }
            let key_id = *random.pick(&["alice", "alice", "bob", "nobody"]);
            ballot["signature"] = text(key_id, &raw).into();
        });
    }),
    ("a ballot's word changed", |view, random, _| {
        let (name, value) = random
            .pick(&[
                ("decision", json!("rejected")),
                ("profile", json!("v1")),
                ("key_id", json!("bob")),
                ("key_id", json!("alice")),
                ("approver", json!("bob@company.com")),
                ("approver", json!("Alice@company.com")),
                ("approver", json!("rita@company.com")),
                ("comment", json!("")),
                ("cast_at", json!("1970-01-01T00:00:00Z")),
            ])
            .clone();
        ballots(view, |ballots| ballots[0][name] = value);
    }),
    ("a time moved", |view, random, _| {
        let path = *random.pick(&[
            "/requested_at",
            "/expires_at",
            "/expires_at",
            "/decided_at",
            "/approved_at",
            "/ballots/0/cast_at",
            "/execution/claimed_at",
            "/execution/lease_expires_at",
            "/execution/settled_at",
            "/executed_at",
            "/withdrawn_at",
        ]);
        let seconds = REQUESTED + u64::try_from(random.below(200_000)).unwrap();
        let seconds = seconds.saturating_sub(if random.once_in(2) { 100_000 } else { 0 });
        let time = chrono::DateTime::from_timestamp(seconds.try_into().unwrap(), 0).unwrap();
        let time = time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        if let Some(place) = view.pointer_mut(path) {
            *place = time.into();
        }
    }),
    ("the status edited", |view, random, _| {
        let statuses = ["pending", "approved", "rejected", "executed", "expired", "withdrawn"];
        view["status"] = (*random.pick(&statuses)).into();
        if random.once_in(2) {
            view["execution"] = Value::Null;
        }
    }),
    ("the execution edited", |view, random, _| {
        let (name, value) = random
            .pick(&[
                ("id", json!("exec_01k7s2f7n9r5t6v8w0x1y2z3a5")),
                ("claimed_by", json!("somebody")),
                ("outcome", json!("succeeded")),
                ("outcome", json!("unknown")),
                ("detail", json!("done")),
                ("late", json!(true)),
            ])
            .clone();
        if let Some(place) = view.pointer_mut(&format!("/execution/{name}")) {
            *place = value;
        }
    }),
    ("a weaker requirement", |view, random, _| {
        let (name, value) = random
            .pick(&[
                ("threshold", json!(1)),
                ("threshold", json!(0)),
                ("ttl_seconds", json!(60)),
                ("groups", json!({})),
                ("groups", json!({"sre": 1})),
            ])
            .clone();
        if let Some(requirement) = view["requirement"].as_object_mut() {
            requirement.insert(name.to_owned(), value);
        }
        if random.once_in(2) {
            ballots(view, |ballots| drop(ballots.pop()));
        }
    }),
    ("another context", |view, random, _| {
        let other = json!({"target": "prod", "replicas": 4});
        match random.below(3) {
            0 => view["context"] = other,
            1 => view["context"] = parsed(&Value::from(CONTEXT)),
            _ => view["plan"] = other,
        }
    }),
    ("erased", |view, random, _| {
        view["erased_at"] =
            random.pick(&[Value::Null, json!("2025-10-17T10:30:05Z"), json!(1)]).clone();
    }),
];

/// Returns the path of every value in a view except the view itself.
fn places(view: &Value) -> Vec<String> {
    fn walk(value: &Value, path: &str, found: &mut Vec<String>) {
        let children: Vec<(String, &Value)> = match value {
            Value::Object(members) => members.iter().map(|(k, v)| (k.clone(), v)).collect(),
            Value::Array(items) => {
                items.iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect()
            }
            _ => return,
        };
        for (name, value) in children {
            let path = format!("{path}/{name}");
            walk(value, &path, found);
            found.push(path);
        }
    }
    let mut found = Vec::new();
    walk(view, "", &mut found);
    found
}

/// Returns a random value in a view.
fn at<'a>(view: &'a mut Value, random: &mut Random) -> &'a mut Value {
    let path = random.pick(&places(view)).clone();
    view.pointer_mut(&path).unwrap()
}

/// Returns the path of an object in a view, and the name of one of its members.
fn member(view: &Value, random: &mut Random) -> (String, String) {
    let members: Vec<(String, String)> = places(view)
        .into_iter()
        .filter_map(|path| path.rsplit_once('/').map(|(p, n)| (p.to_owned(), n.to_owned())))
        .filter(|(parent, _)| view.pointer(parent).is_some_and(Value::is_object))
        .collect();
    random.pick(&members).clone()
}

/// Changes the ballots, if there are any left.
fn ballots(view: &mut Value, change: impl FnOnce(&mut Vec<Value>)) {
    if let Some(ballots) = view["ballots"].as_array_mut()
        && !ballots.is_empty()
        && ballots.iter().all(Value::is_object)
    {
        change(ballots);
    }
}

/// Replaces, inserts or removes one character of a text.
fn edit(value: &mut Value, random: &mut Random) {
    let Some(text) = value.as_str() else { return };
    let mut letters: Vec<char> = text.chars().collect();
    let letter = *random.pick(&['a', '0', 'Z', ':', '-', ' ', 'é', '\u{202e}', '\n', '"']);
    let at = random.below(letters.len() + 1);
    match random.below(3) {
        0 => letters.insert(at, letter),
        1 if at < letters.len() => drop(letters.remove(at)),
        _ if at < letters.len() => letters[at] = letter,
        _ => letters.push(letter),
    }
    *value = letters.into_iter().collect::<String>().into();
}

/// Returns a text with a few letters changed, cut, or with a duplicate member.
fn damaged(text: &str, random: &mut Random) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    match random.below(5) {
        0 => letters.truncate(random.below(letters.len())),
        1 => {
            let opening: Vec<usize> = (0..letters.len()).filter(|at| letters[*at] == '{').collect();
            let at = *random.pick(&opening) + 1;
            let members = [
                r#""status":"approved","#,
                r#""id":null,"#,
                r#""threshold":1,"#,
                r#""approver":"x","#,
                r#""\u0069d":"x","#,
                r#""replicas":3,"#,
            ];
            let member: Vec<char> = random.pick(&members).chars().collect();
            letters.splice(at..at, member);
        }
        2 => {
            let at = random.below(letters.len());
            letters.insert(at, *random.pick(&[' ', '\n', '\t', '\0', '\u{feff}']));
        }
        3 => {
            let at = random.below(letters.len());
            letters.remove(at);
        }
        _ => {
            let at = random.below(letters.len());
            let flipped = u32::from(letters[at]) ^ (1 << random.below(7));
            letters[at] = char::from_u32(flipped).unwrap_or('x');
        }
    }
    letters.into_iter().collect()
}

/// Returns the request digest of what a view shows now, as a lying server would show it.
fn digest_of(view: &Value) -> Value {
    let mut record = view.clone();
    record["format"] = 1.into();
    request_digest(&record).into()
}

fn sign_by_all(view: &mut Value) {
    let mut record = view.clone();
    record["format"] = 1.into();
    view["request_digest"] = request_digest(&record).into();
    for (index, signer) in approvers().iter().enumerate() {
        let comment = view["ballots"][index]["comment"].as_str().unwrap_or_default();
        let signature = signer.sign(&statement(&record, signer, "approved", comment));
        view["ballots"][index]["signature"] = signature.into();
    }
}
