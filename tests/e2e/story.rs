//! The runbook, request by request, in its own terms.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{
    APPROVER, ballot, home_and_server, id, message, request_body, sign, sign_message, text,
};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_request_answers_201_with_the_fields_of_the_runbook() {
    let (_home, server) = home_and_server();
    let answer = server.post("/api/v1/approvals", &request_body());
    let approval = answer.json(201);
    assert_eq!(
        answer.header("location"),
        Some(format!("/api/v1/approvals/{}", id(&approval)).as_str())
    );
    let request = request_body();
    for field in ["agent", "action", "context", "reason"] {
        assert_eq!(approval[field], request[field]);
    }
    assert_eq!(approval["status"], "pending");
    assert_eq!(approval["requested_by"], "agent:knowledge_update");
    let nothing_yet = [
        "decision",
        "approver",
        "approved_at",
        "comment",
        "signature",
        "decided_at",
        "executed_at",
        "execution",
        "withdrawn_at",
        "withdrawn_by",
        "erased_at",
        "policy",
        "rule",
        "plan",
        "plan_hash",
    ];
    for field in nothing_yet {
        assert_eq!(approval[field], Value::Null, "{field}");
    }
    assert_eq!(approval["ballots"], json!([]));
    assert_eq!(
        approval["requirement"],
        json!({ "ttl_seconds": 3600, "threshold": 1, "groups": {} })
    );
    assert_eq!(lifetime(&approval), 3600);
    assert_eq!(server.show(&approval), approval);
}

#[test]
fn ids_are_appr_and_a_lower_case_ulid_in_order_of_time() {
    let (_home, server) = home_and_server();
    let made: Vec<String> = (0..20).map(|_| id(&server.request()).to_owned()).collect();
    for id in &made {
        let ulid = id.strip_prefix("appr_").expect("the prefix");
        assert_eq!(ulid.len(), 26, "{id}");
        assert!(ulid.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()), "{id}");
    }
    assert!(made.is_sorted_by(|a, b| a < b), "{made:?}");
}

#[test]
fn times_are_rfc_3339_in_utc_and_whole_seconds() {
    let (_home, server) = home_and_server();
    let approval = server.request();
    for field in ["requested_at", "expires_at"] {
        let time = text(&approval, field);
        assert_eq!(time.len(), "2025-10-17T10:30:00Z".len(), "{time}");
        assert!(chrono::DateTime::parse_from_rfc3339(time).is_ok() && time.ends_with('Z'));
    }
}

#[test]
fn a_custom_expiry_counts_from_the_request() {
    let (_home, server) = home_and_server();
    for seconds in [1, 300, 1_800, 7_200, 86_400, 604_800] {
        assert_eq!(lifetime(&server.request_for(seconds)), seconds);
    }
}

#[test]
fn the_context_hash_is_that_of_pythons_json_dumps_with_sorted_keys() {
    let (_home, server) = home_and_server();
    let canonical =
        r#"{"changes_count": 1500, "file": "config/production.yaml", "risk_score": 85}"#;
    let approval = server.request();
    assert_eq!(approval["context_hash"], hex::encode(Sha256::digest(canonical)));
    let odd = r#"{"agent":"a","action":"b","context":{"b":1.0,"a":[1e5,-0,"é😀"],"A":1}}"#;
    let canonical = r#"{"A": 1, "a": [100000.0, 0, "\u00e9\ud83d\ude00"], "b": 1.0}"#;
    let answer = server.post_text("/api/v1/approvals", odd);
    assert_eq!(answer.json(201)["context_hash"], hex::encode(Sha256::digest(canonical)));
    assert!(answer.body.contains(&format!("\"context\":{canonical}")), "{}", answer.body);
}

