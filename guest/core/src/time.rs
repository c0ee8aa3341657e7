//! Whole Unix seconds and their two text forms. Each moment has one text of fixed length in each
//! form. Both are written and parsed digit by digit, because records contain several times and are
//! read in every call.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::rejection::Rejection;

/// 9999-12-31T23:59:59Z: later years have no RFC 3339 form.
const SECONDS_MAX: u64 = 253_402_300_799;

/// A moment in whole seconds since 1970-01-01T00:00:00Z. Serialized as RFC 3339 with `Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixSeconds(DateTime<Utc>);

impl UnixSeconds {
    /// Creates the moment at a number of seconds.
    ///
    /// Rejections: `request-invalid` past the year 9999.
    pub fn new(seconds: u64) -> Result<Self, Rejection> {
        i64::try_from(seconds)
            .ok()
            .filter(|_| seconds <= SECONDS_MAX)
            .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
            .map(Self)
            .ok_or_else(|| Rejection::request(format!("time `{seconds}` is past the year 9999")))
    }

    /// Returns the number of seconds.
    pub fn seconds(self) -> u64 {
        self.0.timestamp().unsigned_abs()
    }

    /// Returns the moment `seconds` later.
    ///
    /// Rejections: `request-invalid` past the year 9999.
    pub fn plus(self, seconds: u64) -> Result<Self, Rejection> {
        Self::new(self.seconds().saturating_add(seconds))
    }

    /// Formats the moment as `2025-10-17T11:30:00Z`.
    pub fn rfc3339(self) -> String {
        self.written("Z")
    }

    /// Formats the moment as `2025-10-17T11:30:00+00:00`, like Python's `isoformat()` for an aware
    /// UTC datetime.
    pub fn isoformat(self) -> String {
        self.written("+00:00")
    }

    /// Parses the format of [`Self::rfc3339`] and no other.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.as_bytes();
        let year = number(&mut rest, 4, b'-')?;
        let month = number(&mut rest, 2, b'-')?;
        let day = number(&mut rest, 2, b'T')?;
        let hour = number(&mut rest, 2, b':')?;
        let minute = number(&mut rest, 2, b':')?;
        let second = number(&mut rest, 2, b'Z')?;
        let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
        let moment = date.and_hms_opt(hour, minute, second)?.and_utc();
        (rest.is_empty() && moment.timestamp() >= 0).then_some(Self(moment))
    }

    fn written(self, zone: &str) -> String {
        let (date, time) = (self.0.date_naive(), self.0.time());
        let year = date.year().unsigned_abs();
        let [[c1, c2], [y1, y2]] = [year / 100, year % 100].map(two_digits);
        let [[m1, m2], [d1, d2]] = [date.month(), date.day()].map(two_digits);
        let [[h1, h2], [n1, n2], [s1, s2]] =
            [time.hour(), time.minute(), time.second()].map(two_digits);
        let digits =
            [c1, c2, y1, y2, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2];
        let mut text = String::with_capacity("2025-10-17T11:30:00+00:00".len());
        text.push_str(str::from_utf8(&digits).unwrap_or_default());
        text.push_str(zone);
        text
    }
}

impl Serialize for UnixSeconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.rfc3339())
    }
}

impl<'de> Deserialize<'de> for UnixSeconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Rfc3339)
    }
}

struct Rfc3339;

impl Visitor<'_> for Rfc3339 {
    type Value = UnixSeconds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time like `2025-10-17T11:30:00Z`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<UnixSeconds, E> {
        UnixSeconds::parse(text).ok_or_else(|| {
            E::custom(format!("expected a time like `2025-10-17T11:30:00Z`, found `{text}`"))
        })
    }
}

/// Returns the last two decimal digits.
fn two_digits(number: u32) -> [u8; 2] {
    [number / 10, number].map(|digit| b'0' + u8::try_from(digit % 10).unwrap_or_default())
}

/// Parses `digits` decimal digits and the byte that must follow them.
fn number(rest: &mut &[u8], digits: usize, after: u8) -> Option<u32> {
    let (number, left) = rest.split_at_checked(digits)?;
    let (found, left) = left.split_first()?;
    *rest = left;
    let digit = |number: u32, b: &u8| b.is_ascii_digit().then(|| number * 10 + u32::from(b - b'0'));
    number.iter().try_fold(0, digit).filter(|_| *found == after)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on may stop")]
mod tests {
    use chrono::SecondsFormat;

    use super::*;

    #[test]
    fn times_are_written_as_chrono_writes_them_and_read_back() {
        // A prime step, so that all times of day and days of a year occur.
        for seconds in (0..=SECONDS_MAX).step_by(7_918_769).chain([SECONDS_MAX]) {
            let time = UnixSeconds::new(seconds).unwrap();
            let moment = DateTime::from_timestamp(i64::try_from(seconds).unwrap(), 0).unwrap();
            assert_eq!(time.rfc3339(), moment.to_rfc3339_opts(SecondsFormat::Secs, true));
            assert_eq!(time.isoformat(), moment.to_rfc3339_opts(SecondsFormat::Secs, false));
            assert_eq!(UnixSeconds::parse(&time.rfc3339()), Some(time));
        }
    }

    #[test]
    fn only_the_written_form_is_parsed() {
        for text in [
            "",
            "2025-10-17",
            "2025-10-17T11:30:00",
            "2025-10-17T11:30:00+00:00",
            "2025-10-17T11:30:00.0Z",
            "2025-10-17t11:30:00Z",
            "2025-10-17 11:30:00Z",
            "2025-10-17T11:30:00z",
            "2025-10-17T11:30:00Z ",
            " 2025-10-17T11:30:00Z",
            "2025-1-17T11:30:00Z",
            "+2025-10-17T11:30:00Z",
            "12025-10-17T11:30:00Z",
            "2025-13-17T11:30:00Z",
            "2025-02-29T11:30:00Z",
            "2025-10-17T24:00:00Z",
            "2025-10-17T23:59:60Z",
            "1969-12-31T23:59:59Z",
            "2025-10-1٧T11:30:00Z",
        ] {
            assert_eq!(UnixSeconds::parse(text), None, "{text}");
        }
        assert!(UnixSeconds::parse("2024-02-29T23:59:59Z").is_some());
    }
}
