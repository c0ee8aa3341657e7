//! The AuthZEN Authorization API: evaluations of one and of several questions, and metadata.

use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::{
    Answer, Client, Office, Raw, activated, home_and_server, home_with_signer, text,
};

pub const EVALUATION: &str = "/access/v1/evaluation";
pub const EVALUATIONS: &str = "/access/v1/evaluations";
const METADATA: &str = "/.well-known/authzen-configuration";

const RULES: &str = r#"
format = 1
name = "records"
default = "require_approval"

[[rule]]
id = "reads"
action = "read"
when = 'context.resource.type == "record"'
verdict = "allow"

[[rule]]
id = "hard-delete"
action = "delete"
when = "!context.action.properties.soft"
verdict = "deny"
reason = "nobody deletes {context.resource.id} for good"

[[rule]]
id = "writes"
action = "write"
when = 'context.context.channel == "mail"'
verdict = "require_approval"
ttl = "urgent"
reason = "{context.subject.id} writes {context.resource.id} by mail"
"#;

/// A question without a context.
pub fn question(subject: &str, action: &str, resource: &str) -> Value {
    json!({
        "subject": { "type": "agent", "id": subject },
        "action": { "name": action },
        "resource": { "type": "record", "id": resource },
    })
}

#[track_caller]
fn decision(answer: &Answer) -> bool {
    answer.ok()["decision"].as_bool().expect("a decision")
}

/// Returns the evaluations that the log has, as `action decision`.
fn evaluated(server: &Client) -> Vec<String> {
    let evaluated = server.audit().into_iter().filter(|e| e["event"] == "guardrails_evaluated");
    let named =
        evaluated.map(|e| format!("{} {}", text(&e, "action"), text(&e["guardrail"], "decision")));
    named.collect()
}

#[test]
fn the_policy_decides_an_evaluation() {
    let (home, server) = home_with_signer();
    activated(&home, &server, "records", 1, RULES);
    let allowed = server.post(EVALUATION, &question("alice", "read", "r-1"));
    assert_eq!(allowed.ok(), json!({ "decision": true }));
    let mut deletion = question("alice", "delete", "r-1");
    deletion["action"]["properties"] = json!({ "soft": false });
    let denied = server.post(EVALUATION, &deletion).ok();
    assert_eq!(denied["decision"], false);
    assert_eq!(denied["context"]["reason"], "policy_denied");
    assert_eq!(denied["context"]["message"], "nobody deletes r-1 for good");
    assert_eq!(denied["context"]["next_action"], "none");
    assert_eq!(denied["context"].get("access_request"), None);
    let mut write = question("alice", "write", "r-1");
    write["context"] = json!({ "channel": "mail" });
    let requestable = server.post(EVALUATION, &write).ok();
    assert_eq!(requestable["decision"], false);
    let context = &requestable["context"];
    assert_eq!(context["reason"], "approval_required");
    assert_eq!(context["message"], "alice writes r-1 by mail");
    assert_eq!(context["access_request"]["endpoint"], format!("{}/access/v1/requests", server.url));
    assert_eq!(evaluated(&server), ["read allow", "delete deny", "write require_approval"]);
    // The id is the number of the entry.
    let id = text(context, "evaluation_id").strip_prefix("eval_").unwrap().to_owned();
    let page =
        server.get(&format!("/api/v1/audit?after={}&limit=1", id.parse::<u64>().unwrap() - 1));
    assert_eq!(page.ok()["items"][0]["entry"]["event"]["action"], "write");
}

#[test]
fn a_repeat_with_a_key_is_evaluated_anew() {
    let (_home, server) = home_and_server();
    let asked = question("alice", "write", "r-1");
    let first = server.post_once(EVALUATION, "k", &asked);
    let again = server.post_once(EVALUATION, "k", &asked);
    assert_ne!(first.ok()["context"]["evaluation_id"], again.ok()["context"]["evaluation_id"]);
    assert_eq!(again.header("idempotency-replayed"), None);
    server.post_once(EVALUATION, "k", &question("alice", "write", "r-2")).ok();
    assert_eq!(evaluated(&server).len(), 3);
    let several = json!({ "evaluations": [asked, {}, asked] });
    for _ in 0..2 {
        let answer = server.post_once(EVALUATIONS, "k", &several);
        assert_eq!(answer.ok()["evaluations"].as_array().unwrap().len(), 3);
        assert_eq!(answer.header("idempotency-replayed"), None);
    }
    assert_eq!(evaluated(&server).len(), 7);
}

