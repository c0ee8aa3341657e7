//! Runs the tests of a policy: the verdict of each, why, and which rules matched.

use std::collections::BTreeSet;

use signoff_core::authoring::{Attempt as AttemptText, Expected, Tested, TestedCase};

use crate::attempt::Attempt;
use crate::file::Case;
use crate::policy::Policy;
use crate::verdict::{Decision, Requirement};

impl Policy {
    /// Runs the file's own tests, then `others`.
    #[must_use]
    pub fn test(&self, others: &[Case]) -> Tested {
        let mut fired = BTreeSet::new();
        let mut default_fired = false;
        let mut outcomes = Vec::new();
        for case in self.cases.iter().chain(others) {
            let outcome = self.run(case);
            default_fired |= outcome.got.rule.is_none();
            // A rule whose condition fails is not tested: a misspelt member would count as well.
            let matched = outcome.why.iter().filter(|trace| trace.matched && trace.when != "error");
            fired.extend(matched.map(|trace| trace.rule.clone()));
            outcomes.push(outcome);
        }
        let ids = || self.rules.iter().map(|rule| rule.id.clone());
        Tested {
            cases: outcomes,
            fired: ids().filter(|id| fired.contains(id)).collect(),
            unfired: ids().filter(|id| !fired.contains(id)).collect(),
            default_fired,
        }
    }

    fn run(&self, case: &Case) -> TestedCase {
        let attempt = attempt(case);
        let verdict = self.evaluate(&attempt);
        let got = Expected {
            decision: verdict.decision,
            rule: verdict.rule,
            requirement: verdict.requirement,
            reason: verdict.reason,
        };
        TestedCase {
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

fn attempt(case: &Case) -> Attempt<'_> {
    Attempt {
        agent: &case.agent,
        action: &case.action,
        context: &case.context,
        plan: case.plan.as_deref(),
        facts: &case.facts,
        now: case.now,
    }
}

fn meets(expected: &Expected, got: &Expected) -> bool {
    let requirement = match (&expected.requirement, &got.requirement) {
        (None, _) => true,
        // The default requires nothing beyond an approval.
        (Some(expected), None) => {
            got.decision == Decision::RequireApproval && *expected == Requirement::default()
        }
        (Some(expected), Some(got)) => requires(got, expected),
    };
    expected.decision == got.decision
        && (expected.rule.is_none() || expected.rule == got.rule)
        && requirement
        && (expected.reason.is_none() || expected.reason == got.reason)
}

/// Returns whether a requirement has each part that is set in `expected`; with none set, no part.
fn requires(got: &Requirement, expected: &Requirement) -> bool {
    let Requirement { ttl_seconds, threshold, groups } = expected;
    if *expected == Requirement::default() {
        return got == expected;
    }
    (ttl_seconds.is_none() || *ttl_seconds == got.ttl_seconds)
        && (threshold.is_none() || *threshold == got.threshold)
        && (groups.is_empty() || *groups == got.groups)
}
