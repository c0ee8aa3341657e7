//! The check of the clock at a start.

use super::{StartChecks, StartError};
use crate::caller::Caller;
use crate::ledger::{Event, Note, rfc3339};
use crate::refusal::Refusal;

/// An accepted gap between the last entry and the clock.
pub(super) struct Gap {
    last: u64,
}

impl StartChecks {
    /// Returns the gap to record if the clock is too far ahead of the last entry and the operator
    /// accepted that.
    ///
    /// Errors: [`StartError::Clock`] if the operator did not.
    pub(super) fn gap_to_accept(&self, accepted: bool) -> Result<Option<Gap>, StartError> {
        match self.ledger.time().gap() {
            None => Ok(None),
            Some(_) if accepted => Ok(Some(Gap { last: self.ledger.time().last() })),
            Some(why) => Err(StartError::Clock(why)),
        }
    }

    /// Records an accepted clock, which is then no longer ahead of the log, and ends every unfinished
    /// approval: none lives as long as the gap, and nobody can tell what happened in it. Returns how
    /// many there were.
    ///
    /// Refusals: those of every change.
    pub(super) async fn accept_clock(&self, gap: Gap) -> Result<usize, Refusal> {
        let now = self.ledger.time().to_write_after_a_gap()?;
        let event = Event::ClockAccepted { last: rfc3339(gap.last), now: rfc3339(now) };
        self.ledger.note_at(now, &Caller::system(), Note::of(event), None).await?;
        self.approvals.end_unfinished().await
    }

    /// Returns the message for an operator if the clock is behind the log.
    pub(super) fn clock_behind_message(&self) -> Option<String> {
        let behind = self.ledger.time().behind()?;
        Some(format!(
            "the last audit entry has the time {}, {behind} s ahead of this machine's clock, so nothing is written until the clock has passed it; set the clock if it is wrong. If it was wrong when that entry was written, restore a backup from before that entry, or create a new store: no later entry may have an earlier time",
            rfc3339(self.ledger.time().last())
        ))
    }
}
