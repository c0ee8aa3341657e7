//! Permissions: every role on every route, for its own approvals and for those of others.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{Read, Write};

use serde_json::{Value, json};
use signoff::api::{Access, ROUTES};
use signoff::modules::Slot;

use crate::support::modules::{Core, change, push, sealed};
use crate::support::{Answer, Client, Home, Raw, Server, ballot, home_and_server, id, open, text};

/// Each route with the permission of each role: `all`, every approval; `own`, its own approvals, and
/// `not-found` for those of others; `-`, none. Routes that concern no approval have `all` or `-`.
/// Separate tests below cover the agents for which an agent's token may act.
const TABLE: &str = "
POST /api/v1/approvals                 | all  | -   | -   | -   | - | -
GET  /api/v1/approvals                 | all  | all | all | all | - | all
GET  /api/v1/approvals/{id}            | own  | all | own | all | - | all
POST /api/v1/approvals/{id}/approve    | -    | all | -   | -   | - | -
POST /api/v1/approvals/{id}/reject     | -    | all | -   | -   | - | -
POST /api/v1/approvals/{id}/verify     | own  | all | own | all | - | all
POST /api/v1/approvals/{id}/execute    | -    | -   | own | -   | - | -
POST /api/v1/approvals/{id}/outcome    | -    | -   | own | -   | - | all
POST /api/v1/approvals/{id}/withdraw   | own  | all | -   | -   | - | all
POST /api/v1/approvals/{id}/extend     | -    | all | -   | -   | - | all
POST /api/v1/approvals/{id}/erase      | -    | -   | -   | -   | - | all
GET  /api/v1/approvals/{id}/payload    | own  | all | own | all | - | all
GET  /api/v1/approvals/{id}/receipt    | own  | all | own | all | - | all
GET  /api/v1/audit                     | -    | -   | -   | all | - | all
GET  /api/v1/audit/checkpoint          | all  | all | all | all | all | all
GET  /api/v1/audit/keys                | all  | all | all | all | all | all
GET  /api/v1/audit/proof               | -    | -   | -   | all | - | all
GET  /api/v1/events                    | -    | all | -   | all | - | all
POST /api/v1/guardrails/evaluate       | all  | -   | all | -   | - | -
GET  /api/v1/guardrails/policy         | all  | -   | all | -   | - | -
GET  /api/v1/guardrails/policy/{digest}/wasm | all | - | all | - | - | -
GET  /api/v1/guardrails/attempts       | all  | all | all | all | all | all
POST /api/v1/guardrails/decisions      | all  | -   | all | -   | - | -
POST /access/v1/evaluation             | all  | -   | all | -   | - | -
POST /access/v1/evaluations            | all  | -   | all | -   | - | -
POST /access/v1/requests               | all  | -   | -   | -   | - | -
GET  /access/v1/requests/{id}          | own  | all | own | all | - | all
POST /access/v1/requests/{id}/cancel   | own  | all | -   | -   | - | all
GET  /api/v1/keys                      | all  | all | all | all | - | all
GET  /api/v1/modules                   | -    | -   | -   | all | all | all
POST /api/v1/modules                   | -    | -   | -   | -   | all | -
GET  /api/v1/modules/{digest}          | -    | -   | -   | all | all | all
GET  /api/v1/modules/{digest}/wasm     | -    | -   | -   | all | all | all
POST /api/v1/modules/{digest}/activate | -    | -   | -   | -   | all | -
POST /api/v1/modules/{digest}/shadow   | -    | -   | -   | -   | all | -
POST /api/v1/modules/{digest}/remove   | -    | -   | -   | -   | all | -
GET  /api/v1/modules/{slot}/flips      | -    | -   | -   | all | all | all
POST /api/v1/modules/{slot}/rollback   | -    | -   | -   | -   | all | -
POST /api/v1/modules/{slot}/unshadow   | -    | -   | -   | -   | all | -
POST /api/v1/store/backup              | -    | -   | -   | -   | - | all
POST /api/v1/store/compact             | -    | -   | -   | -   | - | all
GET  /api/v1/store/prunable            | -    | -   | -   | -   | - | all
POST /api/v1/store/prune               | -    | -   | -   | -   | - | all
POST /api/v1/tokens                    | -    | -   | -   | -   | - | all
GET  /api/v1/tokens                    | -    | -   | -   | -   | - | all
POST /api/v1/tokens/{id}/revoke        | -    | -   | -   | -   | - | all
GET  /metrics                          | -    | -   | -   | all | - | all
";

