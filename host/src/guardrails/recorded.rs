//! Verdicts that the audit log has.

use serde::Deserialize;
use signoff_core::time::UnixSeconds;

use super::{Guardrails, Moment, Read};
use crate::policy::Decision;
use crate::refusal::Refusal;

/// An evaluation according to the audit log.
#[derive(Clone, Debug)]
pub(crate) struct RecordedVerdict {
    /// Who asked.
    pub(crate) actor: String,
    pub(crate) read: Read,
    pub(crate) decision: Decision,
    /// When, in unix seconds.
    pub(crate) at: u64,
}

#[derive(Deserialize)]
struct Entry {
    at: UnixSeconds,
    event: Event,
    host: Host,
}

#[derive(Deserialize)]
struct Event {
    event: String,
    moment: String,
    actor: String,
    agent: String,
    action: String,
    context_hash: String,
    plan_hash: Option<String>,
}

#[derive(Deserialize)]
struct Host {
    guardrail: Verdict,
}

#[derive(Deserialize)]
struct Verdict {
    decision: Decision,
}

impl Guardrails {
    /// Returns the evaluation that an entry of the audit log records; `None` if the entry does not
    /// exist or records something else.
    ///
    /// Refusals: `store-unavailable`, `store-tampered`.
    pub(crate) async fn recorded(&self, number: u64) -> Result<Option<RecordedVerdict>, Refusal> {
        let Some(before) = number.checked_sub(1) else { return Ok(None) };
        let found = self.ledger.store().entries(before, 1).await?;
        let found = found.into_iter().find(|entry| entry.number == number);
        let entry = found.and_then(|entry| serde_json::from_str::<Entry>(&entry.text).ok());
        let Some(Entry { at, event, host }) = entry else { return Ok(None) };
        if event.event != "guardrails_evaluated" || event.moment != Moment::Evaluate.as_str() {
            return Ok(None);
        }
        let Event { actor, agent, action, context_hash, plan_hash, .. } = event;
        Ok(Some(RecordedVerdict {
            actor,
            read: Read { agent, action, context_hash, plan_hash },
            decision: host.guardrail.decision,
            at: at.seconds(),
        }))
    }
}
