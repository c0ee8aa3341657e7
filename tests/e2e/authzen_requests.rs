//! The Access Request and Approval Profile of AuthZEN: requests for what was denied, their tasks, and
//! evaluations with what was approved.

use std::sync::Arc;
use std::thread;

use serde_json::{Value, json};
use signoff::clock::{Clock, ManualClock, SystemClock};
use signoff::engine::VERIFIER;

use crate::authzen::{EVALUATION, EVALUATIONS, question};
use crate::support::{
    APPROVER, Answer, Client, Home, Inside, Office, activated, ballot, home_and_server,
    home_with_signer, text,
};

const REQUESTS: &str = "/access/v1/requests";

/// A question with a context.
fn asked() -> Value {
    let mut asked = question("deployer", "deploy", "checkout");
    asked["context"] = json!({ "version": "2.0", "regions": ["eu", "us"] });
    asked
}

/// Evaluates a question, and returns the submission for its denial.
#[track_caller]
fn denied(client: &Client, asked: &Value) -> Value {
    let context = client.post(EVALUATION, asked).ok()["context"].clone();
    assert_eq!(context["reason"], "approval_required", "{context}");
    let mut submission = asked.clone();
    submission["denial"] = json!({
        "evaluation_id": context["evaluation_id"],
        "evaluated_at": context["evaluated_at"],
        "expires_at": context["access_request"]["expires_at"],
        "reason": context["reason"],
    });
    submission
}

/// Requests an approval for a question; returns the task.
#[track_caller]
fn requested(client: &Client, asked: &Value) -> Value {
    client.post(REQUESTS, &denied(client, asked)).json(201)["task"].clone()
}

#[track_caller]
fn task(client: &Client, task: &Value) -> Value {
    client.get(&format!("{REQUESTS}/{}", text(task, "id"))).ok()
}

/// Decides the approval of a task.
#[track_caller]
fn decided(client: &Client, task: &Value, decision: &str) {
    let approval = client.show(task);
    client.act(task, "approve", &ballot(&approval, decision, APPROVER)).ok();
}

/// Requests an approval that is approved; returns the question with it.
#[track_caller]
fn granted(client: &Client, asked: &Value) -> Value {
    let made = requested(client, asked);
    decided(client, &made, "approved");
    with_approval(asked, &task(client, &made)["result"]["approval"])
}

/// Requests an approval that an approver with a token approves; returns the task, and the question with
/// the approval.
#[track_caller]
fn granted_by(office: &Office, pep: &Client) -> (Value, Value) {
    let approver = office.token(APPROVER, &["approver"]);
    let made = requested(pep, &asked());
    let approval = approver.show(&made);
    approver.act(&made, "approve", &ballot(&approval, "approved", APPROVER)).ok();
    let asked = with_approval(&asked(), &task(pep, &made)["result"]["approval"]);
    (made, asked)
}

fn with_approval(asked: &Value, approval: &Value) -> Value {
    let mut asked = asked.clone();
    if asked.get("context").is_none() {
        asked["context"] = json!({});
    }
    asked["context"]["approval"] = approval.clone();
    asked
}

/// Checks that an evaluation is denied for a reason; returns its context.
#[track_caller]
fn refused(answer: &Answer, reason: &str, next_action: &str) -> Value {
    let answer = answer.ok();
    assert_eq!(answer["decision"], false, "{answer}");
    let context = answer["context"].clone();
    assert_eq!(context["reason"], reason, "{context}");
    assert_eq!(context["next_action"], next_action, "{context}");
    assert_eq!(context.get("access_request").is_some(), next_action == "request", "{context}");
    assert_eq!(context.get("retry_after").is_some(), next_action == "retry", "{context}");
    assert_eq!(context.get("execution"), None);
    context
}

#[track_caller]
fn typed(answer: &Answer, status: u16, code: &str, kind: &str) {
    let problem = answer.refused_with(status, code);
    assert_eq!(problem["type"], format!("urn:openid:authzen:access-request:error:{kind}"));
}

