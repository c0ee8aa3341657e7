//! `signoff audit`: the audit log, and its offline verification.

mod checkpoint;
mod export;
mod tail;
mod verify;

use clap::Subcommand;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::transport::Transport;
use super::{Exit, Global, exit::Failure};

/// Entries per request: the maximum of the API.
const PAGE: u64 = 1_000;

#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// Print audit entries, one per line
    Tail(tail::TailArgs),
    /// Write the log up to its newest checkpoint to a file that can be verified offline
    Export(export::ExportArgs),
    /// Verify an exported log, without a server
    Verify(verify::VerifyArgs),
    /// Print the newest signed checkpoint; save it for `verify --checkpoint`, which detects a
    /// truncated log
    Checkpoint,
    /// Print the log's keys, for --trust
    Key,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Item>,
    next_after: Option<u64>,
}

#[derive(Deserialize)]
struct Item {
    number: u64,
    entry: Box<RawValue>,
}

pub(super) fn run(
    command: &AuditCommand,
    global: &Global,
    open: impl FnOnce() -> Result<Transport, Failure>,
) -> Result<Exit, Failure> {
    match command {
        AuditCommand::Tail(args) => tail::run(args, &open()?),
        AuditCommand::Export(args) => export::run(args, &open()?),
        AuditCommand::Verify(args) => verify::run(args, global),
        AuditCommand::Checkpoint => checkpoint::print(&open()?),
        AuditCommand::Key => checkpoint::keys(&open()?),
    }
}

/// Returns the entries after a number, in order.
fn page(transport: &Transport, after: u64, limit: u64) -> Result<Page, Failure> {
    transport.parse(&transport.get(&format!("/api/v1/audit?after={after}&limit={limit}"))?)
}
