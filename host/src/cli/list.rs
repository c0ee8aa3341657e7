//! `signoff list`: lists approvals, newest first.

use clap::Args;

use super::transport::Transport;
use super::{Exit, exit::Failure, output};
use crate::api::List;

#[derive(Args)]
pub(super) struct ListArgs {
    /// Only approvals with this status
    #[arg(long, value_parser = ["pending", "approved", "rejected", "executed", "expired", "withdrawn"])]
    status: Option<String>,
    /// Only approvals of this agent
    #[arg(long)]
    agent: Option<String>,
    /// Only approvals for this action
    #[arg(long)]
    action: Option<String>,
    /// The maximum number of approvals, 1 to 200
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
    /// Continue after a page: its `next_cursor`
    #[arg(long)]
    cursor: Option<String>,
    /// Print all pages
    #[arg(long, conflicts_with = "cursor")]
    all: bool,
}

pub(super) fn run(args: &ListArgs, transport: &Transport) -> Result<Exit, Failure> {
    let mut cursor = args.cursor.clone();
    loop {
        let answer = transport.get(&path(args, cursor.as_deref()))?;
        let page: List = transport.parse(&answer)?;
        if transport.json {
            output::line(&answer);
        } else {
            output::approvals(&page.items);
        }
        cursor = page.next_cursor;
        match (&cursor, args.all) {
            (Some(_), true) => {}
            (Some(cursor), false) => {
                if !transport.json {
                    output::note(&format!(
                        "there are more; show them with --cursor {cursor}, or all with --all"
                    ));
                }
                return Ok(Exit::Done);
            }
            (None, _) => return Ok(Exit::Done),
        }
    }
}

fn path(args: &ListArgs, cursor: Option<&str>) -> String {
    let mut path = format!("/api/v1/approvals?limit={}", args.limit);
    let filters = [
        ("status", args.status.as_deref()),
        ("agent", args.agent.as_deref()),
        ("action", args.action.as_deref()),
        ("cursor", cursor),
    ];
    for (name, value) in filters {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", escaped(value)));
        }
    }
    path
}

/// Percent-encodes a query value.
pub(super) fn escaped(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => text.push(byte.into()),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}
