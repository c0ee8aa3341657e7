//! `signoff hook`: the gate in the hooks of coding agents. Whatever fails, the tool is blocked, and nothing
//! is claimed.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{
    APPROVER, Home, LITTLE_FUEL, Office, Ran, Server, activated, ballot, home_and_server,
    home_with_signer, loops_for, pushed, sign_with, text, until,
};

const RULES: &str = r#"
format = 1
name = "tools"
default = "require_approval"

[[rule]]
id = "reading"
action = "Read"
verdict = "allow"
reason = "reading is harmless"

[[rule]]
id = "no-purge"
action = "Bash"
when = "context.parsed && context.commands.exists(c, c.words[0] == 'rm')"
verdict = "deny"
reason = "nobody removes files"
"#;

/// Returns an event of Claude Code.
fn event(name: &str, tool: &str, input: Value, tool_use: &str, home: &Home) -> Value {
    json!({
        "session_id": "11111111-2222-3333-4444-555555555555",
        "prompt_id": "p1",
        "transcript_path": "/tmp/transcript.jsonl",
        "cwd": home.path("").canonicalize().unwrap(),
        "permission_mode": "default",
        "effort": { "level": "high" },
        "hook_event_name": name,
        "tool_name": tool,
        "tool_input": input,
        "tool_use_id": tool_use,
    })
}

fn bash(home: &Home, tool_use: &str) -> Value {
    event("PreToolUse", "Bash", json!({ "command": "make deploy" }), tool_use, home)
}

/// Starts a gate with an event on its standard input.
fn start(home: &Home, server: &str, arguments: &[&str], event: &str) -> Child {
    let mut all = vec!["--server", server, "hook"];
    all.extend(arguments);
    let mut signoff = home.signoff(&all);
    signoff.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = signoff.spawn().unwrap();
    // It may end before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(event.as_bytes());
    child
}