#[test]
fn the_defaults_of_a_list_count_for_each_question() {
    let (_home, server) = home_and_server();
    let mut asked = question("alice", "write", "r-1");
    asked["context"] = json!({ "large": "x".repeat(1 << 20) });
    asked["evaluations"] = vec![json!({}); 17].into();
    server.post(EVALUATIONS, &asked).refused_with(400, "limit-exceeded");
    assert_eq!(evaluated(&server).len(), 0);
}

#[test]
fn unknown_members_are_ignored_beside_the_question_and_kept_in_it() {
    let (_home, server) = home_and_server();
    let mut asked = question("alice", "write", "r-1");
    asked["futureField"] = json!({ "nested": true });
    asked["subject"]["clearance"] = json!(3);
    let evaluated = server.post(EVALUATION, &asked).ok();
    let mut submission = asked.clone();
    submission["denial"] = json!({
        "evaluation_id": evaluated["context"]["evaluation_id"],
        "expires_at": evaluated["context"]["access_request"]["expires_at"],
        "template": "whatever",
    });
    let task = server.post("/access/v1/requests", &submission).json(201);
    let approval = server.show(&task["task"]);
    assert_eq!(
        approval["context"],
        json!({
            "subject": asked["subject"], "action": asked["action"], "resource": asked["resource"],
            "context": {},
        })
    );
    assert_eq!((&approval["agent"], &approval["action"]), (&json!("alice"), &json!("write")));
}

#[test]
fn several_questions_are_evaluated_in_order_until_the_semantic_ends_them() {
    let (home, server) = home_with_signer();
    activated(&home, &server, "records", 1, RULES);
    let ask = |semantic: Value, actions: &[&str]| -> Vec<bool> {
        let items = actions.iter().map(|action| json!({ "action": { "name": action } }));
        let mut body = question("alice", "unused", "r-1");
        body["evaluations"] = items.collect();
        body["options"] = json!({ "evaluations_semantic": semantic, "another_option": "value" });
        let answer = server.post(EVALUATIONS, &body).ok();
        assert_eq!(answer.get("decision"), None);
        let answers = answer["evaluations"].as_array().unwrap().iter();
        answers.map(|answer| answer["decision"].as_bool().unwrap()).collect()
    };
    let actions = ["read", "write", "read"];
    assert_eq!(ask(json!("execute_all"), &actions), [true, false, true]);
    assert_eq!(ask(json!("deny_on_first_deny"), &actions), [true, false]);
    assert_eq!(ask(json!("permit_on_first_permit"), &["write", "read", "read"]), [false, true]);
    for semantic in [json!("all"), json!(null), json!(1), json!("Execute_All")] {
        let body = json!({ "evaluations": [{}], "options": { "evaluations_semantic": semantic } });
        server.post(EVALUATIONS, &body).refused_with(400, "request-invalid");
    }
}

#[test]
fn a_list_without_questions_is_one_question() {
    let (_home, server) = home_and_server();
    let mut asked = question("alice", "write", "r-1");
    for evaluations in [None, Some(json!([]))] {
        if let Some(evaluations) = evaluations {
            asked["evaluations"] = evaluations;
        }
        let answer = server.post(EVALUATIONS, &asked).ok();
        assert_eq!(answer["context"]["reason"], "approval_required");
    }
    let missing = json!({ "evaluations": [], "subject": asked["subject"] });
    server.post(EVALUATIONS, &missing).refused_with(400, "request-invalid");
}

