//! `signoff mcp gate`: calls of tools that the policy allows, denies, and requires approval for.

use serde_json::{Value, json};

use crate::support::mcp::{Mcp, code, gate, ran, words};
use crate::support::{
    APPROVER, Home, Office, Server, activated, ballot, home_and_server, home_with_signer, text,
    until,
};

pub const RULES: &str = r#"
format = 1
name = "tools"
default = "require_approval"

[[rule]]
id = "reading"
action = "mcp:*/read"
verdict = "allow"
reason = "reading is harmless"

[[rule]]
id = "no-drop"
action = "mcp:*/drop"
verdict = "deny"
reason = "nobody drops"
"#;

pub fn approvals(server: &Server) -> Vec<Value> {
    server.get("/api/v1/approvals").ok()["items"].as_array().unwrap().clone()
}

/// Returns the approval that is pending, once there is one.
pub fn pending(server: &Server) -> Value {
    let found = until("an approval is pending", || {
        approvals(server).into_iter().find(|approval| approval["status"] == "pending")
    });
    server.show(&found)
}

fn approve(server: &Server) -> Value {
    let approval = pending(server);
    server.decide(&approval, "approved", APPROVER).ok();
    approval
}

fn outcome(server: &Server, approval: &Value) -> Value {
    until("the outcome is reported", || {
        let execution = server.show(approval)["execution"].clone();
        (execution["outcome"] != "claimed").then_some(execution)
    })
}

