//! Lists, the audit log, health and metrics.

use std::collections::HashSet;
use std::thread;

use serde_json::{Value, json};

use crate::support::{APPROVER, Client, Office, Server, home_and_server, id, request_body};

fn page(server: &Server, query: &str) -> (Vec<String>, Option<String>) {
    let page = server.get(&format!("/api/v1/approvals?{query}")).ok();
    let items = page["items"].as_array().unwrap();
    let ids = items.iter().map(|item| id(item).to_owned()).collect();
    (ids, page["next_cursor"].as_str().map(str::to_owned))
}

fn of(server: &Server, agent: &str, action: &str) -> Value {
    let mut body = request_body();
    body["agent"] = json!(agent);
    body["action"] = json!(action);
    server.request_of(&body)
}

#[test]
fn a_list_is_newest_first_and_without_texts() {
    let (_home, server) = home_and_server();
    assert_eq!(server.get("/api/v1/approvals").ok(), json!({ "items": [], "next_cursor": null }));
    let mut made: Vec<String> = (0..5).map(|_| id(&server.request()).to_owned()).collect();
    made.reverse();
    assert_eq!(page(&server, ""), (made, None));
    let list = server.get("/api/v1/approvals").ok();
    for item in list["items"].as_array().unwrap() {
        assert!(item.get("context").is_none() && item.get("plan").is_none());
        assert!(item["context_hash"].is_string());
    }
}

#[test]
fn pages_follow_the_cursor_without_gap_or_repeat() {
    let (_home, server) = home_and_server();
    let mut made: Vec<String> = (0..23).map(|_| id(&server.request()).to_owned()).collect();
    made.reverse();
    for limit in [1, 2, 10, 22, 23, 24, 200] {
        let mut seen = Vec::new();
        let mut query = format!("limit={limit}");
        loop {
            let (ids, next) = page(&server, &query);
            assert!(ids.len() <= limit && !ids.is_empty());
            seen.extend(ids);
            // Approvals that are requested meanwhile are newer, and do not shift the pages.
            let Some(cursor) = next else { break };
            query = format!("limit={limit}&cursor={cursor}");
        }
        assert_eq!(seen, made, "limit {limit}");
    }
}

/// An agent's token learns nothing of others from a list: no id, no number of pages, and no change.
#[test]
fn a_list_of_an_agent_does_not_depend_on_others() {
    let office = Office::new();
    let (mallory, payroll) = (
        office.token("agent:mallory", &["requester"]),
        office.token("agent:payroll", &["requester"]),
    );
    let own: Vec<String> = (0..3).map(|_| requested(&mallory, "mallory")).collect();
    let lists = || {
        [
            "",
            "agent=payroll",
            "agent=payroll&action=apply",
            "status=pending",
            "agent=nobody",
            "agent=mallory",
        ]
        .map(|filter| pages(&mallory, &format!("{filter}&limit=1")))
    };
    let before = lists();
    for (filter, (seen, count)) in before.iter().enumerate() {
        let expected = if [0, 3, 5].contains(&filter) { (3, 3) } else { (0, 1) };
        assert_eq!((seen.len(), *count), expected, "{filter}");
        assert!(seen.iter().all(|id| own.contains(id)));
    }
    for _ in 0..90 {
        requested(&payroll, "payroll");
    }
    assert_eq!(lists(), before);
}

#[test]
fn a_search_by_prefix_does_not_depend_on_others() {
    let office = Office::new();
    // More than one quota, and more than a page.
    thread::scope(|scope| {
        for at in 0..8 {
            let agent = format!("agent:other{at}");
            let other = office.token(&agent, &["requester"]);
            scope.spawn(move || {
                for _ in 0..150 {
                    requested(&other, &agent["agent:".len()..]);
                }
            });
        }
    });
    let mallory = office.token("agent:mallory", &["requester"]);
    let own = requested(&mallory, "mallory");
    for (prefix, found) in [
        (&own[..10], true),
        (&own[..20], true),
        (&own[..], true),
        ("appr_", true),
        ("appr_7", false),
    ] {
        let page = mallory.get(&format!("/api/v1/approvals?prefix={prefix}")).ok();
        let ids: Vec<&str> =
            page["items"].as_array().unwrap().iter().map(|item| id(item)).collect();
        assert_eq!(ids, if found { vec![own.as_str()] } else { Vec::new() }, "{prefix}");
        assert_eq!(page["next_cursor"], Value::Null);
    }
}

