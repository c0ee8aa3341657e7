//! Numbers: integers of any size and floats.

use super::input::{Fault, Input, invalid};
use super::invalid::{Expected, Reason};
use super::{INT_DIGITS_MAX, float, swar};

/// Copies the number that starts at the next byte, a sign or a digit.
pub(super) fn copy(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let (start, written) = (input.at, out.len());
    if input.eat(b'-') {
        if input.rest().starts_with(b"Infinity") {
            return Err(invalid(start, Reason::NotFinite));
        }
        out.push(b'-');
    }
    let (first, digits_at) = (input.peek(), input.at);
    copy_digits(input, out)?;
    let digits = input.at - digits_at;
    if first == Some(b'0') && digits > 1 {
        return Err(invalid(digits_at, Reason::LeadingZero));
    }
    if let Some(b'.' | b'e' | b'E') = input.peek() {
        return copy_float(input, start, out, written);
    }
    if digits > INT_DIGITS_MAX {
        return Err(invalid(start, Reason::IntegerTooLong));
    }
    if first == Some(b'0') {
        // Integers have no negative zero; floats do.
        out.truncate(written);
        out.push(b'0');
    }
    Ok(())
}

/// Copies the rest of a float whose integer part is already copied. The number starts at `start` in
/// the input and at `written` in the output.
fn copy_float(
    input: &mut Input<'_>,
    start: usize,
    out: &mut Vec<u8>,
    written: usize,
) -> Result<(), Fault> {
    if input.eat(b'.') {
        out.push(b'.');
        copy_digits(input, out)?;
    }
    let exponent = input.eat(b'e') || input.eat(b'E');
    if exponent {
        let _sign = input.eat(b'-') || input.eat(b'+');
        copy_digits(input, out)?;
    }
    let literal = input.text(start..input.at);
    if !exponent && float::is_canonical(literal) {
        return Ok(());
    }
    out.truncate(written);
    let value = float::parse(literal).ok_or_else(|| invalid(start, Reason::FloatTooLarge))?;
    float::write(value, out);
    Ok(())
}

/// Copies one or more digits.
#[inline]
fn copy_digits(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let start = input.at;
    input.copy_until(out, swar::not_digit);
    while let Some(digit @ b'0'..=b'9') = input.peek() {
        out.push(digit);
        input.at += 1;
    }
    if input.at == start {
        return Err(input.unexpected(Expected::Digit));
    }
    Ok(())
}
