//! Policies: components of world `policy`. Each evaluation runs in a fresh instance with its own
//! limits.
//!
//! Fuel limits the number of instructions, equally on every machine; the watchdog limits the time;
//! the limiter limits memory. A policy's result is validated strictly: a trap and a malformed
//! verdict are both a [`PolicyFailure`], and neither allows an action.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Deserialize;
use signoff_core::authoring::RuleRequirement;
use signoff_core::module::Limits;
use wasmtime::component::{Component, Linker};
use wasmtime::{ResourceLimiter, Store};

use super::Attempt;
use super::verdict::{MalformedVerdict, RawVerdict, Verdict};
use crate::engine::{
    Cache, Loader, POLICY_TABLE_ELEMENTS_MAX, POLICY_TICKS_MAX, Policies, Settings,
};

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

/// Maximum length of the text of `describe`: a rules file and its description.
const DESCRIPTION_BYTES_MAX: usize = 4 << 20;
/// Maximum bytes that the host allocates for all texts of one result. The texts may overlap in the
/// policy's memory, so the size of that memory does not limit their total. Enough for the longest
/// description, plus headroom.
const ANSWER_BYTES_MAX: usize = DESCRIPTION_BYTES_MAX + (64 << 10);

/// A loaded policy. Cheap to clone.
#[derive(Clone)]
pub struct Policy(Arc<Loaded>);

struct Loaded {
    engine: Policies,
    digest: String,
    limits: Limits,
    linked: bindings::PolicyPre<Bounds>,
    failures: AtomicU64,
    /// Duration of an evaluation in nanoseconds: a moving average.
    usual_nanos: AtomicU64,
    /// What its description says of requirements, once that was asked.
    requirements: OnceLock<Vec<RuleRequirement>>,
}

/// Why a policy gave no verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFailure {
    /// It trapped, or ran out of fuel, time or memory.
    #[error("policy failed: {0}")]
    Trapped(String),
    /// The host could not call it.
    #[error("policy could not be called: {0}")]
    Uncallable(String),
    /// Its verdict is malformed.
    #[error("policy returned a malformed verdict: {0}")]
    Malformed(#[from] MalformedVerdict),
}

/// Resource limiter of one instance.
struct Bounds {
    memory_bytes_left: usize,
    table_elements_left: usize,
}

impl Policy {
    /// Loads a component of world `policy`, given its bytes and their digest.
    ///
    /// # Errors
    ///
    /// The component does not compile, imports anything, or lacks an export of the world.
    pub fn load(
        policies: &Policies,
        wasm: &[u8],
        digest: &str,
        limits: Limits,
        cache: &Cache,
    ) -> Result<Self> {
        Self::link(policies, &cache.load(policies.engine(), wasm, digest)?, digest, limits)
    }

    /// Loads a component with a loader's engine, compiler and cache.
    ///
    /// # Errors
    ///
    /// As [`Self::load`].
    pub fn load_by(loader: &Loader, wasm: &[u8], digest: &str, limits: Limits) -> Result<Self> {
        let policies = loader.policies()?;
        let component = loader.component(policies.engine(), Settings::Policy, wasm, digest)?;
        Self::link(&policies, &component, digest, limits)
    }

    /// Links a compiled component without any imports.
    ///
    /// # Errors
    ///
    /// The component imports anything, or lacks an export of the world.
    fn link(
        policies: &Policies,
        component: &Component,
        digest: &str,
        limits: Limits,
    ) -> Result<Self> {
        let linked = Linker::new(policies.engine()).instantiate_pre(component).map_err(plain)?;
        Ok(Self(Arc::new(Loaded {
            linked: bindings::PolicyPre::new(linked).map_err(plain)?,
            engine: policies.clone(),
            digest: digest.to_owned(),
            limits,
            failures: AtomicU64::new(0),
            // Until its first evaluation a policy counts as slow.
            usual_nanos: AtomicU64::new(u64::from(u32::MAX)),
            requirements: OnceLock::new(),
        })))
    }

    /// Returns the module's digest.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// Returns the resource limits of one evaluation.
    pub fn limits(&self) -> Limits {
        self.0.limits
    }

    /// Returns the number of evaluations without a verdict since it was loaded.
    pub fn failures(&self) -> u64 {
        self.0.failures.load(Ordering::Relaxed)
    }

    /// Returns the usual duration of an evaluation.
    pub fn usual(&self) -> Duration {
        Duration::from_nanos(self.0.usual_nanos.load(Ordering::Relaxed))
    }

    /// Evaluates an attempt in a fresh instance.
    ///
    /// # Errors
    ///
    /// [`PolicyFailure`]: there is no verdict, so the action is not allowed.
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

    /// Returns the policy's description of itself, JSON.
    ///
    /// # Errors
    ///
    /// [`PolicyFailure`], also for a description over 4 MiB.
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

    /// Returns the requirements that the policy's description lists; none if it describes none. A
    /// description has no input, so it is read once.
    pub fn requirements(&self) -> &[RuleRequirement] {
        #[derive(Deserialize)]
        struct Description {
            #[serde(default)]
            requirements: Vec<RuleRequirement>,
        }
        if let Some(known) = self.0.requirements.get() {
            return known;
        }
        let Ok(text) = self.describe() else { return &[] };
        self.0.requirements.get_or_init(|| {
            let description = serde_json::from_str(&text);
            description.map_or_else(|_| Vec::new(), |Description { requirements }| requirements)
        })
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
        answer.map_err(|e| self.failure(&e))
    }

    /// Returns why a call failed.
    fn failure(&self, error: &wasmtime::Error) -> PolicyFailure {
        PolicyFailure::Trapped(match error.downcast_ref::<wasmtime::Trap>() {
            Some(wasmtime::Trap::OutOfFuel) => {
                format!("it used up its fuel of {} units", self.0.limits.fuel)
            }
            Some(wasmtime::Trap::Interrupt) => "it exceeded its time limit".to_owned(),
            Some(trap) => trap.to_string(),
            None => return PolicyFailure::Uncallable(format!("{error:#}")),
        })
    }

    fn took(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let usual = self.0.usual_nanos.load(Ordering::Relaxed);
        // The first measurement replaces the initial value; a lost update of an average does no
        // harm.
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

#[expect(clippy::needless_pass_by_value, reason = "the signature that `map_err` requires")]
fn plain(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}
