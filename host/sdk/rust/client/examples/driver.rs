//! The driver of the suite that all SDKs run: one JSON command a line in, one JSON answer a line out. The
//! page of all SDKs, `host/sdk/README.md`, has the commands.
//!
//!     cargo run -p signoff-client --example driver
//!
//! With the feature `wasm`, an argument names the component in which the verifier runs.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fs;
use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use signoff_client::verify::{Floor, Keyring, Profile, Verifier};
use signoff_client::{
    Action, Approval, Client, ClientBuilder, Context, Error, Execution, GuardError, blocking,
};

type Fails<T> = Result<T, Box<dyn StdError>>;

/// A command, with the arguments of all of them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Command {
    cmd: String,
    path: String,
    threads: u64,
    calls: u64,
    url: String,
    token: Option<String>,
    call_timeout: Option<f64>,
    id: String,
    agent: String,
    action: String,
    context: String,
    plan: Option<String>,
    reason: Option<String>,
    threshold: Option<u32>,
    groups: BTreeMap<String, u32>,
    expires_in_seconds: Option<u64>,
    lease_seconds: Option<u64>,
    timeout: Option<f64>,
    pinned: bool,
    keys: Option<String>,
    audience: Option<String>,
    floor: Option<Least>,
    accept: Option<Vec<Profile>>,
    allow_hmac: bool,
    fail: bool,
}

#[derive(Deserialize)]
struct Least {
    threshold: Option<u32>,
    #[serde(default)]
    groups: BTreeMap<String, u32>,
    ttl_seconds: Option<u64>,
}

fn main() -> Fails<()> {
    let verifier = Arc::new(verifier()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let answer = match serde_json::from_str(&line?) {
            Ok(command) => runtime.block_on(answered(&verifier, command)),
            Err(e) => json!({"error": {"type": "Driver", "detail": e.to_string()}}).to_string(),
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

#[cfg(feature = "wasm")]
fn verifier() -> Fails<Verifier> {
    match std::env::args_os().nth(1) {
        Some(path) => Ok(Verifier::from_component(&fs::read(path)?)?),
        None => Ok(Verifier::new()),
    }
}

#[cfg(not(feature = "wasm"))]
fn verifier() -> Fails<Verifier> {
    Ok(Verifier::new())
}

async fn answered(verifier: &Arc<Verifier>, command: Command) -> String {
    let answer = match command.cmd.as_str() {
        "hello" => Ok(json!({
            "sdk": "rust",
            "version": env!("CARGO_PKG_VERSION"),
            // Null for ordinary Rust: no component runs.
            "digest": verifier.digest_of_module(),
        })),
        "corpus" => corpus(verifier, &command.path),
        "threads" => Ok(threads(verifier, command.threads, command.calls)),
        "guard" => Ok(guard(verifier, &command).await),
        "request" | "wait" | "claim" | "get" | "evaluate" => return called(verifier, &command),
        other => Err(format!("unknown command `{other}`").into()),
    };
    let failed =
        |e: Box<dyn StdError>| json!({"error": {"type": "Driver", "detail": e.to_string()}});
    answer.unwrap_or_else(failed).to_string()
}

/// Replays a flat corpus.
fn corpus(verifier: &Verifier, path: &str) -> Fails<Value> {
    let file = fs::read(path)?;
    let (mut rest, mut calls, mut wrong) = (file.as_slice(), 0, 0);
    let mut transcript = Sha256::new();
    while !rest.is_empty() {
        let request = taken(&mut rest)?;
        let expected = taken(&mut rest)?;
        let answer = verifier.call_text(request)?;
        wrong += u32::from(answer != expected);
        transcript.update(format!("{request}\n{answer}\n"));
        calls += 1;
    }
    Ok(json!({"calls": calls, "wrong": wrong, "transcript": hex::encode(transcript.finalize())}))
}

/// Takes a text with its length, 32 bits, little-endian.
fn taken<'a>(rest: &mut &'a [u8]) -> Fails<&'a str> {
    let (length, after) = rest.split_first_chunk::<4>().ok_or("the corpus ends in a length")?;
    let length = usize::try_from(u32::from_le_bytes(*length))?;
    let (text, after) = after.split_at_checked(length).ok_or("the corpus ends in a text")?;
    *rest = after;
    Ok(std::str::from_utf8(text)?)
}

/// Calls one verifier from many threads: digests, canonical forms, rejections.
fn threads(verifier: &Verifier, threads: u64, calls: u64) -> Value {
    let (made, wrong) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let number = made.fetch_add(1, Ordering::Relaxed);
                    if number >= calls {
                        break;
                    }
                    let is_right = match number % 3 {
                        0 => {
                            let text = format!(r#"{{"n": {number}}}"#);
                            verifier.canonicalize(&text).is_ok_and(|read| read.canonical == text)
                        }
                        1 => {
                            let refused = verifier.digest(&format!(r#"{{"n": {number}, "n": 1}}"#));
                            refused.is_err_and(|refused| refused.code() == "context-invalid")
                        }
                        _ => {
                            let refused = verifier.call("approval.verify", r#"{"approval": "{}"}"#);
                            refused.is_err_and(|refused| refused.code() == "request-invalid")
                        }
                    };
                    wrong.fetch_add(u64::from(!is_right), Ordering::Relaxed);
                }
            });
        }
    });
    json!({"calls": made.into_inner().min(calls), "wrong": wrong.into_inner()})
}

