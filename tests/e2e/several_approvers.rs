//! Several approvers over HTTP, each with a token and a key that was created on their machine.

use serde_json::{Value, json};

use crate::support::{Office, Server, ballot, claim_body, id, request_body, sign, text};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
const EVE: &str = "eve@example.com";

#[test]
fn two_approve_and_then_one_executes() {
    let office = Office::new();
    let [ann, bob] = [ANN, BOB].map(|name| office.person(name, &[]));
    let approval = office.request(json!({ "threshold": 2 }));
    assert_eq!(approval["requirement"]["threshold"], 2);
    office.executor.claim(&approval).refused("not-approved");
    assert_eq!(ann.approves(&approval), "pending");
    office.executor.claim(&approval).refused("not-approved");
    let one = json!({ "signature": ann.key.sign(&approval, "approved", "") });
    let verdict = office.executor.act(&approval, "verify", &one).ok();
    assert_eq!((&verdict["valid"], &verdict["signature_valid"]), (&json!(false), &json!(true)));
    assert_eq!(bob.approves(&approval), "approved");
    let verdict = office.executor.act(&approval, "verify", &one).ok();
    assert_eq!(verdict["valid"], true);
    let claimed = office.executor.claim(&approval).ok();
    let approvers: Vec<&str> =
        claimed["ballots"].as_array().unwrap().iter().map(|cast| text(cast, "approver")).collect();
    assert_eq!(approvers, [ANN, BOB]);
    office.executor.claim(&approval).refused("already-executed");
    let events = office.admin.events_of(&approval);
    let expected = [
        "approval_requested",
        "request_refused",
        "approval_decided",
        "request_refused",
        "approval_decided",
        "approval_claimed",
        "request_refused",
    ];
    assert_eq!(events, expected);
}

#[test]
fn a_group_requirement_is_met_only_by_its_members() {
    let office = Office::new();
    let ann = office.person(ANN, &[]);
    let bob = office.person(BOB, &["sre", "legal"]);
    let eve = office.person(EVE, &[]);
    office.home.bystander("other", &["sre"]);
    let approval = office.request(json!({ "groups": { "sre": 1 } }));
    assert_eq!(ann.approves(&approval), "pending");
    // The threshold is reached: an approval by a person in no missing group does not help.
    let problem = eve.decides(&approval, "approved").refused("approver-not-allowed");
    assert!(text(&problem, "detail").contains("`sre`"), "{problem}");
    assert_eq!(bob.approves(&approval), "approved");
    office.executor.claim(&approval).ok();
    // One member of two groups counts for both.
    let approval = office.request(json!({ "threshold": 1, "groups": { "sre": 1, "legal": 1 } }));
    assert_eq!(bob.approves(&approval), "approved");
    office.executor.claim(&approval).ok();
    // Two of a group must be two people.
    let approval = office.request(json!({ "groups": { "sre": 2 } }));
    assert_eq!(bob.approves(&approval), "pending");
    bob.decides(&approval, "approved").refused("already-voted");
    office.executor.claim(&approval).refused("not-approved");
}

#[test]
fn an_approver_outside_the_groups_may_still_reject() {
    let office = Office::new();
    let [ann, eve] = [ANN, EVE].map(|name| office.person(name, &[]));
    office.home.bystander("other", &["sre"]);
    let approval = office.request(json!({ "groups": { "sre": 1 } }));
    ann.approves(&approval);
    eve.decides(&approval, "approved").refused("approver-not-allowed");
    assert_eq!(eve.decides(&approval, "rejected").ok()["status"], "rejected");
}

#[test]
fn one_rejection_ends_the_approval() {
    let office = Office::new();
    let [ann, bob, eve] = [ANN, BOB, EVE].map(|name| office.person(name, &[]));
    let approval = office.request(json!({ "threshold": 3 }));
    ann.approves(&approval);
    assert_eq!(bob.decides(&approval, "rejected").ok()["status"], "rejected");
    eve.decides(&approval, "approved").refused("already-decided");
    ann.decides(&approval, "approved").refused("already-decided");
    office.executor.claim(&approval).refused("not-approved");
}