fn end(child: Child) -> Ran {
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn hook(home: &Home, server: &str, arguments: &[&str], event: &Value) -> Ran {
    end(start(home, server, arguments, &event.to_string()))
}

/// Returns the decision and its reason, in the form of Claude Code and no other.
#[track_caller]
fn answer(ran: &Ran) -> (String, String) {
    assert_eq!(ran.code, 0, "{ran:?}");
    let answer = ran.json();
    assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
    let output = answer["hookSpecificOutput"].as_object().unwrap();
    assert_eq!(output.len(), 3, "{answer}");
    assert_eq!(output["hookEventName"], "PreToolUse");
    let [decision, reason] = ["permissionDecision", "permissionDecisionReason"]
        .map(|name| output[name].as_str().unwrap().to_owned());
    (decision, reason)
}

/// Checks that the tool is blocked; returns the reason.
#[track_caller]
fn blocked(ran: &Ran) -> String {
    if ran.code == 2 {
        assert!(ran.out.is_empty() && !ran.err.trim().is_empty(), "{ran:?}");
        return ran.err.clone();
    }
    let (decision, reason) = answer(ran);
    assert_eq!(decision, "deny", "{ran:?}");
    reason
}

fn approvals(server: &Server) -> Vec<Value> {
    server.get("/api/v1/approvals").ok()["items"].as_array().unwrap().clone()
}

#[track_caller]
fn nothing_claimed(server: &Server) {
    for approval in approvals(server) {
        assert!(approval["execution"].is_null(), "{approval}");
    }
}

/// Returns the approval that the gate requested, once there is one that is pending.
fn pending(server: &Server) -> Value {
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

#[test]
fn a_hook_allows_and_denies_as_the_policy_says() {
    let (home, server) = home_with_signer();
    activated(&home, &server, "tools", 1, RULES);
    let read = event("PreToolUse", "Read", json!({ "file_path": "/etc/hosts" }), "t1", &home);
    let (decision, reason) = answer(&hook(&home, &server.url, &["claude"], &read));
    assert_eq!(decision, "allow");
    assert!(reason.contains("reading is harmless"), "{reason}");
    let kept = hook(&home, &server.url, &["claude", "--keep-prompts"], &read);
    assert_eq!((kept.code, kept.out.as_str()), (0, ""));
    let rm = json!({ "command": "make && rm -rf build" });
    let rm = event("PreToolUse", "Bash", rm, "t2", &home);
    let (decision, reason) = answer(&hook(&home, &server.url, &["claude"], &rm));
    assert_eq!(decision, "deny");
    assert!(reason.contains("nobody removes files"), "{reason}");
    // After a tool that needed no approval, nothing is reported.
    let after = event("PostToolUse", "Read", json!({}), "t1", &home);
    assert_eq!(hook(&home, &server.url, &["claude"], &after).ok(), "");
    assert!(approvals(&server).is_empty());
}

#[test]
fn an_approved_tool_runs_and_its_outcome_is_reported() {
    let (home, server) = home_and_server();
    for (tool_use, name, outcome) in
        [("t1", "PostToolUse", "succeeded"), ("t2", "PostToolUseFailure", "failed")]
    {
        let child = start(&home, &server.url, &["claude"], &bash(&home, tool_use).to_string());
        let approval = approve(&server);
        let (decision, reason) = answer(&end(child));
        assert_eq!(decision, "allow");
        assert!(reason.contains(text(&approval, "id")) && reason.contains(APPROVER), "{reason}");
        assert_eq!(
            (&approval["agent"], &approval["action"]),
            (&json!("claude-code"), &json!("Bash"))
        );
        let context = &approval["context"];
        assert_eq!(context["input"], json!({ "command": "make deploy" }));
        assert_eq!(context["folder"], json!(home.path("").canonicalize().unwrap()));
        assert_eq!(context["parsed"], true);
        assert_eq!(context["commands"][0]["words"], json!(["make", "deploy"]));
        assert_eq!(server.show(&approval)["execution"]["outcome"], "claimed");
        let mut after = bash(&home, tool_use);
        after["hook_event_name"] = json!(name);
        after["error"] = json!("exit status 2\n\u{202e}more");
        assert_eq!(hook(&home, &server.url, &["claude"], &after).ok(), "");
        let execution = server.show(&approval)["execution"].clone();
        assert_eq!(execution["outcome"], outcome);
        let is_told = execution["detail"].as_str().is_some_and(|it| it.contains("exit status 2"));
        assert_eq!(is_told, outcome == "failed", "{execution}");
        // Once more, the same event changes nothing, and the same tool use does not run again.
        assert_eq!(hook(&home, &server.url, &["claude"], &after).ok(), "");
        blocked(&hook(&home, &server.url, &["claude"], &bash(&home, tool_use)));
        assert_eq!(server.show(&approval)["execution"], execution);
    }
    assert_eq!(approvals(&server).len(), 2);
}

#[test]
fn a_rejection_denies_with_the_approvers_words() {
    let (home, server) = home_and_server();
    let child = start(&home, &server.url, &["claude"], &bash(&home, "t1").to_string());
    let approval = pending(&server);
    let mut body = ballot(&approval, "rejected", APPROVER);
    body["comment"] = json!("too \u{202e}risky");
    server.act(&approval, "reject", &body).ok();
    let (decision, reason) = answer(&end(child));
    assert_eq!(decision, "deny");
    assert!(reason.contains("rejected: too \\u{202e}risky"), "{reason}");
    nothing_claimed(&server);
}

#[test]
fn without_a_decision_in_time_the_tool_is_blocked() {
    let (home, server) = home_and_server();
    let expired = hook(&home, &server.url, &["claude", "--expires-in", "1"], &bash(&home, "t1"));
    assert!(blocked(&expired).contains("expired"), "{expired:?}");
    let waited = hook(&home, &server.url, &["claude", "--timeout", "1"], &bash(&home, "t2"));
    blocked(&waited);
    let withdrawn = approvals(&server).iter().filter(|it| it["status"] == "withdrawn").count();
    assert_eq!(withdrawn, 1, "{waited:?}");
    assert!(!waited.err.contains("could not be withdrawn"), "{waited:?}");
    // An event that does not end counts, too.
    let mut signoff = home.signoff(&["--server", &server.url, "hook", "claude", "--timeout", "1"]);
    signoff.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = signoff.spawn().unwrap();
    let input = child.stdin.take().unwrap();
    let ran = end(child);
    drop(input);
    blocked(&ran);
    nothing_claimed(&server);
}

#[test]
fn a_server_that_cannot_be_asked_blocks() {
    let (home, server) = home_and_server();
    let event = bash(&home, "t1");
    blocked(&hook(&home, "http://127.0.0.1:9", &["claude"], &event));
    blocked(&hook(&home, "not a url", &["claude"], &event));
    server.post("/api/v1/tokens", &json!({ "subject": "root", "roles": ["admin"] })).json(201);
    let none = hook(&home, &server.url, &["claude"], &event);
    assert!(blocked(&none).contains("unauthenticated"), "{none:?}");
    home.file("token", "signoff_wrong");
    fs::set_permissions(home.path("token"), fs::Permissions::from_mode(0o600)).unwrap();
    let token = home.path("token").display().to_string();
    blocked(&hook(&home, &server.url, &["claude", "--token-file", &token], &event));
    // For a tool that has run, the exit code says that its outcome is not reported; codes other than 0
    // and 2 never occur.
    for options in
        [&["--bogus"][..], &["--timeout", "0"], &["--on-pending", "never"], &["--trust", "x"]]
    {
        let all = [&["claude"][..], options].concat();
        blocked(&hook(&home, &server.url, &all, &event));
    }
    let relative = ["claude", "--trust", "keys.json", "--audience", "default"];
    assert!(blocked(&hook(&home, &server.url, &relative, &event)).contains("absolute"));
    let defers = ["codex", "--on-pending", "defer"];
    blocked(&hook(&home, &server.url, &defers, &event));
}

/// An agent could make a store with a policy of its own in its folder.
#[test]
fn a_store_in_the_agents_folder_is_not_asked() {
    let home = Home::new();
    home.run(&["request", "--agent", "a", "--action", "b", "--context", "{}"]).ok();
    assert!(home.store().exists());
    let mut signoff = home.signoff(&["hook", "claude"]);
    let mut child = signoff
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(bash(&home, "t1").to_string().as_bytes());
    let why = blocked(&end(child));
    assert!(why.contains("no server is set"), "{why}");
}

#[test]
fn an_event_that_is_not_as_documented_blocks() {
    let (home, server) = home_and_server();
    let sound = bash(&home, "t1").to_string();
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let inner = format!("{{\"command\":\"ls\",\"x\":{deep}}}");
    let twice = "{\"command\":\"ls\",\"command\":\"rm\"}";
    let input = "{\"command\":\"make deploy\"}";
    let huge = sound.replace("make deploy", &"x".repeat(3 << 20));
    let large = sound.replace("make deploy", &"x".repeat(3 << 19));
    let events = [
        String::new(),
        "null".to_owned(),
        "{}".to_owned(),
        sound[..sound.len() - 1].to_owned(),
        format!("{sound}{sound}"),
        sound.replace("PreToolUse", "Stop"),
        sound.replace("\"tool_name\":\"Bash\"", "\"tool_name\":\"Bash\",\"tool_name\":\"Read\""),
        sound.replace("\"tool_use_id\":\"t1\"", "\"tool_use_id\":1"),
        sound.replace(input, &inner),
        sound.replace(input, twice),
        sound.replace("\"Bash\"", &format!("\"{}\"", "B".repeat(1_000))),
        huge,
        large,
    ];
    for event in events {
        let ran = end(start(&home, &server.url, &["claude"], &event));
        blocked(&ran);
    }
    let mut bytes = home.signoff(&["--server", &server.url, "hook", "claude"]);
    home.file("latin", "");
    fs::write(home.path("latin"), b"{\"session_id\":\"\xe9\"}").unwrap();
    let ran = Ran::of(bytes.stdin(fs::File::open(home.path("latin")).unwrap()));
    blocked(&ran);
    assert!(approvals(&server).is_empty());
    // A tool that nobody has heard of needs an approval like any other.
    let unknown = event("PreToolUse", "mcp__bank__transfer", json!({ "cents": 5 }), "t9", &home);
    let child = start(&home, &server.url, &["claude"], &unknown.to_string());
    let approval = approve(&server);
    assert_eq!(approval["action"], "mcp__bank__transfer");
    assert_eq!(approval["context"]["input"], json!({ "cents": 5 }));
    assert_eq!(answer(&end(child)).0, "allow");
}

#[test]
fn a_policy_that_traps_blocks() {
    let (home, server) = home_with_signer();
    fs::write(home.path("loops.wasm"), loops_for("claude-code")).unwrap();
    sign_with(&home, "loops.wasm", "tools", 1, &["--fuel", LITTLE_FUEL]);
    let looping = pushed(&home, &server, "loops.wasm");
    server.post(&format!("/api/v1/modules/{looping}/activate"), &json!({})).ok();
    let ran = hook(&home, &server.url, &["claude"], &bash(&home, "t1"));
    assert!(blocked(&ran).contains("policy-trapped"), "{ran:?}");
    nothing_claimed(&server);
}

#[test]
fn two_hooks_of_one_tool_use_have_one_approval_and_one_execution() {
    let (home, server) = home_and_server();
    let event = bash(&home, "t1").to_string();
    let hooks = [(); 2].map(|()| start(&home, &server.url, &["claude"], &event));
    let approval = approve(&server);
    for child in hooks {
        assert_eq!(answer(&end(child)).0, "allow");
    }
    // The same hook again, while the tool has not run: the same execution.
    let again = hook(&home, &server.url, &["claude"], &bash(&home, "t1"));
    assert_eq!(answer(&again).0, "allow");
    assert_eq!(approvals(&server).len(), 1);
    let executed = server.events_of(&approval);
    assert_eq!(
        executed.iter().filter(|event| *event == "approval_claimed").count(),
        1,
        "{executed:?}"
    );
}

#[test]
fn a_deferred_tool_finds_its_approval_again() {
    let (home, server) = home_and_server();
    let defers = ["claude", "--on-pending", "defer"];
    let event = bash(&home, "t1");
    assert_eq!(answer(&hook(&home, &server.url, &defers, &event)).0, "defer");
    assert_eq!(answer(&hook(&home, &server.url, &defers, &event)).0, "defer");
    let approval = approve(&server);
    assert_eq!(answer(&hook(&home, &server.url, &defers, &event)).0, "allow");
    assert_eq!(approvals(&server).len(), 1);
    assert_eq!(server.show(&approval)["status"], "executed");
    let state = home.path(".local/state/signoff/hook");
    assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
    let files: Vec<_> = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(files.len(), 1);
    // Others' files are not read: the folder must be private.
    fs::set_permissions(&state, fs::Permissions::from_mode(0o755)).unwrap();
    blocked(&hook(&home, &server.url, &defers, &bash(&home, "t2")));
}

#[test]
fn a_denied_tool_finds_its_approval_by_its_input() {
    let (home, server) = home_and_server();
    let denies = ["claude", "--on-pending", "deny"];
    let first = hook(&home, &server.url, &denies, &bash(&home, "t1"));
    assert!(blocked(&first).contains("waits for an approver"), "{first:?}");
    let approval = approve(&server);
    assert_eq!(answer(&hook(&home, &server.url, &denies, &bash(&home, "t2"))).0, "allow");
    let mut after = bash(&home, "t2");
    after["hook_event_name"] = json!("PostToolUse");
    hook(&home, &server.url, &denies, &after).ok();
    assert_eq!(server.show(&approval)["execution"]["outcome"], "succeeded");
    // The next one needs an approval of its own.
    blocked(&hook(&home, &server.url, &denies, &bash(&home, "t3")));
    assert_eq!(approvals(&server).len(), 2);
}

/// Returns how many times an approval was claimed.
fn claims(server: &Server, approval: &Value) -> usize {
    server.events_of(approval).iter().filter(|event| *event == "approval_claimed").count()
}

fn allowed(ran: &Ran) -> bool {
    ran.code == 0 && ran.out.contains("\"permissionDecision\":\"allow\"")
}

fn copilot(home: &Home, command: &str) -> Value {
    json!({
        "sessionId": "s1", "timestamp": 1_790_000_000_000_u64, "cwd": home.path(""),
        "toolName": "bash", "toolArgs": json!({ "command": command }).to_string(),
    })
}

#[test]
fn of_two_calls_at_once_one_gets_the_approval() {
    let (home, server) = home_and_server();
    let transfer = copilot(&home, "transfer 100").to_string();
    let hooks = [(); 2].map(|()| start(&home, &server.url, &["copilot"], &transfer));
    let approval = approve(&server);
    let ran = hooks.map(end);
    assert_eq!(ran.iter().filter(|ran| allowed(ran)).count(), 1, "{ran:?}");
    assert_eq!(claims(&server, &approval), 1);
    let denies = ["claude", "--on-pending", "deny"];
    for round in 0..4 {
        let input = json!({ "command": format!("make deploy-{round}") });
        let use_of = |n: usize| {
            let tool_use = format!("t{round}-{n}");
            event("PreToolUse", "Bash", input.clone(), &tool_use, &home).to_string()
        };
        blocked(&end(start(&home, &server.url, &denies, &use_of(0))));
        let approval = approve(&server);
        let hooks = [1, 2].map(|n| start(&home, &server.url, &denies, &use_of(n)));
        let ran = hooks.map(end);
        assert_eq!(ran.iter().filter(|ran| allowed(ran)).count(), 1, "{ran:?}");
        assert_eq!(claims(&server, &approval), 1);
        // The one that came second may have asked anew.
        for approval in approvals(&server).iter().filter(|it| it["status"] == "pending") {
            server.act(approval, "withdraw", &json!({})).ok();
        }
    }
}

#[test]
fn two_hooks_of_one_use_that_is_found_by_its_input_have_one_execution() {
    let (home, server) = home_and_server();
    let denies = ["claude", "--on-pending", "deny"];
    blocked(&hook(&home, &server.url, &denies, &bash(&home, "t1")));
    let approval = approve(&server);
    let again = bash(&home, "t2").to_string();
    for child in [(); 2].map(|()| start(&home, &server.url, &denies, &again)) {
        assert_eq!(answer(&end(child)).0, "allow");
    }
    assert_eq!(claims(&server, &approval), 1);
    assert_eq!(approvals(&server).len(), 1);
}

#[test]
fn each_call_reports_its_own_outcome() {
    let (home, server) = home_and_server();
    let denies = ["claude", "--on-pending", "deny"];
    let both = ["t1", "t2"].map(|tool_use| {
        blocked(&hook(&home, &server.url, &denies, &bash(&home, &format!("{tool_use}-0"))));
        let approval = approve(&server);
        assert_eq!(answer(&hook(&home, &server.url, &denies, &bash(&home, tool_use))).0, "allow");
        approval
    });
    let outcomes =
        || both.clone().map(|approval| server.show(&approval)["execution"]["outcome"].clone());
    let mut after = bash(&home, "t1");
    after["hook_event_name"] = json!("PostToolUseFailure");
    hook(&home, &server.url, &denies, &after).ok();
    assert_eq!(outcomes(), ["failed", "claimed"]);
    after["tool_use_id"] = json!("t2");
    after["hook_event_name"] = json!("PostToolUse");
    hook(&home, &server.url, &denies, &after).ok();
    assert_eq!(outcomes(), ["failed", "succeeded"]);
}

#[test]
fn an_answer_is_not_given_again_later() {
    let (home, server) = home_and_server();
    for (options, tool_use) in
        [(&["claude"][..], "t1"), (&["claude", "--on-pending", "deny"], "t2")]
    {
        let event = bash(&home, tool_use);
        let child = start(&home, &server.url, options, &event.to_string());
        approve(&server);
        let first = end(child);
        let given = if allowed(&first) { first } else { hook(&home, &server.url, options, &event) };
        assert!(allowed(&given), "{given:?}");
        assert!(allowed(&hook(&home, &server.url, options, &event)));
        for ago in [61, -61] {
            for file in fs::read_dir(home.path(".local/state/signoff/hook")).unwrap() {
                let path = file.unwrap().path();
                let mut known: Value =
                    serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
                if let Some(claimed) = known["claimed"].as_i64() {
                    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
                    assert!(claimed.unsigned_abs().abs_diff(now) < 100_000);
                    known["claimed"] = json!(now.saturating_add_signed(-ago));
                    fs::write(&path, known.to_string()).unwrap();
                }
            }
            let late = hook(&home, &server.url, options, &event);
            assert!(blocked(&late).contains("more than a minute ago"), "{late:?}");
        }
    }
}

#[test]
fn a_tool_that_ran_with_another_input_has_failed() {
    let (home, server) = home_and_server();
    let child = start(&home, &server.url, &["claude"], &bash(&home, "t1").to_string());
    let approval = approve(&server);
    assert_eq!(answer(&end(child)).0, "allow");
    let mut after = bash(&home, "t1");
    after["hook_event_name"] = json!("PostToolUse");
    after["tool_input"]["command"] = json!("rm -rf /");
    let ran = hook(&home, &server.url, &["claude"], &after);
    assert!(ran.code == 2 && ran.err.contains("another input"), "{ran:?}");
    let execution = server.show(&approval)["execution"].clone();
    assert_eq!(
        (&execution["outcome"], &execution["detail"]),
        (&json!("failed"), &json!("ran with another input"))
    );
}

#[test]
fn a_call_after_a_withdrawn_one_asks_anew() {
    let (home, server) = home_and_server();
    let event = copilot(&home, "make");
    for _ in 0..2 {
        let ran = hook(&home, &server.url, &["copilot", "--timeout", "1"], &event);
        assert!(!allowed(&ran), "{ran:?}");
    }
    let expired = ["copilot", "--expires-in", "1"];
    hook(&home, &server.url, &expired, &event);
    let statuses: Vec<Value> =
        approvals(&server).iter().map(|approval| approval["status"].clone()).collect();
    assert_eq!(statuses, ["expired", "withdrawn", "withdrawn"]);
    // The same after a change of the file that is edited.
    let file = home.file("a.txt", "a\n");
    let input = json!({ "file_path": file, "old_string": "a", "new_string": "b" });
    let denies = ["claude", "--on-pending", "deny"];
    let edit = || {
        let edit = event_of_edit(&home, &input);
        blocked(&hook(&home, &server.url, &denies, &edit))
    };
    assert!(edit().contains("waits for an approver"));
    fs::write(&file, "a\nc\n").unwrap();
    assert!(edit().contains("context-mismatch"));
    assert!(edit().contains("waits for an approver"));
    assert_eq!(approvals(&server).len(), 5);
}

fn event_of_edit(home: &Home, input: &Value) -> Value {
    event("PreToolUse", "Edit", input.clone(), "t1", home)
}

#[test]
fn an_outcome_that_cannot_be_reported_in_time_is_not_a_denial() {
    let (home, server) = home_and_server();
    let child = start(&home, &server.url, &["claude"], &bash(&home, "t1").to_string());
    approve(&server);
    assert_eq!(answer(&end(child)).0, "allow");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let mut after = bash(&home, "t1");
    after["hook_event_name"] = json!("PostToolUse");
    let ran = hook(&home, &url, &["claude", "--timeout", "1"], &after);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    assert!(ran.err.contains("within 1 s"), "{ran:?}");
}

#[test]
fn a_file_that_changes_before_the_tool_runs_blocks() {
    let (home, server) = home_and_server();
    let file = home.file("config.toml", "port = 1\nhost = \"a\"\n");
    let input = json!({ "file_path": file, "old_string": "port = 1", "new_string": "port = 2" });
    let edit = |tool_use: &str| event("PreToolUse", "Edit", input.clone(), tool_use, &home);
    let child = start(&home, &server.url, &["claude"], &edit("t1").to_string());
    let approval = pending(&server);
    let diff = approval["context"]["diff"].as_str().unwrap();
    assert!(diff.contains("-port = 1\n+port = 2\n host = \"a\"\n"), "{diff}");
    assert_eq!(approval["context"]["file"]["sha256"].as_str().unwrap().len(), 64);
    fs::write(&file, "port = 1\nhost = \"evil\"\n").unwrap();
    server.decide(&approval, "approved", APPROVER).ok();
    let ran = end(child);
    assert!(blocked(&ran).contains("context-mismatch"), "{ran:?}");
    assert_eq!(server.show(&approval)["execution"]["outcome"], "failed");
    // Without a change it runs.
    let child = start(&home, &server.url, &["claude"], &edit("t2").to_string());
    approve(&server);
    assert_eq!(answer(&end(child)).0, "allow");
    // A deferred edit of a file that changed is not the one that was requested.
    let defers = ["claude", "--on-pending", "defer"];
    assert_eq!(answer(&hook(&home, &server.url, &defers, &edit("t3"))).0, "defer");
    let requested = approve(&server);
    fs::write(&file, "port = 1\n").unwrap();
    let ran = hook(&home, &server.url, &defers, &edit("t3"));
    assert!(blocked(&ran).contains("context-mismatch"), "{ran:?}");
    assert!(server.show(&requested)["execution"].is_null());
    let large = home.path("large");
    fs::write(&large, vec![b'a'; (1 << 20) + 1]).unwrap();
    let write = json!({ "file_path": large, "content": "" });
    let ran = hook(&home, &server.url, &defers, &event("PreToolUse", "Write", write, "t4", &home));
    assert!(blocked(&ran).contains("larger than"), "{ran:?}");
}

#[test]
fn an_answer_that_nobody_reads_is_not_an_allowance() {
    let (home, server) = home_and_server();
    let mut child = start(&home, &server.url, &["claude"], &bash(&home, "t1").to_string());
    let approval = pending(&server);
    drop(child.stdout.take());
    server.decide(&approval, "approved", APPROVER).ok();
    let ran = end(child);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert_eq!(server.show(&approval)["execution"]["outcome"], "failed");
    for redirection in [">&-", ">/dev/null"] {
        let script = format!("exec \"$0\" \"$@\" {redirection}");
        let mut shell = home.program("sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_signoff"), "--server", &server.url]);
        shell.args(["hook", "claude", "--on-pending", "deny"]);
        shell.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(bash(&home, "t2").to_string().as_bytes());
        let ran = end(child);
        assert!(ran.code == 2 && ran.err.contains("does not run"), "{redirection}: {ran:?}");
    }
}