#[test]
fn an_approved_request_permits_one_evaluation() {
    let (_home, server) = home_and_server();
    let made = server.post(REQUESTS, &denied(&server, &asked()));
    let shown = made.json(201)["task"].clone();
    let url = format!("{}{REQUESTS}/{}", server.url, text(&shown, "id"));
    assert_eq!(made.header("location"), Some(url.as_str()));
    assert_eq!(shown["status"], "pending");
    assert_eq!(shown["status_endpoint"], url);
    assert_eq!(shown["links"], json!({ "cancel": format!("{url}/cancel") }));
    assert_eq!(shown["progress"], json!({ "current_step": 1, "total_steps": 1 }));
    assert_eq!(task(&server, &shown), json!({ "task": shown }));
    decided(&server, &shown, "approved");
    let done = task(&server, &shown);
    assert_eq!(done["task"]["status"], "approved");
    assert_eq!(done["task"].get("links"), None);
    let approval = &done["result"]["approval"];
    let approved = server.show(&shown);
    assert_eq!(done["result"]["mode"], "reevaluate");
    assert_eq!(approval["id"], shown["id"]);
    assert_eq!(approval["approved_at"], approved["approved_at"]);
    assert_eq!(approval["approved_until"], approved["expires_at"]);
    let receipt: Value = serde_json::from_str(text(approval, "state")).unwrap();
    assert_eq!(receipt["kind"], "signoff-receipt");
    let permitted = server.post(EVALUATION, &with_approval(&asked(), approval)).ok();
    assert_eq!(permitted["decision"], true);
    let context = &permitted["context"];
    assert_eq!(context["approval"]["id"], shown["id"]);
    assert_eq!(context["approval"]["approved_until"], approval["approved_until"]);
    let execution = &context["execution"];
    let outcome = json!({ "execution_id": execution["id"], "outcome": "succeeded" });
    let path = text(execution, "outcome_endpoint").strip_prefix(&server.url).unwrap().to_owned();
    assert_eq!(server.post(&path, &outcome).ok()["execution"]["outcome"], "succeeded");
    let again = server.post(EVALUATION, &with_approval(&asked(), approval));
    refused(&again, "approval_expired", "request");
    // The task has ended once, whatever became of the approval.
    assert_eq!(task(&server, &shown)["task"]["status"], "approved");
    assert_eq!(
        server.events_of(&shown),
        ["approval_requested", "approval_decided", "approval_claimed", "execution_settled"]
    );
}

#[test]
fn of_concurrent_evaluations_with_one_approval_one_is_permitted() {
    let (_home, server) = home_and_server();
    for _ in 0..5 {
        let asked = granted(&server, &asked());
        let permitted: usize = thread::scope(|scope| {
            let ask = || server.post(EVALUATION, &asked).ok()["decision"] == true;
            let asking: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            asking.into_iter().map(|handle| usize::from(handle.join().unwrap())).sum()
        });
        assert_eq!(permitted, 1);
    }
}

#[test]
fn a_repeat_with_a_key_is_permitted_while_its_execution_runs() {
    let (_home, server) = home_and_server();
    let asked = granted(&server, &asked());
    let first = server.post_once(EVALUATION, "k", &asked).ok();
    let again = server.post_once(EVALUATION, "k", &asked);
    assert_eq!(again.ok()["decision"], true);
    assert_eq!(again.ok()["context"]["execution"], first["context"]["execution"]);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    refused(&server.post_once(EVALUATION, "other", &asked), "approval_expired", "request");
    let context = &first["context"];
    let outcome = json!({ "execution_id": context["execution"]["id"], "outcome": "failed" });
    server.act(&context["approval"], "outcome", &outcome).ok();
    refused(&server.post_once(EVALUATION, "k", &asked), "approval_expired", "request");
}

