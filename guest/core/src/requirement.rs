//! What an approval requires: a requirement, its bounds, and the stricter of two.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::{GROUPS_MAX, THRESHOLD_MAX, TTL_SECONDS_DEFAULT, TTL_SECONDS_MAX};
use crate::name::Identifier;
use crate::object::counts;
use crate::rejection::{Code, Rejection};

/// Name of the time to live in messages: callers give it as `expires_in_seconds` or `ttl_seconds`.
const TTL: &str = "the time to live in seconds";

/// Maximum number of characters of a group name that a message quotes.
const GROUP_CHARS_SHOWN: usize = 40;

/// What an approval requires. Fixed when the approval is created.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// Lifetime of the approval, in seconds.
    pub ttl_seconds: u64,
    /// Number of approvers.
    pub threshold: u32,
    /// Number of approvers of each group.
    #[serde(deserialize_with = "counts")]
    pub groups: BTreeMap<String, u32>,
}

/// A requirement with optional parts, as given by a request, a policy or the settings. Its numbers
/// are unchecked until [`Self::check`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PartialRequirement {
    /// Maximum lifetime of the approval, in seconds: 1 to 604,800.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<i64>,
    /// Number of approvers: 1 to 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u32>,
    /// Number of approvers of each group: 1 to 16, of at most 16 groups.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "counts")]
    pub groups: BTreeMap<String, u32>,
}

impl Requirement {
    /// Checks that signatures of one of these profiles can meet it.
    ///
    /// Rejections: `request-invalid`.
    pub fn can_be_met_by<'a>(
        &self,
        profiles: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Rejection> {
        if self.takes_v1() || profiles.into_iter().any(|profile| profile == "v2") {
            return Ok(());
        }
        Err(Rejection::request(
            "v1 signatures count only if threshold is 1 and no group is required",
        ))
    }

    /// Returns whether a `v1` signature can count.
    pub fn takes_v1(&self) -> bool {
        takes_v1(self.threshold, &self.groups)
    }

    /// Checks that each part is within its bounds.
    ///
    /// Rejections: as [`PartialRequirement::check`].
    pub fn check(&self) -> Result<(), Rejection> {
        let Self { ttl_seconds, threshold, groups } = self;
        PartialRequirement {
            ttl_seconds: Some(i64::try_from(*ttl_seconds).unwrap_or(i64::MAX)),
            threshold: Some(*threshold),
            groups: groups.clone(),
        }
        .check()
    }

