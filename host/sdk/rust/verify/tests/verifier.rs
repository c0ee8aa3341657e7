//! Tests of the public API.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::{Duration, UNIX_EPOCH};

use signoff_verify::{
    Attempt, Decision, Expectations, Floor, Key, KeyStatus, Keyring, Kind, Profile, Rejection,
    SigningKey, Statement, UnixSeconds, VerifiedApproval, Verifier,
};

const SHOWN: &str = include_str!("data/approval.json");
const KEYS: &str = include_str!("data/keyring.json");
const CODES: &str = include_str!("../../../../../wit/codes.md");
const ID: &str = "appr_01k7s2e3m8q4w6x9y0z1a2b3c4";
const CONTEXT: &str =
    r#"{"file": "config/production.yaml", "changes_count": 1500, "risk_score": 85}"#;
const NOW: UnixSeconds = UnixSeconds(1_760_698_001);

fn attempt() -> Attempt {
    Attempt::new("knowledge_update", "apply", CONTEXT).with_plan(r#"{"steps":["read","write"]}"#)
}

fn verify(
    audience: &str,
    attempt: &Attempt,
    keyring: &Keyring,
    expectations: &Expectations,
) -> Result<VerifiedApproval, Rejection> {
    Verifier::new().verify_approval(SHOWN, ID, audience, attempt, keyring, expectations, NOW)
}

#[test]
fn an_approval_is_verified_into_a_proof() {
    let keyring = Keyring::from_json(KEYS).unwrap();
    let expectations = Expectations::default()
        .requested_after(NOW.0 - 1_001)
        .floor(Floor::default().threshold(2).group("sre", 1).ttl_seconds(3600))
        .policies(["0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"]);
    let verified = verify("prod", &attempt(), &keyring, &expectations).unwrap();
    assert_eq!(verified.approval_id(), ID);
    assert_eq!(verified.requested_by(), "agent:knowledge_update");
    assert_eq!(verified.requested_at(), "2025-10-17T10:30:00Z");
    assert_eq!(verified.expires_at(), "2025-10-17T11:30:00Z");
    assert_eq!(verified.requirement().threshold, 2);
    assert_eq!(verified.rule(), Some("production"));
    assert_eq!(verified.plan(), Some(r#"{"steps": ["read", "write"]}"#));
    let names: Vec<&str> = verified.approvers().iter().map(|a| a.approver.as_str()).collect();
    assert_eq!(names, ["alice@company.com", "carol@company.com"]);
    assert_eq!(verified.approvers().first().unwrap().profile, Profile::V2);
}

#[test]
fn each_argument_is_held_against_the_approval() {
    let keyring = Keyring::from_json(KEYS).unwrap();
    let nothing = Expectations::default();
    let code = |answer: Result<VerifiedApproval, Rejection>| answer.unwrap_err().code().to_owned();
    assert_eq!(code(verify("staging", &attempt(), &keyring, &nothing)), "audience-mismatch");
    assert_eq!(code(verify("prod", &attempt(), &Keyring::default(), &nothing)), "key-unknown");
    let other = Attempt::new("knowledge_update", "apply", "{}");
    assert_eq!(code(verify("prod", &other, &keyring, &nothing)), "context-mismatch");
    let no_plan = Attempt::new("knowledge_update", "apply", CONTEXT);
    assert_eq!(code(verify("prod", &no_plan, &keyring, &nothing)), "plan-mismatch");
    let floor = Expectations::default().floor(Floor::default().threshold(3));
    assert_eq!(code(verify("prod", &attempt(), &keyring, &floor)), "requirement-too-weak");
    let policies = Expectations::default().policies(["x"]);
    assert_eq!(code(verify("prod", &attempt(), &keyring, &policies)), "policy-mismatch");
    let young = Expectations::default().requested_after(NOW);
    assert_eq!(code(verify("prod", &attempt(), &keyring, &young)), "request-too-old");
    let v1 = Expectations::default().accept([Profile::V1]);
    assert_eq!(code(verify("prod", &attempt(), &keyring, &v1)), "signature-malformed");
    let late = UNIX_EPOCH + Duration::from_secs(NOW.0 + 3_600);
    let answer =
        Verifier::new().verify_approval(SHOWN, ID, "prod", &attempt(), &keyring, &nothing, late);
    assert_eq!(answer.as_ref().unwrap_err().kind(), Kind::State);
    assert_eq!(code(answer), "expired");
}

#[test]
fn a_revoked_key_is_refused_under_any_id() {
    let mut keyring = Keyring::from_json(KEYS).unwrap();
    let seed = [b'a'; 32];
    let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key().to_bytes();
    keyring.push(
        Key::ed25519("alice-2024", &public, "alice@company.com").with_status(KeyStatus::Revoked),
    );
    let answer = verify("prod", &attempt(), &keyring, &Expectations::default());
    assert_eq!(answer.unwrap_err().code(), "key-revoked");
}

#[test]
fn an_approver_reviews_signs_and_verifies() {
    let verifier = Verifier::new();
    let seed = [7; 32];
    let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key().to_bytes();
    let key = SigningKey::ed25519("dora", &seed, "dora@company.com");
    let keyring = Keyring::new([Key::ed25519("dora", &public, "dora@company.com")]);
    let plan = Some(r#"{"steps": ["read", "write"]}"#);
    let statement = verifier
        .review(SHOWN, CONTEXT, plan, Decision::Rejected, "dora@company.com", "dora", "no")
        .unwrap();
    assert_eq!(statement.approval_id, ID);
    let signature = verifier.sign(&statement, Profile::V2, &key).unwrap();
    let verified = verifier.verify(&statement, &signature, &keyring, &[Profile::V2]);
    assert_eq!(verified.unwrap(), "dora");
    let other = Statement { comment: "yes".to_owned(), ..statement.clone() };
    let refused = verifier.verify(&other, &signature, &keyring, &[Profile::V2]).unwrap_err();
    assert_eq!((refused.code(), refused.kind()), ("signature-invalid", Kind::Refused));
    assert!(verifier.payload(&statement, Profile::V2).unwrap().text.is_none());
    let v1 = verifier.payload(&statement, Profile::V1).unwrap().text.unwrap();
    assert_eq!(v1, format!("{ID}:rejected:dora@company.com:2025-10-17T11:30:00+00:00"));
    assert!(!format!("{key:?} {keyring:?}").contains("BwcH"));
}

#[test]
fn contexts_and_operations_by_name() {
    let verifier = Verifier::new();
    let read = verifier.canonicalize(r#"{"b":1e5,"a":"é"}"#).unwrap();
    assert_eq!(read.canonical, r#"{"a": "\u00e9", "b": 100000.0}"#);
    assert_eq!(verifier.digest(&read.canonical).unwrap(), read.digest);
    let invalid = verifier.digest("[]").unwrap_err();
    assert_eq!((invalid.code(), invalid.kind()), ("context-invalid", Kind::Invalid));
    let digest = verifier.call("context.digest", r#"{"context": "{}"}"#).unwrap();
    assert!(digest.starts_with(r#"{"digest":"#));
    assert_eq!(verifier.call("context.nothing", "{}").unwrap_err().code(), "request-invalid");
    assert_eq!(verifier.call("describe", "{").unwrap_err().code(), "request-invalid");
}

#[test]
fn a_keyring_has_one_of_three_forms_and_no_private_half() {
    let list: Keyring = Keyring::from_json(KEYS).unwrap();
    assert_eq!(list.iter().map(Key::id).collect::<Vec<_>>(), ["alice", "carol"]);
    let listed = format!(r#"{{"format": 1, "keys": {KEYS}}}"#);
    assert_eq!(Keyring::from_json(&listed).unwrap().iter().count(), 2);
    for refused in [
        "",
        "{}",
        "[{}]",
        r#"{"id":"a","algorithm":"ed25519","material":"x","status":"active","use":"approve","private":"SECRET"}"#,
        r#"{"id":"a","algorithm":"ed25519","material":"SECRET","status":"fine","use":"approve"}"#,
    ] {
        let error = Keyring::from_json(refused).unwrap_err();
        assert_eq!(error.code(), "request-invalid");
        assert!(!error.message().contains("SECRET"), "{error}");
    }
}

/// The kind of each code matches its HTTP status.
#[test]
fn every_code_of_the_verifier_has_its_kind() {
    let mut known = 0;
    for line in CODES.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, code, status, _, "v", ..] = cells.as_slice() else { continue };
        let kind = match *status {
            "422" => Kind::Invalid,
            "404" => Kind::NotFound,
            "409" => Kind::State,
            "403" => Kind::Refused,
            _ => Kind::Failed,
        };
        let answer = format!(r#"{{"code":{code:?},"message":"x"}}"#).replace('`', "");
        let rejection: Rejection = serde_json::from_str(&answer).unwrap();
        assert_eq!(rejection.kind(), kind, "{code}");
        known += 1;
    }
    assert!(known > 20, "{known} codes");
}
