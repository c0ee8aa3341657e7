//! Audit entries of refusals: of authenticated callers that tried to change something. They are
//! rate-limited per subject, so that refusals cannot fill the log.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use crate::caller::Caller;
use crate::code::Code;
use crate::id::ApprovalId;
use crate::ledger::Note;
use crate::refusal::Refusal;
use crate::service::Service;

/// Refusals recorded per subject in a burst; after that one per second.
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

/// The rate limiter of each subject.
#[derive(Default)]
pub(crate) struct Rates(Mutex<HashMap<String, Rate>>);

#[derive(Clone, Copy)]
struct Rate {
    left: u64,
    at: u64,
    /// Refusals since the last recorded one.
    dropped: u64,
}

impl Service {
    /// Records a refusal of an authenticated caller, within the subject's rate limit. A failure to
    /// record it does not change the refusal.
    ///
    /// # Errors
    ///
    /// The errors of every change.
    pub async fn record_refusal(
        &self,
        caller: &Caller,
        refused: Refused<'_>,
    ) -> Result<(), Refusal> {
        let Some(subject) = caller.proven_subject() else { return Ok(()) };
        let now = self.now_to_write()?;
        let Some(dropped) = self.refusals.take(subject, now) else { return Ok(()) };
        let mut fields = json!({ "operation": refused.operation, "code": refused.code.text });
        if let serde_json::Value::Object(fields) = &mut fields {
            if let Some(id) = refused.approval {
                fields.insert("approval_id".to_owned(), json!(id.to_string()));
            }
            if dropped > 0 {
                fields.insert("dropped".to_owned(), json!(dropped));
            }
        }
        let note = Note {
            event: "request_refused",
            rows: Vec::new(),
            fields: fields.to_string(),
            guardrail: None,
            answer: None,
        };
        self.keep_note(caller, note, None, now).await.map(drop)
    }
}

impl Rates {
    /// Takes one token of the subject's rate. Returns the number of refusals dropped since the last
    /// recorded one, or `None` if this one is dropped too.
    pub(crate) fn take(&self, subject: &str, now: u64) -> Option<u64> {
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