    /// Compares this requirement with a floor: a sentence that names the first part that is weaker,
    /// or `None`.
    pub fn shortfall(&self, floor: &PartialRequirement) -> Option<String> {
        let Self { ttl_seconds, threshold, groups } = self;
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

impl PartialRequirement {
    /// Returns whether a `v1` signature can count, with unset parts at their defaults.
    pub fn takes_v1(&self) -> bool {
        takes_v1(self.threshold.unwrap_or(1), &self.groups)
    }

    /// Checks that each part that is set is within its bounds.
    ///
    /// Rejections: `request-invalid` for a number below 1, or a group that is not an identifier;
    /// `limit-exceeded` for a value above its bound. Checked in this order: threshold, number of
    /// groups, each group, time to live.
    pub fn check(&self) -> Result<(), Rejection> {
        check_count("threshold", self.threshold.unwrap_or(1))?;
        if self.groups.len() > GROUPS_MAX {
            return Err(Rejection::limit(format!(
                "{} groups, the limit is {GROUPS_MAX}",
                self.groups.len()
            )));
        }
        for (group, minimum) in &self.groups {
            let shown: String = group.chars().take(GROUP_CHARS_SHOWN).collect();
            Identifier::new("group", group.as_str())
                .map_err(|e| Rejection::new(e.code, format!("groups: `{shown}`: {}", e.message)))?;
            check_count(&format!("groups.{shown}"), *minimum)?;
        }
        self.ttl_seconds.map_or(Ok(()), |seconds| duration(TTL, seconds, TTL_SECONDS_MAX).map(drop))
    }

    /// Returns the requirement with unset parts at their defaults: one approver, no group, one
    /// hour.
    ///
    /// Rejections: as [`Self::check`].
    pub fn complete(self) -> Result<Requirement, Rejection> {
        self.check()?;
        let ttl_seconds = match self.ttl_seconds {
            Some(seconds) => duration(TTL, seconds, TTL_SECONDS_MAX)?,
            None => TTL_SECONDS_DEFAULT,
        };
        Ok(Requirement { ttl_seconds, threshold: self.threshold.unwrap_or(1), groups: self.groups })
    }

    /// Returns the stricter of two requirements, part by part: more approvers, more of each group,
    /// a shorter lifetime. An unset part takes the other's value.
    #[must_use]
    pub fn stricter(mut self, other: &Self) -> Self {
        self.threshold = self.threshold.max(other.threshold);
        self.ttl_seconds = match (self.ttl_seconds, other.ttl_seconds) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        for (group, minimum) in &other.groups {
            let ours = self.groups.entry(group.clone()).or_default();
            *ours = (*ours).max(*minimum);
        }
        self
    }
}

/// Converts a number of approvers: 1 to [`THRESHOLD_MAX`]; `None` for any other number.
pub fn count(number: i64) -> Option<u32> {
    u32::try_from(number).ok().filter(|number| (1..=THRESHOLD_MAX).contains(number))
}

/// Checks a time to live in seconds: 1 to [`TTL_SECONDS_MAX`]; `None` for any other number.
pub fn ttl_seconds(number: i64) -> Option<i64> {
    duration(TTL, number, TTL_SECONDS_MAX).ok().map(|_| number)
}

/// Checks a duration of whole seconds, from 1 to a limit; `field` names it in the message.
///
/// Rejections: `request-invalid` below 1, `limit-exceeded` above the limit.
pub fn duration(field: &str, seconds: i64, max: u64) -> Result<u64, Rejection> {
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

fn check_count(what: &str, number: u32) -> Result<(), Rejection> {
    if count(number.into()).is_some() {
        return Ok(());
    }
    let code = if number == 0 { Code::RequestInvalid } else { Code::LimitExceeded };
    Err(Rejection::new(code, format!("{what} is {number}, must be 1 to {THRESHOLD_MAX}")))
}

/// Returns whether a `v1` signature can count. It names no key and covers no action, so it counts
/// only if one approver and no group is required.
pub fn takes_v1(threshold: u32, groups: &BTreeMap<String, u32>) -> bool {
    threshold == 1 && groups.is_empty()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    fn read(text: &str) -> PartialRequirement {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_stricter_of_two_takes_each_part_from_where_it_is_stricter() {
        for (one, two, stricter) in [
            ("{}", "{}", "{}"),
            (r#"{"threshold":2}"#, "{}", r#"{"threshold":2}"#),
            (r#"{"ttl_seconds":60}"#, r#"{"ttl_seconds":61}"#, r#"{"ttl_seconds":60}"#),
            (
                r#"{"threshold":3,"ttl_seconds":9,"groups":{"a":1,"b":4}}"#,
                r#"{"threshold":2,"groups":{"b":2,"c":5}}"#,
                r#"{"threshold":3,"ttl_seconds":9,"groups":{"a":1,"b":4,"c":5}}"#,
            ),
        ] {
            assert_eq!(read(one).stricter(&read(two)), read(stricter));
            assert_eq!(read(two).stricter(&read(one)), read(stricter));
        }
    }

    #[test]
    fn each_part_has_its_bounds() {
        let many: Vec<String> = (0..17).map(|n| format!(r#""g{n}":1"#)).collect();
        let many = format!(r#"{{"groups":{{{}}}}}"#, many.join(","));
        for (text, code) in [
            (r#"{"threshold":0}"#, Some(Code::RequestInvalid)),
            (r#"{"threshold":16}"#, None),
            (r#"{"threshold":17}"#, Some(Code::LimitExceeded)),
            (r#"{"groups":{"a":0}}"#, Some(Code::RequestInvalid)),
            (r#"{"groups":{"a":16}}"#, None),
            (r#"{"groups":{"a":17}}"#, Some(Code::LimitExceeded)),
            (r#"{"groups":{"":1}}"#, Some(Code::RequestInvalid)),
            (r#"{"groups":{"a b":1}}"#, Some(Code::RequestInvalid)),
            (r#"{"ttl_seconds":-1}"#, Some(Code::RequestInvalid)),
            (r#"{"ttl_seconds":0}"#, Some(Code::RequestInvalid)),
            (r#"{"ttl_seconds":604800}"#, None),
            (r#"{"ttl_seconds":604801}"#, Some(Code::LimitExceeded)),
            (&many, Some(Code::LimitExceeded)),
            ("{}", None),
        ] {
            assert_eq!(read(text).check().err().map(|e| e.code), code, "{text}");
            assert_eq!(read(text).complete().err().map(|e| e.code), code, "{text}");
        }
    }

    #[test]
    fn unset_parts_take_their_defaults() {
        let groups = BTreeMap::new();
        let default = Requirement { ttl_seconds: 3_600, threshold: 1, groups };
        assert_eq!(read("{}").complete().unwrap(), default);
    }

    #[test]
    fn v1_counts_only_for_one_approver_without_a_group() {
        for (text, takes) in [
            ("{}", true),
            (r#"{"threshold":1,"ttl_seconds":5}"#, true),
            (r#"{"threshold":2}"#, false),
            (r#"{"groups":{"sre":1}}"#, false),
        ] {
            assert_eq!(read(text).takes_v1(), takes, "{text}");
            assert_eq!(read(text).complete().unwrap().takes_v1(), takes, "{text}");
        }
    }
}
