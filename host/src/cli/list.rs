//! `signoff list`: lists approvals, newest first or by expiry.

use std::borrow::Cow;

use anyhow::anyhow;
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use signoff_core::glob::Glob;
use signoff_core::person::same_person;

use super::screen::{Screen, age, status_of};
use super::transport::Transport;
use super::{Exit, exit::Failure, output};
use crate::api::Approval;

/// Approvals that are searched for `--needs`, `--sort` and patterns.
const SEARCHED_MAX: usize = 20_000;
/// Pages that are searched: some may have nothing that the caller may read.
pub(super) const PAGES_MAX: usize = 1_000;

#[derive(Args)]
#[command(after_help = "Examples:
  signoff list --needs me --sort expiry
  signoff list --status executed --agent 'deploy-*' --all")]
pub(super) struct ListArgs {
    /// Only approvals with this status
    #[arg(long, value_parser = ["pending", "approved", "rejected", "executed", "expired", "withdrawn"])]
    status: Option<String>,
    /// Only approvals of this agent; * stands for any characters
    #[arg(long)]
    agent: Option<String>,
    /// Only approvals for this action; * stands for any characters
    #[arg(long)]
    action: Option<String>,
    /// Only pending approvals that wait for this approver: `me` is --approver or the one whose keys
    /// are on this machine
    #[arg(long, value_name = "me", value_parser = ["me"], conflicts_with = "status")]
    needs: Option<String>,
    /// The approver, for --needs
    #[arg(long, env = "SIGNOFF_APPROVER")]
    approver: Option<String>,
    /// The order
    #[arg(long, value_parser = ["newest", "expiry"], default_value = "newest")]
    sort: String,
    /// The maximum number of approvals, 1 to 200
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
    /// Continue after a page: its `next_cursor`
    #[arg(long, conflicts_with_all = ["needs", "sort"])]
    cursor: Option<String>,
    /// Print all pages
    #[arg(long, conflicts_with = "cursor")]
    all: bool,
}

/// A page, with the text of each approval as the server sent it.
#[derive(Deserialize, Serialize)]
pub(super) struct Page {
    pub(super) items: Vec<Box<RawValue>>,
    pub(super) next_cursor: Option<String>,
}

