//! The rules engine of signoff's policies: turns a rules file into verdicts.
//!
//! The crate builds as an ordinary library for tests, and as a core module (the *template*).
//! `signoff policy build` loads a rules file into the template and takes a snapshot, so the shipped
//! policy has every rule already parsed. Nothing here sees a clock, a file or a socket; time is an
//! argument.

#[cfg(target_arch = "wasm32")]
mod authoring_export;
#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(target_arch = "wasm32")]
mod heap;

pub mod attempt;
pub mod authoring;
pub mod bundle;
pub mod condition;
pub mod constants;
pub mod evaluate;
pub mod file;
pub mod index;
pub mod json;
pub mod limits;
mod lint;
mod near;
pub mod policy;
pub mod problem;
pub mod reason;
pub mod schema;
pub mod test_run;
mod text;
pub mod verdict;

pub use signoff_core::glob;
