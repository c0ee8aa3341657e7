//! Rejections: a stable code and a message.

use std::fmt;

pub use crate::codes::Code;
use crate::context::Invalid;
use crate::deceptive::is_deceptive;

/// Maximum length of a rejection's message, in characters.
const MESSAGE_CHARS_MAX: usize = 512;

/// A refusal. The verifier returns either the result or a rejection, never a bool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The rule that refused.
    pub code: Code,
    /// One sentence for a person: lower case, no full stop, no secrets.
    pub message: String,
}

impl Rejection {
    /// Creates a rejection. Characters that could deceive a reader are escaped and a long message
    /// is cut, because it may quote a caller or a modified record.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        let plain = message.len() <= MESSAGE_CHARS_MAX && !message.contains(is_deceptive);
        let message = if plain { message } else { escaped(&message) };
        Self { code, message }
    }

    /// Creates a `request-invalid` rejection: the caller passed a malformed argument.
    pub fn request(message: impl Into<String>) -> Self {
        Self::new(Code::RequestInvalid, message)
    }

    /// Creates a `limit-exceeded` rejection: the caller exceeded a limit.
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(Code::LimitExceeded, message)
    }
}

impl From<Invalid> for Rejection {
    fn from(invalid: Invalid) -> Self {
        Self::new(Code::ContextInvalid, invalid.to_string())
    }
}

fn escaped(message: &str) -> String {
    let mut escaped = String::new();
    for (index, c) in message.chars().enumerate() {
        if index == MESSAGE_CHARS_MAX {
            escaped.push('…');
            break;
        }
        if is_deceptive(c) {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for Rejection {}
