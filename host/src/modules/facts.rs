//! The facts that a module reads: the names listed in its manifest and in its description, and
//! whether this host provides them.

use std::collections::BTreeSet;

use serde_json::Value;
use signoff_core::facts::NAMES;

use super::Manifest;
use super::name::FactName;
use crate::code::Code;
use crate::refusal::Refusal;

/// Maximum number of facts that a module reads.
pub const FACTS_MAX: usize = 16;

/// Parses the names of facts.
///
/// # Errors
///
/// 1. `limit-exceeded`: more than 16 2. `manifest-invalid`: a malformed or duplicate name
pub(super) fn read(names: &[impl AsRef<str>]) -> Result<BTreeSet<FactName>, Refusal> {
    if names.len() > FACTS_MAX {
        let detail = format!("{} facts, the limit is {FACTS_MAX}", names.len());
        return Err(Refusal::new(Code::LIMIT_EXCEEDED, detail));
    }
    let invalid = |why: &str| Err(Refusal::new(Code::MANIFEST_INVALID, format!("facts: {why}")));
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
pub fn facts_described(description: &Value) -> Result<BTreeSet<FactName>, Refusal> {
    let Some(facts) = description.get("facts") else { return Ok(BTreeSet::new()) };
    let names = facts.as_array().map(|names| names.iter().map(Value::as_str));
    let names: Option<Vec<&str>> = names.and_then(Iterator::collect);
    let names = names.ok_or_else(|| {
        Refusal::new(Code::MANIFEST_INVALID, "facts: the description must be a list of strings")
    })?;
    read(&names)
}

/// Checks that this host provides each fact that a module reads.
///
/// # Errors
///
/// `module-invalid`.
pub fn all_given(manifest: &Manifest) -> Result<(), Refusal> {
    let lacking = manifest.facts.iter().find(|fact| !NAMES.contains(&fact.as_str()));
    lacking.map_or(Ok(()), |fact| {
        let given = NAMES.join(", ");
        let detail = format!(
            "the module reads the fact `{fact}`, which this host does not provide; it provides {given}"
        );
        Err(Refusal::new(Code::MODULE_INVALID, detail))
    })
}

/// Checks that a manifest lists each fact in its module's description.
///
/// # Errors
///
/// As [`facts_described`]; then `manifest-invalid` for a fact that is not listed.
pub fn all_listed(manifest: &Manifest, description: &Value) -> Result<(), Refusal> {
    let described = facts_described(description)?;
    let Some(fact) = described.difference(&manifest.facts).next() else { return Ok(()) };
    let detail = format!(
        "the module reads the fact `{fact}`, which its manifest does not list; sign it again with `signoff module sign`"
    );
    Err(Refusal::new(Code::MANIFEST_INVALID, detail))
}
