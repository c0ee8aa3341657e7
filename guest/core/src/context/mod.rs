//! The canonical form of a context or plan, and its digest.
//!
//! Two contexts are the same if their digests are equal, so the form has one rule: it is byte for
//! byte what CPython 3.9 and later prints for `json.dumps(json.loads(text), sort_keys=True)`.
//! Whatever that expression would merge, drop or read ambiguously is refused.
//!
//! One pass parses the text and writes the canonical form; no tree is built. `parser` holds the
//! grammar, `string` and `number` the scalars, `float` the digits of a float, `members` the order
//! of keys, and `invalid` the errors. `token` provides the same parsing to other readers.

mod float;
mod input;
mod invalid;
mod members;
mod number;
mod parser;
mod string;
mod swar;
mod token;

use crate::hex::sha256;

pub use invalid::{Expected, Invalid, Reason};
pub use token::{Number, Tokens};

/// Maximum nesting of objects and arrays; the top level is depth 1. It bounds the work of ordering
/// keys, and the stack, by a fixed multiple of the input.
pub const DEPTH_MAX: usize = 64;
/// Longest input and longest canonical form, in bytes.
pub const BYTES_MAX: usize = 1 << 20;
/// Longest integer, in digits: CPython's default `sys.get_int_max_str_digits()`.
pub const INT_DIGITS_MAX: usize = 4_300;

/// Returns the canonical form of a JSON object: ASCII, keys in code point order, `", "` and `": "`
/// as separators.
///
/// ```
/// use signoff_core::context::canonicalize;
///
/// assert_eq!(canonicalize(r#"{"b":1e5,"a":"é"}"#).unwrap(), r#"{"a": "\u00e9", "b": 100000.0}"#);
/// assert_eq!(
///     canonicalize(r#"{"a":1, "a":2}"#).unwrap_err().to_string(),
///     "duplicate key `a` at byte 8",
/// );
/// ```
///
/// # Errors
///
/// [`Invalid`], with the first [`Reason`] in text order. Two are out of order: an input over
/// [`BYTES_MAX`] is refused before it is parsed, and a duplicate key at the end of its object.
pub fn canonicalize(text: &str) -> Result<String, Invalid> {
    parser::canonical(text).map(into_text)
}

/// Returns the SHA-256 of the canonical form, as 64 lower-case hex characters.
///
/// # Errors
///
/// As [`canonicalize`].
pub fn digest(text: &str) -> Result<String, Invalid> {
    parser::canonical(text).map(|canonical| sha256(&canonical))
}

/// Returns the canonical form and its digest from one pass.
///
/// # Errors
///
/// As [`canonicalize`].
pub fn canonicalize_and_digest(text: &str) -> Result<(String, String), Invalid> {
    let canonical = parser::canonical(text)?;
    let digest = sha256(&canonical);
    Ok((into_text(canonical), digest))
}

fn into_text(canonical: Vec<u8>) -> String {
    #[expect(clippy::expect_used, reason = "every byte the parser writes is ASCII")]
    String::from_utf8(canonical).expect("the canonical form is ASCII")
}
