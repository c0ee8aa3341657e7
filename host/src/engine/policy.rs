//! Policies: components of world `policy`, each question in a fresh instance under bounds of its own.
//!
//! Fuel bounds how far a policy gets, the same on every machine; the watchdog bounds how long it
//! takes, whatever it does; the limiter bounds its memory. What a policy answers is read strictly: one
//! that traps and one that answers nonsense are the same [`PolicyFailure`], and neither allows anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, ResourceLimiter, Store};

use super::cache::Cache;
use super::config::{
    Allocation, POLICY_MEMORY_BYTES_MAX, POLICY_TABLE_ELEMENTS_MAX, POLICY_TICKS_MAX, policy_config,
};
use super::verdict::{MalformedVerdict, RawVerdict, Verdict};
use super::watchdog::Watchdog;

/// The bindings generated from `wit/` for world `policy`. Nothing outside this file names them.
#[allow(missing_docs, unreachable_pub, reason = "generated from wit/, where the docs are")]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "policy",
        ownership: Borrowing { duplicate_if_necessary: true },
    });

    pub(super) use exports::signoff::approval::guardrails;
}

/// Most text that `describe` may answer: a rules file and what is said about it.
const DESCRIPTION_BYTES_MAX: usize = 4 << 20;
/// Most that one answer has the host allocate, of all its texts together: they may overlap in the
/// policy's memory, so that its size is no bound. The longest description, and some air.
const ANSWER_BYTES_MAX: usize = DESCRIPTION_BYTES_MAX + (64 << 10);

/// The engine that policies run in. Cheap to clone.
#[derive(Clone)]
pub struct Policies(Arc<Running>);

struct Running {
    engine: Engine,
    _watchdog: Watchdog,
}

/// What one question may cost a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Units of fuel; an instruction of WebAssembly takes about one.
    pub fuel: u64,
    /// Bytes of memory, of all its memories together.
    pub memory_bytes: usize,
}

/// What an agent is about to do, as a policy sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Who acts.
    pub agent: String,
    /// What it does.
    pub action: String,
    /// About what: canonical JSON.
    pub context: String,
    /// How exactly: canonical JSON.
    pub plan: Option<String>,
    /// What the host knows of it and no agent can word: canonical JSON.
    pub facts: String,
    /// When, in seconds since 1970.
    pub now: u64,
}

/// A policy that can be asked. Cheap to clone.
#[derive(Clone)]
pub struct Policy(Arc<Loaded>);

struct Loaded {
    engine: Policies,
    digest: String,
    limits: Limits,
    linked: bindings::PolicyPre<Bounds>,
    failures: AtomicU64,
    /// How long an answer takes, in nanoseconds: an average that follows slowly.
    usual_nanos: AtomicU64,
}

/// Why a policy gave no verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFailure {
    /// It trapped, or ran out of fuel, time or memory.
    #[error("policy failed: {0}")]
    Trapped(String),
    /// It answered what is no verdict.
    #[error("policy gave no verdict: {0}")]
    Malformed(#[from] MalformedVerdict),
}

/// What an instance has, and that it may have no more.
struct Bounds {
    memory_bytes_left: usize,
    table_elements_left: usize,
}

impl Limits {
    /// Most that a manifest may ask for.
    pub const MAX: Self = Self { fuel: 10_000_000_000, memory_bytes: POLICY_MEMORY_BYTES_MAX };
}

impl Default for Limits {
    /// Enough for an interpreter that parses a context and a plan of 1 MiB each.
    fn default() -> Self {
        Self { fuel: 1_000_000_000, memory_bytes: 64 << 20 }
    }
}

impl Policies {
    /// An engine for policies.
    ///
    /// # Errors
    ///
    /// Where there is no memory for its pool, or no thread.
    pub fn new(allocation: Allocation) -> Result<Self> {
        let engine = Engine::new(&policy_config(allocation)).map_err(plain)?;
        let watchdog = Watchdog::start(&engine)?;
        Ok(Self(Arc::new(Running { engine, _watchdog: watchdog })))
    }

    /// The engine itself, to compile for it.
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// Loads a component of world `policy`, by its bytes and their digest.
    ///
    /// # Errors
    ///
    /// Where it does not compile, imports anything, or has not the world's exports.
    pub fn load(&self, wasm: &[u8], digest: &str, limits: Limits, cache: &Cache) -> Result<Policy> {
        self.link(&cache.load(self.engine(), wasm, digest)?, digest, limits)
    }

    /// Links a compiled component to nothing.
    ///
    /// # Errors
    ///
    /// Where it imports anything, or has not the world's exports.
    pub fn link(&self, component: &Component, digest: &str, limits: Limits) -> Result<Policy> {
        let linked = Linker::new(self.engine()).instantiate_pre(component).map_err(plain)?;
        Ok(Policy(Arc::new(Loaded {
            linked: bindings::PolicyPre::new(linked).map_err(plain)?,
            engine: self.clone(),
            digest: digest.to_owned(),
            limits,
            failures: AtomicU64::new(0),
            // Until the first answer a policy counts as slow.
            usual_nanos: AtomicU64::new(u64::from(u32::MAX)),
        })))
    }
}

