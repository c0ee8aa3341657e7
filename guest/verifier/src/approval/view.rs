//! Parser of an approval's view (`GET /approvals/{id}`), used by `lifecycle.review`,
//! `approval.verify` and `receipt.verify`. It refuses duplicate members.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::context;
use crate::limits::{BALLOTS_MAX, LEASE_SECONDS_MAX, TEXT_BYTES_MAX, VIEW_BYTES_MAX};
use crate::name::{ApprovalId, Digest, ExecutionId, Identifier, KeyId, Text, check_length};
use crate::object::{self, Object, object, redacted_message};
use crate::record::{Ballot, Execution, FORMAT, Record, Requirement, Status};
use crate::rejection::Rejection;
use crate::request_content::RequestContent;
use crate::time::UnixSeconds;

/// An approval as a server shows it: the members of the request, parsed, and those that only an
/// executor needs, unparsed.
pub(crate) struct ApprovalView<'a> {
    pub(crate) id: ApprovalId,
    pub(crate) audience: Identifier,
    pub(crate) agent: Identifier,
    pub(crate) action: Identifier,
    pub(crate) context_hash: Digest,
    pub(crate) plan_hash: Option<Digest>,
    pub(crate) reason: Option<Text>,
    pub(crate) requested_by: Identifier,
    pub(crate) requested_at: UnixSeconds,
    pub(crate) expires_at: UnixSeconds,
    pub(crate) requirement: Requirement,
    pub(crate) policy: Option<Identifier>,
    pub(crate) rule: Option<Identifier>,
    /// The request digest that the view shows, if any.
    shown_digest: Option<Digest>,
    unread: Unread<'a>,
}

/// The members of a view that are read; `RawValue` members are parsed later.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    audience: Cow<'a, str>,
    agent: Cow<'a, str>,
    action: Cow<'a, str>,
    context_hash: Cow<'a, str>,
    plan_hash: Option<Cow<'a, str>>,
    reason: Option<Cow<'a, str>>,
    requested_by: Cow<'a, str>,
    requested_at: UnixSeconds,
    expires_at: UnixSeconds,
    #[serde(deserialize_with = "object")]
    requirement: Requirement,
    policy: Option<Cow<'a, str>>,
    rule: Option<Cow<'a, str>>,
    request_digest: Option<Cow<'a, str>>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    ballots: Option<&'a RawValue>,
    #[serde(borrow)]
    execution: Option<&'a RawValue>,
    #[serde(borrow)]
    erased_at: Option<&'a RawValue>,
    #[serde(borrow)]
    context: Option<&'a RawValue>,
    #[serde(borrow)]
    plan: Option<&'a RawValue>,
}

/// Members of a view that only an executor needs, unparsed.
struct Unread<'a> {
    status: Option<&'a RawValue>,
    ballots: Option<&'a RawValue>,
    execution: Option<&'a RawValue>,
    erased_at: Option<&'a RawValue>,
    context: Option<&'a RawValue>,
    plan: Option<&'a RawValue>,
}

impl<'a> ApprovalView<'a> {
    /// Parses a view. Members that are not read here are ignored; another version of the server may
    /// add some.
    ///
    /// Rejections: `limit-exceeded`, `request-invalid`.
    pub(crate) fn read(text: &'a str) -> Result<Self, Rejection> {
        check_length("approval", text, VIEW_BYTES_MAX)?;
        object::refuse_duplicate_members("approval", text)?;
        let fields: Fields<'_> = object::parse("approval", text)?;
        let name = |field, text: Option<Cow<'_, str>>| {
            text.map(|text| Identifier::new(field, text)).transpose()
        };
        let digest = |field, text: Option<Cow<'_, str>>| {
            text.map(|text| Digest::new(field, text)).transpose()
        };
        Ok(Self {
            id: ApprovalId::new(fields.id)?,
            audience: Identifier::new("audience", fields.audience)?,
            agent: Identifier::new("agent", fields.agent)?,
            action: Identifier::new("action", fields.action)?,
            context_hash: Digest::new("context_hash", fields.context_hash)?,
            plan_hash: digest("plan_hash", fields.plan_hash)?,
            reason: Text::optional("reason", fields.reason)?,
            requested_by: Identifier::subject("requested_by", &fields.requested_by)?,
            requested_at: fields.requested_at,
            expires_at: fields.expires_at,
            requirement: fields.requirement,
            policy: name("policy", fields.policy)?,
            rule: name("rule", fields.rule)?,
            shown_digest: digest("request_digest", fields.request_digest)?,
            unread: Unread {
                status: fields.status,
                ballots: fields.ballots,
                execution: fields.execution,
                erased_at: fields.erased_at,
                context: fields.context,
                plan: fields.plan,
            },
        })
    }

    /// Returns the request digest, computed from the members shown.
    ///
    /// Rejections: `request-invalid` if the view shows another digest, or the request is too long
    /// to have one.
    pub(crate) fn request_digest(&self) -> Result<String, Rejection> {
        let content = RequestContent {
            format: FORMAT,
            agent: self.agent.as_str(),
            action: self.action.as_str(),
            context_hash: self.context_hash.as_str(),
            plan_hash: self.plan_hash.as_ref().map(Digest::as_str),
            reason: self.reason.as_ref().map(Text::as_str),
            requested_by: self.requested_by.as_str(),
            requested_at: self.requested_at,
            requirement: &self.requirement,
            policy: self.policy.as_ref().map(Identifier::as_str),
            rule: self.rule.as_ref().map(Identifier::as_str),
        };
        let digest = content.digest()?;
        match &self.shown_digest {
            Some(shown) if shown.as_str() != digest => Err(Rejection::request(format!(
                "the computed request digest is {digest}, but {shown} is shown"
            ))),
            _ => Ok(digest),
        }
    }
}

