//! An executor: requests an approval, waits, verifies it offline, claims it, runs, reports.
//!
//!     cargo run -p signoff-verify --example executor -- AGENT ACTION CONTEXT
//!
//! Settings come from the environment: `SIGNOFF_SERVER` (`http://HOST:PORT`), `SIGNOFF_TOKEN`,
//! `SIGNOFF_AUDIENCE`, and `SIGNOFF_KEYS`, a file with the approvers' public keys. Never take the
//! last two from the server. Over a network use a client with TLS; the rest is the same.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use std::{env, fs};

use serde::Deserialize;
use serde_json::json;
use signoff_verify::{Attempt, Expectations, Keyring, VerifiedApproval, Verifier};

/// How far the server's clock may be behind.
const CLOCK_SKEW: Duration = Duration::from_secs(60);
/// Timeout of one request: longer than a long poll.
const TIMEOUT: Duration = Duration::from_secs(70);

fn main() -> ExitCode {
    match execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("not executed: {e}");
            ExitCode::FAILURE
        }
    }
}

fn execute() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let (Some(agent), Some(action), Some(context)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: executor AGENT ACTION CONTEXT".into());
    };
    let audience = env::var("SIGNOFF_AUDIENCE")?;
    let keyring = Keyring::from_json(&fs::read_to_string(env::var("SIGNOFF_KEYS")?)?)?;
    let server = Server::from_env()?;
    let verifier = Verifier::new();

    // The same context text is sent, stored and verified.
    let expectations = Expectations::default().requested_after(SystemTime::now() - CLOCK_SKEW);
    let context: &serde_json::value::RawValue = serde_json::from_str(&context)?;
    let request = json!({"agent": agent, "action": action, "context": context});
    let requested = server.post("/api/v1/approvals", &request.to_string())?;
    let id = serde_json::from_str::<Approval>(&requested)?.id;
    println!("requested {id}");

    let shown = server.decided(&id)?;
    let mut attempt = Attempt::new(&agent, &action, context.get());
    let verify = |shown: &str, attempt: &Attempt| -> Result<VerifiedApproval, _> {
        let now = SystemTime::now();
        verifier.verify_approval(shown, &id, &audience, attempt, &keyring, &expectations, now)
    };
    let approved = verify(&shown, &attempt)?;
    for approver in approved.approvers() {
        println!("approved by {} with the key {}", approver.approver, approver.key_id);
    }

    let claim = json!({"agent": agent, "action": action, "context": context});
    let claimed = server.post(&format!("/api/v1/approvals/{id}/execute"), &claim.to_string())?;
    let execution = serde_json::from_str::<Approval>(&claimed)?.execution;
    let execution = execution.ok_or("the response to the claim has no execution")?;
    attempt = attempt.in_execution(&execution.id);
    let approved = verify(&claimed, &attempt)?;

    println!("ran {action} on {}", approved.context());
    let outcome = json!({"execution_id": execution.id, "outcome": "succeeded"});
    server.post(&format!("/api/v1/approvals/{id}/outcome"), &outcome.to_string())?;
    Ok(())
}

/// The fields that an executor reads from a response before it is verified.
#[derive(Deserialize)]
struct Approval {
    id: String,
    status: String,
    execution: Option<Execution>,
}

#[derive(Deserialize)]
struct Execution {
    id: String,
}

struct Server {
    address: String,
    token: String,
}

impl Server {
    fn from_env() -> Result<Self, Box<dyn Error>> {
        let url = env::var("SIGNOFF_SERVER")?;
        let address = url.strip_prefix("http://").ok_or("this example speaks http:// only")?;
        Ok(Self {
            address: address.trim_end_matches('/').to_owned(),
            token: env::var("SIGNOFF_TOKEN")?,
        })
    }

    /// Returns the unmodified response once the approval is no longer pending.
    fn decided(&self, id: &str) -> Result<String, Box<dyn Error>> {
        loop {
            let path = format!("/api/v1/approvals/{id}?wait=50&while=pending");
            let shown = self.request("GET", &path, "")?;
            if serde_json::from_str::<Approval>(&shown)?.status != "pending" {
                return Ok(shown);
            }
        }
    }

    fn post(&self, path: &str, body: &str) -> Result<String, Box<dyn Error>> {
        self.request("POST", path, body)
    }

    /// Sends one request on a new connection. Returns the body of a successful response.
    fn request(&self, method: &str, path: &str, body: &str) -> Result<String, Box<dyn Error>> {
        let Self { address, token } = self;
        let mut connection = TcpStream::connect(address)?;
        connection.set_read_timeout(Some(TIMEOUT))?;
        write!(
            connection,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Authorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer has no end of head")?;
        match head.split(' ').nth(1) {
            Some("200" | "201") => Ok(body.to_owned()),
            _ => Err(format!("{method} {path} failed: {body}").into()),
        }
    }
}