impl Policy {
    /// The module's digest.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// What one question may cost.
    pub fn limits(&self) -> Limits {
        self.0.limits
    }

    /// Questions that got no verdict since it was loaded.
    pub fn failures(&self) -> u64 {
        self.0.failures.load(Ordering::Relaxed)
    }

    /// How long an answer usually takes.
    pub fn usual(&self) -> Duration {
        Duration::from_nanos(self.0.usual_nanos.load(Ordering::Relaxed))
    }

    /// The verdict on an attempt, from a fresh instance.
    ///
    /// # Errors
    ///
    /// [`PolicyFailure`]: no verdict, so nothing is allowed.
    pub fn evaluate(&self, attempt: &Attempt) -> Result<Verdict, PolicyFailure> {
        let begun = Instant::now();
        let answer = self.call(|policy, store| {
            policy.signoff_approval_guardrails().call_evaluate(store, attempt.into())
        });
        self.took(begun.elapsed());
        let verdict = answer.and_then(|answer| Ok(Verdict::read(answer.into())?));
        if verdict.is_err() {
            self.0.failures.fetch_add(1, Ordering::Relaxed);
        }
        verdict
    }

    /// What the policy says of itself, JSON.
    ///
    /// # Errors
    ///
    /// [`PolicyFailure`]; also where it says more than 4 MiB.
    pub fn describe(&self) -> Result<String, PolicyFailure> {
        let text = self.call(|policy, store| policy.call_describe(store))?;
        if text.len() > DESCRIPTION_BYTES_MAX {
            return Err(PolicyFailure::Trapped(format!(
                "its description is {} bytes, the limit is {DESCRIPTION_BYTES_MAX}",
                text.len()
            )));
        }
        Ok(text)
    }

    fn call<T>(
        &self,
        question: impl FnOnce(&bindings::Policy, &mut Store<Bounds>) -> wasmtime::Result<T>,
    ) -> Result<T, PolicyFailure> {
        let bounds = Bounds {
            memory_bytes_left: self.0.limits.memory_bytes,
            table_elements_left: POLICY_TABLE_ELEMENTS_MAX,
        };
        let mut store = Store::new(self.0.engine.engine(), bounds);
        store.limiter(|bounds| bounds);
        store.set_epoch_deadline(POLICY_TICKS_MAX);
        store.set_hostcall_fuel(ANSWER_BYTES_MAX);
        let answer = store
            .set_fuel(self.0.limits.fuel)
            .and_then(|()| self.0.linked.instantiate(&mut store))
            .and_then(|policy| question(&policy, &mut store));
        answer.map_err(|e| PolicyFailure::Trapped(self.why(&e)))
    }

    /// Why a call ended, in one sentence.
    fn why(&self, error: &wasmtime::Error) -> String {
        match error.downcast_ref::<wasmtime::Trap>() {
            Some(wasmtime::Trap::OutOfFuel) => {
                format!("it used up its fuel of {} units", self.0.limits.fuel)
            }
            Some(wasmtime::Trap::Interrupt) => "it took too long".to_owned(),
            Some(trap) => trap.to_string(),
            None => format!("{error:#}"),
        }
    }

    fn took(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let usual = self.0.usual_nanos.load(Ordering::Relaxed);
        // The first answer replaces the guess; a lost update of an average does no harm.
        let next = if usual == u64::from(u32::MAX) { nanos } else { usual - usual / 8 + nanos / 8 };
        self.0.usual_nanos.store(next, Ordering::Relaxed);
    }
}

impl<'a> From<&'a Attempt> for bindings::guardrails::Attempt<'a> {
    fn from(attempt: &'a Attempt) -> Self {
        Self {
            agent: &attempt.agent,
            action: &attempt.action,
            context: &attempt.context,
            plan: attempt.plan.as_deref(),
            facts: &attempt.facts,
            now: attempt.now,
        }
    }
}

impl From<bindings::guardrails::Verdict> for RawVerdict {
    fn from(verdict: bindings::guardrails::Verdict) -> Self {
        Self {
            decision: verdict.decision,
            rule: verdict.rule,
            reason: verdict.reason,
            requirement: verdict.requirement,
            failed: verdict.failed,
        }
    }
}

impl ResourceLimiter for Bounds {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(take(&mut self.memory_bytes_left, desired.saturating_sub(current)))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(take(&mut self.table_elements_left, desired.saturating_sub(current)))
    }
}

fn take(left: &mut usize, more: usize) -> bool {
    match left.checked_sub(more) {
        Some(rest) => {
            *left = rest;
            true
        }
        None => false,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
fn plain(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}
