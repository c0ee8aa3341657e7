//! Audit entries: ids, digests, actors and codes; never a context, reason, comment or detail.

use serde::Serialize;

use crate::record::{Outcome, Record, Requirement, Status, to_json};
use crate::rejection::Rejection;
use crate::statement::{Decision, Profile};
use crate::time::UnixSeconds;

/// One audit entry, `format: 1`. Members that do not apply to its event are omitted.
#[derive(Serialize)]
pub(super) struct Entry<'a> {
    pub(super) format: u32,
    pub(super) event: &'static str,
    pub(super) at: UnixSeconds,
    pub(super) approval_id: &'a str,
    pub(super) agent: &'a str,
    pub(super) action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) actor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<Status>,
    pub(super) to: Status,
    pub(super) context_hash: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) plan_hash: Option<&'a str>,
    pub(super) request_digest: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decision: Option<Decision>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) profile: Option<Profile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signature_hash: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<UnixSeconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) execution_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) late: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) requirement: Option<&'a Requirement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule: Option<&'a str>,
}

impl<'a> Entry<'a> {
    /// Creates the entry of an event that led to `record`.
    pub(super) fn new(
        event: &'static str,
        record: &'a Record,
        request_digest: &'a str,
        at: UnixSeconds,
    ) -> Self {
        Self {
            format: 1,
            event,
            at,
            approval_id: &record.id,
            agent: &record.agent,
            action: &record.action,
            actor: None,
            from: None,
            to: record.status,
            context_hash: &record.context_hash,
            plan_hash: record.plan_hash.as_deref(),
            request_digest,
            decision: None,
            profile: None,
            key_id: None,
            signature_hash: None,
            expires_at: None,
            execution_id: None,
            outcome: None,
            late: None,
            requirement: None,
            policy: None,
            rule: None,
        }
    }

    /// Serializes the entry.
    pub(super) fn write(&self) -> Result<String, Rejection> {
        to_json(self)
    }
}
