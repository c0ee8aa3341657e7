//! Output of commands, line by line; `screen` lays out what people read.

use std::io::{IsTerminal, Write, stdout};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style};
use signoff_core::deceptive::{in_lines, is_plain_in_lines};

use super::screen::Screen;
use crate::api::Approval;
use crate::id::ApprovalId;
use crate::store::Status;

/// The outcomes that this version knows.
const OUTCOMES: [&str; 4] = ["claimed", "succeeded", "failed", "unknown"];

/// Returns whether standard output is a terminal with colours enabled.
pub(super) fn colours() -> bool {
    stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|value| value != "dumb")
}

/// Escapes control and deceptive characters except line feed and tab, so that a text cannot
/// manipulate the terminal.
pub(super) fn safe(text: &str) -> String {
    in_lines(text)
}

/// Returns a path for JSON output, which has no form for one that is not UTF-8.
pub(super) fn json_path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Returns a text as one word of a shell.
pub(super) fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Whether a line could not be written, and whether for another reason than a closed pipe.
static CLOSED: AtomicBool = AtomicBool::new(false);
static FAILED: AtomicBool = AtomicBool::new(false);

/// Prints a line of plain text or JSON. A terminal gets characters that deceive in the form of JSON's
/// escapes: a server could put them into its answers.
pub(super) fn line(text: &str) {
    if stdout().is_terminal() && !text.chars().all(is_plain_in_lines) {
        styled_line(&escaped_for_json(text));
    } else {
        styled_line(text);
    }
}

/// Prints a line that is safe and may have colours. What a command does and its exit code do not depend
/// on its output: after a failure nothing more is printed.
pub(super) fn styled_line(text: &str) {
    if is_closed() {
        return;
    }
    if let Err(e) = writeln!(stdout(), "{text}") {
        CLOSED.store(true, Ordering::Relaxed);
        if e.kind() != std::io::ErrorKind::BrokenPipe {
            FAILED.store(true, Ordering::Relaxed);
            // A server's standard error has the lines of its log only.
            if tracing::dispatcher::has_been_set() {
                let cause = e.to_string();
                tracing::warn!(cause, "standard output cannot be written");
            } else {
                note(&format!("standard output cannot be written: {e}"));
            }
        }
    }
}

/// Returns whether nothing more can be printed, for commands that only print.
pub(super) fn is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

/// Returns whether output was lost, other than by a pipe that its reader closed.
pub(super) fn has_failed() -> bool {
    FAILED.load(Ordering::Relaxed)
}

/// Prints a line that begins with our own words and may quote others.
pub(super) fn log(text: &str) {
    let mut screen = Screen::new();
    screen.log(text);
    screen.print();
}

/// Prints a result that may have content of others, such as a server's response. On a terminal it is
/// indented and wrapped, so that no foreign text begins a line; a pipe gets it as it is, escaped.
pub(super) fn plain(text: &str) {
    let mut screen = Screen::new();
    screen.result(text);
    screen.print();
}

/// Prints a result as [`plain`], in a style if colours are enabled.
pub(super) fn painted(style: Style, text: &str) {
    let mut screen = Screen::new();
    screen.painted(style, text);
    screen.print();
}

/// Prints a line to standard error. Ignores errors: the outcome of a command must still be
/// reported, and a server must keep running.
pub(super) fn note(text: &str) {
    let mut screen = Screen::of_messages();
    screen.message(text);
    screen.print_messages();
}

/// Formats a count: `1 rule`, `2 rules`.
pub(super) fn count(number: usize, word: &str) -> String {
    let more = if number == 1 { "" } else { "s" };
    format!("{number} {word}{more}")
}

/// Formats a length of time: `45 s`, `30 min`, `1 h 30 min`, `24 h`, `7 days`.
pub(super) fn length(seconds: u64) -> String {
    // A day is 24 h in words until there are two of them.
    let (days, rest) =
        if seconds < 172_800 { (0, seconds) } else { (seconds / 86_400, seconds % 86_400) };
    let parts = [(days, "days"), (rest / 3_600, "h"), (rest % 3_600 / 60, "min"), (rest % 60, "s")];
    let parts = parts.into_iter().filter(|(number, _)| *number > 0);
    let parts: Vec<String> = parts.map(|(number, unit)| format!("{number} {unit}")).collect();
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

/// Prints the status of an approval.
pub(super) fn status_line(approval: &Approval) {
    // Neither is anything but what this version knows, or a server could write lines of ours.
    let id =
        if ApprovalId::parse(&approval.id).is_some() { &approval.id } else { "a malformed id" };
    let words = if Status::parse(&approval.status).is_some() {
        approval.status.as_str()
    } else {
        "unknown"
    };
    let outcome = approval.execution.as_ref().map(|execution| execution.outcome.as_str());
    let outcome = outcome.filter(|outcome| OUTCOMES.contains(outcome));
    let outcome = outcome.map(|outcome| format!(", outcome {outcome}")).unwrap_or_default();
    styled_line(&format!("{id} {}{outcome}", status(words)));
}

/// Returns a status in its colour.
fn status(status: &str) -> String {
    if !colours() {
        return status.to_owned();
    }
    let style = Style::new().bold().fg_color(Some(colour(status).into()));
    format!("{style}{status}{style:#}")
}

/// Prints rows as a table on a terminal, as tab-separated lines in a pipe.
pub(super) fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) {
    let mut screen = Screen::new();
    screen.table(&head, &rows.into_iter().map(Vec::from).collect::<Vec<_>>());
    screen.print();
}

/// Prints one approval, field by field.
pub(super) fn approval(approval: &Approval, full: bool) {
    let mut screen = Screen::new().full(full);
    screen.approval(approval, None);
    let is_folded = screen.is_folded();
    screen.print();
    if is_folded {
        note("long values are folded; --full shows them whole");
    }
}

fn escaped_for_json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if is_plain_in_lines(char) {
            escaped.push(char);
        } else {
            let mut units = [0; 2];
            escaped
                .extend(char.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    escaped
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

#[cfg(test)]
mod tests {
    use super::length;

    #[test]
    fn lengths_have_units_and_are_exact() {
        for (seconds, words) in [
            (0, "0 s"),
            (59, "59 s"),
            (90, "1 min 30 s"),
            (1_800, "30 min"),
            (14_400, "4 h"),
            (5_400, "1 h 30 min"),
            (86_400, "24 h"),
            (172_799, "47 h 59 min 59 s"),
            (259_200, "3 days"),
            (604_799, "6 days 23 h 59 min 59 s"),
            (604_800, "7 days"),
        ] {
            assert_eq!(length(seconds), words);
        }
    }
}
