//! `ttl`, `threshold` and `groups`: what an approval requires.

use std::collections::BTreeMap;

use signoff_core::name::{Identifier, is_name};
use signoff_core::requirement::{count, ttl_seconds};

use super::DeValue;
use super::member::{Members, Value, integer};
use crate::limits::{
    GROUPS_MAX, THRESHOLD_MAX, TTL_CLASSES_MAX, TTL_SECONDS_MAX, TTL_SECONDS_USUAL,
};
use crate::verdict::Requirement;

/// The runbook's "Expiration Times".
const BUILT_IN: [(&str, i64); 4] =
    [("emergency", 300), ("urgent", 1_800), ("standard", 3_600), ("non-urgent", 86_400)];

/// Named ttls.
pub(super) struct Classes(BTreeMap<String, i64>);

impl Classes {
    /// Reads the built-in classes and those of `[ttl]`.
    pub(super) fn read(members: &mut Members<'_, '_, '_>) -> Self {
        let mut classes: BTreeMap<String, i64> =
            BUILT_IN.iter().map(|(name, seconds)| ((*name).to_owned(), *seconds)).collect();
        let Some(value) = members.value("ttl") else { return Self(classes) };
        let Some(table) = value.get_ref().as_table() else {
            members.wrong(value, "ttl", "a table of named times");
            return Self(classes);
        };
        if table.len() > TTL_CLASSES_MAX {
            members.problems.error(
                value.span().start,
                format!("{} ttl classes, expected at most {TTL_CLASSES_MAX}", table.len()),
            );
            return Self(classes);
        }
        for (key, value) in table {
            let (name, at) = (key.get_ref().as_ref(), key.span().start);
            if BUILT_IN.iter().any(|(built_in, _)| *built_in == name) {
                members.problems.error(at, format!("the ttl class `{name}` is built in"));
            } else if !is_name(name) {
                let name = name.escape_debug();
                members
                    .problems
                    .error(at, format!("a ttl class is [a-z0-9_-]{{1,64}}, got `{name}`"));
            } else if let Some(seconds) = seconds(members, name, value, None) {
                classes.insert(name.to_owned(), seconds);
            }
        }
        Self(classes)
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
        names.join(", ")
    }
}

/// Reads the three members of a rule or of a test's `requirement`.
pub(super) fn read(members: &mut Members<'_, '_, '_>, classes: &Classes) -> Requirement {
    let ttl = members.value("ttl").and_then(|value| seconds(members, "ttl", value, Some(classes)));
    if ttl.is_some_and(|seconds| seconds > TTL_SECONDS_USUAL) {
        let at = members.place("ttl");
        members
            .problems
            .warning(at, "a ttl over 24 hours: an approval may be used long after it was given");
    }
    let (threshold, groups) = (threshold(members), groups(members));
    if let Some(threshold) = threshold
        && let Some((group, minimum)) = groups.iter().find(|(_, minimum)| **minimum > threshold)
    {
        let at = members.place("groups");
        let message = format!(
            "{minimum} approvers of `{group}` are more than `threshold = {threshold}`: {minimum} people must approve"
        );
        members.problems.warning(at, message);
    }
    Requirement { ttl_seconds: ttl, threshold, groups }
}

/// Reads a threshold: 1 to 16.
pub(super) fn threshold(members: &mut Members<'_, '_, '_>) -> Option<u32> {
    let (number, at) = members.integer("threshold")?;
    let counted = count(number);
    if counted.is_none() {
        let message = format!("`threshold` is 1 to {THRESHOLD_MAX}, got {number}");
        members.problems.error(at, message);
    }
    counted
}

pub(super) fn groups(members: &mut Members<'_, '_, '_>) -> BTreeMap<String, u32> {
    let mut groups = BTreeMap::new();
    let Some(value) = members.value("groups") else { return groups };
    let Some(table) = value.get_ref().as_table() else {
        members.wrong(value, "groups", "a table of minimums, as `{ sre = 1 }`");
        return groups;
    };
    if table.is_empty() || table.len() > GROUPS_MAX {
        let message = format!("`groups` names 1 to {GROUPS_MAX} groups, got {}", table.len());
        members.problems.error(value.span().start, message);
    }
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        if !Identifier::fits(name) {
            let name = name.escape_debug();
            let message = format!("a group is 1 to 128 visible ASCII characters, got `{name}`");
            members.problems.error(key.span().start, message);
        }
        match integer(value.get_ref()) {
            None => members.wrong(value, name, "an integer"),
            Some(number) => match count(number) {
                Some(minimum) => {
                    groups.insert(name.to_owned(), minimum);
                }
                None => members.problems.error(
                    value.span().start,
                    format!("the minimum of a group is 1 to {THRESHOLD_MAX}, got {number}"),
                ),
            },
        }
    }
    groups
}

/// Reads whole seconds, a number with its unit, or (with `classes`) the name of a class.
fn seconds(
    members: &mut Members<'_, '_, '_>,
    name: &str,
    value: &Value<'_>,
    classes: Option<&Classes>,
) -> Option<i64> {
    let at = value.span().start;
    let number = match value.get_ref() {
        DeValue::Integer(_) => integer(value.get_ref()),
        DeValue::String(text) => {
            if let Some(class) = classes.and_then(|classes| classes.0.get(text.as_ref())) {
                return Some(*class);
            }
            let Some(number) = with_unit(text) else {
                let known = classes
                    .map_or_else(String::new, |known| format!(", or one of {}", known.names()));
                let text = text.escape_debug().to_string();
                let text = crate::text::cut(&text, 64);
                let message =
                    format!("`{name}` is a time like 90s, 45m, 2h or 7d{known}, got `{text}`");
                members.problems.error(at, message);
                return None;
            };
            Some(number)
        }
        other => {
            let got = other.type_str();
            members
                .problems
                .error(at, format!("`{name}` is a time like \"45m\" or whole seconds, got {got}"));
            return None;
        }
    };
    let bounded = number.and_then(ttl_seconds);
    if bounded.is_none() {
        members.problems.error(at, format!("`{name}` is 1 to {TTL_SECONDS_MAX} seconds (7 days)"));
    }
    bounded
}

/// Parses a number and its unit, in seconds; saturates.
fn with_unit(text: &str) -> Option<i64> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse::<i64>().map_or(i64::MAX, |number| number.saturating_mul(unit)))
}
