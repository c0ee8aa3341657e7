//! What the gate itself answers to a call: a result that a model can read, with a stable code.

use serde_json::{Value, json};
use signoff_core::deceptive::in_lines;

use super::message::Id;

/// Longest sentence: comments and rules have limits of their own.
const WORDS_CHARS_MAX: usize = 4_000;

/// The member of `_meta` with the code of an answer of the gate.
const CODE: &str = "dev.signoff/code";
/// The member of `_meta` with the approval's id.
const APPROVAL: &str = "dev.signoff/approval";

/// An answer of the gate in the place of the server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The tool did not run.
    Refused {
        /// A stable code.
        code: String,
        /// A sentence, for a model and its user.
        words: String,
        /// The approval, if there is one.
        approval: Option<String>,
    },
    /// The tool has not run yet.
    Pending {
        /// The approval's id.
        approval: String,
        /// A sentence with the link.
        words: String,
        /// Whether the client expects structured content of this tool, which only an error is without.
        as_error: bool,
    },
    /// The client shows a link, and repeats the call.
    InputRequired {
        /// The approval's id, which is all of the state.
        approval: String,
        /// What the client shows.
        words: String,
        /// The link.
        url: String,
    },
}

impl Answer {
    /// Makes a refusal without an approval.
    pub(crate) fn refused(code: &str, words: impl Into<String>) -> Self {
        Self::Refused { code: code.to_owned(), words: words.into(), approval: None }
    }

    /// Returns the response.
    pub(crate) fn response(&self, id: &Id) -> String {
        let result = match self {
            Self::Refused { code, words, approval } => {
                result(&format!("{code}: {words}"), true, &meta(code, approval.as_deref()))
            }
            Self::Pending { approval, words, as_error } => {
                result(words, *as_error, &meta("pending", Some(approval)))
            }
            Self::InputRequired { approval, words, url } => json!({
                "resultType": "input_required",
                "inputRequests": { "signoff": {
                    "method": "elicitation/create",
                    "params": { "mode": "url", "message": shown(words), "url": url },
                } },
                "requestState": request_state(approval),
                "_meta": meta("pending", Some(approval)),
            }),
        };
        format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{result}}}", id.json())
    }
}

/// The state that a client returns with the repeated call.
pub(crate) fn request_state(approval: &str) -> String {
    format!("signoff:{approval}")
}

/// Returns an error response.
pub(crate) fn error(id: Option<&Id>, code: i32, message: &str) -> String {
    let id = id.map_or_else(|| "null".to_owned(), Id::json);
    let error = json!({ "code": code, "message": shown(message) });
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}")
}

/// Returns a tool's result. `resultType` is required since 2026-07-28 and ignored before.
fn result(words: &str, is_error: bool, meta: &Value) -> Value {
    json!({
        "resultType": "complete",
        "content": [{ "type": "text", "text": shown(words) }],
        "isError": is_error,
        "_meta": meta,
    })
}

fn meta(code: &str, approval: Option<&str>) -> Value {
    let mut meta = json!({ CODE: code });
    if let (Some(approval), Value::Object(members)) = (approval, &mut meta) {
        members.insert(APPROVAL.to_owned(), approval.into());
    }
    meta
}

/// Returns words of others with what is invisible in them escaped.
fn shown(words: &str) -> String {
    in_lines(&words.chars().take(WORDS_CHARS_MAX).collect::<String>())
}
