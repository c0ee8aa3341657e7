//! Names in a keyring: key ids, approvers, groups.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::error::KeyError;
use crate::role::AGENT_PREFIX;

/// Longest key id, as the verifier has it.
const ID_BYTES_MAX: usize = 64;
/// Longest name of an approver or group, as the verifier has it.
const NAME_BYTES_MAX: usize = 128;

/// `[a-z0-9_-]{1,64}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyId(String);

/// The one person a key is bound to: `[!-~]{1,128}`, and no agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approver(String);

/// A group that a key's holder decides for: `[!-~]{1,128}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group(String);

impl KeyId {
    /// Reads an id.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        ((1..=ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits))
            .then(|| Self(text.to_owned()))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Approver {
    /// Reads a name. An agent's credentials can never decide, so none of its keys is bound.
    ///
    /// # Errors
    ///
    /// A sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if !is_name(text) {
            return Err("approver must be 1 to 128 printable ASCII characters without spaces");
        }
        if text.starts_with(AGENT_PREFIX) {
            return Err("approver must be a person, and names of agents begin with `agent:`");
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Group {
    /// Reads a name.
    ///
    /// # Errors
    ///
    /// A sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if is_name(text) {
            return Ok(Self(text.to_owned()));
        }
        Err("group must be 1 to 128 printable ASCII characters without spaces")
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// An id made from the material itself.
pub(crate) fn derived(prefix: &str, material: &[u8]) -> Result<KeyId, KeyError> {
    let digest = keyed_digest(material, b"signoff/key-id")?;
    let short: String = digest.chars().take(12).collect();
    Ok(KeyId(format!("{prefix}-{short}")))
}

/// By which people tell two keys apart: 32 hex characters that say nothing of the material.
pub(crate) fn fingerprint(material: &[u8]) -> Result<String, KeyError> {
    signoff_core::fingerprint::fingerprint(material).ok_or_else(unusable)
}

fn keyed_digest(material: &[u8], label: &[u8]) -> Result<String, KeyError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(material).map_err(|_| unusable())?;
    mac.update(label);
    Ok(hex::encode(mac.finalize().into_bytes()))
}

fn unusable() -> KeyError {
    KeyError::Conflict("a key's material is not usable".to_owned())
}