/// A page may end after an approval that the caller may not read.
#[test]
fn a_cursor_shows_no_id_to_callers_who_read_only_their_own() {
    let office = Office::new();
    // A person may request for every agent, and reads what they requested.
    let (ann, ben) = (
        office.token("ann@company.com", &["requester"]),
        office.token("ben@company.com", &["requester"]),
    );
    let mut own = Vec::new();
    for _ in 0..3 {
        own.push(requested(&ann, "web"));
        for _ in 0..45 {
            requested(&ben, "web");
        }
    }
    own.reverse();
    let (seen, count) = pages(&ann, "limit=1");
    assert_eq!(seen, own);
    assert!(count > 3, "no page ended after a foreign approval");
    // Another's cursor is none, and neither is an id.
    let known = format!("/api/v1/approvals?limit=1&cursor={}", own[0]);
    ann.get(&known).refused("request-invalid");
    office.admin.get(&known).ok();
    let first = ann.get("/api/v1/approvals?limit=1").ok();
    let cursor = first["next_cursor"].as_str().unwrap();
    office.admin.get(&format!("/api/v1/approvals?cursor={cursor}")).refused("request-invalid");
}

/// Makes a request for an agent; returns its id.
fn requested(client: &Client, agent: &str) -> String {
    let mut body = request_body();
    body["agent"] = json!(agent);
    id(&client.request_of(&body)).to_owned()
}

/// Follows a list to its end; returns the ids and the number of pages.
fn pages(client: &Client, query: &str) -> (Vec<String>, usize) {
    let (mut seen, mut count, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let page = client.get(&format!("/api/v1/approvals?{query}{cursor}")).ok();
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| id(item).to_owned()));
        count += 1;
        let Some(next) = page["next_cursor"].as_str() else { return (seen, count) };
        assert!(!next.contains("appr_"), "{next}");
        cursor = format!("&cursor={next}");
    }
}

#[test]
fn the_default_page_has_50() {
    let (_home, server) = home_and_server();
    for _ in 0..51 {
        server.request();
    }
    let (ids, next) = page(&server, "");
    assert_eq!(ids.len(), 50);
    assert!(next.is_some());
}

#[test]
fn lists_filter_by_status_agent_and_action_alone_and_together() {
    let (_home, server) = home_and_server();
    let approvals: Vec<Value> = ["alpha", "beta", "alpha:2"]
        .into_iter()
        .flat_map(|agent| ["apply", "drop"].map(|action| of(&server, agent, action)))
        .collect();
    server.decide(&approvals[0], "approved", APPROVER).ok();
    server.decide(&approvals[1], "rejected", APPROVER).ok();
    server.act(&approvals[2], "withdraw", &json!({})).ok();
    let found = |query: &str| {
        let found: HashSet<String> = page(&server, query).0.into_iter().collect();
        (0..6).filter(|n| found.contains(id(&approvals[*n]))).collect::<Vec<usize>>()
    };
    assert_eq!(found("agent=alpha"), [0, 1]);
    assert_eq!(found("agent=alpha%3A2"), [4, 5]);
    assert_eq!(found("action=drop"), [1, 3, 5]);
    assert_eq!(found("agent=alpha&action=drop"), [1]);
    assert_eq!(found("status=approved"), [0]);
    assert_eq!(found("status=rejected"), [1]);
    assert_eq!(found("status=withdrawn"), [2]);
    assert_eq!(found("status=pending"), [3, 4, 5]);
    assert_eq!(found("status=pending&agent=beta"), [3]);
    assert_eq!(found("status=pending&agent=alpha"), [0; 0]);
    assert_eq!(found("status=executed"), [0; 0]);
    assert_eq!(found("agent=alph"), [0; 0]);
    assert_eq!(found("agent="), [0; 0]);
}

