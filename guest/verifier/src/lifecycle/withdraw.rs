//! `withdraw`: an approval is taken back before it is claimed.

use super::Transition;
use super::entry::Entry;
use super::event::Withdrawal;
use super::state::Unclaimed;
use crate::record::{Record, Status};
use crate::rejection::{Code, Rejection};
use crate::time::UnixSeconds;

/// Takes an approval back; see `lifecycle.withdraw` in `wit/` for shapes and rejections.
pub fn withdraw(
    approval: Option<&str>,
    withdrawal: &str,
    now: u64,
) -> Result<Transition, Rejection> {
    let Withdrawal { actor } = Withdrawal::read(withdrawal)?;
    let now = UnixSeconds::new(now)?;
    let record = Record::read(approval)?;
    if !actor.admin && !actor.approver && actor.subject.as_str() != record.requested_by {
        return Err(Rejection::new(
            Code::Forbidden,
            "only the requester, an approver or an admin withdraws an approval",
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
