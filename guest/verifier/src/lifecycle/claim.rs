//! `claim`: consumes an approval, which can be used once.

use std::borrow::Cow;

use serde::Deserialize;

use super::Transition;
use super::entry::Entry;
use super::event;
use super::state::{Approved, Proven};
use crate::key::{KeyEntry, Keyring};
use crate::object::objects;
use crate::record::{Execution, Outcome, Record, Status};
use crate::rejection::Rejection;
use crate::signature::Accepted;
use crate::time::UnixSeconds;

/// The arguments of `lifecycle.claim`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/lifecycle.wit")]
pub struct Claim<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(default)]
    pub approval: Option<Cow<'a, str>>,
    pub claim: Cow<'a, str>,
    pub context: Cow<'a, str>,
    #[serde(default)]
    pub plan: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "objects")]
    pub keys: Vec<KeyEntry>,
    pub accept: Vec<String>,
    pub now: u64,
}

impl Claim<'_> {
    /// Consumes the approval for one execution; see `lifecycle.claim` in `wit/` for shapes and
    /// rejections.
    pub fn run(&self) -> Result<Transition, Rejection> {
        let claim = event::Claim::read(&self.claim)?;
        let keys = Keyring::read(&self.keys)?;
        let accepted = Accepted::read(&self.accept)?;
        let now = UnixSeconds::new(self.now)?;
        let record = Record::read(&self.id, self.approval.as_deref())?;
        let proven = Approved::to_use(record, now)?.prove(&keys, &accepted)?;
        proven.matches_names(Some(&claim.agent), Some(&claim.action))?;
        proven.matches_context(&self.context)?;
        proven.matches_plan(self.plan.as_deref())?;
        proven.consume(&claim, now)
    }
}

impl Proven {
    fn consume(self, claim: &event::Claim, now: UnixSeconds) -> Result<Transition, Rejection> {
        let Self { mut record, request_digest } = self;
        record.status = Status::Executed;
        record.executed_at = Some(now);
        record.execution = Some(Execution {
            id: claim.execution_id.to_string(),
            claimed_by: claim.claimed_by.to_string(),
            claimed_at: now,
            lease_expires_at: now.plus(claim.lease_seconds)?,
            outcome: Outcome::Claimed,
            detail: None,
            settled_at: None,
            late: false,
        });
        let entry = Entry {
            actor: Some(claim.claimed_by.as_str()),
            from: Some(Status::Approved),
            execution_id: Some(claim.execution_id.as_str()),
            outcome: Some(Outcome::Claimed),
            ..Entry::new("approval_claimed", &record, &request_digest, now)
        };
        Transition::new(&record, &entry)
    }
}
