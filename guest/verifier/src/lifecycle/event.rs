//! What callers send: JSON objects, read strictly.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::limits::{
    EVENT_BYTES_MAX, LEASE_SECONDS_DEFAULT, LEASE_SECONDS_MAX, TEXT_BYTES_MAX, THRESHOLD_MAX,
    TTL_SECONDS_DEFAULT, TTL_SECONDS_MAX,
};
use crate::name::{ApprovalId, ExecutionId, Identifier, Text, check_length};
use crate::object::{self, counts, object};
use crate::record::{Outcome, Requirement};
use crate::rejection::Rejection;
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
}

/// A ballot as it is sent, not yet verified.
pub(super) struct Ballot<'a> {
    pub(super) decision: Decision,
    pub(super) approver: Identifier,
    pub(super) comment: Option<Text>,
    pub(super) signature: Cow<'a, str>,
}

/// What an executor is about to run; what is absent is not compared.
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

/// How an execution ended, and who says so.
pub(super) struct Report {
    pub(super) execution_id: ExecutionId,
    pub(super) outcome: Outcome,
    pub(super) detail: Option<Text>,
    pub(super) actor: Actor,
}

/// A wish to take an approval back.
pub(super) struct Withdrawal {
    pub(super) actor: Actor,
}

/// A wish for more time.
pub(super) struct Extension {
    pub(super) seconds: u64,
    pub(super) actor: Actor,
}

/// Who acts, and with which roles.
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
            requirement: RequirementFields,
            ttl_seconds: Option<i64>,
            #[serde(default, deserialize_with = "object")]
            floor: RequirementFields,
            #[serde(default, deserialize_with = "object")]
            policy_requirement: RequirementFields,
            policy: Option<Cow<'a, str>>,
            rule: Option<Cow<'a, str>>,
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
            requirement: fields
                .requirement
                .living(fields.ttl_seconds)?
                .above([fields.floor, fields.policy_requirement])?,
            policy: optional("policy", fields.policy)?,
            rule: optional("rule", fields.rule)?,
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RequirementFields {
    ttl_seconds: Option<i64>,
    threshold: Option<u32>,
    #[serde(deserialize_with = "counts")]
    groups: BTreeMap<String, u32>,
}

impl RequirementFields {
    fn of(requirement: &Requirement) -> Result<Self, Rejection> {
        let Requirement { ttl_seconds, threshold, groups } = requirement;
        let ttl_seconds = i64::try_from(*ttl_seconds)
            .map_err(|_| Rejection::limit(format!("ttl_seconds is {ttl_seconds}")))?;
        Ok(Self {
            ttl_seconds: Some(ttl_seconds),
            threshold: Some(*threshold),
            groups: groups.clone(),
        })
    }

    /// The time to live may stand beside the requirement instead of in it.
    fn living(mut self, ttl_seconds: Option<i64>) -> Result<Self, Rejection> {
        if self.ttl_seconds.is_some() && ttl_seconds.is_some() {
            return Err(Rejection::request("the time to live is given twice"));
        }
        self.ttl_seconds = self.ttl_seconds.or(ttl_seconds);
        Ok(self)
    }

    /// What is asked for, and no less than each floor. What is out of its form is refused as that, also
    /// where a floor would hide it.
    fn above(self, floors: [Self; 2]) -> Result<Requirement, Rejection> {
        self.read()?;
        floors.into_iter().fold(self, Self::no_less_than).read()
    }

    /// The stricter of two requirements, in each part: more approvers, more of each group, a shorter
    /// life. Whoever asks can only ask for more than the floor.
    fn no_less_than(mut self, floor: Self) -> Self {
        self.threshold = self.threshold.max(floor.threshold);
        self.ttl_seconds = match (self.ttl_seconds, floor.ttl_seconds) {
            (Some(asked), Some(longest)) => Some(asked.min(longest)),
            (asked, longest) => asked.or(longest),
        };
        for (group, minimum) in floor.groups {
            let asked = self.groups.entry(group).or_insert(minimum);
            *asked = minimum.max(*asked);
        }
        self
    }

