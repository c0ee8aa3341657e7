//! Writes a rules file in its canonical layout.
//!
//! The layout is that of taplo, the formatter of TOML editors, with `align_comments = false`, so that the
//! two agree: one blank around `=` and before a comment, two blanks of indentation, and an array over
//! several lines if its line would be longer than 80 columns.

use signoff_core::authoring::{FILE_MEMBERS, RULE_MEMBERS, TEST_MEMBERS};

use super::super::members::position;
use super::tree::{Above, Document, List, Member, Table, Value};

/// Longer lines are broken where they have an array.
const COLUMNS_MAX: usize = 80;

/// Writes a document. Comments and values stay as they are.
pub(super) fn written(mut document: Document<'_>) -> String {
    let mut out = String::new();
    let mut tables = document.tables.drain(..);
    if let Some(first) = tables.next() {
        put_first(&mut out, first);
    }
    for table in tables {
        put_table(&mut out, table);
    }
    put_above(&mut out, &document.rest, 0);
    // A text ends with one line feed.
    let end = out.trim_end_matches('\n').len();
    out.truncate(end);
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

/// Writes the members before the first header. Comments above the first of them are the file's own and
/// stay first.
fn put_first(out: &mut String, mut table: Table<'_>) {
    if let Some(first) = table.members.first_mut() {
        let head = std::mem::take(&mut first.above);
        put_above(out, &head, 0);
    }
    table.members.sort_by_key(|member| position(&FILE_MEMBERS, member.name()));
    for member in &table.members {
        put_above(out, &member.above, 0);
        put_member(out, member);
    }
    put_above(out, &table.below, 0);
}

fn put_table(out: &mut String, mut table: Table<'_>) {
    put_above(out, &[Above::Empty], 0);
    put_above(out, &table.above, 0);
    out.push_str(&table.header);
    put_beside(out, table.beside);
    out.push('\n');
    let order = match table.name.as_str() {
        "rule" => Some(&RULE_MEMBERS[..]),
        "test" => Some(&TEST_MEMBERS[..]),
        _ => None,
    };
    if let Some(order) = order {
        table.members.sort_by_key(|member| position(order, member.name()));
    }
    for (number, member) in table.members.iter_mut().enumerate() {
        // Members of rules and tests are moved, so an empty line between them means nothing.
        if order.is_some() || number == 0 {
            member.above.retain(|line| *line != Above::Empty);
        }
        put_above(out, &member.above, 0);
        put_member(out, member);
    }
    put_above(out, &table.below, 0);
}

fn put_member(out: &mut String, member: &Member<'_>) {
    let start = out.len();
    out.push_str(&member.key);
    out.push_str(" = ");
    let before = columns(out.get(start..).unwrap_or_default());
    let whole = flat(&member.value).filter(|whole| before + first_columns(whole) <= COLUMNS_MAX);
    match whole {
        Some(whole) => out.push_str(&whole),
        None => put_value(out, &member.value, 0, Arrays::Broken),
    }
    put_beside(out, member.beside);
    out.push('\n');
}

/// How arrays are written that would fit into their line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arrays {
    /// Over several lines.
    Broken,
    /// In their line if they fit.
    Fitting,
}

/// Writes a value that starts in a line of this indentation.
fn put_value(out: &mut String, value: &Value<'_>, indent: usize, arrays: Arrays) {
    if let Some(whole) = flat(value).filter(|whole| arrays == Arrays::Fitting && fits(out, whole)) {
        return out.push_str(&whole);
    }
    match value {
        Value::Scalar(text) => out.push_str(text),
        Value::Array(list) if list.is_empty() => out.push_str("[]"),
        Value::Table(list) if list.is_empty() => out.push_str("{}"),
        Value::Array(list) => put_lines(out, list, ["[", "]"], indent),
        // An inline table over several lines is TOML 1.1: one is kept, none is made.
        Value::Table(list) if list.has_lines || list.has_comments() => {
            put_lines(out, list, ["{", "}"], indent);
        }
        Value::Table(list) => {
            out.push_str("{ ");
            for (number, member) in list.members.iter().enumerate() {
                out.push_str(if number > 0 { ", " } else { "" });
                out.push_str(&member.key);
                out.push_str(" = ");
                put_value(out, &member.value, indent, Arrays::Broken);
            }
            out.push_str(" }");
        }
    }
}

/// Writes a list with one member a line.
fn put_lines(out: &mut String, list: &List<'_>, [open, close]: [&str; 2], indent: usize) {
    out.push_str(open);
    out.push('\n');
    for member in &list.members {
        put_above(out, &member.above, indent + 2);
        out.push_str(&" ".repeat(indent + 2));
        if !member.key.is_empty() {
            out.push_str(&member.key);
            out.push_str(" = ");
        }
        put_value(out, &member.value, indent + 2, Arrays::Fitting);
        out.push(',');
        put_beside(out, member.beside);
        out.push('\n');
    }
    put_above(out, &list.rest, indent + 2);
    out.push_str(&" ".repeat(indent));
    out.push_str(close);
}

/// Returns a value in one line, except for the lines of its texts; `None` if a comment prevents that.
fn flat(value: &Value<'_>) -> Option<String> {
    let list = match value {
        Value::Scalar(text) => return Some((*text).to_owned()),
        Value::Array(list) | Value::Table(list) => list,
    };
    if list.has_comments() {
        return None;
    }
    let members: Option<Vec<String>> = list
        .members
        .iter()
        .map(|member| {
            let value = flat(&member.value)?;
            Some(if member.key.is_empty() { value } else { format!("{} = {value}", member.key) })
        })
        .collect();
    let members = members?.join(", ");
    Some(match value {
        Value::Table(_) if members.is_empty() => "{}".to_owned(),
        Value::Table(_) => format!("{{ {members} }}"),
        _ => format!("[{members}]"),
    })
}

impl List<'_> {
    fn is_empty(&self) -> bool {
        self.members.is_empty() && self.rest.is_empty()
    }

    /// Returns whether it has comments of its own.
    fn has_comments(&self) -> bool {
        let of = |member: &Member<'_>| !member.above.is_empty() || member.beside.is_some();
        !self.rest.is_empty() || self.members.iter().any(of)
    }
}

fn put_beside(out: &mut String, comment: Option<&str>) {
    if let Some(comment) = comment {
        out.push(' ');
        out.push_str(comment);
    }
}

/// Writes comments, and one empty line for several.
fn put_above(out: &mut String, above: &[Above<'_>], indent: usize) {
    for line in above {
        match line {
            Above::Comment(comment) => {
                out.push_str(&" ".repeat(indent));
                out.push_str(comment);
                out.push('\n');
            }
            Above::Empty if out.is_empty() || out.ends_with("\n\n") => {}
            Above::Empty => out.push('\n'),
        }
    }
}

/// Returns whether a value fits into the last line.
fn fits(out: &str, value: &str) -> bool {
    let line = out.rsplit('\n').next().unwrap_or_default();
    columns(line) + first_columns(value) <= COLUMNS_MAX
}

fn first_columns(text: &str) -> usize {
    columns(text.split('\n').next().unwrap_or_default())
}

fn columns(text: &str) -> usize {
    text.chars().count()
}