#[test]
fn the_members_of_a_question_may_come_in_another_order() {
    let (_home, server) = home_and_server();
    let question = r#"{"subject":{"type":"a","id":"x"},"action":{"name":"n"},"resource":{"type":"r","id":"i","properties":{"b":[1,2],"a":"\u00e9"}}}"#;
    let asked: Value = serde_json::from_str(question).unwrap();
    let granted = granted(&server, &asked);
    let approval = &granted["context"]["approval"];
    let body = format!(
        r#"{{"context":{{"approval":{approval}}},"resource":{{"properties":{{"a":"é", "b":[ 1, 2 ]}},"id":"i","type":"r"}},"action":{{"name":"n"}},"subject":{{"id":"x","type":"a"}}}}"#
    );
    assert_eq!(server.post_text(EVALUATION, body).ok()["decision"], true);
}

#[test]
fn what_differs_from_what_was_approved_is_out_of_scope() {
    let (_home, server) = home_and_server();
    let asked = granted(&server, &asked());
    let differs = |pointer: &str, value: Value| {
        let mut other = asked.clone();
        *other.pointer_mut(pointer).unwrap() = value;
        server.post(EVALUATION, &other)
    };
    for (pointer, value) in [
        ("/subject/id", json!("releaser")),
        ("/subject/type", json!("user")),
        ("/subject", json!({ "type": "agent", "id": "deployer", "properties": {} })),
        ("/action/name", json!("destroy")),
        ("/action", json!({ "name": "deploy", "properties": { "force": true } })),
        ("/resource/id", json!("billing")),
        ("/resource/type", json!("database")),
        ("/context/version", json!("2.1")),
        ("/context/version", json!(2.0)),
        ("/context/regions", json!(["us", "eu"])),
    ] {
        let context = refused(&differs(pointer, value), "out_of_scope", "request");
        // It can be requested as it is now.
        let id = text(&context, "evaluation_id");
        assert!(id.starts_with("eval_"));
    }
    let mut more = asked.clone();
    more["context"]["ticket"] = json!(1);
    refused(&server.post(EVALUATION, &more), "out_of_scope", "request");
    assert_eq!(server.post(EVALUATION, &asked).ok()["decision"], true);
}

#[test]
fn an_approval_that_is_used_for_something_else_leaves_a_trace() {
    let office = Office::new();
    let pep = office.token("gateway", &["requester", "executor"]);
    let (_, asked) = granted_by(&office, &pep);
    let mut other = asked.clone();
    other["resource"]["id"] = json!("billing");
    refused(&pep.post(EVALUATION, &other), "out_of_scope", "request");
    let mut forged = asked.clone();
    forged["context"]["approval"]["state"] = json!("{}");
    refused(&pep.post(EVALUATION, &forged), "approval_unverifiable", "none");
    let entries = office.admin.audit();
    let traces: Vec<_> = entries.iter().filter(|e| e["event"] == "request_refused").collect();
    assert_eq!(traces.len(), 2, "{traces:?}");
    for (trace, code) in traces.iter().zip(["context-mismatch", "receipt-invalid"]) {
        assert_eq!(trace["operation"], "POST /access/v1/evaluation");
        assert_eq!(trace["approval_id"], asked["context"]["approval"]["id"]);
        assert_eq!((&trace["code"], &trace["actor"]), (&json!(code), &json!("gateway")));
    }
}

#[test]
fn what_cannot_be_verified_permits_nothing() {
    let (_home, server) = home_and_server();
    let asked = granted(&server, &asked());
    let mut second = question("deployer", "deploy", "checkout");
    second["context"] = json!({ "version": "3.0" });
    let other = granted(&server, &second);
    let approval = &asked["context"]["approval"];
    let state = text(approval, "state");
    let signature = &state[state.rfind('—').unwrap()..];
    let presents = |id: &Value, state: Value| {
        let presented = json!({ "id": id, "state": state });
        server.post(EVALUATION, &with_approval(&asked, &presented))
    };
    let id = &approval["id"];
    for state in [
        json!(""),
        json!("x"),
        json!("{}"),
        json!(null),
        json!(7),
        json!(serde_json::from_str::<Value>(state).unwrap()),
        json!(state[..state.len() - 1]),
        json!(format!("{state} ")),
        json!(state.replace("\"deploy\"", "\"destroy\"")),
        json!(state.replace(signature, &signature.replace(|c: char| c.is_ascii_digit(), "A"))),
        json!(state.replace("\"approved\"", "\"rejected\"")),
        other["context"]["approval"]["state"].clone(),
    ] {
        refused(&presents(id, state), "approval_unverifiable", "none");
    }
    for id in [json!(""), json!("appr_x"), json!("appr_01m8qrep91k3crskzzwc893ssg"), json!("é")] {
        refused(&presents(&id, json!(state)), "approval_unverifiable", "none");
        let alone = with_approval(&asked, &json!({ "id": id }));
        refused(&server.post(EVALUATION, &alone), "approval_unverifiable", "none");
    }
    // The times are the store's: what was made of them decides nothing.
    let mut altered = approval.clone();
    altered["approved_until"] = json!("2000-01-01T00:00:00Z");
    altered["approved_at"] = json!([]);
    let permitted = server.post(EVALUATION, &with_approval(&asked, &altered)).ok();
    assert_eq!(permitted["decision"], true);
    assert_eq!(permitted["context"]["approval"]["approved_until"], approval["approved_until"]);
}

