//! Approvals as a server shows them, and requests of `approval.verify` for them.

use serde_json::{Value, json};

use super::signer::{Signer, statement};
use super::{CONTEXT, EXECUTION, ID, REQUESTED, call, parsed};

pub(crate) const PLAN: &str = r#"{"steps": [1, 2]}"#;
pub(crate) const POLICY: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
/// When test approvals are verified: after the claim, within the lease.
pub(crate) const NOW: u64 = REQUESTED + 10;

/// Returns the approvers, each with a key.
pub(crate) fn approvers() -> Vec<Signer> {
    let alice = Signer::new("alice", "ed25519", 7, "alice@company.com");
    let bob = Signer::new("bob", "hmac-sha256", 8, "bob@company.com");
    vec![
        Signer { groups: vec!["sre", "lead"], ..alice },
        Signer { groups: vec!["security"], ..bob },
    ]
}

/// Returns a record that two approvers have approved.
pub(crate) fn approved(approvers: &[Signer]) -> Value {
    let request = json!({
        "id": ID,
        "audience": "prod",
        "agent": "deployer",
        "action": "deploy",
        "reason": "a \"release\"",
        "requested_by": "rita@company.com",
        "requirement": {"ttl_seconds": 3600, "threshold": 2, "groups": {"sre": 1, "security": 1}},
        "policy": POLICY,
        "rule": "production",
    });
    let args = json!({"request": request.to_string(), "context": CONTEXT, "plan": PLAN, "accept": ["v2"], "now": REQUESTED});
    let mut record = call("lifecycle.open", &args).unwrap()["record"].take();
    let keys: Vec<Value> = approvers.iter().map(|signer| signer.entry("active")).collect();
    for (index, signer) in approvers.iter().enumerate() {
        let comment = if index == 0 { "looks safe" } else { "" };
        let signature = signer.sign(&statement(&parsed(&record), signer, "approved", comment));
        let ballot = json!({"decision": "approved", "approver": signer.approver, "comment": comment, "signature": signature});
        let args = json!({"id": ID, "approval": record, "ballot": ballot.to_string(), "keys": keys, "accept": ["v2"], "now": REQUESTED + 1});
        record = call("lifecycle.decide", &args).unwrap()["record"].take();
    }
    record
}

/// Returns a record after its claim.
pub(crate) fn executed(approved: &Value, keys: &Value) -> Value {
    let claim = json!({"agent": "deployer", "action": "deploy", "claimed_by": "runner", "execution_id": EXECUTION});
    let args = json!({"id": ID, "approval": approved, "claim": claim.to_string(), "context": CONTEXT, "plan": PLAN, "keys": keys, "accept": ["v2"], "now": REQUESTED + 2});
    call("lifecycle.claim", &args).unwrap()["record"].take()
}

/// Returns the view of a record, with the members that the host adds.
pub(crate) fn view(record: &Value) -> Value {
    let args = json!({"id": ID, "approval": record, "now": NOW});
    let mut view = parsed(&call("lifecycle.show", &args).unwrap()["view"]);
    view["verifier"] = "0".repeat(64).into();
    view["context"] = serde_json::from_str(CONTEXT).unwrap();
    view["plan"] = serde_json::from_str(PLAN).unwrap();
    view
}

/// Returns the request of an executor that is about to run what was approved.
pub(crate) fn question(view: &Value) -> Value {
    let keys: Vec<Value> = approvers().iter().map(|signer| signer.entry("active")).collect();
    json!({
        "approval": view.to_string(),
        "id": ID,
        "audience": "prod",
        "attempt": {"agent": "deployer", "action": "deploy", "context": CONTEXT, "plan": PLAN},
        "keys": keys,
        "now": NOW,
    })
}
