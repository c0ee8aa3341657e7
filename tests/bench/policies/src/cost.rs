//! Measures the costs of a component of world `policy`, under the host's settings for policies.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, anyhow};
use signoff::engine::{Allocation, policy_config};
use signoff::policy::Limits;
use signoff::measure::duration;
use wasmparser::{Parser, Payload};
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, ResourceLimiter, Store};

use bindings::{Attempt, Policy, PolicyPre};

mod bindings {
    wasmtime::component::bindgen!({ path: "../../../wit", world: "policy" });

    pub(super) use exports::signoff::approval::guardrails::Attempt;
}

/// The host's facts about an agent's own attempt.
const FACTS: &str = r#"{"requester": "agent:inbox_triage"}"#;
/// Evaluations of each attempt; the median counts.
const TIMES: usize = 25;

/// The resources of an instance.
#[derive(Default)]
struct Taken {
    memory_bytes: usize,
    tables: usize,
    table_elements: usize,
}

/// Prints a table for each file.
pub fn run(files: &[PathBuf]) -> Result<()> {
    files.iter().try_for_each(|file| cost(file).map_err(|e| anyhow!("{}: {e:#}", file.display())))
}

fn cost(file: &Path) -> wasmtime::Result<()> {
    let wasm = fs::read(file)?;
    let engine = Engine::new(&policy_config(Allocation::Pooled))?;
    let begun = Instant::now();
    let component = Component::new(&engine, &wasm)?;
    let compiled = begun.elapsed().as_secs_f64();
    let policy = PolicyPre::new(Linker::new(&engine).instantiate_pre(&component)?)?;
    println!("## {}\n\n| what | how much |\n| --- | --- |", file.display());
    println!("| component | {} bytes |", wasm.len());
    println!("| core modules | {} |", core_modules(&wasm)?);
    println!("| compiled in | {} |", duration(compiled));
    let (store, _) = instantiate(&engine, &policy)?;
    let taken = store.data();
    println!("| memory at first | {} KiB |", taken.memory_bytes >> 10);
    println!("| tables, elements | {}, {} |", taken.tables, taken.table_elements);
    println!("| fuel of the start | {} |", used(&store)?);
    println!(
        "\n| attempt | fresh instance | answer | fuel | memory |\n| --- | --- | --- | --- | --- |"
    );
    for (name, attempt) in attempts() {
        println!("| {name} | {} |", question(&engine, &policy, &attempt)?);
    }
    println!();
    Ok(())
}

/// Evaluates one attempt; returns its cells.
fn question(
    engine: &Engine,
    policy: &PolicyPre<Taken>,
    attempt: &Attempt,
) -> wasmtime::Result<String> {
    let (mut starts, mut answers) = (Vec::new(), Vec::new());
    let mut last = (0, 0);
    for _ in 0..TIMES {
        let begun = Instant::now();
        let (mut store, policy) = instantiate(engine, policy)?;
        starts.push(begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        policy.signoff_approval_guardrails().call_evaluate(&mut store, attempt)?;
        answers.push(begun.elapsed().as_secs_f64());
        last = (used(&store)?, store.data().memory_bytes >> 10);
    }
    let (fuel, kib) = last;
    let (start, answer) = (duration(median(starts)), duration(median(answers)));
    Ok(format!("{start} | {answer} | {fuel} | {kib} KiB"))
}

fn instantiate(
    engine: &Engine,
    policy: &PolicyPre<Taken>,
) -> wasmtime::Result<(Store<Taken>, Policy)> {
    let mut store = Store::new(engine, Taken::default());
    store.limiter(|taken| taken);
    store.set_fuel(Limits::MAX.fuel)?;
    // No watchdog runs here.
    store.set_epoch_deadline(1);
    let policy = policy.instantiate(&mut store)?;
    Ok((store, policy))
}

fn used(store: &Store<Taken>) -> wasmtime::Result<u64> {
    Ok(Limits::MAX.fuel - store.get_fuel()?)
}

/// Attempts from the usual size to the largest: contexts of 1 MiB with one text, and with many members.
fn attempts() -> Vec<(&'static str, Attempt)> {
    let attempt = |action: &str, context: String| Attempt {
        agent: "inbox_triage".to_owned(),
        action: action.to_owned(),
        context,
        plan: None,
        facts: FACTS.to_owned(),
        now: 1_760_000_000,
    };
    let filled = |fill: String| format!("{{{fill}\"risk_score\": 85}}");
    let members = (0..50_000).map(|i| format!("\"k{i:06}\": {i}, ")).collect();
    vec![
        ("a quarantine", attempt("quarantine", filled("\"email_id\": \"email_123\", ".to_owned()))),
        ("no rule", attempt("publish", "{}".to_owned())),
        (
            "a text of 900 KiB",
            attempt("quarantine", filled(format!("\"a\": \"{}\", ", "x".repeat(900 << 10)))),
        ),
        ("50,000 members", attempt("quarantine", filled(members))),
    ]
}

fn core_modules(wasm: &[u8]) -> wasmtime::Result<usize> {
    let mut modules = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        modules += usize::from(matches!(payload?, Payload::ModuleSection { .. }));
    }
    Ok(modules)
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_unstable_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN)
}

impl ResourceLimiter for Taken {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.memory_bytes += desired - current;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.tables += usize::from(current == 0);
        self.table_elements += desired - current;
        Ok(true)
    }
}
