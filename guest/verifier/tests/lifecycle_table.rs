//! The table in `wit/lifecycle.wit`, row by row: every operation in every status.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod harness;

use harness::{APPROVER, CONTEXT, EXECUTION, ID, REQUESTED, SECRET};
use serde_json::{Value, json};

const WIT: &str = include_str!("../../../wit/lifecycle.wit");
const TTL_SECONDS: u64 = 3600;
const EXPIRES: u64 = REQUESTED + TTL_SECONDS;
const OPERATIONS: [&str; 8] =
    ["decide", "check", "claim", "settle", "withdraw", "extend", "void", "erase"];

#[test]
fn every_operation_in_every_status_answers_as_the_table_says() {
    let rows = rows();
    let operations: Vec<&str> = rows.iter().map(|(operation, _)| *operation).collect();
    assert_eq!(operations, OPERATIONS);
    for (operation, cells) in rows {
        let statuses: Vec<&str> = cells.iter().map(|(status, _)| *status).collect();
        assert_eq!(
            statuses,
            ["pending", "approved", "rejected", "executed", "expired", "withdrawn"]
        );
        for (status, expected) in cells {
            for (how, record, now) in records(status) {
                let answer = attempt(operation, &record, now);
                let expected = match (operation, how) {
                    ("erase", "claimed") => "not-final", // the one cell with a condition
                    _ => expected,
                };
                let found = answer.as_ref().map_or_else(String::as_str, |_| "ok");
                assert_eq!(found, expected, "{operation} of {status} ({how})");
                if let Ok(answer) = answer {
                    leads_where_it_may(operation, status, &answer);
                }
            }
        }
    }
}

/// Checks that a transition leads to a status that the table allows.
fn leads_where_it_may(operation: &str, from: &str, answer: &Value) {
    let to = answer["summary"]["status"].as_str().unwrap();
    let next: &[&str] = match from {
        "pending" => &["pending", "approved", "rejected", "withdrawn", "expired"],
        "approved" => &["approved", "executed", "withdrawn", "expired"],
        terminal => &[terminal],
    };
    assert!(next.contains(&to), "{operation} leads from {from} to {to}");
}

/// Returns each operation of the table with its cells: status and expected result.
fn rows() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    let cells = |line: &'static str| -> Vec<&'static str> {
        line.trim_matches('|').split('|').map(str::trim).collect()
    };
    let mut lines = WIT
        .lines()
        .filter_map(|line| line.strip_prefix("/// "))
        .filter(|line| line.starts_with('|'))
        .map(cells);
    let header = lines.next().unwrap();
    assert_eq!(header[0], "operation");
    assert!(lines.next().unwrap().iter().all(|cell| *cell == "---"));
    lines
        .map(|row| {
            assert_eq!(row.len(), header.len(), "{row:?}");
            (row[0], header.iter().copied().zip(row.iter().copied()).skip(1).collect())
        })
        .collect()
}

/// Returns records with an effective status, each with its history and a time at which it has the
/// status.
fn records(status: &str) -> Vec<(&'static str, Value, u64)> {
    let pending = harness::open(TTL_SECONDS, None)["record"].take();
    let after = |operation, record: &Value| {
        attempt(operation, record, REQUESTED + 1).unwrap()["record"].take()
    };
    let swept = |record: &Value| {
        let args = json!({"id": ID, "approval": record, "now": EXPIRES});
        harness::call("lifecycle.expire", &args).unwrap()["record"].take()
    };
    let approved = after("decide", &pending);
    let soon = REQUESTED + 2;
    match status {
        "pending" => {
            vec![("new", pending.clone(), soon), ("extended", after("extend", &pending), EXPIRES)]
        }
        "approved" => vec![("new", approved, soon)],
        "rejected" => {
            let rejected = vote("rejected", &pending, REQUESTED + 1).unwrap()["record"].take();
            vec![("new", rejected.clone(), soon), ("past the expiry", rejected, EXPIRES)]
        }
        "executed" => {
            let claimed = after("claim", &approved);
            let unknown = swept(&claimed);
            vec![
                ("claimed", claimed.clone(), soon),
                ("claimed, past the expiry and the lease", claimed, EXPIRES),
                ("unknown", unknown, EXPIRES),
            ]
        }
        "expired" => vec![
            ("from pending", swept(&pending), EXPIRES),
            ("from pending, and the clock went back", swept(&pending), soon),
            ("from approved", swept(&approved), EXPIRES),
            ("voided", after("void", &pending), soon),
            ("voided after it was approved", after("void", &approved), soon),
            ("from pending, not swept", pending.clone(), EXPIRES),
            ("from approved, not swept", approved.clone(), EXPIRES),
            ("from approved, not swept for years", approved, EXPIRES * 2),
        ],
        "withdrawn" => {
            let withdrawn = after("withdraw", &pending);
            vec![
                ("from pending", withdrawn.clone(), soon),
                ("from pending, past the expiry", withdrawn, EXPIRES),
                ("from approved", after("withdraw", &approved), soon),
            ]
        }
        other => panic!("the table has a status `{other}` that this test cannot make"),
    }
}

/// Runs an operation with arguments that are valid except for the status.
fn attempt(operation: &str, record: &Value, now: u64) -> Result<Value, String> {
    let admin = json!({"subject": "root", "roles": ["admin"]});
    let claim = json!({"agent": "deployer", "action": "deploy", "claimed_by": "runner", "execution_id": EXECUTION});
    let outcome = json!({"execution_id": EXECUTION, "outcome": "succeeded", "actor": admin});
    let keys = json!([harness::key("k", SECRET, "active")]);
    let args = match operation {
        "decide" => return vote("approved", record, now),
        "check" => json!({"attempt": "{}", "context": CONTEXT, "keys": keys, "accept": ["v1"]}),
        "claim" => {
            json!({"claim": claim.to_string(), "context": CONTEXT, "keys": keys, "accept": ["v1"]})
        }
        "settle" => json!({"outcome": outcome.to_string()}),
        "void" | "erase" => json!({"actor": admin.to_string()}),
        "withdraw" => json!({"withdrawal": json!({"actor": admin}).to_string()}),
        "extend" => {
            json!({"extension": json!({"expires_in_seconds": 7200, "actor": admin}).to_string()})
        }
        other => panic!("the table has an operation `{other}` that this test cannot do"),
    };
    harness::call(&format!("lifecycle.{operation}"), &given(args, record, now))
}

fn vote(decision: &str, record: &Value, now: u64) -> Result<Value, String> {
    let expires_at = harness::parsed(record)["expires_at"].as_str().unwrap().to_owned();
    let expires_at = chrono::DateTime::parse_from_rfc3339(&expires_at).unwrap().timestamp();
    let signature = harness::sign(SECRET, ID, decision, APPROVER, expires_at.unsigned_abs());
    let ballot = json!({"decision": decision, "approver": APPROVER, "signature": signature});
    let keys = json!([harness::key("k", SECRET, "active")]);
    let args = json!({"ballot": ballot.to_string(), "keys": keys, "accept": ["v1"]});
    harness::call("lifecycle.decide", &given(args, record, now))
}

fn given(mut args: Value, record: &Value, now: u64) -> Value {
    args["id"] = ID.into();
    args["approval"] = record.clone();
    args["now"] = now.into();
    args
}
