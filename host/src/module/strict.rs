//! The members of a manifest and its envelope, read as [`signoff_core::object`] reads objects.

use serde::Deserialize;
use serde_json::value::RawValue;
use signoff_core::object;

use crate::code::Code;
use crate::refusal::Refusal;

/// Reads an object. Members that are objects themselves are taken as [`RawValue`] and read again.
///
/// Refusals: `manifest-invalid`, with what was read.
pub(super) fn object<'a, T: Deserialize<'a>>(what: &str, text: &'a str) -> Result<T, Refusal> {
    object::parse(what, text).map_err(|e| Refusal::new(Code::MANIFEST_INVALID, e.message))
}

/// Reads an object inside another one.
pub(super) fn member<'a, T: Deserialize<'a>>(
    what: &str,
    value: &'a RawValue,
) -> Result<T, Refusal> {
    object(what, value.get())
}
