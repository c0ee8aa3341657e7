//! `signoff mcp gate`: whatever fails, no tool runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::mcp_calls::{RULES, approvals, pending};
use crate::support::mcp::{Mcp, code, gate, ran, words};
use crate::support::{
    APPROVER, Home, LITTLE_FUEL, Office, activated, home_and_server, home_with_signer, loops_for,
    pushed, sign_with, until,
};

#[test]
fn without_a_server_of_approvals_no_tool_runs() {
    let (home, server) = home_and_server();
    let mut mcp = Mcp::session(&home, "http://127.0.0.1:9", &[], json!({}));
    let down = mcp.call("a", "read", json!({}));
    assert_eq!((code(&down), &down["result"]["isError"]), ("unavailable", &json!(true)));
    assert!(words(&down).contains("cannot reach the server"), "{down}");
    // The list of tools still passes.
    assert!(mcp.ask("b", "tools/list", json!({}))["result"]["tools"].is_array());
    // A server that ends while a call waits.
    let mut mcp = Mcp::session(&home, &server.url, &["--hold", "3"], json!({}));
    mcp.request("a", "tools/call", json!({ "name": "read" }));
    pending(&server);
    server.kill();
    let lost = mcp.response("a");
    assert_eq!(lost["result"]["isError"], true, "{lost}");
    assert!(ran(&home).is_empty());
}

#[test]
fn without_the_right_token_no_tool_runs() {
    let (home, server) = home_and_server();
    server.post("/api/v1/tokens", &json!({ "subject": "root", "roles": ["admin"] })).json(201);
    let mut none = Mcp::session(&home, &server.url, &[], json!({}));
    assert_eq!(code(&none.call("a", "read", json!({}))), "unauthenticated");
    let mut command = gate(&home, &server.url, &[]);
    command.env("SIGNOFF_TOKEN", "signoff_wrong");
    let mut wrong = Mcp::start(command);
    wrong.initialize(json!({}));
    let refused = wrong.call("a", "read", json!({}));
    assert_eq!(code(&refused), "unauthenticated");
    assert!(!refused.to_string().contains("signoff_wrong"), "{refused}");
    assert!(ran(&home).is_empty());
}

#[test]
fn a_policy_that_traps_refuses() {
    let (home, server) = home_with_signer();
    fs::write(home.path("loops.wasm"), loops_for("mcp")).unwrap();
    sign_with(&home, "loops.wasm", "tools", 1, &["--fuel", LITTLE_FUEL]);
    let looping = pushed(&home, &server, "loops.wasm");
    server.post(&format!("/api/v1/modules/{looping}/activate"), &json!({})).ok();
    let mut mcp = Mcp::session(&home, &server.url, &[], json!({}));
    assert_eq!(code(&mcp.call("a", "read", json!({}))), "policy-trapped");
    assert!(ran(&home).is_empty());
}

#[test]
fn messages_that_two_readers_could_take_for_two_are_refused() {
    let (home, server) = home_with_signer();
    activated(&home, &server, "tools", 1, RULES);
    let mut mcp = Mcp::session(&home, &server.url, &[], json!({}));
    let call = r#"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"read","arguments":{"a":1}}}"#;
    let deep = format!("{}{}", "{\"a\":".repeat(2_000), "1".to_owned() + &"}".repeat(2_000));
    let refused = [
        call.replace("\"method\"", "\"method\":\"ping\",\"method\""),
        call.replace("\"method\"", "\"Method\":\"tools/call\",\"method\""),
        call.replace("\"tools/call\"", "\"ping\",\"Method\":\"tools/call\""),
        call.replace("\"method\":\"tools/call\"", "\"method\":\"ping\",\"METHOD\":\"tools/call\""),
        call.replace("\"params\"", "\"params\":{\"name\":\"drop\"},\"params\""),
        call.replace("\"params\"", "\"param\u{17f}\":{\"name\":\"drop\"},\"params\""),
        call.replace("\"name\"", "\"name\":\"drop\",\"name\""),
        call.replace("\"name\"", "\"Name\":\"drop\",\"name\""),
        call.replace("\"name\"", "\"\\u006eame\":\"drop\",\"name\""),
        call.replace("\"arguments\"", "\"arguments\":{},\"arguments\""),
        call.replace("\"a\":1", "\"a\":1,\"a\":2"),
        call.replace("\"a\":1", "\"a\":{\"b\":1,\"\\u0062\":2}"),
        call.replace("\"a\":1", "\"a\":1,\"A\":2"),
        call.replace("{\"a\":1}", &deep),
        call.replace("{\"a\":1}", "[]"),
        call.replace("{\"a\":1}", "null"),
        call.replace("\"read\"", "1"),
        call.replace("\"read\"", "\"re\u{202e}ad\""),
        call.replace("\"read\"", "\"Read\""),
        call.replace("\"read\"", "\"\""),
        call.replace("\"read\"", &format!("\"{}\"", "r".repeat(1_000))),
        call.replace("\"id\":\"x\"", "\"id\":\"x\",\"id\":\"y\""),
        call.replace("\"id\":\"x\",", ""),
        call.replace("\"id\":\"x\"", "\"id\":null"),
        call.replace("\"id\":\"x\"", "\"id\":1.5"),
        call.replace("\"id\":\"x\"", "\"id\":\"signoff-1\""),
        call.replace("\"2.0\"", "\"1.0\""),
        call.replace("\"2.0\"", "\"2.0\",\"result\":{}"),
        format!("[{call}]"),
        call[..call.len() - 1].to_owned(),
        format!("{call}{call}"),
        "\u{feff}".to_owned() + call,
        "null".to_owned(),
        "not json".to_owned(),
        "{}".to_owned(),
    ];
    for line in &refused {
        mcp.send(line);
        let answer: Value = serde_json::from_str(&mcp.line()).unwrap();
        let is_refused = answer.get("error").is_some() || answer["result"]["isError"] == true;
        assert!(is_refused, "{line}: {answer}");
    }
    assert!(ran(&home).is_empty(), "{:?}", ran(&home));
    assert!(approvals(&server).is_empty());
    // The gate goes on.
    assert!(mcp.call("z", "read", json!({}))["result"]["isError"].is_null());
}