#[test]
fn an_interrupted_hook_blocks_and_withdraws() {
    let (home, server) = home_and_server();
    for (signal, tool_use) in [(Signal::TERM, "t1"), (Signal::INT, "t2"), (Signal::HUP, "t3")] {
        let child = start(&home, &server.url, &["claude"], &bash(&home, tool_use).to_string());
        let approval = pending(&server);
        kill_process(Pid::from_child(&child), signal).unwrap();
        blocked(&end(child));
        assert_eq!(server.show(&approval)["status"], "withdrawn");
    }
    // A killed one says nothing, and claims nothing; the installed entry makes its harness block.
    let child = start(&home, &server.url, &["claude"], &bash(&home, "t4").to_string());
    let approval = pending(&server);
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    let ran = end(child);
    assert_eq!((ran.code, ran.out.as_str()), (-1, ""));
    server.decide(&approval, "approved", APPROVER).ok();
    nothing_claimed(&server);
}

#[test]
fn with_trust_the_servers_word_is_not_enough() {
    let (home, server) = home_and_server();
    let elsewhere = Home::new();
    elsewhere.run(&["key", "generate", "--id", "ann", "--approver", "ann@company.com"]).ok();
    let trust = elsewhere.path("signoff.keys.json").display().to_string();
    let options = ["claude", "--trust", &trust, "--audience", "default"];
    let child = start(&home, &server.url, &options, &bash(&home, "t1").to_string());
    approve(&server);
    blocked(&end(child));
    nothing_claimed(&server);
}

