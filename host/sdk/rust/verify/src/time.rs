//! The verifier's representation of time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Whole seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(transparent)]
pub struct UnixSeconds(pub u64);

impl UnixSeconds {
    /// Parses the form that the API shows, `2025-10-17T11:30:00Z`, and no other.
    pub fn parse(text: &str) -> Option<Self> {
        signoff_verifier::time::UnixSeconds::parse(text).map(|time| Self(time.seconds()))
    }
}

impl From<u64> for UnixSeconds {
    fn from(seconds: u64) -> Self {
        Self(seconds)
    }
}

/// A time before 1970 becomes 1970, at which no approval existed, so that nothing verifies.
impl From<SystemTime> for UnixSeconds {
    fn from(time: SystemTime) -> Self {
        Self(time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs())
    }
}
