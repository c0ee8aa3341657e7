//! `void`: ends an unfinished approval early, because its store was rolled back and what was done
//! with it is unknown.

use std::borrow::Cow;

use serde::Deserialize;

use super::Transition;
use super::entry::Entry;
use super::event::Actor;
use super::state::Unclaimed;
use crate::record::{Record, Status};
use crate::rejection::{Code, Rejection};
use crate::time::UnixSeconds;

/// The arguments of `lifecycle.void`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/lifecycle.wit")]
pub struct Void<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(default)]
    pub approval: Option<Cow<'a, str>>,
    pub actor: Cow<'a, str>,
    pub now: u64,
}

impl Void<'_> {
    /// Makes an unfinished approval `expired`; see `lifecycle.void` in `wit/` for shapes and
    /// rejections.
    pub fn run(&self) -> Result<Transition, Rejection> {
        let actor = Actor::read(&self.actor)?;
        let now = UnixSeconds::new(self.now)?;
        let record = Record::read(&self.id, self.approval.as_deref())?;
        if !actor.admin {
            return Err(Rejection::new(Code::Forbidden, "only an admin may void an approval"));
        }
        let mut record = Unclaimed::to_end(record, now)?.0;
        let from = record.status;
        record.status = Status::Expired;
        let request_digest = record.request_digest()?;
        let entry = Entry {
            actor: Some(actor.subject.as_str()),
            from: Some(from),
            ..Entry::new("approval_voided", &record, &request_digest, now)
        };
        Transition::new(&record, &entry)
    }
}
