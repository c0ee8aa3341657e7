//! Strict parsing of manifests and envelopes, with [`crate::object`].

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::object;
use crate::rejection::{Code, Rejection};

/// Parses an object. Nested objects are taken as [`RawValue`] and parsed with [`member`].
///
/// Errors: `manifest-invalid`, prefixed with `what`.
pub(super) fn object<'a, T: Deserialize<'a>>(what: &str, text: &'a str) -> Result<T, Rejection> {
    object::parse(what, text).map_err(|e| Rejection::new(Code::ManifestInvalid, e.message))
}

/// Parses a nested object.
pub(super) fn member<'a, T: Deserialize<'a>>(
    what: &str,
    value: &'a RawValue,
) -> Result<T, Rejection> {
    object(what, value.get())
}
