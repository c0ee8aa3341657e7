//! The check of the clock at a start, and the daily entry of a running server.

use serde_json::json;

use crate::caller::Caller;
use crate::ledger::{Note, rfc3339};
use crate::refusal::Refusal;
use crate::service::Service;
use crate::start::StartError;

/// An accepted gap between the last entry and the clock.
pub(crate) struct Gap {
    last: u64,
}

impl Service {
    /// Returns the gap to record if the clock is too far ahead of the last entry and the operator
    /// accepted that.
    ///
    /// Errors: [`StartError::Clock`] if the operator did not.
    pub(crate) fn gap_to_accept(&self, accepted: bool) -> Result<Option<Gap>, StartError> {
        match self.time.gap() {
            None => Ok(None),
            Some(_) if accepted => Ok(Some(Gap { last: self.time.last() })),
            Some(why) => Err(StartError::Clock(why)),
        }
    }

    /// Records an accepted clock. After that it is no longer ahead of the log.
    pub(crate) async fn record_accepted_clock(&self, gap: Gap) -> Result<(), Refusal> {
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

    /// Returns the message for an operator if the clock is behind the log.
    pub(crate) fn clock_behind_message(&self) -> Option<String> {
        let behind = self.time.behind()?;
        Some(format!(
            "the last audit entry has the time {}, {behind} s ahead of this machine's clock, so nothing is written until the clock has passed it; set the clock if it is wrong. If it was wrong when that entry was written, restore a backup from before that entry, or create a new store: no later entry may have an earlier time",
            rfc3339(self.time.last())
        ))
    }

    /// Records the time if no entry was written for a day. A gap in the log then shows that the
    /// server was stopped, and the next start detects a clock that jumped.
    ///
    /// # Errors
    ///
    /// The errors of every change.
    pub(crate) async fn record_clock(&self) -> Result<(), Refusal> {
        if !self.time.is_due() {
            return Ok(());
        }
        self.record_start("clock_recorded", Vec::new(), json!({})).await
    }
}