#[test]
fn calls_are_allowed_and_denied_as_the_policy_says() {
    let (home, server) = home_with_signer();
    activated(&home, &server, "tools", 1, RULES);
    let mut mcp = Mcp::session(&home, &server.url, &[], json!({}));
    let call = r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"x":1e2, "name":"re\u0061d","arguments":{"n":12345678901234567890123 }}}"#;
    mcp.send(call);
    assert!(mcp.line().contains(r#""futureField":12345678901234567890123,  "x":1}"#));
    assert_eq!(ran(&home), [call]);
    let denied = mcp.call("b", "drop", json!({}));
    assert_eq!((code(&denied), &denied["result"]["isError"]), ("denied", &json!(true)));
    assert!(words(&denied).contains("nobody drops"), "{denied}");
    assert_eq!(ran(&home).len(), 1);
    assert!(approvals(&server).is_empty());
    assert!(mcp.close().success());
}

#[test]
fn what_is_not_a_call_passes_byte_for_byte() {
    let (home, server) = home_and_server();
    let mut mcp = Mcp::session(&home, &server.url, &[], json!({}));
    for (id, line) in [
        (
            "a",
            r#"{ "jsonrpc": "2.0",  "id":"a","method":"echo","params":{"a":1,"a":2,"n":1e400} }"#,
        ),
        ("b", r#"{"method":"echo","id":"b","jsonrpc":"2.0","future":[{"deep":"\ud800"}]}"#),
    ] {
        mcp.send(line);
        assert_eq!(mcp.response(id)["result"]["line"], json!(format!("{line}\n")));
    }
}

#[test]
fn an_approved_call_runs_once_and_its_outcome_is_reported() {
    let (home, server) = home_and_server();
    let mut mcp = Mcp::session(&home, &server.url, &[], json!({}));
    for (id, tool, ended) in
        [("a", "write", "succeeded"), ("b", "fails", "failed"), ("c", "errs", "failed")]
    {
        let arguments = json!({ "path": "/srv/a" });
        let params = json!({
            "name": tool, "arguments": arguments, "_meta": { "progressToken": "token" },
        });
        mcp.request(id, "tools/call", params);
        let approval = approve(&server);
        let response = mcp.response(id);
        assert!(response["result"]["_meta"].is_null(), "{response}");
        assert_eq!(approval["agent"], "mcp");
        assert_eq!(approval["action"], json!(format!("mcp:stub/{tool}")));
        assert_eq!(approval["context"], arguments);
        assert_eq!(outcome(&server, &approval)["outcome"], ended);
        let progress = mcp.next(|message| message["method"] == "notifications/progress");
        assert_eq!(progress["params"]["progressToken"], "token");
        assert!(progress["params"]["message"].as_str().unwrap().contains(text(&approval, "id")));
    }
    assert_eq!(ran(&home).len(), 3);
}

#[test]
fn a_rejection_is_an_error_with_the_approvers_words() {
    let (home, server) = home_and_server();
    let mut mcp = Mcp::session(&home, &server.url, &[], json!({}));
    mcp.request("a", "tools/call", json!({ "name": "read" }));
    let approval = pending(&server);
    let mut body = ballot(&approval, "rejected", APPROVER);
    body["comment"] = json!("too \u{202e}risky");
    server.act(&approval, "reject", &body).ok();
    let response = mcp.response("a");
    assert_eq!(code(&response), "rejected");
    assert!(words(&response).contains("rejected: too \\u{202e}risky"), "{response}");
    assert!(ran(&home).is_empty());
}

#[test]
fn a_call_that_is_not_decided_in_time_attaches_again() {
    let (home, server) = home_and_server();
    let mut mcp = Mcp::session(&home, &server.url, &["--hold", "1"], json!({}));
    let arguments = json!({ "path": "/srv/a", "n": 1 });
    let first = mcp.call("a", "write", arguments.clone());
    assert_eq!((code(&first), &first["result"]["isError"]), ("pending", &json!(false)));
    let approval = pending(&server);
    let link = format!("{}/requests/{}", server.url, text(&approval, "id"));
    assert!(words(&first).contains(&link), "{first}");
    // Another gate and another order of members: the same call.
    drop(mcp);
    let mut mcp = Mcp::session(&home, &server.url, &[], json!({}));
    mcp.send(r#"{"jsonrpc":"2.0","id":"b","method":"tools/call","params":{"name":"write","arguments":{"n":1,"path":"/srv/a"}}}"#);
    server.decide(&approval, "approved", APPROVER).ok();
    assert!(mcp.response("b")["result"]["_meta"].is_null());
    assert_eq!(outcome(&server, &approval)["outcome"], "succeeded");
    // It ran: the same call once more is another one.
    mcp.request("c", "tools/call", json!({ "name": "write", "arguments": arguments }));
    let another = pending(&server);
    assert_ne!(another["id"], approval["id"]);
    assert_eq!(ran(&home).len(), 1);
}

#[test]
fn of_two_equal_calls_that_wait_one_runs() {
    let (home, server) = home_and_server();
    let mut mcp = Mcp::session(&home, &server.url, &[], json!({}));
    let mut other = Mcp::session(&home, &server.url, &[], json!({}));
    for id in ["a", "b"] {
        mcp.request(id, "tools/call", json!({ "name": "read", "arguments": {} }));
    }
    other.request("c", "tools/call", json!({ "name": "read" }));
    approve(&server);
    let responses = [mcp.response("a"), mcp.response("b"), other.response("c")];
    let passed = responses.iter().filter(|one| one["result"]["_meta"].is_null()).count();
    // A call that came after the decision may have found no pending approval and requested another.
    assert_eq!((passed, ran(&home).len()), (1, 1), "{responses:?}");
}

#[test]
fn a_cancelled_call_withdraws_its_request() {
    let (home, server) = home_and_server();
    let mut mcp = Mcp::session(&home, &server.url, &[], json!({}));
    mcp.request("a", "tools/call", json!({ "name": "read" }));
    let approval = pending(&server);
    mcp.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}"#);
    let withdrawn = || (server.show(&approval)["status"] == "withdrawn").then_some(());
    until("it is withdrawn", withdrawn);
    // A client that ends cancels, too.
    mcp.request("b", "tools/call", json!({ "name": "read" }));
    let approval = pending(&server);
    assert!(mcp.close().success());
    assert_eq!(server.show(&approval)["status"], "withdrawn");
    assert!(ran(&home).is_empty());
}

#[test]
fn a_client_that_shows_links_is_asked_and_accepting_decides_nothing() {
    let (home, server) = home_and_server();
    let links = json!({ "elicitation": { "url": {} } });
    let mut mcp = Mcp::session(&home, &server.url, &["--hold", "1"], links);
    mcp.request("a", "tools/call", json!({ "name": "read" }));
    let asked = mcp.next(|message| message["method"] == "elicitation/create");
    let approval = pending(&server);
    let params = &asked["params"];
    assert_eq!(params["mode"], "url");
    let link = format!("{}/requests/{}", server.url, text(&approval, "id"));
    assert_eq!(params["url"], json!(link));
    let accept = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "action": "accept" } });
    mcp.send(&accept.to_string());
    assert_eq!(code(&mcp.response("a")), "pending");
    let complete = mcp.next(|it| it["method"] == "notifications/elicitation/complete");
    assert_eq!(complete["params"]["elicitationId"], params["elicitationId"]);
    assert_eq!(server.show(&approval)["status"], "pending");
    // Declining the link withdraws.
    mcp.request("b", "tools/call", json!({ "name": "read" }));
    let asked = mcp.next(|message| message["method"] == "elicitation/create");
    let no = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "action": "decline" } });
    mcp.send(&no.to_string());
    assert_eq!(code(&mcp.response("b")), "declined");
    assert_eq!(server.show(&approval)["status"], "withdrawn");
    assert!(ran(&home).is_empty());
    // The server saw none of the answers.
    assert!(!home.path("ran.responses").exists());
}

