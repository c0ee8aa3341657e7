//! Instances of one component: pooled, reused, dropped after a trap or when they grew.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Engine, ResourceLimiter, Store};

use super::config::{
    Allocation, INSTANCES_MAX, MEMORY_BYTES_KEPT, MEMORY_BYTES_MAX, TICKS_MAX, config,
};
use super::watchdog::Watchdog;

/// The typed exports of a component, as bindings generate them.
pub trait World: Sized + Send {
    /// The component with its exports looked up, not yet instantiated.
    type Linked: Send + Sync;

    /// Looks the exports up.
    ///
    /// # Errors
    ///
    /// A component that lacks an export, or has one of another type.
    fn link(component: InstancePre<Memory>) -> wasmtime::Result<Self::Linked>;

    /// Makes an instance.
    ///
    /// # Errors
    ///
    /// No memory or no place left for one.
    fn instantiate(linked: &Self::Linked, store: &mut Store<Memory>) -> wasmtime::Result<Self>;
}

/// One component, and instances of it. Cheap to clone.
pub struct Pool<W: World>(Arc<Shared<W>>);

/// How much memory an instance has, and that it may have no more.
#[derive(Default)]
pub struct Memory {
    bytes: usize,
}

/// One instance, with its typed exports and the store that they are called with.
struct Instance<W> {
    exports: W,
    store: Store<Memory>,
}

struct Shared<W: World> {
    engine: Engine,
    digest: String,
    /// Or why not.
    linked: Result<W::Linked, String>,
    idle: Mutex<Vec<Instance<W>>>,
    traps: AtomicU64,
    _watchdog: Option<Watchdog>,
}

impl<W: World> Pool<W> {
    /// Loads a component that `component` compiles or finds compiled.
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

    /// A pool whose every call fails and says why.
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

    /// The module's digest.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// Why every call fails, if it does.
    pub fn why_broken(&self) -> Option<&str> {
        self.0.linked.as_ref().err().map(String::as_str)
    }

    /// The number of calls that trapped since the start.
    pub fn traps(&self) -> u64 {
        self.0.traps.load(Ordering::Relaxed)
    }

    /// Calls an instance. One that trapped is dropped.
    ///
    /// # Errors
    ///
    /// Why the call gave no answer.
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

    /// Drops the instances that wait for a call.
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
            // Half of the pool, so that fresh instances always find a place.
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