#[test]
fn a_line_without_an_end_ends_the_session() {
    let (home, server) = home_and_server();
    let mut mcp = Mcp::start(gate(&home, &server.url, &[]));
    mcp.initialize(json!({}));
    mcp.send(&format!("{{\"jsonrpc\":\"2.0\",\"x\":\"{}", "x".repeat(17 << 20)));
    assert!(mcp.child.wait().unwrap().success());
    assert!(ran(&home).is_empty());
}

#[test]
fn a_gate_that_cannot_write_its_state_runs_nothing() {
    let (home, server) = home_and_server();
    let state = home.path(".local/state/signoff");
    fs::create_dir_all(&state).unwrap();
    // A file in the place of the folder, because root writes to folders that are read-only.
    fs::write(state.join("mcp"), "").unwrap();
    let mut mcp = Mcp::session(&home, &server.url, &[], json!({}));
    let refused = mcp.call("a", "read", json!({}));
    assert_eq!(code(&refused), "unavailable", "{refused}");
    assert!(words(&refused).contains("0700"), "{refused}");
    // A folder that others can read is refused at the start.
    drop(mcp);
    let tools = state.join("mcp-tools");
    fs::set_permissions(&tools, fs::Permissions::from_mode(0o755)).unwrap();
    let mut child = Mcp::start(gate(&home, &server.url, &[]));
    assert!(!child.child.wait().unwrap().success());
    assert!(ran(&home).is_empty());
}

#[test]
fn a_full_disk_after_the_claim_runs_nothing() {
    let (home, server) = home_and_server();
    let mut mcp = Mcp::session(&home, &server.url, &[], json!({}));
    mcp.request("a", "tools/call", json!({ "name": "read" }));
    let approval = pending(&server);
    let state = home.path(".local/state/signoff/mcp");
    // The file of the use is there; a folder in its place cannot be replaced.
    let file = until("the use is known", || {
        fs::read_dir(&state)
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
            .find(|path| fs::read_to_string(path).is_ok_and(|text| text.contains("appr_")))
    });
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    server.decide(&approval, "approved", APPROVER).ok();
    let refused = mcp.response("a");
    assert_eq!(refused["result"]["isError"], true, "{refused}");
    assert_eq!(server.show(&approval)["execution"]["outcome"], "failed");
    assert!(ran(&home).is_empty());
}

