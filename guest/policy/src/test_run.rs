//! Tests of a policy: what each got, why, and which rules they made decide.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::attempt::Attempt;
use crate::evaluate::Trace;
use crate::file::{Case, Expected};
use crate::policy::Policy;

/// What the tests of a policy showed.
#[derive(Debug, Serialize)]
pub struct Report {
    /// One a test, in order.
    pub cases: Vec<Outcome>,
    /// Rules that matched in a test, in file order.
    pub fired: Vec<String>,
    /// Rules that matched in none.
    pub unfired: Vec<String>,
    /// Whether the default decided a test.
    pub default_fired: bool,
}

/// What one test showed.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The test's name.
    pub name: String,
    /// Where it is in its file.
    pub line: usize,
    /// Whether all that it expects came.
    pub passed: bool,
    /// What was asked, for who asks another policy the same.
    pub attempt: Asked,
    /// What it expects.
    pub expected: Expected,
    /// What came.
    pub got: Expected,
    /// How each rule that is concerned answered.
    pub why: Vec<Trace>,
}

/// An attempt that a test makes.
#[derive(Debug, Serialize)]
pub struct Asked {
    /// Who would run it.
    pub agent: String,
    /// What would be run.
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
    /// Runs the file's own tests, and then the others.
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
            attempt: Asked {
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
