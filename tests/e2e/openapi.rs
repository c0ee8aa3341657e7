//! The OpenAPI document: a golden copy, so that every change of a shape is noticed.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::{Home, home_and_server, id};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/openapi.json");

#[test]
fn the_document_equals_its_golden_copy() {
    let (_home, server) = home_and_server();
    let answer = server.get("/openapi.json");
    answer.ok();
    let document = format!("{}\n", answer.body.trim_end());
    if std::env::var_os("SIGNOFF_BLESS").is_some() {
        fs::create_dir_all(Path::new(GOLDEN).parent().unwrap()).unwrap();
        fs::write(GOLDEN, &document).unwrap();
    }
    let golden = fs::read_to_string(GOLDEN).unwrap_or_default();
    let line = document.lines().zip(golden.lines()).position(|(new, old)| new != old);
    assert!(
        document == golden,
        "the OpenAPI document is not tests/golden/openapi.json (first at line {:?}).\n\
         If that is meant, take it over with\n    \
         SIGNOFF_BLESS=1 cargo test -p signoff --test e2e openapi\n\
         and read the difference before you commit it.",
        line.map(|line| line + 1)
    );
}

#[test]
fn every_operation_of_the_document_exists() {
    let home = Home::new();
    home.run(&["key", "generate", "--use", "log"]).ok();
    let server = home.serve();
    let document = server.get("/openapi.json").ok();
    for (path, calls) in document["paths"].as_object().unwrap() {
        if path.ends_with("/events") {
            continue; // A stream does not end; other tests cover it.
        }
        let real = match path.as_str() {
            "/api/v1/tokens" => continue, // `roles` covers this.
            "/api/v1/tokens/{id}/revoke" => continue,
            "/api/v1/store/backup" => continue, // Its body is binary; `backup` covers it.
            "/api/v1/store/prunable" => format!("{path}?older_than_seconds=1"),
            path if path.contains("{digest}") || path.contains("{slot}") => continue, // And these.
            _ => path.replace("{id}", id(&server.request())),
        };
        for method in calls.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap();
            let post = method == Method::POST;
            let headers: &[_] = if post { &[("content-type", "application/json")] } else { &[] };
            let body = post.then_some(&b"{}"[..]);
            let answer = server.try_call(method.clone(), &real, headers, body).unwrap();
            assert!(
                ![404, 405, 500].contains(&answer.status),
                "{method} {path}: {} {}",
                answer.status,
                answer.body
            );
        }
    }
}

#[test]
fn an_approval_has_the_fields_of_its_schema() {
    let (_home, server) = home_and_server();
    let document = server.get("/openapi.json").ok();
    let schema = &document["components"]["schemas"]["Approval"];
    let properties = schema["properties"].as_object().unwrap();
    let approval = server.approved();
    let executed = server.claim(&approval).ok();
    for shown in [server.request(), approval, executed, server.show(&server.request())] {
        for field in shown.as_object().unwrap().keys() {
            assert!(properties.contains_key(field), "`{field}` is not in the schema");
        }
        for field in schema["required"].as_array().unwrap() {
            assert_ne!(shown.get(field.as_str().unwrap()), None, "{field} is required");
        }
    }
}

#[test]
fn a_problem_has_the_fields_of_its_schema() {
    let (_home, server) = home_and_server();
    let document = server.get("/openapi.json").ok();
    let schema = &document["components"]["schemas"]["Problem"]["properties"];
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut problem = server.get("/api/v1/approvals/x").refused("not-found");
    assert_eq!(problem["members"], Value::Null);
    assert_eq!(problem["type"], Value::Null);
    problem["type"] = json!("");
    problem["members"] = json!([]);
    assert_eq!(keys(&problem), keys(schema));
    let approved = server.approved();
    let mut claim = json!({ "agent": approved["agent"], "action": approved["action"] });
    claim["context"] = json!({});
    let mut mismatch = server.act(&approved, "execute", &claim).refused("context-mismatch");
    mismatch["type"] = json!("");
    assert_eq!(keys(&mismatch), keys(schema));
    assert_eq!(json!(document["openapi"].as_str().unwrap().starts_with("3.1")), true);
}

#[test]
fn the_root_says_what_the_server_is_in_json_and_html() {
    let (_home, server) = home_and_server();
    let index = server.get("/");
    assert_eq!(index.header("vary"), Some("accept"));
    let index = index.ok();
    assert_eq!(index["name"], "signoff");
    for link in ["openapi", "ready"] {
        server.get(index[link].as_str().unwrap()).ok();
    }
    let as_browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for accept in [as_browser, "TEXT/HTML", "application/json, text/html"] {
        let page = server.try_call(Method::GET, "/", &[("accept", accept)], None).unwrap();
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{accept}");
        assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
        assert!(page.body.contains("openapi.json"), "{}", page.body);
    }
    for accept in [
        "*/*",
        "application/json",
        "text/plain",
        "application/json, text/html;q=0.5",
        "text/html;q=0",
        "",
    ] {
        server.try_call(Method::GET, "/", &[("accept", accept)], None).unwrap().ok();
    }
}

#[test]
fn what_was_created_has_a_location() {
    let (_home, server) = home_and_server();
    let made = server.post("/api/v1/approvals", &crate::support::request_body());
    let path = made.header("location").unwrap();
    assert_eq!(server.get(path).ok()["id"], made.json(201)["id"]);
}
