//! Policies: the evaluation of one ([`Policy`] returns a [`Verdict`] or fails, and no failure
//! allows an action), and the tools of policy authors: an authoring runtime for rules, and the
//! build of a module from a rules file.
//!
//! The host does not parse rules. The template, the core module compiled from `guest/policy`, loads
//! a rules file, evaluates attempts, runs its tests and reports its problems ([`RulesRuntime`]);
//! [`build()`] saves the memory of an instance that has loaded a file, so that a shipped policy has
//! every rule already parsed.

mod build;
mod component;
mod evaluate;
mod problems;
mod rules_runtime;
mod snapshot;
mod verdict;

pub use build::{Built, build, build_with};
pub use component::{Shape, shape};
pub use evaluate::{Policy, PolicyFailure};
pub use problems::Problems;
pub use rules_runtime::{RulesError, RulesRuntime, Template};
pub use signoff_core::authoring::{
    Attempt, Expected, Include, Loaded, Problem, Severity, Tested, TestedCase, Trace,
};
pub use signoff_core::module::Limits;
pub(crate) use verdict::RawVerdict;
pub use verdict::{Decision, MalformedVerdict, Requirement, Verdict};
