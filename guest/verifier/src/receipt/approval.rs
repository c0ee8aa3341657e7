//! The approval in a receipt: exactly those members of the API's approval that a signature, a
//! digest or the log proves.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::invalid;
use crate::approval::ApprovalView;
use crate::lifecycle::Replay;
use crate::limits::BALLOTS_MAX;
use crate::name::Digest;
use crate::object::{self, object, object_or_null, objects};
use crate::record::{Ballot, Erased, FORMAT, Outcome, Record, Requirement, Status};
use crate::rejection::Rejection;
use crate::time::UnixSeconds;

/// An approval, with its context and plan. Members of events that have not happened are null.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Approval<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    pub(super) audience: Cow<'a, str>,
    status: Status,
    pub(super) agent: Cow<'a, str>,
    pub(super) action: Cow<'a, str>,
    #[serde(deserialize_with = "nullable")]
    context: Option<&'a RawValue>,
    pub(super) context_hash: Cow<'a, str>,
    #[serde(deserialize_with = "nullable")]
    plan: Option<&'a RawValue>,
    #[serde(deserialize_with = "nullable")]
    pub(super) plan_hash: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(super) reason: Option<String>,
    pub(super) requested_by: Cow<'a, str>,
    pub(super) requested_at: UnixSeconds,
    pub(super) expires_at: UnixSeconds,
    #[serde(deserialize_with = "object")]
    pub(super) requirement: Requirement,
    #[serde(deserialize_with = "nullable")]
    policy: Option<String>,
    #[serde(deserialize_with = "nullable")]
    rule: Option<String>,
    pub(super) request_digest: Cow<'a, str>,
    #[serde(deserialize_with = "objects")]
    pub(super) ballots: Vec<Ballot>,
    #[serde(deserialize_with = "object_or_null")]
    execution: Option<Execution>,
    #[serde(deserialize_with = "nullable")]
    withdrawn_at: Option<UnixSeconds>,
    #[serde(deserialize_with = "nullable")]
    withdrawn_by: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(super) erased_at: Option<UnixSeconds>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Execution {
    id: String,
    claimed_by: String,
    claimed_at: UnixSeconds,
    outcome: Outcome,
    #[serde(deserialize_with = "nullable")]
    settled_at: Option<UnixSeconds>,
    late: bool,
}

impl<'a> Approval<'a> {
    /// Parses the approval of a receipt and recomputes the digests of the context, the plan and the
    /// request.
    ///
    /// Rejections: `receipt-invalid`.
    pub(super) fn read(text: &'a str) -> Result<Self, Rejection> {
        let wrong = |e: Rejection| of_approval(&e.message);
        let approval: Self = object::parse("approval", text).map_err(|e| invalid(e.message))?;
        if approval.ballots.len() > BALLOTS_MAX {
            let found = approval.ballots.len();
            return Err(of_approval(&format!(
                "it has {found} ballots, the limit is {BALLOTS_MAX}"
            )));
        }
        let shown = ApprovalView::read(text).map_err(wrong)?;
        if approval.erased_at.is_some() {
            Digest::new("request_digest", approval.request_digest.as_ref()).map_err(wrong)?;
            return match approval.text_of_erased() {
                None => Ok(approval),
                Some(text) => Err(of_approval(&format!("it was erased, but has a {text}"))),
            };
        }
        shown.request_digest().map_err(wrong)?;
        let context = approval.context.map_or("null", RawValue::get);
        shown.has_context(context).map_err(wrong)?;
        shown.has_plan(approval.plan.map(RawValue::get)).map_err(wrong)?;
        Ok(approval)
    }

    /// Returns the first text present that an erased approval must not have.
    fn text_of_erased(&self) -> Option<&'static str> {
        let texts = [
            ("context", self.context.is_some()),
            ("plan", self.plan.is_some()),
            ("reason", self.reason.is_some()),
            ("comment", self.ballots.iter().any(|ballot| ballot.comment.is_some())),
        ];
        texts.into_iter().find(|(_, is_there)| *is_there).map(|(text, _)| text)
    }

    /// Returns the record of the request, as it was before any other change.
    pub(super) fn requested(&self) -> Record {
        Record {
            format: FORMAT,
            id: self.id.to_string(),
            audience: self.audience.to_string(),
            status: Status::Pending,
            agent: self.agent.to_string(),
            action: self.action.to_string(),
            context_hash: self.context_hash.to_string(),
            plan_hash: self.plan_hash.clone(),
            reason: self.reason.clone(),
            requested_by: self.requested_by.to_string(),
            requested_at: self.requested_at,
            expires_at: self.expires_at,
            requirement: self.requirement.clone(),
            policy: self.policy.clone(),
            rule: self.rule.clone(),
            policy_reason: None,
            failed: Vec::new(),
            ballots: Vec::new(),
            decided_at: None,
            executed_at: None,
            execution: None,
            withdrawn_at: None,
            withdrawn_by: None,
            erased: self
                .erased_at
                .map(|at| Erased { at, request_digest: self.request_digest.to_string() }),
        }
    }

    /// Checks that the approval equals the result of its steps in the log.
    ///
    /// Rejections: `receipt-invalid`.
    pub(super) fn is(&self, replay: &Replay) -> Result<(), Rejection> {
        let record = replay.record();
        if self.ballots.len() != record.ballots.len() {
            let (shown, logged) = (self.ballots.len(), record.ballots.len());
            return Err(of_approval(&format!("it has {shown} ballots, but the log has {logged}")));
        }
        let (shown, logged) = (self.execution.as_ref(), replay.execution());
        let same = [
            ("status", self.status == record.status),
            ("expires_at", self.expires_at == record.expires_at),
            ("withdrawn_at", self.withdrawn_at == record.withdrawn_at),
            ("withdrawn_by", self.withdrawn_by == record.withdrawn_by),
            ("erased_at", self.erased_at == replay.erased_at()),
            ("execution", shown.is_some() == logged.is_some()),
        ];
        let of_execution = shown.zip(logged).into_iter().flat_map(|(shown, logged)| {
            [
                ("execution.id", shown.id == logged.id),
                ("execution.claimed_by", shown.claimed_by == logged.claimed_by),
                ("execution.claimed_at", shown.claimed_at == logged.claimed_at),
                ("execution.outcome", shown.outcome == logged.outcome),
                ("execution.settled_at", shown.settled_at == logged.settled_at),
                ("execution.late", shown.late == logged.late),
            ]
        });
        match same.into_iter().chain(of_execution).find(|(_, is_same)| !is_same) {
            None => Ok(()),
            Some((name, _)) => Err(of_approval(&format!("its `{name}` is not the log's"))),
        }
    }
}

/// Rejection `receipt-invalid`, of the approval.
fn of_approval(why: &str) -> Rejection {
    invalid(format!("the approval: {why}"))
}

/// Deserializes a member that may be null but must be present.
fn nullable<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer)
}