const ROLES: [&str; 6] = ["requester", "approver", "executor", "auditor", "policy", "admin"];
const OPEN: [&str; 5] =
    ["/", "/healthz", "/readyz", "/openapi.json", "/.well-known/authzen-configuration"];

/// The agent of each role's own approvals, and another agent.
const OWN: &str = "inbox_triage";
const OTHER: &str = "knowledge_update";

/// A server that creates a token for each role, and tokens to set up approvals.
struct Cast {
    server: Server,
    admin: Client,
    home: Home,
    /// The number of modules that were made; each has a higher version.
    modules: Cell<u64>,
}

impl Cast {
    fn new() -> Self {
        let home = Home::new();
        home.run(&["key", "generate", "--use", "log"]).ok();
        home.run(&["key", "generate", "--use", "module", "--slot", "policy", "--id", "team"]).ok();
        let server = home.serve();
        // Without any token, any local caller may create the first one.
        let first = json!({ "subject": "root", "roles": ["admin"] });
        let first = server.post("/api/v1/tokens", &first).json(201);
        let admin = server.with_token(text(&first, "token"));
        Self { server, admin, home, modules: Cell::new(0) }
    }

    fn token(&self, subject: &str, roles: &[&str], agents: Option<&str>) -> Client {
        let body = json!({ "subject": subject, "roles": roles, "agents": agents });
        let made = self.admin.post("/api/v1/tokens", &body).json(201);
        self.server.with_token(text(&made, "token"))
    }

    /// Creates a token with only this role.
    fn holder(&self, role: &str) -> Client {
        let agents = (role == "executor").then_some(OWN);
        self.token(&format!("{role}@company.com"), &[role], agents)
    }

    /// Requests an approval and brings it into the status that a route needs.
    fn approval(&self, route: &str, role: &str, own: bool) -> Value {
        let requester = match (own, role) {
            (true, "requester") => self.holder("requester"),
            _ => self.token("somebody@company.com", &["requester"], None),
        };
        let agent = if own { OWN } else { OTHER };
        let approval = requester.post("/api/v1/approvals", &request(agent)).json(201);
        if route.ends_with("/erase") {
            return requester.act(&approval, "withdraw", &json!({})).ok();
        }
        if !route.ends_with("/execute") && !route.ends_with("/outcome") {
            return approval;
        }
        let approver = "second@company.com";
        let decider = self.token(approver, &["approver"], None);
        let approved = decider.act(&approval, "approve", &ballot(&approval, "approved", approver));
        let approved = approved.ok();
        if route.ends_with("/execute") {
            return approved;
        }
        let claimant = match (own, role) {
            (true, "executor") => self.holder("executor"),
            _ => self.token("runner@company.com", &["executor"], None),
        };
        claimant.act(&approved, "execute", &claim(agent)).ok()
    }

    /// Returns a new module for slot `policy` that is not pushed yet, and its manifest.
    fn module(&self) -> (Value, Vec<u8>) {
        let version = self.modules.get() + 1;
        self.modules.set(version);
        let wasm = Core::deciding("require_approval", &format!("rule-{version}")).component();
        (sealed(&self.home, &wasm, Slot::Policy, version, "team"), wasm)
    }

