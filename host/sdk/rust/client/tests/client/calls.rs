//! Calls: retries, keys, limits, errors.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use signoff_client::verify::Decision;
use signoff_client::{
    Action, Ballot, Client, ClientBuilder, Context, Error, Filter, Outcome, Status, blocking,
};

use crate::office::http::{Asked, Reply, serve, serve_unix};
use crate::office::{Approver, Office};

const ID: &str = "appr_01k7s2e3m8q4w6x9y0z1a2b3c4";
const PROBLEM_OF: &str = include_str!("../../../../../../wit/codes.md");

fn action() -> Action {
    Action::new("deployer", "deploy", Context::from_json(r#"{"n":1}"#).unwrap())
}

fn shown() -> String {
    format!(
        r#"{{"id": "{ID}", "status": "pending", "agent": "a", "action": "b", "later": {{"x": 1}},
            "expires_at": "2999-01-01T00:00:00Z", "context_hash": "c", "execution": null}}"#
    )
}

/// A server that gives these replies in turn, then the last again, and keeps what was asked.
fn scripted(replies: Vec<Reply>) -> (ClientBuilder, Arc<Mutex<Vec<Asked>>>) {
    let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let kept = Arc::clone(&asked);
    let url = serve(Arc::new(move |asked| {
        let mut kept = kept.lock().unwrap();
        kept.push(asked.clone());
        replies[(kept.len() - 1).min(replies.len() - 1)].clone()
    }));
    (Client::builder().only_arguments().url(url).token("t"), asked)
}

fn busy(status: u16) -> Reply {
    Reply::problem(status, "store-unavailable").with("Retry-After", "0")
}

#[tokio::test]
async fn a_call_is_repeated_with_its_key_while_another_try_may_succeed() {
    let replies = vec![Reply::Close, busy(503), busy(429), Reply::json(201, shown())];
    let (client, asked) = scripted(replies);
    let approval = client.build().unwrap().request(&action()).await.unwrap();
    assert_eq!((approval.id(), approval.status()), (ID, Status::Pending));
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 4);
    let key = asked[0].header("idempotency-key").unwrap();
    assert!(asked.iter().all(|asked| asked.header("idempotency-key") == Some(key)));
    assert_eq!(asked[0].body, r#"{"agent":"deployer","action":"deploy","context":{"n":1}}"#);
    assert_eq!(asked[0].header("authorization"), Some("Bearer t"));
}

#[tokio::test]
async fn nothing_else_is_repeated() {
    for reply in [
        Reply::problem(503, "store-unavailable"),
        Reply::problem(500, "internal-error").with("Retry-After", "0"),
        Reply::problem(409, "already-decided").with("Retry-After", "0"),
        Reply::json(200, "[]"),
        Reply::Raw(b"SSH-2.0-OpenSSH\r\n".to_vec()),
        Reply::json(307, "").with("Location", "http://127.0.0.1:1/"),
    ] {
        let (client, asked) = scripted(vec![reply.clone(), Reply::json(200, shown())]);
        client.build().unwrap().get(ID).await.unwrap_err();
        assert_eq!(asked.lock().unwrap().len(), 1, "{reply:?}");
    }
}