/// Returns what a gate with a token answers.
fn with_token(office: &Office, token: &str, options: &[&str], event: &Value) -> Ran {
    let mut all = vec!["--server", &office.server.url, "hook", "claude"];
    all.extend(options);
    let mut signoff = office.home.signoff(&all);
    signoff.env("SIGNOFF_TOKEN", token);
    signoff.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = signoff.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(event.to_string().as_bytes());
    end(child)
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
    let options = ["--on-pending", "defer", "--trust", &trust, "--audience", "default"];
    let event = bash(&office.home, "t1");
    assert_eq!(answer(&with_token(&office, agent.token(), &options, &event)).0, "defer");
    let items = office.admin.get("/api/v1/approvals").ok()["items"].clone();
    let approval = ann.client.show(&items[0]);
    assert_eq!(ann.approves(&approval), "approved");
    let allowed = with_token(&office, agent.token(), &options, &event);
    assert_eq!(answer(&allowed).0, "allow");
    assert!(allowed.err.contains("verified with the keys given"), "{allowed:?}");
    assert_eq!(ann.client.show(&approval)["execution"]["outcome"], "claimed");
}

#[test]
fn a_clock_that_differs_from_the_servers_blocks() {
    let office = Office::new();
    let ann = office.person("ann@company.com", &[]);
    let agent = office.token("agent@company.com", &["requester", "executor"]);
    let pinned = Home::new();
    pinned
        .run(&["key", "import", &ann.entry.to_string(), "--approver", "ann@company.com", "--yes"])
        .ok();
    let trust = pinned.path("signoff.keys.json").display().to_string();
    let options = ["--on-pending", "defer", "--trust", &trust, "--audience", "default"];
    let event = bash(&office.home, "t1");
    assert_eq!(answer(&with_token(&office, agent.token(), &options, &event)).0, "defer");
    let folder = office.home.path(".local/state/signoff/hook");
    let state = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let known: Value = serde_json::from_str(&fs::read_to_string(&state).unwrap()).unwrap();
    let items = office.admin.get("/api/v1/approvals").ok()["items"].clone();
    let approval = ann.client.show(&items[0]);
    assert_eq!(ann.approves(&approval), "approved");
    // The machine's clock was an hour ahead at the request, so the approval could be an old one.
    let mut ahead = known.clone();
    ahead["seen"] = json!(known["seen"].as_u64().unwrap() + 3600);
    fs::write(&state, ahead.to_string()).unwrap();
    let refused = with_token(&office, agent.token(), &options, &event);
    assert!(blocked(&refused).contains("requested"), "{refused:?}");
    assert!(ann.client.show(&approval)["execution"].is_null());
}