pub(super) fn run(args: &ListArgs, transport: &Transport) -> Result<Exit, Failure> {
    let is_pattern = |value: &Option<String>| value.as_ref().is_some_and(|v| v.contains('*'));
    let is_search = args.needs.is_some() || args.sort == "expiry";
    if is_search || is_pattern(&args.agent) || is_pattern(&args.action) {
        return search(args, transport);
    }
    let mut cursor = args.cursor.clone();
    loop {
        let page: Page = transport.parse(&transport.get(&path(args, cursor.as_deref()))?)?;
        next(&mut cursor, page.next_cursor.clone())?;
        print(transport, &page)?;
        if output::is_closed() {
            return Ok(Exit::Done);
        }
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

/// Reads every page, and filters and sorts here.
fn search(args: &ListArgs, transport: &Transport) -> Result<Exit, Failure> {
    let matches = Filter::of(args, transport)?;
    let (mut found, mut searched, mut pages) = (Vec::new(), 0, 0);
    let mut cursor = None;
    loop {
        let page: Page = transport.parse(&transport.get(&path(args, cursor.as_deref()))?)?;
        for item in page.items {
            searched += 1;
            let approval: Approval = transport.parse(item.get())?;
            if matches.approval(&approval) {
                found.push((approval, item));
            }
        }
        next(&mut cursor, page.next_cursor)?;
        pages += 1;
        if cursor.is_none() {
            break;
        }
        if pages >= PAGES_MAX || searched >= SEARCHED_MAX {
            output::note(&format!("only the newest {searched} approvals were searched"));
            break;
        }
    }
    if args.sort == "expiry" {
        found.sort_by(|(a, _), (b, _)| (&a.expires_at, &a.id).cmp(&(&b.expires_at, &b.id)));
    }
    let limit = if args.all { found.len() } else { usize::from(args.limit) };
    let left = found.len().saturating_sub(limit);
    let items = found.into_iter().take(limit).map(|(_, item)| item).collect();
    print(transport, &Page { items, next_cursor: None })?;
    if left > 0 && !transport.json {
        output::note(&format!("there are {left} more; show them with --all"));
    }
    Ok(Exit::Done)
}

/// Moves to the next page.
pub(super) fn next(cursor: &mut Option<String>, to: Option<String>) -> Result<(), Failure> {
    if to.is_some() && *cursor == to {
        return Err(anyhow!("the server's pages lead nowhere").into());
    }
    *cursor = to;
    Ok(())
}

/// What the server cannot filter by.
struct Filter<'a> {
    agent: Option<Glob>,
    action: Option<Glob>,
    needs: Option<Cow<'a, str>>,
}

impl<'a> Filter<'a> {
    fn of(args: &'a ListArgs, transport: &Transport) -> Result<Self, Failure> {
        let glob = |value: &Option<String>| {
            let glob = value.as_deref().map(Glob::new).transpose();
            glob.map_err(Failure::usage)
        };
        let needs = match (&args.needs, &args.approver) {
            (None, _) => None,
            (Some(_), Some(approver)) if !approver.is_empty() => {
                Some(Cow::Borrowed(approver.as_str()))
            }
            (Some(_), _) => {
                let keys = transport.keys()?;
                match keys.approvers().as_slice() {
                    [one] => Some(Cow::Owned((*one).to_owned())),
                    _ => {
                        return Err(Failure::usage(
                            "--needs me requires --approver, unless the keys of this machine are bound to exactly one approver",
                        ));
                    }
                }
            }
        };
        Ok(Self { agent: glob(&args.agent)?, action: glob(&args.action)?, needs })
    }

    /// An approval waits for an approver who neither requested it nor voted on it.
    fn approval(&self, approval: &Approval) -> bool {
        let fits = |glob: &Option<Glob>, text: &str| glob.as_ref().is_none_or(|g| g.matches(text));
        let waits_for = |approver: &str| {
            approval.status == "pending"
                && !same_person(&approval.requested_by, approver)
                && !approval.ballots.iter().any(|b| same_person(&b.approver, approver))
        };
        fits(&self.agent, &approval.agent)
            && fits(&self.action, &approval.action)
            && self.needs.as_deref().is_none_or(waits_for)
    }
}

fn print(transport: &Transport, page: &Page) -> Result<(), Failure> {
    if transport.json {
        output::line(&serde_json::to_string(page)?);
        return Ok(());
    }
    let mut screen = Screen::new();
    let is_terminal = screen.is_terminal();
    let rows = page.items.iter().map(|item| {
        let approval: Approval = transport.parse(item.get())?;
        let outcome = approval.execution.as_ref().map(|e| e.outcome.clone()).unwrap_or_default();
        let shown_status = status_of(&approval);
        let reason = approval.reason.unwrap_or_default();
        let decided: Vec<&str> = approval.ballots.iter().map(|b| b.approver.as_str()).collect();
        let decided = decided.join(", ");
        let Approval { id, status, agent, action, requested_at, expires_at, .. } = approval;
        Ok(match is_terminal {
            true => {
                let (asked, expires) = (age(&requested_at), age(&expires_at));
                vec![id, shown_status, asked, expires, agent, action, decided, reason]
            }
            false => {
                vec![id, status, agent, action, requested_at, reason, expires_at, decided, outcome]
            }
        })
    });
    let rows = rows.collect::<Result<Vec<Vec<String>>, Failure>>()?;
    screen
        .table(&["ID", "STATUS", "AGE", "EXPIRES", "AGENT", "ACTION", "BALLOTS", "REASON"], &rows);
    screen.print();
    Ok(())
}

fn path(args: &ListArgs, cursor: Option<&str>) -> String {
    let is_exact = |value: &&str| !value.contains('*');
    let limit = if args.all { 200 } else { args.limit };
    let status = args.needs.as_ref().map(|_| "pending").or(args.status.as_deref());
    let mut path = format!("/api/v1/approvals?limit={limit}");
    let filters = [
        ("status", status),
        ("agent", args.agent.as_deref().filter(is_exact)),
        ("action", args.action.as_deref().filter(is_exact)),
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
