//! The audiences that a manifest names: the deployments that the module is for.

use std::collections::BTreeSet;

use super::Manifest;
use crate::name::Identifier;
use crate::rejection::{Code, Rejection};

/// Maximum number of audiences that a manifest names.
const AUDIENCES_MAX: usize = 16;

/// Parses a list of audiences.
///
/// # Errors
///
/// 1. `limit-exceeded`: more than 16 2. `manifest-invalid`: a malformed or duplicate audience
pub(super) fn read(names: &[impl AsRef<str>]) -> Result<BTreeSet<Identifier>, Rejection> {
    if names.len() > AUDIENCES_MAX {
        let detail = format!("{} audiences, the limit is {AUDIENCES_MAX}", names.len());
        return Err(Rejection::new(Code::LimitExceeded, detail));
    }
    let mut read = BTreeSet::new();
    for name in names {
        let Ok(name) = Identifier::new("audience", name.as_ref()) else {
            let detail = "audience: a name must be `[!-~]{1,128}`";
            return Err(Rejection::new(Code::ManifestInvalid, detail));
        };
        if !read.insert(name) {
            return Err(Rejection::new(Code::ManifestInvalid, "audience: one is listed twice"));
        }
    }
    Ok(read)
}

/// Checks that a module is for this deployment: its manifest names the audience, or none.
///
/// # Errors
///
/// `audience-mismatch`.
pub fn is_for(manifest: &Manifest, audience: &str) -> Result<(), Rejection> {
    let named = &manifest.audiences;
    if named.is_empty() || named.iter().any(|name| name.as_str() == audience) {
        return Ok(());
    }
    let named: Vec<&str> = named.iter().map(Identifier::as_str).collect();
    let detail = format!(
        "the module is for audience {}, and this deployment's is {audience}; sign it for this one with `signoff module sign --audience`",
        named.join(", ")
    );
    Err(Rejection::new(Code::AudienceMismatch, detail))
}