    /// Prepares a call to the registry as far as the role permits it; returns its path.
    fn module_path(&self, caller: &Client, route: &str) -> String {
        let path = |digest: &str| route.replace("{digest}", digest).replace("{slot}", "policy");
        if caller.get("/api/v1/modules").status != 200 {
            return path(&"0".repeat(64));
        }
        let team = self.holder("policy");
        let pushed = || {
            let (manifest, wasm) = self.module();
            let pushed = push(&team, &manifest, &wasm).json(201);
            text(&pushed, "digest").to_owned()
        };
        if route.ends_with("/rollback") {
            for _ in 0..2 {
                change(&team, &pushed(), "activate").ok();
            }
            return path("");
        }
        if route.contains("{digest}") { path(&pushed()) } else { path("") }
    }

    /// Activates another policy; returns its digest. If the server refuses it, any digest.
    fn active_policy(&self) -> String {
        let team = self.holder("policy");
        if team.get("/api/v1/modules").status != 200 {
            return "0".repeat(64);
        }
        let (manifest, wasm) = self.module();
        let pushed = push(&team, &manifest, &wasm).json(201);
        change(&team, text(&pushed, "digest"), "activate").ok();
        text(&pushed, "digest").to_owned()
    }

    fn call_registry(&self, caller: &Client, method: &str, route: &str) -> Answer {
        if (method, route) == ("POST", "/api/v1/modules") {
            let (manifest, wasm) = self.module();
            return push(caller, &manifest, &wasm);
        }
        let path = self.module_path(caller, route);
        match (method, route.rsplit('/').next().unwrap()) {
            // The body is binary: only the head is read.
            ("GET", "wasm") => caller.head_of(&path),
            ("GET", _) => caller.get(&path),
            (_, "rollback") => caller.post(&path, &json!({ "reason": "x" })),
            _ => caller.post(&path, &json!({})),
        }
    }

    fn call(&self, caller: &Client, method: &str, route: &str, approval: &Value) -> Answer {
        if route.starts_with("/api/v1/modules") {
            return self.call_registry(caller, method, route);
        }
        if (method, route) == ("POST", "/access/v1/requests") {
            // What was evaluated by the same caller is requested.
            let decided = caller.post("/access/v1/evaluation", &question());
            if decided.status != 200 {
                return caller.post(route, &question());
            }
            let context = &decided.ok()["context"];
            let mut submission = question();
            submission["denial"] = json!({
                "evaluation_id": context["evaluation_id"],
                "expires_at": context["access_request"]["expires_at"],
            });
            return caller.post(route, &submission);
        }
        if route == "/api/v1/guardrails/policy/{digest}/wasm" {
            // The body is binary: only the head is read.
            return caller.head_of(&route.replace("{digest}", &self.active_policy()));
        }
        let path = route.replace("{id}", id(approval));
        let agent = text(approval, "agent");
        let role_of = "approver@company.com";
        if method == "GET" {
            let query = match route {
                r if r.ends_with("/payload") => "?decision=approved&approver=a@b.c",
                r if r.ends_with("/proof") => "?entry=1",
                r if r.ends_with("/prunable") => "?older_than_seconds=1",
                _ => "",
            };
            return match route {
                // A stream does not end: only the head is read.
                "/api/v1/events" => caller.head_of(&path),
                _ => caller.get(&format!("{path}{query}")),
            };
        }
        let body = match route.rsplit('/').next().unwrap() {
            "approvals" => request(agent),
            "evaluation" | "evaluations" => question(),
            "evaluate" => json!({ "agent": OWN, "action": "apply", "context": {} }),
            "approve" => ballot(approval, "approved", role_of),
            "reject" => ballot(approval, "rejected", role_of),
            "verify" => json!({ "signature": "0".repeat(64) }),
            "execute" => claim(agent),
            "outcome" => {
                json!({ "execution_id": approval["execution"]["id"], "outcome": "succeeded" })
            }
            "extend" => json!({ "expires_in_seconds": 7_200 }),
            "prune" => json!({
                "older_than_seconds": 1, "approvals": [{ "id": id(approval), "entry": 1 }],
            }),
            "tokens" => json!({ "subject": "x", "roles": ["auditor"] }),
            "decisions" => json!({ "decisions": [{
                "id": "d-1", "agent": OWN, "action": "apply", "context_hash": "0".repeat(64),
                "decision": "allow", "policy": "0".repeat(64), "decided_at": "2026-01-31T12:00:00Z",
            }] }),
            _ => json!({}),
        };
        match route {
            "/api/v1/tokens/{id}/revoke" => {
                let made = json!({ "subject": "x", "roles": ["auditor"] });
                let made = self.admin.post("/api/v1/tokens", &made).json(201);
                caller.post(&route.replace("{id}", id(&made)), &body)
            }
            // The body is binary: only the head is read.
            "/api/v1/store/backup" => caller.post_head(&path, &body),
            _ => caller.post(&path, &body),
        }
    }
}

