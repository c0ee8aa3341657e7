//! Replays the log of an approval by the rules of the operations: each step must start from a state
//! that its operation accepts, and lead to the status that the log names.

use serde::Deserialize;
use signoff_core::hex;

use super::erase::end;
use super::extend::later;
use super::quorum::{self, suffice};
use super::state::{Approved, Pending, Unclaimed, verify_ballot};
use crate::key::{Algorithm, Keyring};
use crate::name::{ExecutionId, Identifier, KeyId};
use crate::object::object_or_null;
use crate::person::same_person;
use crate::record::{Ballot, Outcome, Record, Requirement, Status};
use crate::rejection::{Code, Rejection};
use crate::signature::{Accepted, attribute};
use crate::statement::{Decision, Profile};
use crate::time::UnixSeconds;

/// An audit entry written by the verifier, as read back. A log may have more members.
#[derive(Deserialize)]
pub(crate) struct LoggedEvent {
    format: u32,
    event: String,
    at: UnixSeconds,
    approval_id: String,
    agent: String,
    action: String,
    actor: Option<String>,
    from: Option<Status>,
    to: Status,
    context_hash: String,
    plan_hash: Option<String>,
    request_digest: String,
    decision: Option<Decision>,
    profile: Option<Profile>,
    key_id: Option<String>,
    signature_hash: Option<String>,
    expires_at: Option<UnixSeconds>,
    execution_id: Option<String>,
    outcome: Option<Outcome>,
    late: Option<bool>,
    #[serde(default, deserialize_with = "object_or_null")]
    requirement: Option<Requirement>,
    policy: Option<String>,
    rule: Option<String>,
}

/// The state of an approval after the steps so far.
pub(crate) struct Replay {
    /// Its `execution` stays `None`: the log does not have all of it.
    record: Record,
    request_digest: String,
    at: UnixSeconds,
    execution: Option<LoggedExecution>,
    erased_at: Option<UnixSeconds>,
}

/// The execution, as far as the log records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoggedExecution {
    pub(crate) id: String,
    pub(crate) claimed_by: String,
    pub(crate) claimed_at: UnixSeconds,
    pub(crate) outcome: Outcome,
    pub(crate) settled_at: Option<UnixSeconds>,
    pub(crate) late: bool,
}

/// How far a ballot is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BallotProof {
    /// Its signature was verified.
    Verified,
    /// Only the log says that it was verified: its secret is unavailable here, or its comment was
    /// erased.
    Attested,
}

impl LoggedEvent {
    /// Returns whether the event is a ballot.
    pub(crate) fn is_ballot(&self) -> bool {
        self.event == "approval_decided"
    }

    /// Returns whether the event depends on keys: decisions and claims use the keys of their time.
    pub(crate) fn needs_keys(&self) -> bool {
        self.is_ballot() || self.event == "approval_claimed"
    }
}

impl Replay {
    /// Starts from the request. Only the requested fields of `record` are used.
    ///
    /// Rejections: `request-invalid` for an entry of any other event.
    pub(crate) fn begin(mut record: Record, event: &LoggedEvent) -> Result<Self, Rejection> {
        if event.event != "approval_requested" {
            return Err(Rejection::request("the first entry is not the request"));
        }
        record.requirement.check()?;
        record.status = Status::Pending;
        record.ballots.clear();
        record.expires_at = record.requested_at.plus(record.requirement.ttl_seconds)?;
        same("actor", event.actor.as_ref() == Some(&record.requested_by))?;
        same("at", event.at == record.requested_at)?;
        same("expires_at", event.expires_at == Some(record.expires_at))?;
        let request_digest = record.request_digest()?;
        let replay =
            Self { record, request_digest, at: event.at, execution: None, erased_at: None };
        replay.concerns(event, None)?;
        Ok(replay)
    }

    /// Replays the next step, with the keys as of that step. `ballot` is the one that it casts.
    ///
    /// Rejections: those of the operation; `request-invalid` for an entry that differs from the
    /// result.
    pub(crate) fn step(
        mut self,
        event: &LoggedEvent,
        ballot: Option<&Ballot>,
        keys: &Keyring,
    ) -> Result<Self, Rejection> {
        if event.at < self.at {
            return Err(Rejection::request("it is earlier than the entry before it"));
        }
        if self.erased_at.is_some() {
            return Err(Rejection::new(Code::AlreadyErased, "the approval was already erased"));
        }
        self.at = event.at;
        let from = self.record.status;
        let next = match event.event.as_str() {
            "approval_decided" => self.decided(event, ballot, keys)?,
            "approval_extended" => self.extended(event)?,
            "approval_claimed" => self.claimed(event, keys)?,
            "approval_expired" => self.expired()?,
            "approval_voided" => self.ended(Status::Expired)?,
            "approval_withdrawn" => self.withdrawn(event)?,
            "execution_settled" => self.settled(event)?,
            "execution_unknown" => self.lease_expired(event)?,
            "approval_erased" => self.erased(event)?,
            _ => return Err(Rejection::request("unknown event")),
        };
        next.concerns(event, Some(from))?;
        Ok(next)
    }