#[test]
fn a_full_disk_blocks() {
    let (home, server) = home_and_server();
    let run = |script: &str| {
        let mut shell = home.program("bash");
        let script = format!("{script}; exec \"$0\" \"$@\"");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_signoff"), "--server", &server.url]);
        shell.args(["hook", "claude", "--timeout", "20s"]);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(bash(&home, "t1").to_string().as_bytes());
        end(child)
    };
    // No file can grow, not even one in memory.
    blocked(&run("trap '' XFSZ; ulimit -f 0"));
    // The state alone cannot be written.
    home.file("file", "");
    let state = home.path("file/state").display().to_string();
    let ran = run(&format!("export XDG_STATE_HOME={state}"));
    assert!(blocked(&ran).contains(&state), "{ran:?}");
    assert!(approvals(&server).is_empty());
}

#[test]
fn codex_is_told_of_denials_only() {
    let (home, server) = home_with_signer();
    activated(&home, &server, "tools", 1, RULES);
    let codex = |tool: &str, input: Value, tool_use: &str| {
        json!({
            "session_id": "s1", "turn_id": "turn", "cwd": home.path(""), "model": "m",
            "hook_event_name": "PreToolUse", "permission_mode": "default",
            "transcript_path": null, "tool_name": tool, "tool_input": input,
            "tool_use_id": tool_use,
        })
    };
    let allowed = hook(&home, &server.url, &["codex"], &codex("Read", json!({}), "t1"));
    assert_eq!((allowed.code, allowed.out.as_str()), (0, ""));
    let denied = codex("Bash", json!({ "command": "rm x" }), "t2");
    assert_eq!(answer(&hook(&home, &server.url, &["codex"], &denied)).0, "deny");
    let patch = codex("apply_patch", json!({ "command": "*** Begin Patch" }), "t3");
    let child = start(&home, &server.url, &["codex"], &patch.to_string());
    assert_eq!(approve(&server)["agent"], "codex");
    let ran = end(child);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{ran:?}");
}

