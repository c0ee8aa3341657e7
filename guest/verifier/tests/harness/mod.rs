//! Test access to the verifier through `wire.call`, with keys, signatures made without the
//! verifier's own code, and random numbers that are the same in every run.

#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod requests;
pub(crate) mod shown;
pub(crate) mod signer;

use base64ct::{Base64UrlUnpadded, Encoding};
use chrono::{DateTime, SecondsFormat};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use signoff_verifier::wire;

pub(crate) const ID: &str = "appr_01k7s2e3m8q4w6x9y0z1a2b3c4";
pub(crate) const EXECUTION: &str = "exec_01k7s2f7n9r5t6v8w0x1y2z3a4";
pub(crate) const SECRET: &str = "a secret that is for examples only";
pub(crate) const REQUESTER: &str = "agent:deployer";
pub(crate) const APPROVER: &str = "user@company.com";
pub(crate) const CONTEXT: &str = r#"{"target": "prod", "replicas": 3}"#;
/// When test approvals are requested: 2025-10-17T10:30:00Z.
pub(crate) const REQUESTED: u64 = 1_760_697_000;

/// Calls an op; returns its answer, or the code of its rejection.
pub(crate) fn call(op: &str, args: &Value) -> Result<Value, String> {
    let request = json!({"op": op, "args": args}).to_string();
    let mut answer: Value = serde_json::from_str(&wire::call(&request)).unwrap();
    match answer["error"]["code"].as_str() {
        Some(code) => Err(code.to_owned()),
        None => Ok(answer["ok"].take()),
    }
}

/// Returns an HMAC key for ballots.
pub(crate) fn key(id: &str, secret: &str, status: &str) -> Value {
    json!({
        "id": id,
        "algorithm": "hmac-sha256",
        "material": Base64UrlUnpadded::encode_string(secret.as_bytes()),
        "status": status,
        "use": "approve",
    })
}

/// Makes a v1 signature by the runbook's formula.
pub(crate) fn sign(
    secret: &str,
    id: &str,
    decision: &str,
    approver: &str,
    expires_at: u64,
) -> String {
    let expires_at = DateTime::from_timestamp(expires_at.try_into().unwrap(), 0).unwrap();
    let expires_at = expires_at.to_rfc3339_opts(SecondsFormat::Secs, false);
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{id}:{decision}:{approver}:{expires_at}").as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// Opens a pending approval.
pub(crate) fn open(ttl_seconds: u64, plan: Option<&str>) -> Value {
    let request = json!({
        "id": ID,
        "audience": "prod",
        "agent": "deployer",
        "action": "deploy",
        "requested_by": REQUESTER,
        "requirement": {"ttl_seconds": ttl_seconds},
    });
    let args = json!({"request": request.to_string(), "context": CONTEXT, "plan": plan, "accept": ["v1"], "now": REQUESTED});
    call("lifecycle.open", &args).unwrap()
}

/// Parses a JSON text.
pub(crate) fn parsed(text: &Value) -> Value {
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

/// SplitMix64: the same numbers in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// Returns true once in `times` calls on average.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
