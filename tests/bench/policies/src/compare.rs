//! The comparison. The engines alternate, so that the machine's other work affects all of them alike.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use signoff::measure::{Case, duration, take_turns};

use crate::engines::{self, Column};
use crate::rules::{self, ACTION, Attempt, Facts, Rule};

/// Rounds; each figure is their median.
const ROUNDS: usize = 20;
/// Numbers of rules in the sets.
const COUNTS: [usize; 4] = [1, 10, 100, 1000];
/// Attempts on which all engines must agree before anything is measured.
const QUESTIONS: u64 = 500;

/// Prints the table. `each` is the duration of each measurement.
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

/// Checks that every engine gives the same answers as a direct evaluation of the rules.
fn agree(rules: &[Rule], engines: &mut [Column]) -> Result<()> {
    let mut decided = 0;
    for seed in 0..QUESTIONS {
        let facts = match seed {
            0 => Facts::MATCHING,
            1 => Facts::PLAIN,
            _ => Facts::some(seed),
        };
        // Also an action that another rule concerns, and one that no rule concerns.
        let action = match seed % 8 {
            6 => "action-7",
            7 => "action-none",
            _ => ACTION,
        };
        let expected = rules::expected(rules, action, &facts);
        decided += u64::from(expected.rule.is_some());
        let attempt = Attempt { action: action.to_owned(), context: facts.context() };
        for (name, engine) in &mut *engines {
            let answer = engine.evaluate(&attempt).with_context(|| (*name).to_owned())?;
            if answer != expected {
                bail!("{name} answers {answer:?} to {attempt:?}, expected {expected:?}");
            }
        }
    }
    ensure!(decided > 0 && decided < QUESTIONS, "the attempts all have the same kind of answer");
    Ok(())
}

/// Returns a cell for each engine: the time, and how many times as long the first engine takes.
fn measure(engines: &mut [Column], attempt: &Attempt, each: Duration) -> Result<Vec<String>> {
    let mut cases: Vec<Case<'_>> = engines
        .iter_mut()
        .map(|(name, engine)| Case::repeated(*name, || engine.evaluate(attempt)))
        .collect();
    take_turns(&mut cases, ROUNDS, each / u32::try_from(ROUNDS)?)?;
    let (first, others) = cases.split_first().context("no engine")?;
    let cell =
        |case: &Case<'_>| format!("{} ({:.2} ×)", duration(case.seconds()), first.times(case));
    Ok(std::iter::once(duration(first.seconds())).chain(others.iter().map(cell)).collect())
}
