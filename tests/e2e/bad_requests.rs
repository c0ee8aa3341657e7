//! Invalid ids, queries, headers and methods.

use serde_json::json;
use ureq::http::Method;

use crate::support::{
    Raw, ballot, claim_body, home_and_server, id, request_body, request_text, title_and_status,
};

const APPROVALS: &str = "/api/v1/approvals";

#[test]
fn an_id_that_is_unknown_or_malformed_is_not_found_by_every_call() {
    let (_home, server) = home_and_server();
    let known = server.request();
    let known = id(&known);
    let ids = [
        format!("appr_{}", "0".repeat(26)),
        format!("appr_7{}", "z".repeat(25)),
        format!("appr_8{}", "0".repeat(25)),
        known.to_uppercase(),
        known.replace("appr_", "APPR_"),
        known.replace("appr_", ""),
        known.replace("appr_", "exec_"),
        known[..30].to_owned(),
        format!("{known}0"),
        format!("{known}%00"),
        format!("{known}%20"),
        format!("%20{known}"),
        format!("{known}%0a"),
        "appr_".to_owned(),
        "..".to_owned().replace('.', "%2e"),
        "..%2f..%2fetc%2fpasswd".to_owned(),
        "%2e%2e%2f".to_owned(),
        "%c3%a9".to_owned(),
        "%ff".to_owned(),
        "null".to_owned(),
        "*".to_owned(),
        "x".repeat(4_000),
    ];
    let decision = json!({
        "decision": "approved", "approver": "user@company.com", "signature": "0".repeat(64),
    });
    let outcome =
        json!({ "execution_id": format!("exec_{}", "0".repeat(26)), "outcome": "failed" });
    let posts = [
        ("approve", decision),
        ("reject", json!({ "approver": "user@company.com", "signature": "0".repeat(64) })),
        ("verify", json!({ "signature": "0".repeat(64) })),
        ("execute", claim_body()),
        ("outcome", outcome),
        ("withdraw", json!({})),
        ("extend", json!({ "expires_in_seconds": 60 })),
    ];
    for id in &ids {
        server.get(&format!("{APPROVALS}/{id}")).refused("not-found");
        let query = "decision=approved&approver=user@company.com";
        server.get(&format!("{APPROVALS}/{id}/payload?{query}")).refused("not-found");
        for (operation, body) in &posts {
            server.post(&format!("{APPROVALS}/{id}/{operation}"), body).refused("not-found");
        }
    }
    // An id that is percent-encoded in the URL is the same id.
    let encoded: String = known.bytes().map(|b| format!("%{b:02X}")).collect();
    assert_eq!(server.get(&format!("{APPROVALS}/{encoded}")).ok()["id"], known);
    server.assert_ready();
}

#[test]
fn a_query_is_read_strictly() {
    let (_home, server) = home_and_server();
    let known = server.request();
    let known = id(&known);
    let list = |query: &str| format!("{APPROVALS}?{query}");
    let show = |query: &str| format!("{APPROVALS}/{known}?{query}");
    let payload = |query: &str| format!("{APPROVALS}/{known}/payload?{query}");
    let audit = |query: &str| format!("/api/v1/audit?{query}");
    let (invalid, limit) = ("request-invalid", "limit-exceeded");
    let cases = [
        (list("limit=0"), invalid),
        (list("limit=201"), limit),
        (list("limit=abc"), invalid),
        (list("limit=-1"), invalid),
        (list("limit=1.5"), invalid),
        (list("limit="), invalid),
        (list("limit=%31%30%30%30"), limit),
        (list("limit=99999999999999999999"), invalid),
        (list("limit=1&limit=2"), invalid),
        (list("cursor="), invalid),
        (list("cursor=x"), invalid),
        (list(&format!("cursor={}", known.to_uppercase())), invalid),
        (list("status=done"), invalid),
        (list("status=Pending"), invalid),
        (list("status="), invalid),
        (list("order=asc"), invalid),
        (list("Status=pending"), invalid),
        (list("%1b%5b2J=1"), invalid),
        (show("wait=61"), limit),
        (show("wait=-1"), invalid),
        (show("wait=1.5"), invalid),
        (show("wait=soon"), invalid),
        (show("wait=18446744073709551616"), invalid),
        (show("while=odd"), invalid),
        (show("while=PENDING&wait=1"), invalid),
        (show("until=approved"), invalid),
        (payload(""), invalid),
        (payload("decision=approved"), invalid),
        (payload("approver=user@company.com"), invalid),
        (payload("decision=maybe&approver=a"), invalid),
        (payload("decision=approved&approver="), invalid),
        (payload("decision=approved&approver=a%20b"), invalid),
        (payload("decision=approved&approver=a:b"), "statement-ambiguous"),
        (payload("decision=approved&approver=a&profile=v9"), invalid),
        (audit("after=x"), invalid),
        (audit("after=-1"), invalid),
        (audit("limit=0"), invalid),
        (audit("limit=1001"), limit),
        (audit("before=1"), invalid),
    ];
    for (path, code) in cases {
        let answer = server.get(&path);
        assert_eq!(answer.status, title_and_status(code).1, "{path}: {}", answer.body);
        answer.refused(code);
    }
    server.assert_ready();
}

