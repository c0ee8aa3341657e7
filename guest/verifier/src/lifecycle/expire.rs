//! `expire`: applies what time alone changes.

use std::borrow::Cow;

use serde::Deserialize;

use super::entry::Entry;
use super::{Transition, Update};
use crate::record::{Outcome, Record, Status};
use crate::rejection::Rejection;
use crate::time::UnixSeconds;

/// The arguments of `lifecycle.expire`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/lifecycle.wit")]
pub struct Expire<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(default)]
    pub approval: Option<Cow<'a, str>>,
    pub now: u64,
}

impl Expire<'_> {
    /// Applies the change that is due, if any; see `lifecycle.expire` in `wit/`.
    pub fn run(&self) -> Result<Update, Rejection> {
        let now = UnixSeconds::new(self.now)?;
        let mut record = Record::read(&self.id, self.approval.as_deref())?;
        if record.due_at().is_none_or(|due_at| now < due_at) {
            return Update::none(&record, now);
        }
        let from = record.status;
        match &mut record.execution {
            Some(execution) if from == Status::Executed => execution.outcome = Outcome::Unknown,
            _ => record.status = Status::Expired,
        }
        let execution = record.execution.as_ref();
        let request_digest = record.request_digest()?;
        let entry = Entry {
            from: Some(from),
            execution_id: execution.map(|execution| execution.id.as_str()),
            outcome: execution.map(|execution| execution.outcome),
            ..Entry::new(
                if from == Status::Executed { "execution_unknown" } else { "approval_expired" },
                &record,
                &request_digest,
                now,
            )
        };
        Transition::new(&record, &entry).map(Into::into)
    }
}
