//! Strict parsing of manifests and envelopes, with [`signoff_core::object`].

use serde::Deserialize;
use serde_json::value::RawValue;
use signoff_core::object;

use crate::code::Code;
use crate::refusal::Refusal;

/// Parses an object. Nested objects are taken as [`RawValue`] and parsed with [`member`].
///
/// Errors: `manifest-invalid`, prefixed with `what`.
pub(super) fn object<'a, T: Deserialize<'a>>(what: &str, text: &'a str) -> Result<T, Refusal> {
    object::parse(what, text).map_err(|e| Refusal::new(Code::MANIFEST_INVALID, e.message))
}

/// Parses a nested object.
pub(super) fn member<'a, T: Deserialize<'a>>(
    what: &str,
    value: &'a RawValue,
) -> Result<T, Refusal> {
    object(what, value.get())
}
