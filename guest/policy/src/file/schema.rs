//! `[context.ACTION]`: reads the schemas of contexts.

use signoff_core::glob::Glob;

use super::DeValue;
use super::json;
use super::member::{Members as Table, Value};
use super::rule::literal_signs;
use crate::json::parse;
use crate::limits::{SCHEMA_DEPTH_MAX, SCHEMA_MEMBERS_MAX, SCHEMAS_MAX};
use crate::near::nearest;
use crate::problem::Problems;
use crate::schema::{Kind, Member, Members, Schema, Schemas, Spec};
use crate::text::is_identifier;

/// The words for kinds, and other words that authors try.
const KINDS: [&str; 7] = ["any", "bool", "int", "list", "number", "string", "table"];
const OTHER_WORDS: [(&str, &str); 9] = [
    ("array", "list"),
    ("boolean", "bool"),
    ("double", "number"),
    ("float", "number"),
    ("integer", "int"),
    ("map", "table"),
    ("object", "table"),
    ("str", "string"),
    ("text", "string"),
];
/// The members of a declaration that is a table.
const PARTS: [&str; 7] = ["type", "required", "nullable", "one_of", "items", "members", "closed"];

/// Reads all schemas of a file.
pub(super) fn read(table: &mut Table<'_, '_, '_>) -> Schemas {
    let mut schemas = Vec::new();
    let Some(value) = table.value("context") else { return Schemas(schemas) };
    let DeValue::Table(by_action) = value.get_ref() else {
        table.wrong(value, "context", "tables by action, as `[context.transfer]`");
        return Schemas(schemas);
    };
    if by_action.len() > SCHEMAS_MAX {
        let message = format!("{} schemas, expected at most {SCHEMAS_MAX}", by_action.len());
        table.problems.error(value.span().start, message);
        return Schemas(schemas);
    }
    let mut reader = Reader { text: table.text, problems: table.problems, count: 0 };
    for (key, value) in by_action {
        let (name, at) = (key.get_ref().as_ref(), key.span().start);
        let action = match Glob::new(name) {
            Ok(glob) => glob.to_lower(),
            Err(message) => {
                reader.problems.error(at, format!("the action of a schema: {message}"));
                continue;
            }
        };
        if let Some(message) = literal_signs(name) {
            reader.problems.warning(at, message);
        }
        let header = if is_identifier(name) {
            format!("[context.{name}]")
        } else {
            format!("[context.\"{}\"]", name.escape_debug())
        };
        let DeValue::Table(_) = value.get_ref() else {
            let got = value.get_ref().type_str();
            let message =
                format!("`{header}` is a table of members, as `amount = \"number\"`, got {got}");
            reader.problems.error(value.span().start, message);
            continue;
        };
        let members = reader.members(value, 1);
        let context = Spec { kind: Kind::Table(members), is_nullable: false, one_of: Vec::new() };
        schemas.push(Schema { action, header, at, context });
    }
    if reader.count > SCHEMA_MEMBERS_MAX {
        let message = format!(
            "the schemas declare {} members, expected at most {SCHEMA_MEMBERS_MAX}",
            reader.count
        );
        table.problems.error(value.span().start, message);
    }
    Schemas(schemas)
}

struct Reader<'a, 'p> {
    text: &'p str,
    problems: &'a mut Problems<'p>,
    count: usize,
}

