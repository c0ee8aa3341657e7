//! A pool of instances of one component. Instances are reused, and dropped after a trap or when
//! they grew too large.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Engine, ResourceLimiter, Store};

use super::config::{
    Allocation, INSTANCES_MAX, MEMORY_BYTES_KEPT, MEMORY_BYTES_MAX, TICKS_MAX, config,
};
use super::watchdog::Watchdog;

/// The typed exports of a component, implemented by generated bindings.
pub trait World: Sized + Send {
    /// The component with its exports resolved, not yet instantiated.
    type Linked: Send + Sync;

    /// Resolves the exports.
    ///
    /// # Errors
    ///
    /// A component that lacks an export, or has one of another type.
    fn link(component: InstancePre<Memory>) -> wasmtime::Result<Self::Linked>;

    /// Makes an instance.
    ///
    /// # Errors
    ///
    /// No memory or no free slot for an instance.
    fn instantiate(linked: &Self::Linked, store: &mut Store<Memory>) -> wasmtime::Result<Self>;
}

/// One component and its instances. Cheap to clone.
pub struct Pool<W: World>(Arc<Shared<W>>);

/// Memory limiter of one instance.
#[derive(Default)]
pub struct Memory {
    bytes: usize,
}

/// One instance: its typed exports and its store.
struct Instance<W> {
    exports: W,
    store: Store<Memory>,
}

struct Shared<W: World> {
    engine: Engine,
    digest: String,
    /// The linked component, or why it cannot be called.
    linked: Result<W::Linked, String>,
    idle: Mutex<Vec<Instance<W>>>,
    traps: AtomicU64,
    _watchdog: Option<Watchdog>,
}

impl<W: World> Pool<W> {
    /// Loads a component, which `component` compiles or loads from a cache.
    ///
    /// # Errors
    ///
    /// A component that does not compile, imports anything, or lacks an export of the world.
    pub fn load(
        digest: &str,
        allocation: Allocation,
        component: impl FnOnce(&Engine) -> Result<Component>,
    ) -> Result<Self> {
        let failed = |e: wasmtime::Error| anyhow::anyhow!("{e:#}");
        let engine = Engine::new(&config(allocation)).map_err(failed)?;
        let component = component(&engine)?;
        // An empty linker: a module that imports anything does not link.
        let linked = Linker::new(&engine).instantiate_pre(&component).map_err(failed)?;
        Ok(Self(Arc::new(Shared {
            linked: Ok(W::link(linked).map_err(failed)?),
            _watchdog: Some(Watchdog::start(&engine)?),
            engine,
            digest: digest.to_owned(),
            idle: Mutex::default(),
            traps: AtomicU64::new(0),
        })))
    }

    /// Creates a pool whose every call fails with `why`.
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

    /// Returns the module's digest.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// Returns why every call fails, if the pool is broken.
    pub fn why_broken(&self) -> Option<&str> {
        self.0.linked.as_ref().err().map(String::as_str)
    }

    /// Returns the number of calls that trapped since the start.
    pub fn traps(&self) -> u64 {
        self.0.traps.load(Ordering::Relaxed)
    }

    /// Calls a function of an idle or fresh instance. An instance that trapped is dropped.
    ///
    /// # Errors
    ///
    /// Why the call returned no result.
    pub fn call<T>(
        &self,
        f: impl FnOnce(&W, &mut Store<Memory>) -> wasmtime::Result<T>,
    ) -> Result<T, String> {
        let mut instance = self.take().map_err(|e| self.trapped(&e))?;
        instance.store.set_epoch_deadline(TICKS_MAX);
        match f(&instance.exports, &mut instance.store) {
            Ok(answer) => {
                self.give_back(instance);
                Ok(answer)
            }
            Err(trap) => Err(self.trapped(&trap)),
        }
    }

    /// Drops all idle instances.
    pub fn forget_instances(&self) {
        self.idle().clear();
    }

    fn take(&self) -> wasmtime::Result<Instance<W>> {
        let idle = self.idle().pop();
        idle.map_or_else(|| self.fresh(), Ok)
    }

    fn fresh(&self) -> wasmtime::Result<Instance<W>> {
        let linked = self.0.linked.as_ref().map_err(|why| wasmtime::Error::msg(why.clone()))?;
        let mut store = Store::new(&self.0.engine, Memory::default());
        store.limiter(|memory| memory);
        store.set_epoch_deadline(TICKS_MAX);
        let exports = W::instantiate(linked, &mut store)?;
        Ok(Instance { exports, store })
    }

    fn give_back(&self, instance: Instance<W>) {
        if instance.store.data().bytes <= MEMORY_BYTES_KEPT {
            let mut idle = self.idle();
            // Half of the pool, so that fresh instances always find a slot.
            if idle.len() < INSTANCES_MAX as usize / 2 {
                idle.push(instance);
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Instance<W>>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trapped(&self, trap: &wasmtime::Error) -> String {
        self.0.traps.fetch_add(1, Ordering::Relaxed);
        format!("{trap:#}")
    }
}

impl<W: World> Clone for Pool<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
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
