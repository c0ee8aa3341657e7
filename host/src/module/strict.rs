//! Reads a JSON object into a type: unknown and duplicate members are refused, and so is an array,
//! which serde would take for the members in their order.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::code::Code;
use crate::refusal::Refusal;

/// Reads an object. Members that are objects themselves are taken as [`RawValue`] and read again.
///
/// Refusals: `manifest-invalid`, with what was read.
pub(super) fn object<'a, T: Deserialize<'a>>(what: &str, text: &'a str) -> Result<T, Refusal> {
    let invalid = |why: String| Refusal::new(Code::MANIFEST_INVALID, format!("{what}: {why}"));
    if !text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{') {
        return Err(invalid("expected a JSON object".to_owned()));
    }
    let mut parser = serde_json::Deserializer::from_str(text);
    let value = T::deserialize(&mut parser).map_err(|e| invalid(e.to_string()))?;
    parser.end().map_err(|e| invalid(e.to_string()))?;
    Ok(value)
}

/// Reads an object inside another one.
pub(super) fn member<'a, T: Deserialize<'a>>(
    what: &str,
    value: &'a RawValue,
) -> Result<T, Refusal> {
    object(what, value.get())
}
