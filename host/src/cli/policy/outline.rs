//! The members of a rules file, for showing and comparing them. They are not interpreted here; the
//! rules engine does that.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use signoff_core::authoring::INCLUDE_MARK;
use toml::de::{DeInteger, DeTable, DeValue};

/// Members of a file that are no settings.
const NO_SETTINGS: [&str; 3] = ["format", "rule", "test"];

/// The settings and rules of a file, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Outline {
    /// Everything but rules and tests. A member of a table is `table.member`.
    pub(super) settings: BTreeMap<String, Value>,
    /// The members of each rule, by its id, in the order of the file.
    pub(super) rules: Vec<(String, Map<String, Value>)>,
}

impl Outline {
    /// Makes the outline of a valid file.
    pub(super) fn of(rules: &str) -> Self {
        let mut files = rules.split(INCLUDE_MARK);
        let mut outline = Self::default();
        for (name, value) in parsed(files.next().unwrap_or_default()) {
            match value {
                Value::Array(rules) if name == "rule" => {
                    outline.rules = rules.into_iter().filter_map(with_id).collect();
                }
                _ if NO_SETTINGS.contains(&name.as_str()) => {}
                Value::Object(table) => {
                    let members =
                        table.into_iter().map(|(key, value)| (format!("{name}.{key}"), value));
                    outline.settings.extend(members);
                }
                value => {
                    outline.settings.insert(name, value);
                }
            }
        }
        for (name, value) in files.flat_map(constants) {
            outline.settings.insert(format!("const.{name}"), value);
        }
        outline
    }

    /// Returns a rule's condition, as written.
    pub(super) fn condition(&self, rule: &str) -> Option<&str> {
        self.rule(rule)?.get("when")?.as_str()
    }

    /// Returns the members of a rule.
    pub(super) fn rule(&self, id: &str) -> Option<&Map<String, Value>> {
        self.rules.iter().find(|(of, _)| of == id).map(|(_, rule)| rule)
    }
}

fn with_id(rule: Value) -> Option<(String, Map<String, Value>)> {
    let Value::Object(mut rule) = rule else { return None };
    let id = rule.remove("id")?.as_str()?.to_owned();
    Some((id, rule))
}

/// Returns the named values of an included file, whose path is its first line.
fn constants(file: &str) -> Map<String, Value> {
    let (path, text) = file.split_once('\n').unwrap_or_default();
    let mut members = match path.ends_with(".json") {
        true => serde_json::from_str(text).unwrap_or_default(),
        false => parsed(text),
    };
    match members.remove("const") {
        Some(Value::Object(values)) => values,
        _ => Map::new(),
    }
}

fn parsed(text: &str) -> Map<String, Value> {
    let (table, _) = DeTable::parse_recoverable(text);
    members(table.get_ref())
}

fn members(table: &DeTable<'_>) -> Map<String, Value> {
    let members = table.iter();
    members.map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref()))).collect()
}

fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        // What a tool cannot represent is shown as it is written.
        DeValue::Integer(number) => {
            integer(number).map_or_else(|| Value::from(number.as_str()), Value::from)
        }
        DeValue::Float(number) => {
            let float = number.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            float.map_or_else(|| Value::from(number.as_str()), Value::Number)
        }
        DeValue::Boolean(bool) => Value::from(*bool),
        DeValue::Datetime(time) => Value::from(time.to_string()),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => Value::Object(members(table)),
    }
}

fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}
