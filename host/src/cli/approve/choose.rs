//! The choice of a pending approval on a terminal: all of them, the next to expire first.

use std::io::{IsTerminal, stdin};

use super::prompt;
use crate::api::{Approval, List};
use crate::cli::exit::Failure;
use crate::cli::list::{PAGES_MAX, escaped, next};
use crate::cli::output;
use crate::cli::screen::{Screen, age};
use crate::cli::transport::Transport;
use crate::code::Code;

/// Approvals per page of the choice.
const SHOWN: usize = 20;
/// More pending approvals are not read.
const PENDING_MAX: usize = 20_000;

/// Lets the user choose; returns the id, or `None` if they quit.
pub(super) fn pending(transport: &Transport) -> Result<Option<String>, Failure> {
    if !stdin().is_terminal() {
        return Err(Failure::usage(
            "without a terminal name the approval: `signoff list --status pending` shows the ids, `signoff approve ID --yes` decides",
        ));
    }
    let mut pending = all_pending(transport)?;
    if pending.is_empty() {
        return Err(transport.refused(Code::NOT_FOUND, "nothing is pending"));
    }
    pending.sort_by(|a, b| a.expires_at.cmp(&b.expires_at).then_with(|| a.id.cmp(&b.id)));
    let mut first = 0;
    loop {
        let last = (first + SHOWN).min(pending.len());
        list(&pending, first, last);
        let more = if last < pending.len() { ", Enter for more" } else { "" };
        let question = format!(
            "{}-{last} of {} pending. Which one? (a number{more}, q to quit) ",
            first + 1,
            pending.len()
        );
        let Some(answer) = prompt(&question)? else { return Ok(None) };
        if answer.is_empty() && last < pending.len() {
            first = last;
            continue;
        }
        if matches!(answer.as_str(), "q" | "quit") {
            return Ok(None);
        }
        let chosen = answer.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        match chosen.and_then(|index| pending.get(index)) {
            Some(approval) => return Ok(Some(approval.id.clone())),
            None => output::note("expected one of the numbers, or q to quit"),
        }
    }
}

fn all_pending(transport: &Transport) -> Result<Vec<Approval>, Failure> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let mut path = "/api/v1/approvals?status=pending&limit=200".to_owned();
        if let Some(cursor) = &cursor {
            path.push_str(&format!("&cursor={}", escaped(cursor)));
        }
        let page: List = transport.parse(&transport.get(&path)?)?;
        found.extend(page.items);
        next(&mut cursor, page.next_cursor)?;
        if cursor.is_none() || found.len() >= PENDING_MAX {
            break;
        }
    }
    Ok(found)
}

fn list(pending: &[Approval], first: usize, last: usize) {
    let rows: Vec<Vec<String>> = pending
        .iter()
        .enumerate()
        .take(last)
        .skip(first)
        .map(|(index, approval)| {
            let Approval { agent, action, reason, expires_at, .. } = approval;
            let number = (index + 1).to_string();
            vec![
                number,
                age(expires_at),
                agent.clone(),
                action.clone(),
                reason.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let mut screen = Screen::of_messages();
    screen.table(&["NUMBER", "EXPIRES", "AGENT", "ACTION", "REASON"], &rows);
    screen.print_messages();
}
