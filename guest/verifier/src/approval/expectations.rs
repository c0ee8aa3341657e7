//! An executor's own requirements of an approval, beyond the approval's requirement.

use super::Verify;
use signoff_core::requirement::PartialRequirement;

use crate::limits::{CLOCK_SKEW_SECONDS, EVENT_BYTES_MAX, POLICIES_MAX, TTL_SECONDS_MAX};
use crate::name::{Identifier, check_length};
use crate::object;
use crate::record::Record;
use crate::rejection::{Code, Rejection};
use crate::time::UnixSeconds;

/// The expectations of one call. Unset fields are not checked.
pub(super) struct Expectations {
    floor: Option<PartialRequirement>,
    policies: Option<Vec<Identifier>>,
    requested_after: Option<UnixSeconds>,
}

impl Expectations {
    /// Rejections: `request-invalid`, `limit-exceeded`.
    pub(super) fn read(args: &Verify<'_>) -> Result<Self, Rejection> {
        Ok(Self {
            requested_after: args.requested_after.map(UnixSeconds::new).transpose()?,
            floor: args.floor.as_ref().map(|text| floor(text.as_str())).transpose()?,
            policies: args.policies.as_deref().map(policies).transpose()?,
        })
    }

    /// Rejections: 1. `requirement-too-weak` 2. `policy-mismatch` 3. `request-too-old`
    pub(super) fn are_met_by(&self, record: &Record, now: UnixSeconds) -> Result<(), Rejection> {
        self.strong_enough(record)?;
        self.by_a_policy(record)?;
        self.recent(record, now)
    }

    fn strong_enough(&self, record: &Record) -> Result<(), Rejection> {
        let weak = |why: String| Err(Rejection::new(Code::RequirementTooWeak, why));
        if let Some(why) = self.floor.as_ref().and_then(|floor| record.requirement.shortfall(floor))
        {
            return weak(why);
        }
        let lives = record.expires_at.seconds().saturating_sub(record.requested_at.seconds());
        if lives > TTL_SECONDS_MAX {
            return weak(format!(
                "the approval expires {lives} seconds after its request, the limit is {TTL_SECONDS_MAX}"
            ));
        }
        Ok(())
    }

    fn by_a_policy(&self, record: &Record) -> Result<(), Rejection> {
        let Some(policies) = &self.policies else {
            return Ok(());
        };
        let policy = record.policy.as_deref();
        if policies.iter().any(|expected| Some(expected.as_str()) == policy) {
            return Ok(());
        }
        let found = match policy {
            Some(policy) => format!("the policy `{policy}`"),
            None => "no policy".to_owned(),
        };
        Err(Rejection::new(
            Code::PolicyMismatch,
            format!("the requirement was set by {found}, which is not an expected policy"),
        ))
    }

    fn recent(&self, record: &Record, now: UnixSeconds) -> Result<(), Rejection> {
        let requested_at = record.requested_at;
        let wrong = |why: String| Err(Rejection::new(Code::RequestTooOld, why));
        if let Some(after) = self.requested_after.filter(|after| requested_at < *after) {
            return wrong(format!(
                "requested at {}, expected {} or later",
                requested_at.rfc3339(),
                after.rfc3339()
            ));
        }
        if requested_at.seconds() > now.seconds().saturating_add(CLOCK_SKEW_SECONDS) {
            return wrong(format!(
                "requested at {}, more than {CLOCK_SKEW_SECONDS} seconds after now, {}",
                requested_at.rfc3339(),
                now.rfc3339()
            ));
        }
        Ok(())
    }
}

fn floor(text: &str) -> Result<PartialRequirement, Rejection> {
    check_length("floor", text, EVENT_BYTES_MAX)?;
    let floor: PartialRequirement = object::parse("floor", text)?;
    floor.check()?;
    Ok(floor)
}

fn policies(policies: &[String]) -> Result<Vec<Identifier>, Rejection> {
    if policies.len() > POLICIES_MAX {
        return Err(Rejection::limit(format!(
            "{} policies, the limit is {POLICIES_MAX}",
            policies.len()
        )));
    }
    policies.iter().map(|policy| Identifier::new("policy", policy.as_str())).collect()
}
