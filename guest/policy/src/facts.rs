//! Facts: what the host knows of an attempt, and no agent can word.
//!
//! The host hands them over as one JSON object. Conditions and reasons read them by name.

/// The names of the facts, in ascending order. Each is a string.
pub const KNOWN: [&str; 2] = ["claimed_by", "requester"];

/// Returns the JSON object of some facts, given in ascending order of their names: the canonical form.
#[must_use]
pub fn text<'f>(facts: impl IntoIterator<Item = (&'f str, &'f str)>) -> String {
    let mut text = "{".to_owned();
    for (at, (name, value)) in facts.into_iter().enumerate() {
        text.push_str(if at > 0 { ", " } else { "" });
        text.push_str(&serde_json::Value::from(name).to_string());
        text.push_str(": ");
        text.push_str(&serde_json::Value::from(value).to_string());
    }
    text.push('}');
    text
}

/// Returns the requester of an agent's own attempt, where the host requires no tokens.
pub(crate) fn requester(agent: &str) -> String {
    format!("agent:{}", agent.to_ascii_lowercase())
}

/// Returns the fact of that name.
///
/// # Errors
///
/// A sentence with the known names.
pub(crate) fn known(name: &str) -> Result<&'static str, String> {
    let fact = KNOWN.into_iter().find(|known| *known == name);
    fact.ok_or_else(|| {
        let name = crate::text::cut(name, crate::limits::NAME_BYTES_MAX).escape_debug();
        format!("there is no fact `{name}`, expected {}", KNOWN.join(" or "))
    })
}