#[test]
fn a_killed_gate_runs_nothing_and_the_next_attaches() {
    let (home, server) = home_and_server();
    let mut mcp = Mcp::session(&home, &server.url, &[], json!({}));
    mcp.request("a", "tools/call", json!({ "name": "read" }));
    let approval = pending(&server);
    let pid = Pid::from_raw(i32::try_from(mcp.child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    mcp.child.wait().unwrap();
    server.decide(&approval, "approved", APPROVER).ok();
    assert!(ran(&home).is_empty());
    let mut mcp = Mcp::session(&home, &server.url, &[], json!({}));
    assert!(mcp.call("a", "read", json!({}))["result"]["_meta"].is_null());
    assert_eq!(ran(&home).len(), 1);
}

#[test]
fn a_signal_withdraws_what_waits() {
    let (home, server) = home_and_server();
    let mut mcp = Mcp::session(&home, &server.url, &[], json!({}));
    mcp.request("a", "tools/call", json!({ "name": "read" }));
    let approval = pending(&server);
    let pid = Pid::from_raw(i32::try_from(mcp.child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(mcp.child.wait().unwrap().success());
    assert_eq!(server.show(&approval)["status"], "withdrawn");
    assert!(ran(&home).is_empty());
}

#[test]
fn a_server_that_forges_answers_or_questions_reaches_nobody() {
    let (home, server) = home_with_signer();
    let rules = RULES.replace("mcp:*/read", "mcp:*/*");
    activated(&home, &server, "tools", 1, &rules);
    let mut mcp = Mcp::session(&home, &server.url, &[], json!({}));
    let response = mcp.call("a", "forges", json!({}));
    assert_eq!(response["result"]["content"], json!([]));
    let is_forged = |one: &Value| one["id"] == "never-asked" || one["id"] == "signoff-1";
    assert!(!mcp.others.iter().any(is_forged), "{:?}", mcp.others);
    // Answers to questions that nobody asked do not reach the server.
    mcp.send(r#"{"jsonrpc":"2.0","id":"signoff-1","result":{"action":"accept"}}"#);
    assert!(mcp.call("b", "read", json!({}))["result"]["isError"].is_null());
    let answers = fs::read_to_string(home.path("ran.responses")).unwrap();
    assert_eq!(answers.lines().count(), 1, "only the refusal of the gate: {answers}");
}

#[test]
fn a_server_that_dies_leaves_the_outcome_open() {
    let (home, server) = home_and_server();
    let mut mcp = Mcp::session(&home, &server.url, &[], json!({}));
    mcp.request("a", "tools/call", json!({ "name": "dies" }));
    let approval = pending(&server);
    server.decide(&approval, "approved", APPROVER).ok();
    let response = mcp.response("a");
    assert!(response["error"]["message"].as_str().unwrap().contains("has ended"), "{response}");
    assert_eq!(mcp.child.wait().unwrap().code(), Some(3));
    // It may have run, and nobody knows.
    assert_eq!(server.show(&approval)["execution"]["outcome"], "claimed");
}

#[test]
fn an_expired_request_runs_nothing() {
    let (home, server) = home_and_server();
    let mut mcp = Mcp::session(&home, &server.url, &["--expires-in", "1"], json!({}));
    let expired = mcp.call("a", "read", json!({}));
    assert_eq!(code(&expired), "expired", "{expired}");
    assert!(ran(&home).is_empty());
}

#[test]
fn a_request_that_is_older_than_this_machines_clock_says_is_refused() {
    let office = Office::new();
    let ann = office.person("ann@company.com", &[]);
    let agent = office.token("agent@company.com", &["requester", "executor"]);
    let pinned = Home::new();
    let entry = ann.entry.to_string();
    pinned.run(&["key", "import", &entry, "--approver", "ann@company.com", "--yes"]).ok();
    let trust = pinned.path("signoff.keys.json").display().to_string();
    let options = ["--trust", &trust, "--audience", "default", "--hold", "1"];
    let session = || {
        let mut command = gate(&office.home, &office.server.url, &options);
        command.env("SIGNOFF_TOKEN", agent.token());
        let mut mcp = Mcp::start(command);
        mcp.initialize(json!({}));
        mcp
    };
    assert_eq!(code(&session().call("a", "read", json!({}))), "pending");
    let items = office.admin.get("/api/v1/approvals").ok()["items"].clone();
    assert_eq!(ann.approves(&ann.client.show(&items[0])), "approved");
    // As if this machine had asked a day later than the server says.
    let state = office.home.path(".local/state/signoff/mcp");
    let file = fs::read_dir(&state).unwrap().next().unwrap().unwrap().path();
    let mut known: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    known["seen"] = json!(known["seen"].as_u64().unwrap() + 86_400);
    fs::write(&file, known.to_string()).unwrap();
    assert_eq!(code(&session().call("a", "read", json!({}))), "request-too-old");
    assert!(ran(&office.home).is_empty());
}

#[test]
fn a_keyring_that_cannot_be_used_starts_no_gate() {
    let (home, server) = home_and_server();
    home.file("keys.json", "[]");
    let trust = home.path("keys.json").display().to_string();
    let options = ["--trust", &trust, "--audience", "default"];
    for keyring in ["{", ""] {
        home.file("keys.json", keyring);
        let status = gate(&home, &server.url, &options).status().unwrap();
        assert!(!status.success());
    }
    assert!(approvals(&server).is_empty() && ran(&home).is_empty());
}
