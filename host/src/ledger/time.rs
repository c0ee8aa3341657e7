//! The service's time: the wall clock, checked against the audit log and the monotonic clock.
//!
//! A clock that is set back would revive expired approvals. A clock that is set forward would
//! expire valid ones, and put a time into the log that no later entry may precede. So writes stop
//! if the clock
//!
//! - is more than 60 s behind the last entry (`clock-behind`),
//! - gained more than 60 s on the monotonic clock since the start (`clock-ahead`), or
//! - is more than 30 days after the last entry (`clock-ahead`). A running server writes one entry a
//!   day, so only a stopped server leaves such a gap, and an operator confirms the clock at its
//!   next start.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use signoff_core::time::UnixSeconds;

use crate::clock::Clock;
use crate::code::Code;
use crate::refusal::Refusal;

/// How far the clock may be behind the last entry.
const BEHIND_SECONDS_MAX: u64 = 60;
/// How much the clock may gain on the monotonic clock.
const GAIN_SECONDS_MAX: u64 = 60;
/// How far the clock may be ahead of the last entry before an operator must confirm it.
const GAP_SECONDS_MAX: u64 = 30 * 86_400;
/// Time without an entry after which the time is recorded.
const RECORD_AFTER_SECONDS: u64 = 86_400;

/// The time of a service.
pub(crate) struct Time {
    clock: Arc<dyn Clock>,
    /// The wall clock at the start.
    began: u64,
    /// The monotonic clocks at the start: without and with time asleep.
    began_elapsed: u64,
    began_uptime: Option<u64>,
    /// The time of the last entry; 0 if there is none.
    last: AtomicU64,
}

impl Time {
    /// Begins to measure time now. `last` is the time of the last entry, 0 if there is none.
    pub(crate) fn new(clock: Arc<dyn Clock>, last: u64) -> Self {
        let (began, began_elapsed, began_uptime) = (clock.now(), clock.elapsed(), clock.uptime());
        Self { clock, began, began_elapsed, began_uptime, last: AtomicU64::new(last) }
    }

    /// Returns the time for reads. It is never earlier than the last entry, so that an expired
    /// approval stays expired.
    pub(crate) fn now(&self) -> u64 {
        self.clock.now().max(self.last())
    }

    /// Returns the time for a write.
    ///
    /// Refusals: `clock-behind`, `clock-ahead`.
    pub(crate) fn to_write(&self) -> Result<u64, Refusal> {
        let now = self.to_write_after_a_gap()?;
        self.gap().map_or(Ok(now), |why| Err(Refusal::new(Code::CLOCK_AHEAD, why)))
    }

    /// Returns the time for a write after an operator confirmed the clock: a long gap is allowed.
    ///
    /// Refusals: `clock-behind`, `clock-ahead`.
    pub(crate) fn to_write_after_a_gap(&self) -> Result<u64, Refusal> {
        if let Some(behind) = self.behind() {
            let why = format!("the clock is {behind} s behind the last commit");
            return Err(Refusal::new(Code::CLOCK_BEHIND, why));
        }
        let clock = self.clock.now();
        // An entry with such a time could not be read again.
        if let Err(e) = UnixSeconds::new(clock) {
            return Err(Refusal::new(Code::CLOCK_AHEAD, format!("the clock: {}", e.message)));
        }
        let gained = self.gained(clock);
        if gained > GAIN_SECONDS_MAX {
            let why = format!(
                "the clock gained {gained} s on the monotonic clock since the start; correct it, or restart signoff if it is correct now"
            );
            return Err(Refusal::new(Code::CLOCK_AHEAD, why));
        }
        Ok(clock.max(self.last()))
    }

    /// Returns how much the wall clock gained on the monotonic clock.
    fn gained(&self, clock: u64) -> u64 {
        let since = clock.saturating_sub(self.began);
        let awake = self.clock.elapsed().saturating_sub(self.began_elapsed);
        let gained = since.saturating_sub(awake);
        if gained <= GAIN_SECONDS_MAX {
            return gained;
        }
        // The machine may have slept. Reading the uptime is slower.
        let uptime = self.clock.uptime().zip(self.began_uptime);
        let passed = uptime.map_or(awake, |(now, began)| now.saturating_sub(began));
        since.saturating_sub(passed.max(awake))
    }

    /// Returns how far the clock is behind the last entry, if that is too far to write.
    pub(crate) fn behind(&self) -> Option<u64> {
        let behind = self.last().saturating_sub(self.clock.now());
        (behind > BEHIND_SECONDS_MAX).then_some(behind)
    }

    /// Describes the gap if the clock is too far ahead of the last entry.
    pub(crate) fn gap(&self) -> Option<String> {
        let (clock, last) = (self.clock.now(), self.last());
        let gap = clock.saturating_sub(last);
        (last > 0 && gap > GAP_SECONDS_MAX).then(|| {
            format!(
                "the clock says {}, {} days after the last audit entry ({}); if the clock is right, start with `signoff serve --accept-clock`",
                rfc3339(clock),
                gap / 86_400,
                rfc3339(last)
            )
        })
    }

    /// Returns whether a day passed since the last entry.
    pub(crate) fn is_due(&self) -> bool {
        let last = self.last();
        last > 0 && self.clock.now().saturating_sub(last) >= RECORD_AFTER_SECONDS
    }

    /// Returns the time of the last entry; 0 if there is none.
    pub(crate) fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    /// Notes that an entry with this time was committed.
    pub(crate) fn kept(&self, at: u64) {
        self.last.fetch_max(at, Ordering::AcqRel);
    }
}

/// Formats a time as the verifier does.
pub(crate) fn rfc3339(seconds: u64) -> String {
    UnixSeconds::new(seconds)
        .map_or_else(|_| format!("{seconds} s after 1970"), UnixSeconds::rfc3339)
}
