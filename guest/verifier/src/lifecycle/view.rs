//! `show`: the view of an approval, with the runbook's member names.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Summary, View};
use crate::record::{Ballot, Execution, Record, Requirement, to_json};
use crate::rejection::Rejection;
use crate::statement::Decision;
use crate::time::UnixSeconds;

/// The arguments of `lifecycle.show`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/lifecycle.wit")]
pub struct Show<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(default)]
    pub approval: Option<Cow<'a, str>>,
    pub now: u64,
}

impl Show<'_> {
    /// Returns the view of an approval; see `lifecycle.show` in `wit/`.
    pub fn run(&self) -> Result<View, Rejection> {
        let now = UnixSeconds::new(self.now)?;
        let record = Record::read(&self.id, self.approval.as_deref())?;
        let view = write(&record, &record.request_digest()?, now)?;
        Ok(View { view, summary: Summary::at(&record, now) })
    }
}

/// Serializes the view of a record, with the effective status and outcome at `now`.
///
/// Rejections: `internal-error` if serialization fails, which no record can cause.
pub(super) fn write(
    record: &Record,
    request_digest: &str,
    now: UnixSeconds,
) -> Result<String, Rejection> {
    let execution = record
        .execution
        .as_ref()
        .map(|execution| Execution { outcome: execution.outcome_at(now), ..execution.clone() });
    to_json(&Fields::of(record, request_digest, execution.as_ref(), now))
}

/// The fields of a view, in the order of the runbook's answers. Fields of events that have not
/// happened are null.
#[derive(Serialize)]
struct Fields<'a> {
    id: &'a str,
    audience: &'a str,
    status: &'static str,
    requested_by: &'a str,
    requested_at: UnixSeconds,
    expires_at: UnixSeconds,
    agent: &'a str,
    action: &'a str,
    context_hash: &'a str,
    plan_hash: Option<&'a str>,
    request_digest: &'a str,
    reason: Option<&'a str>,
    requirement: &'a Requirement,
    decision: Option<Decision>,
    approver: Option<&'a str>,
    approved_at: Option<UnixSeconds>,
    decided_at: Option<UnixSeconds>,
    comment: Option<&'a str>,
    signature: Option<&'a str>,
    ballots: &'a [Ballot],
    executed_at: Option<UnixSeconds>,
    execution: Option<&'a Execution>,
    withdrawn_at: Option<UnixSeconds>,
    withdrawn_by: Option<&'a str>,
    erased_at: Option<UnixSeconds>,
    policy: Option<&'a str>,
    rule: Option<&'a str>,
    policy_reason: Option<&'a str>,
    failed: &'a [String],
}

impl<'a> Fields<'a> {
    fn of(
        record: &'a Record,
        request_digest: &'a str,
        execution: Option<&'a Execution>,
        now: UnixSeconds,
    ) -> Self {
        // The last ballot decided the approval.
        let last = record.decided_at.and_then(|_| record.ballots.last());
        let approved = last.is_some_and(|ballot| ballot.decision == Decision::Approved);
        Self {
            id: &record.id,
            audience: &record.audience,
            status: record.status_at(now).as_str(),
            requested_by: &record.requested_by,
            requested_at: record.requested_at,
            expires_at: record.expires_at,
            agent: &record.agent,
            action: &record.action,
            context_hash: &record.context_hash,
            plan_hash: record.plan_hash.as_deref(),
            request_digest,
            reason: record.reason.as_deref(),
            requirement: &record.requirement,
            decision: last.map(|ballot| ballot.decision),
            approver: last.map(|ballot| ballot.approver.as_str()),
            approved_at: record.decided_at.filter(|_| approved),
            decided_at: record.decided_at,
            comment: last.and_then(|ballot| ballot.comment.as_deref()),
            signature: last.map(|ballot| ballot.signature.as_str()),
            ballots: &record.ballots,
            executed_at: record.executed_at,
            execution,
            withdrawn_at: record.withdrawn_at,
            withdrawn_by: record.withdrawn_by.as_deref(),
            erased_at: record.erased.as_ref().map(|erased| erased.at),
            policy: record.policy.as_deref(),
            rule: record.rule.as_deref(),
            policy_reason: record.policy_reason.as_deref(),
            failed: &record.failed,
        }
    }
}
