//! `erase`: removes the texts of a final approval and keeps its digests.

use std::borrow::Cow;

use serde::Deserialize;

use super::Transition;
use super::entry::Entry;
use super::event::Actor;
use crate::record::{Erased, Outcome, Record, Status};
use crate::rejection::{Code, Rejection};
use crate::time::UnixSeconds;

/// The arguments of `lifecycle.erase`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/lifecycle.wit")]
pub struct Erase<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(default)]
    pub approval: Option<Cow<'a, str>>,
    pub actor: Cow<'a, str>,
    pub now: u64,
}

impl Erase<'_> {
    /// Erases every text of a final approval; see `lifecycle.erase` in `wit/` for shapes and
    /// rejections.
    pub fn run(&self) -> Result<Transition, Rejection> {
        let actor = Actor::read(&self.actor)?;
        let now = UnixSeconds::new(self.now)?;
        let mut record = Record::read(&self.id, self.approval.as_deref())?;
        if !actor.admin {
            return Err(Rejection::new(Code::Forbidden, "only an admin may erase an approval"));
        }
        let from = record.status;
        end(&mut record, now)?;
        if let Some(erased) = &record.erased {
            return Err(Rejection::new(
                Code::AlreadyErased,
                format!("the approval was erased at {}", erased.at.rfc3339()),
            ));
        }
        let request_digest = record.request_digest()?;
        record.reason = None;
        record.policy_reason = None;
        for ballot in &mut record.ballots {
            ballot.comment = None;
        }
        if let Some(execution) = &mut record.execution {
            execution.detail = None;
        }
        record.erased = Some(Erased { at: now, request_digest: request_digest.clone() });
        let execution = record.execution.as_ref();
        let entry = Entry {
            actor: Some(actor.subject.as_str()),
            from: Some(from),
            execution_id: execution.map(|execution| execution.id.as_str()),
            outcome: execution.map(|execution| execution.outcome),
            // Without the reason, the request digest no longer proves these.
            requirement: Some(&record.requirement),
            policy: record.policy.as_deref(),
            rule: record.rule.as_deref(),
            ..Entry::new("approval_erased", &record, &request_digest, now)
        };
        Transition::new(&record, &entry)
    }
}

/// Stores the effective status and outcome at `now`, which must be final: no later change may need
/// the erased texts.
///
/// Rejections: `not-final`.
pub(super) fn end(record: &mut Record, now: UnixSeconds) -> Result<(), Rejection> {
    record.status = record.status_at(now);
    if let Some(execution) = &mut record.execution {
        execution.outcome = execution.outcome_at(now);
        if execution.outcome == Outcome::Claimed {
            return Err(Rejection::new(
                Code::NotFinal,
                format!(
                    "the execution has no outcome yet, and its lease runs until {}",
                    execution.lease_expires_at.rfc3339()
                ),
            ));
        }
    }
    match record.status {
        Status::Pending | Status::Approved => Err(Rejection::new(
            Code::NotFinal,
            format!("approval is {}, which is not final", record.status.as_str()),
        )),
        Status::Rejected | Status::Executed | Status::Expired | Status::Withdrawn => Ok(()),
    }
}
