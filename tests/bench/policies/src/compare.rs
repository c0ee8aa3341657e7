//! The comparison: engines take turns, so that the machine's other work falls on all alike.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use signoff::measure::{Case, duration, take_turns};

use crate::engines::{self, Column};
use crate::rules::{self, ACTION, Attempt, Facts, Rule};

/// Rounds that each figure is the median of.
const ROUNDS: usize = 20;
/// Sizes of the sets.
const COUNTS: [usize; 4] = [1, 10, 100, 1000];
/// Questions that all must answer alike before anything is measured.
const QUESTIONS: u64 = 500;

/// Prints the table. `each` is the time for each figure.
pub fn run(opa: Option<&Path>, each: Duration) -> Result<()> {
    let mut header = false;
    for count in COUNTS {
        eprintln!("measuring {count} rules …");
        let rules = rules::set(count);
        let mut engines = engines::all(&rules, opa)?;
        if !header {
            let names: Vec<_> = engines.iter().map(|(name, _)| *name).collect();
            println!("| rules | that concern it | matching | {} |", names.join(" | "));
            println!("| --- | --- | --- |{}", " --- |".repeat(names.len()));
            header = true;
        }
        agree(&rules, &mut engines)?;
        let concerning = rules.iter().filter(|rule| rule.action == ACTION).count();
        for facts in [Facts::MATCHING, Facts::PLAIN] {
            let matching = rules::expected(&rules, ACTION, &facts).rule.is_some();
            let attempt = Attempt { action: ACTION.to_owned(), context: facts.context() };
            let cells = measure(&mut engines, &attempt, each)?;
            let matching = if matching { "yes" } else { "no" };
            println!("| {count} | {concerning} | {matching} | {} |", cells.join(" | "));
        }
    }
    Ok(())
}

/// Every engine gives the same answer as the plainest reading of the rules.
fn agree(rules: &[Rule], engines: &mut [Column]) -> Result<()> {
    let mut decided = 0;
    for seed in 0..QUESTIONS {
        let facts = match seed {
            0 => Facts::MATCHING,
            1 => Facts::PLAIN,
            _ => Facts::some(seed),
        };
        // Also an action that another rule concerns, and one that none does.
        let action = match seed % 8 {
            6 => "action-7",
            7 => "action-none",
            _ => ACTION,
        };
        let expected = rules::expected(rules, action, &facts);
        decided += u64::from(expected.rule.is_some());
        let attempt = Attempt { action: action.to_owned(), context: facts.context() };
        for (name, engine) in &mut *engines {
            let answer = engine.ask(&attempt).with_context(|| (*name).to_owned())?;
            if answer != expected {
                bail!("{name} answers {answer:?} to {attempt:?}, expected {expected:?}");
            }
        }
    }
    ensure!(decided > 0 && decided < QUESTIONS, "the questions are all of one kind");
    Ok(())
}

/// A cell for each engine: the time, and how many times as long the first takes.
fn measure(engines: &mut [Column], attempt: &Attempt, each: Duration) -> Result<Vec<String>> {
    let mut cases: Vec<Case<'_>> = engines
        .iter_mut()
        .map(|(name, engine)| Case::repeated(*name, || engine.ask(attempt)))
        .collect();
    take_turns(&mut cases, ROUNDS, each / u32::try_from(ROUNDS)?)?;
    let (first, others) = cases.split_first().context("no engine")?;
    let cell =
        |case: &Case<'_>| format!("{} ({:.2} ×)", duration(case.seconds()), first.times(case));
    Ok(std::iter::once(duration(first.seconds())).chain(others.iter().map(cell)).collect())
}
