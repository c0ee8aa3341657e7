//! Warnings about rules that their author may not have meant. They never prevent loading.

use std::collections::HashSet;

use signoff_core::glob::Glob;

use crate::condition::Constant;
use crate::constants::Constants;
use crate::file::Named;
use crate::policy::{Policy, Rule};
use crate::problem::Problems;
use crate::verdict::Decision;

/// Maximum number of rule pairs compared: enough for every pair of a thousand rules.
const PAIRS_MAX: usize = 1_000_000;

/// Records what looks like a mistake.
pub(crate) fn lint(policy: &Policy, problems: &mut Problems<'_>) {
    let mut pairs = 0;
    let broad: Vec<(usize, &Rule)> =
        policy.rules.iter().enumerate().filter(|(_, rule)| policy.is_unconditional(rule)).collect();
    for (at, rule) in policy.rules.iter().enumerate() {
        problems.rule = Some(rule.id.clone());
        constant(policy, rule, problems);
        let winner = broad.iter().find(|(other_at, other)| {
            pairs += 1;
            pairs < PAIRS_MAX
                && *other_at != at
                && beats(policy, (*other_at, other), (at, rule))
                && other.shape.covers(&rule.shape)
        });
        if let Some((_, winner)) = winner {
            problems.warning(rule.at, never(winner));
        }
    }
    evaded_by_spelling(policy, problems);
    schemas(policy, problems);
    repeated(policy, problems);
    cases(policy, problems);
    problems.rule = None;
}

/// Warns about named values that nothing reads. Files that are included may be shared, so of them only one
/// of which nothing is read.
pub(crate) fn unread(constants: &Constants, includes: &[Named], problems: &mut Problems<'_>) {
    for (name, constant) in constants.unread().filter(|(_, constant)| !constant.is_included) {
        let message = format!("no condition and no reason reads `const.{name}`");
        problems.warning(constant.at, message);
    }
    let read: HashSet<Option<&str>> =
        constants.used().map(|constant| problems.file(constant.at)).collect();
    for Named { path, at } in includes {
        if !read.contains(&Some(path.as_str())) {
            let message = format!("no condition and no reason reads a value of `{path}`");
            problems.warning(*at, message);
        }
    }
}

/// Warns once about the rules that an agent evades by another spelling of a name, which it chooses: the
/// action then matches no rule and is allowed.
fn evaded_by_spelling(policy: &Policy, problems: &mut Problems<'_>) {
    let is_named = |globs: &[Glob]| globs.iter().all(|glob| glob.as_str() != "*");
    let is_evaded = |rule: &&Rule| {
        policy.default == Decision::Allow
            && rule.verdict != Decision::Allow
            && (is_named(&rule.shape.agent) || is_named(&rule.shape.action))
    };
    let mut evaded = policy.rules.iter().filter(is_evaded);
    let Some(first) = evaded.next() else { return };
    let others = match evaded.count() {
        0 => String::new(),
        1 => " and another one".to_owned(),
        more => format!(" and {more} others"),
    };
    let example = if first.shape.ignore_case { "with a `/` at the end" } else { "in upper case" };
    problems.rule = Some(first.id.clone());
    problems.warning(
        first.at,
        format!(
            "the default is `allow`, so an agent evades this rule{others} by another spelling of a name, for example {example}: set `default = \"require_approval\"`, and allow by rules"
        ),
    );
}

/// Returns whether a rule that always matches makes another one irrelevant.
fn beats(policy: &Policy, (other_at, other): (usize, &Rule), (at, rule): (usize, &Rule)) -> bool {
    match other.verdict.cmp(&rule.verdict) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Less => false,
        // A later rule that requires an approval may still require a stricter one.
        std::cmp::Ordering::Equal => {
            let both = other.requirement.clone().stricter(&rule.requirement);
            // A rule whose condition is true decides before one whose condition failed.
            other_at < at && both == other.requirement && !policy.always_fails(other)
        }
    }
}

fn never(winner: &Rule) -> String {
    format!(
        "the rule can never decide: `{}` (line {}) always matches what it matches, with {}",
        winner.id,
        winner.line,
        winner.verdict.as_str()
    )
}

fn constant(policy: &Policy, rule: &Rule, problems: &mut Problems<'_>) {
    let constant = policy.condition(rule).and_then(|shared| shared.condition.constant);
    let message = match (constant, rule.verdict) {
        (None, _) => return,
        (Some(Constant::Bool(true)), _) => "`when` is always true: leave it out",
        (Some(Constant::Bool(false)), _) => "`when` is always false: the rule never matches",
        (Some(Constant::Error), Decision::Allow) => "`when` always fails: the rule never matches",
        (Some(Constant::Error), _) => "`when` always fails: the rule always matches",
    };
    problems.warning(rule.at, message);
}

/// Warns about schemas of an action that no rule concerns: a schema alone decides nothing.
fn schemas(policy: &Policy, problems: &mut Problems<'_>) {
    problems.rule = None;
    for schema in &policy.schemas.0 {
        let (name, is_whole) = schema.action.prefix();
        let concerns =
            |rule: &Rule| rule.shape.action.iter().any(|action| action.to_lower().matches(name));
        if is_whole && !policy.rules.iter().any(concerns) {
            let message =
                format!("no rule concerns the action of `{}`, so it has no effect", schema.header);
            problems.warning(schema.at, message);
        }
    }
}

/// Warns about rules that repeat an earlier one.
fn repeated(policy: &Policy, problems: &mut Problems<'_>) {
    let key = |rule: &Rule| {
        (
            format!("{:?}", rule.shape),
            rule.condition,
            rule.verdict.as_str(),
            format!("{:?}", rule.requirement),
        )
    };
    let mut seen = std::collections::HashMap::new();
    for rule in policy.rules.iter().filter(|rule| !policy.is_unconditional(rule)) {
        if let Some(earlier) = seen.insert(key(rule), rule.line) {
            problems.rule = Some(rule.id.clone());
            problems.warning(rule.at, format!("the rule repeats the one in line {earlier}"));
        }
    }
}

fn cases(policy: &Policy, problems: &mut Problems<'_>) {
    let ids: HashSet<&str> = policy.rules.iter().map(|rule| rule.id.as_str()).collect();
    problems.rule = None;
    for case in &policy.cases {
        let Some(rule) = case.expected.rule.as_deref() else { continue };
        if !ids.contains(rule) {
            let at = case.rule_at.unwrap_or(case.at);
            problems
                .warning(at, format!("the test expects the rule `{rule}`, which does not exist"));
        }
    }
}
