//! Refusals: a stable code and a sentence.

use std::fmt;

pub use crate::codes::Code;
use crate::context::Invalid;
use crate::deceptive::is_deceptive;

/// Longest sentence of a refusal, in characters.
const MESSAGE_CHARS_MAX: usize = 512;

/// A refusal. The verifier answers this or what was asked for, never a bool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Which rule refused.
    pub code: Code,
    /// One sentence for a person: lower case, no full stop, no secrets.
    pub message: String,
}

impl Rejection {
    /// A refusal with its sentence. Characters that could deceive a reader are escaped, and a long
    /// sentence is cut: it may quote a caller, or a record that somebody wrote to.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        let plain = message.len() <= MESSAGE_CHARS_MAX && !message.contains(is_deceptive);
        let message = if plain { message } else { escaped(&message) };
        Self { code, message }
    }

    /// The caller's mistake in the form of an argument.
    pub fn request(message: impl Into<String>) -> Self {
        Self::new(Code::RequestInvalid, message)
    }

    /// The caller passed a limit.
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
