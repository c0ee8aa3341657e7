//! Names: identifiers, ids and free texts, validated once at the edge.

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::limits::{IDENTIFIER_BYTES_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX};
use crate::person::agent_of;
use crate::rejection::Rejection;

/// An agent, action, approver or subject: `[!-~]{1,128}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identifier(String);

impl Identifier {
    /// Validates a name; `field` names it in messages.
    ///
    /// Rejections: `request-invalid` if it is empty or has other characters, `limit-exceeded` if it
    /// is too long.
    pub fn new(field: &str, text: impl Into<String>) -> Result<Self, Rejection> {
        let text = text.into();
        check_length(field, &text, IDENTIFIER_BYTES_MAX)?;
        if text.is_empty() {
            return Err(Rejection::request(format!("{field} is empty")));
        }
        match text.char_indices().find(|(_, c)| !c.is_ascii_graphic()) {
            None => Ok(Self(text)),
            Some((at, found)) => Err(Rejection::request(format!(
                "{field} must be printable ASCII without spaces; found `{}` at byte {at}",
                found.escape_unicode()
            ))),
        }
    }

    /// Returns whether a text is an identifier, for callers with their own message.
    pub fn fits(text: &str) -> bool {
        (1..=IDENTIFIER_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_graphic())
    }

    /// Validates a subject: a name, or `agent:` (ignoring ASCII case) and an agent's name. The
    /// prefix does not count towards the length, so that every agent has a valid subject.
    ///
    /// Rejections: as [`Self::new`].
    pub fn subject(field: &str, text: &str) -> Result<Self, Rejection> {
        match agent_of(text) {
            Some(agent) => Self::new(field, agent).map(|_| Self(text.to_owned())),
            None => Self::new(field, text),
        }
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `appr_` and 26 lower-case characters of a ULID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalId(String);

impl ApprovalId {
    /// Validates an approval's id.
    ///
    /// Rejections: `request-invalid`.
    pub fn new(text: impl Into<String>) -> Result<Self, Rejection> {
        prefixed_ulid("id", "appr_", text.into()).map(Self)
    }

    /// Returns the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `exec_` and 26 lower-case characters of a ULID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionId(String);

impl ExecutionId {
    /// Validates an execution's id.
    ///
    /// Rejections: `request-invalid`.
    pub fn new(text: impl Into<String>) -> Result<Self, Rejection> {
        prefixed_ulid("execution_id", "exec_", text.into()).map(Self)
    }

    /// Returns the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A key's id: `[a-z0-9_-]{1,64}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    /// Validates a key's id.
    ///
    /// Rejections: `request-invalid`.
    pub fn new(text: impl Into<String>) -> Result<Self, Rejection> {
        let text = text.into();
        if is_name(&text) {
            return Ok(Self(text));
        }
        Err(Rejection::request(format!(
            "key id must be 1 to {NAME_BYTES_MAX} of a-z, 0-9, `_` and `-`"
        )))
    }

    /// Returns the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A SHA-256 digest as 64 lower-case hex characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest(String);

impl Digest {
    /// Validates a digest; `field` names it in messages.
    ///
    /// Rejections: `request-invalid`.
    pub fn new(field: &str, text: impl Into<String>) -> Result<Self, Rejection> {
        let text = text.into();
        let fits = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 64 || !text.bytes().all(fits) {
            return Err(Rejection::request(format!(
                "{field} must be 64 lower-case hex characters, found {} bytes",
                text.len()
            )));
        }
        Ok(Self(text))
    }

    /// Returns the digest.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A reason, comment or detail: at most 4 KiB, without control characters except line feed and tab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Validates a free text; `field` names it in messages.
    ///
    /// Rejections: `limit-exceeded` if it is too long, `request-invalid` for a control character,
    /// which could change what a terminal shows.
    pub fn new(field: &str, text: impl Into<String>) -> Result<Self, Rejection> {
        let text = text.into();
        check_length(field, &text, TEXT_BYTES_MAX)?;
        let bad = |c: &char| c.is_control() && !matches!(c, '\n' | '\t');
        match text.chars().find(bad) {
            None => Ok(Self(text)),
            Some(found) => Err(Rejection::request(format!(
                "{field} contains the control character `{}`",
                found.escape_unicode()
            ))),
        }
    }

    /// Validates an optional text.
    ///
    /// Rejections: as [`Self::new`].
    pub fn optional(field: &str, text: Option<Cow<'_, str>>) -> Result<Option<Self>, Rejection> {
        text.map(|text| Self::new(field, text)).transpose()
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns whether a text can name a key, a module or a rules file: `[a-z0-9_-]{1,64}`.
pub fn is_name(text: &str) -> bool {
    let fits = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits)
}

/// Refuses a text longer than its limit.
pub fn check_length(field: &str, text: &str, bytes_max: usize) -> Result<(), Rejection> {
    if text.len() > bytes_max {
        return Err(Rejection::limit(format!(
            "{field} is {} bytes, the limit is {bytes_max}",
            text.len()
        )));
    }
    Ok(())
}

fn prefixed_ulid(field: &str, prefix: &str, text: String) -> Result<String, Rejection> {
    let ulid = text.strip_prefix(prefix).unwrap_or_default().as_bytes();
    // Crockford's base 32 omits i, l, o and u. 26 characters hold 130 bits, so the first is at most
    // 7.
    let fits = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'z') && !b"ilou".contains(b);
    let first_fits = ulid.first().is_some_and(|b| (b'0'..=b'7').contains(b));
    if ulid.len() == 26 && first_fits && ulid.iter().all(fits) {
        return Ok(text);
    }
    Err(Rejection::request(format!(
        "{field} must be `{prefix}` and the 26 lower-case characters of a ULID"
    )))
}

macro_rules! text_like {
    ($($name:ident),*) => { $(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    )* };
}
text_like!(Identifier, ApprovalId, ExecutionId, KeyId, Digest, Text);

#[cfg(test)]
mod tests {
    use super::{Identifier, KeyId, is_name};

    #[test]
    fn every_agent_has_a_valid_subject() {
        for prefix in ["agent:", "Agent:"] {
            let longest = format!("{prefix}{}", "a".repeat(128));
            assert!(Identifier::subject("requested_by", &longest).is_ok());
            for refused in [format!("{longest}a"), prefix.to_owned(), "b".repeat(129)] {
                assert!(Identifier::subject("requested_by", &refused).is_err(), "{refused}");
            }
        }
    }

    #[test]
    fn fits_agrees_with_new() {
        for text in ["a", "~!", "", " ", "a b", "\u{7f}", "é", "\0"]
            .map(str::to_owned)
            .into_iter()
            .chain([128, 129].map(|length| "a".repeat(length)))
        {
            assert_eq!(
                Identifier::fits(&text),
                Identifier::new("x", text.as_str()).is_ok(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_name_is_short_lower_case_and_without_dots() {
        for name in ["a", "0", "payments", "pay-2_x", &"a".repeat(64)] {
            assert!(is_name(name) && KeyId::new(name).is_ok(), "{name}");
        }
        for name in ["", "A", "a b", "a.b", "é", &"a".repeat(65)] {
            assert!(!is_name(name) && KeyId::new(name).is_err(), "{name}");
        }
    }
}
