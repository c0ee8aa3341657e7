//! Names in a keyring: key ids, approvers, groups.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use signoff_core::name::Identifier;
pub use signoff_core::name::KeyId;
use signoff_core::person::agent_of;

use super::error::KeyError;

/// The person a key is bound to: `[!-~]{1,128}`, not an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approver(String);

/// A group that a key's owner decides for: `[!-~]{1,128}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group(String);

impl Approver {
    /// Parses a name. Refuses agents: their credentials can never decide.
    ///
    /// # Errors
    ///
    /// The expected form, as a message.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if !Identifier::fits(text) {
            return Err("approver must be 1 to 128 printable ASCII characters without spaces");
        }
        if agent_of(text).is_some() {
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
    /// Parses a name.
    ///
    /// # Errors
    ///
    /// The expected form, as a message.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if Identifier::fits(text) {
            return Ok(Self(text.to_owned()));
        }
        Err("group must be 1 to 128 printable ASCII characters without spaces")
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Derives a key id from its material.
pub(crate) fn derived(prefix: &str, material: &[u8]) -> Result<KeyId, KeyError> {
    let digest = keyed_digest(material, b"signoff/key-id")?;
    let short: String = digest.chars().take(12).collect();
    KeyId::new(format!("{prefix}-{short}")).map_err(|e| KeyError::Conflict(e.message))
}

/// Returns a fingerprint for people to compare keys: 32 hex characters that reveal nothing about
/// the material.
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