#[test]
fn a_malformed_question_among_several_is_denied_alone() {
    let (_home, server) = home_and_server();
    let asked = question("alice", "write", "r-1");
    let mut presented = asked.clone();
    presented["context"] = json!({ "approval": { "id": "appr_01m8qrep91k3crskzzwc893ssg" } });
    let mut spaced = asked.clone();
    spaced["subject"]["id"] = json!("a b");
    let items = [json!({}), asked.clone(), presented, spaced, json!({ "subject": "alice" })];
    let answer = server.post(EVALUATIONS, &json!({ "evaluations": items })).ok();
    let answers = answer["evaluations"].as_array().unwrap();
    assert!(answers.iter().all(|answer| answer["decision"] == false));
    let reason = |number: usize| answers[number]["context"]["reason"].clone();
    assert_eq!(reason(1), "approval_required");
    for number in [0, 2, 3, 4] {
        let error = &answers[number]["context"]["error"];
        assert_eq!((&error["status"], &error["code"]), (&json!(400), &json!("request-invalid")));
    }
    assert_eq!(evaluated(&server).len(), 1);
    // What is no list of objects, and too long a list, refuses the whole.
    for evaluations in [json!([1]), json!([null]), json!([["x"]]), json!({}), json!(null)] {
        let body = json!({ "evaluations": evaluations });
        server.post(EVALUATIONS, &body).refused_with(400, "request-invalid");
    }
    // So does a malformed default, of which no question can make another.
    for (part, wrong) in [
        ("subject", json!("alice")),
        ("action", json!({ "x": 5 })),
        ("resource", json!([5])),
        ("context", json!(true)),
    ] {
        let body = json!({ "evaluations": [asked], part: wrong });
        server.post(EVALUATIONS, &body).refused_with(400, "request-invalid");
    }
    let body = json!({ "evaluations": vec![&asked; 65] });
    server.post(EVALUATIONS, &body).refused_with(400, "limit-exceeded");
    assert_eq!(evaluated(&server).len(), 1);
}

#[test]
fn a_token_for_other_agents_refuses_the_whole_list() {
    let office = Office::new();
    let made = json!({ "subject": "gateway", "roles": ["executor"], "agents": "mail-*" });
    let made = office.admin.post("/api/v1/tokens", &made).json(201);
    let gateway = office.server.with_token(text(&made, "token"));
    let (own, other) = (question("mail-1", "read", "r"), question("payroll", "read", "r"));
    assert!(!decision(&gateway.post(EVALUATION, &own)));
    gateway.post(EVALUATION, &other).refused("forbidden");
    gateway.post(EVALUATIONS, &json!({ "evaluations": [own, other] })).refused("forbidden");
}