fn without_handshake(arguments: Value, more: Value) -> Value {
    let mut params = json!({
        "name": "write",
        "arguments": arguments,
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": { "elicitation": { "url": {} } },
        },
    });
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    params
}

#[test]
fn a_client_of_2026_is_asked_in_the_result() {
    let (home, server) = home_and_server();
    let mut mcp = Mcp::start(gate(&home, &server.url, &[]));
    let arguments = json!({ "path": "/srv/a" });
    let asked = mcp.ask("a", "tools/call", without_handshake(arguments.clone(), json!({})));
    let result = &asked["result"];
    assert_eq!(result["resultType"], "input_required");
    let approval = pending(&server);
    let id = text(&approval, "id");
    assert_eq!(result["requestState"], json!(format!("signoff:{id}")));
    let request = &result["inputRequests"]["signoff"];
    assert_eq!(request["method"], "elicitation/create");
    assert_eq!(request["params"]["url"], json!(format!("{}/requests/{id}", server.url)));
    let again = json!({
        "inputResponses": { "signoff": { "action": "accept" } },
        "requestState": result["requestState"],
    });
    mcp.request("b", "tools/call", without_handshake(arguments.clone(), again.clone()));
    server.decide(&approval, "approved", APPROVER).ok();
    assert!(mcp.response("b")["result"]["_meta"].is_null());
    assert_eq!(outcome(&server, &approval)["outcome"], "succeeded");
    let [call] = &ran(&home)[..] else { panic!("it ran once") };
    let call: Value = serde_json::from_str(call).unwrap();
    // What the client added for the gate is not the server's.
    assert_eq!(call["params"], without_handshake(arguments.clone(), json!({})));
    // The state of another approval gives nothing.
    let other = mcp.ask("c", "tools/call", without_handshake(json!({ "path": "/etc" }), again));
    assert_ne!(other["result"]["requestState"], result["requestState"], "{other}");
    // Input for a tool that no approver sees is refused.
    let foreign = json!({ "inputResponses": {}, "requestState": "of the server" });
    let foreign = mcp.ask("d", "tools/call", without_handshake(arguments, foreign));
    assert_eq!(code(&foreign), "tool-input");
    assert_eq!(ran(&home).len(), 1);
}

#[test]
fn with_pinned_keys_the_approval_is_verified_before_the_claim() {
    let (home, server) = home_and_server();
    let elsewhere = Home::new();
    elsewhere.run(&["key", "generate", "--approver", APPROVER]).ok();
    let trust = elsewhere.path("signoff.keys.json").display().to_string();
    let options = ["--trust", &trust, "--audience", "default"];
    let mut mcp = Mcp::session(&home, &server.url, &options, json!({}));
    mcp.request("a", "tools/call", json!({ "name": "read" }));
    let approval = approve(&server);
    let refused = mcp.response("a");
    assert_eq!(refused["result"]["isError"], true, "{refused}");
    assert!(server.show(&approval)["execution"].is_null());
    assert!(ran(&home).is_empty());
}

#[test]
fn a_signature_of_a_pinned_key_is_enough() {
    let office = Office::new();
    let ann = office.person("ann@company.com", &[]);
    let agent = office.token("agent@company.com", &["requester", "executor"]);
    let pinned = Home::new();
    let entry = ann.entry.to_string();
    pinned.run(&["key", "import", &entry, "--approver", "ann@company.com", "--yes"]).ok();
    let trust = pinned.path("signoff.keys.json").display().to_string();
    let options = ["--trust", &trust, "--audience", "default"];
    let mut command = gate(&office.home, &office.server.url, &options);
    command.env("SIGNOFF_TOKEN", agent.token());
    let mut mcp = Mcp::start(command);
    mcp.initialize(json!({}));
    mcp.request("a", "tools/call", json!({ "name": "read" }));
    let approval = until("an approval is pending", || {
        let items = office.admin.get("/api/v1/approvals").ok()["items"].clone();
        items.as_array().unwrap().first().cloned()
    });
    let approval = ann.client.show(&approval);
    assert_eq!(ann.approves(&approval), "approved");
    let response = mcp.response("a");
    assert!(response["result"]["_meta"].is_null(), "{response}");
    assert_eq!(ran(&office.home).len(), 1);
}
