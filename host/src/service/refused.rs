//! Refusals that the audit keeps: of callers who are known, where they tried to change something.
//! Each subject has a rate, so that nobody fills the log by being refused.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use super::Service;
use super::caller::Caller;
use super::note::Note;
use crate::code::Code;
use crate::id::ApprovalId;
use crate::refusal::Refusal;

/// How many refusals of one subject are kept at once, and then one a second.
const BURST: u64 = 20;

/// What was refused.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// The method and route, as in the OpenAPI document.
    pub operation: &'a str,
    /// The approval that the path names.
    pub approval: Option<ApprovalId>,
    /// Why.
    pub code: Code,
}

/// How much of its rate each subject has used.
#[derive(Default)]
pub(super) struct Rates(Mutex<HashMap<String, Rate>>);

#[derive(Clone, Copy)]
struct Rate {
    left: u64,
    at: u64,
    /// Refusals since the last one that was kept.
    dropped: u64,
}

impl Service {
    /// Keeps a refusal of a known caller, within the subject's rate. Whether it was kept changes
    /// nothing for the caller: the refusal stands.
    ///
    /// # Errors
    ///
    /// Those of every change.
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
    /// Takes one place; answers how many refusals found none since the last that did.
    pub(super) fn take(&self, subject: &str, now: u64) -> Option<u64> {
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
