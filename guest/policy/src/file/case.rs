//! One `[[test]]`.

use std::collections::BTreeMap;

use chrono::{NaiveDate, TimeDelta};
use signoff_core::authoring::{Expected, TEST_MEMBERS};
use signoff_core::facts::{self, Facts};
use signoff_core::requirement::ttl_seconds;
use toml::value::Offset;

use super::DeValue;
use super::json;
use super::member::Members;
use super::requirement;
use crate::limits::{REASON_BYTES_MAX, TTL_SECONDS_MAX};
use crate::verdict::Requirement;

/// A test: an attempt and its expected verdict.
#[derive(Debug)]
pub struct Case {
    /// The name, for people.
    pub name: String,
    /// Offset of the test in the file.
    pub at: usize,
    /// The line in which the test starts.
    pub line: usize,
    /// The attempt's agent.
    pub agent: String,
    /// The attempt's action.
    pub action: String,
    /// The attempt's context, a JSON text.
    pub context: String,
    /// The attempt's plan, a JSON text.
    pub plan: Option<String>,
    /// The attempt's facts, a JSON text.
    pub facts: String,
    /// The attempt's time.
    pub now: u64,
    /// What is expected.
    pub expected: Expected,
    /// Offset of the expected rule's id.
    pub rule_at: Option<usize>,
}

/// Default time of a test: the Friday morning of the runbook's examples.
const NOW_UNIX_SECONDS: u64 = 1_760_697_000;

impl Case {
    /// Reads a test; `None` if anything in it is wrong.
    pub(super) fn read(mut members: Members<'_, '_, '_>) -> Option<Self> {
        members.only(&TEST_MEMBERS);
        let at = members.at;
        let missing = |members: &mut Members<'_, '_, '_>, name: &str| {
            if !members.has(name) {
                members.problems.error(at, format!("the test has no `{name}`"));
            }
        };
        for name in ["name", "agent", "action", "expect"] {
            missing(&mut members, name);
        }
        let name = members.string("name").filter(|name| {
            let short = (1..=REASON_BYTES_MAX).contains(&name.text.len());
            if !short {
                members.problems.error(name.at.start, "the name of a test has 1 to 4096 bytes");
            }
            short
        });
        let agent = members.identifier("agent");
        let action = members.identifier("action");
        let context = json::object(&mut members, "context");
        let plan = json::object(&mut members, "plan");
        let facts = given(&mut members);
        let now = now(&mut members);
        let decision = members.decision("expect");
        let rule = members.identifier("rule");
        let requirement = members.has("requirement").then(|| expected_requirement(&mut members));
        let reason = members.string("reason");
        let agent = agent?.text.to_owned();
        let facts = facts.map(|given| {
            let own = format!("agent:{agent}");
            let requester = given.get("requester").unwrap_or(&own);
            match given.get("claimed_by") {
                None => Facts::of_request(requester),
                Some(claimed_by) => Facts::of_claim(requester, claimed_by),
            }
        });
        Some(Self {
            name: name?.text.to_owned(),
            at,
            line: members.problems.line(at),
            agent,
            action: action?.text.to_owned(),
            context: context.unwrap_or_else(|| "{}".to_owned()),
            plan,
            facts: facts?.to_text(),
            now: now?,
            rule_at: rule.as_ref().map(|rule| rule.at.start),
            expected: Expected {
                decision: decision?.0,
                rule: rule.map(|rule| rule.text.to_owned()),
                requirement: requirement.flatten(),
                reason: reason.map(|reason| reason.text.to_owned()),
            },
        })
    }
}

/// Reads the facts of a test; `None` if one is wrong.
fn given(members: &mut Members<'_, '_, '_>) -> Option<BTreeMap<&'static str, String>> {
    let mut read = BTreeMap::new();
    let Some(value) = members.value("facts") else { return Some(read) };
    let DeValue::Table(table) = value.get_ref() else {
        members.wrong(value, "facts", "a table");
        return None;
    };
    let mut inner = Members::new(members.text, value.span().start, table, members.problems);
    let mut sound = true;
    for key in table.keys() {
        let known = facts::named(key.get_ref());
        let name = known.map_err(|message| inner.problems.error(key.span().start, message));
        let fact = name.ok().and_then(|name| Some((name, inner.identifier(name)?)));
        let Some((name, fact)) = fact else {
            sound = false;
            continue;
        };
        if let Some(message) = facts::not_lower(fact.text) {
            inner.problems.error(fact.at.start, message);
            sound = false;
        }
        read.insert(name, fact.text.to_owned());
    }
    sound.then_some(read)
}

fn now(members: &mut Members<'_, '_, '_>) -> Option<u64> {
    let Some(value) = members.value("now") else { return Some(NOW_UNIX_SECONDS) };
    let seconds = value.get_ref().as_datetime().and_then(unix_seconds);
    let text = value.get_ref().as_str();
    if let Some(text) = text.filter(|text| text.parse::<toml::value::Datetime>().is_ok()) {
        let message = format!("`now` is a time, which TOML writes without quotes: {text}");
        members.problems.error(value.span().start, message);
        return None;
    }
    if seconds.is_none() {
        members.wrong(
            value,
            "now",
            "a time with its offset, from 1970 on, like 2025-10-17T10:30:00Z",
        );
    }
    seconds
}

fn unix_seconds(time: &toml::value::Datetime) -> Option<u64> {
    let (date, clock) = (time.date?, time.time?);
    let minutes = match time.offset? {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    let day = NaiveDate::from_ymd_opt(date.year.into(), date.month.into(), date.day.into())?;
    let second = clock.second.unwrap_or(0).into();
    let local = day.and_hms_opt(clock.hour.into(), clock.minute.into(), second)?;
    let utc = local.checked_sub_signed(TimeDelta::try_minutes(minutes)?)?;
    u64::try_from(utc.and_utc().timestamp()).ok()
}

fn expected_requirement(members: &mut Members<'_, '_, '_>) -> Option<Requirement> {
    let value = members.value("requirement")?;
    let DeValue::Table(table) = value.get_ref() else {
        members.wrong(value, "requirement", "a table");
        return None;
    };
    let mut inner = Members::new(members.text, value.span().start, table, members.problems);
    inner.only(&["ttl_seconds", "threshold", "groups"]);
    let ttl = inner.integer("ttl_seconds").map(|(seconds, at)| {
        let seconds = ttl_seconds(seconds);
        if seconds.is_none() {
            inner.problems.error(at, format!("`ttl_seconds` is 1 to {TTL_SECONDS_MAX}"));
        }
        seconds
    });
    let threshold = requirement::threshold(&mut inner);
    let groups =
        if inner.has("groups") { requirement::groups(&mut inner) } else { Default::default() };
    Some(Requirement { ttl_seconds: ttl.flatten(), threshold, groups })
}
