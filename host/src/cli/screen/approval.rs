//! One approval on a screen: what a signature covers, and what only the server says.

use std::collections::BTreeMap;

use chrono::{DateTime, Local};

use super::Screen;
use crate::api::{Approval, Requirement};
use crate::cli::output::length;
use crate::clock::{Clock, SystemClock};
use crate::keys::Keys;

/// The decision that its reader is about to sign.
pub(in super::super) struct ToSign<'a> {
    /// The profile: `v1` covers the id, the decision, the approver and the expiry, `v2` everything
    /// that was requested, too.
    pub(in super::super) profile: &'a str,
    /// The approver and the key, in our words.
    pub(in super::super) by: String,
    /// The keys of this machine, which know the groups of approvers.
    pub(in super::super) keys: &'a Keys,
}

impl Screen {
    /// Adds an approval. With `to_sign` its digests were recomputed by this machine's verifier.
    pub(in super::super) fn approval(&mut self, approval: &Approval, to_sign: Option<&ToSign<'_>>) {
        match to_sign {
            None => {
                self.identity(approval);
                self.status(approval, None);
                self.request(approval, true);
                self.history(approval);
            }
            Some(to_sign) if to_sign.profile == "v1" => {
                self.heading(&format!("YOU SIGN {}", to_sign.by));
                self.field("id", &approval.id);
                self.time("expires", &approval.expires_at);
                self.heading("NOT COVERED BY A v1 SIGNATURE");
                self.field("audience", &approval.audience);
                self.request(approval, false);
                self.heading("THE SERVER SAYS, UNSIGNED");
                self.status(approval, Some(to_sign.keys));
                self.history(approval);
            }
            Some(to_sign) => {
                self.heading(&format!("YOU SIGN {}", to_sign.by));
                self.identity(approval);
                self.request(approval, true);
                self.heading("THE SERVER SAYS, UNSIGNED");
                self.status(approval, Some(to_sign.keys));
                self.history(approval);
            }
        }
    }

    fn identity(&mut self, approval: &Approval) {
        self.field("id", &approval.id);
        self.field("audience", &approval.audience);
    }

    fn request(&mut self, approval: &Approval, with_expiry: bool) {
        self.field("agent", &approval.agent);
        self.field("action", &approval.action);
        self.field_of("reason", approval.reason.as_deref());
        self.time_by("requested", &approval.requested_at, &approval.requested_by);
        if with_expiry {
            self.time("expires", &approval.expires_at);
        }
        self.field("needs", &needs(&approval.requirement));
        self.field_of("policy", approval.policy.as_deref());
        self.field_of("rule", approval.rule.as_deref());
        if let Some(context) = &approval.context {
            self.tree("context", context.get());
        }
        self.field("digest", &approval.context_hash);
        if let Some(plan) = approval.plan.as_ref().filter(|plan| plan.get() != "null") {
            self.tree("plan", plan.get());
        }
        self.field_of("plan digest", approval.plan_hash.as_deref());
        self.field("req. digest", &approval.request_digest);
    }

    fn status(&mut self, approval: &Approval, keys: Option<&Keys>) {
        self.field("status", &status_of(approval));
        if approval.status == "pending" {
            self.field("has", &progress(approval, keys));
        }
        self.field_of("policy says", approval.policy_reason.as_deref());
        if !approval.failed.is_empty() {
            let rules = approval.failed.join(", ");
            self.field("failed", &format!("the conditions of {rules} could not be evaluated"));
        }
    }

    fn history(&mut self, approval: &Approval) {
        for ballot in &approval.ballots {
            let by = format!("{} ({} key {})", ballot.approver, ballot.profile, ballot.key_id);
            self.field("ballot", &format!("{} by {by} at {}", ballot.decision, ballot.cast_at));
            self.field_of("comment", ballot.comment.as_deref());
            self.field("signature", &ballot.signature);
        }
        if let Some(execution) = &approval.execution {
            let outcome = format!("{} {}", execution.id, execution.outcome);
            self.time_by("execution", &execution.claimed_at, &execution.claimed_by);
            self.field("outcome", &outcome);
            self.field_of("detail", execution.detail.as_deref());
        }
        if let Some(at) = &approval.withdrawn_at {
            self.time_by("withdrawn", at, approval.withdrawn_by.as_deref().unwrap_or("-"));
        }
        if let Some(at) = &approval.erased_at {
            self.field("erased", &format!("{at}: context, plan, reasons and comments"));
        }
        self.field("verifier", &approval.verifier);
    }

