//! Strings: the text between the quotes.

use std::iter;

use super::input::{Fault, Input, invalid};
use super::invalid::{Expected, Reason};
use super::{BYTES_MAX, swar};

/// Copies the string whose opening quote comes next, escaping everything but printable ASCII.
/// Returns whether the input had escapes.
pub(super) fn copy(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<bool, Fault> {
    let start = input.at;
    let mut escaped = false;
    out.push(b'"');
    input.at += 1;
    loop {
        input.copy_until(out, swar::not_plain);
        match input.peek() {
            Some(b'"') => {
                out.push(b'"');
                input.at += 1;
                return Ok(escaped);
            }
            Some(byte @ (b' '..=b'[' | b']'..=b'~')) => {
                out.push(byte);
                input.at += 1;
            }
            other => {
                escaped |= other == Some(b'\\');
                write_escaped(character(input)?, out);
            }
        }
        // A byte can become six; without this check a short text could make a long buffer.
        if out.len() > BYTES_MAX {
            return Err(invalid(start, Reason::CanonicalTooLong));
        }
    }
}

/// Decodes a string. `spelled` is the text between the quotes of a string that [`copy`] has
/// accepted.
pub(super) fn characters(spelled: &str) -> impl Iterator<Item = char> {
    let mut input = Input::new(spelled);
    iter::from_fn(move || character(&mut input).ok())
}

/// Returns the canonical form of a string, without its quotes.
pub(super) fn escaped(characters: impl Iterator<Item = char>) -> String {
    let mut out = Vec::new();
    characters.for_each(|c| write_escaped(c, &mut out));
    super::into_text(out)
}

/// Reads one character, escaped or not.
fn character(input: &mut Input<'_>) -> Result<char, Fault> {
    match input.peek_char() {
        None => Err(input.unexpected(Expected::ClosingQuote)),
        Some('\\') => escape(input),
        Some('\0'..='\x1f') => Err(invalid(input.at, Reason::ControlCharacter)),
        Some(c) => {
            input.at += c.len_utf8();
            Ok(c)
        }
    }
}

/// Reads the escape whose backslash comes next.
fn escape(input: &mut Input<'_>) -> Result<char, Fault> {
    let c = match input.rest().get(1) {
        Some(&c @ (b'"' | b'\\' | b'/')) => c.into(),
        Some(b'b') => '\x08',
        Some(b'f') => '\x0c',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode_escape(input),
        _ => return Err(invalid(input.at, Reason::EscapeInvalid)),
    };
    input.at += 2;
    Ok(c)
}

/// Reads `\uXXXX`, or both halves of a surrogate pair.
fn unicode_escape(input: &mut Input<'_>) -> Result<char, Fault> {
    let start = input.at;
    let high = code_unit(input).ok_or_else(|| invalid(start, Reason::EscapeInvalid))?;
    if let Some(c) = char::from_u32(high.into()) {
        return Ok(c);
    }
    let low = code_unit(input).unwrap_or_default();
    match char::decode_utf16([high, low]).next() {
        Some(Ok(c)) => Ok(c),
        _ => Err(invalid(start, Reason::LoneSurrogate)),
    }
}

/// Reads `\uXXXX` if it comes next.
fn code_unit(input: &mut Input<'_>) -> Option<u16> {
    let &[b'\\', b'u', a, b, c, d] = input.rest().first_chunk()? else {
        return None;
    };
    let unit = [a, b, c, d].into_iter().try_fold(0, |unit, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            b'A'..=b'F' => digit - b'A' + 10,
            _ => return None,
        };
        Some(unit << 4 | u16::from(value))
    })?;
    input.at += 6;
    Some(unit)
}

fn write_escaped(c: char, out: &mut Vec<u8>) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\x08' => out.extend_from_slice(b"\\b"),
        '\x0c' => out.extend_from_slice(b"\\f"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        ' '..='~' => out.extend(u8::try_from(c)),
        _ => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let [high, low] = unit.to_be_bytes();
                let [a, b] = hex_digits(high);
                let [c, d] = hex_digits(low);
                out.extend_from_slice(&[b'\\', b'u', a, b, c, d]);
            }
        }
    }
}

fn hex_digits(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 0xf].map(|digit| if digit < 10 { b'0' + digit } else { b'a' + digit - 10 })
}
