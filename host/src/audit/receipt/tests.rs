//! The contents of a receipt. The verifier's own tests cover what one proves.

use serde_json::{Value, json};

use super::*;

const ID: &str = "appr_01k7s2e3m8q4w6x9y0z1a2b3c4";

fn entry(number: u64, event: &Value, kind: &str, id: &str) -> Logged {
    let state = json!([{ "kind": kind, "id": id, "sha256": "00", "prev": 0 }]);
    let text = json!({ "format": 2, "event": event, "host": {}, "state": state }).to_string();
    Logged { number, text }
}

fn step(number: u64, event: &str, to: &str, key_id: Option<&str>) -> Logged {
    entry(number, &json!({ "event": event, "to": to, "key_id": key_id }), "approval", ID)
}

fn key(number: u64, id: &str, algorithm: &str) -> Logged {
    let event = json!({ "event": "key_recorded", "key_id": id, "algorithm": algorithm });
    entry(number, &event, "key", id)
}

fn numbers(chosen: &[Logged]) -> Vec<u64> {
    chosen.iter().map(|logged| logged.number).collect()
}

/// Two ballots and a claim, with a refusal between them.
fn story() -> Vec<Logged> {
    let refused = json!({ "event": "request_refused", "approval_id": ID });
    vec![
        step(5, "approval_requested", "pending", None),
        step(7, "approval_decided", "pending", Some("ann")),
        entry(8, &refused, "answer", "x"),
        step(10, "approval_decided", "approved", Some("bob")),
        step(14, "approval_claimed", "executed", None),
    ]
}

#[test]
fn a_receipt_has_the_steps_and_the_keys_until_the_claim() {
    assert_eq!(keys_named(&story()).unwrap().into_iter().collect::<Vec<_>>(), ["ann", "bob"]);
    let of_keys: Vec<Logged> =
        [(1, "ann"), (2, "bob"), (3, "ann"), (9, "bob"), (12, "ann"), (16, "bob")]
            .map(|(number, id)| key(number, id, "ed25519"))
            .into();
    let chosen = choose(&story(), &of_keys).unwrap();
    // The keys at the first ballot (2, 3) and every change until the claim (9, 12).
    assert_eq!(numbers(&chosen), [2, 3, 5, 7, 9, 10, 12, 14]);
}

#[test]
fn an_approval_without_ballots_needs_no_key() {
    let requested = [step(5, "approval_requested", "pending", None)];
    assert_eq!(numbers(&choose(&requested, &[key(1, "ann", "ed25519")]).unwrap()), [5]);
}

fn approval(status: &str, outcome: Option<&str>) -> String {
    let ballot = |profile: &str, key_id: &str| {
        json!({ "decision": "approved", "approver": "x", "comment": "said", "signature": "s",
                "profile": profile, "key_id": key_id, "cast_at": "t" })
    };
    let execution = outcome.map(|outcome| {
        json!({ "id": "e", "claimed_by": "x", "claimed_at": "t", "lease_expires_at": "t",
                "outcome": outcome, "detail": "a detail", "settled_at": null, "late": false })
    });
    json!({
        "id": ID, "audience": "prod", "status": status, "agent": "a", "action": "b",
        "context": { "n": 1 }, "context_hash": "h", "plan": null, "plan_hash": null, "reason": null,
        "requested_by": "x", "requested_at": "t", "expires_at": "t", "policy": null, "rule": null,
        "requirement": { "ttl_seconds": 1, "threshold": 1, "groups": {} }, "request_digest": "d",
        "ballots": [ballot("v2", "ann"), ballot("v2", "bob"), ballot("v1", "shared")],
        "execution": execution, "withdrawn_at": null, "withdrawn_by": null, "erased_at": null, "verifier": "more",
    })
    .to_string()
}

fn shown(approval: &str, entries: &[Logged]) -> Value {
    let proven: Vec<_> = entries.iter().map(|logged| (logged.clone(), Vec::new())).collect();
    let receipt: Value =
        serde_json::from_str(&assemble(approval, &proven, "note").unwrap()).unwrap();
    assert_eq!((&receipt["format"], &receipt["checkpoint"]), (&json!(2), &json!("note")));
    receipt["approval"].clone()
}

#[test]
fn only_a_comment_that_a_public_key_covers_is_in_a_receipt() {
    let keys = [key(1, "ann", "ed25519"), key(2, "bob", "hmac-sha256")];
    let shown = shown(&approval("executed", Some("claimed")), &[&keys[..], &story()].concat());
    let comments: Vec<&Value> =
        shown["ballots"].as_array().unwrap().iter().map(|ballot| &ballot["comment"]).collect();
    assert_eq!(comments, [&json!("said"), &Value::Null, &Value::Null]);
    assert_eq!((&shown["verifier"], &shown["execution"]["detail"]), (&Value::Null, &Value::Null));
}

#[test]
fn unlogged_expiry_is_not_in_a_receipt() {
    let story = story();
    let executed = shown(&approval("executed", Some("unknown")), &story);
    assert_eq!(executed["execution"]["outcome"], "claimed");
    let late = [&story[..], &[step(15, "execution_unknown", "executed", None)]].concat();
    assert_eq!(
        shown(&approval("executed", Some("unknown")), &late)["execution"]["outcome"],
        "unknown"
    );
    assert_eq!(shown(&approval("expired", None), &story[..4])["status"], "approved");
    let ended = [&story[..1], &[step(6, "approval_expired", "expired", None)]].concat();
    assert_eq!(shown(&approval("expired", None), &ended)["status"], "expired");
}