#[test]
fn filtered_pages_follow_the_cursor_too() {
    let (_home, server) = home_and_server();
    let mut wanted = Vec::new();
    for n in 0..20 {
        let approval = of(&server, if n % 3 == 0 { "alpha" } else { "beta" }, "apply");
        if n % 3 == 0 {
            wanted.insert(0, id(&approval).to_owned());
        }
    }
    let mut seen = Vec::new();
    let mut query = "agent=alpha&status=pending&limit=2".to_owned();
    loop {
        let (ids, next) = page(&server, &query);
        seen.extend(ids);
        let Some(cursor) = next else { break };
        query = format!("agent=alpha&status=pending&limit=2&cursor={cursor}");
    }
    assert_eq!(seen, wanted);
}

#[test]
fn the_audit_numbers_from_one_and_contains_no_texts() {
    let (_home, server) = home_and_server();
    let mut body = request_body();
    body["reason"] = json!("a reason that must stay out");
    body["context"] = json!({ "marker": "a context that must stay out" });
    let approval = server.request_of(&body);
    let mut decision = crate::support::ballot(&approval, "approved", APPROVER);
    decision["comment"] = json!("a comment that must stay out");
    server.act(&approval, "approve", &decision).ok();
    let entries = server.audit();
    assert_eq!(entries.len(), 2);
    for entry in &entries {
        assert_eq!(entry["format"], 1);
        assert_eq!(entry["approval_id"], approval["id"]);
        assert_eq!(entry["context_hash"], approval["context_hash"]);
        assert!(!entry.to_string().contains("must stay out"), "{entry}");
        assert!(!entry.to_string().contains(decision["signature"].as_str().unwrap()), "{entry}");
    }
    assert_eq!(entries[1]["actor"], APPROVER);
    assert_eq!(entries[1]["decision"], "approved");
    assert_eq!((&entries[1]["from"], &entries[1]["to"]), (&json!("pending"), &json!("approved")));
}

#[test]
fn the_audit_pages_by_number() {
    let (_home, server) = home_and_server();
    for _ in 0..4 {
        server.request();
    }
    let numbers = |query: &str| {
        let page = server.get(&format!("/api/v1/audit?{query}")).ok();
        let items = page["items"].as_array().unwrap();
        let numbers: Vec<u64> = items.iter().map(|item| item["number"].as_u64().unwrap()).collect();
        (numbers, page["next_after"].as_u64())
    };
    // The first entries record the settings and two keys.
    assert_eq!(numbers(""), (vec![1, 2, 3, 4, 5, 6, 7], None));
    assert_eq!(numbers("limit=2"), (vec![1, 2], Some(2)));
    assert_eq!(numbers("limit=2&after=2"), (vec![3, 4], Some(4)));
    assert_eq!(numbers("limit=2&after=6"), (vec![7], None));
    assert_eq!(numbers("after=18446744073709551615"), (vec![], None));
}

#[test]
fn health_and_readiness_answer() {
    let (_home, server) = home_and_server();
    assert_eq!(server.get("/healthz").ok(), json!({ "status": "ok" }));
    let ready = server.get("/readyz").ok();
    assert_eq!(ready["status"], "ready");
    assert_eq!(ready["verifier"].as_str().unwrap().len(), 64);
}

#[test]
fn metrics_count_approvals_requests_and_refusals_by_route_and_code() {
    let (_home, server) = home_and_server();
    let approval = server.approved();
    server.request();
    server.decide(&approval, "approved", APPROVER).refused("already-decided");
    let answer = server.get("/metrics");
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type").unwrap();
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    let has = |line: &str| assert!(answer.body.lines().any(|l| l == line), "{line}\n{answer:?}");
    has("signoff_approvals{status=\"pending\"} 1");
    has("signoff_approvals{status=\"approved\"} 1");
    has("signoff_audit_entries 6");
    has("signoff_store_writable 1");
    has("signoff_refusals_total{code=\"already-decided\"} 1");
    assert!(answer.body.contains("route=\"/api/v1/approvals/{id}/approve\""));
    assert!(!answer.body.contains("appr_"), "an id is no label");
}
