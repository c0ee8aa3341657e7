//! Instances of the verifier: pooled, reused, dropped after a trap or when they grew.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, ResourceLimiter, Store};

use super::cache::Cache;
use super::config::{
    Allocation, INSTANCES_MAX, MEMORY_BYTES_KEPT, MEMORY_BYTES_MAX, TICKS_MAX, config,
};
use super::watchdog::Watchdog;
use crate::bindings::{self, Rejection, VerifierPre};

/// The verifier: one module, and instances of it. Cheap to clone.
#[derive(Clone)]
pub struct Verifier(Arc<Shared>);

/// One instance, with its typed exports and the store that they are called with.
pub struct Instance {
    /// The typed exports.
    pub exports: bindings::Verifier,
    /// The store to call them with.
    pub store: Store<Memory>,
}

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The verifier refused.
    #[error("{}: {}", .0.code, .0.message)]
    Rejected(Rejection),
    /// The verifier trapped, ran out of memory or took too long. Nothing was decided.
    #[error("verifier failed: {0}")]
    Trapped(String),
}

/// How much memory an instance has, and that it may have no more.
#[derive(Default)]
pub struct Memory {
    bytes: usize,
}

struct Shared {
    engine: Engine,
    digest: String,
    /// Or why not.
    linked: Result<VerifierPre<Memory>, String>,
    idle: Mutex<Vec<Instance>>,
    traps: AtomicU64,
    _watchdog: Option<Watchdog>,
}

impl Verifier {
    /// Loads a component of world `verifier`, by its bytes and their digest.
    ///
    /// # Errors
    ///
    /// Where the component does not compile, imports anything, or has not the world's exports.
    pub fn load(wasm: &[u8], digest: &str, allocation: Allocation, cache: &Cache) -> Result<Self> {
        Self::load_by(digest, allocation, |engine| cache.load(engine, wasm, digest))
    }

    /// As [`Self::load`], for who finds the compiled component elsewhere.
    pub(super) fn load_by(
        digest: &str,
        allocation: Allocation,
        component: impl FnOnce(&Engine) -> Result<Component>,
    ) -> Result<Self> {
        let failed = |e: wasmtime::Error| anyhow::anyhow!("{e:#}");
        let engine = Engine::new(&config(allocation)).map_err(failed)?;
        let component = component(&engine)?;
        Self::link(engine, &component, digest)
    }

    /// One that answers nothing: it stands in a slot whose module cannot serve, so that every call
    /// fails and says why.
    pub fn broken(digest: &str, why: &str) -> Self {
        Self(Arc::new(Shared {
            linked: Err(why.to_owned()),
            _watchdog: None,
            engine: Engine::default(),
            digest: digest.to_owned(),
            idle: Mutex::default(),
            traps: AtomicU64::new(0),
        }))
    }

    /// Loads the embedded verifier.
    ///
    /// # Errors
    ///
    /// As [`Self::load`].
    pub fn embedded(allocation: Allocation, cache: &Cache) -> Result<Self> {
        Self::load(super::VERIFIER, super::VERIFIER_DIGEST, allocation, cache)
    }

    fn link(engine: Engine, component: &Component, digest: &str) -> Result<Self> {
        let failed = |e: wasmtime::Error| anyhow::anyhow!("{e:#}");
        // An empty linker: a module that imports anything does not link.
        let linked = Linker::new(&engine).instantiate_pre(component).map_err(failed)?;
        Ok(Self(Arc::new(Shared {
            linked: Ok(VerifierPre::new(linked).map_err(failed)?),
            _watchdog: Some(Watchdog::start(&engine)?),
            engine,
            digest: digest.to_owned(),
            idle: Mutex::default(),
            traps: AtomicU64::new(0),
        })))
    }

    /// The module's digest.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// Why it answers nothing, where it never does.
    pub fn why_broken(&self) -> Option<&str> {
        self.0.linked.as_ref().err().map(String::as_str)
    }

    /// Calls that gave no answer since the start.
    pub fn traps(&self) -> u64 {
        self.0.traps.load(Ordering::Relaxed)
    }

    /// Calls an instance. The outer error of `f` is a trap, the inner one a refusal.
    ///
    /// # Errors
    ///
    /// [`Failure::Rejected`] as the function called says, [`Failure::Trapped`] where it gave no
    /// answer; the instance is dropped then.
    pub fn call<T>(
        &self,
        f: impl FnOnce(&mut Instance) -> wasmtime::Result<Result<T, Rejection>>,
    ) -> Result<T, Failure> {
        let mut instance = self.take().map_err(|e| self.trapped(&e))?;
        instance.store.set_epoch_deadline(TICKS_MAX);
        match f(&mut instance) {
            Ok(answer) => {
                self.give_back(instance);
                answer.map_err(Failure::Rejected)
            }
            Err(trap) => Err(self.trapped(&trap)),
        }
    }

    /// A new instance, never used before.
    ///
    /// # Errors
    ///
    /// Where there is no memory or no place left for one.
    pub fn fresh(&self) -> wasmtime::Result<Instance> {
        let linked = self.0.linked.as_ref().map_err(|why| wasmtime::Error::msg(why.clone()))?;
        let mut store = Store::new(&self.0.engine, Memory::default());
        store.limiter(|memory| memory);
        store.set_epoch_deadline(TICKS_MAX);
        let exports = linked.instantiate(&mut store)?;
        Ok(Instance { exports, store })
    }

    fn take(&self) -> wasmtime::Result<Instance> {
        let idle = self.idle().pop();
        idle.map_or_else(|| self.fresh(), Ok)
    }

    fn give_back(&self, instance: Instance) {
        if instance.store.data().bytes <= MEMORY_BYTES_KEPT {
            let mut idle = self.idle();
            // Half of the pool, so that fresh instances always find a place.
            if idle.len() < INSTANCES_MAX as usize / 2 {
                idle.push(instance);
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Instance>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trapped(&self, trap: &wasmtime::Error) -> Failure {
        self.0.traps.fetch_add(1, Ordering::Relaxed);
        Failure::Trapped(format!("{trap:#}"))
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let fits = desired <= MEMORY_BYTES_MAX;
        if fits {
            self.bytes = desired;
        }
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= 10_000)
    }
}