#[test]
fn copilot_gets_answers_in_its_own_form() {
    let (home, server) = home_and_server();
    let before = json!({
        "sessionId": "s1", "timestamp": 1_790_000_000_000_u64, "cwd": home.path(""),
        "toolName": "create", "toolArgs": json!({ "path": "new.txt", "file_text": "x\n" }).to_string(),
    });
    let child = start(&home, &server.url, &["copilot"], &before.to_string());
    let approval = approve(&server);
    assert!(approval["context"]["diff"].as_str().unwrap().contains("+x\n"), "{approval}");
    let answer = end(child).json();
    assert_eq!(answer["permissionDecision"], "allow", "{answer}");
    let mut after = before.clone();
    after["toolResult"] = json!({ "resultType": "success", "textResultForLlm": "" });
    hook(&home, &server.url, &["copilot", "--event", "postToolUse"], &after).ok();
    assert_eq!(server.show(&approval)["execution"]["outcome"], "succeeded");
    let child = start(&home, &server.url, &["copilot"], &before.to_string());
    server.decide(&pending(&server), "rejected", APPROVER).ok();
    let answer = end(child).json();
    assert_eq!(answer["permissionDecision"], "deny", "{answer}");
    assert_eq!(approvals(&server).len(), 2);
}

const SERVER: &str = "https://signoff.example";

