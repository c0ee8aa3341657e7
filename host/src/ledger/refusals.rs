//! Audit entries for refused changes by authenticated callers. They are rate-limited per subject,
//! so that refusals cannot fill the log.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Event, Ledger, Note};
use crate::caller::Caller;
use crate::code::Code;
use crate::id::ApprovalId;
use crate::refusal::Refusal;

/// Refusals recorded per subject in a burst; after that, one per second.
const BURST: u64 = 20;

/// A refused operation.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// The method and route, as in the OpenAPI document.
    pub operation: &'a str,
    /// The approval in the path.
    pub approval: Option<ApprovalId>,
    /// The code of the refusal.
    pub code: Code,
}

/// The record of refusals, with the rate limiter of each subject.
pub struct Refusals {
    ledger: Arc<Ledger>,
    rates: Rates,
}

#[derive(Default)]
struct Rates(Mutex<HashMap<String, Rate>>);

#[derive(Clone, Copy)]
struct Rate {
    left: u64,
    at: u64,
    /// Refusals since the last recorded one.
    dropped: u64,
}

impl Refusals {
    pub(crate) fn new(ledger: Arc<Ledger>) -> Self {
        Self { ledger, rates: Rates::default() }
    }

    /// Records a refusal of an authenticated caller, within the subject's rate limit. A failure to
    /// record it does not change the refusal.
    ///
    /// # Errors
    ///
    /// The errors of every change.
    pub async fn record(&self, caller: &Caller, refused: Refused<'_>) -> Result<(), Refusal> {
        if caller.proven_subject().is_none() {
            return Ok(());
        }
        let event = |dropped| Event::RequestRefused {
            operation: refused.operation,
            code: refused.code.text,
            approval_id: refused.approval.map(|id| id.to_string()),
            dropped,
        };
        self.record_event(caller, event).await
    }

    /// Records the event of a refusal, given the number of refusals that were dropped before it.
    ///
    /// Refusals: those of every change.
    pub(crate) async fn record_event<'a>(
        &self,
        caller: &Caller,
        event: impl FnOnce(u64) -> Event<'a>,
    ) -> Result<(), Refusal> {
        let now = self.ledger.now_to_write()?;
        let Some(dropped) = self.rates.take(caller.subject(), now) else { return Ok(()) };
        self.ledger.note_at(now, caller, Note::of(event(dropped)), None).await.map(drop)
    }
}

impl Rates {
    /// Takes one unit of the subject's rate limit. Returns the number of refusals dropped since the
    /// last recorded one, or `None` if this one is dropped too.
    fn take(&self, subject: &str, now: u64) -> Option<u64> {
        let mut rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Rate { left: BURST, at: now, dropped: 0 };
        let rate = rates.entry(subject.to_owned()).or_insert(fresh);
        let regained = now.saturating_sub(rate.at);
        rate.left = rate.left.saturating_add(regained).min(BURST);
        rate.at = rate.at.max(now);
        if rate.left == 0 {
            rate.dropped += 1;
            return None;
        }
        rate.left -= 1;
        Some(std::mem::take(&mut rate.dropped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_has_a_burst_and_then_one_a_second() {
        let rates = Rates::default();
        let kept = |subject, now| (0..100).filter(|_| rates.take(subject, now).is_some()).count();
        assert_eq!(kept("a", 1_000), 20);
        assert_eq!(kept("b", 1_000), 20);
        assert_eq!(kept("a", 1_000), 0);
        assert_eq!(rates.take("a", 1_001), Some(180), "what was dropped is counted");
        assert_eq!(rates.take("a", 1_001), None);
        assert_eq!(kept("a", 9_000), 20);
    }
}
