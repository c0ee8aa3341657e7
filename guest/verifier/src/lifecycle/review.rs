//! `review`: what an approver's own verifier makes of an approval as a server shows it. Nothing the
//! server says is taken at its word: what can be worked out again is.

use std::borrow::Cow;

use serde::Deserialize;

use super::Stated;
use super::decide;
use super::open::invalid;
use crate::asked::Asked;
use crate::context;
use crate::limits::VIEW_BYTES_MAX;
use crate::name::{ApprovalId, Digest, Identifier, Text, check_length};
use crate::object::{self, object};
use crate::record::{FORMAT, Requirement};
use crate::rejection::{Code, Rejection};
use crate::statement::StatementText;
use crate::time::UnixSeconds;

/// The arguments of `lifecycle.review`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/lifecycle.wit")]
pub struct Review<'a> {
    #[serde(borrow)]
    pub approval: Cow<'a, str>,
    pub context: Cow<'a, str>,
    #[serde(default)]
    pub plan: Option<Cow<'a, str>>,
    pub decision: Cow<'a, str>,
    pub approver: Cow<'a, str>,
    pub key_id: Cow<'a, str>,
    pub comment: Cow<'a, str>,
}

impl Review<'_> {
    /// Returns the statement that a decision of the shown approval signs; see `lifecycle.review`
    /// in `wit/` for shapes and rejections.
    pub fn run(&self) -> Result<Stated, Rejection> {
        let shown = Shown::read(&self.approval)?;
        let statement = StatementText {
            audience: shown.audience.to_string(),
            key_id: self.key_id.clone().into_owned(),
            approval_id: shown.id.to_string(),
            request_digest: shown.request_digest()?,
            expires_at: shown.expires_at.seconds(),
            decision: self.decision.clone().into_owned(),
            approver: self.approver.clone().into_owned(),
            comment: self.comment.clone().into_owned(),
        };
        decide::check(&statement)?;
        shown.has_context(&self.context)?;
        shown.has_plan(self.plan.as_deref())?;
        Ok(Stated { statement })
    }
}

/// What a server shows of an approval, as far as a signature covers it.
struct Shown {
    id: ApprovalId,
    audience: Identifier,
    agent: Identifier,
    action: Identifier,
    context_hash: Digest,
    plan_hash: Option<Digest>,
    reason: Option<Text>,
    requested_by: Identifier,
    requested_at: UnixSeconds,
    expires_at: UnixSeconds,
    requirement: Requirement,
    policy: Option<Identifier>,
    rule: Option<Identifier>,
    /// As the server has it, where it says.
    claimed_digest: Option<Digest>,
}

impl Shown {
    /// Members that a signature does not cover are passed over: a server may show more.
    ///
    /// Rejections: `limit-exceeded`, `request-invalid`.
    fn read(text: &str) -> Result<Self, Rejection> {
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
        }
        check_length("approval", text, VIEW_BYTES_MAX)?;
        object::each_name_once("approval", text)?;
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
            claimed_digest: digest("request_digest", fields.request_digest)?,
        })
    }

    /// Rejections: `request-invalid` where the server shows another digest than its fields have.
    fn request_digest(&self) -> Result<String, Rejection> {
        let asked = Asked {
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
        let digest = asked.digest()?;
        match &self.claimed_digest {
            Some(claimed) if claimed.as_str() != digest => Err(Rejection::request(format!(
                "the request digest of what is shown is {digest}, and {claimed} is shown"
            ))),
            _ => Ok(digest),
        }
    }

    /// Rejections: 1. `context-invalid` 2. `context-mismatch`
    fn has_context(&self, context: &str) -> Result<(), Rejection> {
        let digest = context::digest(context).map_err(|e| invalid("context", &e))?;
        if digest == self.context_hash.as_str() {
            return Ok(());
        }
        Err(Rejection::new(
            Code::ContextMismatch,
            format!("the context has the digest {digest}, {} is shown", self.context_hash),
        ))
    }

    /// Rejections: 1. `context-invalid` 2. `plan-mismatch`
    fn has_plan(&self, plan: Option<&str>) -> Result<(), Rejection> {
        let digest = plan.map(context::digest).transpose().map_err(|e| invalid("plan", &e))?;
        let why = match (&digest, &self.plan_hash) {
            (None, None) => return Ok(()),
            (Some(digest), Some(shown)) if digest == shown.as_str() => return Ok(()),
            (Some(digest), Some(shown)) => {
                format!("the plan has the digest {digest}, {shown} is shown")
            }
            (Some(digest), None) => format!("a plan of digest {digest}, and none is shown"),
            (None, Some(shown)) => format!("no plan, and one of digest {shown} is shown"),
        };
        Err(Rejection::new(Code::PlanMismatch, why))
    }
}
