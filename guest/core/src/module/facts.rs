//! The facts that a module reads: the names listed in its manifest and in its description, and
//! whether this host provides them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Manifest;
use super::name::FactName;
use crate::facts::NAMES;
use crate::rejection::{Code, Rejection};

/// Maximum number of facts that a module reads.
pub const FACTS_MAX: usize = 16;

/// Parses the names of facts.
///
/// # Errors
///
/// 1. `limit-exceeded`: more than 16 2. `manifest-invalid`: a malformed or duplicate name
pub(super) fn read(names: &[impl AsRef<str>]) -> Result<BTreeSet<FactName>, Rejection> {
    if names.len() > FACTS_MAX {
        let detail = format!("{} facts, the limit is {FACTS_MAX}", names.len());
        return Err(Rejection::new(Code::LimitExceeded, detail));
    }
    let invalid = |why: &str| Err(Rejection::new(Code::ManifestInvalid, format!("facts: {why}")));
    let mut read = BTreeSet::new();
    for name in names {
        let Some(name) = FactName::parse(name.as_ref()) else {
            return invalid("a name must be `[a-z][a-z0-9_]{0,63}`");
        };
        if read.contains(&name) {
            return invalid(&format!("`{name}` is listed twice"));
        }
        read.insert(name);
    }
    Ok(read)
}

/// Returns the facts that a policy reads, according to its description.
///
/// # Errors
///
/// `manifest-invalid` if `facts` is not a list of fact names.
pub fn facts_described(description: &Value) -> Result<BTreeSet<FactName>, Rejection> {
    let Some(facts) = description.get("facts") else { return Ok(BTreeSet::new()) };
    let names = facts.as_array().map(|names| names.iter().map(Value::as_str));
    let names: Option<Vec<&str>> = names.and_then(Iterator::collect);
    let names = names.ok_or_else(|| {
        Rejection::new(Code::ManifestInvalid, "facts: the description must be a list of strings")
    })?;
    read(&names)
}

/// Checks that this host provides each fact that a module reads.
///
/// # Errors
///
/// `module-invalid`.
pub fn all_given(manifest: &Manifest) -> Result<(), Rejection> {
    let lacking = manifest.facts.iter().find(|fact| !NAMES.contains(&fact.as_str()));
    lacking.map_or(Ok(()), |fact| {
        let given = NAMES.join(", ");
        let detail = format!(
            "the module reads the fact `{fact}`, which this host does not provide; it provides {given}"
        );
        Err(Rejection::new(Code::ModuleInvalid, detail))
    })
}

/// Checks that a manifest lists each fact in its module's description.
///
/// # Errors
///
/// As [`facts_described`]; then `manifest-invalid` for a fact that is not listed.
pub fn all_listed(manifest: &Manifest, description: &Value) -> Result<(), Rejection> {
    let described = facts_described(description)?;
    let Some(fact) = described.difference(&manifest.facts).next() else { return Ok(()) };
    let detail = format!(
        "the module reads the fact `{fact}`, which its manifest does not list; sign it again with `signoff module sign`"
    );
    Err(Rejection::new(Code::ManifestInvalid, detail))
}
