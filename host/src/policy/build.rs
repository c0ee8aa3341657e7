//! Builds a shippable module from a rules file: one component with all rules already parsed.
//!
//! The template loads the rules, its memory becomes the module's initial memory, and the module
//! becomes a component of world `policy`. The output does not depend on the machine or the time:
//! the same rules give the same bytes.

use anyhow::{Result, anyhow};
use wit_component::ComponentEncoder;

use super::Loaded;
use super::rules_runtime::{RulesError, Template};
use crate::engine::{Cache, digest};

/// A built policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The component.
    pub wasm: Vec<u8>,
    /// SHA-256 of its bytes.
    pub digest: String,
    /// The loaded rules, with warnings.
    pub loaded: Loaded,
    /// Initial memory of an instance in bytes.
    pub memory_bytes: usize,
}

/// Builds a policy from the text of a rules file, followed by the files that it includes as
/// [`joined`](signoff_core::authoring::joined) writes them. The template's compiled code is stored in the
/// user's cache.
///
/// # Errors
///
/// [`RulesError::Problems`] if the rules have errors, [`RulesError::Failed`] if the template fails.
///
/// ```no_run
/// let rules = "format = 1\nname = \"careful\"\n";
/// let built = signoff::policy::build(rules)?;
/// assert_eq!(built.digest.len(), 64);
/// # Ok::<(), signoff::policy::RulesError>(())
/// ```
pub fn build(rules: &str) -> Result<Built, RulesError> {
    build_with(&Template::new(&Cache::of_user()).map_err(RulesError::Failed)?, rules)
}

/// As [`build`], with an already compiled template.
///
/// # Errors
///
/// As [`build`].
pub fn build_with(template: &Template, rules: &str) -> Result<Built, RulesError> {
    let mut runtime = template.runtime().map_err(RulesError::Failed)?;
    let loaded = runtime.load(rules)?;
    let memory_bytes = runtime.memory_bytes();
    let wasm =
        runtime.snapshot().and_then(|core| componentize(&core)).map_err(RulesError::Failed)?;
    Ok(Built { digest: digest(&wasm), wasm, loaded, memory_bytes })
}

fn componentize(core: &[u8]) -> Result<Vec<u8>> {
    ComponentEncoder::default()
        .validate(true)
        .module(core)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|e| anyhow!("the rules cannot be converted to a component: {e:#}"))
}
