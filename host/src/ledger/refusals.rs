//! Audit entries for refused changes by authenticated callers. They are rate-limited per subject,
//! so that refusals cannot fill the log.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Event, Ledger, Note};
use crate::caller::Caller;
use crate::code::Code;
use crate::id::ApprovalId;
use crate::rate::Rate;
use crate::refusal::Refusal;

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
        rates.entry(subject.to_owned()).or_insert_with(|| Rate::new(now)).take(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subject_has_its_own_limit() {
        let rates = Rates::default();
        let kept = |subject| (0..100).filter(|_| rates.take(subject, 1_000).is_some()).count();
        assert!(kept("a") > 0);
        assert_eq!(kept("a"), 0);
        assert!(kept("b") > 0);
    }
}
