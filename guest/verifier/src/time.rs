//! Whole unix seconds, and the two ways they are written.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::rejection::Rejection;

/// 9999-12-31T23:59:59Z: later years have no RFC 3339 form.
const SECONDS_MAX: u64 = 253_402_300_799;

/// A moment in whole seconds since 1970-01-01T00:00:00Z. JSON shows it as RFC 3339 with `Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixSeconds(DateTime<Utc>);

impl UnixSeconds {
    /// The moment at a number of seconds.
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

    /// The number of seconds.
    pub fn seconds(self) -> u64 {
        self.0.timestamp().unsigned_abs()
    }

    /// The moment `seconds` later.
    ///
    /// Rejections: `request-invalid` past the year 9999.
    pub fn plus(self, seconds: u64) -> Result<Self, Rejection> {
        Self::new(self.seconds().saturating_add(seconds))
    }

    /// `2025-10-17T11:30:00Z`.
    pub fn rfc3339(self) -> String {
        self.0.to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    /// `2025-10-17T11:30:00+00:00`, as Python's `isoformat()` prints an aware UTC datetime.
    pub fn isoformat(self) -> String {
        self.0.to_rfc3339_opts(SecondsFormat::Secs, false)
    }

    /// Reads what [`Self::rfc3339`] writes, and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let moment = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
        let moment = Self::new(u64::try_from(moment.timestamp()).ok()?).ok()?;
        (moment.rfc3339() == text).then_some(moment)
    }
}

impl Serialize for UnixSeconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.rfc3339())
    }
}

impl<'de> Deserialize<'de> for UnixSeconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "expected a time like `2025-10-17T11:30:00Z`, found `{text}`"
            ))
        })
    }
}
