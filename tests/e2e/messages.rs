//! What a refusal says: the words of JSON and HTTP, not those of the program.

use serde_json::{Value, json};

use crate::support::{APPROVER, ballot, claim_body, home_and_server, id, request_body, text};

/// Words of Rust and serde that mean nothing to a caller.
const RUST: [&str; 14] = [
    "i64", "i32", "u64", "u32", "u16", "u8", "usize", "struct", "sequence", "variant", "newtype",
    "RawValue", "Option", "::",
];

/// Every member of every body, with a value of every other kind.
#[test]
fn a_wrong_type_is_named_in_the_words_of_json_in_every_body() {
    let (_home, server) = home_and_server();
    let document = server.get("/openapi.json").ok();
    // Some of the bodies are right, and one of them makes a token: from then on every call needs one.
    let roles = ["requester", "approver", "executor", "auditor", "policy", "admin"];
    let made = json!({ "subject": "everything@company.com", "roles": roles });
    let made = server.post("/api/v1/tokens", &made).json(201);
    let server = server.with_token(text(&made, "token"));
    let approval = server.request();
    let wrong = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5),
        json!("x"),
        json!([5]),
        json!({ "x": 5 }),
    ];
    let mut refused = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let body = &item["post"]["requestBody"]["content"]["application/json"]["example"];
        let Some(members) = body.as_object() else { continue };
        let path = path
            .replace("approvals/{id}", &format!("approvals/{}", id(&approval)))
            .replace("{id}", "tok_x")
            .replace("{digest}", &"0".repeat(64))
            .replace("{slot}", "policy");
        let whole = wrong.iter().cloned();
        let each = members.keys().flat_map(|member| {
            wrong.iter().map(move |value| {
                let mut body = body.clone();
                body[member] = value.clone();
                body
            })
        });
        for body in whole.chain(each) {
            let answer = server.post(&path, &body);
            let Ok(problem) = serde_json::from_str::<Value>(&answer.body) else { continue };
            let Some(detail) = problem["detail"].as_str() else { continue };
            assert!(![401, 500, 503].contains(&answer.status), "{path} {body}: {detail}");
            refused += 1;
            for word in RUST {
                assert!(!detail.contains(word), "{path} {body}: {detail}");
            }
        }
    }
    assert!(refused > 150, "only {refused} refusals");
    let mut body = request_body();
    body["expires_in_seconds"] = json!("7200");
    let detail = server.post("/api/v1/approvals", &body).refused("request-invalid");
    let expected = "body: expires_in_seconds: expected an integer, found a string at line 1 column";
    assert!(text(&detail, "detail").starts_with(expected), "{detail}");
}

/// What is signed is kept as it was sent, so line ends are not changed.
#[test]
fn a_carriage_return_is_refused_with_what_to_send_instead() {
    let (_home, server) = home_and_server();
    let says_what = |problem: &Value| {
        let detail = text(problem, "detail");
        assert!(detail.contains("`\\r`") && detail.contains("`\\n` alone"), "{detail}");
    };
    let mut body = request_body();
    body["reason"] = json!("first line\r\nsecond line");
    says_what(&server.post("/api/v1/approvals", &body).refused("request-invalid"));
    let approval = server.request();
    for operation in ["approve", "reject"] {
        let decision = if operation == "approve" { "approved" } else { "rejected" };
        let mut body = ballot(&approval, decision, APPROVER);
        body["comment"] = json!("a\r\nb");
        says_what(&server.act(&approval, operation, &body).refused("request-invalid"));
    }
    let approved = server.approved();
    let executed = server.act(&approved, "execute", &claim_body()).ok();
    let mut outcome = json!({ "execution_id": executed["execution"]["id"], "outcome": "failed", "detail": "a\r" });
    says_what(&server.act(&approved, "outcome", &outcome).refused("request-invalid"));
    outcome["detail"] = json!("a\nb");
    server.act(&approved, "outcome", &outcome).ok();
}