    fn read(&self) -> Result<Requirement, Rejection> {
        let threshold = self.threshold.unwrap_or(1);
        let count = |field: &str, n: u32| match n {
            0 => Err(Rejection::request(format!("{field} must be at least 1"))),
            1..=THRESHOLD_MAX => Ok(()),
            _ => Err(Rejection::limit(format!("{field} is {n}, the limit is {THRESHOLD_MAX}"))),
        };
        count("threshold", threshold)?;
        if self.groups.len() > THRESHOLD_MAX as usize {
            return Err(Rejection::limit(format!(
                "{} groups, the limit is {THRESHOLD_MAX}",
                self.groups.len()
            )));
        }
        for (group, minimum) in &self.groups {
            Identifier::new("group", group.as_str())?;
            count("a group's minimum", *minimum)?;
        }
        Ok(Requirement {
            ttl_seconds: duration(
                "expires_in_seconds",
                self.ttl_seconds,
                TTL_SECONDS_DEFAULT,
                TTL_SECONDS_MAX,
            )?,
            threshold,
            groups: self.groups.clone(),
        })
    }
}

/// Refuses a requirement that no request can have.
///
/// Rejections: `request-invalid`, `limit-exceeded`.
pub(crate) fn within_bounds(requirement: &Requirement) -> Result<(), Rejection> {
    RequirementFields::of(requirement)?.read().map(drop)
}

/// What somebody requires at least of a requirement.
pub(crate) struct Floor(RequirementFields);

impl Floor {
    /// Reads `{threshold?, groups?, ttl_seconds?}`.
    ///
    /// Rejections: `request-invalid`, `limit-exceeded`.
    pub(crate) fn read(text: &str) -> Result<Self, Rejection> {
        let fields: RequirementFields = parse("floor", text)?;
        fields.read()?;
        Ok(Self(fields))
    }

    /// In what a requirement is below the floor; none where it is not.
    pub(crate) fn above(&self, requirement: &Requirement) -> Option<String> {
        let Requirement { ttl_seconds, threshold, groups } = requirement;
        let floor = &self.0;
        if let Some(least) = floor.threshold.filter(|least| threshold < least) {
            return Some(format!("the threshold is {threshold}, expected at least {least}"));
        }
        for (group, least) in &floor.groups {
            let minimum = groups.get(group).unwrap_or(&0);
            if minimum < least {
                return Some(format!(
                    "{minimum} of the group `{group}`, expected at least {least}"
                ));
            }
        }
        let longest = floor.ttl_seconds.and_then(|longest| u64::try_from(longest).ok());
        longest
            .filter(|longest| ttl_seconds > longest)
            .map(|longest| format!("ttl_seconds is {ttl_seconds}, expected at most {longest}"))
    }
}

impl Ballot<'_> {
    /// The comment as it is stored: an empty one signs as none does, and is none.
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
            lease_seconds: duration(
                "lease_seconds",
                fields.lease_seconds,
                LEASE_SECONDS_DEFAULT,
                LEASE_SECONDS_MAX,
            )?,
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
            seconds: duration(
                "expires_in_seconds",
                Some(fields.expires_in_seconds),
                TTL_SECONDS_DEFAULT,
                TTL_SECONDS_MAX,
            )?,
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
        const ROLES: [&str; 6] =
            ["requester", "approver", "executor", "auditor", "policy", "admin"];
        if let Some(unknown) = self.roles.iter().find(|role| !ROLES.contains(&role.as_ref())) {
            return Err(Rejection::request(format!("unknown role `{}`", unknown.escape_debug())));
        }
        let has = |role: &str| self.roles.iter().any(|held| held == role);
        Ok(Actor {
            admin: has("admin"),
            approver: has("approver"),
            subject: Identifier::subject("subject", &self.subject)?,
        })
    }
}

fn parse<'a, T: Deserialize<'a>>(what: &str, text: &'a str) -> Result<T, Rejection> {
    check_length(what, text, EVENT_BYTES_MAX)?;
    object::parse(what, text)
}

fn duration(field: &str, seconds: Option<i64>, default: u64, max: u64) -> Result<u64, Rejection> {
    let Some(seconds) = seconds else {
        return Ok(default);
    };
    match u64::try_from(seconds) {
        Err(_) | Ok(0) => {
            Err(Rejection::request(format!("{field} is {seconds}, must be 1 to {max}")))
        }
        Ok(seconds) if seconds > max => {
            Err(Rejection::limit(format!("{field} is {seconds}, the limit is {max}")))
        }
        Ok(seconds) => Ok(seconds),
    }
}