#[test]
fn the_hashed_context_is_stored_and_shown() {
    let (_home, server) = home_and_server();
    let digits = "9".repeat(4_300);
    let body = format!(r#"{{"agent":"a","action":"b","context":{{"n":{digits}}},"plan":{{}}}}"#);
    let made = server.post_text("/api/v1/approvals", body);
    assert_eq!(made.status, 201, "{}", made.body);
    let shown = server.get(made.header("location").unwrap());
    assert!(shown.body.contains(&format!("{{\"n\": {digits}}}")));
    assert!(shown.body.contains("\"plan\":{}"));
}

#[test]
fn an_approval_shows_who_decided_and_how() {
    let (_home, server) = home_and_server();
    let approval = server.request();
    let mut body = ballot(&approval, "approved", APPROVER);
    body["comment"] = json!("Reviewed and approved");
    let decided = server.act(&approval, "approve", &body).ok();
    assert_eq!(decided["status"], "approved");
    assert_eq!(decided["decision"], "approved");
    assert_eq!(decided["approver"], APPROVER);
    assert_eq!(decided["comment"], "Reviewed and approved");
    assert_eq!(decided["signature"], body["signature"]);
    assert_eq!(decided["approved_at"], decided["decided_at"]);
    assert!(decided["approved_at"].is_string());
    let ballots = decided["ballots"].as_array().unwrap();
    assert_eq!(ballots.len(), 1);
    assert_eq!(ballots[0]["profile"], "v1");
    assert_eq!(decided.get("context"), None, "only a request and a single read show the context");
}

#[test]
fn a_rejection_may_come_through_approve_or_reject() {
    let (_home, server) = home_and_server();
    for (operation, decision) in [("approve", true), ("reject", true), ("reject", false)] {
        let approval = server.request();
        let mut body = ballot(&approval, "rejected", APPROVER);
        if !decision {
            body.as_object_mut().unwrap().remove("decision");
        }
        let rejected = server.act(&approval, operation, &body).ok();
        assert_eq!(rejected["status"], "rejected");
        assert_eq!(rejected["decision"], "rejected");
        assert_eq!(rejected["approved_at"], Value::Null);
        assert!(rejected["decided_at"].is_string());
        server.claim(&approval).refused("not-approved");
    }
}

#[test]
fn reject_takes_no_other_decision() {
    let (_home, server) = home_and_server();
    let approval = server.request();
    let body = ballot(&approval, "approved", APPROVER);
    server.act(&approval, "reject", &body).refused("request-invalid");
    assert_eq!(server.show(&approval)["status"], "pending");
}

#[test]
fn verify_answers_in_the_runbooks_shape() {
    let (_home, server) = home_and_server();
    let approval = server.approved();
    let signature = &approval["signature"];
    let valid = server.act(&approval, "verify", &json!({ "signature": signature })).ok();
    assert_eq!(keys(&valid), ["approval", "signature_valid", "valid"]);
    assert_eq!(valid["valid"], true);
    for field in ["id", "status", "decision", "approver", "expires_at"] {
        assert_eq!(valid["approval"][field], approval[field], "{field}");
    }
    for signature in ["0".repeat(64), "a3f7c2d1e5b8".to_owned(), String::new()] {
        let answer = server.act(&approval, "verify", &json!({ "signature": signature })).ok();
        assert_eq!(keys(&answer), ["code", "detail", "error", "signature_valid", "valid"]);
        assert_eq!(answer["valid"], false);
        assert_eq!(answer["error"], "Invalid signature");
        assert_eq!(answer["signature_valid"], false);
    }
}

#[test]
fn verify_compares_agent_action_context_and_plan_if_they_are_sent() {
    let (_home, server) = home_and_server();
    let approval = server.approved();
    let fits = request_body();
    let other = [
        ("agent", json!("inbox_triage"), "agent-mismatch"),
        ("action", json!("quarantine"), "action-mismatch"),
        ("context", json!({ "email_id": "email_123" }), "context-mismatch"),
        ("plan", json!({}), "plan-mismatch"),
    ];
    for (field, value, code) in other {
        let mut body = json!({ "signature": approval["signature"], field: fits[field] });
        if field != "plan" {
            assert_eq!(server.act(&approval, "verify", &body).ok()["valid"], true, "{field}");
        }
        body[field] = value;
        let answer = server.act(&approval, "verify", &body).ok();
        assert_eq!((&answer["valid"], &answer["code"]), (&json!(false), &json!(code)));
        assert_eq!(answer["signature_valid"], true);
        let members = json!(["/changes_count", "/file", "/risk_score", "/email_id"]);
        let members = if field == "context" { members } else { Value::Null };
        assert_eq!(answer["members"], members);
    }
}

#[test]
fn verify_changes_nothing_and_is_invalid_once_executed() {
    let (_home, server) = home_and_server();
    let approval = server.approved();
    let body = json!({ "signature": approval["signature"] });
    server.act(&approval, "verify", &body).ok();
    assert_eq!(server.show(&approval)["status"], "approved");
    server.claim(&approval).ok();
    let answer = server.act(&approval, "verify", &body).ok();
    assert_eq!(answer["valid"], false);
    assert_eq!(answer["code"], "already-executed");
    assert_eq!(answer["signature_valid"], true);
}

#[test]
fn execute_consumes_an_approval_once() {
    let (_home, server) = home_and_server();
    let approval = server.approved();
    let executed = server.claim(&approval).ok();
    assert_eq!(executed["status"], "executed");
    assert!(executed["executed_at"].is_string());
    let execution = &executed["execution"];
    assert_eq!(execution["outcome"], "claimed");
    assert_eq!(execution["claimed_by"], "agent:knowledge_update");
    assert!(text(execution, "id").starts_with("exec_"));
    server.claim(&approval).refused("already-executed");
    assert_eq!(server.show(&approval)["execution"], *execution);
}

#[test]
fn execute_refuses_another_agent_action_context_or_plan() {
    let (_home, server) = home_and_server();
    let mut body = request_body();
    body["plan"] = json!({ "steps": [1, 2] });
    let approval = server.request_of(&body);
    server.decide(&approval, "approved", APPROVER).ok();
    let fits = json!({
        "agent": body["agent"], "action": body["action"],
        "context": body["context"], "plan": body["plan"],
    });
    let with = |field: &str, value: Value| {
        let mut claim = fits.clone();
        claim[field] = value;
        server.act(&approval, "execute", &claim)
    };
    with("agent", json!("inbox_triage")).refused("agent-mismatch");
    with("action", json!("quarantine")).refused("action-mismatch");
    let refused = with("context", json!({ "risk_score": 85 })).refused("context-mismatch");
    assert_eq!(refused["members"], json!(["/changes_count", "/file"]));
    let named = "these members differ: `/changes_count`, `/file`";
    assert!(text(&refused, "detail").ends_with(named), "{refused}");
    let refused = with("plan", json!({ "steps": [2, 1] })).refused("plan-mismatch");
    assert_eq!(refused["members"], json!(["/steps"]));
    // Nothing to compare with.
    let refused = with("plan", Value::Null).refused("plan-mismatch");
    assert_eq!(refused["members"], Value::Null);
    assert_eq!(server.show(&approval)["status"], "approved");
    server.act(&approval, "execute", &fits).ok();
}

#[test]
fn a_plan_that_was_not_approved_is_refused() {
    let (_home, server) = home_and_server();
    let approval = server.approved();
    let mut claim = crate::support::claim_body();
    claim["plan"] = json!({});
    server.act(&approval, "execute", &claim).refused("plan-mismatch");
}

#[test]
fn a_context_in_another_layout_is_equal() {
    let (_home, server) = home_and_server();
    let approval = server.approved();
    let claim = r#"{"context" : {"risk_score":85,  "changes_count":1500,
        "file":"config\/production.yaml"}, "action":"apply", "agent":"knowledge_update"}"#;
    let path = format!("/api/v1/approvals/{}/execute", id(&approval));
    assert_eq!(server.post_text(&path, claim).ok()["status"], "executed");
}

