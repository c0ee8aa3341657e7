//! One person in several spellings: whatever the ASCII case of the name and of `agent:`, no one
//! votes twice, approves their own request or decides as an agent.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod harness;

use harness::signer::{Signer, statement};
use harness::{CONTEXT, ID, REQUESTED};
use serde_json::{Value, json};

/// Returns a record that requires two approvers.
fn requested_by(requester: &str) -> Value {
    let request = json!({
        "id": ID,
        "audience": "prod",
        "agent": "deployer",
        "action": "deploy",
        "requested_by": requester,
        "requirement": {"threshold": 2},
    });
    let args = json!({"request": request.to_string(), "context": CONTEXT, "accept": ["v2"], "now": REQUESTED});
    harness::call("lifecycle.open", &args).unwrap()["record"].take()
}

/// Casts a person's ballot, with a keyring that has a key for each person in it.
fn decide(record: &Value, person: &Signer, keyring: &[&Signer]) -> Result<Value, String> {
    let args = json!({
        "id": ID,
        "approval": record,
        "ballot": ballot(&harness::parsed(record), person).to_string(),
        "keys": keyring.iter().map(|signer| signer.entry("active")).collect::<Value>(),
        "accept": ["v2"],
        "now": REQUESTED,
    });
    harness::call("lifecycle.decide", &args)
}

fn ballot(record: &Value, person: &Signer) -> Value {
    let signature = person.sign(&statement(record, person, "approved", ""));
    json!({"decision": "approved", "approver": person.approver, "signature": signature})
}

fn signer(id: &str, secret: u8, approver: &str) -> Signer {
    Signer::new(id, "ed25519", secret, approver)
}

#[test]
fn one_person_votes_once_in_any_case() {
    let (upper, lower) = (signer("one", 1, "CEO@x"), signer("two", 2, "ceo@x"));
    for (first, second) in [(&upper, &lower), (&lower, &upper)] {
        let record = requested_by("rita@company.com");
        let voted = decide(&record, first, &[first, second]).unwrap();
        assert_eq!(harness::parsed(&voted["record"])["status"], "pending");
        let again = decide(&voted["record"], second, &[first, second]);
        assert_eq!(again.unwrap_err(), "already-voted");
        // The control: another person completes it.
        let other = signer("three", 3, "cfo@x");
        let approved = decide(&voted["record"], &other, &[first, &other]).unwrap();
        assert_eq!(harness::parsed(&approved["record"])["status"], "approved");
    }
}

#[test]
fn two_spellings_in_a_record_count_as_one_approval() {
    let (upper, lower) = (signer("one", 1, "CEO@x"), signer("two", 2, "ceo@x"));
    let other = signer("two", 2, "cfo@x");
    for (second, checked) in [(&other, Ok(())), (&lower, Err("signature-invalid".to_owned()))] {
        let voted = decide(&requested_by("rita@company.com"), &upper, &[&upper]).unwrap();
        let mut record = harness::parsed(&voted["record"]);
        let mut forged = record["ballots"][0].clone();
        let cast = ballot(&record, second);
        forged["approver"] = cast["approver"].clone();
        forged["signature"] = cast["signature"].clone();
        forged["key_id"] = json!(second.id);
        record["ballots"].as_array_mut().unwrap().push(forged);
        record["status"] = json!("approved");
        record["decided_at"] = record["requested_at"].clone();
        let args = json!({
            "id": ID,
            "approval": record.to_string(),
            "attempt": "{}",
            "keys": [upper.entry("active"), second.entry("active")],
            "accept": ["v2"],
            "now": REQUESTED,
        });
        assert_eq!(
            harness::call("lifecycle.check", &args).map(drop),
            checked,
            "{}",
            second.approver
        );
    }
}

#[test]
fn the_owner_of_a_key_is_compared_ignoring_case() {
    let bound = signer("one", 1, "CEO@x");
    let signing = signer("one", 1, "ceo@X");
    let voted = decide(&requested_by("rita@company.com"), &signing, &[&bound]).unwrap();
    assert_eq!(harness::parsed(&voted["record"])["ballots"][0]["approver"], "ceo@X");
    let stranger = signer("one", 1, "ceo@y");
    let refused = decide(&requested_by("rita@company.com"), &stranger, &[&bound]);
    assert_eq!(refused.unwrap_err(), "key-not-yours");
}

#[test]
fn the_requester_and_its_agent_cannot_decide_in_any_spelling() {
    for (requester, approver, code) in [
        ("rita@company.com", "Rita@Company.COM", "self-approval"),
        ("RITA@company.com", "rita@company.com", "self-approval"),
        ("rita@company.com", "Agent:rita@company.com", "self-approval"),
        ("Agent:web", "WEB", "self-approval"),
        ("agent:web", "AGENT:web", "self-approval"),
        ("rita@company.com", "Deployer", "self-approval"),
        ("rita@company.com", "AGENT:Deployer", "self-approval"),
        ("rita@company.com", "Agent:x", "approver-not-allowed"),
        ("rita@company.com", "AGENT:x", "approver-not-allowed"),
        ("rita@company.com", "agent:x", "approver-not-allowed"),
    ] {
        let person = signer("one", 1, approver);
        let refused = decide(&requested_by(requester), &person, &[&person]);
        assert_eq!(refused.unwrap_err(), code, "{approver} for {requester}");
    }
    let person = signer("one", 1, "agents@x");
    assert!(decide(&requested_by("rita@company.com"), &person, &[&person]).is_ok());
}

#[test]
fn the_requester_can_withdraw_in_any_spelling() {
    let withdraw = |subject: &str| {
        let withdrawal = json!({"actor": {"subject": subject, "roles": ["requester"]}}).to_string();
        let record = requested_by("rita@company.com");
        let args =
            json!({"id": ID, "approval": record, "withdrawal": withdrawal, "now": REQUESTED});
        harness::call("lifecycle.withdraw", &args)
    };
    for subject in ["rita@company.com", "Rita@company.com", "RITA@COMPANY.COM"] {
        assert!(withdraw(subject).is_ok(), "{subject}");
    }
    assert_eq!(withdraw("ritas@company.com").unwrap_err(), "forbidden");
}

#[test]
fn the_requester_cannot_extend_in_any_spelling() {
    let extend = |subject: &str| {
        let actor = json!({"subject": subject, "roles": ["admin"]});
        let extension = json!({"expires_in_seconds": 7_200, "actor": actor}).to_string();
        let record = requested_by("rita@company.com");
        let args = json!({"id": ID, "approval": record, "extension": extension, "now": REQUESTED});
        harness::call("lifecycle.extend", &args)
    };
    for subject in ["rita@company.com", "Rita@company.com", "RITA@COMPANY.COM"] {
        assert_eq!(extend(subject).unwrap_err(), "forbidden", "{subject}");
    }
    assert!(extend("ritas@company.com").is_ok());
}
