//! Signatures by the runbook's formula, computed without the code under test.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{SECRET, id, text};

/// Returns `{id}:{decision}:{approver}:{expires_at}`, with the time as Python's `isoformat()` prints it.
pub fn message(approval: &Value, decision: &str, approver: &str) -> String {
    let expires_at = text(approval, "expires_at").strip_suffix('Z').expect("a time in UTC");
    format!("{}:{decision}:{approver}:{expires_at}+00:00", id(approval))
}

/// Returns the HMAC-SHA256 in lower-case hex.
pub fn sign_message(message: &str, secret: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// Signs a decision with the secret of the tests.
pub fn sign(approval: &Value, decision: &str, approver: &str) -> String {
    sign_message(&message(approval, decision, approver), SECRET)
}

/// Returns a signed decision as the body of `/approve`.
pub fn ballot(approval: &Value, decision: &str, approver: &str) -> Value {
    json!({
        "decision": decision,
        "approver": approver,
        "signature": sign(approval, decision, approver),
    })
}
