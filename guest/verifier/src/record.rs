//! The record: an approval as it is stored. The verifier writes and reads it; hosts keep it unread.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::asked::Asked;
use crate::limits::RECORD_BYTES_MAX;
use crate::object::{Object, counts, sentence};
use crate::rejection::{Code, Rejection};
use crate::statement::{Decision, Profile, StatementText};
use crate::time::UnixSeconds;

/// The record format this verifier writes, and the only one it reads.
pub const FORMAT: u32 = 1;

/// An approval, with everything that happened to it. The context and plan are not here, only their
/// digests.
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
    pub requirement: Requirement,
    pub policy: Option<String>,
    pub rule: Option<String>,
    pub ballots: Vec<Ballot>,
    pub decided_at: Option<UnixSeconds>,
    pub executed_at: Option<UnixSeconds>,
    pub execution: Option<Execution>,
    pub withdrawn_at: Option<UnixSeconds>,
    pub withdrawn_by: Option<String>,
}

/// Where an approval stands.
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

/// What it takes to approve: frozen when the approval is made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Requirement {
    pub ttl_seconds: u64,
    pub threshold: u32,
    #[serde(deserialize_with = "counts")]
    pub groups: BTreeMap<String, u32>,
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

/// How the claimed execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Claimed, and nothing reported yet.
    Claimed,
    /// It ran.
    Succeeded,
    /// It did not.
    Failed,
    /// The lease ran out before anything was reported.
    Unknown,
}

impl Record {
    /// Reads a stored record; none is `not-found`.
    ///
    /// Rejections: 1. `not-found` 2. `store-unavailable` for a text that this verifier did not write.
    pub fn read(text: Option<&str>) -> Result<Self, Rejection> {
        let text = text.ok_or_else(|| Rejection::new(Code::NotFound, "no such approval"))?;
        let unreadable = |why: String| {
            Rejection::new(Code::StoreUnavailable, format!("record cannot be read: {why}"))
        };
        if text.len() > RECORD_BYTES_MAX {
            return Err(unreadable(format!("it is {} bytes", text.len())));
        }
        let Object(record): Object<Self> =
            serde_json::from_str(text).map_err(|e| unreadable(sentence(&e)))?;
        if record.format != FORMAT {
            return Err(unreadable(format!(
                "format {} where this verifier reads {FORMAT}",
                record.format
            )));
        }
        // Only a claim makes an execution, and only once: a record that says otherwise was tampered
        // with, and must not be claimed again.
        if (record.status == Status::Executed) != record.execution.is_some() {
            return Err(unreadable("its status and its execution disagree".to_owned()));
        }
        Ok(record)
    }

    /// The record as text.
    ///
    /// Rejections: `store-unavailable` if it cannot be written, which no record here can cause.
    pub fn write(&self) -> Result<String, Rejection> {
        to_json(self)
    }

    /// The status at `now`: `pending` or `approved` at or past the expiry is `expired`, whether or
    /// not anybody has stored that.
    pub fn status_at(&self, now: UnixSeconds) -> Status {
        match self.status {
            Status::Pending | Status::Approved if now >= self.expires_at => Status::Expired,
            status => status,
        }
    }

    /// When time alone will next change the record.
    pub fn due_at(&self) -> Option<UnixSeconds> {
        match (self.status, &self.execution) {
            (Status::Pending | Status::Approved, _) => Some(self.expires_at),
            (Status::Executed, Some(execution)) if execution.outcome == Outcome::Claimed => {
                Some(execution.lease_expires_at)
            }
            _ => None,
        }
    }

    /// The digest of what is asked for, worked out again from the record's own fields.
    ///
    /// Rejections: `store-unavailable` for a record that has grown past what `open` lets in.
    pub fn request_digest(&self) -> Result<String, Rejection> {
        let asked = Asked {
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
        asked.digest()
    }

    /// The statement that a decision of this approval signs. The digest is an argument, because one
    /// call may need several statements.
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
    /// The outcome at `now`: `claimed` at or past the end of its lease is `unknown`, whether or not
    /// anybody has stored that.
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

    /// The status as it is written.
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
    /// Whether a report of how it ended is still to come.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Claimed | Self::Unknown)
    }

    /// The outcome as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, Rejection> {
    serde_json::to_string(value).map_err(|e| Rejection::new(Code::StoreUnavailable, e.to_string()))
}
