//! Metrics, and what `docs/monitoring.md`, the alerts and the dashboard say of them and of the log.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::{
    APPROVER, Answer, Authority, Client, Home, Office, Ran, SERVE, Server, home_and_server, open,
    until,
};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap()
}

/// Returns the value of a series.
fn value(client: &Client, series: &str) -> Option<f64> {
    let metrics = client.get("/metrics").body;
    let found = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.map(|value| value.parse().unwrap())
}

/// Returns name and type of each metric in the text format, and checks that each has samples between
/// its own lines and a help text.
fn described(text: &str) -> BTreeMap<String, String> {
    let mut types = BTreeMap::new();
    let (mut name, mut kind) = ("", "");
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            assert!(help.split_once(' ').is_some_and(|(_, help)| help.len() > 5), "{line}");
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            (name, kind) = typed.split_once(' ').unwrap();
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {name}");
        } else {
            assert!(!line.starts_with('#') && !line.is_empty(), "{line}");
            let end = line.find(['{', ' ']).unwrap();
            let suffixes: &[&str] =
                if kind == "histogram" { &["_bucket", "_count", "_sum"] } else { &[""] };
            let suffix = line[..end].strip_prefix(name);
            assert!(suffix.is_some_and(|suffix| suffixes.contains(&suffix)), "{name}: {line}");
            let number = line.rsplit_once(' ').unwrap().1;
            assert!(number.parse::<f64>().is_ok(), "{line}");
        }
    }
    types
}