#[test]
fn requester_and_agent_never_count() {
    let office = Office::new();
    let [ann, bob] = [ANN, BOB].map(|name| office.person(name, &[]));
    office.home.bystander("other", &[]);
    let both = office.token(ANN, &["requester"]);
    let mut body = request_body();
    body["requirement"] = json!({ "threshold": 2 });
    let approval = both.request_of(&body);
    ann.decides(&approval, "approved").refused("self-approval");
    ann.decides(&approval, "rejected").refused("self-approval");
    assert_eq!(bob.approves(&approval), "pending");
    // A person with the agent's name counts as the agent.
    let agent = office.person("knowledge_update", &[]);
    agent.decides(&approval, "approved").refused("self-approval");
    let agent = office.token("agent:inbox_triage", &["requester", "executor"]);
    let signed = bob.key.as_if(&bob.key.id, "agent:inbox_triage").ballot(&approval, "approved");
    agent.act(&approval, "approve", &signed).refused("forbidden");
    assert_eq!(office.admin.show(&approval)["ballots"].as_array().unwrap().len(), 1);
}

#[test]
fn one_person_counts_once_with_any_keys() {
    let office = Office::new();
    let ann = office.person(ANN, &[]);
    let mut second = ann.entry.clone();
    second["id"] = json!("ann-again");
    office.import(&second, &[]);
    let other = crate::support::Home::new();
    let generate = ["--json", "key", "generate", "--approver", ANN, "--id", "ann-other"];
    office.import(&other.run(&generate).exits(0).json()["entry"], &[]);
    office.request_unmeetable(json!({ "threshold": 2 }));
    office.home.bystander("other", &[]);
    let approval = office.request(json!({ "threshold": 2 }));
    assert_eq!(ann.approves(&approval), "pending");
    ann.decides(&approval, "approved").refused("already-voted");
    let keys = [ann.key.as_if("ann-again", ANN), crate::support::KeyV2::of(&other, "ann-other")];
    for key in keys {
        let ballot = key.ballot(&approval, "approved");
        ann.client.act(&approval, "approve", &ballot).refused("already-voted");
    }
    // Bob cannot use her key, not even under another id.
    let bob = office.token(BOB, &["approver"]);
    for id in ["ann", "ann-again"] {
        let ballot = ann.key.as_if(id, BOB).ballot(&approval, "approved");
        let code = bob.act(&approval, "approve", &ballot).code();
        assert!(["already-voted", "key-not-yours"].contains(&code.as_str()), "{code}");
    }
    let mut stolen = ann.entry;
    stolen["id"] = json!("bob");
    stolen["approver"] = json!(BOB);
    let ran = office
        .home
        .run(&["key", "import", &stolen.to_string(), "--approver", BOB, "--yes"])
        .exits(1);
    assert!(ran.err.contains("are one key"), "{ran:?}");
    assert_eq!(office.admin.show(&approval)["status"], "pending");
}

#[test]
fn a_removed_group_does_not_count_at_the_claim() {
    let office = Office::new();
    let ann = office.person(ANN, &["sre"]);
    let approval = office.request(json!({ "groups": { "sre": 1 } }));
    assert_eq!(ann.approves(&approval), "approved");
    office.import(&ann.entry, &["interns"]);
    let problem = office.executor.claim(&approval).refused("approver-not-allowed");
    assert!(text(&problem, "detail").contains("`sre`"), "{problem}");
    assert_eq!(office.admin.show(&approval)["status"], "approved");
    office.import(&ann.entry, &["sre"]);
    office.executor.claim(&approval).ok();
}

#[test]
fn a_revoked_key_stops_counting_at_once() {
    let office = Office::new();
    let [ann, bob, eve] = [ANN, BOB, EVE].map(|name| office.person(name, &[]));
    let approved = office.request(json!({ "threshold": 2 }));
    ann.approves(&approved);
    assert_eq!(bob.approves(&approved), "approved");
    let half = office.request(json!({ "threshold": 2 }));
    assert_eq!(bob.approves(&half), "pending");
    let untouched = office.request(json!({ "threshold": 2 }));
    ann.approves(&untouched);
    assert_eq!(eve.approves(&untouched), "approved");
    office.home.run(&["key", "revoke", "bob", "--yes"]).ok();
    office.executor.claim(&approved).refused("key-revoked");
    bob.decides(&office.request(json!({})), "approved").refused("key-revoked");
    // Bob's ballot no longer counts, so two others are needed, and his ballot still blocks the claim.
    assert_eq!(ann.approves(&half), "pending");
    eve.decides(&half, "approved").ok();
    office.executor.claim(&half).refused("key-revoked");
    office.executor.claim(&untouched).ok();
    let keys = office.admin.get("/api/v1/audit?limit=1000").ok();
    let recorded = keys["items"].as_array().unwrap().iter().any(|item| {
        let entry = &item["entry"]["event"];
        entry["event"] == "key_recorded" && entry["key_id"] == "bob" && entry["status"] == "revoked"
    });
    assert!(recorded, "the audit log records the revocation: {keys}");
}

