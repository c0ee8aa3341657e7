//! A store of a million approvals compared with one of a thousand: start, a page of the list, a
//! sweep, memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use redb::{Database, TableDefinition};
use signoff::approvals::Filter;
use signoff::caller::Caller;
use signoff::clock::{Clock, ManualClock};
use signoff::engine::{Allocation, Cache};
use signoff::keys::{KeySource, keyring_beside};
use signoff::measure::Case;
use signoff::measure::work::Decisions;
use signoff::store::redb::{CheckIntegrity, OpenMode, RedbStore};
use signoff::verifier::Verifier;

use crate::Plan;
use crate::peer::{Peer, scratch};
use crate::table::{Figures, Target};

/// The first argument of a process that serves one store, so that its memory is that store's.
pub(crate) const AS_PEER: &str = "answer-for-a-store";

const SMALL: usize = 1_000;
const LARGE: usize = 1_000_000;
const PAGE: usize = 50;
/// Approvals that expire in a measured sweep.
const SWEPT: usize = 64;
const RESIDENT_BYTES_MAX: f64 = 150e6;
/// Maximum size of the log state.
const STATE_BYTES_MAX: f64 = 50e6;
const START_SECONDS_MAX: f64 = 5.0;
const SAVED_START_SECONDS_MAX: f64 = 1.0;
/// Starts per median.
const STARTS: usize = 5;
/// The table with a store's saved state.
const SAVED: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("state");
/// Longer than the benchmark runs.
const TTL_SECONDS: i64 = 604_800;

pub(crate) fn measure(plan: &Plan, figures: &mut Figures) -> Result<()> {
    let (small, large) = (filled("small.redb", SMALL)?, filled("large.redb", LARGE)?);
    starts(&large, figures)?;
    let [small_peer, large_peer] = [peer(&small)?, peer(&large)?];
    let state: f64 = large_peer.call("state")?.parse()?;
    figures.other(
        "a copy of the log's state at 1,000,000 approvals",
        format!("{:.0} MB", state / 1e6),
        format!("≤ {:.0} MB", STATE_BYTES_MAX / 1e6),
        state <= STATE_BYTES_MAX,
    );
    let measure = |peer: &Peer, what: &str, time| peer.measure(what, time, "");
    let mut cases = [
        Case::timed("a page of 1,000,000 approvals", |time| measure(&large_peer, "list", time)),
        Case::timed("of 1,000", |time| measure(&small_peer, "list", time)),
        Case::timed("a sweep of 64 among 1,000,000", |time| measure(&large_peer, "sweep", time)),
        Case::timed("among 1,000", |time| measure(&small_peer, "sweep", time)),
    ];
    plan.take_turns(&mut cases)?;
    let [large_page, small_page, large_sweep, small_sweep] = &cases;
    figures.slower(large_page, small_page, Target::AtMost(2.0));
    figures.slower(large_sweep, small_sweep, Target::AtMost(2.0));
    let resident: f64 = large_peer.call("resident")?.parse()?;
    figures.other(
        "resident memory at 1,000,000 approvals",
        format!("{:.0} MB", resident / 1e6),
        format!("≤ {:.0} MB", RESIDENT_BYTES_MAX / 1e6),
        resident <= RESIDENT_BYTES_MAX,
    );
    for store in [small, large] {
        fs::remove_file(keyring_beside(&store))?;
        fs::remove_file(store)?;
    }
    Ok(())
}

/// Measures opening a store with and without its saved state. The file is in the system's cache;
/// the check of every page, which `serve` also makes, is measured separately.
fn starts(store: &Path, figures: &mut Figures) -> Result<()> {
    let saved = median(|| opened(store, CheckIntegrity::No))?;
    let checked = median(|| opened(store, CheckIntegrity::Yes))?;
    let whole = median(|| {
        without_saved_state(store)?;
        opened(store, CheckIntegrity::No)
    })?;
    for (name, seconds, most) in [
        ("a start at 1,000,000 approvals", whole, Some(START_SECONDS_MAX)),
        ("with a saved state", saved, Some(SAVED_START_SECONDS_MAX)),
        ("with a saved state, and every page checked", checked, None),
    ] {
        figures.other(
            name,
            format!("{seconds:.2} s"),
            most.map_or_else(String::new, |most| format!("≤ {most} s")),
            most.is_none_or(|most| seconds <= most),
        );
    }
    Ok(())
}

