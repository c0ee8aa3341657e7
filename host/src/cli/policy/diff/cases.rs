//! Evaluates the tests of both rules files with both policies, ignoring their expectations.

use std::collections::BTreeSet;

use anyhow::anyhow;

use super::super::eval::canonical;
use super::super::problems::told;
use super::super::source;
use super::super::stop::Stop;
use super::flip::{Comparison, Question};
use crate::engine::Attempt;
use crate::engine::{Allocation, Cache};
use crate::policy::{Case, Template};
use crate::verifier::Verifier;

/// Placeholder rules: a workbench needs rules to read test cases.
const NO_RULES: &str = "format = 1\nname = \"cases\"\ndefault = \"deny\"\n";

/// Evaluates the tests of both, and of an additional file, with both policies. A test that both
/// have is evaluated once.
pub(super) fn replay(
    comparison: &mut Comparison,
    template: &Template,
    more: Option<&str>,
) -> Result<(), Stop> {
    let json = comparison.json();
    let mut found = Vec::new();
    for judge in comparison.judges() {
        if let Some(bench) = &mut judge.bench {
            let tested = bench.workbench.test(None).map_err(|e| told(&judge.file, e, json))?;
            found.extend(tested.cases);
        }
    }
    if let Some(file) = more {
        let text = source::rules(file)?;
        let mut bench = template.workbench()?;
        bench.load(NO_RULES).map_err(|e| told(file, e, json))?;
        found.extend(bench.test(Some(&text)).map_err(|e| told(file, e, json))?.cases);
    }
    if found.is_empty() {
        return Err(anyhow!(
            "there are no test cases to compare with; give --cases, or --history with a store or a server"
        )
        .into());
    }
    ask(comparison, found)
}

fn ask(comparison: &mut Comparison, cases: Vec<Case>) -> Result<(), Stop> {
    let json = comparison.json();
    let verifier = Verifier::embedded(Allocation::OnDemand, &Cache::of_user())?;
    let mut asked = BTreeSet::new();
    for Case { name, attempt, .. } in cases {
        if asked.contains(&attempt) {
            continue;
        }
        asked.insert(attempt.clone());
        let canonical = |text: &str| canonical(&verifier, text, json);
        let attempt = Attempt {
            context: canonical(&attempt.context)?,
            plan: attempt.plan.as_deref().map(canonical).transpose()?,
            facts: attempt.facts,
            agent: attempt.agent,
            action: attempt.action,
            now: attempt.now,
        };
        comparison.ask(&Question { name: &name, attempt: &attempt });
    }
    Ok(())
}