impl Reader<'_, '_> {
    /// Reads a table of members. `closed = true` says that there are no others.
    fn members(&mut self, value: &Value<'_>, depth: usize) -> Option<Members> {
        let DeValue::Table(table) = value.get_ref() else {
            let got = value.get_ref().type_str();
            self.problems.error(value.span().start, format!("`members` is a table, got {got}"));
            return None;
        };
        if depth > SCHEMA_DEPTH_MAX {
            let message = format!("a schema nests at most {SCHEMA_DEPTH_MAX} levels");
            self.problems.error(value.span().start, message);
            return None;
        }
        let mut read = Members::default();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if let DeValue::Boolean(bool) = value.get_ref() {
                if name == "closed" {
                    read.is_closed = *bool;
                } else {
                    let message = format!(
                        "`{}` is a type such as \"string\" or a table with `type`, got a boolean",
                        name.escape_debug()
                    );
                    self.problems.error(value.span().start, message);
                }
                continue;
            }
            self.count += 1;
            if let Some((spec, is_required)) = self.declaration(name, value, depth) {
                read.members.push(Member { name: name.to_owned(), is_required, spec });
            }
        }
        Some(read)
    }

    /// Reads a declaration: a type, or a table with `type` and more. Returns whether the member is
    /// required.
    fn declaration(&mut self, name: &str, value: &Value<'_>, depth: usize) -> Option<(Spec, bool)> {
        match value.get_ref() {
            DeValue::String(word) => {
                let required = word.strip_suffix('?');
                let kind = self.kind(required.unwrap_or(word), value)?;
                let spec = Spec { kind, is_nullable: false, one_of: Vec::new() };
                Some((spec, required.is_none()))
            }
            DeValue::Table(_) => self.parts(name, value, depth),
            other => {
                let message = format!(
                    "`{}` is a type such as \"string\" or a table with `type`, got {}",
                    name.escape_debug(),
                    other.type_str()
                );
                self.problems.error(value.span().start, message);
                None
            }
        }
    }

    fn parts(&mut self, name: &str, value: &Value<'_>, depth: usize) -> Option<(Spec, bool)> {
        let DeValue::Table(table) = value.get_ref() else { return None };
        let at = value.span().start;
        let mut parts = Table::new(self.text, at, table, self.problems);
        let is_declaration = PARTS.iter().any(|part| table.contains_key(*part));
        if !is_declaration && !table.is_empty() {
            let message = format!(
                "`{0}` has no `type`: the members of a table go to `{0} = {{ members = {{ … }} }}`",
                name.escape_debug()
            );
            parts.problems.error(at, message);
            return None;
        }
        parts.only(&PARTS);
        let is_required = parts.bool("required");
        let is_nullable = parts.bool("nullable").unwrap_or(false);
        let is_closed = parts.bool("closed");
        let word = parts.string("type").map(|word| word.text.to_owned());
        let one_of = one_of(&mut parts);
        let (items, members) = (table.get("items"), table.get("members"));
        let is_optional = word.as_ref().is_some_and(|word| word.ends_with('?'));
        let kind = match (word, items, members) {
            (Some(word), ..) => {
                let at = table.get("type").unwrap_or(value);
                self.kind(word.strip_suffix('?').unwrap_or(&word), at)?
            }
            (None, Some(_), None) => Kind::List(None),
            (None, None, Some(_)) => Kind::Table(None),
            (None, ..) if table.contains_key("type") => return None,
            (None, ..) => Kind::Any,
        };
        let kind = match (kind, items, members) {
            (Kind::List(_), Some(items), None) => {
                self.count += 1;
                if depth >= SCHEMA_DEPTH_MAX {
                    let message = format!("a schema nests at most {SCHEMA_DEPTH_MAX} levels");
                    self.problems.error(items.span().start, message);
                    return None;
                }
                let (spec, is_required) = self.declaration("items", items, depth + 1)?;
                if !is_required {
                    let message = "an item cannot be missing: write its type without `?`";
                    self.problems.error(items.span().start, message);
                }
                Kind::List(Some(Box::new(spec)))
            }
            (Kind::Table(_), None, Some(members)) => {
                let mut members = self.members(members, depth + 1)?;
                members.is_closed |= is_closed.unwrap_or(false);
                Kind::Table(Some(members))
            }
            (kind, None, None) => {
                if is_closed.is_some() {
                    self.problems.error(at, "`closed` goes with `members`");
                }
                kind
            }
            (kind, ..) => {
                let message =
                    format!("`items` is for a list and `members` for a table, got {}", kind.name());
                self.problems.error(at, message);
                kind
            }
        };
        let is_required = is_required.unwrap_or(true) && !is_optional;
        let spec = Spec { kind, is_nullable, one_of: Vec::new() };
        for (at, one) in one_of.iter().enumerate() {
            if let Some(why) = spec.misfit(one, &mut format!("one_of[{at}]")) {
                let item = table.get("one_of").and_then(|list| list.get_ref().as_array()?.get(at));
                self.problems.error(item.unwrap_or(value).span().start, why);
            }
        }
        Some((Spec { one_of, ..spec }, is_required))
    }

    fn kind(&mut self, word: &str, value: &Value<'_>) -> Option<Kind> {
        let kind = match word {
            "any" => Kind::Any,
            "bool" => Kind::Bool,
            "int" => Kind::Int,
            "list" => Kind::List(None),
            "number" => Kind::Number,
            "string" => Kind::String,
            "table" => Kind::Table(None),
            other => {
                let known = OTHER_WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(other));
                let near = known.map(|(_, kind)| *kind).or_else(|| nearest(other, KINDS));
                let near =
                    near.map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
                let other = crate::text::cut(other, 64).escape_debug();
                let message = format!("`{other}` is no type, expected {}{near}", KINDS.join(", "));
                self.problems.error(value.span().start, message);
                return None;
            }
        };
        Some(kind)
    }
}

fn one_of(parts: &mut Table<'_, '_, '_>) -> Vec<crate::json::Node<'static>> {
    let Some(value) = parts.value("one_of") else { return Vec::new() };
    let DeValue::Array(items) = value.get_ref() else {
        parts.wrong(value, "one_of", "a list of values");
        return Vec::new();
    };
    if items.is_empty() {
        parts.problems.error(value.span().start, "`one_of` has no value");
    }
    let mut text = "{\"_\": ".to_owned();
    if json::write(parts, value, &mut text).is_none() {
        return Vec::new();
    }
    text.push('}');
    let Ok(holder) = parse(&text) else {
        parts.problems.error(value.span().start, "`one_of` has a value that no context has");
        return Vec::new();
    };
    let items = holder.member("_").map(crate::json::Node::items).unwrap_or_default();
    items.iter().map(crate::json::Node::to_static).collect()
}
