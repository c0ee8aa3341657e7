//! Slots, names, versions and digests of modules.

use std::fmt;
use std::str::FromStr;

use crate::name::{self, is_name};
use sha2::{Digest, Sha256};

/// Maximum length of a fact's name.
const FACT_BYTES_MAX: usize = 64;

/// The role in which a module is active. Each slot has its own role of users and its own signing
/// keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// Decides whether an approval is valid: the root of trust.
    Verifier,
    /// Decides whether an action needs an approval.
    Policy,
}

/// A module's name, chosen by its author: `[a-z0-9_-]{1,64}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleName(String);

/// The name of a fact: `[a-z][a-z0-9_]{0,63}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FactName(String);

/// A module's version, at least 1. A slot accepts only a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

/// A module's digest, which identifies it: the SHA-256 of its bytes, 64 lower-case hex characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleDigest([u8; 32]);

impl Slot {
    /// Every slot.
    pub const ALL: [Self; 2] = [Self::Verifier, Self::Policy];

    /// Returns the slot's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verifier => "verifier",
            Self::Policy => "policy",
        }
    }

    /// Parses a slot.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|slot| slot.as_str() == text)
    }
}

impl ModuleName {
    /// Parses a name.
    pub fn parse(text: &str) -> Option<Self> {
        is_name(text).then(|| Self(text.to_owned()))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FactName {
    /// Parses a name.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_');
        let begins = text.bytes().next().is_some_and(|first| first.is_ascii_lowercase());
        (begins && text.len() <= FACT_BYTES_MAX && text.bytes().all(fits))
            .then(|| Self(text.to_owned()))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Version {
    /// Makes a version; `None` for 0.
    pub fn new(number: u64) -> Option<Self> {
        (number > 0).then_some(Self(number))
    }

    /// Returns the number.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl ModuleDigest {
    /// Computes the digest of a module's bytes.
    pub fn of(wasm: &[u8]) -> Self {
        Self(Sha256::digest(wasm).into())
    }

    /// Parses 64 lower-case hex characters.
    pub fn parse(text: &str) -> Option<Self> {
        name::Digest::new("digest", text).ok()?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for Slot {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text).ok_or("expected `policy` or `verifier`")
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for FactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ModuleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ModuleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_versions_and_digests_have_one_form() {
        for name in ["a", "payments", "pay-2_x", &"a".repeat(64)] {
            assert!(ModuleName::parse(name).is_some(), "{name}");
        }
        for name in ["", "A", "a b", "a.b", "é", &"a".repeat(65)] {
            assert!(ModuleName::parse(name).is_none(), "{name}");
        }
        for name in ["a", "requester", "a1_", &"a".repeat(64)] {
            assert!(FactName::parse(name).is_some(), "{name}");
        }
        for name in ["", "1a", "_a", "A", "a-b", "a.b", "é", &"a".repeat(65)] {
            assert!(FactName::parse(name).is_none(), "{name}");
        }
        assert!(Version::new(0).is_none() && Version::new(u64::MAX).is_some());
        let digest = ModuleDigest::of(b"");
        assert_eq!(ModuleDigest::parse(&digest.to_string()), Some(digest));
        for text in ["", &"0".repeat(63), &"0".repeat(65), &"A".repeat(64), &"g".repeat(64)] {
            assert!(ModuleDigest::parse(text).is_none(), "{text}");
        }
        for slot in Slot::ALL {
            assert_eq!(Slot::parse(slot.as_str()), Some(slot));
        }
        assert_eq!(Slot::parse("Policy"), None);
    }
}
