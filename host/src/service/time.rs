//! What time it is for the service: the clock, held to the audit log and to a clock that nobody can set.
//!
//! A clock that is set back would bring expired approvals back. One that is set forward would expire
//! what still holds, and leave a time in the log that no later entry may precede. So writing stops
//! where the clock
//!
//! - is more than 60 s behind the last entry (`clock-behind`),
//! - gained more than 60 s on the time that passed since the start (`clock-ahead`), or
//! - is more than 30 days after the last entry (`clock-ahead`): a running server writes one a day, so
//!   nothing but a stopped one leaves such a gap, and its next start is asked whether the clock is right.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use signoff_core::time::UnixSeconds;

use super::note::rfc3339;
use crate::clock::Clock;
use crate::code::Code;
use crate::refusal::Refusal;

/// How far the clock may be behind the last entry before writes stop.
const BEHIND_SECONDS_MAX: u64 = 60;
/// How far the clock may get ahead of the time that passed before writes stop.
const GAIN_SECONDS_MAX: u64 = 60;
/// How far the clock may be ahead of the last entry before somebody has to say that it is right.
const GAP_SECONDS_MAX: u64 = 30 * 86_400;
/// After this long without an entry the time is recorded.
const RECORD_AFTER_SECONDS: u64 = 86_400;

/// The time of a service.
pub(super) struct Time {
    clock: Arc<dyn Clock>,
    /// The clock at the start.
    began: u64,
    /// The clocks that nobody can set, at the start.
    began_elapsed: u64,
    began_uptime: Option<u64>,
    /// The time of the last entry; 0 if there is none.
    last: AtomicU64,
}

impl Time {
    /// Begins now, with the time of the last entry.
    pub(super) fn new(clock: Arc<dyn Clock>, last: u64) -> Self {
        let (began, began_elapsed, began_uptime) = (clock.now(), clock.elapsed(), clock.uptime());
        Self { clock, began, began_elapsed, began_uptime, last: AtomicU64::new(last) }
    }

    /// The time to read at. It never goes back behind an entry: an approval that was seen to expire
    /// stays expired.
    pub(super) fn now(&self) -> u64 {
        self.clock.now().max(self.last())
    }

    /// The time to write at.
    ///
    /// Refusals: `clock-behind`, `clock-ahead`.
    pub(super) fn to_write(&self) -> Result<u64, Refusal> {
        let now = self.to_write_after_a_gap()?;
        self.gap().map_or(Ok(now), |why| Err(Refusal::new(Code::CLOCK_AHEAD, why)))
    }

    /// The time to write at where somebody says that the clock is right after a long gap.
    ///
    /// Refusals: `clock-behind`, `clock-ahead`.
    pub(super) fn to_write_after_a_gap(&self) -> Result<u64, Refusal> {
        if let Some(behind) = self.behind() {
            let why = format!("the clock is {behind} s behind the last commit");
            return Err(Refusal::new(Code::CLOCK_BEHIND, why));
        }
        let clock = self.clock.now();
        // No entry could be read again.
        if let Err(e) = UnixSeconds::new(clock) {
            return Err(Refusal::new(Code::CLOCK_AHEAD, format!("the clock: {}", e.message)));
        }
        let gained = self.gained(clock);
        if gained > GAIN_SECONDS_MAX {
            let why = format!(
                "the clock gained {gained} s on the time that passed since the start; set it right, or restart signoff if it is right now"
            );
            return Err(Refusal::new(Code::CLOCK_AHEAD, why));
        }
        Ok(clock.max(self.last()))
    }

    /// How much the clock gained on the time that passed.
    fn gained(&self, clock: u64) -> u64 {
        let since = clock.saturating_sub(self.began);
        let awake = self.clock.elapsed().saturating_sub(self.began_elapsed);
        let gained = since.saturating_sub(awake);
        if gained <= GAIN_SECONDS_MAX {
            return gained;
        }
        // The machine may have slept; to look costs more.
        let uptime = self.clock.uptime().zip(self.began_uptime);
        let passed = uptime.map_or(awake, |(now, began)| now.saturating_sub(began));
        since.saturating_sub(passed.max(awake))
    }

    /// How far the clock is behind the last entry, where that is too far to write.
    pub(super) fn behind(&self) -> Option<u64> {
        let behind = self.last().saturating_sub(self.clock.now());
        (behind > BEHIND_SECONDS_MAX).then_some(behind)
    }

    /// What is wrong with a clock that is long after the last entry.
    pub(super) fn gap(&self) -> Option<String> {
        let (clock, last) = (self.clock.now(), self.last());
        let gap = clock.saturating_sub(last);
        (last > 0 && gap > GAP_SECONDS_MAX).then(|| {
            format!(
                "the clock says {}, {} days after the last audit entry ({}); if the clock is right, `signoff serve --accept-clock` goes on",
                rfc3339(clock),
                gap / 86_400,
                rfc3339(last)
            )
        })
    }

    /// Whether it is a day since the last entry.
    pub(super) fn is_due(&self) -> bool {
        let last = self.last();
        last > 0 && self.clock.now().saturating_sub(last) >= RECORD_AFTER_SECONDS
    }

    /// The time of the last entry; 0 if there is none.
    pub(super) fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    /// Notes that an entry of this time was kept.
    pub(super) fn kept(&self, at: u64) {
        self.last.fetch_max(at, Ordering::AcqRel);
    }
}
