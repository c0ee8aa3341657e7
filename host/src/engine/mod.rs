//! The engine: loads the verifier, keeps instances of it, and calls them.
//!
//! A refusal by the verifier and a failure of it are two things: the first is a
//! [`Rejection`](crate::bindings::Rejection), the second drops the instance and is
//! [`Failure::Trapped`]. Neither lets anything through.

mod cache;
mod config;
mod module;
mod pool;

pub use cache::Cache;
pub use config::{Allocation, config};
pub use module::{VERIFIER, VERIFIER_DIGEST, digest, verifier_core};
pub use pool::{Failure, Instance, Verifier};
