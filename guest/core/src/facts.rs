//! Facts: what the host knows about an attempt and passes to a policy. Agents do not control their
//! values.

use serde_json::Value;

/// The names of the facts, in ascending order. Every fact is a string.
pub const NAMES: [&str; 2] = ["claimed_by", "requester"];

/// The facts of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    claimed_by: Option<String>,
    requester: String,
}

/// Returns the known fact with this name.
///
/// # Errors
///
/// A message that lists the names of all facts.
pub fn named(name: &str) -> Result<&'static str, String> {
    /// Maximum length of a quoted name, which may itself be of any length.
    const CHARS_MAX: usize = 64;
    NAMES.into_iter().find(|known| *known == name).ok_or_else(|| {
        let name: String = name.chars().take(CHARS_MAX).flat_map(char::escape_debug).collect();
        format!("there is no fact `{name}`, expected {}", NAMES.join(" or "))
    })
}

/// Returns whether a fact exists only at a claim.
#[must_use]
pub fn is_of_claims(name: &str) -> bool {
    name == "claimed_by"
}

/// Returns why no fact has this text; `None` if one may.
#[must_use]
pub fn not_lower(text: &str) -> Option<String> {
    /// Maximum length of a quoted text.
    const CHARS_MAX: usize = 128;
    text.bytes().any(|byte| byte.is_ascii_uppercase()).then(|| {
        let lower = text.to_ascii_lowercase();
        let lower: String = lower.chars().take(CHARS_MAX).flat_map(char::escape_debug).collect();
        format!("a host gives facts in lower case, expected `{lower}`")
    })
}

impl Facts {
    /// Returns the facts of an evaluation or a request. `requester` is the `requested_by` of the
    /// request.
    #[must_use]
    pub fn of_request(requester: &str) -> Self {
        Self { claimed_by: None, requester: requester.to_ascii_lowercase() }
    }

    /// Returns the facts of a claim. `requester` is the `requested_by` of the approval,
    /// `claimed_by` the `claimed_by` of the execution.
    #[must_use]
    pub fn of_claim(requester: &str, claimed_by: &str) -> Self {
        Self { claimed_by: Some(claimed_by.to_ascii_lowercase()), ..Self::of_request(requester) }
    }

    /// Returns the JSON object that a policy receives, in the canonical form for visible ASCII.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = "{".to_owned();
        if let Some(claimed_by) = &self.claimed_by {
            text.push_str(&format!("\"claimed_by\": {}, ", Value::from(claimed_by.as_str())));
        }
        text.push_str(&format!("\"requester\": {}}}", Value::from(self.requester.as_str())));
        text
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn facts_are_in_lower_case_and_in_the_canonical_form() {
        let texts = [
            (Facts::of_request("agent:Inbox"), r#"{"requester": "agent:inbox"}"#),
            (
                Facts::of_claim("CI@Company.com", "a\"\\~"),
                r#"{"claimed_by": "a\"\\~", "requester": "ci@company.com"}"#,
            ),
        ];
        for (facts, text) in texts {
            assert_eq!(facts.to_text(), text);
            assert_eq!(crate::context::canonicalize(text).unwrap(), text);
        }
    }

    #[test]
    fn an_unknown_name_is_shown_short_and_escaped() {
        for name in NAMES {
            assert_eq!(named(name), Ok(name));
        }
        assert!(NAMES.is_sorted());
        let message = named(&format!("a\n{}", "x".repeat(1_000))).unwrap_err();
        assert!(message.starts_with("there is no fact `a\\nx") && message.len() < 200, "{message}");
        assert!(message.ends_with("expected claimed_by or requester"), "{message}");
    }
}
