//! Formats verdicts.

use crate::cli::output::length;
use crate::policy::{Requirement, Verdict};

/// Formats a verdict in one line.
pub(super) fn one_line(verdict: &Verdict) -> String {
    let Verdict { reason, requirement, .. } = verdict;
    let reason = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    let needs = requirement.as_ref().map(needs).filter(|needs| !needs.is_empty());
    let needs = needs.map_or_else(String::new, |needs| format!(" ({needs})"));
    format!("{}{reason}{needs}", short(verdict)).replace('\n', " ")
}

/// Formats decision and rule.
pub(super) fn short(verdict: &Verdict) -> String {
    match &verdict.rule {
        Some(rule) => format!("{} by rule `{rule}`", verdict.decision),
        None => format!("{} by default", verdict.decision),
    }
}

/// Formats the requirement set by the policy.
pub(in crate::cli) fn needs(requirement: &Requirement) -> String {
    let Requirement { ttl_seconds, threshold, groups } = requirement;
    let people = threshold.map(|threshold| {
        let people = if threshold == 1 { "approver" } else { "approvers" };
        format!("{threshold} {people}")
    });
    let groups = groups.iter().map(|(group, least)| format!("{least} of {group}"));
    let within = ttl_seconds
        .map(|seconds| format!("within {}", length(u64::try_from(seconds).unwrap_or_default())));
    people.into_iter().chain(groups).chain(within).collect::<Vec<_>>().join(", ")
}
