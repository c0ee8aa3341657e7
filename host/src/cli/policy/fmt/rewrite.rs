//! Brings a text into its layout, and checks that nothing else changed.

use anyhow::anyhow;
use signoff_core::authoring::FILE_MEMBERS;
use toml::de::{DeTable, DeValue};
use toml_parser::Source;
use toml_parser::lexer::TokenKind;

use super::layout;
use super::tree::Document;
use crate::cli::exit::Failure;
use crate::policy::{Problem, Severity};

/// Why a file is left alone.
pub(super) enum Unformatted {
    /// It is not TOML, or no rules file.
    Problems(Vec<Problem>),
    Failed(Failure),
}

/// Returns a text in its layout. What it says is the same: all keys, values and comments.
pub(super) fn formatted(text: &str) -> Result<String, Unformatted> {
    let table = parsed(text).map_err(Unformatted::Problems)?;
    let written = Document::read(text).map(layout::written);
    let written = written.ok_or_else(|| anyhow!("its TOML has a form that fmt does not know"))?;
    // Line ends are those of the file, because those within a text in several lines belong to its value.
    let written = match is_windows(text) {
        true => written.replace("\r\n", "\n").replace('\n', "\r\n"),
        false => written,
    };
    if says(&written, &table) && comments(&written) == comments(text) {
        return Ok(written);
    }
    Err(anyhow!("fmt would change what the file says, so it is left alone").into())
}

/// Returns whether each line ends as on Windows.
fn is_windows(text: &str) -> bool {
    text.contains('\n') && text.matches('\n').count() == text.matches("\r\n").count()
}

/// Parses a text that may be a rules file or a file of tests.
fn parsed(text: &str) -> Result<DeTable<'_>, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let table = table.into_inner();
    let mut problems: Vec<Problem> = errors
        .iter()
        .map(|error| {
            let at = error.span().map_or(0, |span| span.start);
            problem(text, at, format!("not TOML: {}", error.message().replace('\n', "; ")))
        })
        .collect();
    if problems.is_empty() {
        let others = table.keys().filter(|key| !FILE_MEMBERS.contains(&key.get_ref().as_ref()));
        problems.extend(others.map(|key| {
            let (name, known) = (key.get_ref().escape_debug(), FILE_MEMBERS.join(", "));
            let message = format!("a rules file has no member `{name}`, expected one of {known}");
            problem(text, key.span().start, message)
        }));
    }
    if problems.is_empty() { Ok(table) } else { Err(problems) }
}

fn problem(text: &str, at: usize, message: String) -> Problem {
    let before = text.get(..at).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    Problem {
        severity: Severity::Error,
        file: None,
        rule: None,
        line: before.matches('\n').count() + 1,
        column: before.get(start..).unwrap_or_default().chars().count() + 1,
        message,
        source: text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or("").to_owned(),
    }
}

/// Returns whether a text is valid and says exactly this.
fn says(text: &str, table: &DeTable<'_>) -> bool {
    let (parsed, errors) = DeTable::parse_recoverable(text);
    errors.is_empty() && same_tables(parsed.get_ref(), table)
}

fn same_tables(one: &DeTable<'_>, two: &DeTable<'_>) -> bool {
    let is_same = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let key: &toml::de::DeString<'_> = key.get_ref();
        two.get(key.as_ref()).is_some_and(|other| same(value.get_ref(), other.get_ref()))
    };
    one.len() == two.len() && one.iter().all(is_same)
}

fn same(one: &DeValue<'_>, two: &DeValue<'_>) -> bool {
    match (one, two) {
        (DeValue::Array(one), DeValue::Array(two)) => {
            let mut pairs = one.iter().zip(two.iter());
            one.len() == two.len() && pairs.all(|(one, two)| same(one.get_ref(), two.get_ref()))
        }
        (DeValue::Table(one), DeValue::Table(two)) => same_tables(one, two),
        (DeValue::String(one), DeValue::String(two)) => one == two,
        (DeValue::Integer(one), DeValue::Integer(two)) => {
            (one.radix(), one.as_str()) == (two.radix(), two.as_str())
        }
        (DeValue::Float(one), DeValue::Float(two)) => one.as_str() == two.as_str(),
        (DeValue::Boolean(one), DeValue::Boolean(two)) => one == two,
        (DeValue::Datetime(one), DeValue::Datetime(two)) => one == two,
        _ => false,
    }
}

/// Returns all comments, in ascending order: members with theirs are moved.
fn comments(text: &str) -> Vec<&str> {
    let is_comment = |token: &toml_parser::lexer::Token| token.kind() == TokenKind::Comment;
    let span = |token: toml_parser::lexer::Token| token.span().start()..token.span().end();
    let tokens = Source::new(text).lex().filter(is_comment).map(span);
    let mut comments: Vec<&str> =
        tokens.filter_map(|span| text.get(span)).map(str::trim_end).collect();
    comments.sort_unstable();
    comments
}