    /// The approval after the steps so far, without its execution.
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// When the approval was erased.
    pub(crate) fn erased_at(&self) -> Option<UnixSeconds> {
        self.erased_at
    }

    /// The digest of the request.
    pub(crate) fn request_digest(&self) -> &str {
        &self.request_digest
    }

    /// The execution, if the approval was claimed.
    pub(crate) fn execution(&self) -> Option<&LoggedExecution> {
        self.execution.as_ref()
    }

    /// Checks that an entry is about this approval and about the change that led to the current
    /// status.
    fn concerns(&self, event: &LoggedEvent, from: Option<Status>) -> Result<(), Rejection> {
        let record = &self.record;
        same("format", event.format == 1)?;
        same("approval_id", event.approval_id == record.id)?;
        same("agent", event.agent == record.agent)?;
        same("action", event.action == record.action)?;
        same("context_hash", event.context_hash == record.context_hash)?;
        same("plan_hash", event.plan_hash == record.plan_hash)?;
        same("request_digest", event.request_digest == self.request_digest)?;
        same("from", event.from == from)?;
        if event.to == record.status {
            return Ok(());
        }
        Err(Rejection::request(format!(
            "the log says that it makes the approval `{}`, but the rules say `{}`",
            event.to.as_str(),
            record.status.as_str()
        )))
    }

    fn decided(
        mut self,
        event: &LoggedEvent,
        ballot: Option<&Ballot>,
        keys: &Keyring,
    ) -> Result<Self, Rejection> {
        let ballot = ballot.ok_or_else(|| Rejection::request("its ballot is missing"))?;
        same("actor", event.actor.as_ref() == Some(&ballot.approver))?;
        same("decision", event.decision == Some(ballot.decision))?;
        same("profile", event.profile == Some(ballot.profile))?;
        same("key_id", event.key_id.as_ref() == Some(&ballot.key_id))?;
        same("at", event.at == ballot.cast_at)?;
        let hash = hex::sha256(ballot.signature.as_bytes());
        same("signature_hash", event.signature_hash.as_ref() == Some(&hash))?;
        let pending = Pending::to_decide(self.record, event.at)?;
        let named = keys.find(&KeyId::new(ballot.key_id.as_str())?);
        let named = named.filter(|key| key.can_sign(ballot.profile));
        pending.admit(ballot.decision, &ballot.approver, named, keys)?;
        self.record = pending.0;
        self.record.ballots.push(ballot.clone());
        let last = self.record.ballots.len().saturating_sub(1);
        verify_or_attest(&self.record, &self.request_digest, last, keys, &Accepted::all())?;
        self.record.status = quorum::status(&self.record, keys);
        Ok(self)
    }

    fn extended(mut self, event: &LoggedEvent) -> Result<Self, Rejection> {
        let actor = actor(event)?;
        if same_person(&actor, &self.record.requested_by) {
            return Err(Rejection::new(
                Code::Forbidden,
                "the requester cannot extend the approval",
            ));
        }
        let mut record = Pending::to_extend(self.record, event.at)?.0;
        let expires_at = event.expires_at.ok_or_else(|| differs("expires_at"))?;
        record.expires_at = later(&record, expires_at)?;
        self.record = record;
        Ok(self)
    }

    fn claimed(mut self, event: &LoggedEvent, keys: &Keyring) -> Result<Self, Rejection> {
        self.record = Approved::to_use(self.record, event.at)?.0;
        for index in 0..self.record.ballots.len() {
            verify_or_attest(&self.record, &self.request_digest, index, keys, &Accepted::all())?;
        }
        suffice(&self.record, keys)?;
        same("outcome", event.outcome == Some(Outcome::Claimed))?;
        let id = event.execution_id.as_deref().ok_or_else(|| differs("execution_id"))?;
        self.execution = Some(LoggedExecution {
            id: ExecutionId::new(id)?.to_string(),
            claimed_by: actor(event)?,
            claimed_at: event.at,
            outcome: Outcome::Claimed,
            settled_at: None,
            late: false,
        });
        self.record.status = Status::Executed;
        Ok(self)
    }

    fn expired(mut self) -> Result<Self, Rejection> {
        if self.record.due_at().is_none_or(|due_at| self.at < due_at) {
            return Err(Rejection::request("the approval has not expired at that time"));
        }
        self.record.status = Status::Expired;
        Ok(self)
    }

    fn ended(mut self, status: Status) -> Result<Self, Rejection> {
        self.record = Unclaimed::to_end(self.record, self.at)?.0;
        self.record.status = status;
        Ok(self)
    }

    fn withdrawn(self, event: &LoggedEvent) -> Result<Self, Rejection> {
        let by = actor(event)?;
        let mut next = self.ended(Status::Withdrawn)?;
        next.record.withdrawn_at = Some(next.at);
        next.record.withdrawn_by = Some(by);
        Ok(next)
    }