/// Returns the command of the gate in a home's settings.
fn command_of(home: &Home) -> String {
    let settings = fs::read_to_string(home.path(".claude/settings.json")).unwrap();
    let settings: Value = serde_json::from_str(&settings).unwrap();
    text(&settings["hooks"]["PreToolUse"][0]["hooks"][0], "command").to_owned()
}

#[test]
fn install_names_the_server() {
    let home = Home::new();
    let install = ["hook", "install", "claude"];
    let none = home.run(&install).exits(2);
    assert!(none.err.contains("no server is set"), "{none:?}");
    // A variable is not taken: the gate would not, either.
    Ran::of(home.signoff(&install).env("SIGNOFF_SERVER", SERVER)).exits(2);
    fs::create_dir_all(home.path(".config/signoff")).unwrap();
    let login = home.file(".config/signoff/client.json", "{\"server\":\"https://a.example\"}");
    fs::set_permissions(&login, fs::Permissions::from_mode(0o600)).unwrap();
    home.run(&install).ok();
    assert!(command_of(&home).ends_with("hook claude --server https://a.example"));
    let here = home.path("").canonicalize().unwrap();
    for options in [&["--server", "unix:s.sock"][..], &["--", "--server=unix:s.sock"]] {
        home.run(&[&install[..], options].concat()).ok();
        let place = format!("unix:{}", here.join("s.sock").display());
        assert!(command_of(&home).ends_with(&place), "{}", command_of(&home));
    }
    home.run(&[&install[..], &["--", "--store", "s.redb"]].concat()).ok();
    let store = format!("hook claude --store {}", here.join("s.redb").display());
    assert!(command_of(&home).ends_with(&store), "{}", command_of(&home));
}

