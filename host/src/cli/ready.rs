//! `signoff ready`: whether a server can decide now, for probes that have no curl.

use anyhow::anyhow;
use axum::http::Method;
use serde_json::Value;

use super::remote::Remote;
use super::transport::{Target, answered};
use super::{Exit, Global, exit::Failure, output};

pub(super) const EXAMPLES: &str = "Examples:
  signoff ready --server http://127.0.0.1:8787
  signoff ready --server unix:/run/signoff/signoff.sock

The exit code is 0 if the server is ready, and 1 if it is not or cannot be reached. No token is sent.";

pub(super) fn run(global: &Global, target: &Target) -> Result<Exit, Failure> {
    let Target::Server(url) = target else {
        return Err(Failure::usage(
            "ready asks a running server: give --server URL, or set SIGNOFF_SERVER; `signoff doctor` checks a store file",
        ));
    };
    let remote = Remote::new(url, None, &global.trust())?;
    let (status, answer) = remote.call(&Method::GET, "/readyz", None)?;
    let answer = answered(status, answer, global.json)?;
    // Any web server may answer with 200.
    match serde_json::from_slice::<Value>(&answer) {
        Ok(state) if state.get("status").and_then(Value::as_str) == Some("ready") => {
            let shown = if global.json { state.to_string() } else { "ready".to_owned() };
            output::line(&shown);
            Ok(Exit::Done)
        }
        _ => Err(Failure::Failed(anyhow!("the answer is not one of signoff: check the address"))),
    }
}