/// Returns the cells of the rows of a table that begins with a head.
fn table(document: &str, head: &str) -> Vec<Vec<String>> {
    let (_, rest) = document.split_once(head).unwrap_or_else(|| panic!("no table `{head}`"));
    let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// Returns what stands in backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// A server with TLS and a witness.
fn complete() -> (Home, Server) {
    let home = Home::new();
    Authority::new("an authority of a test").issue("127.0.0.1").install(&home);
    let mut command = home.signoff(SERVE);
    command.args(["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    command.args(["--witness", "witness", "--new-witness"]);
    command.arg("--create-store");
    let server = Server::start_with(command);
    (home, server)
}

#[test]
fn the_documents_name_the_metrics_that_a_server_has() {
    let (home, server) = complete();
    curl(&home, &server, "/healthz");
    let metrics = curl(&home, &server, "/metrics");
    let mut types = described(&metrics);
    // The first of these events has not happened yet; other tests cause them.
    for (name, kind) in [
        ("signoff_http_requests_aborted_total", "counter"),
        ("signoff_refusals_total", "counter"),
        ("signoff_connection_failures_total", "counter"),
        ("signoff_time_to_decision_seconds", "histogram"),
        ("signoff_policy_failures_total", "counter"),
        ("signoff_token_not_after_seconds", "gauge"),
    ] {
        let old = types.insert(name.to_owned(), kind.to_owned());
        assert!(old.is_none_or(|old| old == kind), "{name}");
    }
    let rows = table(&read("docs/monitoring.md"), "| metric | type | labels | meaning |");
    let documented: BTreeMap<String, String> = rows
        .iter()
        .map(|row| {
            let kind = if row[1] == "info" { "gauge" } else { &row[1] };
            (quoted(&row[0]).remove(0), kind.to_owned())
        })
        .collect();
    assert_eq!(types, documented);
    let known: BTreeSet<String> = documented
        .iter()
        .flat_map(|(name, kind)| match kind.as_str() {
            "histogram" => ["_bucket", "_count", "_sum"].map(|end| format!("{name}{end}")).to_vec(),
            _ => vec![name.clone()],
        })
        .collect();
    let dashboard: Value = serde_json::from_str(&read("docs/monitoring/grafana.json")).unwrap();
    let mut expressions = Vec::new();
    collect(&dashboard, &mut expressions);
    assert!(expressions.len() > 20, "{expressions:?}");
    let alerts = read("docs/monitoring/alerts.yml");
    let rules: Vec<&str> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    assert_eq!(rules.len(), alerts.matches("- alert: ").count());
    for text in expressions.iter().map(String::as_str).chain(rules) {
        let names = names_in(text);
        assert!(!names.is_empty() || text.starts_with("up{"), "{text}");
        for name in names {
            assert!(known.contains(name), "`{name}` is no metric: {text}");
        }
    }
    // Each alert has an instruction.
    let page = read("docs/monitoring.md");
    for line in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(page.contains(&format!("`{line}`")), "{line}");
    }
}

/// Collects the expressions of a dashboard.
fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("expr").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|value| collect(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

/// Returns the names of metrics in an expression.
fn names_in(expression: &str) -> Vec<&str> {
    let words = expression.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_'));
    words.filter(|word| word.starts_with("signoff_") || word.starts_with("process_")).collect()
}

fn curl(home: &Home, server: &Server, path: &str) -> String {
    let url = format!("{}{path}", server.url);
    Ran::of(home.program("curl").args(["-sSk", &url])).ok()
}

fn asked(client: &Client, accept: Option<&str>) -> Answer {
    let headers: Vec<(&str, &str)> = accept.map(|accept| ("accept", accept)).into_iter().collect();
    client.try_call(Method::GET, "/metrics", &headers, None).unwrap()
}

#[test]
fn metrics_are_in_the_text_format_unless_openmetrics_is_preferred() {
    let (_home, server) = home_and_server();
    server.approved();
    for (accept, kind) in [
        (None, TEXT),
        (Some("text/plain"), TEXT),
        (Some("application/openmetrics-text;version=1.0.0;q=0.2,text/plain;q=0.9"), TEXT),
        (Some("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"), OPENMETRICS),
    ] {
        let answer = asked(&server, accept);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some(kind), "{accept:?}");
        assert_eq!(answer.header("vary"), Some("accept"));
        assert_eq!(answer.body.ends_with("# EOF\n"), kind == OPENMETRICS);
        let is_open = answer.body.contains("# TYPE signoff_http_requests counter\n");
        assert_eq!(is_open, kind == OPENMETRICS);
    }
    let types = described(&server.get("/metrics").body);
    assert_eq!(types["signoff_http_requests_total"], "counter");
    assert_eq!(types["signoff_policy_verdicts_total"], "counter");
    assert_eq!(types["signoff_build_info"], "gauge");
    assert!(!types.keys().any(|name| name.contains("_now")));
}

#[test]
fn labels_have_few_values_whatever_callers_send() {
    let (_home, server) = home_and_server();
    for number in 0..5 {
        let path = format!("/nowhere/{number}\"}}");
        let path = path.replace('"', "%22").replace('}', "%7D");
        server.get(&path).refused("not-found");
        let method = Method::from_bytes(format!("ODD{number}").as_bytes()).unwrap();
        server.try_call(method, "/healthz", &[], None).unwrap();
    }
    let none = "signoff_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"}";
    assert_eq!(value(&server, none), Some(5.0));
    let other = "signoff_http_requests_total{method=\"other\",route=\"/healthz\",status=\"405\"}";
    assert_eq!(value(&server, other), Some(5.0));
    let metrics = server.get("/metrics").body;
    assert!(!metrics.contains("nowhere") && !metrics.contains("ODD"), "{metrics}");
}

#[test]
fn decisions_waits_streams_and_gone_clients_are_measured() {
    let (_home, server) = home_and_server();
    assert_eq!(value(&server, "signoff_oldest_pending_age_seconds"), Some(0.0));
    let approved = server.approved();
    let rejected = server.request();
    server.decide(&rejected, "rejected", APPROVER).ok();
    server.decide(&rejected, "rejected", APPROVER).refused("already-decided");
    for decision in ["approved", "rejected"] {
        let count = format!("signoff_time_to_decision_seconds_count{{decision=\"{decision}\"}}");
        assert_eq!(value(&server, &count), Some(1.0), "{decision}");
    }
    let pending = server.request();
    until("it is a second old", || {
        value(&server, "signoff_oldest_pending_age_seconds").filter(|age| *age >= 1.0)
    });
    let held = |kind: &str| value(&server, &format!("signoff_held_requests{{kind=\"{kind}\"}}"));
    assert_eq!((held("wait"), held("stream")), (Some(0.0), Some(0.0)));
    let path = format!("/api/v1/approvals/{}?wait=60", pending["id"].as_str().unwrap());
    let mut streams = Vec::new();
    for path in [path.as_str(), "/api/v1/events"] {
        let mut stream = open(&server);
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        streams.push(stream);
    }
    until("both are held", || {
        ((held("wait"), held("stream")) == (Some(1.0), Some(1.0))).then_some(())
    });
    assert_eq!(value(&server, "signoff_http_requests_in_flight"), Some(3.0));
    drop(streams);
    until("both are gone", || {
        ((held("wait"), held("stream")) == (Some(0.0), Some(0.0))).then_some(())
    });
    let aborted = "signoff_http_requests_aborted_total{route=\"/api/v1/approvals/{id}\"}";
    until("it is counted", || value(&server, aborted).filter(|count| *count == 1.0));
    // Neither is in the time to answer.
    let seconds = "signoff_http_request_seconds_count{method=\"GET\",route=\"/api/v1/events\",status=\"2xx\"}";
    assert_eq!(value(&server, seconds), None);
    let answered =
        "signoff_http_requests_total{method=\"GET\",route=\"/api/v1/events\",status=\"200\"}";
    assert_eq!(value(&server, answered), Some(1.0));
    let _ = approved;
}

#[test]
fn tokens_the_witness_and_the_process_are_measured() {
    let home = Home::new();
    let office = Office::in_home(home, |home| {
        let mut command = home.signoff(SERVE);
        command.args(["--witness", "witness", "--new-witness", "--create-store"]);
        command
    });
    let get = |series: &str| value(&office.admin, series);
    assert_eq!(get("signoff_token_not_after_seconds"), None);
    let before = get("signoff_tokens").unwrap();
    let made = json!({ "subject": "x", "roles": ["auditor"], "expires_in_seconds": 3_600 });
    let first = office.admin.post("/api/v1/tokens", &made).json(201);
    let made = json!({ "subject": "y", "roles": ["auditor"], "expires_in_seconds": 7_200 });
    office.admin.post("/api/v1/tokens", &made).json(201);
    assert_eq!(get("signoff_tokens"), Some(before + 2.0));
    let soonest = get("signoff_token_not_after_seconds").unwrap();
    let revoke = format!("/api/v1/tokens/{}/revoke", first["id"].as_str().unwrap());
    office.admin.post(&revoke, &json!({})).ok();
    assert_eq!(get("signoff_tokens"), Some(before + 1.0));
    assert!(get("signoff_token_not_after_seconds").unwrap() >= soonest + 3_600.0);
    let entries = get("signoff_audit_entries");
    assert!(entries.is_some_and(|entries| entries > 5.0));
    assert_eq!(get("signoff_witness_entries"), entries);
    let file = fs::metadata(office.home.store()).unwrap().len();
    assert_eq!(get("signoff_store_file_bytes"), Some(file as f64));
    assert!(get("signoff_store_commits_total").is_some_and(|commits| commits >= 3.0));
    assert!(get("process_resident_memory_bytes").is_some_and(|bytes| bytes > 1e6));
    assert!(get("process_open_fds").is_some_and(|fds| fds > 5.0));
    let start = get("process_start_time_seconds").unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!((0.0..86_400.0).contains(&(now.as_secs_f64() - start)), "{start}");
    let verifier = office.admin.get("/readyz").ok()["verifier"].as_str().unwrap().to_owned();
    let module = format!(
        "signoff_module_info{{slot=\"verifier\",digest=\"{verifier}\",name=\"built-in\",version=\"0\",key_id=\"\"}}"
    );
    assert_eq!(get(&module), Some(1.0));
}

#[test]
fn the_document_names_every_line_of_the_log_with_its_fields() {
    let mut lines: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in sources(&repository("host/src")) {
        let source = fs::read_to_string(&file).unwrap();
        for call in source.split("tracing::").skip(1) {
            let levels = ["error!(", "warn!(", "info!(", "debug!(", "$level!("];
            let Some(call) = levels.iter().find_map(|level| call.strip_prefix(level)) else {
                continue;
            };
            let mut arguments = arguments(call);
            let message = arguments.pop().unwrap();
            let fields = arguments
                .iter()
                .map(|argument| argument.split('=').next().unwrap().trim().to_owned());
            lines.entry(message.trim_matches('"').to_owned()).or_default().extend(fields);
        }
    }
    let page = read("docs/monitoring.md");
    let rows = table(&page, "| message | level | fields |");
    let documented: BTreeMap<String, BTreeSet<String>> = rows
        .iter()
        .map(|row| (quoted(&row[0]).remove(0), quoted(&row[2]).into_iter().collect()))
        .collect();
    assert_eq!(lines, documented);
    let used: BTreeSet<String> = lines.into_values().flatten().collect();
    let rows = table(&page, "| field | value |");
    let explained: BTreeSet<String> = rows.iter().flat_map(|row| quoted(&row[0])).collect();
    assert_eq!(used, explained);
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(sources(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    found
}

/// Splits the arguments of a call, which begins after its opening parenthesis.
fn arguments(call: &str) -> Vec<String> {
    let (mut depth, mut is_text, mut found) = (0, false, vec![String::new()]);
    for char in call.chars() {
        match char {
            '"' => is_text = !is_text,
            '(' | '[' | '{' if !is_text => depth += 1,
            ')' if !is_text && depth == 0 => break,
            ')' | ']' | '}' if !is_text => depth -= 1,
            ',' if !is_text && depth == 0 => {
                found.push(String::new());
                continue;
            }
            _ => {}
        }
        found.last_mut().unwrap().push(char);
    }
    found.retain(|argument| !argument.trim().is_empty());
    found.iter().map(|argument| argument.trim().to_owned()).collect()
}
