//! `open`: creates a pending approval from a request.

use std::borrow::Cow;

use serde::Deserialize;

use super::entry::Entry;
use super::event::Request;
use super::{Opened, Transition};
use crate::context::{self, Invalid};
use crate::record::{FORMAT, Record, Status};
use crate::rejection::{Code, Rejection};
use crate::signature::Accepted;
use crate::time::UnixSeconds;

/// The arguments of `lifecycle.open`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/lifecycle.wit")]
pub struct Open<'a> {
    #[serde(borrow)]
    pub request: Cow<'a, str>,
    pub context: Cow<'a, str>,
    #[serde(default)]
    pub plan: Option<Cow<'a, str>>,
    pub accept: Vec<String>,
    pub now: u64,
}

impl Open<'_> {
    /// Creates a pending approval; see `lifecycle.open` in `wit/` for shapes and rejections.
    pub fn run(&self) -> Result<Opened, Rejection> {
        let request = Request::read(&self.request)?;
        let accepted = Accepted::read(&self.accept)?;
        let now = UnixSeconds::new(self.now)?;
        request.requirement.can_be_met_by(accepted.names())?;
        let (context, context_hash) = canonical("context", &self.context)?;
        let (plan, plan_hash) =
            self.plan.as_deref().map(|plan| canonical("plan", plan)).transpose()?.unzip();
        let record = Record {
            format: FORMAT,
            id: request.id.to_string(),
            audience: request.audience.to_string(),
            status: Status::Pending,
            agent: request.agent.to_string(),
            action: request.action.to_string(),
            context_hash,
            plan_hash,
            reason: request.reason.map(|reason| reason.to_string()),
            requested_by: request.requested_by.to_string(),
            requested_at: now,
            expires_at: now.plus(request.requirement.ttl_seconds)?,
            requirement: request.requirement,
            policy: request.policy.map(|policy| policy.to_string()),
            rule: request.rule.map(|rule| rule.to_string()),
            policy_reason: request.policy_reason.map(|reason| reason.to_string()),
            failed: request.failed.iter().map(ToString::to_string).collect(),
            ballots: Vec::new(),
            decided_at: None,
            executed_at: None,
            execution: None,
            withdrawn_at: None,
            withdrawn_by: None,
            erased: None,
        };
        let request_digest = record.request_digest()?;
        let entry = Entry {
            actor: Some(&record.requested_by),
            expires_at: Some(record.expires_at),
            ..Entry::new("approval_requested", &record, &request_digest, now)
        };
        Ok(Opened { transition: Transition::new(&record, &entry)?, context, plan })
    }
}

/// Rejections: `context-invalid`, with the byte offset.
pub(super) fn invalid(what: &str, invalid: &Invalid) -> Rejection {
    Rejection::new(Code::ContextInvalid, format!("{what}: {invalid}"))
}

fn canonical(what: &str, text: &str) -> Result<(String, String), Rejection> {
    context::canonicalize_and_digest(text).map_err(|e| invalid(what, &e))
}