/// Seconds to open the store, without closing it.
fn opened(store: &Path, check: CheckIntegrity) -> Result<f64> {
    let keys = Arc::new(KeySource::new(keyring_beside(store), None));
    keys.load()?;
    let start = Instant::now();
    let opened = RedbStore::open(store, OpenMode::Write, check, signoff::keys::trust(&keys))?;
    let took = start.elapsed();
    drop(opened);
    Ok(took.as_secs_f64())
}

/// Removes the saved state, so that the state is read from the log.
fn without_saved_state(store: &Path) -> Result<()> {
    let database = Database::open(store)?;
    let txn = database.begin_write()?;
    txn.open_table(SAVED)?.retain(|_, _| false)?;
    Ok(txn.commit()?)
}

fn median(mut seconds: impl FnMut() -> Result<f64>) -> Result<f64> {
    let mut starts = (0..STARTS).map(|_| seconds()).collect::<Result<Vec<_>>>()?;
    starts.sort_by(f64::total_cmp);
    starts.get(STARTS / 2).copied().context("no start was measured")
}

/// Serves a store until standard input ends: `list MILLISECONDS`, `sweep MILLISECONDS`, `state`,
/// `resident`.
pub(crate) fn answer(store: &str) -> Result<()> {
    let clock = Arc::new(ManualClock::at(now()));
    let verifier = Verifier::embedded(Allocation::Pooled, &Cache::none())?;
    let decisions = Decisions::new(Path::new(store), verifier, clock.clone())?;
    for line in std::io::stdin().lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        let (what, time) = (words.next().unwrap_or_default(), words.next().unwrap_or("0"));
        let time = Duration::from_secs_f64(time.parse::<f64>()? / 1e3);
        let number = match what {
            "list" => repeated(time, || list(&decisions))?,
            "sweep" => repeated(time, || sweep(&decisions, &clock))?,
            "resident" => resident_bytes()?,
            "state" => state_bytes(&decisions)?,
            other => bail!("unknown line `{other}`"),
        };
        println!("{number:e}");
    }
    Ok(())
}

fn filled(name: &str, approvals: usize) -> Result<PathBuf> {
    let path = scratch(name);
    let _ = fs::remove_file(&path);
    let _ = fs::remove_file(keyring_beside(&path));
    eprintln!("filling {name} with {approvals} approvals …");
    let verifier = Verifier::embedded(Allocation::Pooled, &Cache::none())?;
    let decisions = Decisions::new(&path, verifier, Arc::new(ManualClock::at(now())))?;
    decisions.fill(approvals, TTL_SECONDS)?;
    Ok(path)
}

fn peer(store: &Path) -> Result<Peer> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(AS_PEER).arg(store);
    Peer::start(command)
}

fn list(decisions: &Decisions) -> Result<Duration> {
    let filter = Filter { limit: PAGE, ..Filter::default() };
    let start = Instant::now();
    let page = decisions.wait(decisions.service.approvals.list(&Caller::local(), &filter))?;
    let took = start.elapsed();
    ensure!(page.items.len() == PAGE, "the page has {} items", page.items.len());
    Ok(took)
}

/// Measures only the sweep, not creating the approvals.
fn sweep(decisions: &Decisions, clock: &ManualClock) -> Result<Duration> {
    decisions.fill(SWEPT, 1)?;
    clock.set(clock.now() + 1);
    let start = Instant::now();
    let swept = decisions.wait(decisions.service.sweep())?;
    let took = start.elapsed();
    ensure!(swept == SWEPT, "{swept} were swept");
    Ok(took)
}

fn repeated(time: Duration, mut operation: impl FnMut() -> Result<Duration>) -> Result<f64> {
    let start = Instant::now();
    let (mut took, mut done) = (Duration::ZERO, 0_u32);
    while done == 0 || start.elapsed() < time {
        took += operation()?;
        done += 1;
    }
    Ok(took.as_secs_f64() / f64::from(done))
}

/// Memory that a copy of the log state adds to this process.
fn state_bytes(decisions: &Decisions) -> Result<f64> {
    let before = resident_bytes()?;
    let copy = decisions.store.copied_state();
    let after = resident_bytes()?;
    drop(copy);
    Ok(after - before)
}

fn resident_bytes() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024.0)
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
