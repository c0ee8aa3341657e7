//! Facts: what the host tells a policy of an attempt, and no agent can word. Made here alone.

use serde_json::Value;

/// The names of the facts that this host gives, in ascending order. A module that reads another one
/// is refused.
pub const FACTS: [&str; 2] = ["claimed_by", "requester"];

/// The facts of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    claimed_by: Option<String>,
    requester: String,
}

impl Facts {
    /// The facts of an evaluation or a request. `requester` is what `requested_by` gets.
    pub fn of_request(requester: &str) -> Self {
        Self { claimed_by: None, requester: requester.to_ascii_lowercase() }
    }

    /// The facts of a claim. `requester` is the approval's `requested_by`, `claimed_by` that of the
    /// execution.
    pub fn of_claim(requester: &str, claimed_by: &str) -> Self {
        Self { claimed_by: Some(claimed_by.to_ascii_lowercase()), ..Self::of_request(requester) }
    }

    /// The JSON object that a policy gets, in the verifier's canonical form.
    pub fn to_text(&self) -> String {
        let mut text = "{".to_owned();
        if let Some(claimed_by) = &self.claimed_by {
            text.push_str(&format!("\"claimed_by\": {}, ", Value::from(claimed_by.as_str())));
        }
        text.push_str(&format!("\"requester\": {}}}", Value::from(self.requester.as_str())));
        text
    }
}
