//! One successful request of every operation.

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use serde_json::{Value, json};
use signoff_verifier::operation;

use super::signer::{Signer, statement};
use super::{APPROVER, CONTEXT, EXECUTION, ID, REQUESTED, SECRET};
use crate::harness;

const EXPIRES: u64 = REQUESTED + 3600;

/// Returns a request of every operation under v1, and v2 requests where they differ.
pub(crate) fn requests() -> Vec<(&'static str, Value)> {
    let keys = json!([harness::key("k", SECRET, "active")]);
    let pending = harness::open(3600, None)["record"].take();
    let approved = approved();
    let signature = harness::sign(SECRET, ID, "approved", APPROVER, EXPIRES);
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
        "id": ID, "approval": approved,
        "claim": claim.to_string(),
        "context": CONTEXT,
        "plan": null,
        "keys": keys,
        "accept": ["v1"],
        "now": REQUESTED + 2,
    });
    let extension = json!({"expires_in_seconds": 7200, "actor": actor});
    let withdrawal = json!({"actor": actor});
    let claimed = harness::call("lifecycle.claim", &claim).unwrap()["record"].take();
    let outcome =
        json!({"execution_id": EXECUTION, "outcome": "failed", "detail": "e", "actor": actor});
    let now = REQUESTED + 3;
    let shown = json!({"id": ID, "approval": pending, "now": now});
    let shown = harness::call("lifecycle.show", &shown).unwrap()["view"].take();
    let view = json!({"id": ID, "approval": approved, "now": now});
    let question = json!({
        "approval": harness::call("lifecycle.show", &view).unwrap()["view"],
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
            "signing.statement",
            json!({"id": ID, "approval": pending, "decision": "approved", "approver": APPROVER, "key_id": "k", "comment": ""}),
        ),
        (
            "lifecycle.open",
            json!({"request": request.to_string(), "context": CONTEXT, "plan": CONTEXT, "accept": ["v1"], "now": now}),
        ),
        (
            "lifecycle.decide",
            json!({"id": ID, "approval": pending, "ballot": ballot.to_string(), "keys": keys, "accept": ["v1"], "now": now}),
        ),
        (
            "lifecycle.check",
            json!({
                "id": ID, "approval": approved,
                "attempt": attempt.to_string(),
                "context": CONTEXT,
                "plan": null,
                "keys": keys,
                "accept": ["v1"],
                "now": now,
            }),
        ),
        (
            "lifecycle.verify_ballot",
            json!({"id": ID, "approval": approved, "signature": signature, "keys": keys, "accept": ["v1"]}),
        ),
        ("lifecycle.claim", claim),
        (
            "lifecycle.settle",
            json!({"id": ID, "approval": claimed, "outcome": outcome.to_string(), "now": now}),
        ),
        ("lifecycle.expire", json!({"id": ID, "approval": approved, "now": EXPIRES})),
        (
            "lifecycle.withdraw",
            json!({"id": ID, "approval": approved, "withdrawal": withdrawal.to_string(), "now": now}),
        ),
        (
            "lifecycle.extend",
            json!({"id": ID, "approval": pending, "extension": extension.to_string(), "now": now}),
        ),
        (
            "lifecycle.void",
            json!({"id": ID, "approval": pending, "actor": actor.to_string(), "now": now}),
        ),
        (
            "lifecycle.erase",
            json!({"id": ID, "approval": pending, "actor": actor.to_string(), "now": EXPIRES}),
        ),
        ("lifecycle.show", json!({"id": ID, "approval": claimed, "now": now})),
        (
            "lifecycle.review",
            json!({"approval": shown, "context": CONTEXT, "decision": "approved", "approver": APPROVER, "key_id": "k", "comment": ""}),
        ),
        ("approval.verify", question),
        ("receipt.verify", receipt()),
        ("manifest.verify", manifest()),
    ];
    assert!(requests.iter().map(|(op, _)| *op).eq(operation::OPS.iter().copied()));
    requests.into_iter().chain(v2_requests()).collect()
}

/// Returns the arguments of the manifest of the vectors.
fn manifest() -> Value {
    let define = harness::parsed(&signoff_vectors::MANIFEST.1.into())["define"].take();
    let payload = harness::parsed(&define["envelope"])["payload"].take();
    let payload = Base64::decode_vec(payload.as_str().unwrap()).unwrap();
    let signed: Value = serde_json::from_slice(&payload).unwrap();
    json!({
        "manifest": define["envelope"],
        "digest": signed["digest"],
        "slot": "policy",
        "audience": "prod",
        "keys": define["keys"],
    })
}

/// Returns a receipt of the vectors, with the other arguments of its request.
fn receipt() -> Value {
    let define = harness::parsed(&signoff_vectors::RECEIPT.1.into())["define"].take();
    let receipt = harness::parsed(&define["single"]);
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

/// Returns the requests that differ under v2: one of two approvers has voted, the other has yet to.
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
    let mut record = harness::call("lifecycle.open", &open).unwrap()["record"].take();
    let mut requests = vec![("lifecycle.open", open)];
    for signer in [&ed, &mac] {
        let statement = statement(&harness::parsed(&record), signer, "approved", "fine");
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
        let decide = json!({"id": ID, "approval": record, "ballot": ballot.to_string(), "keys": keys, "accept": accept, "now": REQUESTED});
        record = harness::call("lifecycle.decide", &decide).unwrap()["record"].take();
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
    let check = json!({"id": ID, "approval": record, "attempt": "{}", "keys": keys, "accept": accept, "now": REQUESTED});
    requests.push(("lifecycle.check", check));
    requests
}

/// Returns the record of an approved approval.
pub(crate) fn approved() -> Value {
    let signature = harness::sign(SECRET, ID, "approved", APPROVER, EXPIRES);
    let ballot = json!({"decision": "approved", "approver": APPROVER, "signature": signature});
    let args = json!({
        "id": ID, "approval": harness::open(3600, None)["record"],
        "ballot": ballot.to_string(),
        "keys": [harness::key("k", SECRET, "active")],
        "accept": ["v1"],
        "now": REQUESTED + 1,
    });
    harness::call("lifecycle.decide", &args).unwrap()["record"].take()
}
