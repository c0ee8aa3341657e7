//! The schema of a tool's arguments.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use serde_json::value::RawValue;
use signoff_core::deceptive::in_one_line;
use std::collections::BTreeSet;

use super::message::folded;
use super::tools::Refusal;

/// Longest sentence of the library, which quotes values.
const WORDS_CHARS_MAX: usize = 400;

/// A compiled schema.
#[derive(Debug)]
pub(super) struct Schema {
    validator: Validator,
    /// The arguments that the schema names.
    properties: BTreeSet<String>,
}

impl Schema {
    /// Compiles a schema. References to other documents are refused, and patterns are of a kind that takes
    /// linear time.
    ///
    /// # Errors
    ///
    /// `tool-schema` if it is not a schema of an object, or cannot be compiled.
    pub(super) fn compile(schema: &RawValue) -> Result<Self, Refusal> {
        let refused = |why: &str| {
            let why: String = why.chars().take(WORDS_CHARS_MAX).collect();
            let why = in_one_line(&why);
            Refusal::new("tool-schema", format!("the tool's schema cannot be used: {why}"))
        };
        let value: Value =
            serde_json::from_str(schema.get()).map_err(|e| refused(&e.to_string()))?;
        let Value::Object(members) = &value else { return Err(refused("it is not an object")) };
        if members.get("type").is_some_and(|kind| kind != "object") {
            return Err(refused("its type is not `object`"));
        }
        let properties = members.get("properties").and_then(Value::as_object);
        let properties =
            properties.map(|named| named.keys().cloned().collect()).unwrap_or_default();
        let validator = jsonschema::options()
            .with_pattern_options(PatternOptions::regex())
            .build(&value)
            .map_err(|e| refused(&e.to_string()))?;
        Ok(Self { validator, properties })
    }

    /// Checks arguments, which have no duplicate members.
    ///
    /// # Errors
    ///
    /// `arguments-invalid`, with what is wrong.
    pub(super) fn check(&self, arguments: &str) -> Result<(), Refusal> {
        let refused = |why: &str| {
            let why: String = why.chars().take(WORDS_CHARS_MAX).collect();
            Refusal::new("arguments-invalid", in_one_line(&why))
        };
        let value: Value = serde_json::from_str(arguments).map_err(|e| refused(&e.to_string()))?;
        if let Some(name) = twice_but_for_case(&value) {
            return Err(refused(&format!(
                "two members of an object are called `{name}`, but for case"
            )));
        }
        for name in value.as_object().into_iter().flat_map(serde_json::Map::keys) {
            let is_variant = |one: &&String| *one != name && folded(one) == folded(name);
            if let (false, Some(meant)) =
                (self.properties.contains(name), self.properties.iter().find(is_variant))
            {
                return Err(refused(&format!("argument `{name}`: did you mean `{meant}`?")));
            }
        }
        self.validator.validate(&value).map_err(|e| {
            let place = e.instance_path().to_string();
            let place = if place.is_empty() { String::new() } else { format!(" at `{place}`") };
            refused(&format!("the arguments do not fit the tool's schema{place}: {e}"))
        })
    }
}

/// Returns a name that two members of one object have, but for the case of letters: servers that ignore
/// the case take either.
fn twice_but_for_case(value: &Value) -> Option<String> {
    match value {
        Value::Object(members) => {
            let mut seen = BTreeSet::new();
            let twice = members.keys().find(|name| !seen.insert(folded(name)));
            twice.cloned().or_else(|| members.values().find_map(twice_but_for_case))
        }
        Value::Array(items) => items.iter().find_map(twice_but_for_case),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(text: &str) -> Result<Schema, Refusal> {
        let raw: Box<RawValue> = serde_json::from_str(text).unwrap();
        Schema::compile(&raw)
    }

    #[test]
    fn arguments_are_checked_by_the_schema() {
        let schema = compile(
            r#"{"type":"object","properties":{"path":{"type":"string","pattern":"^/srv/"},
                "n":{"type":"integer","maximum":5}},"required":["path"]}"#,
        )
        .unwrap();
        schema.check(r#"{"path":"/srv/a"}"#).unwrap();
        schema.check(r#"{"path":"/srv/a","more":{"a":1}}"#).unwrap();
        for wrong in [
            "{}",
            r#"{"path":1}"#,
            r#"{"path":"/etc"}"#,
            r#"{"path":"/srv/a","n":6}"#,
            r#"{"path":"/srv/a","Path":"/etc"}"#,
            r#"{"path":"/srv/a","N":6}"#,
            r#"{"path":"/srv/a","x":[{"a":1,"A":2}]}"#,
            r#"{"path":"/srv/a","x":{"\u017f":1,"s":2}}"#,
        ] {
            let refused = schema.check(wrong).expect_err(wrong);
            assert_eq!(refused.code, "arguments-invalid", "{wrong}");
        }
    }

    #[test]
    fn a_schema_that_cannot_be_compiled_is_refused_in_words() {
        for wrong in [
            "true",
            r#"{"type":"array"}"#,
            r#"{"type":"object","properties":{"a":{"type":"nothing"}}}"#,
            r#"{"type":"object","properties":{"a":{"$ref":"https://evil.example/schema.json"}}}"#,
            r#"{"type":"object","properties":{"a":{"$ref":"file:///etc/passwd"}}}"#,
            r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/none"}}}"##,
            r#"{"type":"object","properties":{"a":{"pattern":"(a+)+\\1"}}}"#,
            r#"{"$schema":"https://evil.example/meta","type":"object"}"#,
        ] {
            let refused = compile(wrong).expect_err(wrong);
            assert_eq!(refused.code, "tool-schema", "{wrong}");
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema = compile(r##"{"$ref":"#","type":"object"}"##);
        if let Ok(schema) = schema {
            let _ = schema.check(r#"{"a":{}}"#);
        }
        let tree = r##"{"type":"object","properties":{"left":{"$ref":"#"}}}"##;
        let deep = format!("{}{}", "{\"left\":".repeat(100), "{}".to_owned() + &"}".repeat(100));
        compile(tree).unwrap().check(&deep).unwrap();
    }
}