    fn settled(mut self, event: &LoggedEvent) -> Result<Self, Rejection> {
        actor(event)?;
        let (outcome, late) = event.outcome.zip(event.late).ok_or_else(|| differs("outcome"))?;
        same("outcome", !outcome.is_open())?;
        let at = self.at;
        let execution = self.open_execution(event)?;
        // The end of the lease is not in the log, but an entry may record that the lease ran out.
        same("late", late || execution.outcome == Outcome::Claimed)?;
        (execution.outcome, execution.settled_at, execution.late) = (outcome, Some(at), late);
        Ok(self)
    }

    fn lease_expired(mut self, event: &LoggedEvent) -> Result<Self, Rejection> {
        same("outcome", event.outcome == Some(Outcome::Unknown))?;
        let execution = self.open_execution(event)?;
        if execution.outcome != Outcome::Claimed {
            return Err(Rejection::request("the lease has already run out"));
        }
        execution.outcome = Outcome::Unknown;
        Ok(self)
    }

    /// The texts are gone, so the request digest cannot be recomputed: from this step on, the log
    /// itself proves the fields that only that digest covered.
    fn erased(mut self, event: &LoggedEvent) -> Result<Self, Rejection> {
        actor(event)?;
        end(&mut self.record, self.at)?;
        if let Some(execution) = &mut self.execution
            && execution.outcome == Outcome::Claimed
        {
            // Any other outcome is not final, so the lease, whose end is not in the log, must have
            // run out.
            execution.outcome = Outcome::Unknown;
        }
        let execution = self.execution.as_ref();
        same(
            "execution_id",
            event.execution_id.as_ref() == execution.map(|execution| &execution.id),
        )?;
        same("outcome", event.outcome == execution.map(|execution| execution.outcome))?;
        same("requirement", event.requirement.as_ref() == Some(&self.record.requirement))?;
        same("policy", event.policy == self.record.policy)?;
        same("rule", event.rule == self.record.rule)?;
        self.erased_at = Some(self.at);
        Ok(self)
    }

    /// Returns the execution that an entry is about, if it can still be settled.
    ///
    /// Rejections: 1. `execution-mismatch` 2. `already-settled`
    fn open_execution(&mut self, event: &LoggedEvent) -> Result<&mut LoggedExecution, Rejection> {
        let execution = self
            .execution
            .as_mut()
            .filter(|execution| Some(&execution.id) == event.execution_id.as_ref());
        let execution = execution.ok_or_else(|| {
            Rejection::new(Code::ExecutionMismatch, "it is not about the approval's execution")
        })?;
        if execution.outcome.is_open() {
            return Ok(execution);
        }
        Err(Rejection::new(
            Code::AlreadySettled,
            format!("the outcome is already `{}`", execution.outcome.as_str()),
        ))
    }
}

/// Verifies one ballot of a record with the key that it names. An HMAC ballot is only attested:
/// only the secret verifies it, and whoever has the secret could have made it.
///
/// Rejections: those of [`attribute`], then `signature-invalid`.
pub(crate) fn verify_or_attest(
    record: &Record,
    request_digest: &str,
    index: usize,
    keys: &Keyring,
    accepted: &Accepted,
) -> Result<BallotProof, Rejection> {
    let ballot = record
        .ballots
        .get(index)
        .ok_or_else(|| Rejection::new(Code::SignatureInvalid, "no such ballot is stored"))?;
    Identifier::new("approver", ballot.approver.as_str())?;
    let key = attribute(ballot, keys, &accepted.under(&record.requirement))?;
    match key.algorithm {
        Algorithm::Ed25519 => {
            match verify_ballot(record, request_digest, index, keys, accepted) {
                Ok(_) => Ok(BallotProof::Verified),
                // The comment that the signature covers was erased.
                Err(e) if record.erased.is_some() && e.code == Code::SignatureInvalid => {
                    Ok(BallotProof::Attested)
                }
                Err(e) => Err(e),
            }
        }
        Algorithm::HmacSha256 if ballot.comment.is_some() => Err(Rejection::new(
            Code::SignatureInvalid,
            "it has a comment, and only a secret could verify that its signature covers it",
        )),
        Algorithm::HmacSha256 => Ok(BallotProof::Attested),
    }
}

/// Returns the actor of an entry.
///
/// Rejections: `request-invalid`, `limit-exceeded`.
fn actor(event: &LoggedEvent) -> Result<String, Rejection> {
    let actor = event.actor.as_deref().ok_or_else(|| differs("actor"))?;
    Identifier::subject("actor", actor).map(|actor| actor.to_string())
}

/// Rejections: `request-invalid`.
fn same(member: &str, is_same: bool) -> Result<(), Rejection> {
    if is_same { Ok(()) } else { Err(differs(member)) }
}

fn differs(member: &str) -> Rejection {
    Rejection::request(format!("its `{member}` does not match this step of the approval"))
}
