//! `signoff wait`: waits until an approval is decided.

use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;

use super::transport::Transport;
use super::{Exit, context, exit::Failure, output};
use crate::api::Approval;

/// Polling interval of a store file, which other processes change without notification.
const LOOK: Duration = Duration::from_millis(300);
/// Time between attempts to reach a server.
const PAUSE: Duration = Duration::from_secs(2);
/// Maximum duration of one wait on a server.
const HELD: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(super) struct WaitArgs {
    /// The approval's id, or a unique prefix of it
    id: String,
    /// Stop waiting after this time: 90, 30m, 1h [default: when the approval expires]
    #[arg(long, value_name = "TIME", value_parser = context::seconds)]
    timeout: Option<i64>,
}

pub(super) fn run(args: &WaitArgs, transport: &Transport) -> Result<Exit, Failure> {
    let id = transport.resolve(&args.id)?;
    let timeout = args.timeout.map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
    until_decided(transport, &id, timeout)
}

/// Waits and prints the approval. The exit code reflects its status.
pub(super) fn until_decided(
    transport: &Transport,
    id: &str,
    timeout: Option<Duration>,
) -> Result<Exit, Failure> {
    let answer = no_longer(transport, id, "pending", timeout)?;
    let approval: Approval = transport.parse(&answer)?;
    if transport.json {
        output::line(&answer);
    } else {
        output::status_line(&approval);
    }
    Ok(match approval.status.as_str() {
        "approved" | "executed" => Exit::Done,
        "pending" => Exit::Pending,
        _ => Exit::Refused,
    })
}

/// Waits while an approval is pending, until a timeout or until it expires. A server that cannot be
/// reached for a while is tried again until the wait would end anyway.
pub(super) fn patiently(
    transport: &Transport,
    requested: &Approval,
    timeout: Option<Duration>,
) -> Result<Approval, Failure> {
    let id = &requested.id;
    let lifetime = Duration::from_secs(requested.requirement.ttl_seconds);
    let until = Instant::now() + timeout.unwrap_or(lifetime);
    let mut is_noted = false;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match no_longer(transport, id, "pending", timeout.map(|_| left)) {
            Ok(answer) => return transport.approval_of(id, &answer),
            Err(failure) if transport.is_local() || !failure.is_ours() || left.is_zero() => {
                return Err(failure);
            }
            Err(failure) if !is_noted => {
                let words = failure.words();
                output::note(&format!("the wait goes on after a failure: {words}"));
                is_noted = true;
            }
            Err(_) => {}
        }
        sleep(PAUSE.min(left));
    }
}

/// Waits while an approval has a status, or until the timeout. Returns the approval, JSON.
pub(super) fn no_longer(
    transport: &Transport,
    id: &str,
    status: &str,
    timeout: Option<Duration>,
) -> Result<String, Failure> {
    let start = Instant::now();
    loop {
        let left = timeout.map_or(HELD, |timeout| timeout.saturating_sub(start.elapsed()));
        let held = if transport.is_local() { 0 } else { left.min(HELD).as_secs() };
        let answer =
            transport.get_to_act(&format!("/api/v1/approvals/{id}?wait={held}&while={status}"))?;
        let approval = transport.approval_of(id, &answer)?;
        if approval.status != status || left.is_zero() {
            return Ok(answer);
        }
        if held == 0 {
            sleep(LOOK.min(left));
        }
    }
}