#[test]
fn an_approval_is_found_by_its_id_alone() {
    let (_home, server) = home_and_server();
    let asked = granted(&server, &asked());
    let id = json!({ "id": asked["context"]["approval"]["id"] });
    let alone = with_approval(&asked, &id);
    assert_eq!(server.post(EVALUATION, &alone).ok()["decision"], true);
    refused(&server.post(EVALUATION, &asked), "approval_expired", "request");
}

#[test]
fn the_status_of_an_approval_decides_what_to_do_next() {
    let (_home, server) = home_and_server();
    let presented = |made: &Value| {
        server.post(EVALUATION, &with_approval(&asked(), &json!({ "id": made["id"] })))
    };
    let made = requested(&server, &asked());
    refused(&presented(&made), "grant_pending", "retry");
    decided(&server, &made, "rejected");
    refused(&presented(&made), "approval_unverifiable", "none");
    assert_eq!(task(&server, &made)["task"]["status"], "denied");
    assert_eq!(task(&server, &made).get("result"), None);
    let made = requested(&server, &asked());
    decided(&server, &made, "approved");
    server.act(&made, "withdraw", &json!({})).ok();
    refused(&presented(&made), "approval_expired", "request");
    assert_eq!(task(&server, &made)["task"]["status"], "approved");
}

#[test]
fn approvers_are_steps_and_a_revoked_key_ends_what_it_approved() {
    let office = Office::set_to("[requirement]\nthreshold = 2\n");
    let pep = office.token("gateway", &["requester", "executor"]);
    let (ann, ben) = (office.person("ann@company.com", &[]), office.person("ben@company.com", &[]));
    let made = requested(&pep, &asked());
    assert_eq!(made["progress"], json!({ "current_step": 1, "total_steps": 2 }));
    assert_eq!(ann.approves(&ann.client.show(&made)), "pending");
    let shown = task(&pep, &made);
    assert_eq!(shown["task"]["progress"], json!({ "current_step": 2, "total_steps": 2 }));
    assert_eq!(shown.get("result"), None);
    let early = with_approval(&asked(), &json!({ "id": made["id"] }));
    refused(&pep.post(EVALUATION, &early), "grant_pending", "retry");
    assert_eq!(ben.approves(&ben.client.show(&made)), "approved");
    let asked = with_approval(&asked(), &task(&pep, &made)["result"]["approval"]);
    office.home.run(&["key", "revoke", "ann", "--yes"]).ok();
    refused(&pep.post(EVALUATION, &asked), "approval_expired", "request");
}

#[test]
fn a_policy_decides_before_an_approval_does() {
    let (home, server) = home_with_signer();
    let rules = |verdict: &str| format!("format = 1\nname = \"p\"\ndefault = \"{verdict}\"\n");
    activated(&home, &server, "p", 1, &rules("require_approval"));
    let asked = granted(&server, &asked());
    activated(&home, &server, "p", 2, &rules("deny"));
    refused(&server.post(EVALUATION, &asked), "policy_denied", "none");
    activated(&home, &server, "p", 3, &rules("allow"));
    // No approval is needed, so none is used.
    assert_eq!(server.post(EVALUATION, &asked).ok(), json!({ "decision": true }));
    assert_eq!(server.show(&asked["context"]["approval"])["status"], "approved");
    let rules = format!("# The first again, in other bytes.\n{}", rules("require_approval"));
    activated(&home, &server, "p", 4, &rules);
    assert_eq!(server.post(EVALUATION, &asked).ok()["decision"], true);
}

