//! Runs the tests of a policy: the verdict of each, why, and which rules matched.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::attempt::Attempt;
use crate::evaluate::Trace;
use crate::file::{Case, Expected};
use crate::policy::Policy;

/// The results of a policy's tests.
#[derive(Debug, Serialize)]
pub struct Report {
    /// One result per test, in order.
    pub cases: Vec<Outcome>,
    /// Rules that matched in a test, in file order.
    pub fired: Vec<String>,
    /// Rules that matched in no test.
    pub unfired: Vec<String>,
    /// Whether the default decided a test.
    pub default_fired: bool,
}

/// The result of one test.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The test's name.
    pub name: String,
    /// Its line in its file.
    pub line: usize,
    /// Whether every expectation was met.
    pub passed: bool,
    /// The attempt, so that callers can evaluate it with another policy.
    pub attempt: AttemptText,
    /// The expected values.
    pub expected: Expected,
    /// The actual values.
    pub got: Expected,
    /// The result of each rule that concerns the attempt.
    pub why: Vec<Trace>,
}

/// The attempt of a test.
#[derive(Debug, Serialize)]
pub struct AttemptText {
    /// The agent.
    pub agent: String,
    /// The action.
    pub action: String,
    /// A JSON object, as a text.
    pub context: String,
    /// A JSON object, as a text.
    pub plan: Option<String>,
    /// A JSON object, as a text.
    pub facts: String,
    /// Seconds since 1970-01-01T00:00:00Z.
    pub now: u64,
}

impl Policy {
    /// Runs the file's own tests, then `others`.
    #[must_use]
    pub fn test(&self, others: &[Case]) -> Report {
        let mut fired = BTreeSet::new();
        let mut default_fired = false;
        let mut outcomes = Vec::new();
        for case in self.cases.iter().chain(others) {
            let outcome = self.run(case);
            default_fired |= outcome.got.rule.is_none();
            fired.extend(
                outcome.why.iter().filter(|trace| trace.matched).map(|trace| trace.rule.clone()),
            );
            outcomes.push(outcome);
        }
        let ids = || self.rules.iter().map(|rule| rule.id.clone());
        Report {
            cases: outcomes,
            fired: ids().filter(|id| fired.contains(id)).collect(),
            unfired: ids().filter(|id| !fired.contains(id)).collect(),
            default_fired,
        }
    }

    fn run(&self, case: &Case) -> Outcome {
        let attempt = Attempt {
            agent: &case.agent,
            action: &case.action,
            context: &case.context,
            plan: case.plan.as_deref(),
            facts: &case.facts,
            now: case.now,
        };
        let verdict = self.evaluate(&attempt);
        let got = Expected {
            decision: verdict.decision,
            rule: verdict.rule,
            requirement: verdict.requirement,
            reason: verdict.reason,
        };
        Outcome {
            name: case.name.clone(),
            line: case.line,
            passed: meets(&case.expected, &got),
            attempt: AttemptText {
                agent: case.agent.clone(),
                action: case.action.clone(),
                context: case.context.clone(),
                plan: case.plan.clone(),
                facts: case.facts.clone(),
                now: case.now,
            },
            expected: case.expected.clone(),
            got,
            why: self.trace(&attempt),
        }
    }
}

fn meets(expected: &Expected, got: &Expected) -> bool {
    expected.decision == got.decision
        && (expected.rule.is_none() || expected.rule == got.rule)
        && (expected.requirement.is_none() || expected.requirement == got.requirement)
        && (expected.reason.is_none() || expected.reason == got.reason)
}