/// Runs a guarded function that counts its runs.
async fn guard(verifier: &Arc<Verifier>, command: &Command) -> Value {
    let runs: Arc<Mutex<Vec<Execution>>> = Arc::default();
    let counted = Arc::clone(&runs);
    let fails = command.fail;
    let result = match prepared(verifier, command) {
        Err(e) => Err(GuardError::NotRun(e)),
        Ok((client, action)) => {
            let guarded = client.guard(action, |execution| async move {
                if let Ok(mut runs) = counted.lock() {
                    runs.push(execution);
                }
                if fails { Err(io::Error::other("the secret of the function")) } else { Ok(()) }
            });
            guarded.await
        }
    };
    let runs = runs.lock().map(|runs| runs.clone()).unwrap_or_default();
    let execution = runs.first();
    let (error, requested) = match &result {
        Ok(()) => (Value::Null, None),
        Err(GuardError::NotRun(e)) => (shown(e), e.approval_id()),
        Err(_) => (json!({"type": "Failed", "code": "failed"}), None),
    };
    json!({
        "runs": runs.len(),
        "ran_on": execution.map(Execution::context_text),
        "approval_id": execution.map(Execution::approval_id).or(requested),
        "reported": execution.is_some_and(Execution::reported),
        "error": error,
    })
}

fn prepared(verifier: &Arc<Verifier>, command: &Command) -> Result<(Client, Action), Error> {
    Ok((settings(verifier, command).build()?, action(command)?))
}

fn settings(verifier: &Arc<Verifier>, command: &Command) -> ClientBuilder {
    let mut settings = Client::builder()
        .url(&command.url)
        .verifier(Arc::clone(verifier))
        .allow_hmac(command.allow_hmac);
    if let Some(token) = &command.token {
        settings = settings.token(token);
    }
    if let Some(seconds) = command.call_timeout {
        settings = settings.timeout(Duration::from_secs_f64(seconds));
    }
    settings = match (&command.keys, command.pinned) {
        (Some(keys), true) => settings.keys_file(keys),
        // Nothing verifies.
        (None, true) => settings.keys(Keyring::default()),
        (_, false) => settings.without_keys(),
    };
    if let Some(audience) = &command.audience {
        settings = settings.audience(audience);
    }
    if let Some(profiles) = &command.accept {
        settings = settings.accept(profiles.iter().copied());
    }
    if let Some(least) = &command.floor {
        let mut floor = Floor::default();
        if let Some(approvers) = least.threshold {
            floor = floor.threshold(approvers);
        }
        if let Some(seconds) = least.ttl_seconds {
            floor = floor.ttl_seconds(seconds);
        }
        for (group, approvers) in &least.groups {
            floor = floor.group(group, *approvers);
        }
        settings = settings.floor(floor);
    }
    settings
}

fn action(command: &Command) -> Result<Action, Error> {
    let context = Context::from_json(&*command.context)?;
    let mut action = Action::new(&command.agent, &command.action, context);
    if let Some(plan) = &command.plan {
        action = action.plan(Context::from_json(&**plan)?);
    }
    if let Some(reason) = &command.reason {
        action = action.reason(reason);
    }
    if let Some(approvers) = command.threshold {
        action = action.threshold(approvers);
    }
    if let Some(seconds) = command.expires_in_seconds {
        action = action.expires_in(Duration::from_secs(seconds));
    }
    if let Some(seconds) = command.lease_seconds {
        action = action.lease(Duration::from_secs(seconds));
    }
    if let Some(seconds) = command.timeout {
        action = action.timeout(Duration::from_secs_f64(seconds));
    }
    for (group, approvers) in &command.groups {
        action = action.group(group, *approvers);
    }
    Ok(action)
}

/// One call of the blocking client.
fn called(verifier: &Arc<Verifier>, command: &Command) -> String {
    let call = || {
        let client = blocking::Client::new(settings(verifier, command).without_keys())?;
        let text = |approval: Approval| approval.text().to_owned();
        match command.cmd.as_str() {
            "request" => client.request(&action(command)?).send().map(text),
            "claim" => client.claim(&command.id, &action(command)?).send().map(text),
            "get" => client.get(&command.id).send().map(text),
            "wait" => {
                let timeout = command.timeout.map(Duration::from_secs_f64);
                client.wait(&command.id, timeout).map(text)
            }
            _ => client.evaluate(&action(command)?).send().map(|verdict| verdict.text().to_owned()),
        }
    };
    match call() {
        // On one line, byte for byte otherwise.
        Ok(text) => match serde_json::from_str::<&RawValue>(text.trim()) {
            Ok(raw) => format!(r#"{{"ok":{}}}"#, raw.get().replace('\n', " ")),
            Err(e) => json!({"error": {"type": "Driver", "detail": e.to_string()}}).to_string(),
        },
        Err(e) => json!({"error": shown(&e)}).to_string(),
    }
}

fn shown(error: &Error) -> Value {
    json!({
        "type": error.name(),
        "code": error.code(),
        "detail": error.detail(),
        "message": error.to_string(),
        "comment": error.comment(),
        "members": error.members(),
        "request_id": error.request_id(),
        "approval_id": error.approval_id(),
    })
}
