//! `extend`: moves the expiry later, as long as no ballot is stored.

use std::borrow::Cow;

use serde::Deserialize;

use super::Transition;
use super::entry::Entry;
use super::event::Extension;
use super::state::Pending;
use crate::limits::TTL_SECONDS_MAX;
use crate::person::same_person;
use crate::record::{Record, Status};
use crate::rejection::{Code, Rejection};
use crate::time::UnixSeconds;

/// The arguments of `lifecycle.extend`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/lifecycle.wit")]
pub struct Extend<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(default)]
    pub approval: Option<Cow<'a, str>>,
    pub extension: Cow<'a, str>,
    pub now: u64,
}

impl Extend<'_> {
    /// Moves the expiry later; see `lifecycle.extend` in `wit/` for shapes and rejections.
    pub fn run(&self) -> Result<Transition, Rejection> {
        let Extension { seconds, actor } = Extension::read(&self.extension)?;
        let now = UnixSeconds::new(self.now)?;
        let record = Record::read(&self.id, self.approval.as_deref())?;
        let requester = same_person(actor.subject.as_str(), &record.requested_by);
        if requester || !(actor.admin || actor.approver) {
            return Err(Rejection::new(
                Code::Forbidden,
                "only an approver or an admin who is not the requester may extend an approval",
            ));
        }
        let mut record = Pending::to_extend(record, now)?.0;
        record.expires_at = later(&record, now.plus(seconds)?)?;
        let request_digest = record.request_digest()?;
        let entry = Entry {
            actor: Some(actor.subject.as_str()),
            from: Some(Status::Pending),
            expires_at: Some(record.expires_at),
            ..Entry::new("approval_extended", &record, &request_digest, now)
        };
        Transition::new(&record, &entry)
    }
}

/// Checks that an approval may expire at `expires_at`.
///
/// Rejections: 1. `already-voted` 2. `request-invalid` 3. `limit-exceeded`
pub(super) fn later(record: &Record, expires_at: UnixSeconds) -> Result<UnixSeconds, Rejection> {
    if !record.ballots.is_empty() {
        return Err(Rejection::new(
            Code::AlreadyVoted,
            "a ballot is stored, and its signature covers the expiry",
        ));
    }
    if expires_at <= record.expires_at {
        return Err(Rejection::request(format!(
            "{} is not later than the current expiry, {}",
            expires_at.rfc3339(),
            record.expires_at.rfc3339()
        )));
    }
    let latest = record.requested_at.plus(TTL_SECONDS_MAX)?;
    if expires_at > latest {
        return Err(Rejection::limit(format!(
            "{} is past the longest time to live, which ends at {}",
            expires_at.rfc3339(),
            latest.rfc3339()
        )));
    }
    Ok(expires_at)
}
