//! Tests of the public API.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::{Duration, UNIX_EPOCH};

use signoff_verify::{
    Attempt, Decision, Expectations, Floor, Key, KeyStatus, Keyring, Kind, Profile, ReceiptTrust,
    Rejection, SigningKey, Statement, UnixSeconds, VerifiedApproval, Verifier,
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
fn a_keyring_has_one_of_four_forms_and_no_private_half() {
    let list: Keyring = Keyring::from_json(KEYS).unwrap();
    assert_eq!(list.iter().map(Key::id).collect::<Vec<_>>(), ["alice", "carol"]);
    let listed = format!(r#"{{"format": 1, "keys": {KEYS}}}"#);
    assert_eq!(Keyring::from_json(&listed).unwrap().iter().count(), 2);
    // Two files put together.
    let entry = |id: &str| {
        format!(
            r#"{{"id":"{id}","algorithm":"ed25519","material":"{}","status":"active","use":"approve","approver":"ann","groups":[]}}"#,
            "A".repeat(43)
        )
    };
    let lines = format!("{}\n\n{}\n", entry("a"), entry("b"));
    let ids: Vec<_> =
        Keyring::from_json(&lines).unwrap().iter().map(|key| key.id().to_owned()).collect();
    assert_eq!(ids, ["a", "b"]);
    Keyring::from_json(&format!("{}\nb\n", entry("a"))).unwrap_err();
    for refused in [
        "",
        "{}",
        "[{}]",
        r#"{"id":"a","algorithm":"ed25519","material":"SECRET","status":"fine","use":"approve"}"#,
    ] {
        let error = Keyring::from_json(refused).unwrap_err();
        assert_eq!(error.code(), "request-invalid");
        assert!(!error.message().contains("SECRET"), "{error}");
    }
    let private = entry("a").replace("}", r#","private":"SECRET"}"#);
    for refused in [
        private.clone(),
        format!("[{},{private}]", entry("b")),
        format!("{}\n{private}\n", entry("b")),
        format!(r#"{{"format":1,"keys":[{private}]}}"#),
        format!(r#"{{"items":[{private}]}}"#),
    ] {
        let error = Keyring::from_json(&refused).unwrap_err();
        assert_eq!(error.code(), "request-invalid");
        assert!(error.message().contains("contain a private key"), "{error}");
        assert!(!error.message().contains("SECRET"), "{error}");
    }
}

#[test]
fn a_listed_keyring_has_the_public_keys() {
    let alice = Keyring::from_json(KEYS).unwrap();
    let alice = serde_json::to_value(alice.iter().next().unwrap()).unwrap();
    let public = alice.get("material").unwrap().as_str().unwrap();
    let listed = format!(
        r#"{{"items": [
            {{"id": "h", "algorithm": "hmac-sha256", "status": "active", "use": "approve", "approver": null,
              "groups": [], "fingerprint": "f", "private": true}},
            {{"id": "alice", "algorithm": "ed25519", "status": "active", "use": "approve", "approver":
              "alice@company.com", "groups": ["sre"], "fingerprint": "f", "public_key": "{public}"}}
        ], "keyring": "k"}}"#
    );
    let keyring = Keyring::from_json(&listed).unwrap();
    let ids: Vec<_> =
        keyring.iter().map(|key| (key.id(), key.algorithm(), key.approver())).collect();
    assert_eq!(ids, [("alice", "ed25519", Some("alice@company.com"))]);
    assert_eq!(Keyring::from_json(r#"{"items": []}"#).unwrap_err().code(), "request-invalid");
}

#[test]
fn a_servers_list_only_makes_a_keyring_stricter() {
    let key = |id: &str, material: u8| {
        Key::ed25519(id, &[material; 32], format!("{id}@company.com"))
            .in_group("sre")
            .in_group("ops")
    };
    let pinned = Keyring::new([key("alice", 1), key("bob", 2), key("carol", 3), key("dora", 4)]);
    let carol = serde_json::to_value(pinned.iter().nth(2).unwrap()).unwrap();
    let carol = carol.get("material").unwrap().as_str().unwrap();
    let item = |id: &str, public: &str, status: &str, groups: &str| {
        format!(
            r#"{{"id": "{id}", "algorithm": "ed25519", "status": "{status}", "use": "approve",
                "approver": "x", "groups": [{groups}], "public_key": "{public}", "later": 1}}"#
        )
    };
    let listed = [
        item("alice", "another", "revoked", r#""sre", "ops""#),
        item("bob", "another", "active", r#""sre", "legal""#),
        item("renamed", carol, "revoked", ""),
        item("mallory", "mallory", "active", r#""sre""#),
    ];
    let narrowed = pinned.narrowed_by(&format!(r#"{{"items": [{}]}}"#, listed.join(","))).unwrap();
    let found: Vec<_> =
        narrowed.iter().map(|key| (key.id(), key.status(), key.groups().join(" "))).collect();
    assert_eq!(
        found,
        [
            ("alice", KeyStatus::Revoked, "sre ops".to_owned()),
            ("bob", KeyStatus::Active, "sre".to_owned()),
            ("carol", KeyStatus::Revoked, String::new()),
            ("dora", KeyStatus::Active, "sre ops".to_owned()),
        ]
    );
    for refused in ["", "[]", "{}", r#"{"items": [{"id": "alice"}]}"#] {
        assert_eq!(pinned.narrowed_by(refused).unwrap_err().code(), "request-invalid", "{refused}");
    }
}

#[test]
fn text_calls_answer_refusals_too() {
    let verifier = Verifier::new();
    let answer = |request: &str| verifier.call_text(request).unwrap();
    let digest = r#"{"op": "context.digest", "args": {"context": "{}"}}"#;
    assert!(answer(digest).starts_with(r#"{"ok":{"digest":"#));
    assert!(answer("{").starts_with(r#"{"error":{"code":"request-invalid""#));
    let large = format!(r#"{{"op": "describe", "args": {{"x": "{}"}}}}"#, "x".repeat(17 << 20));
    assert!(answer(&large).starts_with(r#"{"error":{"code":"limit-exceeded""#));
    assert_eq!(verifier.digest_of_module(), None);
}

#[test]
fn a_receipt_is_refused_by_what_is_wrong_first() {
    let verifier = Verifier::new();
    let code = |receipt: &str, trust: &ReceiptTrust| {
        verifier.verify_receipt(receipt, trust).unwrap_err().code().to_owned()
    };
    let nothing = ReceiptTrust::new::<String>([]);
    assert_eq!(code("{}", &nothing), "receipt-invalid");
    assert_eq!(code("{}", &ReceiptTrust::new(["no key"])), "request-invalid");
}

#[test]
fn every_receipt_that_the_vectors_prove_has_a_report() {
    #[derive(serde::Deserialize)]
    struct Request {
        op: String,
        args: serde_json::Value,
    }
    let (verifier, reports) = (Verifier::new(), std::cell::Cell::new(0));
    let outcome = signoff_vectors::run(&signoff_vectors::ALL, |request| {
        let answer = verifier.call_text(request).unwrap();
        if let Ok(Request { op, args }) = serde_json::from_str(request)
            && op == "receipt.verify"
            && let Some(receipt) = args.get("receipt").and_then(|receipt| receipt.as_str())
            && args.get("keys").is_none()
            && args.get("checkpoint").is_none()
            && answer.starts_with(r#"{"ok":"#)
        {
            let keys: Vec<String> =
                serde_json::from_value(args.get("log_keys").unwrap().clone()).unwrap();
            let accept = ReceiptTrust::new(keys).accept([Profile::V1, Profile::V2]);
            let report = verifier.verify_receipt(receipt, &accept).unwrap();
            assert!(answer.contains(&format!(r#""approval_id":"{}""#, report.approval_id)));
            assert!(answer.contains(&format!(r#""entries":{}"#, report.entries)));
            let other = accept.clone().id("appr_00000000000000000000000000");
            assert_eq!(verifier.verify_receipt(receipt, &other).unwrap_err().code(), "not-found");
            let other = accept.audience("elsewhere");
            let refused = verifier.verify_receipt(receipt, &other).unwrap_err();
            assert_eq!(refused.code(), "audience-mismatch");
            reports.set(reports.get() + 1);
        }
        answer
    });
    assert!(outcome.unwrap().failures.is_empty());
    assert!(reports.get() > 3, "{} reports", reports.get());
}

#[test]
fn moments_are_read_in_one_form() {
    assert_eq!(UnixSeconds::parse("2025-10-17T10:46:41Z"), Some(NOW));
    for other in ["", "2025-10-17 10:46:41Z", "2025-10-17T10:46:41+00:00", "2025-02-30T00:00:00Z"] {
        assert_eq!(UnixSeconds::parse(other), None, "{other}");
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
