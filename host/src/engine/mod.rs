//! The Wasmtime engines: settings, compilation, the cache of compiled code, the embedded modules,
//! pooled instances and the watchdog.
//!
//! [`Pool`] manages the instances of one component of any world; the verifier uses it. [`Policies`]
//! is the engine of all policies; `policy::evaluate` creates a fresh instance in it for each
//! evaluation.

mod cache;
mod compile;
mod config;
mod loader;
mod module;
mod policies;
mod pool;
mod watchdog;

pub use cache::Cache;
pub use compile::{
    COMPILE_COMMAND, CompileError, Compiler, Settings, WASM_BYTES_MAX, compile_here,
};
pub use config::{Allocation, config, policy_config};
pub(crate) use config::{POLICY_TABLE_ELEMENTS_MAX, POLICY_TICKS_MAX};
pub use loader::Loader;
pub use module::{
    POLICY_STACK_BYTES, POLICY_TEMPLATE, VERIFIER, VERIFIER_DIGEST, digest, verifier_core,
};
pub use policies::Policies;
pub use pool::{Memory, Pool, World};
