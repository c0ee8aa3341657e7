//! `void`: an unfinished approval ends before its time, because its store was rolled back and nobody
//! can say any more what was done with it.

use super::Transition;
use super::entry::Entry;
use super::event::Actor;
use super::state::Unclaimed;
use crate::record::{Record, Status};
use crate::rejection::{Code, Rejection};
use crate::time::UnixSeconds;

/// Makes an unfinished approval `expired`; see `lifecycle.void` in `wit/` for shapes and rejections.
pub fn void(approval: Option<&str>, actor: &str, now: u64) -> Result<Transition, Rejection> {
    let actor = Actor::read(actor)?;
    let now = UnixSeconds::new(now)?;
    let record = Record::read(approval)?;
    if !actor.admin {
        return Err(Rejection::new(Code::Forbidden, "only an admin voids an approval"));
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
