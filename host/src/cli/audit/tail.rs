//! `signoff audit tail`: prints entries, one per line.

use std::thread::sleep;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;

use super::super::entry::{BallotCount, EntryLine};
use super::super::screen::Screen;
use super::super::transport::Transport;
use super::super::{Exit, exit::Failure, output};
use super::{Item, PAGE, page};
use crate::id::ApprovalId;

/// Polling interval of `--follow`.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Args)]
pub(in super::super) struct TailArgs {
    /// Only entries with a higher number
    #[arg(long, default_value_t = 0)]
    after: u64,
    /// Keep printing new entries
    #[arg(long, short)]
    follow: bool,
}

pub(super) fn run(args: &TailArgs, transport: &Transport) -> Result<Exit, Failure> {
    let mut after = args.after;
    loop {
        let page = page(transport, after, PAGE)?;
        let before = after;
        for item in &page.items {
            print(transport, item);
            after = item.number;
        }
        if output::is_closed() {
            return Ok(Exit::Done);
        }
        if page.next_after.is_some() && after <= before {
            return Err(anyhow!("the server's page after entry {before} leads nowhere").into());
        }
        match (page.next_after, args.follow) {
            (Some(_), _) => {}
            (None, true) => sleep(LOOK),
            (None, false) => return Ok(Exit::Done),
        }
    }
}

/// Prints number, time, event, subject, result and actor. A column without a value is `-`.
fn print(transport: &Transport, item: &Item) {
    if transport.json {
        let (number, entry) = (item.number, &item.entry);
        return output::line(&format!("{{\"number\":{number},\"entry\":{entry}}}"));
    }
    let entry = EntryLine::read(item.entry.get()).unwrap_or_default();
    // One of several ballots. Of the last one, the status says enough: a log has many of them.
    let ballot = entry.ballot().filter(|_| entry.is_pending());
    let count = ballot.and_then(|(approval, approver)| {
        let id = ApprovalId::parse(approval)?;
        let view = transport.get(&format!("/api/v1/approvals/{id}")).ok()?;
        BallotCount::of(&view, approver)
    });
    let columns = [
        entry.at().map(str::to_owned),
        entry.event().map(str::to_owned),
        entry.subject(),
        entry.result(count),
        entry.actor().map(str::to_owned),
    ];
    let columns = columns.map(|column| column.unwrap_or_else(|| "-".to_owned()));
    let mut screen = Screen::new();
    screen.row(&item.number.to_string(), &columns);
    screen.print();
}
