//! The clock at a start, and the entry that a running server writes each day.

use serde_json::json;

use super::super::caller::Caller;
use super::super::note::{Note, rfc3339};
use super::{Service, StartError};
use crate::refusal::Refusal;

/// A clock that is long after the last entry.
pub(super) struct Gap {
    last: u64,
}

impl Service {
    /// Whether the clock is so long after the last entry that somebody has to accept it.
    ///
    /// Errors: [`StartError::Clock`] where nobody did.
    pub(super) fn gap_to_accept(&self, accepted: bool) -> Result<Option<Gap>, StartError> {
        match self.time.gap() {
            None => Ok(None),
            Some(_) if accepted => Ok(Some(Gap { last: self.time.last() })),
            Some(why) => Err(StartError::Clock(why)),
        }
    }

    /// Records that a clock was accepted. From then on it is no longer ahead of the log.
    pub(super) async fn record_accepted_clock(&self, gap: Gap) -> Result<(), Refusal> {
        let now = self.time.to_write_after_a_gap()?;
        let note = Note {
            event: "clock_accepted",
            rows: Vec::new(),
            fields: json!({ "last": rfc3339(gap.last), "now": rfc3339(now) }).to_string(),
            guardrail: None,
            answer: None,
        };
        self.keep_note(&Caller::system(), note, None, now).await.map(drop)
    }

    /// What to tell an operator whose clock is behind the log.
    pub(super) fn told_clock_behind(&self) -> Option<String> {
        let behind = self.time.behind()?;
        Some(format!(
            "the last audit entry is of {}, {behind} s after this machine's clock, so nothing is written until the clock is past it; set the clock if it is wrong. If it was wrong then, restore a backup from before that entry, or make a new store: no later entry may have an earlier time",
            rfc3339(self.time.last())
        ))
    }

    /// Records the time where no entry was written for a day: whoever reads the log knows that nothing
    /// is missing, and a clock that jumps is found at the next start.
    ///
    /// # Errors
    ///
    /// Those of every change.
    pub(in super::super) async fn record_clock(&self) -> Result<(), Refusal> {
        if !self.time.is_due() {
            return Ok(());
        }
        self.record_start("clock_recorded", Vec::new(), json!({})).await
    }
}
