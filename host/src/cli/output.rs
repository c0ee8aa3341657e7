//! Output of commands: tables and fields, coloured on a terminal, plain in a pipe.

use std::io::{IsTerminal, Write, stderr, stdout};

use anstyle::{AnsiColor, Style};
use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Table, presets};
use signoff_core::deceptive::in_lines;

use crate::api::{Approval, Requirement};

/// Returns whether standard output is a terminal with colours enabled.
pub(super) fn colours() -> bool {
    stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Escapes control and deceptive characters except line feed and tab, so that a text cannot
/// manipulate the terminal.
pub(super) fn safe(text: &str) -> String {
    in_lines(text)
}

/// Prints a line; a closed pipe ends the command silently.
pub(super) fn line(text: &str) {
    if !try_line(text) {
        std::process::exit(0);
    }
}

/// Prints a line. Returns whether the output is still open, for callers that continue without it.
pub(super) fn try_line(text: &str) -> bool {
    writeln!(stdout(), "{text}").is_ok()
}

/// Prints a line with untrusted content, such as a server's response.
pub(super) fn plain(text: &str) {
    line(&safe(text));
}

/// Prints a line to standard error. Ignores errors: the outcome of a command must still be
/// reported, and a server must keep running.
pub(super) fn note(text: &str) {
    let _ = writeln!(stderr(), "signoff: {}", safe(text));
}

/// Formats a count: `1 rule`, `2 rules`.
pub(super) fn count(number: usize, word: &str) -> String {
    let more = if number == 1 { "" } else { "s" };
    format!("{number} {word}{more}")
}

/// Prints the status of an approval.
pub(super) fn status_line(approval: &Approval) {
    line(&format!("{} {}", safe(&approval.id), status(&approval.status)));
}

/// Returns a status in its colour.
fn status(status: &str) -> String {
    let status = safe(status);
    if !colours() {
        return status;
    }
    let style = Style::new().bold().fg_color(Some(colour(&status).into()));
    format!("{style}{status}{style:#}")
}

/// Prints approvals as a table on a terminal, as tab-separated lines in a pipe.
pub(super) fn approvals(approvals: &[Approval]) {
    /// Below this width, wrapped text is unreadable.
    const COLUMNS_MIN: u16 = 100;
    const HEAD: [&str; 6] = ["ID", "STATUS", "AGENT", "ACTION", "REQUESTED", "REASON"];
    let row = |approval: &Approval| {
        let reason = approval.reason.as_deref().unwrap_or_default();
        let Approval { id, status, agent, action, requested_at, .. } = approval;
        [id, status, agent, action, requested_at, reason]
            .map(|text| safe(text).replace(['\n', '\t'], " "))
    };
    if !stdout().is_terminal() {
        for approval in approvals {
            line(&row(approval).join("\t"));
        }
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(HEAD);
    // Only the reason wraps, so that ids can be copied. No wrapping on a terminal of unknown width.
    if table.width().is_some_and(|columns| columns >= COLUMNS_MIN) {
        let whole = [ColumnConstraint::ContentWidth; HEAD.len() - 1];
        table.set_content_arrangement(ContentArrangement::Dynamic).set_constraints(whole);
    }
    for approval in approvals {
        let mut cells = row(approval).map(Cell::new);
        if colours() {
            let shade = table_colour(&approval.status);
            let [_, status, ..] = &mut cells;
            *status = status.clone().fg(shade);
        }
        table.add_row(cells);
    }
    line(&table.to_string());
}

/// Prints rows as a table on a terminal, as tab-separated lines in a pipe.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) {
    let shown = |text: &String| safe(text).replace(['\n', '\t'], " ");
    if !stdout().is_terminal() {
        for row in rows {
            line(&row.each_ref().map(shown).join("\t"));
        }
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head);
    table.add_rows(rows.iter().map(|row| row.each_ref().map(shown)));
    line(&table.to_string());
}

/// Prints one approval, field by field, for a reviewer.
pub(super) fn approval(approval: &Approval) {
    let field = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            line(&format!("{name:<13}{}", safe(value).replace('\n', "\n             ")));
        }
    };
    field("id", Some(&approval.id));
    field("audience", Some(&approval.audience));
    line(&format!("{:<13}{}", "status", status(&approval.status)));
    field("agent", Some(&approval.agent));
    field("action", Some(&approval.action));
    field("reason", approval.reason.as_deref());
    field("requested", Some(&format!("{} by {}", approval.requested_at, approval.requested_by)));
    field("expires", Some(&approval.expires_at));
    field("needs", Some(&needs(&approval.requirement)));
    field("policy", approval.policy.as_deref());
    field("rule", approval.rule.as_deref());
    field("context", approval.context.as_ref().map(|context| context.get()));
    field("digest", Some(&approval.context_hash));
    field("plan", approval.plan.as_ref().map(|plan| plan.get()).filter(|plan| *plan != "null"));
    field("plan digest", approval.plan_hash.as_deref());
    field("req. digest", Some(&approval.request_digest));
    for ballot in &approval.ballots {
        let of = format!(
            "{} by {} at {} ({})",
            ballot.decision, ballot.approver, ballot.cast_at, ballot.key_id
        );
        field("ballot", Some(&of));
        field("comment", ballot.comment.as_deref());
        field("signature", Some(&ballot.signature));
    }
    if let Some(execution) = &approval.execution {
        let of = format!(
            "{} {} by {} at {}",
            execution.id, execution.outcome, execution.claimed_by, execution.claimed_at
        );
        field("execution", Some(&of));
        field("detail", execution.detail.as_deref());
    }
    field("withdrawn", approval.withdrawn_at.as_deref());
    field("verifier", Some(&approval.verifier));
}

/// Formats a requirement.
pub(super) fn needs(requirement: &Requirement) -> String {
    let Requirement { ttl_seconds, threshold, groups } = requirement;
    let people = if *threshold == 1 { "approver" } else { "approvers" };
    let groups: String =
        groups.iter().map(|(group, least)| format!(", {least} of {group}")).collect();
    format!("{threshold} {people}{groups}, within {ttl_seconds} s")
}

fn colour(status: &str) -> AnsiColor {
    match status {
        "pending" => AnsiColor::Yellow,
        "approved" => AnsiColor::Green,
        "rejected" => AnsiColor::Red,
        "executed" => AnsiColor::Cyan,
        _ => AnsiColor::BrightBlack,
    }
}

fn table_colour(status: &str) -> Color {
    match status {
        "pending" => Color::Yellow,
        "approved" => Color::Green,
        "rejected" => Color::Red,
        "executed" => Color::Cyan,
        _ => Color::DarkGrey,
    }
}