#[test]
fn bodies_must_be_json_with_its_content_type() {
    let (_home, server) = home_and_server();
    let body = request_body().to_string();
    let with = |headers: &[(&str, &str)]| {
        let body = Some(body.as_bytes());
        server.try_call(Method::POST, APPROVALS, headers, body).unwrap()
    };
    with(&[]).refused("unsupported-media-type");
    for wrong in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json5",
        "application/problem+json",
        "text/json",
        "",
        "application/",
        "*/*",
    ] {
        with(&[("content-type", wrong)]).refused("unsupported-media-type");
    }
    for right in [
        "application/json",
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/json;",
    ] {
        with(&[("content-type", right)]).json(201);
    }
    let approval = server.request();
    for operation in ["approve", "reject", "verify", "execute", "outcome", "withdraw", "extend"] {
        let path = format!("{APPROVALS}/{}/{operation}", id(&approval));
        let answer = server.try_call(Method::POST, &path, &[], Some(b"{}")).unwrap();
        answer.refused("unsupported-media-type");
    }
}

#[test]
fn a_compressed_body_is_refused() {
    let (_home, server) = home_and_server();
    // `{}`, compressed.
    let gzip = hex::decode("1f8b0800000000000003abae050043bfa6a302000000").unwrap();
    let headers = [("content-encoding", "gzip")];
    let answer = server.try_post(APPROVALS, &headers, &gzip).unwrap();
    assert!([415, 422].contains(&answer.status), "{answer:?}");
    let code = answer.code();
    assert!(["unsupported-media-type", "request-invalid"].contains(&code.as_str()), "{code}");
}

#[test]
fn other_methods_and_paths_are_refused_as_problems() {
    let (_home, server) = home_and_server();
    let approval = server.request();
    let one = format!("{APPROVALS}/{}", id(&approval));
    let approve = format!("{one}/approve");
    let call = |method: Method, path: &str| server.try_call(method, path, &[], None).unwrap();
    for (method, path) in [
        (Method::DELETE, APPROVALS),
        (Method::DELETE, &one),
        (Method::PUT, &one),
        (Method::PATCH, &one),
        (Method::GET, &approve),
        (Method::DELETE, "/healthz"),
        (Method::POST, "/metrics"),
        (Method::OPTIONS, &one),
    ] {
        let answer = call(method.clone(), path);
        answer.refused_with(405, "request-invalid");
        assert!(answer.header("allow").is_some(), "{method} {path}: {answer:?}");
    }
    for path in [
        "/api",
        "/api/v1",
        "/api/v2/approvals",
        "/API/V1/approvals",
        "/api/v1/approvals/",
        "/api/v1//approvals",
        "/approvals",
        "/.env",
        "/api/v1/approvals/../../../etc/passwd",
        &format!("{one}/unknown"),
        &format!("{one}/approve/x"),
    ] {
        call(Method::GET, path).refused("not-found");
    }
    let head = call(Method::HEAD, &one);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(server.show(&approval)["status"], "pending");
    server.assert_ready();
}

#[test]
fn only_loopback_names_are_accepted_as_host() {
    let (_home, server) = home_and_server();
    let paths = [APPROVALS, "/healthz", "/readyz", "/metrics", "/openapi.json", "/nowhere"];
    for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "0.0.0.0", "10.0.0.1"]
    {
        for path in paths {
            let answer = server.try_call(Method::GET, path, &[("host", host)], None).unwrap();
            answer.refused("forbidden");
        }
        let headers = [("host", host)];
        let body = request_body().to_string();
        server.try_post(APPROVALS, &headers, body.as_bytes()).unwrap().refused("forbidden");
    }
    for host in ["localhost", "localhost:1", "127.0.0.1", "127.1.2.3:80", "[::1]:8787", "LOCALHOST"]
    {
        server.try_call(Method::GET, APPROVALS, &[("host", host)], None).unwrap().ok();
    }
    assert_eq!(server.audit().len(), 0);
}

#[test]
fn answers_forbid_caching_and_content_sniffing() {
    let (_home, server) = home_and_server();
    for path in [APPROVALS, "/healthz", "/nowhere", "/openapi.json"] {
        let answer = server.get(path);
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
    }
}

#[test]
fn a_second_ballot_is_refused_whoever_casts_it() {
    let (_home, server) = home_and_server();
    let approval = server.approved();
    for (decision, approver) in
        [("approved", "user@company.com"), ("rejected", "user@company.com"), ("approved", "b@c.d")]
    {
        let body = ballot(&approval, decision, approver);
        server.act(&approval, "approve", &body).refused("already-decided");
    }
    assert_eq!(server.show(&approval)["ballots"].as_array().unwrap().len(), 1);
}