#[test]
fn a_request_is_bound_to_what_its_caller_evaluated() {
    let office = Office::new();
    let pep = office.token("gateway", &["requester", "executor"]);
    let other = office.token("other", &["requester", "executor"]);
    let submission = denied(&pep, &asked());
    let invalid = |answer: Answer| typed(&answer, 400, "request-invalid", "invalid_denial_binding");
    invalid(other.post(REQUESTS, &submission));
    for (pointer, value) in [
        ("/subject/type", json!("user")),
        ("/action/name", json!("destroy")),
        ("/resource/id", json!("billing")),
        ("/context/version", json!("2.1")),
        ("/denial/evaluation_id", json!("eval_1")),
        ("/denial/evaluation_id", json!("eval_999999")),
        ("/denial/evaluation_id", json!("eval_18446744073709551615")),
        ("/denial/evaluation_id", json!("x")),
        ("/denial/evaluation_id", json!("")),
        ("/denial/evaluation_id", json!(null)),
    ] {
        let mut altered = submission.clone();
        *altered.pointer_mut(pointer).unwrap() = value;
        invalid(pep.post(REQUESTS, &altered));
    }
    let mut token = submission.clone();
    token["denial"]["binding_token"] = json!("eyJ");
    invalid(pep.post(REQUESTS, &token));
    assert_eq!(pep.get("/api/v1/approvals").ok()["items"], json!([]));
    let mut echoed = submission;
    echoed["denial"]["expires_at"] = json!("2999-01-01T00:00:00.5+02:00");
    pep.post(REQUESTS, &echoed).json(201);
}

#[test]
fn only_what_requires_an_approval_can_be_requested() {
    let (home, server) = home_with_signer();
    let rules = |verdict: &str| format!("format = 1\nname = \"p\"\ndefault = \"{verdict}\"\n");
    let before = denied(&server, &asked());
    for (version, verdict) in [(1, "allow"), (2, "deny")] {
        activated(&home, &server, "p", version, &rules(verdict));
        server.post(EVALUATION, &asked()).ok();
        let entries = server.get("/api/v1/audit/checkpoint").body;
        let number: u64 = entries.lines().nth(1).unwrap().parse().unwrap();
        let mut submission = before.clone();
        submission["denial"]["evaluation_id"] = json!(format!("eval_{number}"));
        typed(&server.post(REQUESTS, &submission), 400, "policy-denied", "not_requestable");
    }
    // The policy that is active now decides too.
    typed(&server.post(REQUESTS, &before), 400, "policy-denied", "not_requestable");
}

#[test]
fn an_old_denial_and_an_expired_approval_are_evaluated_anew() {
    let home = Home::new();
    let now = SystemClock.now();
    let clock = Arc::new(ManualClock::at(now));
    let inside = Inside::start(&home, VERIFIER, Arc::clone(&clock) as Arc<dyn Clock>);
    let client = &inside.client;
    let submission = denied(client, &asked());
    clock.set(now + 630);
    let first = client.post_once(REQUESTS, "k", &submission);
    first.json(201);
    clock.set(now + 631);
    let late = client.post(REQUESTS, &submission);
    typed(&late, 410, "request-too-old", "expired_denial");
    // A repeat of what was in time gets its answer.
    assert_eq!(client.post_once(REQUESTS, "k", &submission).body, first.body);
    let asked = granted(client, &asked());
    // This server has no log key, so it hands out no receipt.
    assert_eq!(asked["context"]["approval"].get("state"), None);
    let mut forged = asked.clone();
    forged["context"]["approval"]["state"] = json!("{}");
    refused(&client.post(EVALUATION, &forged), "approval_unverifiable", "none");
    let pending = requested(client, &self::asked());
    clock.set(now + 631 + 3_601);
    refused(&client.post(EVALUATION, &asked), "approval_expired", "request");
    assert_eq!(task(client, &pending)["task"]["status"], "expired");
    assert_eq!(task(client, &asked["context"]["approval"])["task"]["status"], "approved");
    inside.stop();
}

