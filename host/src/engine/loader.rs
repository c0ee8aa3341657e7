//! Loads modules with one choice of allocation, compiler and code cache.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::{Allocation, Cache, Compiler, Policies, Settings};

/// Loads modules for one process. Cheap to clone.
#[derive(Clone)]
pub struct Loader(Arc<Ways>);

struct Ways {
    allocation: Allocation,
    cache: Cache,
    compiler: Compiler,
    /// Created with the first policy: a process without one needs no second engine.
    policies: Mutex<Option<Policies>>,
}

impl Loader {
    /// A loader that compiles in this process.
    pub fn new(allocation: Allocation, cache: Cache) -> Self {
        Self::with(allocation, cache, Compiler::Here)
    }

    /// A loader with a given compiler.
    pub fn with(allocation: Allocation, cache: Cache, compiler: Compiler) -> Self {
        Self(Arc::new(Ways { allocation, cache, compiler, policies: Mutex::default() }))
    }

    /// Returns a compiled component, given its bytes and their digest, for an engine with these
    /// settings.
    ///
    /// # Errors
    ///
    /// [`CompileError`](super::CompileError).
    pub(crate) fn component(
        &self,
        engine: &Engine,
        settings: Settings,
        wasm: &[u8],
        digest: &str,
    ) -> Result<Component> {
        let compile = || Ok(self.0.compiler.compile(engine, settings, wasm)?);
        self.0.cache.load_by(engine, digest, compile)
    }

    /// Returns the engine for policies, and creates it on first use.
    ///
    /// # Errors
    ///
    /// As [`Policies::new`].
    pub fn policies(&self) -> Result<Policies> {
        let mut made = self.0.policies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(policies) = &*made {
            return Ok(policies.clone());
        }
        let policies = Policies::new(self.0.allocation)?;
        *made = Some(policies.clone());
        Ok(policies)
    }

    /// Returns how the memory of instances is allocated.
    pub fn allocation(&self) -> Allocation {
        self.0.allocation
    }

    /// Returns the cache of compiled code.
    pub fn cache(&self) -> &Cache {
        &self.0.cache
    }
}
