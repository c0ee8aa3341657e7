//! Evaluates the tests of both rules files with both policies, ignoring their expectations.

use std::collections::BTreeSet;

use super::super::eval::canonical;
use super::super::problems::report_problems;
use super::super::source;
use super::super::stop::Stop;
use super::flip::{Comparison, NamedAttempt};
use crate::engine::{Allocation, Cache};
use crate::policy::Attempt;
use crate::policy::{Template, TestedCase};
use crate::verifier::Verifier;

/// Placeholder rules: a runtime needs rules to read test cases.
const NO_RULES: &str = "format = 1\nname = \"cases\"\ndefault = \"deny\"\n";

/// Test cases to compare on.
pub(super) struct Cases(Vec<TestedCase>);

impl Cases {
    /// Returns the tests of both policies and of an additional file.
    pub(super) fn of(
        comparison: &mut Comparison,
        template: &Template,
        more: Option<&str>,
    ) -> Result<Self, Stop> {
        let json = comparison.json();
        let mut found = Vec::new();
        for policy in comparison.policies() {
            if let Some(loaded) = &mut policy.loaded {
                let tested = loaded.runtime.test(None);
                found.extend(tested.map_err(|e| report_problems(&policy.file, e, json))?.cases);
            }
        }
        if let Some(file) = more {
            let text = source::rules(file)?;
            let mut runtime = template.runtime()?;
            runtime.load(NO_RULES).map_err(|e| report_problems(file, e, json))?;
            let tested = runtime.test(Some(&text));
            found.extend(tested.map_err(|e| report_problems(file, e, json))?.cases);
        }
        Ok(Self(found))
    }

    /// Returns whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Evaluates them with both policies. A test that both have is evaluated once.
    pub(super) fn replay(self, comparison: &mut Comparison) -> Result<(), Stop> {
        compare(comparison, self.0)
    }
}

fn compare(comparison: &mut Comparison, cases: Vec<TestedCase>) -> Result<(), Stop> {
    let json = comparison.json();
    let verifier = Verifier::embedded(Allocation::OnDemand, &Cache::of_user())?;
    let mut seen = BTreeSet::new();
    for TestedCase { name, attempt, .. } in cases {
        if seen.contains(&attempt) {
            continue;
        }
        seen.insert(attempt.clone());
        let canonical = |text: &str| canonical(&verifier, text, json);
        let attempt = Attempt {
            context: canonical(&attempt.context)?,
            plan: attempt.plan.as_deref().map(canonical).transpose()?,
            facts: attempt.facts,
            agent: attempt.agent,
            action: attempt.action,
            now: attempt.now,
        };
        comparison.compare(&NamedAttempt { name: &name, attempt: &attempt });
    }
    Ok(())
}