#[test]
fn a_justification_becomes_the_reason_unless_it_was_evaluated() {
    let (_home, server) = home_and_server();
    let mut submission = denied(&server, &asked());
    submission["context"]["business_justification"] = json!("release day");
    let made = server.post(REQUESTS, &submission).json(201)["task"].clone();
    let approval = server.show(&made);
    assert_eq!(approval["reason"], "release day");
    assert_eq!(approval["context"]["context"], asked()["context"]);
    let mut asked = asked();
    asked["context"]["business_justification"] = json!("release day");
    let made = requested(&server, &asked);
    let approval = server.show(&made);
    assert_eq!(approval["reason"], Value::Null);
    assert_eq!(approval["context"]["context"], asked["context"]);
    // In an evaluation it is part of the question, whatever it is.
    asked["context"]["business_justification"] = json!("release\rday");
    assert_eq!(server.post(EVALUATION, &asked).ok()["decision"], false);
    for wrong in [json!(7), json!({ "text": "release day" })] {
        let mut submission = denied(&server, &self::asked());
        submission["context"]["business_justification"] = wrong;
        let answer = server.post(REQUESTS, &submission);
        typed(&answer, 400, "request-invalid", "invalid_denial_binding");
    }
}

#[test]
fn a_wish_sets_the_end_of_the_approval() {
    let (_home, server) = home_and_server();
    let mut submission = denied(&server, &asked());
    let now = i64::try_from(SystemClock.now()).unwrap();
    let at = |seconds: i64| {
        let time = chrono::DateTime::from_timestamp(now + seconds, 0).unwrap();
        json!({ "requested_until": time.to_rfc3339(), "role": "ignored" })
    };
    submission["requested_access"] = at(7_200);
    let made = server.post(REQUESTS, &submission).json(201)["task"].clone();
    let until = chrono::DateTime::parse_from_rfc3339(text(&made, "expires_at")).unwrap();
    assert!((until.timestamp() - now - 7_200).abs() <= 1, "{made}");
    for seconds in [-1, 8 * 86_400] {
        submission["requested_access"] = at(seconds);
        assert_eq!(server.post(REQUESTS, &submission).status, 400, "{seconds}");
    }
}

#[test]
fn what_would_have_no_effect_is_refused() {
    let (_home, server) = home_and_server();
    let submission = denied(&server, &asked());
    for (member, value) in [
        ("items", json!([])),
        ("items", json!([{ "resource": {}, "action": {} }])),
        ("callback", json!({ "endpoint": "https://pep.example.com/cb" })),
        ("client", json!({ "actor": { "id": "agent_1" } })),
        ("client", json!([])),
        ("requested_access", json!({ "emergency": true })),
        ("requested_access", json!({ "requested_until": "tomorrow" })),
        ("requested_access", json!(null)),
        ("denial", json!(null)),
        ("denial", json!([])),
        ("denial", json!({ "evaluation_id": "eval_1" })),
        ("denial", json!({ "evaluation_id": 1, "expires_at": "2026-04-30T20:25:00Z" })),
        ("denial", json!({ "evaluation_id": "eval_1", "expires_at": "later" })),
    ] {
        let mut wrong = submission.clone();
        wrong[member] = value;
        let answer = server.post(REQUESTS, &wrong);
        assert_eq!(answer.status, 400, "{member}: {}", answer.body);
        answer.code();
    }
    assert_eq!(server.get("/api/v1/approvals").ok()["items"], json!([]));
    let mut known = submission;
    known["client"] = json!({ "id": "gateway", "source": { "session_id": "s" } });
    server.post(REQUESTS, &known).json(201);
}

