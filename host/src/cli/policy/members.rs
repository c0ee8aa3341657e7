//! The members of a rules file, in the order in which tools write and show them. A test compares the
//! lists with what the rules engine accepts.

/// Members of the file, before its tables.
pub(super) const FILE: &[&str] =
    &["format", "name", "default", "include", "const", "ttl", "context", "rule", "test"];

/// Members of a `[[rule]]`.
pub(super) const RULE: &[&str] = &[
    "id",
    "agent",
    "action",
    "ignore_case",
    "when",
    "verdict",
    "ttl",
    "threshold",
    "groups",
    "reason",
];

/// Members of a `[[test]]`.
pub(super) const TEST: &[&str] = &[
    "name",
    "agent",
    "action",
    "context",
    "plan",
    "facts",
    "now",
    "expect",
    "rule",
    "requirement",
    "reason",
];

/// Returns the position of a member in a list; others come last.
pub(super) fn position(list: &[&str], member: &str) -> usize {
    list.iter().position(|listed| *listed == member).unwrap_or(list.len())
}
