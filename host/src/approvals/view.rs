//! An approval as callers see it: the verifier's view with the host's members.

use crate::store::Texts;
use crate::verifier::Verifier;

/// Adds the host's members to a verifier's view: the verifier's digest and, if given, the texts.
pub(super) fn shown(verifier: &Verifier, view: &str, texts: Option<&Texts>) -> String {
    let digest = format!("\"{}\"", verifier.digest());
    let mut members = vec![("verifier", digest.as_str())];
    if let Some(texts) = texts {
        members.push(("context", &texts.context));
        members.push(("plan", texts.plan.as_deref().unwrap_or("null")));
    }
    with_members(view, &members)
}

/// Adds members to a JSON object from the verifier. Values are raw JSON.
pub(super) fn with_members(object: &str, members: &[(&str, &str)]) -> String {
    let mut text = object.strip_suffix('}').unwrap_or(object).to_owned();
    for (name, value) in members {
        text.push_str(&format!(",\"{name}\":{value}"));
    }
    text.push('}');
    text
}
