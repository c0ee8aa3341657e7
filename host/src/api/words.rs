//! The words of a malformed body: what serde says, in the words of JSON instead of Rust's types, and what to do about Windows' line ends.

use serde::Deserialize;
use serde_json::value::RawValue;
use signoff_core::object::Object;

use crate::code::Code;
use crate::refusal::Refusal;

/// Refuses a text with a carriage return. It is signed or recorded as it is, so nothing is changed.
///
/// Refusals: `request-invalid`.
pub(super) fn without_carriage_return(field: &str, text: Option<&str>) -> Result<(), Refusal> {
    if text.is_none_or(|text| !text.contains('\r')) {
        return Ok(());
    }
    let detail = format!(
        "{field} contains a carriage return (`\\r`); the text is kept exactly as sent, so end lines with `\\n` alone"
    );
    Err(Refusal::new(Code::REQUEST_INVALID, detail))
}

/// Checks the type of a member that the verifier reads, so that the refusal has these words.
///
/// Refusals: `request-invalid`.
pub(super) fn check_type<'a, T: Deserialize<'a>>(
    field: &str,
    text: Option<&'a RawValue>,
) -> Result<(), Refusal> {
    text.map_or(Ok(()), |text| read_member::<Object<T>>(field, text).map(drop))
}

/// Reads a member that was kept as text.
///
/// Refusals: `request-invalid`.
pub(super) fn read_member<'a, T: Deserialize<'a>>(
    field: &str,
    text: &'a RawValue,
) -> Result<T, Refusal> {
    serde_json::from_str(text.get()).map_err(|e| {
        let (why, _) = split(&e);
        Refusal::new(Code::REQUEST_INVALID, format!("body: {field}: {}", in_words(&why)))
    })
}

/// Returns the message of a JSON error without the names of Rust's types and without the value that
/// was found, which may be large or a secret in the wrong place.
pub(super) fn plain(error: &serde_json::Error) -> String {
    let (text, at) = split(error);
    format!("{}{at}", in_words(&text))
}

/// Returns the text and the position of an error.
fn split(error: &serde_json::Error) -> (String, String) {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((text, at)) => (text.to_owned(), format!(" at line {at}")),
        None => (text, String::new()),
    }
}

fn in_words(text: &str) -> String {
    if let Some(rest) = text.strip_prefix("invalid type: ") {
        let (found, expected) = rest.rsplit_once(", expected ").unwrap_or((rest, "another type"));
        return format!("expected {}, found {}", wanted(expected), kind(found));
    }
    if let Some(rest) = text.strip_prefix("invalid value: ") {
        let (found, expected) = rest.rsplit_once(", expected ").unwrap_or((rest, "another value"));
        // A number that does not fit its type is short, and no secret.
        let number = found.split('`').nth(1).filter(|_| found.starts_with("integer "));
        let found = number.map_or_else(|| kind(found).to_owned(), |number| format!("`{number}`"));
        return format!("expected {}, found {found}", wanted(expected));
    }
    match text.strip_prefix("unknown variant ") {
        Some(rest) => format!("unknown value {rest}"),
        None => text.to_owned(),
    }
}

/// Returns what serde expected, in the words of JSON.
fn wanted(expected: &str) -> &str {
    match expected {
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "an integer",
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "an integer that is not negative",
        "f32" | "f64" => "a number",
        "bool" | "a boolean" => "true or false",
        "a string" | "a borrowed string" | "a character" | "variant identifier" => "a string",
        "a sequence" => "a list",
        "a map" | "an object" | "string or map" => "an object",
        "any valid JSON value" => "a JSON value",
        other if other.starts_with("struct ") || other.starts_with("internally ") => "an object",
        other if other.starts_with("enum ") => "a string",
        // Texts of our own visitors, such as "an object of numbers".
        other if other.starts_with("a ") || other.starts_with("an ") => other,
        _ => "another type",
    }
}

/// Returns the kind of value that serde found, in the words of JSON.
fn kind(found: &str) -> &'static str {
    match found.split([' ', '`', '"']).next().unwrap_or_default() {
        "boolean" => "a boolean",
        "integer" => "an integer",
        "floating" => "a number with a fraction or an exponent",
        "string" | "character" => "a string",
        "sequence" => "a list",
        "map" | "newtype" | "enum" => "an object",
        "null" | "unit" | "Option" => "null",
        _ => "another type",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::value::RawValue;

    use super::plain;
    use crate::role::Role;

    /// One member of each kind that bodies have.
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "read by its Debug")]
    struct Body<'a> {
        text: Option<String>,
        seconds: Option<i64>,
        count: Option<u32>,
        flag: Option<bool>,
        roles: Option<Vec<Role>>,
        groups: Option<BTreeMap<String, u32>>,
        #[serde(borrow)]
        raw: Option<&'a RawValue>,
        one: Option<Role>,
        nested: Option<Nested>,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "read by its Debug")]
    struct Nested {
        n: u8,
    }

    fn refused(body: &str) -> String {
        plain(&serde_json::from_str::<Body<'_>>(body).unwrap_err())
    }

    #[test]
    fn wrong_types_are_named_in_the_words_of_json() {
        for (body, words) in [
            (r#"{"seconds":"7200"}"#, "expected an integer, found a string"),
            (r#"{"seconds":1.5}"#, "expected an integer, found a number with a fraction"),
            (r#"{"seconds":{}}"#, "expected an integer, found an object"),
            (r#"{"seconds":[1]}"#, "expected an integer, found a list"),
            (r#"{"seconds":true}"#, "expected an integer, found a boolean"),
            (r#"{"count":-1}"#, "expected an integer that is not negative, found `-1`"),
            (r#"{"count":4294967296}"#, "found `4294967296`"),
            (r#"{"text":5}"#, "expected a string, found an integer"),
            (r#"{"text":[]}"#, "expected a string, found a list"),
            (r#"{"flag":"yes"}"#, "expected true or false, found a string"),
            (r#"{"roles":"admin"}"#, "expected a list, found a string"),
            (r#"{"roles":["root"]}"#, "unknown value `root`, expected one of `requester`"),
            (r#"{"roles":[null]}"#, ""),
            (r#"{"one":5}"#, ""),
            (r#"{"groups":[]}"#, "expected an object, found a list"),
            (r#"{"groups":{"sre":"1"}}"#, "expected an integer that is not negative"),
            (r#"{"nested":"x"}"#, "expected an object, found a string"),
            (r#"{"nested":{}}"#, "missing field `n`"),
            (r#"{"other":1}"#, "unknown field `other`"),
            (r#"{"text":"a","text":"b"}"#, "duplicate field `text`"),
        ] {
            let refused = refused(body);
            assert!(refused.starts_with(words) || refused.contains(words), "{body}: {refused}");
            assert!(refused.contains(" at line 1 column "), "{body}: {refused}");
            for rust in ["i64", "u32", "u8", "struct", "enum", "sequence", "map", "variant", "::"] {
                assert!(!refused.contains(rust), "{body}: {refused}");
            }
        }
    }

    /// A value may be large, or a secret in the wrong place, or try to look like a message.
    #[test]
    fn the_value_that_was_found_is_not_repeated() {
        for value in ["hunter2", ", expected i64", " at line 1 column 1", "`x`"] {
            let refused = refused(&serde_json::json!({ "seconds": value }).to_string());
            let expected = "expected an integer, found a string at line 1 column ";
            assert!(refused.starts_with(expected), "{value}: {refused}");
        }
    }
}