#[tokio::test]
async fn tries_end_at_the_calls_time_limit_with_the_last_reason() {
    let (client, asked) = scripted(vec![busy(503)]);
    let client = client.timeout(Duration::from_millis(400)).build().unwrap();
    let e = client.get(ID).await.unwrap_err();
    assert_eq!((e.code(), e.status(), e.request_id()), ("store-unavailable", 503, Some("req_1")));
    assert!(asked.lock().unwrap().len() > 1);
    // A longer wait than is left is not begun.
    let late = Reply::problem(429, "rate-limited").with("Retry-After", "3600");
    let (client, asked) = scripted(vec![late]);
    let e = client.build().unwrap().get(ID).await.unwrap_err();
    assert_eq!((e.code(), asked.lock().unwrap().len()), ("rate-limited", 1));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let client = Client::builder().only_arguments().url("http://127.0.0.1:1");
    let client = client.timeout(Duration::from_millis(300)).build().unwrap();
    let e = client.get(ID).await.unwrap_err();
    assert!(matches!(e, Error::Unavailable(_)), "{e:?}");
    assert_eq!((e.code(), e.status()), ("unreachable", 0));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unreachable() {
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let url = serve(Arc::new(move |_| {
        let _ = gone.lock().unwrap().recv();
        Reply::Close
    }));
    let client = Client::builder().only_arguments().url(url).build().unwrap();
    let e = client.get(ID).timeout(Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(e.code(), "unreachable", "{e}");
    drop(go);
}

#[tokio::test]
async fn an_answer_is_what_its_route_returns_or_an_error() {
    let other = shown().replace(ID, "appr_00000000000000000000000000");
    for (body, code) in [
        (String::new(), "unreachable"),
        ("null".to_owned(), "unreachable"),
        (r#"{"id": 1}"#.to_owned(), "unreachable"),
        (format!(r#"["{ID}","approved","a","b","e","c"]"#), "unreachable"),
        (shown().replacen("{", r#"{"id": "x","#, 1), "unreachable"),
        (other, "untrusted-answer"),
    ] {
        let (client, _) = scripted(vec![Reply::json(200, body.clone())]);
        let e = client.build().unwrap().get(ID).await.unwrap_err();
        assert_eq!(e.code(), code, "{body}");
    }
    let (client, _) = scripted(vec![Reply::Answer(200, Vec::new(), vec![b' '; (16 << 20) + 1])]);
    let e = client.build().unwrap().get(ID).await.unwrap_err();
    assert!(e.detail().contains("16 MiB"), "{e}");
    let (client, _) = scripted(vec![Reply::Answer(200, Vec::new(), b"\xff".to_vec())]);
    assert_eq!(client.build().unwrap().get(ID).await.unwrap_err().code(), "unreachable");
    let (client, _) = scripted(vec![Reply::json(502, "<html>")]);
    let e = client.build().unwrap().get(ID).await.unwrap_err();
    assert_eq!((e.code(), e.status()), ("unreachable", 502));
}

#[tokio::test]
async fn unknown_members_are_kept() {
    let (client, _) = scripted(vec![Reply::json(200, shown())]);
    let approval = client.build().unwrap().get(ID).await.unwrap();
    assert_eq!(approval.text(), shown());
    assert_eq!(approval.member::<serde_json::Value>("later").unwrap().unwrap()["x"], 1);
    assert_eq!(approval.member::<String>("execution").unwrap(), None);
    assert_eq!(approval.member::<String>("nothing").unwrap(), None);
    assert_eq!(approval.member::<u8>("id").unwrap_err().code(), "unreachable");
}

#[tokio::test]
async fn an_id_names_an_approval_and_no_other_route() {
    let (client, asked) = scripted(vec![Reply::json(200, shown())]);
    let client = client.build().unwrap();
    for id in ["", "..", "appr/../tokens", "a?b", "a b", "é", &"a".repeat(65)] {
        assert_eq!(client.get(id).await.unwrap_err().code(), "not-found", "{id}");
        assert_eq!(client.withdraw(id).await.unwrap_err().code(), "not-found", "{id}");
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_caller_may_pass_an_idempotency_key() {
    let (client, asked) = scripted(vec![Reply::json(200, shown())]);
    let client = client.build().unwrap();
    client.withdraw(ID).idempotency_key("mine").await.unwrap();
    assert_eq!(asked.lock().unwrap()[0].header("idempotency-key"), Some("mine"));
    for key in ["", "a b", "é", "a\r\nx: y", &"a".repeat(256)] {
        let e = client.withdraw(ID).idempotency_key(key).await.unwrap_err();
        assert_eq!(e.code(), "request-invalid", "{key:?}");
    }
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn each_method_asks_its_route() {
    let (client, asked) = scripted(vec![Reply::json(200, shown())]);
    let client = client.build().unwrap();
    let plan = Context::from_json("{}").unwrap();
    let full = action().plan(plan).reason("r").threshold(2).group("sre", 1);
    let full = full.expires_in(Duration::from_secs(60)).lease(Duration::from_secs(5));
    client.request(&full).await.unwrap();
    client.claim(ID, &full).await.unwrap();
    let ballot = Ballot::new(Decision::Approved, "s").comment("c").approver("a");
    client.decide(ID, &ballot).await.unwrap();
    client.report(ID, "exec_1", Outcome::Failed, Some("d")).await.unwrap();
    client.extend(ID, Duration::from_secs(9)).await.unwrap();
    let _ = client.verify(ID, "s", &full).await;
    let _ = client.evaluate(&full).await;
    let _ = client.list(&Filter::default().status(Status::Pending).agent("a b")).await;
    let asked = asked.lock().unwrap();
    let table = [
        (
            "POST",
            "/api/v1/approvals",
            r#"{"agent":"deployer","action":"deploy","context":{"n":1},"plan":{},"reason":"r","expires_in_seconds":60,"requirement":{"threshold":2,"groups":{"sre":1}}}"#,
            true,
        ),
        (
            "POST",
            "/execute",
            r#"{"agent":"deployer","action":"deploy","context":{"n":1},"plan":{},"lease_seconds":5}"#,
            true,
        ),
        (
            "POST",
            "/approve",
            r#"{"decision":"approved","signature":"s","approver":"a","comment":"c"}"#,
            true,
        ),
        ("POST", "/outcome", r#"{"execution_id":"exec_1","outcome":"failed","detail":"d"}"#, true),
        ("POST", "/extend", r#"{"expires_in_seconds":9}"#, true),
        (
            "POST",
            "/verify",
            r#"{"agent":"deployer","action":"deploy","context":{"n":1},"plan":{},"signature":"s"}"#,
            false,
        ),
        (
            "POST",
            "/evaluate",
            r#"{"agent":"deployer","action":"deploy","context":{"n":1},"plan":{}}"#,
            true,
        ),
        ("GET", "/approvals", "", false),
    ];
    for (asked, (method, end, body, has_key)) in asked.iter().zip(table) {
        assert_eq!((asked.method.as_str(), asked.body.as_str()), (method, body), "{end}");
        assert!(asked.path.ends_with(end), "{} {end}", asked.path);
        assert_eq!(asked.header("idempotency-key").is_some(), has_key, "{end}");
    }
    assert_eq!(asked[7].query, "status=pending&agent=a%20b");
}

#[tokio::test]
async fn a_wait_ends_with_the_decision_or_the_callers_time() {
    let office = Office::open(Approver::Rejects);
    let client = office.client().build().unwrap();
    let id = client.request(&action()).await.unwrap().id().to_owned();
    let approval = client.wait(&id, None).await.unwrap();
    assert_eq!((approval.status(), approval.comment()), (Status::Rejected, Some("so be it")));
    assert_eq!(office.asked("show")[0].query, "wait=50&while=pending");

    // A server that does not hold the poll is not asked without a pause.
    let (client, asked) = scripted(vec![Reply::json(200, shown())]);
    let client = client.build().unwrap();
    let e = client.wait(ID, Duration::from_millis(500)).await.unwrap_err();
    assert!(matches!(e, Error::TimedOut(_)), "{e:?}");
    assert_eq!((e.code(), e.approval_id()), ("timed-out", Some(ID)));
    assert!((2..10).contains(&asked.lock().unwrap().len()));

    // One that calls it pending long after it has expired is not believed.
    let past = shown().replace("2999", "2001");
    let (client, _) = scripted(vec![Reply::json(200, past)]);
    let approval = client.build().unwrap().wait(ID, None).await.unwrap();
    assert_eq!(approval.status(), Status::Pending);
}

#[tokio::test]
async fn connections_are_kept_and_one_that_was_closed_is_replaced() {
    // Each connection answers once, says nothing of it, and closes.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (once, body) = (Mutex::new(false), shown());
            let handler: crate::office::http::Handler = Arc::new(move |_| {
                if std::mem::replace(&mut *once.lock().unwrap(), true) {
                    return Reply::Close;
                }
                Reply::json(200, body.clone())
            });
            let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
            crate::office::http::converse(&mut reader, stream, &handler);
        }
    });
    let client = Client::builder().only_arguments().url(url).build().unwrap();
    for _ in 0..3 {
        client.get(ID).await.unwrap();
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_spoken_to() {
    let office = Office::open(Approver::Approves);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signoff.sock");
    serve_unix(&path, office.handler());
    let client = office.pinned().url(format!("unix:{}", path.display())).build().unwrap();
    let ran = client.guard(action(), |_| async { Ok::<_, std::io::Error>(1) }).await;
    assert_eq!(ran.unwrap(), 1);
}

/// Listens on `SOCKET` until its input ends; run by the next test as another user.
#[cfg(unix)]
#[test]
#[ignore = "a part of another test"]
fn listener() {
    let path = std::env::var_os("SOCKET").unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    println!("listening");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_of_another_user_gets_no_token() {
    use std::io::{BufRead, Write};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    if !rustix::process::geteuid().is_root() {
        let _ = writeln!(std::io::stderr(), "not run: only root can be another user");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o777)).unwrap();
    let (socket, own) = (folder.path().join("socket"), folder.path().join("test"));
    std::fs::copy(std::env::current_exe().unwrap(), &own).unwrap();
    let mut other = Command::new(own)
        .args(["--exact", "calls::listener", "--ignored", "--nocapture"])
        .env("SOCKET", &socket)
        .uid(65_534)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(other.stdout.take().unwrap()).lines();
    assert!(said.by_ref().map_while(Result::ok).any(|line| line.contains("listening")));
    let url = format!("unix:{}", socket.display());
    let client = Client::builder().only_arguments().url(url).token("t").build().unwrap();
    let e = client.get(ID).await.unwrap_err();
    assert!(e.detail().contains("another user"), "{e}");
    drop(other.stdin.take());
    said.for_each(drop);
    other.wait().unwrap();
}

#[test]
fn a_token_leaves_this_machine_encrypted_or_if_one_insists() {
    let client = || Client::builder().only_arguments().token("secret-token");
    for url in ["http://10.0.0.1:1", "http://signoff.example", "http://localhost.evil.example"] {
        let e = client().url(url).build().unwrap_err();
        assert!(e.detail().contains("in the clear") && !e.detail().contains("secret"), "{e}");
        assert!(client().url(url).insecure_http(true).build().is_ok(), "{url}");
        assert!(Client::builder().only_arguments().url(url).build().is_ok(), "{url}");
    }
    for token in ["", "a b", "a\r\nx: y", "é"] {
        let e = client().url("http://localhost").token(token).build().unwrap_err();
        assert_eq!(e.code(), "request-invalid", "{token:?}");
    }
}

#[test]
fn every_code_has_its_error() {
    let rows = PROBLEM_OF.lines().filter(|line| line.starts_with("| `"));
    let codes: Vec<&str> = rows.map(|row| row.split('`').nth(1).unwrap()).collect();
    assert!(codes.len() > 45, "{}", codes.len());
    let (client, _) = scripted(codes.iter().map(|code| Reply::problem(400, code)).collect());
    let client = blocking::Client::new(client).unwrap();
    for code in codes {
        let e = client.get(ID).send().unwrap_err();
        assert_eq!(e.code(), code);
        assert_ne!(e.name(), "SignoffError", "{code}");
        assert_eq!(e.is_not_approved(), ["expired", "policy-denied"].contains(&code), "{code}");
    }
    let (client, _) = scripted(vec![Reply::problem(403, "of-tomorrow")]);
    let e = blocking::Client::new(client).unwrap().get(ID).send().unwrap_err();
    assert!(matches!(e, Error::Other(_)) && e.name() == "SignoffError" && e.status() == 403);
}

#[test]
fn text_from_elsewhere_cannot_change_a_terminal() {
    let (client, _) = scripted(vec![Reply::json(
        403,
        r#"{"code": "forbidden", "detail": "a\u001b[2Jb\u202ec\nd 'é' \"x\" \\", "title": "T"}"#,
    )]);
    let e = blocking::Client::new(client).unwrap().get(ID).send().unwrap_err();
    assert_eq!(e.to_string(), "forbidden: a\\u{1b}[2Jb\\u{202e}c\\nd 'é' \"x\" \\\\");
}
