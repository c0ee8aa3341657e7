//! The engines: load modules, keep instances of the verifier, make fresh ones of policies, and call
//! them.
//!
//! A refusal by the verifier and a failure of it are two things: the first is a
//! [`Rejection`](crate::bindings::Rejection), the second drops the instance and is
//! [`Failure::Trapped`]. A policy refuses nothing: it gives a [`Verdict`] or fails. No failure lets
//! anything through.

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
pub use compile::{COMPILE_COMMAND, CompileError, Compiler, Settings, compile_here};
pub use config::{Allocation, config, policy_config};
pub use loader::Loader;
pub use module::{
    POLICY_STACK_BYTES, POLICY_TEMPLATE, POLICY_TEMPLATE_DIGEST, VERIFIER, VERIFIER_DIGEST, digest,
    verifier_core,
};
pub use policy::{Limits, Policies, Policy, PolicyFailure};
pub use pool::{Failure, Instance, Verifier};
pub use verdict::{Decision, MalformedVerdict, Requirement, Verdict};
