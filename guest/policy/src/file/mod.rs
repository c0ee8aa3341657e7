//! Parses rules files: TOML in, rules and tests out, with every problem at its position.

mod case;
mod include;
mod json;
mod member;
mod requirement;
mod rule;
mod schema;

use signoff_core::authoring::FILE_MEMBERS;
use signoff_core::name::is_name;
use toml::de::{DeTable, DeValue};

pub use case::Case;
pub use include::{Named, includes};
pub use rule::{Names, Rule, Shape, When};

use crate::bundle::Bundle;
use crate::constants::Constants;
use crate::limits::{FILE_BYTES_MAX, NAME_BYTES_MAX, RULES_MAX, TESTS_MAX};
use crate::problem::Problems;
use crate::schema::Schemas;
use crate::verdict::Decision;
use member::{Member, Members};
use requirement::Classes;

/// A parsed rules file, not yet compiled.
#[derive(Debug)]
pub struct RulesFile {
    /// Its name.
    pub name: String,
    /// The verdict if no rule decides.
    pub default: Decision,
    /// The files that it includes.
    pub includes: Vec<Named>,
    /// Its named values and those of the included files.
    pub constants: Constants,
    /// The schemas of contexts.
    pub schemas: Schemas,
    /// In file order.
    pub rules: Vec<Rule>,
    /// In file order.
    pub cases: Vec<Case>,
}

/// Reads a rules file. Problems are recorded; everything else is read nevertheless.
pub fn read<'t>(text: &'t str, problems: &mut Problems<'t>) -> RulesFile {
    let mut file = RulesFile {
        name: String::new(),
        default: Decision::RequireApproval,
        includes: Vec::new(),
        constants: Constants::default(),
        schemas: Schemas::default(),
        rules: Vec::new(),
        cases: Vec::new(),
    };
    if text.len() > FILE_BYTES_MAX {
        let message = format!(
            "a file of {} bytes with what it includes, expected at most {FILE_BYTES_MAX}",
            text.len()
        );
        problems.error(0, message);
        return file;
    }
    let bundle = Bundle::of(text);
    let text = bundle.rules;
    let Some(table) = parsed(text, problems) else { return file };
    let mut members = Members::new(text, 0, &table, problems);
    members.only(&FILE_MEMBERS);
    format(&mut members, true);
    match members.string("name") {
        Some(name) if is_name(name.text) => name.text.clone_into(&mut file.name),
        Some(name) => members.problems.error(
            name.at.start,
            format!(
                "a name is [a-z0-9_-]{{1,{NAME_BYTES_MAX}}}, got `{}`",
                name.text.escape_debug()
            ),
        ),
        None if members.has("name") => {}
        None => members.problems.error(0, "`name` is missing"),
    }
    if let Some((default, at)) = members.decision("default") {
        file.default = default;
        if default == Decision::Allow {
            members.problems.warning(
                at,
                "the default is `allow`: actions that match no rule run without approval",
            );
        }
    }
    let errors = members.problems.errors();
    file.includes = include::named(&mut members);
    file.constants = include::constants(&mut members, &bundle, &file.includes);
    file.constants.is_incomplete = members.problems.errors() > errors;
    file.schemas = schema::read(&mut members);
    let classes = Classes::read(&mut members);
    for (at, table) in members.tables("rule", RULES_MAX) {
        let members = Members::new(text, at, table, members.problems);
        file.rules.push(Rule::read(members, &classes, &file.constants));
    }
    cases(&mut members, &mut file.cases);
    let ids = file.rules.iter();
    for (earlier, later) in duplicates(ids.map(|rule| rule.id.as_str())) {
        let (Some(earlier), Some(later)) = (file.rules.get(earlier), file.rules.get(later)) else {
            continue;
        };
        problems.rule = Some(later.id.clone());
        let line = problems.line(earlier.at);
        problems.error(
            later.id_at,
            format!("the id `{}` is already taken by the rule in line {line}", later.id),
        );
    }
    problems.rule = None;
    file
}

/// Reads a file that contains only tests.
pub fn read_cases<'t>(text: &'t str, problems: &mut Problems<'t>) -> Vec<Case> {
    let mut read = Vec::new();
    let Some(table) = parsed(text, problems) else { return read };
    let mut members = Members::new(text, 0, &table, problems);
    members.only(&["format", "test"]);
    format(&mut members, false);
    cases(&mut members, &mut read);
    read
}

fn parsed<'t>(text: &'t str, problems: &mut Problems<'_>) -> Option<DeTable<'t>> {
    if text.len() > FILE_BYTES_MAX {
        problems
            .error(0, format!("a file of {} bytes, expected at most {FILE_BYTES_MAX}", text.len()));
        return None;
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let offset = error.span().map_or(0, |span| span.start);
        let hint = toml_hint(text, offset);
        let message = format!("not TOML: {}{hint}", error.message().replace('\n', "; "));
        problems.error(offset, message);
    }
    errors.is_empty().then(|| table.into_inner())
}

/// Returns what an author may have meant where a text is not TOML.
fn toml_hint(text: &str, offset: usize) -> &'static str {
    let (before, after) = text.split_at(text.floor_char_boundary(offset));
    let line = before.rsplit('\n').next().unwrap_or_default();
    if line.starts_with("[context.") && (line.contains('*') || after.starts_with('*')) {
        return "; put the action of a schema in quotes, as `[context.\"mail.*\"]`";
    }
    if before.ends_with('\\') || after.starts_with('\\') {
        return "; a string in single quotes takes backslashes as they are";
    }
    ""
}

fn format(members: &mut Members<'_, '_, '_>, required: bool) {
    match members.integer("format") {
        Some((1, _)) => {}
        Some((other, at)) => {
            members.problems.error(at, format!("format {other} is not known, expected 1"));
        }
        None if required && !members.has("format") => {
            members.problems.error(0, "`format` is missing, expected `format = 1`");
        }
        None => {}
    }
}

fn cases(members: &mut Members<'_, '_, '_>, cases: &mut Vec<Case>) {
    let text = members.text;
    for (at, table) in members.tables("test", TESTS_MAX) {
        let case = Case::read(Members::new(text, at, table, members.problems));
        cases.extend(case);
    }
    for (earlier, later) in duplicates(cases.iter().map(|case| case.name.as_str())) {
        let (Some(earlier), Some(later)) = (cases.get(earlier), cases.get(later)) else { continue };
        let message = format!("the test in line {} has the same name", earlier.line);
        members.problems.warning(later.at, message);
    }
}

/// Returns the positions of repeated texts, each with its first position.
fn duplicates<'n>(names: impl Iterator<Item = &'n str>) -> Vec<(usize, usize)> {
    let mut first = std::collections::HashMap::new();
    let mut duplicates = Vec::new();
    for (at, name) in names.enumerate().filter(|(_, name)| !name.is_empty()) {
        match first.get(name) {
            Some(earlier) => duplicates.push((*earlier, at)),
            None => {
                first.insert(name, at);
            }
        }
    }
    duplicates
}
