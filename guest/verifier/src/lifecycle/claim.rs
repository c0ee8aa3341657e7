//! `claim`: the single use of an approval.

use super::Transition;
use super::entry::Entry;
use super::event::Claim;
use super::state::{Approved, Proven};
use crate::key::{KeyEntry, Keyring};
use crate::record::{Execution, Outcome, Record, Status};
use crate::rejection::Rejection;
use crate::signature::Accepted;
use crate::time::UnixSeconds;

/// Consumes an approval for one execution; see `lifecycle.claim` in `wit/` for shapes and
/// rejections.
pub fn claim(
    approval: Option<&str>,
    claim: &str,
    context: &str,
    plan: Option<&str>,
    keys: &[KeyEntry],
    accept: &[String],
    now: u64,
) -> Result<Transition, Rejection> {
    let claim = Claim::read(claim)?;
    let keys = Keyring::read(keys)?;
    let accepted = Accepted::read(accept)?;
    let now = UnixSeconds::new(now)?;
    let proven = Approved::to_use(Record::read(approval)?, now)?.prove(&keys, &accepted)?;
    proven.matches_names(Some(&claim.agent), Some(&claim.action))?;
    proven.matches_context(context)?;
    proven.matches_plan(plan)?;
    proven.consume(&claim, now)
}

impl Proven {
    fn consume(self, claim: &Claim, now: UnixSeconds) -> Result<Transition, Rejection> {
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