/// Bodies that no AuthZEN client sends; each is refused with 400.
const MALFORMED: &[&str] = &[
    "",
    "   ",
    "{",
    "[]",
    "null",
    r#"{"action":{"name":"read"},"resource":{"type":"t","id":"i"}}"#,
    r#"{"subject":{"type":"t","id":"i"},"resource":{"type":"t","id":"i"}}"#,
    r#"{"subject":{"type":"t","id":"i"},"action":{"name":"read"}}"#,
    r#"{"subject":{"id":"i"},"action":{"name":"read"},"resource":{"type":"t","id":"i"}}"#,
    r#"{"subject":{"type":"t"},"action":{"name":"read"},"resource":{"type":"t","id":"i"}}"#,
    r#"{"subject":{"type":"t","id":"i"},"action":{},"resource":{"type":"t","id":"i"}}"#,
    r#"{"subject":{"type":"t","id":"i"},"action":{"name":"read"},"resource":{"id":"i"}}"#,
    r#"{"subject":{"type":"t","id":"i"},"action":{"name":"read"},"resource":{"type":"t"}}"#,
    r#"{"subject":"alice","action":{"name":"read"},"resource":{"type":"t","id":"i"}}"#,
    r#"{"subject":["t","i"],"action":{"name":"read"},"resource":{"type":"t","id":"i"}}"#,
    r#"{"subject":{"type":"t","id":7},"action":{"name":"read"},"resource":{"type":"t","id":"i"}}"#,
    r#"{"subject":{"type":"t","id":""},"action":{"name":"read"},"resource":{"type":"t","id":"i"}}"#,
    r#"{"subject":{"type":"t","id":"i"},"action":{"name":123},"resource":{"type":"t","id":"i"}}"#,
    r#"{"subject":{"type":"t","id":"i"},"action":"read","resource":{"type":"t","id":"i"}}"#,
    r#"{"subject":{"type":"t","id":"i"},"action":{"name":"read","properties":[]},"resource":{"type":"t","id":"i"}}"#,
    r#"{"subject":{"type":"t","id":"i","properties":null},"action":{"name":"read"},"resource":{"type":"t","id":"i"}}"#,
    r#"{"subject":{"type":"t","id":"i"},"action":{"name":"read"},"resource":{"type":"t","id":"i"},"context":null}"#,
    r#"{"subject":{"type":"t","id":"i"},"action":{"name":"read"},"resource":{"type":"t","id":"i"},"context":[]}"#,
    r#"{"subject":{"type":"t","id":"i"},"action":{"name":"read"},"resource":{"type":"t","id":"i"},"context":{"approval":"appr_x"}}"#,
    r#"{"subject":{"type":"t","id":"i"},"action":{"name":"read"},"resource":{"type":"t","id":"i"},"context":{"approval":{}}}"#,
    r#"{"subject":{"type":"t","id":"i"},"action":{"name":"read"},"resource":{"type":"t","id":"i"},"context":{"approval":{"id":1}}}"#,
    // Duplicate members: beside the question, in a part, below a part, under another spelling.
    r#"{"subject":{"type":"t","id":"i"},"subject":{"type":"t","id":"i"},"action":{"name":"read"},"resource":{"type":"t","id":"i"}}"#,
    r#"{"x":1,"x":1,"subject":{"type":"t","id":"i"},"action":{"name":"read"},"resource":{"type":"t","id":"i"}}"#,
    r#"{"subject":{"type":"t","id":"i","id":"j"},"action":{"name":"read"},"resource":{"type":"t","id":"i"}}"#,
    r#"{"subject":{"type":"t","id":"i","z":1,"z":2},"action":{"name":"read"},"resource":{"type":"t","id":"i"}}"#,
    r#"{"subject":{"type":"t","id":"i"},"action":{"name":"read"},"resource":{"type":"t","id":"i","properties":{"a":1,"a":2}}}"#,
    r#"{"subject":{"type":"t","id":"i"},"action":{"name":"read"},"resource":{"type":"t","id":"i"},"context":{"a":1,"a":1}}"#,
    r#"{"subject":{"type":"t","id":"i"},"action":{"name":"read"},"resource":{"type":"t","id":"i"},"context":{"a":{"b":1,"b":1}}}"#,
    r#"{"subject":{"type":"t","id":"i"},"action":{"name":"read"},"resource":{"type":"t","id":"i"},"context":{"approval":{"id":"x"},"\u0061pproval":{"id":"y"}}}"#,
    // Texts that have no canonical form.
    r#"{"subject":{"type":"t","id":"i"},"action":{"name":"read"},"resource":{"type":"t","id":"i"},"context":{"a":"\ud800"}}"#,
    r#"{"subject":{"type":"t","id":"i"},"action":{"name":"read"},"resource":{"type":"t","id":"i"},"context":{"\ud800":1}}"#,
    r#"{"subject":{"type":"t","id":"i"},"action":{"name":"read"},"resource":{"type":"t","id":"i"},"context":{"a":1e999}}"#,
    r#"{"subject":{"type":"t","id":"i"},"action":{"name":"read"},"resource":{"type":"t","id":"i"}} {}"#,
];

