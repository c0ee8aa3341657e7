//! The engine for policies: one for all policies of a process, with a watchdog that stops
//! evaluations.

use std::sync::Arc;

use anyhow::Result;
use wasmtime::Engine;

use super::config::{Allocation, policy_config};
use super::watchdog::Watchdog;

/// The engine that policies run in. Cheap to clone.
#[derive(Clone)]
pub struct Policies(Arc<Running>);

struct Running {
    engine: Engine,
    _watchdog: Watchdog,
}

impl Policies {
    /// Creates an engine for policies.
    ///
    /// # Errors
    ///
    /// No memory for its pool, or no thread can be started.
    pub fn new(allocation: Allocation) -> Result<Self> {
        let engine = Engine::new(&policy_config(allocation)).map_err(plain)?;
        let watchdog = Watchdog::start(&engine)?;
        Ok(Self(Arc::new(Running { engine, _watchdog: watchdog })))
    }

    /// Returns the engine, for compiling.
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that `map_err` requires")]
fn plain(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}
