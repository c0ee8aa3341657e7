//! `withdraw`: takes back an approval before it is claimed.

use std::borrow::Cow;

use serde::Deserialize;

use super::Transition;
use super::entry::Entry;
use super::event::Withdrawal;
use super::state::Unclaimed;
use crate::person::same_person;
use crate::record::{Record, Status};
use crate::rejection::{Code, Rejection};
use crate::time::UnixSeconds;

/// The arguments of `lifecycle.withdraw`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/lifecycle.wit")]
pub struct Withdraw<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(default)]
    pub approval: Option<Cow<'a, str>>,
    pub withdrawal: Cow<'a, str>,
    pub now: u64,
}

impl Withdraw<'_> {
    /// Withdraws an approval; see `lifecycle.withdraw` in `wit/` for shapes and rejections.
    pub fn run(&self) -> Result<Transition, Rejection> {
        let Withdrawal { actor } = Withdrawal::read(&self.withdrawal)?;
        let now = UnixSeconds::new(self.now)?;
        let record = Record::read(&self.id, self.approval.as_deref())?;
        let requester = same_person(actor.subject.as_str(), &record.requested_by);
        if !actor.admin && !actor.approver && !requester {
            return Err(Rejection::new(
                Code::Forbidden,
                "only the requester, an approver or an admin may withdraw an approval",
            ));
        }
        let mut record = Unclaimed::to_end(record, now)?.0;
        let from = record.status;
        record.status = Status::Withdrawn;
        record.withdrawn_at = Some(now);
        record.withdrawn_by = Some(actor.subject.to_string());
        let request_digest = record.request_digest()?;
        let entry = Entry {
            actor: Some(actor.subject.as_str()),
            from: Some(from),
            ..Entry::new("approval_withdrawn", &record, &request_digest, now)
        };
        Transition::new(&record, &entry)
    }
}