/// The members of a view that only an executor needs: status, ballots, execution and time of
/// erasure.
pub(super) struct Evidence {
    status: Status,
    ballots: Vec<Ballot>,
    execution: Option<Execution>,
    pub(super) erased_at: Option<UnixSeconds>,
}

impl Evidence {
    /// Parses the members that [`ApprovalView`] left unparsed, and compares the recomputed request,
    /// context and plan digests with those shown. For an erased approval the digests are not
    /// checked, because its texts were erased.
    ///
    /// Rejections: `limit-exceeded`, `request-invalid`.
    pub(super) fn read(shown: &ApprovalView<'_>) -> Result<Self, Rejection> {
        let unread = &shown.unread;
        shown.requirement.check()?;
        let ballots: Vec<Object<Ballot>> = required("ballots", unread.ballots)?;
        let execution: Option<Object<Execution>> = optional("execution", unread.execution)?;
        let evidence = Self {
            status: required("status", unread.status)?,
            ballots: ballots.into_iter().map(|Object(ballot)| ballot).collect(),
            execution: execution.map(|Object(execution)| execution),
            erased_at: optional("erased_at", unread.erased_at)?,
        };
        evidence.check_ballots()?;
        evidence.check_execution()?;
        if evidence.erased_at.is_none() {
            shown.request_digest()?;
            has_digest("context", unread.context, Some(&shown.context_hash))?;
            has_digest("plan", unread.plan, shown.plan_hash.as_ref())?;
        }
        Ok(evidence)
    }

    /// Returns a record with the members that were read; `decided_at`, `executed_at`, `withdrawn_*`
    /// and `erased` are unset.
    pub(super) fn record(self, shown: &ApprovalView<'_>) -> Record {
        let text = ToString::to_string;
        Record {
            format: FORMAT,
            id: shown.id.to_string(),
            audience: shown.audience.to_string(),
            status: self.status,
            agent: shown.agent.to_string(),
            action: shown.action.to_string(),
            context_hash: shown.context_hash.to_string(),
            plan_hash: shown.plan_hash.as_ref().map(text),
            reason: shown.reason.as_ref().map(ToString::to_string),
            requested_by: shown.requested_by.to_string(),
            requested_at: shown.requested_at,
            expires_at: shown.expires_at,
            requirement: shown.requirement.clone(),
            policy: shown.policy.as_ref().map(ToString::to_string),
            rule: shown.rule.as_ref().map(ToString::to_string),
            policy_reason: None,
            failed: Vec::new(),
            ballots: self.ballots,
            decided_at: None,
            executed_at: None,
            execution: self.execution,
            withdrawn_at: None,
            withdrawn_by: None,
            erased: None,
        }
    }

    fn check_ballots(&self) -> Result<(), Rejection> {
        if self.ballots.len() > BALLOTS_MAX {
            return Err(Rejection::limit(format!(
                "{} ballots are shown, the limit is {BALLOTS_MAX}",
                self.ballots.len()
            )));
        }
        for ballot in &self.ballots {
            Identifier::new("approver", ballot.approver.as_str())?;
            KeyId::new(ballot.key_id.as_str())?;
            check_length("signature", &ballot.signature, TEXT_BYTES_MAX)?;
            if let Some(comment) = &ballot.comment {
                Text::new("comment", comment.as_str())?;
            }
        }
        Ok(())
    }

    fn check_execution(&self) -> Result<(), Rejection> {
        if (self.status == Status::Executed) != self.execution.is_some() {
            return Err(Rejection::request("approval: `status` and `execution` disagree"));
        }
        let Some(execution) = &self.execution else {
            return Ok(());
        };
        ExecutionId::new(execution.id.as_str())?;
        let claimed_at = execution.claimed_at.seconds();
        if execution.lease_expires_at.seconds().saturating_sub(claimed_at) > LEASE_SECONDS_MAX {
            return Err(Rejection::limit(format!(
                "the lease shown is longer than {LEASE_SECONDS_MAX} seconds"
            )));
        }
        Ok(())
    }
}

/// Checks that a text, if shown, has the digest shown.
///
/// Rejections: `request-invalid` if they differ, the digest is absent or the text is invalid.
fn has_digest(
    what: &str,
    text: Option<&RawValue>,
    shown: Option<&Digest>,
) -> Result<(), Rejection> {
    let Some(text) = text else {
        return Ok(());
    };
    let digest = context::digest(text.get())
        .map_err(|e| Rejection::request(format!("approval: {what}: {e}")))?;
    match shown {
        Some(shown) if shown.as_str() == digest => Ok(()),
        Some(shown) => Err(Rejection::request(format!(
            "the computed digest of the {what} is {digest}, but the server shows {shown}"
        ))),
        None => Err(Rejection::request(format!("a {what} is shown without its digest"))),
    }
}

fn required<T: DeserializeOwned>(field: &str, value: Option<&RawValue>) -> Result<T, Rejection> {
    let value =
        value.ok_or_else(|| Rejection::request(format!("approval: missing field `{field}`")))?;
    serde_json::from_str(value.get())
        .map_err(|e| Rejection::request(format!("approval: {field}: {}", redacted_message(&e))))
}

fn optional<T: DeserializeOwned>(
    field: &str,
    value: Option<&RawValue>,
) -> Result<Option<T>, Rejection> {
    value.map(|value| required(field, Some(value))).transpose()
}
