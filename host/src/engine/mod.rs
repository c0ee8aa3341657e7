//! The engines: settings, compilation, the cache of compiled code, pooled instances, and the watchdog.
//!
//! [`Pool`] manages instances of one component of any world; `crate::verifier` uses it for the
//! verifier. A policy runs in a fresh instance for each evaluation, and returns a [`Verdict`] or
//! fails. No failure allows an action.

mod cache;
mod compile;
mod config;
mod loader;
mod module;
mod policy;
mod pool;
mod verdict;
mod watchdog;

pub use cache::Cache;
pub use compile::{
    COMPILE_COMMAND, CompileError, Compiler, Settings, WASM_BYTES_MAX, compile_here,
};
pub use config::{Allocation, config, policy_config};
pub use loader::Loader;
pub use module::{
    POLICY_STACK_BYTES, POLICY_TEMPLATE, POLICY_TEMPLATE_DIGEST, VERIFIER, VERIFIER_DIGEST, digest,
    verifier_core,
};
pub use policy::{Attempt, Limits, Policies, Policy, PolicyFailure};
pub use pool::{Memory, Pool, World};
pub(crate) use verdict::RawVerdict;
pub use verdict::{Decision, MalformedVerdict, Requirement, Verdict};