#[test]
fn an_outcome_is_recorded_once_and_a_repeat_succeeds() {
    let (_home, server) = home_and_server();
    for (first, other) in [("succeeded", "failed"), ("failed", "succeeded")] {
        let approval = server.approved();
        let execution = server.claim(&approval).ok()["execution"]["id"].clone();
        let report = |outcome: &str, execution: &Value| {
            let body = json!({ "execution_id": execution, "outcome": outcome, "detail": "line 1" });
            server.act(&approval, "outcome", &body)
        };
        let another = json!(format!("exec_{}", "0".repeat(26)));
        report(first, &another).refused("execution-mismatch");
        let settled = report(first, &execution).ok();
        assert_eq!(settled["execution"]["outcome"], first);
        assert_eq!(settled["execution"]["detail"], "line 1");
        assert_eq!(settled["execution"]["late"], false);
        report(first, &execution).ok();
        report(other, &execution).refused("already-settled");
        assert_eq!(
            server.events_of(&approval),
            ["approval_requested", "approval_decided", "approval_claimed", "execution_settled"]
        );
    }
}

#[test]
fn agents_and_requesters_never_approve() {
    let (_home, server) = home_and_server();
    let approval = server.request();
    server.decide(&approval, "approved", "knowledge_update").refused("self-approval");
    let as_agent = json!({
        "decision": "approved", "approver": "agent:knowledge_update", "signature": "0".repeat(64),
    });
    server.act(&approval, "approve", &as_agent).refused("self-approval");
    let other_agent = json!({
        "decision": "approved", "approver": "agent:inbox_triage", "signature": "0".repeat(64),
    });
    server.act(&approval, "approve", &other_agent).refused("approver-not-allowed");
    assert_eq!(server.show(&approval)["status"], "pending");
}

