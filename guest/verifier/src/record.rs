//! The record: an approval as it is stored. Only the verifier writes and reads it; to hosts it is
//! opaque.

use serde::{Deserialize, Serialize};
pub use signoff_core::requirement::Requirement;

use crate::limits::RECORD_BYTES_MAX;
use crate::name::Digest;
use crate::object::{Object, object, object_or_null, objects, redacted_message};
use crate::rejection::{Code, Rejection};
use crate::request_content::RequestContent;
use crate::statement::{Decision, Profile, StatementText};
use crate::time::UnixSeconds;

/// The record format that this verifier writes, and the only one it reads.
pub const FORMAT: u32 = 1;

/// An approval and everything that happened to it. Holds only the digests of context and plan.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the names say it, and DESIGN's words explain them")]
pub struct Record {
    pub format: u32,
    pub id: String,
    pub audience: String,
    pub status: Status,
    pub agent: String,
    pub action: String,
    pub context_hash: String,
    pub plan_hash: Option<String>,
    pub reason: Option<String>,
    pub requested_by: String,
    pub requested_at: UnixSeconds,
    pub expires_at: UnixSeconds,
    #[serde(deserialize_with = "object")]
    pub requirement: Requirement,
    pub policy: Option<String>,
    pub rule: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    #[serde(deserialize_with = "objects")]
    pub ballots: Vec<Ballot>,
    pub decided_at: Option<UnixSeconds>,
    pub executed_at: Option<UnixSeconds>,
    #[serde(default, deserialize_with = "object_or_null")]
    pub execution: Option<Execution>,
    pub withdrawn_at: Option<UnixSeconds>,
    pub withdrawn_by: Option<String>,
    #[serde(default, deserialize_with = "object_or_null", skip_serializing_if = "Option::is_none")]
    pub erased: Option<Erased>,
}

/// Status of an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the runbook's words")]
pub enum Status {
    Pending,
    Approved,
    Rejected,
    Executed,
    Expired,
    Withdrawn,
}

/// One approver's signed decision.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Ballot {
    pub decision: Decision,
    pub approver: String,
    pub comment: Option<String>,
    pub signature: String,
    pub profile: Profile,
    pub key_id: String,
    pub cast_at: UnixSeconds,
}

/// The single use of an approval.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Execution {
    pub id: String,
    pub claimed_by: String,
    pub claimed_at: UnixSeconds,
    pub lease_expires_at: UnixSeconds,
    pub outcome: Outcome,
    pub detail: Option<String>,
    pub settled_at: Option<UnixSeconds>,
    pub late: bool,
}

/// Marks an approval as erased. Its texts are removed, so the request digest cannot be recomputed
/// and is stored here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Erased {
    pub at: UnixSeconds,
    pub request_digest: String,
}

/// How the claimed execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Claimed; no outcome reported yet.
    Claimed,
    /// The action ran.
    Succeeded,
    /// The action failed.
    Failed,
    /// The lease ran out before an outcome was reported.
    Unknown,
}

impl Record {
    /// Reads the stored record of the approval `id`; `None` means that there is no such approval.
    ///
    /// Rejections: 1. `not-found` 2. `record-unreadable` for a text that this verifier did not
    /// write for this approval.
    pub fn read(id: &str, text: Option<&str>) -> Result<Self, Rejection> {
        let text = text.ok_or_else(|| Rejection::new(Code::NotFound, "no such approval"))?;
        if text.len() > RECORD_BYTES_MAX {
            return Err(unreadable(&format!("it is {} bytes", text.len())));
        }
        let Object(record): Object<Self> =
            serde_json::from_str(text).map_err(|e| unreadable(&redacted_message(&e)))?;
        if record.format != FORMAT {
            return Err(unreadable(&format!(
                "format {} where this verifier reads {FORMAT}",
                record.format
            )));
        }
        if record.id != id {
            return Err(unreadable(&format!("it is the record of `{}`, not of `{id}`", record.id)));
        }
        record.is_consistent()?;
        Ok(record)
    }

