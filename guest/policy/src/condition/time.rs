//! Durations and timestamps as CEL writes them. The `cel` crate's own readers accept more: several
//! signs, exponents, text after the last unit, a blank for the `T`, leap seconds.

use chrono::{DateTime, Datelike, FixedOffset, TimeDelta};

/// Nanoseconds of each unit, the longer names first.
const UNITS: [(&str, u64); 6] = [
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
];

/// Parses a duration: one sign at most, then decimals with a unit each, or `0`; at most 2^63 - 1 ns in
/// either direction. A part of a nanosecond is cut, with the rounding of cel-go.
///
/// # Errors
///
/// Anything else.
pub(super) fn duration(text: &str) -> Result<TimeDelta, String> {
    nanoseconds(text).map(TimeDelta::nanoseconds).ok_or_else(|| {
        format!(
            "`{}` is not a duration, expected one sign at most and decimals with the units h, m, s, ms, us or ns, as in `1h30m`",
            text.escape_debug()
        )
    })
}

fn nanoseconds(text: &str) -> Option<i64> {
    let (is_negative, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => (true, unsigned),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if unsigned == "0" {
        return Some(0);
    }
    let mut rest = unsigned;
    let mut total: u64 = 0;
    loop {
        let (whole, after) = digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let unit = |(name, unit): &(&str, u64)| Some((*unit, after.strip_prefix(name)?));
        let (unit, after) = UNITS.iter().find_map(unit)?;
        let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
        total = total.checked_add(whole.checked_mul(unit)?)?.checked_add(part(fraction, unit))?;
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    let total = i64::try_from(total).ok()?;
    Some(if is_negative { -total } else { total })
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(end)
}

/// Returns a fraction of a unit. Digits beyond 63 bits do not change it.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "cel-go multiplies as doubles and cuts; the product is below the unit"
)]
fn part(fraction: &str, unit: u64) -> u64 {
    let (mut value, mut scale) = (0_u64, 1.0_f64);
    for digit in fraction.bytes() {
        let longer =
            value.checked_mul(10).and_then(|tens| tens.checked_add(u64::from(digit - b'0')));
        let Some(longer) = longer.filter(|longer| *longer <= 1 << 63) else { break };
        value = longer;
        scale *= 10.0;
    }
    (value as f64 * (unit as f64 / scale)) as u64
}

/// Parses a timestamp: RFC 3339 in upper case, with at most nine digits after the second's point, of the
/// years 1 to 9999 in UTC. The result is in UTC: CEL's `getHours()` without a zone is that of UTC, and
/// whoever wrote the text must not choose another by its offset.
///
/// # Errors
///
/// Anything else.
pub(super) fn timestamp(text: &str) -> Result<DateTime<FixedOffset>, String> {
    let parsed = fits(text.as_bytes()).and_then(|()| DateTime::parse_from_rfc3339(text).ok());
    let parsed = parsed.map(|time| time.to_utc().fixed_offset());
    parsed.filter(in_range).ok_or_else(|| {
        format!(
            "`{}` is not a timestamp, expected RFC 3339 as in `2026-01-31T12:30:00Z`",
            text.escape_debug()
        )
    })
}

/// Returns the timestamp of Unix seconds.
///
/// # Errors
///
/// It is not of the years 1 to 9999.
pub(super) fn from_unix_seconds(seconds: i64) -> Result<DateTime<FixedOffset>, String> {
    let time = DateTime::from_timestamp(seconds, 0).map(|time| time.fixed_offset());
    time.filter(in_range)
        .ok_or_else(|| format!("{seconds} s is not a timestamp of the years 1 to 9999"))
}

fn in_range(time: &DateTime<FixedOffset>) -> bool {
    (1..=9999).contains(&time.to_utc().year())
}

fn fits(text: &[u8]) -> Option<()> {
    let (time, offset) = text.split_at_checked(19)?;
    shaped(time, b"0000-00-00T00:00:00")?;
    // RFC 3339 has a leap second, CEL's timestamps do not.
    (time.get(17..)? < b"60".as_slice()).then_some(())?;
    let offset = match offset.strip_prefix(b".") {
        Some(fraction) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            (1..=9).contains(&digits).then_some(())?;
            fraction.get(digits..)?
        }
        None => offset,
    };
    if offset == b"Z" {
        return Some(());
    }
    let hours = offset.strip_prefix(b"+").or_else(|| offset.strip_prefix(b"-"))?;
    shaped(hours, b"00:00")?;
    (hours.get(..2)? < b"24".as_slice() && hours.get(3..)? < b"60".as_slice()).then_some(())
}

/// Returns whether a text has a digit for each `0` of a form, and is the form elsewhere.
fn shaped(text: &[u8], form: &[u8]) -> Option<()> {
    let fits =
        |(byte, form): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form };
    (text.len() == form.len() && text.iter().zip(form).all(fits)).then_some(())
}