#[test]
fn a_settings_floor_raises_the_requirement_of_a_request() {
    let office = Office::set_to("[requirement]\nthreshold = 2\ngroups = { sre = 1 }\n");
    let ann = office.person(ANN, &["sre"]);
    let bob = office.person(BOB, &[]);
    office.home.bystander("other", &["sre", "legal"]);
    for (requirement, threshold, groups) in [
        (json!({}), 2, json!({ "sre": 1 })),
        (json!({ "threshold": 1 }), 2, json!({ "sre": 1 })),
        (json!({ "threshold": 3 }), 3, json!({ "sre": 1 })),
        (json!({ "groups": { "sre": 2 } }), 2, json!({ "sre": 2 })),
        (json!({ "groups": { "legal": 1 } }), 2, json!({ "sre": 1, "legal": 1 })),
        (json!({ "groups": {} }), 2, json!({ "sre": 1 })),
    ] {
        let approval = office.request(requirement);
        assert_eq!(approval["requirement"]["threshold"], threshold, "{approval}");
        assert_eq!(approval["requirement"]["groups"], groups, "{approval}");
    }
    // A floor does not hide a malformed requirement.
    let mut body = request_body();
    for wrong in [json!({ "threshold": 0 }), json!({ "groups": { "sre": 0 } })] {
        body["requirement"] = wrong;
        office.requester.post("/api/v1/approvals", &body).refused("request-invalid");
    }
    let approval = office.requester.request();
    assert_eq!(ann.approves(&approval), "pending");
    assert_eq!(bob.approves(&approval), "approved");
    office.executor.claim(&approval).ok();
    // v1 names no key, so it never counts where two are required.
    let approval = office.requester.request();
    let somebody = office.token("user@company.com", &["approver"]);
    let v1 = ballot(&approval, "approved", "user@company.com");
    somebody.act(&approval, "approve", &v1).refused("signature-malformed");
}

#[test]
fn if_only_v2_is_accepted_v1_is_refused() {
    let office = Office::set_to("[signatures]\naccept = [\"v2\"]\n");
    let ann = office.person(ANN, &[]);
    let approval = office.requester.request();
    let v1 = ballot(&approval, "approved", ANN);
    ann.client.act(&approval, "approve", &v1).refused("signature-malformed");
    assert_eq!(ann.approves(&approval), "approved");
    let sent = json!({ "signature": sign(&approval, "approved", ANN) });
    let verdict = office.executor.act(&approval, "verify", &sent).ok();
    assert_eq!(
        (&verdict["valid"], &verdict["code"]),
        (&json!(false), &json!("signature-malformed"))
    );
    office.executor.claim(&approval).ok();
}

#[test]
fn a_ballot_of_a_profile_that_is_no_longer_accepted_does_not_count() {
    let office = Office::new();
    let ann = office.token(ANN, &["approver"]);
    let approval = office.requester.request();
    ann.act(&approval, "approve", &ballot(&approval, "approved", ANN)).ok();
    let Office { server, executor, home, .. } = office;
    server.stop();
    home.file("signoff.toml", "[signatures]\naccept = [\"v2\"]\n");
    let server = Server::start(&home);
    let executor = executor.at(&server.url);
    let code = executor.act(&approval, "execute", &claim_body()).code();
    assert!(["signature-invalid", "signature-malformed"].contains(&code.as_str()), "{code}");
    assert_eq!(executor.show(&approval)["status"], "approved");
}

#[test]
fn if_only_v1_is_accepted_a_requirement_it_cannot_meet_is_refused() {
    let office = Office::set_to("[signatures]\naccept = [\"v1\"]\n");
    let refused = |requirement: Value| {
        let mut body = request_body();
        body["requirement"] = requirement;
        office.requester.post("/api/v1/approvals", &body).refused("request-invalid")
    };
    let problem = refused(json!({ "threshold": 2 }));
    assert!(text(&problem, "detail").contains("v1"), "{problem}");
    refused(json!({ "groups": { "sre": 1 } }));
    office.request(json!({ "threshold": 1 }));
    let ann = office.person(ANN, &[]);
    let approval = office.requester.request();
    ann.decides(&approval, "approved").refused("signature-malformed");
    assert_eq!(office.admin.get("/api/v1/approvals").ok()["items"].as_array().unwrap().len(), 2);
}