#[test]
fn install_refuses_where_hooks_are_off() {
    let home = Home::new();
    fs::create_dir(home.path(".claude")).unwrap();
    fs::create_dir_all(home.path("project/.claude")).unwrap();
    let files = [
        ".claude/settings.json",
        "project/.claude/settings.json",
        "project/.claude/settings.local.json",
    ];
    for file in files {
        for project in [&[][..], &["--project"]] {
            let path = home.file(file, "{\"disableAllHooks\": true}");
            let arguments =
                [&["hook", "install", "claude", "--server", SERVER][..], project].concat();
            let ran = Ran::of(home.signoff(&arguments).current_dir(home.path("project"))).exits(1);
            assert!(ran.err.contains("disableAllHooks") && ran.err.contains(file), "{ran:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), "{\"disableAllHooks\": true}");
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn install_replaces_no_link_and_no_protected_file() {
    let home = Home::new();
    fs::create_dir(home.path(".claude")).unwrap();
    let settings = home.path(".claude/settings.json");
    let install = ["hook", "install", "claude", "--server", SERVER];
    std::os::unix::fs::symlink(home.path("none"), &settings).unwrap();
    assert!(home.run(&install).exits(1).err.contains("leads nowhere"));
    assert!(settings.symlink_metadata().unwrap().is_symlink() && !home.path("none").exists());
    fs::remove_file(&settings).unwrap();
    fs::write(&settings, "{}").unwrap();
    fs::set_permissions(&settings, fs::Permissions::from_mode(0o444)).unwrap();
    assert!(home.run(&install).exits(1).err.contains("read-only"));
    assert_eq!(fs::read_to_string(&settings).unwrap(), "{}");
    // An entry of somebody else's hand is named when it is replaced.
    fs::remove_file(&settings).unwrap();
    let entry =
        r#"{"matcher":"Bash","hooks":[{"type":"command","command":"signoff hook claude"}]}"#;
    fs::write(&settings, format!("{{\"hooks\":{{\"PreToolUse\":[{entry}]}}}}")).unwrap();
    assert!(home.run(&install).exits(0).err.contains("written by hand"));
    assert!(!home.run(&["hook", "uninstall", "claude"]).exits(0).err.contains("by hand"));
}

/// A project's settings can set variables for the agent.
#[test]
fn a_gate_takes_its_server_from_no_variable() {
    let (home, server) = home_and_server();
    let event = bash(&home, "t1").to_string();
    let run = |arguments: &[&str], name: &str, value: &str| {
        let mut signoff = home.signoff(arguments);
        signoff
            .env(name, value)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = signoff.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(event.as_bytes());
        blocked(&end(child))
    };
    let denies = ["hook", "claude", "--on-pending", "deny"];
    let why = run(&denies, "SIGNOFF_SERVER", &server.url);
    assert!(why.contains("SIGNOFF_SERVER"), "{why}");
    let store = home.path("a.redb").display().to_string();
    let why = run(&denies, "SIGNOFF_STORE", &store);
    assert!(why.contains("SIGNOFF_STORE"), "{why}");
    let named = [&["--server", &server.url][..], &denies].concat();
    for name in ["SIGNOFF_CA", "SIGNOFF_CONFIG", "SIGNOFF_KEYRING"] {
        let why = run(&named, name, &home.path("token").display().to_string());
        assert!(why.contains(name), "{why}");
    }
    let tls = [&["--server", "https://127.0.0.1:9"][..], &denies].concat();
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        let why = run(&tls, name, "/tmp");
        assert!(why.contains(name), "{why}");
    }
    let with_store = [&["--store", &store][..], &denies].concat();
    let why = run(&with_store, "SIGNOFF_AUDIENCE", "x");
    assert!(why.contains("SIGNOFF_"), "{why}");
    let relative = [&["--server", "unix:s.sock"][..], &denies].concat();
    assert!(run(&relative, "A", "b").contains("absolute"));
    assert!(approvals(&server).is_empty() && !home.path("a.redb").exists());
}

#[test]
fn install_and_uninstall_leave_other_settings_as_they_are() {
    let home = Home::new();
    fs::create_dir(home.path(".claude")).unwrap();
    let settings = home.path(".claude/settings.json");
    let originals = [
        "{\n    \"model\": \"opus\",\n    \"hooks\": {\n        \"PreToolUse\": [\n            {\"matcher\": \"Bash\", \"hooks\": [{\"type\": \"command\", \"command\": \"./lint.sh\"}]}\n        ],\n        \"Stop\": []\n    },\n    \"env\": {\"A\": \"}\"}\n}\n",
        "{\"permissions\":{\"allow\":[\"Bash(ls:*)\"]},\"z\":1.50}",
        "{\n\t\"a\": 1\n}",
        "{\r\n  \"a\": 1,\r\n  \"b\": [\r\n    1\r\n  ]\r\n}\r\n",
    ];
    for original in originals {
        fs::write(&settings, original).unwrap();
        fs::set_permissions(&settings, fs::Permissions::from_mode(0o640)).unwrap();
        home.run(&["hook", "install", "claude", "--server", SERVER]).ok();
        let installed = fs::read_to_string(&settings).unwrap();
        let lines = |end: &str| installed.matches(end).count();
        assert!(!original.contains("\r\n") || lines("\r\n") == lines("\n"), "{installed:?}");
        let value: Value = serde_json::from_str(&installed).expect(&installed);
        let before: Value = serde_json::from_str(original).unwrap();
        for name in before.as_object().unwrap().keys().filter(|name| *name != "hooks") {
            assert_eq!(value[name], before[name]);
        }
        for name in ["PreToolUse", "PostToolUse", "PostToolUseFailure"] {
            let entry = value["hooks"][name].as_array().unwrap().last().unwrap().clone();
            assert_eq!(entry["matcher"], "*");
            let handler = &entry["hooks"][0];
            assert_eq!((&handler["type"], &handler["timeout"]), (&json!("command"), &json!(600)));
            assert_eq!(handler["onFailure"], "block");
            let command = handler["command"].as_str().unwrap();
            let is_whole = command.ends_with("hook claude --server https://signoff.example");
            assert!(command.starts_with('/') && is_whole, "{command}");
        }
        assert_eq!(fs::metadata(&settings).unwrap().permissions().mode() & 0o777, 0o640);
        let again = home.run(&["--json", "hook", "install", "claude", "--server", SERVER]).json();
        assert_eq!(again["changed"], false);
        assert_eq!(fs::read_to_string(&settings).unwrap(), installed);
        // With other options it is replaced, not added.
        home.run(&["hook", "install", "claude", "--", "--server", SERVER, "--timeout", "5m"]).ok();
        let replaced = fs::read_to_string(&settings).unwrap();
        assert_eq!(replaced.matches("signoff.example --timeout 5m").count(), 3, "{replaced}");
        assert_eq!(replaced.matches("hook claude").count(), 3, "{replaced}");
        home.run(&["hook", "uninstall", "claude"]).ok();
        assert_eq!(fs::read_to_string(&settings).unwrap(), original);
    }
    for broken in ["{", "[]", "{\"hooks\": []}", "{\"hooks\": {\"PreToolUse\": {}}}", "// x\n{}"] {
        fs::write(&settings, broken).unwrap();
        home.run(&["hook", "install", "claude", "--server", SERVER]).exits(1);
        assert_eq!(fs::read_to_string(&settings).unwrap(), broken);
    }
    for options in [&["--timeout", "571"][..], &["--token", "x"], &["--nonsense"]] {
        let install = ["--server", SERVER, "hook", "install", "claude", "--"];
        home.run(&[&install[..], options].concat()).exits(2);
    }
    let project = ["hook", "install", "claude", "--project", "--server", SERVER];
    fs::remove_file(&settings).unwrap();
    home.run(&project).ok();
    assert!(fs::read_to_string(&settings).unwrap().contains("--server https://signoff.example"));
}

#[test]
fn test_shows_an_answer_and_requests_nothing() {
    let (home, server) = home_with_signer();
    activated(&home, &server, "tools", 1, RULES);
    let test = |tool: &str, input: &str, json: &[&str]| {
        let arguments =
            ["--server", &server.url, "hook", "test", "claude", "--tool", tool, "--input", input];
        home.run(&[&arguments[..], json].concat())
    };
    let allowed = test("Read", "{}", &[]).exits(0);
    assert!(allowed.out.contains("reading is harmless"), "{allowed:?}");
    let denied = test("Bash", "{\"command\":\"rm x\"}", &["--json"]).exits(3).json();
    assert_eq!(denied["answer"], "deny");
    assert_eq!(denied["context"]["commands"][0]["words"], json!(["rm", "x"]));
    test("Bash", "{\"command\":\"ls\"}", &[]).exits(4);
    test("Bash", "{", &[]).exits(2);
    assert!(approvals(&server).is_empty());
}