/// A question of the AuthZEN interface.
fn question() -> Value {
    json!({
        "subject": { "type": "agent", "id": OWN },
        "action": { "name": "apply" },
        "resource": { "type": "mail", "id": "m-1" },
    })
}

fn request(agent: &str) -> Value {
    json!({ "agent": agent, "action": "act", "context": { "n": 1 } })
}

fn claim(agent: &str) -> Value {
    json!({ "agent": agent, "action": "act", "context": { "n": 1 } })
}

fn rows() -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
    let row = |line: &'static str| {
        let mut cells = line.split('|').map(str::trim);
        let (method, route) = cells.next()?.split_once(' ')?;
        Some((method, route.trim(), cells.collect()))
    };
    TABLE.lines().filter_map(row).collect()
}

#[test]
fn the_table_has_every_route_and_every_role() {
    let listed: BTreeSet<_> = rows().iter().map(|(m, r, _)| (*m, *r)).collect();
    let open: BTreeSet<_> = OPEN.iter().map(|route| ("GET", *route)).collect();
    let served: BTreeSet<_> = ROUTES.iter().map(|route| (route.method, route.path)).collect();
    assert_eq!(listed.union(&open).copied().collect::<BTreeSet<_>>(), served);
    for (method, route, cells) in rows() {
        assert_eq!(cells.len(), ROLES.len(), "{method} {route}");
    }
    for route in ROUTES {
        assert_eq!(route.access == Access::Everyone, OPEN.contains(&route.path), "{}", route.path);
    }
    // The OpenAPI document describes exactly these routes.
    let document: Value = serde_json::from_str(&signoff::api::document()).unwrap();
    let documented: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(|method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    let served = served.iter().map(|(m, r)| ((*m).to_owned(), (*r).to_owned())).collect();
    assert_eq!(documented, served);
}

#[test]
fn every_role_has_the_permissions_of_the_table_on_every_route() {
    let cast = Cast::new();
    let mut unexpected = Vec::new();
    for (method, route, cells) in rows() {
        for (role, cell) in ROLES.iter().zip(cells) {
            for own in [true, false] {
                let approval = cast.approval(route, role, own);
                let answer = cast.call(&cast.holder(role), method, route, &approval);
                let expected = match (cell, own) {
                    ("-", _) => "forbidden",
                    ("own", false) => "not-found",
                    _ => "2xx",
                };
                let got = match answer.status {
                    200 | 201 => "2xx".to_owned(),
                    _ => answer.code(),
                };
                if got != expected {
                    unexpected.push(format!(
                        "{role} {method} {route} own {own}: {got}, not {expected}: {}",
                        answer.body
                    ));
                }
            }
        }
    }
    assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
}

#[test]
fn with_any_token_in_the_store_every_call_requires_one() {
    let cast = Cast::new();
    let approval = cast.approval("", "requester", true);
    let strangers = [
        (*cast.server).clone(),
        cast.server.with_token("sgnt_0"),
        cast.server.with_token(format!("sgnt_{}", "0".repeat(72))),
        cast.server.with_token(signoff::identity::token::Token::generate().expose()),
    ];
    for (method, route, _) in rows() {
        for stranger in &strangers {
            let answer = cast.call(stranger, method, route, &approval);
            answer.refused("unauthenticated");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    for route in OPEN {
        cast.server.get(route).ok();
    }
}

/// Only what a policy is given, of all approvals for the role `policy`, and for others of those that they
/// may read.
#[test]
fn attempts_are_what_a_policy_is_given_and_no_more() {
    let cast = Cast::new();
    let approved = cast.approval("/execute", "policy", true);
    let other = cast.approval("", "policy", false);
    let policy = cast.holder("policy");
    let page = policy.get("/api/v1/guardrails/attempts").ok();
    let expected: Vec<Value> = [&other, &approved]
        .iter()
        .map(|approval| {
            json!({
                "id": approval["id"], "agent": approval["agent"], "action": "act",
                "context": { "n": 1 }, "plan": null,
                "facts": { "requester": "somebody@company.com" }, "at": approval["requested_at"],
            })
        })
        .collect();
    assert_eq!(page, json!({ "items": expected, "next_cursor": null }));
    policy.get(&format!("/api/v1/approvals/{}", id(&approved))).refused("forbidden");
    policy.get("/api/v1/approvals").refused("forbidden");
    // Page by page, newest first; a cursor is of this process and its reader.
    let first = policy.get("/api/v1/guardrails/attempts?limit=1").ok();
    assert_eq!(first["items"], json!([expected[0]]));
    let cursor = text(&first, "next_cursor");
    let second = policy.get(&format!("/api/v1/guardrails/attempts?limit=1&cursor={cursor}")).ok();
    assert_eq!(second, json!({ "items": [expected[1]], "next_cursor": null }));
    for (query, code) in [
        ("limit=0", "request-invalid"),
        ("limit=201", "limit-exceeded"),
        ("cursor=x", "request-invalid"),
        ("status=pending", "request-invalid"),
    ] {
        policy.get(&format!("/api/v1/guardrails/attempts?{query}")).refused(code);
    }
    // Others: an auditor reads all, an executor those of its agent, a requester its own.
    let ids = |caller: &Client| -> Vec<String> {
        let page = caller.get("/api/v1/guardrails/attempts").ok();
        page["items"].as_array().unwrap().iter().map(|item| id(item).to_owned()).collect()
    };
    let (approved, other) = (id(&approved), id(&other));
    for role in ["auditor", "approver", "admin"] {
        assert_eq!(ids(&cast.holder(role)), [other, approved], "{role}");
    }
    assert_eq!(ids(&cast.holder("executor")), [approved]);
    assert_eq!(ids(&cast.holder("requester")), Vec::<String>::new());
    let somebody = cast.token("somebody@company.com", &["requester"], None);
    assert_eq!(ids(&somebody), [other, approved]);
}

#[test]
fn an_approval_that_a_caller_may_not_read_is_not_found() {
    let cast = Cast::new();
    let approval = cast.approval("", "requester", false);
    let mut missing = approval.clone();
    missing["id"] = "appr_00000000000000000000000000".into();
    for (role, route) in [
        ("requester", "/api/v1/approvals/{id}"),
        ("requester", "/api/v1/approvals/{id}/withdraw"),
        ("requester", "/api/v1/approvals/{id}/receipt"),
        ("executor", "/api/v1/approvals/{id}/verify"),
        ("executor", "/api/v1/approvals/{id}/execute"),
        ("executor", "/api/v1/approvals/{id}/outcome"),
        ("executor", "/api/v1/approvals/{id}/payload"),
    ] {
        let holder = cast.holder(role);
        let method = rows().iter().find(|(_, r, _)| *r == route).unwrap().0;
        let (there, not) = (
            cast.call(&holder, method, route, &approval),
            cast.call(&holder, method, route, &missing),
        );
        assert_eq!((there.status, &there.body), (not.status, &not.body), "{role} {route}");
    }
    let seen = cast.holder("executor").get("/api/v1/approvals").ok();
    assert_eq!(seen["items"], json!([]));
    let prefix = &id(&approval)[..20];
    let seen = cast.holder("requester").get(&format!("/api/v1/approvals?prefix={prefix}")).ok();
    assert_eq!(seen["items"], json!([]));
}

#[test]
fn an_agents_token_can_never_decide() {
    let cast = Cast::new();
    // Nor can an agent have a token with such a role.
    for role in ["approver", "admin"] {
        let made = json!({ "subject": "agent:x", "roles": ["requester", role] });
        cast.admin.post("/api/v1/tokens", &made).refused("request-invalid");
    }
    let agent = cast.token("agent:inbox_triage", &["requester", "executor"], None);
    let approval = agent.post("/api/v1/approvals", &request(OWN)).json(201);
    assert_eq!(approval["requested_by"], "agent:inbox_triage");
    let own = ballot(&approval, "approved", "agent:inbox_triage");
    agent.act(&approval, "approve", &own).refused("forbidden");
    // It requests only for itself.
    agent.post("/api/v1/approvals", &request(OTHER)).refused("forbidden");
    assert_eq!(agent.get("/api/v1/approvals").ok()["items"].as_array().unwrap().len(), 1);
}

#[test]
fn an_approver_decides_only_in_their_own_name() {
    let cast = Cast::new();
    let approver = cast.holder("approver");
    let approval = cast.approval("", "requester", true);
    let others = ballot(&approval, "approved", "boss@company.com");
    approver.act(&approval, "approve", &others).refused("approver-not-allowed");
    let mut unnamed = ballot(&approval, "approved", "approver@company.com");
    unnamed.as_object_mut().unwrap().remove("approver");
    let approved = approver.act(&approval, "approve", &unnamed).ok();
    assert_eq!(approved["approver"], "approver@company.com");
}

#[test]
fn a_requester_cannot_approve_their_own_request() {
    let cast = Cast::new();
    let both = cast.token("both@company.com", &["requester", "approver"], None);
    let approval = both.post("/api/v1/approvals", &request(OWN)).json(201);
    let own = ballot(&approval, "approved", "both@company.com");
    both.act(&approval, "approve", &own).refused("self-approval");
}

#[test]
fn revoked_and_expired_tokens_are_refused_at_once() {
    let cast = Cast::new();
    let made = json!({ "subject": "x", "roles": ["auditor"], "expires_in_seconds": 3_600 });
    let made = cast.admin.post("/api/v1/tokens", &made).json(201);
    let holder = cast.server.with_token(text(&made, "token"));
    holder.get("/api/v1/audit").ok();
    let revoke = format!("/api/v1/tokens/{}/revoke", id(&made));
    let revoked = cast.admin.post(&revoke, &json!({})).ok();
    assert!(revoked["revoked_at"].is_string());
    holder.get("/api/v1/audit").refused("unauthenticated");
    assert_eq!(cast.admin.post(&revoke, &json!({})).ok(), revoked, "revoking twice is a no-op");
    let short = json!({ "subject": "x", "roles": ["auditor"], "expires_in_seconds": 1 });
    let short = cast.admin.post("/api/v1/tokens", &short).json(201);
    let holder = cast.server.with_token(text(&short, "token"));
    crate::support::until("the token expires", || {
        (holder.get("/api/v1/audit").status == 401).then_some(())
    });
}

#[test]
fn a_revoked_token_ends_its_streams_and_waits() {
    let cast = Cast::new();
    let approval = cast.approval("", "requester", true);
    let made = json!({ "subject": "x", "roles": ["auditor"] });
    let made = cast.admin.post("/api/v1/tokens", &made).json(201);
    let get = |path: &str| {
        let mut stream = open(&cast.server);
        let token = text(&made, "token");
        let head = "host: localhost\r\nconnection: close\r\nauthorization: Bearer";
        write!(stream, "GET {path} HTTP/1.1\r\n{head} {token}\r\n\r\n").unwrap();
        stream
    };
    let wait = get(&format!("/api/v1/approvals/{}?wait=60", id(&approval)));
    let mut stream = get("/api/v1/events");
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    crate::support::until("the wait is on", || {
        let metrics = cast.admin.get("/metrics").body;
        metrics.contains("signoff_approvals_watched 1").then_some(())
    });
    cast.admin.post(&format!("/api/v1/tokens/{}/revoke", id(&made)), &json!({})).ok();
    let approver = cast.holder("approver");
    let ballot = ballot(&approval, "approved", "approver@company.com");
    approver.act(&approval, "approve", &ballot).ok();
    let waited = Raw::rest(wait);
    // If the stream were still open, it would end here, after all of its events.
    cast.server.terminate();
    let output = Raw::rest(stream);
    assert!(!output.contains("token_revoked") && !output.contains("approval_decided"), "{output}");
    Raw::answer(&waited).refused("unauthenticated");
}

/// A token that someone tries after it was revoked leaves a trace, and an unknown one too.
#[test]
fn a_refused_token_is_logged_with_its_id_and_the_address() {
    let cast = Cast::new();
    let made = json!({ "subject": "x", "roles": ["auditor"] });
    let made = cast.admin.post("/api/v1/tokens", &made).json(201);
    cast.admin.post(&format!("/api/v1/tokens/{}/revoke", id(&made)), &json!({})).ok();
    let of_nobody = signoff::identity::token::Token::generate();
    for token in [text(&made, "token"), of_nobody.expose()] {
        cast.server.with_token(token).get("/api/v1/audit").refused("unauthenticated");
    }
    let start = of_nobody.hash();
    let logged = [&format!("token {}", id(&made)), &start[..12], "127.0.0.1", "GET /api/v1/audit"];
    crate::support::until("both are logged", || {
        let printed = cast.server.printed();
        logged.iter().all(|part| printed.contains(*part)).then_some(())
    });
    let printed = cast.server.printed();
    assert!(!printed.contains(of_nobody.expose()) && !printed.contains(text(&made, "token")));
}

#[test]
fn a_token_is_shown_once_and_never_stored() {
    let cast = Cast::new();
    let body = json!({ "subject": "x", "roles": ["auditor"] });
    let made = cast.admin.post_once("/api/v1/tokens", "k", &body).json(201);
    let token = text(&made, "token").to_owned();
    let again = cast.admin.post_once("/api/v1/tokens", "k", &body).json(201);
    assert_eq!(again["id"], made["id"]);
    assert!(again.get("token").is_none(), "{again}");
    for path in ["/api/v1/tokens", "/api/v1/audit", "/metrics"] {
        assert!(!cast.admin.get(path).body.contains(&token), "{path}");
    }
    let printed = cast.server.printed();
    assert!(!printed.contains(&token), "{printed}");
    let store = std::fs::read(cast.home.store()).unwrap();
    assert!(!store.windows(token.len()).any(|bytes| bytes == token.as_bytes()));
}

#[test]
fn malformed_token_requests_are_refused() {
    let (_home, server) = home_and_server();
    let long = "x".repeat(129);
    for (body, code) in [
        (json!({ "subject": "", "roles": ["admin"] }), "request-invalid"),
        (json!({ "subject": "a b", "roles": ["admin"] }), "request-invalid"),
        (json!({ "subject": "system", "roles": ["admin"] }), "request-invalid"),
        (json!({ "subject": "agent:", "roles": ["requester"] }), "request-invalid"),
        (json!({ "subject": long, "roles": ["admin"] }), "limit-exceeded"),
        (json!({ "subject": "x", "roles": [] }), "request-invalid"),
        (json!({ "subject": "x", "roles": ["root"] }), "request-invalid"),
        (json!({ "subject": "x", "roles": "admin" }), "request-invalid"),
        (json!({ "subject": "x", "roles": ["admin", "admin"] }), "request-invalid"),
        (json!({ "subject": "x", "roles": ["admin"], "agents": "" }), "request-invalid"),
        (json!({ "subject": "x", "roles": ["admin"], "agents": long }), "limit-exceeded"),
        (json!({ "subject": "x", "roles": ["admin"], "expires_in_seconds": 0 }), "request-invalid"),
        (
            json!({ "subject": "x", "roles": ["admin"], "expires_in_seconds": -1 }),
            "request-invalid",
        ),
        (
            json!({ "subject": "x", "roles": ["admin"], "expires_in_seconds": 315_360_001 }),
            "limit-exceeded",
        ),
        (json!({ "subject": "x", "roles": ["admin"], "token": "mine" }), "request-invalid"),
    ] {
        server.post("/api/v1/tokens", &body).refused(code);
    }
    server.get("/api/v1/approvals").ok();
    for query in
        ["cursor=", "cursor=zzz", "cursor=%00", "cursor=TOK_x", "limit=0", "limit=x", "x=1"]
    {
        server.get(&format!("/api/v1/tokens?{query}")).refused("request-invalid");
    }
    server.get("/api/v1/tokens?limit=201").refused("limit-exceeded");
    server.post("/api/v1/tokens/tok_x/revoke", &json!({})).refused("not-found");
}

#[test]
fn refusals_of_known_callers_are_audited_up_to_a_rate() {
    let cast = Cast::new();
    let approval = cast.approval("", "requester", false);
    let agent = cast.token("agent:knowledge_update", &["requester", "executor"], None);
    let own = ballot(&approval, "approved", "agent:knowledge_update");
    for _ in 0..100 {
        agent.act(&approval, "approve", &own).refused("forbidden");
    }
    let approver = cast.holder("approver");
    let mut wrong = ballot(&approval, "approved", "approver@company.com");
    wrong["signature"] = "0".repeat(64).into();
    approver.act(&approval, "approve", &wrong).refused("signature-invalid");
    // A percent-encoded id in the path is recorded too.
    let written = id(&approval).replace("appr_", "%61ppr_");
    let path = format!("/api/v1/approvals/{written}/approve");
    approver.post(&path, &wrong).refused("signature-invalid");
    let audit: Vec<Value> = cast.admin.audit();
    let refused: Vec<&Value> =
        audit.iter().filter(|entry| entry["event"] == "request_refused").collect();
    let by = |subject: &str| refused.iter().filter(|e| e["actor"] == subject).count();
    assert!((20..100).contains(&by("agent:knowledge_update")), "{refused:?}");
    assert_eq!(by("approver@company.com"), 2);
    let last = refused.last().unwrap();
    assert_eq!(last["code"], "signature-invalid");
    assert_eq!(last["approval_id"], approval["id"]);
    assert_eq!(last["operation"], "POST /api/v1/approvals/{id}/approve");
    for member in ["verifier", "request_id", "at"] {
        assert!(last[member].is_string(), "{last}");
    }
    // Refusals of unknown callers are not recorded.
    let before = cast.admin.audit().len();
    cast.server.act(&approval, "approve", &own).refused("unauthenticated");
    assert_eq!(cast.admin.audit().len(), before);
}

/// An executor learns which of its pinned keys are revoked, and nothing about secrets.
#[test]
fn requesters_and_executors_list_public_keys_only() {
    let cast = Cast::new();
    let listed = |role: &str| cast.holder(role).get("/api/v1/keys").ok()["items"].clone();
    let all = listed("auditor");
    let is_public = |key: &&Value| key["public_key"].is_string();
    let all = all.as_array().unwrap();
    let public: Vec<Value> = all.iter().filter(is_public).cloned().collect();
    assert!(!public.is_empty() && public.len() < all.len(), "{all:?}");
    for role in ["requester", "executor"] {
        assert_eq!(listed(role), Value::Array(public.clone()), "{role}");
    }
    let agent = cast.token("agent:deployer", &["requester", "executor"], None);
    assert_eq!(agent.get("/api/v1/keys").ok()["items"], Value::Array(public));
}
