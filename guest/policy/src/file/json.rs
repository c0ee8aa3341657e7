//! `context` and `plan` of a test: a TOML table, or a JSON text for values that TOML lacks, such as
//! `null`.

use std::fmt::Write as _;

use super::DeValue;
use super::member::{Members, Value};
use crate::json::parse;

/// Returns the JSON text of a member; `None` if it is absent or wrong.
pub(super) fn object(members: &mut Members<'_, '_, '_>, name: &str) -> Option<String> {
    let value = members.value(name)?;
    let mut text = String::new();
    match value.get_ref() {
        DeValue::Table(_) => write(members, value, &mut text)?,
        DeValue::String(json) => text.push_str(json),
        _ => {
            members.wrong(value, name, "a table, or a JSON object as a string");
            return None;
        }
    }
    if parse(&text).is_err() {
        // The reader of contexts in the verifier says why.
        let invalid = signoff_core::context::canonicalize(&text).err();
        let why = invalid.map_or_else(String::new, |invalid| {
            let before = text.get(..text.floor_char_boundary(invalid.offset)).unwrap_or(&text);
            let place = before.chars().count() + 1;
            format!(": {} at character {place}", invalid.reason)
        });
        let message = format!(
            "`{name}` is not a JSON object that signoff accepts (1 MiB, 64 levels, no duplicate keys){why}"
        );
        members.problems.error(value.span().start, message);
        return None;
    }
    Some(text)
}

/// Writes a TOML value as JSON; `None` if JSON has no such value, which is recorded.
pub(super) fn write(
    members: &mut Members<'_, '_, '_>,
    value: &Value<'_>,
    out: &mut String,
) -> Option<()> {
    match value.get_ref() {
        DeValue::String(text) => string(text, out),
        DeValue::Integer(integer) if integer.radix() == 10 => {
            out.push_str(integer.as_str().trim_start_matches('+'));
        }
        DeValue::Integer(integer) => {
            let Ok(number) = i128::from_str_radix(integer.as_str(), integer.radix()) else {
                members.problems.error(value.span().start, "the integer is too long");
                return None;
            };
            let _infallible = write!(out, "{number}");
        }
        DeValue::Float(float) => {
            let number = float.as_str().parse::<f64>().ok().filter(|number| number.is_finite());
            let Some(number) = number else {
                members.problems.error(value.span().start, "JSON has no such number");
                return None;
            };
            out.push_str(&canonical(number));
        }
        DeValue::Boolean(bool) => out.push_str(if *bool { "true" } else { "false" }),
        DeValue::Datetime(_) => {
            members
                .problems
                .error(value.span().start, "JSON has no times: put it in quotes and compare it as a string, or read it with `timestamp(…)`");
            return None;
        }
        DeValue::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                write(members, item, out)?;
            }
            out.push(']');
        }
        DeValue::Table(table) => {
            out.push('{');
            for (at, (key, value)) in table.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                string(key.get_ref(), out);
                out.push_str(": ");
                write(members, value, out)?;
            }
            out.push('}');
        }
    }
    Some(())
}

fn string(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// Writes a float like the verifier: the shortest digits, and exponents of two digits with their
/// sign.
fn canonical(number: f64) -> String {
    let text = format!("{number:?}");
    match text.split_once('e') {
        None => text,
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{exponent:0>2}")
        }
    }
}