    /// Refuses a record that no sequence of operations produces: such a record was tampered with.
    ///
    /// Rejections: `record-unreadable`.
    fn is_consistent(&self) -> Result<(), Rejection> {
        // Only a claim creates an execution, and an approval can be claimed only once.
        if (self.status == Status::Executed) != self.execution.is_some() {
            return Err(unreadable("its status and its execution disagree"));
        }
        let Some(erased) = &self.erased else { return Ok(()) };
        // The stored digest replaces the computed one, so no further change may depend on it.
        if !self.is_final() {
            return Err(unreadable("it is erased and not final"));
        }
        let texts = [
            self.reason.as_ref(),
            self.policy_reason.as_ref(),
            self.execution.as_ref().and_then(|execution| execution.detail.as_ref()),
        ];
        let comments = self.ballots.iter().map(|ballot| ballot.comment.as_ref());
        if texts.into_iter().chain(comments).any(|text| text.is_some()) {
            return Err(unreadable("it is erased and holds a text"));
        }
        Digest::new("request_digest", erased.request_digest.as_str())
            .map(drop)
            .map_err(|e| unreadable(&e.message))
    }

    /// Returns whether only [`erase`](crate::lifecycle::Erase) can still change the stored status
    /// and outcome, except that an `unknown` outcome may still be settled.
    fn is_final(&self) -> bool {
        match self.status {
            Status::Pending | Status::Approved => false,
            Status::Rejected | Status::Expired | Status::Withdrawn => true,
            Status::Executed => {
                self.execution.as_ref().is_some_and(|e| e.outcome != Outcome::Claimed)
            }
        }
    }

    /// Serializes the record.
    ///
    /// Rejections: `internal-error` if serialization fails, which no record can cause.
    pub fn write(&self) -> Result<String, Rejection> {
        to_json(self)
    }

    /// Returns the status at `now`: `pending` or `approved` at or past the expiry is `expired`,
    /// whether or not that has been stored.
    pub fn status_at(&self, now: UnixSeconds) -> Status {
        match self.status {
            Status::Pending | Status::Approved if now >= self.expires_at => Status::Expired,
            status => status,
        }
    }

    /// Returns when time alone will next change the record.
    pub fn due_at(&self) -> Option<UnixSeconds> {
        match (self.status, &self.execution) {
            (Status::Pending | Status::Approved, _) => Some(self.expires_at),
            (Status::Executed, Some(execution)) if execution.outcome == Outcome::Claimed => {
                Some(execution.lease_expires_at)
            }
            _ => None,
        }
    }

    /// Returns the request digest, computed from the record's own fields; for an erased approval,
    /// the stored one.
    ///
    /// Rejections: `record-unreadable` for a record that has grown past what `open` accepts.
    pub fn request_digest(&self) -> Result<String, Rejection> {
        if let Some(erased) = &self.erased {
            return Ok(erased.request_digest.clone());
        }
        let content = RequestContent {
            format: self.format,
            agent: &self.agent,
            action: &self.action,
            context_hash: &self.context_hash,
            plan_hash: self.plan_hash.as_deref(),
            reason: self.reason.as_deref(),
            requested_by: &self.requested_by,
            requested_at: self.requested_at,
            requirement: &self.requirement,
            policy: self.policy.as_deref(),
            rule: self.rule.as_deref(),
        };
        content.digest().map_err(|e| unreadable(&e.message))
    }

    /// Returns the statement that a decision of this approval signs. The digest is an argument
    /// because one call may need several statements.
    pub fn statement(
        &self,
        request_digest: &str,
        decision: &str,
        approver: &str,
        key_id: &str,
        comment: &str,
    ) -> StatementText {
        StatementText {
            audience: self.audience.clone(),
            key_id: key_id.to_owned(),
            approval_id: self.id.clone(),
            request_digest: request_digest.to_owned(),
            expires_at: self.expires_at.seconds(),
            decision: decision.to_owned(),
            approver: approver.to_owned(),
            comment: comment.to_owned(),
        }
    }
}

impl Execution {
    /// Returns the outcome at `now`: `claimed` at or past the end of the lease is `unknown`,
    /// whether or not that has been stored.
    pub fn outcome_at(&self, now: UnixSeconds) -> Outcome {
        match self.outcome {
            Outcome::Claimed if now >= self.lease_expires_at => Outcome::Unknown,
            outcome => outcome,
        }
    }
}

impl Status {
    /// Every status, in the order of the table in `wit/lifecycle.wit`.
    pub const ALL: &[Self] = &[
        Self::Pending,
        Self::Approved,
        Self::Rejected,
        Self::Executed,
        Self::Expired,
        Self::Withdrawn,
    ];

    /// Returns the status as written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Executed => "executed",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl Outcome {
    /// Returns whether the outcome can still be settled.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Claimed | Self::Unknown)
    }

    /// Returns the outcome as written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

fn unreadable(why: &str) -> Rejection {
    Rejection::new(Code::RecordUnreadable, format!("record cannot be read: {why}"))
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, Rejection> {
    serde_json::to_string(value).map_err(|e| Rejection::new(Code::InternalError, e.to_string()))
}
