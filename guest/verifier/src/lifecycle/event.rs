//! The events that callers send: JSON objects, parsed strictly.

use std::borrow::Cow;

use serde::Deserialize;
use signoff_core::requirement::{PartialRequirement, duration};
use signoff_core::role::Role;

use crate::limits::{
    EVENT_BYTES_MAX, FAILED_MAX, LEASE_SECONDS_DEFAULT, LEASE_SECONDS_MAX, TEXT_BYTES_MAX,
    TTL_SECONDS_MAX,
};
use crate::name::{ApprovalId, ExecutionId, Identifier, Text, check_length};
use crate::object::{self, object};
use crate::record::{Outcome, Requirement};
use crate::rejection::{Code, Rejection};
use crate::statement::Decision;

/// A request for an approval.
pub(super) struct Request {
    pub(super) id: ApprovalId,
    pub(super) audience: Identifier,
    pub(super) agent: Identifier,
    pub(super) action: Identifier,
    pub(super) reason: Option<Text>,
    pub(super) requested_by: Identifier,
    pub(super) requirement: Requirement,
    pub(super) policy: Option<Identifier>,
    pub(super) rule: Option<Identifier>,
    pub(super) policy_reason: Option<Text>,
    pub(super) failed: Vec<Identifier>,
}

/// A ballot as it is sent, not yet verified.
pub(super) struct Ballot<'a> {
    pub(super) decision: Decision,
    pub(super) approver: Identifier,
    pub(super) comment: Option<Text>,
    pub(super) signature: Cow<'a, str>,
}

/// What an executor is about to run. Absent members are not compared.
pub(super) struct Attempt<'a> {
    pub(super) signature: Option<Cow<'a, str>>,
    pub(super) agent: Option<Identifier>,
    pub(super) action: Option<Identifier>,
}

/// An executor's claim.
pub(super) struct Claim {
    pub(super) agent: Identifier,
    pub(super) action: Identifier,
    pub(super) claimed_by: Identifier,
    pub(super) execution_id: ExecutionId,
    pub(super) lease_seconds: u64,
}

/// The reported outcome of an execution, and who reports it.
pub(super) struct Report {
    pub(super) execution_id: ExecutionId,
    pub(super) outcome: Outcome,
    pub(super) detail: Option<Text>,
    pub(super) actor: Actor,
}

/// A withdrawal of an approval.
pub(super) struct Withdrawal {
    pub(super) actor: Actor,
}

/// An extension of an approval's expiry.
pub(super) struct Extension {
    pub(super) seconds: u64,
    pub(super) actor: Actor,
}

/// The caller and its roles.
pub(super) struct Actor {
    pub(super) subject: Identifier,
    pub(super) admin: bool,
    pub(super) approver: bool,
}

impl Request {
    pub(super) fn read(text: &str) -> Result<Self, Rejection> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields<'a> {
            #[serde(borrow)]
            id: Cow<'a, str>,
            audience: Cow<'a, str>,
            agent: Cow<'a, str>,
            action: Cow<'a, str>,
            reason: Option<Cow<'a, str>>,
            requested_by: Cow<'a, str>,
            #[serde(default, deserialize_with = "object")]
            requirement: PartialRequirement,
            ttl_seconds: Option<i64>,
            #[serde(default, deserialize_with = "object")]
            floor: PartialRequirement,
            #[serde(default, deserialize_with = "object")]
            policy_requirement: PartialRequirement,
            policy: Option<Cow<'a, str>>,
            rule: Option<Cow<'a, str>>,
            policy_reason: Option<Cow<'a, str>>,
            #[serde(default)]
            failed: Vec<Cow<'a, str>>,
        }
        let fields: Fields<'_> = parse("request", text)?;
        let optional = |field, text: Option<Cow<'_, str>>| {
            text.map(|text| Identifier::new(field, text)).transpose()
        };
        Ok(Self {
            id: ApprovalId::new(fields.id)?,
            audience: Identifier::new("audience", fields.audience)?,
            agent: Identifier::new("agent", fields.agent)?,
            action: Identifier::new("action", fields.action)?,
            reason: Text::optional("reason", fields.reason)?,
            requested_by: Identifier::subject("requested_by", &fields.requested_by)?,
            requirement: required(
                fields.requirement,
                fields.ttl_seconds,
                &[fields.floor, fields.policy_requirement],
            )?,
            policy: optional("policy", fields.policy)?,
            rule: optional("rule", fields.rule)?,
            policy_reason: Text::optional("policy_reason", fields.policy_reason)?,
            failed: failed(fields.failed)?,
        })
    }
}

/// Reads the names of the rules whose condition failed.
///
/// Rejections: `limit-exceeded`, `request-invalid`.
fn failed(names: Vec<Cow<'_, str>>) -> Result<Vec<Identifier>, Rejection> {
    if names.len() > FAILED_MAX {
        return Err(Rejection::new(
            Code::LimitExceeded,
            format!("failed has {} rules, the limit is {FAILED_MAX}", names.len()),
        ));
    }
    names.into_iter().map(|name| Identifier::new("failed", name)).collect()
}

/// Returns the requirement of a request, no less strict than each floor. `ttl_seconds` may be given
/// next to `requirement` instead of in it. Values out of bounds are refused even if a floor would
/// override them.
fn required(
    mut requirement: PartialRequirement,
    ttl_seconds: Option<i64>,
    floors: &[PartialRequirement; 2],
) -> Result<Requirement, Rejection> {
    if requirement.ttl_seconds.is_some() && ttl_seconds.is_some() {
        return Err(Rejection::request(
            "`ttl_seconds` is given twice, in `requirement` and next to it",
        ));
    }
    requirement.ttl_seconds = requirement.ttl_seconds.or(ttl_seconds);
    requirement.check()?;
    floors.iter().fold(requirement, PartialRequirement::stricter).complete()
}