#[test]
fn a_signature_covers_id_decision_approver_and_expiry() {
    let (_home, server) = home_and_server();
    let approval = server.request();
    let other = server.request_for(7_200);
    let right = message(&approval, "approved", APPROVER);
    let wrong = [
        ("another id", message(&other, "approved", APPROVER)),
        ("another decision", message(&approval, "rejected", APPROVER)),
        ("another approver", message(&approval, "approved", "eve@company.com")),
        ("a time with Z", right.replace("+00:00", "Z")),
        ("a naive time", right.replace("+00:00", "")),
        ("a later expiry", right.replace("T", "T0")),
        ("white space", format!("{right}\n")),
    ];
    let body = |signature: String| json!({ "decision": "approved", "approver": APPROVER, "signature": signature });
    for (what, message) in wrong {
        let signature = sign_message(&message, crate::support::SECRET);
        let problem = server.act(&approval, "approve", &body(signature));
        assert_eq!(problem.refused("signature-invalid")["title"], "Invalid signature", "{what}");
    }
    let elsewhere = sign_message(&right, "another-secret-of-thirty-two-bytes-or-more");
    server.act(&approval, "approve", &body(elsewhere)).refused("signature-invalid");
    let signature = sign(&approval, "approved", APPROVER);
    server.act(&approval, "approve", &body(signature)).ok();
}

#[test]
fn a_refused_decision_changes_nothing() {
    let (_home, server) = home_and_server();
    let approval = server.request();
    let before = server.show(&approval);
    server.decide(&approval, "approved", "agent:x").refused("approver-not-allowed");
    let unsigned = json!({ "decision": "approved", "approver": APPROVER });
    server.act(&approval, "approve", &unsigned).refused("request-invalid");
    let body = json!({ "decision": "approved", "approver": APPROVER, "signature": "f".repeat(64) });
    server.act(&approval, "approve", &body).refused("signature-invalid");
    assert_eq!(server.show(&approval), before);
    assert_eq!(server.events_of(&approval), ["approval_requested"]);
}

#[test]
fn the_payload_is_the_message_of_the_runbook() {
    let (_home, server) = home_and_server();
    let approval = server.request();
    for decision in ["approved", "rejected"] {
        let path = format!(
            "/api/v1/approvals/{}/payload?decision={decision}&approver=user%40company.com",
            id(&approval)
        );
        let payload = server.get(&path).ok();
        assert_eq!(payload["profile"], "v1");
        assert_eq!(payload["message"], message(&approval, decision, APPROVER));
        assert!(payload["base64url"].is_string());
    }
}

fn lifetime(approval: &Value) -> u64 {
    let at = |field| chrono::DateTime::parse_from_rfc3339(text(approval, field)).unwrap();
    (at("expires_at") - at("requested_at")).num_seconds().try_into().unwrap()
}