#[test]
fn what_is_malformed_is_refused_with_400() {
    let (_home, server) = home_and_server();
    for body in MALFORMED {
        for path in [EVALUATION, EVALUATIONS] {
            let answer = server.post_text(path, body);
            assert_eq!(answer.status, 400, "{path} {body}: {}", answer.body);
            answer.code();
        }
    }
    let deep = |depth: usize| {
        let context = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let mut asked = question("alice", "read", "r").to_string();
        asked.truncate(asked.len() - 1);
        format!("{asked},\"context\":{{\"x\":{context}}}}}")
    };
    assert!(!decision(&server.post_text(EVALUATION, deep(30))));
    for depth in [64, 1_000, 200_000] {
        for path in [EVALUATION, EVALUATIONS] {
            let answer = server.post_text(path, deep(depth));
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (400, "context-invalid"),
                "{depth}"
            );
        }
    }
    let mut large = question("alice", "read", "r");
    large["context"] = json!({ "text": "x".repeat(1 << 20) });
    assert_eq!(server.post(EVALUATION, &large).status, 400);
    large["context"] = json!({ "text": "x".repeat(3 << 20) });
    server.post(EVALUATION, &large).refused_with(413, "limit-exceeded");
    assert_eq!(evaluated(&server).len(), 1, "only the one that was not too deep");
}

#[test]
fn other_media_types_and_a_query_are_refused_with_400() {
    let (_home, server) = home_and_server();
    let body = question("alice", "read", "r").to_string();
    for path in [EVALUATION, EVALUATIONS, "/access/v1/requests"] {
        for media in
            ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"]
        {
            let headers = [("content-type", media)];
            let answer = server.try_call(Method::POST, path, &headers, Some(body.as_bytes()));
            answer.unwrap().refused_with(400, "unsupported-media-type");
        }
        let answer = server.post_text(&format!("{path}?wait=1"), &body);
        answer.refused_with(400, "request-invalid");
    }
    server.get(&format!("{METADATA}?x=1")).refused_with(400, "request-invalid");
    let get = server.try_call(Method::GET, EVALUATION, &[], None).unwrap();
    get.refused_with(405, "request-invalid");
    server.get("/access/v1/search/subject").refused("not-found");
}

#[test]
fn the_request_id_of_a_client_comes_back_as_it_is() {
    let (_home, server) = home_and_server();
    let body = question("alice", "read", "r").to_string();
    let sent = |id: &str| {
        let answer = server.try_post(EVALUATION, &[("x-request-id", id)], body.as_bytes()).unwrap();
        answer.header("x-request-id").unwrap().to_owned()
    };
    for id in ["bfe9eb29-ab87-4ca3-be83-a1d5d8305716", "a b/c;d=\"e\"", &"x".repeat(256)] {
        assert_eq!(sent(id), id);
    }
    for id in ["", &"x".repeat(257)] {
        assert!(sent(id).starts_with("req_"), "{id}");
    }
    // The log has valid ids only.
    let ids = server.audit().into_iter().map(|entry| text(&entry, "request_id").to_owned());
    let ids: Vec<String> = ids.collect();
    assert_eq!(ids[0], "bfe9eb29-ab87-4ca3-be83-a1d5d8305716");
    assert!(ids[1].starts_with("req_"), "{ids:?}");
}

#[test]
fn the_metadata_names_the_endpoints_under_the_name_that_the_client_used() {
    let (_home, server) = home_and_server();
    let metadata = server.get(METADATA).ok();
    assert_eq!(metadata["policy_decision_point"], server.url);
    for (member, path) in [
        ("access_evaluation_endpoint", EVALUATION),
        ("access_evaluations_endpoint", EVALUATIONS),
        ("access_request_endpoint", "/access/v1/requests"),
    ] {
        assert_eq!(metadata[member], format!("{}{path}", server.url));
    }
    assert_eq!(metadata["capabilities"], json!(["urn:openid:authzen:capability:access-request"]));
    // It is open to everyone, also once tokens are required.
    let first = json!({ "subject": "root", "roles": ["admin"] });
    server.post("/api/v1/tokens", &first).json(201);
    server.get(METADATA).ok();
    server.post(EVALUATION, &question("a", "b", "c")).refused("unauthenticated");
    for host in ["evil\"host", "a b", "a/b", "user@host", &"x".repeat(300)] {
        let request =
            format!("GET {METADATA} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let answer = Raw::answer(&Raw::hold(&server, request.as_bytes()));
        assert_eq!(answer.status, 400, "{host}: {}", answer.body);
    }
}