#[test]
fn a_malformed_requirement_is_refused() {
    let office = Office::new();
    let many: serde_json::Map<String, Value> =
        (0..17).map(|n| (format!("g{n}"), json!(1))).collect();
    let many = Value::Object(many).to_string();
    let long = "x".repeat(129);
    let long = format!("{{\"groups\":{{\"{long}\":1}}}}");
    let deep = format!("{{\"groups\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000));
    for (requirement, code) in [
        ("[]", "request-invalid"),
        ("[1]", "request-invalid"),
        ("[60,1,{}]", "request-invalid"),
        ("2", "request-invalid"),
        ("\"2\"", "request-invalid"),
        ("true", "request-invalid"),
        (r#"{"threshold":0}"#, "request-invalid"),
        (r#"{"threshold":-1}"#, "request-invalid"),
        (r#"{"threshold":1.5}"#, "request-invalid"),
        (r#"{"threshold":1e0}"#, "request-invalid"),
        (r#"{"threshold":"2"}"#, "request-invalid"),
        (r#"{"threshold":4294967297}"#, "request-invalid"),
        (r#"{"threshold":17}"#, "limit-exceeded"),
        (r#"{"threshold":1,"threshold":2}"#, "request-invalid"),
        (r#"{"threshold":1,"\u0074hreshold":2}"#, "request-invalid"),
        (r#"{"treshold":2}"#, "request-invalid"),
        (r#"{"Threshold":2}"#, "request-invalid"),
        (r#"{"groups":[]}"#, "request-invalid"),
        (r#"{"groups":["sre"]}"#, "request-invalid"),
        (r#"{"groups":null}"#, "request-invalid"),
        (r#"{"groups":{"sre":0}}"#, "request-invalid"),
        (r#"{"groups":{"sre":17}}"#, "limit-exceeded"),
        (r#"{"groups":{"sre":"1"}}"#, "request-invalid"),
        (r#"{"groups":{"sre":2,"sre":1}}"#, "request-invalid"),
        (r#"{"groups":{},"groups":{"sre":1}}"#, "request-invalid"),
        (r#"{"groups":{"":1}}"#, "request-invalid"),
        (r#"{"groups":{"s re":1}}"#, "request-invalid"),
        (r#"{"groups":{"sré":1}}"#, "request-invalid"),
        (&format!(r#"{{"groups":{many}}}"#), "limit-exceeded"),
        (&long, "limit-exceeded"),
        (&deep, "request-invalid"),
        (r#"{"ttl_seconds":0}"#, "request-invalid"),
        (r#"{"ttl_seconds":60}}, "expires_in_seconds": 60, "reason": {"#, "request-invalid"),
    ] {
        let body =
            format!(r#"{{"agent":"a","action":"b","context":{{}},"requirement":{requirement}}}"#);
        let answer = office.requester.post_text("/api/v1/approvals", &body);
        assert_eq!(answer.status, 422, "{requirement}: {answer:?}");
        answer.refused(code);
    }
    for more in [
        r#""requirement":{"ttl_seconds":60},"expires_in_seconds":60"#,
        r#""requirement":{},"requirement":{"threshold":2}"#,
    ] {
        let body = format!(r#"{{"agent":"a","action":"b","context":{{}},{more}}}"#);
        office.requester.post_text("/api/v1/approvals", &body).refused("request-invalid");
    }
    assert_eq!(office.admin.get("/api/v1/approvals").ok()["items"], json!([]));
    // The largest valid requirement.
    let most: serde_json::Map<String, Value> =
        (0..16).map(|n| (format!("g{n}"), json!(16))).collect();
    let most = json!({ "threshold": 16, "groups": most });
    office.request_unmeetable(most.clone());
    let groups: Vec<String> = (0..16).map(|n| format!("g{n}")).collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    (0..16).for_each(|n| office.home.bystander(&format!("p{n}"), &groups));
    let approval = office.request(most);
    assert_eq!(approval["status"], "pending", "{}", id(&approval));
}