impl Ballot<'_> {
    /// Returns the comment to store: `None` if it is empty, since an empty comment signs like no
    /// comment.
    pub(super) fn comment(&self) -> Option<String> {
        self.comment.as_ref().map(ToString::to_string).filter(|comment| !comment.is_empty())
    }
}

impl<'a> Ballot<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, Rejection> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields<'a> {
            #[serde(borrow)]
            decision: Cow<'a, str>,
            approver: Cow<'a, str>,
            comment: Option<Cow<'a, str>>,
            signature: Cow<'a, str>,
        }
        let fields: Fields<'_> = parse("ballot", text)?;
        check_length("signature", &fields.signature, TEXT_BYTES_MAX)?;
        Ok(Self {
            decision: Decision::read(&fields.decision)?,
            approver: Identifier::new("approver", fields.approver)?,
            comment: Text::optional("comment", fields.comment)?,
            signature: fields.signature,
        })
    }
}

impl<'a> Attempt<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, Rejection> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields<'a> {
            #[serde(borrow, default)]
            signature: Option<Cow<'a, str>>,
            #[serde(default)]
            agent: Option<Cow<'a, str>>,
            #[serde(default)]
            action: Option<Cow<'a, str>>,
        }
        let fields: Fields<'_> = parse("attempt", text)?;
        let name = |field, text: Option<Cow<'_, str>>| {
            text.map(|text| Identifier::new(field, text)).transpose()
        };
        if let Some(signature) = &fields.signature {
            check_length("signature", signature, TEXT_BYTES_MAX)?;
        }
        Ok(Self {
            signature: fields.signature,
            agent: name("agent", fields.agent)?,
            action: name("action", fields.action)?,
        })
    }
}

impl Claim {
    pub(super) fn read(text: &str) -> Result<Self, Rejection> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields<'a> {
            #[serde(borrow)]
            agent: Cow<'a, str>,
            action: Cow<'a, str>,
            claimed_by: Cow<'a, str>,
            execution_id: Cow<'a, str>,
            lease_seconds: Option<i64>,
        }
        let fields: Fields<'_> = parse("claim", text)?;
        Ok(Self {
            agent: Identifier::new("agent", fields.agent)?,
            action: Identifier::new("action", fields.action)?,
            claimed_by: Identifier::subject("claimed_by", &fields.claimed_by)?,
            execution_id: ExecutionId::new(fields.execution_id)?,
            lease_seconds: match fields.lease_seconds {
                Some(seconds) => duration("lease_seconds", seconds, LEASE_SECONDS_MAX)?,
                None => LEASE_SECONDS_DEFAULT,
            },
        })
    }
}

impl Report {
    pub(super) fn read(text: &str) -> Result<Self, Rejection> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields<'a> {
            #[serde(borrow)]
            execution_id: Cow<'a, str>,
            outcome: Cow<'a, str>,
            detail: Option<Cow<'a, str>>,
            #[serde(deserialize_with = "object")]
            actor: ActorFields<'a>,
        }
        let fields: Fields<'_> = parse("outcome", text)?;
        Ok(Self {
            execution_id: ExecutionId::new(fields.execution_id)?,
            outcome: match fields.outcome.as_ref() {
                "succeeded" => Outcome::Succeeded,
                "failed" => Outcome::Failed,
                _ => {
                    return Err(Rejection::request("outcome must be `succeeded` or `failed`"));
                }
            },
            detail: Text::optional("detail", fields.detail)?,
            actor: fields.actor.read()?,
        })
    }
}

impl Withdrawal {
    pub(super) fn read(text: &str) -> Result<Self, Rejection> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields<'a> {
            #[serde(borrow, deserialize_with = "object")]
            actor: ActorFields<'a>,
        }
        let fields: Fields<'_> = parse("withdrawal", text)?;
        Ok(Self { actor: fields.actor.read()? })
    }
}

impl Extension {
    pub(super) fn read(text: &str) -> Result<Self, Rejection> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields<'a> {
            expires_in_seconds: i64,
            #[serde(borrow, deserialize_with = "object")]
            actor: ActorFields<'a>,
        }
        let fields: Fields<'_> = parse("extension", text)?;
        Ok(Self {
            seconds: duration("expires_in_seconds", fields.expires_in_seconds, TTL_SECONDS_MAX)?,
            actor: fields.actor.read()?,
        })
    }
}

impl Actor {
    pub(super) fn read(text: &str) -> Result<Self, Rejection> {
        parse::<ActorFields<'_>>("actor", text)?.read()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActorFields<'a> {
    #[serde(borrow)]
    subject: Cow<'a, str>,
    #[serde(default)]
    roles: Vec<Cow<'a, str>>,
}

impl ActorFields<'_> {
    fn read(self) -> Result<Actor, Rejection> {
        let read = |role: &Cow<'_, str>| {
            Role::parse(role).ok_or_else(|| {
                Rejection::request(format!("unknown role `{}`", role.escape_debug()))
            })
        };
        let roles = self.roles.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(Actor {
            admin: roles.contains(&Role::Admin),
            approver: roles.contains(&Role::Approver),
            subject: Identifier::subject("subject", &self.subject)?,
        })
    }
}

fn parse<'a, T: Deserialize<'a>>(what: &str, text: &'a str) -> Result<T, Rejection> {
    check_length(what, text, EVENT_BYTES_MAX)?;
    object::parse(what, text)
}
