//! `signoff audit`: the audit log.

use std::thread::sleep;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::transport::Transport;
use super::{Exit, exit::Failure, output};

/// How often `--follow` looks.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// Print audit entries, one a line
    Tail(TailArgs),
}

#[derive(Args)]
pub(super) struct TailArgs {
    /// Only entries with a higher number
    #[arg(long, default_value_t = 0)]
    after: u64,
    /// Go on as entries come
    #[arg(long, short)]
    follow: bool,
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

#[derive(Deserialize)]
struct Entry {
    event: String,
    at: String,
    approval_id: String,
    to: String,
    actor: Option<String>,
}

pub(super) fn run(command: &AuditCommand, transport: &Transport) -> Result<Exit, Failure> {
    let AuditCommand::Tail(args) = command;
    let mut after = args.after;
    loop {
        let page: Page =
            transport.parse(&transport.get(&format!("/api/v1/audit?after={after}"))?)?;
        for item in &page.items {
            print(transport, item)?;
            after = item.number;
        }
        match (page.next_after, args.follow) {
            (Some(_), _) => {}
            (None, true) => sleep(LOOK),
            (None, false) => return Ok(Exit::Done),
        }
    }
}

fn print(transport: &Transport, item: &Item) -> Result<(), Failure> {
    if transport.json {
        output::line(&format!("{{\"number\":{},\"entry\":{}}}", item.number, item.entry));
        return Ok(());
    }
    let entry: Entry = transport.parse(item.entry.get())?;
    let actor = entry.actor.as_deref().unwrap_or("-");
    output::line(&format!(
        "{}\t{}\t{}\t{}\t{}\t{actor}",
        item.number, entry.at, entry.event, entry.approval_id, entry.to
    ));
    Ok(())
}
