//! `signoff bench`: measures this machine's throughput.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;

use super::{Exit, Global, exit::Failure, output};
use crate::clock::SystemClock;
use crate::engine::{Allocation, Cache};
use crate::measure::work::{Decisions, Signed, mixed_json};
use crate::measure::{Case, duration, take_turns};
use crate::verifier::Verifier;

/// Rounds per median.
const ROUNDS: usize = 10;

#[derive(Args)]
pub(super) struct BenchArgs {
    /// Seconds per figure
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Where to create a temporary store [default: next to the store]; the disk affects the figures
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
}

/// One line of the result.
#[derive(Serialize)]
struct Figure {
    name: String,
    seconds: f64,
    per_second: f64,
    /// The ratio to another figure's time, and that figure's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<(f64, String)>,
}

pub(super) fn run(args: &BenchArgs, global: &Global) -> Result<Exit, Failure> {
    let length = Duration::from_secs(args.seconds).div_f64((ROUNDS + 1) as f64);
    let beside = || global.store.parent().map_or_else(PathBuf::new, Path::to_owned);
    let scratch = Scratch::new(&args.dir.clone().unwrap_or_else(beside))?;
    let mut figures = calls(length)?;
    figures.extend(decisions(&scratch, length)?);
    if global.json {
        output::line(&serde_json::to_string(&figures)?);
    } else {
        output::table(["FIGURE", "MEDIAN", "A SECOND", "RATIO"], rows(&figures));
    }
    Ok(Exit::Done)
}

/// Measures calls of the verifier, on a reused and on a fresh instance.
fn calls(length: Duration) -> Result<Vec<Figure>> {
    announce("the verifier: calls, signatures, digests");
    let cache = Cache::of_user();
    let pooled = Verifier::embedded(Allocation::Pooled, &cache)?;
    let on_demand = Verifier::embedded(Allocation::OnDemand, &cache)?;
    let signed = Signed::new(&pooled)?;
    let (small, large) = (mixed_json(1 << 10), mixed_json(64 << 10));
    let digest = |text: &str| Ok(pooled.digest_of(text)?);
    let fresh = |verifier: &Verifier| {
        verifier.forget_instances();
        signed.verify(verifier)
    };
    let mut cases = [
        Case::repeated("digest of {}", || digest("{}")),
        Case::repeated("digest of 1 KiB", || digest(&small)),
        Case::repeated("digest of 64 KiB", || digest(&large)),
        Case::repeated("verify v1", || signed.verify(&pooled)),
        Case::repeated("verify v1, fresh instance", || fresh(&pooled)),
        Case::repeated("verify v1, fresh instance, no pool", || fresh(&on_demand)),
    ];
    take_turns(&mut cases, ROUNDS, length)?;
    let [smallest, _, _, verify, pooled, on_demand] = &cases;
    let over_verify = [pooled, on_demand].map(|case| (case, case.times(verify), verify));
    let over_smallest =
        cases.iter().skip(1).take(3).map(|case| (case, case.times(smallest), smallest));
    Ok(std::iter::once(Figure::of(smallest))
        .chain(
            over_smallest
                .chain(over_verify)
                .map(|(case, times, than)| Figure::of(case).than(times, than)),
        )
        .collect())
}

/// Measures requests and their approvals, each on disk before the reply.
fn decisions(scratch: &Scratch, length: Duration) -> Result<Vec<Figure>> {
    announce("durable decisions: 1 caller, 64 callers");
    let verifier = Verifier::embedded(Allocation::Pooled, &Cache::of_user())?;
    let decisions = Decisions::new(&scratch.0.join("store.redb"), verifier, Arc::new(SystemClock))?;
    let mut cases = [
        Case::timed("durable decision, 1 caller", |time| decisions.keep(1, time)),
        Case::timed("durable decision, 64 callers", |time| decisions.keep(64, time)),
    ];
    take_turns(&mut cases, ROUNDS, length)?;
    let [one, many] = &cases;
    Ok(vec![Figure::of(one), Figure::of(many).than(many.times(one), one)])
}

fn announce(what: &str) {
    output::note(&format!("measuring {what} …"));
}

fn rows(figures: &[Figure]) -> Vec<[String; 4]> {
    let row = |figure: &Figure| {
        let ratio = figure.times.as_ref().map(|(times, than)| format!("{times:.2} × {than}"));
        let Figure { name, seconds, per_second, .. } = figure;
        [name.clone(), duration(*seconds), format!("{per_second:.0}"), ratio.unwrap_or_default()]
    };
    figures.iter().map(row).collect()
}

impl Figure {
    fn of(case: &Case<'_>) -> Self {
        let seconds = case.seconds();
        Self { name: case.name.clone(), seconds, per_second: 1.0 / seconds, times: None }
    }

    fn than(self, times: f64, other: &Case<'_>) -> Self {
        Self { times: Some((times, other.name.clone())), ..self }
    }
}

/// A temporary folder, removed on drop.
struct Scratch(PathBuf);

impl Scratch {
    fn new(within: &Path) -> Result<Self> {
        let path = within.join(format!("signoff-bench-{:016x}", rand::random::<u64>()));
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| format!("cannot create `{}`", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A leftover folder is small and visible to the user.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
