//! The states that an operation can start from. Each can be constructed from a record only if the
//! table in `wit/lifecycle.wit` says `ok`, so an operation cannot be written for the wrong state.

use super::quorum::suffice;
use crate::key::Keyring;
use crate::name::{ExecutionId, KeyId};
use crate::person::{bare, same_person};
use crate::record::{Outcome, Record, Status};
use crate::rejection::{Code, Rejection};
use crate::signature::{Accepted, SignatureValid, verify_again};
use crate::statement::{Profile, Statement};
use crate::time::UnixSeconds;

/// A record that still awaits ballots.
pub(super) struct Pending(pub(super) Record);

/// A record that was approved and is not yet consumed.
pub(crate) struct Approved(pub(super) Record);

/// An approved record whose ballots have all just been verified again.
pub(crate) struct Proven {
    pub(crate) record: Record,
    pub(crate) request_digest: String,
}

/// A record that is not yet claimed.
pub(super) struct Unclaimed(pub(super) Record);

impl Pending {
    /// Rejections: `expired`, `already-decided`.
    pub(super) fn to_decide(record: Record, now: UnixSeconds) -> Result<Self, Rejection> {
        match record.status_at(now) {
            Status::Pending => Ok(Self(record)),
            Status::Expired => Err(expired(&record)),
            status => Err(already_decided(status)),
        }
    }

    /// Rejections: `expired`, `already-executed`, `already-decided`.
    pub(super) fn to_extend(record: Record, now: UnixSeconds) -> Result<Self, Rejection> {
        match record.status_at(now) {
            Status::Executed => Err(already_executed()),
            _ => Self::to_decide(record, now),
        }
    }
}

impl Approved {
    /// Rejections: `not-approved`, `expired`, `already-executed`.
    pub(super) fn to_use(record: Record, now: UnixSeconds) -> Result<Self, Rejection> {
        match record.status_at(now) {
            Status::Approved => Ok(Self(record)),
            Status::Expired => Err(expired(&record)),
            Status::Executed => Err(already_executed()),
            status @ (Status::Pending | Status::Rejected | Status::Withdrawn) => {
                Err(Rejection::new(
                    Code::NotApproved,
                    format!("approval is {}, not approved", status.as_str()),
                ))
            }
        }
    }

    /// As [`Self::to_use`], but a caller that names its execution may also use an approval that it
    /// has claimed, while the outcome is `claimed` and the lease runs.
    ///
    /// Rejections: as [`Self::to_use`]; for an executed approval, `execution-mismatch` for another
    /// execution, `expired` for a claim at or past the expiry, `already-executed` if the execution
    /// has ended.
    pub(crate) fn to_run(
        record: Record,
        execution_id: Option<&ExecutionId>,
        now: UnixSeconds,
    ) -> Result<Self, Rejection> {
        let (Some(execution), Some(id)) = (&record.execution, execution_id) else {
            return Self::to_use(record, now);
        };
        if execution.id != id.as_str() {
            return Err(Rejection::new(
                Code::ExecutionMismatch,
                format!("`{id}` is not the execution of this approval"),
            ));
        }
        if execution.claimed_at >= record.expires_at {
            return Err(expired(&record));
        }
        match execution.outcome_at(now) {
            Outcome::Claimed => Ok(Self(record)),
            Outcome::Succeeded | Outcome::Failed | Outcome::Unknown => Err(already_executed()),
        }
    }

    /// Verifies every stored ballot again and counts them anew.
    ///
    /// Rejections: 1. as [`verify_again`] 2. `signature-invalid` if the ballots do not make an
    /// approval 3. `approver-not-allowed` for too few of a group, by the keys given now
    pub(crate) fn prove(self, keys: &Keyring, accepted: &Accepted) -> Result<Proven, Rejection> {
        let record = self.0;
        let request_digest = record.request_digest()?;
        for index in 0..record.ballots.len() {
            verify_ballot(&record, &request_digest, index, keys, accepted)?;
        }
        suffice(&record, keys)?;
        Ok(Proven { record, request_digest })
    }
}

impl Unclaimed {
    /// Rejections: `expired`, `already-executed`, `already-decided`.
    pub(super) fn to_end(record: Record, now: UnixSeconds) -> Result<Self, Rejection> {
        match record.status_at(now) {
            Status::Pending | Status::Approved => Ok(Self(record)),
            Status::Expired => Err(expired(&record)),
            Status::Executed => Err(already_executed()),
            status @ (Status::Rejected | Status::Withdrawn) => Err(already_decided(status)),
        }
    }
}

/// Verifies one stored ballot with the key that it names.
///
/// Rejections: as [`verify_again`]; `signature-invalid` for a missing ballot.
pub(super) fn verify_ballot(
    record: &Record,
    request_digest: &str,
    index: usize,
    keys: &Keyring,
    accepted: &Accepted,
) -> Result<SignatureValid, Rejection> {
    let ballot = record
        .ballots
        .get(index)
        .ok_or_else(|| Rejection::new(Code::SignatureInvalid, "no such ballot is stored"))?;
    let text = record.statement(
        request_digest,
        ballot.decision.as_str(),
        &ballot.approver,
        &ballot.key_id,
        ballot.comment.as_deref().unwrap_or_default(),
    );
    if ballot.profile == Profile::V2 && ballot.comment.as_deref() == Some("") {
        // An empty comment signs like no comment, which would have been stored as null.
        return Err(Rejection::new(Code::SignatureInvalid, "a ballot's comment was emptied"));
    }
    let statement = Statement::read(&text, ballot.profile)?;
    let key_id = KeyId::new(ballot.key_id.as_str())?;
    let accepted = accepted.under(&record.requirement);
    verify_again(&statement, &ballot.signature, &key_id, keys, &accepted)
}

/// Returns whether a name is the requester's or that of the agent the request is for, ignoring
/// ASCII case and an `agent:` prefix. Neither may approve.
pub(super) fn is_requester(record: &Record, approver: &str) -> bool {
    let approver = bare(approver);
    [bare(&record.requested_by), &record.agent].iter().any(|name| same_person(name, approver))
}

fn expired(record: &Record) -> Rejection {
    Rejection::new(Code::Expired, format!("approval expired at {}", record.expires_at.rfc3339()))
}

fn already_decided(status: Status) -> Rejection {
    Rejection::new(Code::AlreadyDecided, format!("approval is already {}", status.as_str()))
}

fn already_executed() -> Rejection {
    Rejection::new(Code::AlreadyExecuted, "approval has already been executed")
}
