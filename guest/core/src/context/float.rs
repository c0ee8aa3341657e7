//! Floats as CPython's `repr` writes them: the shortest digits that parse to the same number.

/// Maximum number of digits, before and after the point together, for which [`is_canonical`]
/// inspects the text alone.
const DIGITS_MAX: usize = f64::DIGITS as usize;

/// Maximum length of a literal that is passed to the standard library unchanged. The library stops
/// reading an exponent beyond 65,535, and a longer literal can have enough zeros to compensate for
/// such an exponent.
const LITERAL_BYTES_MAX: usize = 1_024;

/// Number of significant digits that determine to which float a literal rounds: a float has at most
/// 767, the midpoint between two has one more, and the rest matters only as zero or nonzero.
const SIGNIFICANT_DIGITS_MAX: usize = 768;

/// Returns whether a float's literal without an exponent is certainly what `repr` would print for
/// it. `false` means unknown.
///
/// No two decimals of 15 digits or fewer are the same float, so if no digit can be dropped, no
/// shorter text parses to the same float.
#[inline]
pub(super) fn is_canonical(literal: &str) -> bool {
    let magnitude = literal.strip_prefix('-').unwrap_or(literal);
    let exact = magnitude.len() <= DIGITS_MAX + ".".len();
    let trailing_zero = magnitude.ends_with('0') && !magnitude.ends_with(".0");
    let below_fixed = magnitude.starts_with("0.0000");
    exact && !trailing_zero && !below_fixed
}

/// Returns the float nearest to a JSON literal, ties to even; `None` if it is infinite.
pub(super) fn parse(literal: &str) -> Option<f64> {
    let value: f64 = if literal.len() > LITERAL_BYTES_MAX {
        shortened(literal).parse().ok()?
    } else {
        literal.parse().ok()?
    };
    value.is_finite().then_some(value)
}

/// Returns a literal with fewer digits for the same float.
fn shortened(literal: &str) -> String {
    let (mantissa, exponent) = literal.split_once(['e', 'E']).unwrap_or((literal, "0"));
    let (sign, magnitude) = match mantissa.strip_prefix('-') {
        Some(magnitude) => ("-", magnitude),
        None => ("", mantissa),
    };
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    let zeros = digits().take_while(|&digit| digit == b'0').count();

    let mut significant: String =
        digits().skip(zeros).take(SIGNIFICANT_DIGITS_MAX).map(char::from).collect();
    if digits().skip(zeros + SIGNIFICANT_DIGITS_MAX).any(|digit| digit != b'0') {
        significant.push('1');
    }
    // No literal has enough digits to compensate for an exponent beyond 64 bits.
    let beyond = if exponent.starts_with('-') { i64::MIN } else { i64::MAX };
    let exponent = exponent.parse().unwrap_or(beyond);
    let point = signed(whole.len()) - signed(zeros);
    format!("{sign}0.{significant}e{}", point.saturating_add(exponent))
}

/// Writes a finite float: in fixed form from 0.0001 to below 1e16, otherwise with an exponent of
/// two digits or more.
pub(super) fn write(value: f64, out: &mut Vec<u8>) {
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let mut buffer = zmij::Buffer::new();
    let shortest = buffer.format_finite(value.abs());
    // The digits are the same; two kinds of small numbers differ in notation.
    if let Some(digits) = shortest.strip_prefix("0.0000") {
        write_below_fixed(digits, out);
    } else if let Some((mantissa, digit)) = one_digit_exponent(shortest) {
        out.extend_from_slice(mantissa.as_bytes());
        out.extend_from_slice(b"e-0");
        out.extend_from_slice(digit.as_bytes());
    } else {
        out.extend_from_slice(shortest.as_bytes());
    }
}

/// Writes `0.0000123` as `1.23e-05`: the only power of ten for which the two use different forms.
fn write_below_fixed(digits: &str, out: &mut Vec<u8>) {
    let mut digits = digits.bytes();
    out.extend(digits.next());
    if digits.len() > 0 {
        out.push(b'.');
        out.extend(digits);
    }
    out.extend_from_slice(b"e-05");
}

/// Splits `1.23e-6` into its two parts; `None` if the exponent has two digits or is not negative.
fn one_digit_exponent(shortest: &str) -> Option<(&str, &str)> {
    shortest.split_once("e-").filter(|(_, exponent)| exponent.len() == 1)
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn a_literal_kept_unchanged_equals_its_conversion() {
        let fractions = ["0", "1", "5", "05", "001", "0001", "00001", "10", "123456789", "99999"];
        let wholes = ["0", "1", "9", "10", "123", "99999", "1234567890", "99999999999999"];
        let more = ["", "9", "12345", "000000001", "0000000009", "123456789012345"];
        let mut taken = 0;
        for (whole, fraction, more) in product(&wholes, &fractions, &more) {
            let literal = format!("-{whole}.{fraction}{more}");
            if is_canonical(&literal) {
                assert_eq!(converted(&literal), literal);
                taken += 1;
            }
        }
        assert!(taken > 100, "{taken}");
    }

    #[test]
    fn a_shortened_literal_is_the_same_float() {
        for whole in ["0", "1", "900", "9007199254740993", "179769313486231580793728971405303415"] {
            for fraction in ["0", "000", "25", "0004", "11102230246251565404236316680908203125"] {
                for exponent in ["", "e0", "e-5", "E+7", "e-320", "e-0000000330", "e270"] {
                    let literal = format!("-{whole}.{fraction}{exponent}");
                    let short: f64 = shortened(&literal).parse().unwrap();
                    let exact: f64 = literal.parse().unwrap();
                    assert_eq!(short.to_bits(), exact.to_bits(), "{literal}");
                }
            }
        }
    }

    #[test]
    fn exponents_of_any_length_are_parsed() {
        let zeros = "0".repeat(700_000);
        assert_eq!(parse(&format!("0.{zeros}1e700001")), Some(1.0));
        assert_eq!(parse(&format!("1{zeros}e-700000")), Some(1.0));
        assert_eq!(parse(&format!("1{zeros}.5e-99999999999999999999")), Some(0.0));
        assert_eq!(parse(&format!("0.{zeros}1e99999999999999999999")), None);
        assert_eq!(parse(&format!("0.{zeros}e99999999999999999999")), Some(0.0));
    }

    fn converted(literal: &str) -> String {
        let mut out = Vec::new();
        write(parse(literal).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn product<'a>(
        a: &'a [&str],
        b: &'a [&str],
        c: &'a [&str],
    ) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
        a.iter().flat_map(move |a| b.iter().flat_map(move |b| c.iter().map(move |c| (*a, *b, *c))))
    }
}
