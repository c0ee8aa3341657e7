//! Expiry, withdrawal, extension and leases of approvals.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{APPROVER, Client, home_and_server, id, text, until};

/// Requests an approval with a very short time to live.
fn short(server: &Client) -> Value {
    server.request_for(1)
}

fn until_expired(server: &Client, approval: &Value) -> Value {
    until("it is expired", || Some(server.show(approval)).filter(|a| a["status"] == "expired"))
}

#[test]
fn an_approval_expires_when_it_is_read_after_its_time() {
    let (_home, server) = home_and_server();
    let approval = short(&server);
    let expired = until_expired(&server, &approval);
    assert_eq!(expired["expires_at"], approval["expires_at"]);
    server.decide(&approval, "approved", APPROVER).refused("expired");
    server.claim(&approval).refused("expired");
    server.act(&approval, "withdraw", &json!({})).refused("expired");
    server.act(&approval, "extend", &json!({ "expires_in_seconds": 60 })).refused("expired");
}

#[test]
fn the_sweeper_stores_an_expiry_once() {
    let (_home, server) = home_and_server();
    let approval = short(&server);
    // Only the log is read, not the approval.
    until("the sweeper has been there", || {
        server.audit().iter().find(|entry| entry["event"] == "approval_expired").cloned()
    });
    sleep(Duration::from_millis(2_500));
    assert_eq!(server.events_of(&approval), ["approval_requested", "approval_expired"]);
}

#[test]
fn an_approved_approval_expires_and_its_signature_stays_valid() {
    let (_home, server) = home_and_server();
    // Long enough to approve it on a slow machine too; then the test waits for the expiry.
    let approval = server.request_for(10);
    let approved = server.decide(&approval, "approved", APPROVER).ok();
    until_expired(&server, &approval);
    server.claim(&approval).refused("expired");
    let body = json!({ "signature": approved["signature"] });
    let answer = server.act(&approval, "verify", &body).ok();
    assert_eq!(answer["valid"], false);
    assert_eq!(answer["code"], "expired");
    assert_eq!(answer["error"], "Approval has expired");
    assert_eq!(answer["signature_valid"], true);
}

#[test]
fn an_expired_approval_is_listed_as_expired_before_the_sweep() {
    let (_home, server) = home_and_server();
    let (first, second) = (short(&server), server.request());
    until_expired(&server, &first);
    let of = |status: &str| {
        let page = server.get(&format!("/api/v1/approvals?status={status}")).ok();
        let items = page["items"].as_array().unwrap().clone();
        items.iter().map(|item| id(item).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of("expired"), [id(&first)]);
    assert_eq!(of("pending"), [id(&second)]);
}

#[test]
fn withdrawing_ends_an_approval_that_is_not_claimed() {
    let (_home, server) = home_and_server();
    for approval in [server.request(), server.approved()] {
        let withdrawn = server.act(&approval, "withdraw", &json!({})).ok();
        assert_eq!(withdrawn["status"], "withdrawn");
        assert!(withdrawn["withdrawn_at"].is_string());
        assert_eq!(withdrawn["withdrawn_by"], "admin");
        server.decide(&approval, "approved", APPROVER).refused("already-decided");
        server.claim(&approval).refused("not-approved");
        server.act(&approval, "withdraw", &json!({})).refused("already-decided");
    }
    let claimed = server.approved();
    server.claim(&claimed).ok();
    server.act(&claimed, "withdraw", &json!({})).refused("already-executed");
}

#[test]
fn a_decided_approval_is_not_decided_again() {
    let (_home, server) = home_and_server();
    let rejected = server.request();
    server.decide(&rejected, "rejected", APPROVER).ok();
    let approved = server.approved();
    let executed = server.approved();
    server.claim(&executed).ok();
    for approval in [rejected, approved, executed] {
        for decision in ["approved", "rejected"] {
            for approver in [APPROVER, "second@company.com"] {
                let answer = server.decide(&approval, decision, approver);
                assert_eq!(answer.refused("already-decided")["title"], "Approval already decided");
            }
        }
    }
}

#[test]
fn extending_changes_the_expiry_and_the_signed_message() {
    let (_home, server) = home_and_server();
    let approval = server.request_for(60);
    let extended = server.act(&approval, "extend", &json!({ "expires_in_seconds": 7_200 })).ok();
    assert!(text(&extended, "expires_at") > text(&approval, "expires_at"));
    server.decide(&approval, "approved", APPROVER).refused("signature-invalid");
    server.decide(&extended, "approved", APPROVER).ok();
    server
        .act(&extended, "extend", &json!({ "expires_in_seconds": 9_000 }))
        .refused("already-decided");
    assert_eq!(
        server.events_of(&approval),
        ["approval_requested", "approval_extended", "approval_decided"]
    );
}

#[test]
fn extending_only_postpones_and_never_past_the_longest_time_to_live() {
    let (_home, server) = home_and_server();
    let approval = server.request();
    let extend =
        |seconds: i64| server.act(&approval, "extend", &json!({ "expires_in_seconds": seconds }));
    extend(60).refused("request-invalid");
    extend(0).refused("request-invalid");
    extend(-1).refused("request-invalid");
    extend(604_801).refused("limit-exceeded");
    // A second later, the longest time to live from now ends after the longest from the request.
    until("a second has passed", || {
        let later = server.request();
        (later["requested_at"] != approval["requested_at"]).then_some(())
    });
    extend(604_800).refused("limit-exceeded");
    assert_eq!(server.show(&approval)["expires_at"], approval["expires_at"]);
}

#[test]
fn after_the_lease_the_outcome_is_unknown_until_a_late_report() {
    let (_home, server) = home_and_server();
    let approval = server.approved();
    let mut claim = crate::support::claim_body();
    claim["lease_seconds"] = json!(1);
    let execution = server.act(&approval, "execute", &claim).ok()["execution"]["id"].clone();
    until("the outcome is unknown", || {
        let shown = server.show(&approval);
        (shown["execution"]["outcome"] == "unknown").then_some(())
    });
    server.claim(&approval).refused("already-executed");
    let body = json!({ "execution_id": execution, "outcome": "succeeded" });
    let settled = server.act(&approval, "outcome", &body).ok();
    assert_eq!(settled["execution"]["outcome"], "succeeded");
    assert_eq!(settled["execution"]["late"], true);
    let other = json!({ "execution_id": execution, "outcome": "failed" });
    server.act(&approval, "outcome", &other).refused("already-settled");
}
