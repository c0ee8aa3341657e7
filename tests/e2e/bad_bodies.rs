//! Invalid bodies, each refused with its stable code. None of them changes anything.

use serde_json::{Value, json};

use crate::support::{Client, home_and_server, id, request_body, title_and_status};

const APPROVALS: &str = "/api/v1/approvals";

/// Sends each body and checks the code of its refusal, and that nothing changed.
#[track_caller]
fn all_refused(server: &Client, path: &str, cases: &[(&str, Vec<u8>, &str)]) {
    let before = server.audit();
    for (what, body, code) in cases {
        let answer = server.post_text(path, body);
        assert_eq!(answer.status, title_and_status(code).1, "{what}: {}", answer.body);
        answer.refused(code);
    }
    assert_eq!(server.audit(), before, "no refused body is recorded");
    server.assert_ready();
}

fn case<'a>(what: &'a str, body: impl Into<Vec<u8>>, code: &'a str) -> (&'a str, Vec<u8>, &'a str) {
    (what, body.into(), code)
}

/// Returns the runbook's request with one field changed.
fn with(field: &str, value: Value) -> String {
    let mut body = request_body();
    body[field] = value;
    body.to_string()
}

/// Returns a request with this text as its context.
fn of_context(context: &str) -> String {
    format!(r#"{{"agent":"a","action":"b","context":{context}}}"#)
}

#[test]
fn malformed_requests_are_refused() {
    let (_home, server) = home_and_server();
    let without = |field: &str| {
        let mut body = request_body();
        body.as_object_mut().unwrap().remove(field);
        body.to_string()
    };
    let good = request_body().to_string();
    let invalid = "request-invalid";
    let cases = [
        case("nothing", "", invalid),
        case("white space", " \r\n\t", invalid),
        case("a list", "[]", invalid),
        case("a list of the fields", "[\"a\",\"b\",{},null,null,null]", invalid),
        case("null", "null", invalid),
        case("a number", "1", invalid),
        case("a text", "\"agent\"", invalid),
        case("an empty object", "{}", invalid),
        case("half an object", &good.as_bytes()[..good.len() - 1], invalid),
        case("two objects", format!("{good}{good}"), invalid),
        case("trailing garbage", format!("{good}x"), invalid),
        case("a trailing comma", format!("{},}}", &good[..good.len() - 1]), invalid),
        case("a comment", format!("/**/{good}"), invalid),
        case("a byte order mark", format!("\u{feff}{good}"), invalid),
        case("a NUL", format!("{good}\0"), invalid),
        case("no UTF-8", b"{\"agent\":\"\xff\"}".as_slice(), invalid),
        case("a form", "agent=a&action=b", invalid),
        case("no agent", without("agent"), invalid),
        case("no action", without("action"), invalid),
        case("no context", without("context"), invalid),
        case("an unknown field", with("priority", json!("high")), invalid),
        case("a field of the answer", with("status", json!("approved")), invalid),
        case("another requester", with("requested_by", json!("admin")), invalid),
        case("a duplicate field", good.replacen('{', "{\"agent\":\"x\",", 1), invalid),
        case("a duplicate context", good.replacen('{', "{\"context\":{},", 1), invalid),
        case("a lone surrogate", good.replacen("apply", "\\ud800", 1), invalid),
        case("an agent that is a number", with("agent", json!(1)), invalid),
        case("an agent that is null", with("agent", Value::Null), invalid),
        case("an action that is a list", with("action", json!(["apply"])), invalid),
        case("a reason that is an object", with("reason", json!({})), invalid),
        case("depth in an unknown field", "{\"x\":".repeat(100_000), invalid),
    ];
    all_refused(&server, APPROVALS, &cases);
}

#[test]
fn names_are_printable_ascii_within_128_bytes() {
    let (_home, server) = home_and_server();
    let mut cases = Vec::new();
    for field in ["agent", "action"] {
        let long = "limit-exceeded";
        for (what, name, code) in [
            ("empty", String::new(), "request-invalid"),
            ("a space", "a b".to_owned(), "request-invalid"),
            ("a line feed", "a\nb".to_owned(), "request-invalid"),
            ("a NUL", "a\0b".to_owned(), "request-invalid"),
            ("an escape", "a\u{1b}[2J".to_owned(), "request-invalid"),
            ("DEL", "a\u{7f}".to_owned(), "request-invalid"),
            ("not ASCII", "agént".to_owned(), "request-invalid"),
            ("a look-alike", "аpply".to_owned(), "request-invalid"),
            ("right to left", "a\u{202e}b".to_owned(), "request-invalid"),
            ("129 bytes", "a".repeat(129), long),
            ("10 KiB", "a".repeat(10 << 10), long),
        ] {
            cases.push((what, with(field, json!(name)).into_bytes(), code));
        }
    }
    all_refused(&server, APPROVALS, &cases);
    for action in ["!", "~", "a/b:c@d", &"x".repeat(128)] {
        server.post_text(APPROVALS, with("action", json!(action))).json(201);
    }
}

#[test]
fn a_reason_is_text_within_4_kib() {
    let (_home, server) = home_and_server();
    let cases = [
        case("too long", with("reason", json!("a".repeat(4_097))), "limit-exceeded"),
        case("very long", with("reason", json!("a".repeat(1 << 20))), "limit-exceeded"),
        case("an escape", with("reason", json!("\u{1b}[31m")), "request-invalid"),
        case("a carriage return", with("reason", json!("a\rb")), "request-invalid"),
        case("a C1 control", with("reason", json!("a\u{9b}2J")), "request-invalid"),
        case("a NUL", with("reason", json!("a\0")), "request-invalid"),
    ];
    all_refused(&server, APPROVALS, &cases);
    for reason in [json!("a".repeat(4_096)), json!("zwei\n\tZeilen: é 😀"), json!(""), Value::Null]
    {
        let made = server.post_text(APPROVALS, with("reason", reason.clone())).json(201);
        assert_eq!(made["reason"], reason);
    }
}

#[test]
fn an_expiry_is_a_whole_number_of_seconds_up_to_a_week() {
    let (_home, server) = home_and_server();
    let good = with("expires_in_seconds", json!(1));
    let raw = |text: &str| {
        good.replace(":1}", &format!(":{text}}}")).replace(":1,", &format!(":{text},"))
    };
    assert_ne!(raw("2"), good);
    let cases = [
        case("zero", raw("0"), "request-invalid"),
        case("minus one", raw("-1"), "request-invalid"),
        case("the smallest", raw("-9223372036854775808"), "request-invalid"),
        case("a week and a second", raw("604801"), "limit-exceeded"),
        case("a year", raw("31536000"), "limit-exceeded"),
        case("the largest", raw("9223372036854775807"), "limit-exceeded"),
        case("an overflow", raw("9223372036854775808"), "request-invalid"),
        case("30 digits", raw(&"9".repeat(30)), "request-invalid"),
        case("a fraction", raw("1.5"), "request-invalid"),
        case("a float", raw("1.0"), "request-invalid"),
        case("an exponent", raw("1e3"), "request-invalid"),
        case("infinity", raw("1e999"), "request-invalid"),
        case("a text", raw("\"3600\""), "request-invalid"),
        case("true", raw("true"), "request-invalid"),
        case("a list", raw("[60]"), "request-invalid"),
    ];
    all_refused(&server, APPROVALS, &cases);
    server.post_text(APPROVALS, raw("604800")).json(201);
    server.post_text(APPROVALS, raw("null")).json(201);
}

#[test]
fn a_context_is_one_strict_json_object() {
    let (_home, server) = home_and_server();
    let deep = |n: usize| format!("{}{}", "{\"a\":".repeat(n - 1), "{}") + &"}".repeat(n - 1);
    let lists = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n - 1), "]".repeat(n - 1));
    let invalid = "context-invalid";
    let cases = [
        case("null", of_context("null"), invalid),
        case("a list", of_context("[]"), invalid),
        case("a number", of_context("1"), invalid),
        case("a text", of_context("\"x\""), invalid),
        case("NaN", of_context("{\"a\":NaN}"), invalid),
        case("Infinity", of_context("{\"a\":Infinity}"), invalid),
        case("-Infinity", of_context("{\"a\":-Infinity}"), invalid),
        case("overflow", of_context("{\"a\":1e999}"), invalid),
        case("a duplicate key", of_context("{\"a\":1,\"a\":1}"), invalid),
        case("a duplicate key, escaped", of_context("{\"a\":1,\"\\u0061\":2}"), invalid),
        case("a duplicate key, deeper", of_context("{\"x\":[{\"a\":1,\"a\":2}]}"), invalid),
        case("a high surrogate", of_context(r#"{"a":"\ud83d"}"#), invalid),
        case("a low surrogate", of_context(r#"{"a":"\ude00"}"#), invalid),
        case("swapped surrogates", of_context(r#"{"a":"\ude00\ud83d"}"#), invalid),
        case("a surrogate in a key", of_context(r#"{"\ud800":1}"#), invalid),
        case("a raw control character", of_context("{\"a\":\"\u{1}\"}"), invalid),
        case("a leading zero", of_context("{\"a\":01}"), invalid),
        case("a plus", of_context("{\"a\":+1}"), invalid),
        case("a bare point", of_context("{\"a\":1.}"), invalid),
        case("hexadecimal", of_context("{\"a\":0x1}"), invalid),
        case("single quotes", of_context("{'a':1}"), invalid),
        case("a trailing comma", of_context("{\"a\":1,}"), invalid),
        case("a bad escape", of_context(r#"{"a":"\x"}"#), invalid),
        case("depth 65", of_context(&deep(65)), invalid),
        case("depth 65 of lists", of_context(&lists(65)), invalid),
        case("depth 100,000", of_context(&lists(100_000)), invalid),
        case("4,301 digits", of_context(&format!("{{\"a\":{}}}", "1".repeat(4_301))), invalid),
        case("5,000 digits", of_context(&format!("{{\"a\":-{}}}", "1".repeat(5_000))), invalid),
        case("2 MiB", of_context(&format!("{{\"a\":\"{}\"}}", "x".repeat(2 << 20))), invalid),
        case("2 MiB of space", of_context(&format!("{{{}}}", " ".repeat(2 << 20))), invalid),
        case(
            "more than 1 MiB only when canonical",
            of_context(&format!("{{\"a\":\"{}\"}}", "é".repeat(300_000))),
            invalid,
        ),
    ];
    all_refused(&server, APPROVALS, &cases);
    let plans: Vec<_> = cases
        .iter()
        .filter(|(what, ..)| *what != "null")
        .map(|(what, body, code)| {
            let body = String::from_utf8(body.clone()).unwrap();
            (*what, body.replacen("\"context\":", "\"context\":{},\"plan\":", 1).into(), *code)
        })
        .collect();
    all_refused(&server, APPROVALS, &plans);
    for context in [
        "{}".to_owned(),
        deep(64),
        lists(64),
        format!("{{\"a\":{}}}", "1".repeat(4_300)),
        r#"{"a":1e400000,"b":"\ud83d\ude00","":null}"#.replace("1e400000", "1e-400000"),
        format!("{{\"a\":\"{}\"}}", "x".repeat((1 << 20) - 9)),
    ] {
        let answer = server.post_text(APPROVALS, of_context(&context));
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
}

#[test]
fn a_malformed_context_is_refused_with_its_offset() {
    let (_home, server) = home_and_server();
    for (context, place) in [("{\"a\":1,\"a\":1}", "byte"), ("{\"a\":NaN}", "byte")] {
        let problem = server.post_text(APPROVALS, of_context(context)).refused("context-invalid");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("context: ") && detail.contains(place), "{detail}");
        assert!(detail.chars().any(|c| c.is_ascii_digit()), "{detail}");
    }
}

#[test]
fn a_signature_is_64_lower_case_hex_characters() {
    let (_home, server) = home_and_server();
    let approval = server.request();
    let right = crate::support::sign(&approval, "approved", crate::support::APPROVER);
    let body = |signature: Value| {
        let approver = crate::support::APPROVER;
        json!({ "decision": "approved", "approver": approver, "signature": signature }).to_string()
    };
    let malformed = "signature-malformed";
    let cases = [
        case("empty", body(json!("")), malformed),
        case("63", body(json!(right[..63])), malformed),
        case("65", body(json!(format!("{right}0"))), malformed),
        case("upper case", body(json!(right.to_uppercase())), malformed),
        case("a space before", body(json!(format!(" {right}"))), malformed),
        case("a line feed after", body(json!(format!("{right}\n"))), malformed),
        case("0x", body(json!(format!("0x{}", &right[..62]))), malformed),
        case("no hex", body(json!("g".repeat(64))), malformed),
        case("full-width digits", body(json!("０".repeat(64))), malformed),
        case("base64", body(json!("q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=")), malformed),
        case("another profile", body(json!(format!("v2.k1.{}", "a".repeat(43)))), malformed),
        case("very long", body(json!("0".repeat(100_000))), "limit-exceeded"),
        case("a number", body(json!(1)), "request-invalid"),
        case("null", body(Value::Null), "request-invalid"),
        case("wrong", body(json!("0".repeat(64))), "signature-invalid"),
    ];
    let path = format!("{APPROVALS}/{}/approve", id(&approval));
    all_refused(&server, &path, &cases);
    server.post_text(&path, body(json!(right))).ok();
}

#[test]
fn a_decision_is_one_of_two_words_and_its_approver_has_no_colon() {
    let (_home, server) = home_and_server();
    let approval = server.request();
    let body = |decision: Value, approver: Value, comment: Value| {
        json!({
            "decision": decision, "approver": approver, "comment": comment,
            "signature": "0".repeat(64),
        })
        .to_string()
    };
    let decision = |decision: Value| body(decision, json!("user@company.com"), Value::Null);
    let approver = |approver: Value| body(json!("approved"), approver, Value::Null);
    let comment = |comment: Value| body(json!("approved"), json!("user@company.com"), comment);
    let cases = [
        case("approve", decision(json!("approve")), "request-invalid"),
        case("upper case", decision(json!("APPROVED")), "request-invalid"),
        case("empty", decision(json!("")), "request-invalid"),
        case("null", decision(Value::Null), "request-invalid"),
        case("true", decision(json!(true)), "request-invalid"),
        case("expired", decision(json!("expired")), "request-invalid"),
        case("a colon", approver(json!("user:admin")), "statement-ambiguous"),
        case("no approver", approver(json!("")), "request-invalid"),
        case("null approver", approver(Value::Null), "request-invalid"),
        case("a space", approver(json!("Jane Doe")), "request-invalid"),
        case("a long approver", approver(json!("a".repeat(129))), "limit-exceeded"),
        case("a long comment", comment(json!("c".repeat(4_097))), "limit-exceeded"),
        case("an escape", comment(json!("\u{1b}]0;x\u{7}")), "request-invalid"),
    ];
    all_refused(&server, &format!("{APPROVALS}/{}/approve", id(&approval)), &cases);
}

#[test]
fn claims_outcomes_withdrawals_and_extensions_are_read_strictly() {
    let (_home, server) = home_and_server();
    let approval = server.approved();
    let path = |operation: &str| format!("{APPROVALS}/{}/{operation}", id(&approval));
    let claim = |field: &str, value: Value| {
        let mut body = crate::support::claim_body();
        body[field] = value;
        body.to_string()
    };
    let cases = [
        case("lease 0", claim("lease_seconds", json!(0)), "request-invalid"),
        case("lease -1", claim("lease_seconds", json!(-1)), "request-invalid"),
        case("lease of a day and more", claim("lease_seconds", json!(86_401)), "limit-exceeded"),
        case("lease of a half", claim("lease_seconds", json!(0.5)), "request-invalid"),
        case("no context", claim("context", Value::Null), "context-invalid"),
        case("an unknown field", claim("claimed_by", json!("admin")), "request-invalid"),
        case("nothing", "{}", "request-invalid"),
    ];
    all_refused(&server, &path("execute"), &cases);
    let execution = format!("exec_{}", "0".repeat(26));
    let outcome = |execution: &str, outcome: &str| {
        json!({ "execution_id": execution, "outcome": outcome }).to_string()
    };
    let cases = [
        case("not an id", outcome("x", "failed"), "request-invalid"),
        case("unknown", outcome(&execution, "unknown"), "request-invalid"),
        case("claimed", outcome(&execution, "claimed"), "request-invalid"),
        case("another execution", outcome(&execution, "failed"), "execution-mismatch"),
    ];
    all_refused(&server, &path("outcome"), &cases);
    let cases = [
        case("nothing", "", "request-invalid"),
        case("a list", "[]", "request-invalid"),
        case("a field", "{\"a\":1}", "request-invalid"),
    ];
    all_refused(&server, &path("withdraw"), &cases);
    let cases = [
        case("nothing", "{}", "request-invalid"),
        case("a list", "[60]", "request-invalid"),
        case("a float", "{\"expires_in_seconds\":1e3}", "request-invalid"),
    ];
    all_refused(&server, &path("extend"), &cases);
    let cases = [
        case("no signature", "{}", "request-invalid"),
        case("a bad context", "{\"signature\":\"\",\"context\":{\"a\":NaN}}", "context-invalid"),
    ];
    all_refused(&server, &path("verify"), &cases);
    server.claim(&approval).ok();
}
