//! The guard, with an honest server and with one that lies.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use signoff_client::verify::{Floor, Key, Keyring, Profile};
use signoff_client::{Action, Client, Context, Error, Execution, GuardError, blocking};

use crate::office::http::Reply;
use crate::office::{Approver, Office, keyring};

const CONTEXT: &str = r#"{"target": "prod", "replicas": 3, "big": 12345678901234567890}"#;
const CANONICAL: &str = r#"{"big": 12345678901234567890, "replicas": 3, "target": "prod"}"#;

fn action() -> Action {
    Action::new("deployer", "deploy", Context::from_json(CONTEXT).unwrap())
}

/// Runs a guard that must not run; returns the error.
async fn refused(client: &Client, action: Action) -> Error {
    let ran: Result<(), GuardError<io::Error>> =
        client.guard(action, |_| async { panic!("it ran") }).await;
    match ran {
        Err(GuardError::NotRun(e)) => e,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_approved_action_runs_once_on_the_canonical_text() {
    let office = Office::open(Approver::Approves);
    let client = office.pinned().build().unwrap();
    let plan = Context::from_json(r#"{"steps":["one"]}"#).unwrap();
    let mut kept = None;
    let done = client.guard(action().plan(plan), |execution: Execution| {
        kept = Some(execution.clone());
        async move {
            assert!(!execution.reported());
            Ok::<_, io::Error>(execution.context_text().to_owned())
        }
    });
    assert_eq!(done.await.unwrap(), CANONICAL);
    let execution = kept.unwrap();
    assert!(execution.reported());
    assert_eq!(execution.plan_text(), Some(r#"{"steps": ["one"]}"#));
    assert_eq!(execution.approvers()[0].approver, "alice@company.com");
    #[derive(serde::Deserialize)]
    struct Approved {
        big: u128,
    }
    assert_eq!(execution.context::<Approved>().unwrap().big, 12_345_678_901_234_567_890);
    assert_eq!(office.routes(), ["create", "show", "keys", "execute", "outcome"]);
    assert_eq!(office.truth()["execution"]["outcome"], "succeeded");
    let keys: Vec<_> = ["create", "execute", "outcome"]
        .map(|route| office.asked(route)[0].header("idempotency-key").unwrap().to_owned())
        .into();
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0].len() == 32, "{keys:?}");
}

#[test]
fn the_blocking_guard_does_the_same_where_another_runtime_runs() {
    let office = Office::open(Approver::Approves);
    let client = blocking::Client::new(office.pinned()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ran = runtime.block_on(async {
        client.guard(action(), |execution| Ok::<_, io::Error>(execution.context_text().to_owned()))
    });
    assert_eq!(ran.unwrap(), CANONICAL);
    assert_eq!(office.truth()["execution"]["outcome"], "succeeded");
}

#[tokio::test]
async fn a_function_that_fails_is_reported_by_the_type_of_its_error() {
    let office = Office::open(Approver::Approves);
    let client = office.pinned().build().unwrap();
    let failed =
        client.guard(action(), |_| async { Err::<(), _>(io::Error::other("hunter2")) }).await;
    assert!(matches!(failed, Err(GuardError::Failed(e)) if e.to_string() == "hunter2"));
    let execution = &office.truth()["execution"];
    assert_eq!(execution["outcome"], "failed");
    assert_eq!(execution["detail"], "std::io::error::Error");
}

#[test]
fn a_function_that_panics_is_reported_and_the_panic_goes_on() {
    let office = Office::open(Approver::Approves);
    let client = blocking::Client::new(office.pinned()).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        client.guard(action(), |_| -> Result<(), io::Error> { panic!("hunter2") })
    }));
    assert_eq!(panicked.unwrap_err().downcast_ref::<&str>(), Some(&"hunter2"));
    assert_eq!(office.truth()["execution"]["detail"], "panicked");
}

#[tokio::test]
async fn an_async_function_that_panics_is_reported() {
    let office = Office::open(Approver::Approves);
    let client = office.pinned().build().unwrap();
    let task = tokio::spawn(async move {
        client.guard(action(), |_| async { panic!("hunter2") as Result<(), io::Error> }).await
    });
    assert!(task.await.unwrap_err().is_panic());
    tokio::task::spawn_blocking(move || {
        office.until("outcome", 1);
        assert_eq!(office.truth()["execution"]["detail"], "panicked");
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn what_was_not_approved_does_not_run() {
    let office = Office::open(Approver::Rejects);
    let e = refused(&office.pinned().build().unwrap(), action()).await;
    assert!(matches!(e, Error::Rejected(_)) && e.is_not_approved(), "{e:?}");
    assert_eq!(e.comment(), Some("so be it"));
    assert_eq!(e.approval_id(), office.truth()["id"].as_str());
    assert_eq!(office.routes(), ["create", "show"], "a rejected request needs no withdrawal");

    let office = Office::open(Approver::Is);
    let client = office.pinned().build().unwrap();
    let e = refused(&client, action().timeout(Duration::from_secs(2))).await;
    assert!(matches!(e, Error::TimedOut(_)), "{e:?}");
    assert_eq!(office.truth()["status"], "withdrawn");
}

#[tokio::test]
async fn a_guard_that_is_dropped_while_it_waits_withdraws() {
    let office = Office::open(Approver::Is);
    let client = office.pinned().build().unwrap();
    let task = tokio::spawn(async move { refused(&client, action()).await });
    let office = tokio::task::spawn_blocking(move || {
        // The request was answered, and the wait has begun.
        office.until_arrived("show");
        office
    })
    .await
    .unwrap();
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    tokio::task::spawn_blocking(move || {
        office.until("withdraw", 1);
        assert_eq!(office.truth()["status"], "withdrawn");
        assert!(office.asked("execute").is_empty());
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_guard_that_is_dropped_while_it_runs_reports_failed() {
    let office = Office::open(Approver::Approves);
    let client = office.pinned().build().unwrap();
    let (running, runs) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        let endless = client.guard(action(), |_| async {
            running.send(()).unwrap();
            std::future::pending::<Result<(), io::Error>>().await
        });
        endless.await
    });
    runs.await.unwrap();
    task.abort();
    tokio::task::spawn_blocking(move || {
        office.until("outcome", 1);
        let execution = &office.truth()["execution"];
        assert_eq!(
            (&execution["outcome"], &execution["detail"]),
            (&json!("failed"), &json!("cancelled"))
        );
    })
    .await
    .unwrap();
}

/// The claim has reached the server, but its answer has not come: the approval is used, and nothing ran.
#[tokio::test]
async fn a_guard_that_is_dropped_during_its_claim_reports_failed() {
    let (claimed, claims) = tokio::sync::oneshot::channel();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let once = std::sync::Mutex::new(Some((claimed, gone)));
    let office = Office::hooked(
        Approver::Approves,
        move |asked| {
            if asked.route() == "execute"
                && let Some((claimed, gone)) = once.lock().unwrap().take()
            {
                claimed.send(()).unwrap();
                gone.recv().unwrap();
            }
            None
        },
        |_, shown| shown,
    );
    let client = office.pinned().build().unwrap();
    let task = tokio::spawn(async move { refused(&client, action()).await });
    claims.await.unwrap();
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    go.send(()).unwrap();
    tokio::task::spawn_blocking(move || {
        office.until("outcome", 1);
        assert_eq!(office.truth()["execution"]["detail"], "cancelled before it ran");
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn lies_run_nothing() {
    type Lie = fn(&str, &mut serde_json::Value);
    let table: [(&str, &str, bool, Lie); 9] = [
        ("a pending request shown as approved", "signature-invalid", false, |route, shown| {
            if route == "show" {
                shown["ballots"] = json!([]);
            }
        }),
        ("another approval", "untrusted-answer", false, |route, shown| {
            if route == "show" {
                shown["id"] = "appr_00000000000000000000000000".into();
            }
        }),
        ("another expiry", "signature-invalid", false, |route, shown| {
            if route == "show" {
                shown["expires_at"] = "2099-01-01T00:00:00Z".into();
            }
        }),
        ("another reason", "request-invalid", false, |route, shown| {
            if route == "show" {
                shown["reason"] = "nothing to worry about".into();
            }
        }),
        ("an unknown status", "untrusted-answer", false, |route, shown| {
            if route == "show" {
                shown["status"] = "blessed".into();
            }
        }),
        ("no execution", "untrusted-answer", true, |route, shown| {
            if route == "execute" {
                shown["execution"] = serde_json::Value::Null;
            }
        }),
        ("another approval's claim", "untrusted-answer", true, |route, shown| {
            if route == "execute" {
                shown["id"] = "appr_00000000000000000000000000".into();
            }
        }),
        ("a claim that has ended", "already-executed", true, |route, shown| {
            if route == "execute" {
                shown["execution"]["outcome"] = "succeeded".into();
            }
        }),
        ("a claim without ballots", "signature-invalid", true, |route, shown| {
            if route == "execute" {
                shown["ballots"] = json!([]);
            }
        }),
    ];
    for (name, code, is_claimed, lie) in table {
        let office = Office::hooked(
            Approver::Approves,
            |_| None,
            move |asked, mut shown| {
                lie(asked.route(), &mut shown);
                shown
            },
        );
        let e = refused(&office.pinned().build().unwrap(), action()).await;
        assert_eq!(e.code(), code, "{name}: {e}");
        assert_eq!(!office.asked("execute").is_empty(), is_claimed, "{name}");
        let reported = office.asked("outcome");
        if is_claimed && name != "no execution" {
            assert_eq!(reported[0].json()["outcome"], "failed", "{name}");
        } else {
            assert!(reported.is_empty(), "{name}");
        }
        assert_eq!(!office.asked("withdraw").is_empty(), !is_claimed, "{name}");
    }
}

#[tokio::test]
async fn the_executors_own_settings_count() {
    let office = Office::open(Approver::Approves);
    let code = async |client: signoff_client::ClientBuilder| {
        refused(&client.build().unwrap(), action()).await.code().to_owned()
    };
    let floor = Floor::default().threshold(2);
    assert_eq!(code(office.pinned().floor(floor)).await, "requirement-too-weak");
    assert_eq!(code(office.pinned().audience("staging")).await, "audience-mismatch");
    assert_eq!(code(office.pinned().policies(["0".repeat(64)])).await, "policy-mismatch");
    let stranger = Keyring::new([Key::ed25519("mallory", &[3; 32], "mallory@company.com")]);
    assert_eq!(code(office.pinned().keys(stranger)).await, "key-unknown");
    let secret = Keyring::new([Key::hmac_sha256("alice", &[1; 32]).bound_to("alice@company.com")]);
    assert_eq!(code(office.pinned().keys(secret.clone())).await, "key-unknown");
    let allowed = office.pinned().keys(secret).allow_hmac(true);
    assert_eq!(code(allowed).await, "signature-invalid", "the key counts, and did not sign");
    assert!(office.asked("execute").is_empty());
}

#[tokio::test]
async fn an_approval_that_is_older_than_the_request_does_not_count() {
    let office = Office::open(Approver::Approves).aged(300);
    let e = refused(&office.pinned().build().unwrap(), action()).await;
    assert_eq!(e.code(), "request-too-old", "{e}");
    // Clocks may differ by less than a minute.
    let office = Office::open(Approver::Approves).aged(30);
    let client = office.pinned().build().unwrap();
    client.guard(action(), |_| async { Ok::<_, io::Error>(()) }).await.unwrap();
}

#[tokio::test]
async fn the_servers_keys_only_take_away() {
    let revoked = r#"{"items": [{"id": "alice", "algorithm": "ed25519", "status": "revoked",
        "use": "approve", "approver": "alice@company.com", "groups": [], "public_key": "x"}]}"#;
    for (status, answer, code) in
        [(200, revoked, "key-revoked"), (200, "[]", "unreachable"), (500, "", "unreachable")]
    {
        let office = Office::hooked(
            Approver::Approves,
            move |asked| (asked.route() == "keys").then(|| Reply::json(status, answer)),
            |_, shown| shown,
        );
        let e = refused(&office.pinned().build().unwrap(), action()).await;
        assert_eq!(e.code(), code, "{e}");
        assert_eq!(office.truth()["status"], "withdrawn");
    }
}

#[tokio::test]
async fn an_approval_is_claimed_once_in_a_process() {
    // The server answers the second request with the first approval, as if nothing had happened.
    let first = Arc::new(std::sync::Mutex::new(None));
    let kept = Arc::clone(&first);
    let office = Office::hooked(
        Approver::Approves,
        |_| None,
        move |asked, shown| {
            let mut first = kept.lock().unwrap();
            if asked.route() == "show" && first.is_none() {
                *first = Some(shown.clone());
            }
            match (asked.route(), first.as_ref()) {
                ("create" | "show", Some(first)) => first.clone(),
                _ => shown,
            }
        },
    );
    let client = office.pinned().build().unwrap();
    client.guard(action(), |_| async { Ok::<_, io::Error>(()) }).await.unwrap();
    let e = refused(&client, action()).await;
    assert_eq!(e.code(), "untrusted-answer", "{e}");
    assert_eq!(office.asked("execute").len(), 1);
}

#[tokio::test]
async fn without_keys_only_what_was_requested_is_compared() {
    let office = Office::open(Approver::Approves);
    let client = office.client().build().unwrap();
    let ran = client.guard(action(), |execution| async move {
        assert!(execution.approvers().is_empty());
        Ok::<_, io::Error>(execution.context_text().to_owned())
    });
    assert_eq!(ran.await.unwrap(), CANONICAL);
    assert_eq!(office.routes(), ["create", "show", "execute", "outcome"]);

    for (member, value) in [
        ("agent", json!("other")),
        ("action", json!("other")),
        ("context_hash", json!("0".repeat(64))),
        ("plan_hash", json!("0".repeat(64))),
    ] {
        let office = Office::hooked(
            Approver::Approves,
            |_| None,
            move |_, mut shown| {
                shown[member] = value.clone();
                shown
            },
        );
        let e = refused(&office.client().build().unwrap(), action()).await;
        assert_eq!((e.code(), e.members()), ("untrusted-answer", &[format!("/{member}")][..]));
        assert!(office.asked("execute").is_empty());
    }
    let office = Office::open(Approver::Approves);
    let e = refused(&office.client().audience("staging").build().unwrap(), action()).await;
    assert_eq!(e.code(), "audience-mismatch");
}

#[tokio::test]
async fn a_report_that_fails_leaves_the_result() {
    let office = Office::hooked(
        Approver::Approves,
        |asked| (asked.route() == "outcome").then(|| Reply::problem(403, "forbidden")),
        |_, shown| shown,
    );
    let client = office.pinned().build().unwrap();
    let mut kept = None;
    let done = client.guard(action(), |execution| {
        kept = Some(execution);
        async { Ok::<_, io::Error>(7) }
    });
    assert_eq!(done.await.unwrap(), 7);
    assert!(!kept.unwrap().reported());
}

#[test]
fn requirements_that_nothing_would_enforce_are_refused() {
    let office = Office::open(Approver::Is);
    let code =
        |client: signoff_client::ClientBuilder| client.build().unwrap_err().code().to_owned();
    assert_eq!(code(office.client().floor(Floor::default().threshold(2))), "request-invalid");
    for none in [
        Floor::default().threshold(0),
        Floor::default().ttl_seconds(0),
        Floor::default().group("sre", 0),
    ] {
        assert_eq!(code(office.pinned().floor(none)), "request-invalid");
    }
    assert_eq!(code(office.client().accept([Profile::V2])), "request-invalid");
    assert_eq!(code(office.client().allow_hmac(true)), "request-invalid");
    assert_eq!(code(office.pinned().without_keys().policies(["x"])), "request-invalid");
    assert_eq!(code(office.client().keys(keyring())), "request-invalid", "no audience");
}

#[test]
fn neither_token_nor_context_is_in_debug_output() {
    let office = Office::open(Approver::Is);
    let client = office.pinned().build().unwrap();
    let shown = format!("{client:?} {:?} {:?}", office.pinned(), action());
    assert!(!shown.contains("secret-token") && !shown.contains("prod"), "{shown}");
}
