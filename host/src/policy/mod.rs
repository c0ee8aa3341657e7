//! What policy teams work with before anything ships: the rules engine at a bench, and the way from a
//! rules file to a module.
//!
//! No rule is read here. The template, the core module that `guest/policy` compiles to, loads a rules
//! file, answers, runs its tests and tells what is wrong with it ([`Workbench`]); [`build()`] keeps the
//! memory of one that has loaded a file, so that a shipped policy has every rule already parsed.

mod answers;
mod build;
mod component;
mod snapshot;
mod workbench;

pub use answers::{Asked, Case, Loaded, Outcome, Problem, Problems, Severity, Tested, Trace};
pub use build::{Built, build, build_with};
pub use component::{Shape, shape};
pub use workbench::{BenchError, Template, Workbench};