/// What a proxy in front could read differently is not read at all.
#[test]
fn a_head_with_two_readings_is_refused() {
    let (_home, server) = home_and_server();
    let get = |version: &str, headers: &str| {
        let text = format!("GET /healthz HTTP/{version}\r\n{headers}\r\n");
        Raw::answer(&Raw::hold(&server, text.as_bytes()))
    };
    assert_eq!(get("1.1", "host: localhost\r\nconnection: close\r\n").status, 200);
    for headers in
        ["", "host: localhost\r\nhost: localhost\r\n", "host: localhost\r\nhost: other\r\n"]
    {
        let answer = get("1.1", headers);
        answer.refused_with(400, "request-invalid");
        assert_eq!(answer.header("connection"), Some("close"), "{headers}");
    }
    let post = |headers: &str, body: &str| {
        let text = format!("POST {APPROVALS} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n{body}");
        Raw::hold(&server, text.as_bytes())
    };
    let json = "content-type: application/json\r\n";
    for coding in ["gzip", "chunked, gzip", "identity"] {
        let text = post(&format!("{json}transfer-encoding: {coding}\r\n"), "0\r\n\r\n");
        assert!(text.starts_with("HTTP/1.1 400 "), "{coding}: {text}");
    }
    // The parser drops the length, so the connection ends: what follows is nobody's request.
    let smuggled = "2\r\n{}\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for both in [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
    ] {
        let text = post(&format!("{json}{both}"), smuggled);
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
    }
}

#[test]
fn a_body_in_another_form_is_refused_before_it_is_read() {
    let (_home, server) = home_and_server();
    for headers in [
        "content-type: application/json\r\ncontent-type: application/json\r\n",
        "content-type: application/json; charset=utf-16\r\n",
        "content-type: application/json\r\ncontent-encoding: gzip\r\n",
        "content-type: text/plain\r\n",
    ] {
        // The client waits for `100 Continue`, and gets the answer instead.
        let text = format!(
            "POST {APPROVALS} HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n\
             content-length: 1000000\r\n{headers}\r\n"
        );
        let text = Raw::hold(&server, text.as_bytes());
        Raw::answer(&text).refused("unsupported-media-type");
    }
    for accepted in ["application/json; charset=utf-8", "application/json;charset=\"UTF-8\""] {
        let body = request_body().to_string();
        let text = format!(
            "POST {APPROVALS} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-type: {accepted}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(Raw::answer(&Raw::hold(&server, text.as_bytes())).status, 201);
    }
}

#[test]
fn an_idempotency_key_is_visible_ascii() {
    let (_home, server) = home_and_server();
    for key in ["a\tb", "a b", "", "\u{e9}"] {
        let body = request_body().to_string();
        let headers = format!("idempotency-key: {key}\r\ncontent-length: {}\r\n", body.len());
        let text = request_text(APPROVALS, &headers, &body);
        let text = Raw::hold(&server, text.as_bytes());
        Raw::answer(&text).refused("request-invalid");
    }
}

#[test]
fn a_query_that_a_call_does_not_know_is_refused_and_changes_nothing() {
    let (_home, server) = home_and_server();
    let approval = server.request();
    let path = format!("{APPROVALS}/{}", id(&approval));
    let token = json!({ "subject": "q", "roles": ["auditor"] });
    for (path, body) in [
        (format!("{path}/withdraw?dry_run=true"), json!({})),
        ("/api/v1/tokens?expires_in_seconds=60".to_owned(), token),
        (format!("{APPROVALS}?bogus"), request_body()),
        (format!("{path}/verify?x=1"), json!({ "signature": "x" })),
    ] {
        server.post(&path, &body).refused("request-invalid");
    }
    assert_eq!(server.show(&approval)["status"], "pending");
    for path in [
        "/api/v1/keys".to_owned(),
        "/api/v1/modules".to_owned(),
        "/api/v1/audit/checkpoint".to_owned(),
        "/api/v1/audit/keys".to_owned(),
        format!("{path}/receipt"),
    ] {
        server.get(&format!("{path}?bogus=1")).refused("request-invalid");
    }
    for open in ["/", "/healthz", "/readyz", "/metrics", "/openapi.json"] {
        assert_eq!(server.get(&format!("{open}?bogus=1")).status, 200, "{open}");
    }
}

#[test]
fn a_name_in_the_path_that_is_not_utf8_is_not_found() {
    let (_home, server) = home_and_server();
    server.get("/api/v1/modules/%ff").refused("not-found");
    server.post("/api/v1/tokens/%ff/revoke", &json!({})).refused("not-found");
    server.post("/api/v1/modules/%ff/rollback", &json!({ "reason": "x" })).refused("not-found");
}
