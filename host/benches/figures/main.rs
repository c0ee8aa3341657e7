//! The figures of `host/README.md` and their targets: `cargo bench -p signoff`.
//!
//! Compared cases run alternately in one process tree, so that the machine's other load affects
//! both alike: [`calls`] and [`digests`] compare the verifier with its native build and CPython,
//! [`decisions`] measures the store, [`commands`] the command line, [`audit`] the exported log,
//! [`large`] a store of a million approvals. Words after `--` select some of them; `--large` adds
//! the last, which takes some minutes and gigabytes; `--seconds N` is the time for each case.

mod audit;
mod calls;
mod commands;
mod decisions;
mod digests;
mod empty;
mod large;
mod peer;
mod table;

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use signoff::measure::{Case, take_turns};

use table::Figures;

/// Rounds per median.
const ROUNDS: usize = 20;

/// The benchmarks to run.
struct Plan {
    names: Vec<String>,
    large: bool,
    round: Duration,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(large::AS_PEER) {
        return large::answer(&arguments.next().context("no store")?);
    }
    let plan = Plan::read()?;
    let mut figures = Figures::default();
    for (name, measure) in [
        ("calls", calls::measure as fn(&Plan, &mut Figures) -> Result<()>),
        ("digests", digests::measure),
        ("decisions", decisions::measure),
        ("commands", commands::measure),
        ("audit", audit::measure),
        ("large", large::measure),
    ] {
        if plan.has(name) {
            eprintln!("measuring {name} …");
            measure(&plan, &mut figures).context(name)?;
        }
    }
    // Ignore a closed output pipe.
    let _ = write!(std::io::stdout(), "{}\n\n{figures}", machine());
    Ok(())
}

impl Plan {
    fn read() -> Result<Self> {
        let mut plan = Self { names: Vec::new(), large: false, round: Duration::from_millis(100) };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // Passed by cargo.
                "--bench" => {}
                "--large" => plan.large = true,
                "--seconds" => {
                    let seconds = arguments.next().context("--seconds takes a number")?;
                    let seconds: f64 = seconds.parse().context("--seconds takes a number")?;
                    plan.round = Duration::try_from_secs_f64(seconds / ROUNDS as f64)?;
                }
                name if !name.starts_with('-') => plan.names.push(name.to_owned()),
                other => bail!("unknown argument `{other}`"),
            }
        }
        Ok(plan)
    }

    fn has(&self, name: &str) -> bool {
        let named = self.names.iter().any(|wanted| wanted == name);
        if name == "large" { named || self.large } else { named || self.names.is_empty() }
    }

    fn take_turns(&self, cases: &mut [Case<'_>]) -> Result<()> {
        take_turns(cases, ROUNDS, self.round)
    }
}

/// Describes the machine and the build.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown").to_owned()
    };
    let sha = if field("flags").contains("sha_ni") { "with" } else { "without" };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!(
        "{} ({cores} cores, {sha} SHA instructions), {}, {profile} build, medians of {ROUNDS} rounds.",
        field("model name"),
        std::env::consts::OS
    )
}