    fn time(&mut self, name: &str, at: &str) {
        let shown = self.with_distance(at);
        self.field(name, &shown);
    }

    fn time_by(&mut self, name: &str, at: &str, by: &str) {
        let shown = format!("{} by {by}", self.with_distance(at));
        self.field(name, &shown);
    }

    /// Adds the distance from now and the local time, on a terminal.
    fn with_distance(&self, at: &str) -> String {
        let Some(time) = self.width.and_then(|_| DateTime::parse_from_rfc3339(at).ok()) else {
            return at.to_owned();
        };
        let local = time.with_timezone(&Local).format("%a %H:%M");
        format!("{at} ({}, {local} here)", distance(time.timestamp(), now()))
    }
}

/// Returns the status; of an executed approval also the outcome, because `executed` alone reads like
/// success.
pub(in super::super) fn status_of(approval: &Approval) -> String {
    match &approval.execution {
        Some(execution) if approval.status == "executed" => {
            format!("executed, outcome {}", execution.outcome)
        }
        _ => approval.status.clone(),
    }
}

/// Formats a requirement.
pub(in super::super) fn needs(requirement: &Requirement) -> String {
    let Requirement { ttl_seconds, threshold, groups } = requirement;
    let people = if *threshold == 1 { "approver" } else { "approvers" };
    let groups: String =
        groups.iter().map(|(group, least)| format!(", {least} of {group}")).collect();
    let ttl = length(*ttl_seconds);
    format!("{threshold} {people}{groups}, within {ttl}")
}

/// Returns how far an approval is from its requirement: `1 of 2 approvals, sre still missing`. The
/// verifier decides; this counts for the reader.
fn progress(approval: &Approval, keys: Option<&Keys>) -> String {
    let Requirement { threshold, groups, .. } = &approval.requirement;
    let counted: Vec<&str> = approval
        .ballots
        .iter()
        .filter(|ballot| ballot.decision == "approved")
        .map(|ballot| ballot.key_id.as_str())
        .collect();
    let known: BTreeMap<String, Vec<String>> = keys
        .map(|keys| keys.described().into_iter().map(|key| (key.id, key.groups)).collect())
        .unwrap_or_default();
    let of = |group: &str| {
        let groups = counted.iter().filter_map(|key| known.get(*key));
        groups.filter(|groups| groups.iter().any(|named| named == group)).count()
    };
    let all_known = counted.iter().all(|key| known.contains_key(*key));
    let missing: String = groups
        .iter()
        .filter(|(group, least)| !all_known || of(group) < **least as usize)
        .map(|(group, least)| match (all_known, (*least as usize).saturating_sub(of(group))) {
            (false, _) => format!(", {least} of {group} needed"),
            (true, 1) => format!(", {group} still missing"),
            (true, more) => format!(", {more} of {group} still missing"),
        })
        .collect();
    format!("{} of {threshold} approvals{missing}", counted.len())
}

/// Returns the distance of two times in words: `in 58 min`, `2 h ago`.
pub(in super::super) fn distance(at: i64, now: i64) -> String {
    let seconds = at.abs_diff(now);
    let length = match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    };
    if at > now { format!("in {length}") } else { format!("{length} ago") }
}

/// Returns the distance of an RFC 3339 time from now, without words: `58 min`; `-` if it is malformed.
pub(in super::super) fn age(at: &str) -> String {
    let time = DateTime::parse_from_rfc3339(at).ok();
    time.map_or_else(
        || "-".to_owned(),
        |time| distance(time.timestamp(), now()).trim_end_matches(" ago").to_owned(),
    )
}

fn now() -> i64 {
    i64::try_from(SystemClock.now()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn distances_are_in_words() {
        for (at, words) in [
            (1_000, "0 s ago"),
            (1_001, "in 1 s"),
            (881, "119 s ago"),
            (880, "2 min ago"),
            (4_480, "in 58 min"),
            (1_000 + 7_200, "in 2 h"),
            (1_000 + 172_800, "in 2 days"),
        ] {
            assert_eq!(distance(at, 1_000), words);
        }
    }
}