/// Without tokens the agent is as trustworthy for the outcome as for the claim.
#[test]
fn without_tokens_claim_and_outcome_are_recorded_for_the_agent() {
    let (_home, server) = home_and_server();
    let approved = server.approved();
    let executed = server.claim(&approved).ok();
    let outcome = json!({ "execution_id": executed["execution"]["id"], "outcome": "succeeded" });
    server.act(&approved, "outcome", &outcome).ok();
    let audit = server.audit();
    let actor = |event: &str| {
        let entry = audit.iter().find(|entry| entry["event"] == event).expect("an entry");
        entry["actor"].clone()
    };
    assert_eq!(actor("approval_claimed"), json!("agent:knowledge_update"));
    assert_eq!(actor("execution_settled"), json!("agent:knowledge_update"));
    // A call for a missing approval is still not found.
    let missing = json!({ "id": format!("appr_{}", "0".repeat(26)) });
    server.act(&missing, "outcome", &outcome).refused("not-found");
}

#[test]
fn an_unknown_status_lists_those_that_exist() {
    let (_home, server) = home_and_server();
    let known = server.request();
    for path in ["?status=bogus".to_owned(), format!("/{}?while=bogus", id(&known))] {
        let problem = server.get(&format!("/api/v1/approvals{path}")).refused("request-invalid");
        for status in ["pending", "approved", "rejected", "executed", "expired", "withdrawn"] {
            assert!(text(&problem, "detail").contains(status), "{problem}");
        }
    }
}

#[test]
fn a_content_encoding_is_refused_with_the_one_that_is_accepted() {
    let (_home, server) = home_and_server();
    for encoding in ["gzip", "br", "gzip, identity"] {
        let headers = [("content-encoding", encoding)];
        let body = request_body().to_string();
        let answer = server.try_post("/api/v1/approvals", &headers, body.as_bytes()).unwrap();
        answer.refused("unsupported-media-type");
        assert_eq!(answer.header("accept-encoding"), Some("identity"), "{encoding}");
    }
    let answer = server.try_call(ureq::http::Method::POST, "/api/v1/approvals", &[], Some(b"{}"));
    assert_eq!(answer.unwrap().header("accept-encoding"), None, "nothing was encoded");
}

#[test]
fn a_missing_resource_is_named_by_its_title() {
    let (_home, server) = home_and_server();
    server.request();
    let nobody = "0".repeat(64);
    for (path, title) in [
        ("/api/v1/approvals/appr_x".to_owned(), "Approval not found"),
        (format!("/api/v1/modules/{nobody}"), "Module not found"),
        ("/api/v1/modules/x".to_owned(), "Module not found"),
        (format!("/api/v1/guardrails/policy/{nobody}/wasm"), "Module not found"),
        ("/api/v1/modules/inbox/flips".to_owned(), "Slot not found"),
        ("/api/v1/audit/proof?entry=4711".to_owned(), "Audit entry not found"),
        ("/api/v1/audit/proof?from=4711".to_owned(), "Tree size not found"),
        ("/api/v1/audit/proof?from=1&size=4711".to_owned(), "Tree size not found"),
        ("/api/v1/approval".to_owned(), "Route not found"),
        ("/approvals".to_owned(), "Route not found"),
        ("/favicon.ico".to_owned(), "Route not found"),
    ] {
        assert_eq!(server.get(&path).refused("not-found")["title"], title, "{path}");
    }
    let revoke = server.post("/api/v1/tokens/tok_x/revoke", &json!({}));
    assert_eq!(revoke.refused("not-found")["title"], "Token not found");
    // A proxy or `--server` adds a prefix that nobody removed.
    let prefixed = server.get("/signoff/api/v1/approvals").refused("not-found");
    let detail = prefixed["detail"].as_str().unwrap();
    assert!(detail.contains("has no prefix `/signoff`"), "{detail}");
    let long = server.get(&format!("/{}", "x".repeat(5_000))).refused("not-found");
    assert!(long["detail"].as_str().unwrap().len() < 400, "{long}");
}