#[test]
fn a_key_with_another_request_is_a_duplicate() {
    let (_home, server) = home_and_server();
    let submission = denied(&server, &asked());
    let first = server.post_once(REQUESTS, "k", &submission);
    let again = server.post_once(REQUESTS, "k", &submission);
    assert_eq!(first.json(201), again.json(201));
    assert_eq!(first.header("location"), again.header("location"));
    let mut other = submission;
    other["client"] = json!({ "id": "gateway" });
    let other = server.post_once(REQUESTS, "k", &other);
    typed(&other, 409, "idempotency-key-reused", "duplicate_request");
}

#[test]
fn a_pending_request_can_be_cancelled() {
    let (_home, server) = home_and_server();
    let made = requested(&server, &asked());
    let cancel = format!("{REQUESTS}/{}/cancel", text(&made, "id"));
    server.post(&cancel, &json!({ "reason": 7 })).refused_with(400, "request-invalid");
    let body = json!({ "reason": "obsolete", "comment": "no longer needed" });
    let cancelled = server.post(&cancel, &body).ok();
    assert_eq!(cancelled["task"]["status"], "cancelled");
    assert_eq!(server.show(&made)["status"], "withdrawn");
    assert_eq!(task(&server, &made), cancelled);
    typed(&server.post(&cancel, &body), 409, "already-decided", "invalid_task_state");
    let made = requested(&server, &asked());
    decided(&server, &made, "approved");
    let cancel = format!("{REQUESTS}/{}/cancel", text(&made, "id"));
    typed(&server.post(&cancel, &body), 409, "already-decided", "invalid_task_state");
    assert_eq!(server.show(&made)["status"], "approved");
    for id in ["x", "appr_01m8qrep91k3crskzzwc893ssg", "%00", "appr_%2e%2e"] {
        typed(&server.get(&format!("{REQUESTS}/{id}")), 404, "not-found", "unknown_task");
        let answer = server.post(&format!("{REQUESTS}/{id}/cancel"), &body);
        typed(&answer, 404, "not-found", "unknown_task");
    }
    let query = format!("{REQUESTS}/{}?wait=1", text(&made, "id"));
    server.get(&query).refused_with(400, "request-invalid");
}

/// A cancellation that is refused changes nothing, also if the decision comes at the same time.
#[test]
fn a_cancellation_beside_a_decision_withdraws_no_approval() {
    let (_home, server) = home_and_server();
    for round in 0..20 {
        let mut asked = asked();
        asked["context"]["round"] = json!(round);
        let made = requested(&server, &asked);
        let cancel = format!("{REQUESTS}/{}/cancel", text(&made, "id"));
        let cancelled = std::thread::scope(|scope| {
            let cancelled = scope.spawn(|| server.post(&cancel, &json!({})).status);
            server.decide(&made, "approved", APPROVER);
            cancelled.join().unwrap()
        });
        let status = server.show(&made)["status"].clone();
        match cancelled {
            200 => assert_eq!(status, "withdrawn"),
            409 => assert_eq!(status, "approved"),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn only_an_executor_uses_an_approval_and_only_a_requester_is_offered_one() {
    let office = Office::new();
    let pep = office.token("gateway", &["requester", "executor"]);
    let (made, asked) = granted_by(&office, &pep);
    office.requester.post(EVALUATION, &asked).refused("forbidden");
    let denied = office.executor.post(EVALUATION, &self::asked()).ok();
    assert_eq!(denied["context"]["reason"], "approval_required");
    assert_eq!(denied["context"].get("access_request"), None);
    let other = office.token("agent:other", &["requester", "executor"]);
    other.post(EVALUATION, &asked).refused("forbidden");
    typed(
        &other.get(&format!("{REQUESTS}/{}", text(&made, "id"))),
        404,
        "not-found",
        "unknown_task",
    );
    let listed = pep.post(EVALUATIONS, &json!({ "evaluations": [asked] })).ok();
    assert_eq!(listed["evaluations"][0]["context"]["error"]["code"], "request-invalid");
    assert_eq!(pep.post(EVALUATION, &asked).ok()["decision"], true);
    // An executor without a way to request another one has nothing to do next.
    refused(&office.executor.post(EVALUATION, &asked), "approval_expired", "none");
}
