//! `expire`: what time alone does.

use super::Transition;
use super::entry::Entry;
use crate::record::{Outcome, Record, Status};
use crate::rejection::Rejection;
use crate::time::UnixSeconds;

/// Does what is due; see `lifecycle.expire` in `wit/`.
pub fn expire(approval: Option<&str>, now: u64) -> Result<Option<Transition>, Rejection> {
    let now = UnixSeconds::new(now)?;
    let mut record = Record::read(approval)?;
    if record.due_at().is_none_or(|due_at| now < due_at) {
        return Ok(None);
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
    Transition::new(&record, &entry).map(Some)
}
