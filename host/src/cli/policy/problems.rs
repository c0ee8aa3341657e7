//! Prints problems of a rules file in a compiler's style: location, message, source line and caret.

use anstyle::{AnsiColor, Style};
use serde_json::json;

use super::include;
use super::stop::Stop;
use crate::cli::Exit;
use crate::cli::output::{self, safe};
use crate::policy::{Problem, RulesError, Severity};

/// Maximum shown length of a source line.
const SOURCE_CHARS_MAX: usize = 120;

/// Where problems are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// Problems are the result.
    Output,
    /// Problems accompany or replace the result.
    Error,
}

/// Prints problems, in the given order.
pub(super) fn print(file: &str, problems: &[Problem], to: To) {
    for problem in problems {
        match to {
            To::Output => output::styled_line(&shown(file, problem, output::colours())),
            To::Error => eprintln_quietly(&shown(file, problem, false)),
        }
    }
}

/// Reports why a rules file cannot be loaded, and stops the command.
pub(super) fn report_problems(file: &str, error: RulesError, json: bool) -> Stop {
    match error {
        RulesError::Problems(problems) => {
            if json {
                let output = json!({ "file": file, "ok": false, "problems": problems.problems });
                output::line(&output.to_string());
            } else {
                print(file, &problems.problems, To::Error);
            }
            Stop::Reported(Exit::Failed)
        }
        RulesError::Failed(error) => Stop::from(error.context(format!("`{file}`"))),
    }
}

/// Formats one problem in three lines.
fn shown(file: &str, problem: &Problem, colours: bool) -> String {
    let Problem { severity, file: included, rule, line, column, message, source } = problem;
    let file = match included {
        Some(included) => include::shown(file, included),
        None => file.to_owned(),
    };
    let style = match severity {
        _ if !colours => Style::new(),
        Severity::Error => Style::new().bold().fg_color(Some(AnsiColor::Red.into())),
        Severity::Warning => Style::new().bold().fg_color(Some(AnsiColor::Yellow.into())),
    };
    let rule = rule.as_ref().map_or_else(String::new, |rule| format!("rule `{rule}`: "));
    let head = safe(&format!("{rule}{message}")).replace('\n', " ");
    let (source, before) = window(source, *column);
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    let caret = " ".repeat(before);
    format!(
        "{}:{line}:{column}: {style}{severity}{style:#}: {head}\n {number} | {source}\n {margin} | {caret}{style}^{style:#}",
        safe(&file)
    )
}

/// Returns the part of a line around a column, and the number of characters before the column.
fn window(source: &str, column: usize) -> (String, usize) {
    let at = column.saturating_sub(1);
    let skipped = if at < SOURCE_CHARS_MAX { 0 } else { at - SOURCE_CHARS_MAX / 2 };
    let part = source.chars().skip(skipped).take(SOURCE_CHARS_MAX).map(cell).collect::<String>();
    (part.trim_end().to_owned(), at - skipped)
}

/// Replaces characters that are wider than one cell or could manipulate the terminal.
fn cell(c: char) -> char {
    match c {
        '\t' => ' ',
        c if safe(c.encode_utf8(&mut [0; 4])).chars().ne([c]) => '\u{fffd}',
        c => c,
    }
}

/// Prints to standard error and ignores errors.
fn eprintln_quietly(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: usize, column: usize, source: &str) -> Problem {
        Problem {
            severity: Severity::Error,
            file: None,
            rule: Some("x".to_owned()),
            line,
            column,
            message: "no such name\nhere".to_owned(),
            source: source.to_owned(),
        }
    }

    #[test]
    fn the_caret_is_under_the_column() {
        assert_eq!(
            shown("rules.toml", &problem(12, 9, "when = \"contxt.a\""), false),
            "rules.toml:12:9: error: rule `x`: no such name here\n 12 | when = \"contxt.a\"\n    |         ^"
        );
        // A tab counts as one character, and so does a control character.
        let shown = shown("r", &problem(1, 4, "\ta\u{1b}b"), false);
        assert!(shown.ends_with("\n 1 |  a\u{fffd}b\n   |    ^"), "{shown}");
    }

    #[test]
    fn a_long_line_is_shown_around_the_column() {
        let source = format!("{}!{}", "a".repeat(5_000), "b".repeat(5_000));
        let shown = shown("r", &problem(1, 5_001, &source), false);
        let lines: Vec<&str> = shown.lines().collect();
        let place = lines[2].find('^');
        assert_eq!(place, lines[1].find('!'));
        assert!(lines[1].len() < 140);
        // The end of the file is past the last character.
        assert_eq!(window("", 1), (String::new(), 0));
        assert_eq!(window("ab", 0).1, 0);
    }
}
