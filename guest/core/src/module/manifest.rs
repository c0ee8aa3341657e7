//! The manifest of a module: its digest, slot, version and resource limits.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::limits::{Limits, limits, limits_json};
use super::name::{FactName, ModuleDigest, ModuleName, Slot, Version};
use super::strict;
use super::{audience, facts};
use crate::name::Identifier;
use crate::rejection::{Code, Rejection};
use crate::time::UnixSeconds;

/// The only format of manifests.
const FORMAT: u64 = 1;

/// A validated manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The digest of the module's bytes.
    pub digest: ModuleDigest,
    /// The slot it is for.
    pub slot: Slot,
    /// Its name, chosen by its author.
    pub name: ModuleName,
    /// Its version. Activation requires one that is higher than any that was active in the slot.
    pub version: Version,
    /// Its resource limits.
    pub limits: Limits,
    /// The facts that it reads; empty for a verifier.
    pub facts: BTreeSet<FactName>,
    /// The deployments that it is for; empty for any.
    pub audiences: BTreeSet<Identifier>,
    /// When it was created, by its author's clock. Informational only.
    created: UnixSeconds,
}

/// The serialized manifest.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text<'a> {
    format: u64,
    digest: String,
    slot: String,
    name: String,
    version: u64,
    #[serde(borrow, default)]
    limits: Option<&'a RawValue>,
    #[serde(default)]
    facts: Vec<String>,
    #[serde(default)]
    audience: Vec<String>,
    created: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsText {
    #[serde(default)]
    fuel: Option<u64>,
    #[serde(default)]
    memory_bytes: Option<u64>,
}

impl Manifest {
    /// Makes a manifest without facts, for any deployment.
    pub fn new(
        digest: ModuleDigest,
        slot: Slot,
        name: ModuleName,
        version: Version,
        limits: Limits,
        created_at_unix_s: u64,
    ) -> Self {
        let created = UnixSeconds::new(created_at_unix_s).unwrap_or_default();
        let (facts, audiences) = (BTreeSet::new(), BTreeSet::new());
        Self { digest, slot, name, version, limits, facts, audiences, created }
    }

    /// Sets the facts that the module reads.
    pub fn with_facts(self, facts: BTreeSet<FactName>) -> Self {
        Self { facts, ..self }
    }

    /// Sets the deployments that the module is for.
    ///
    /// # Errors
    ///
    /// `limit-exceeded`, `manifest-invalid`: as in [`Self::parse`].
    pub fn for_audiences(self, audiences: &[String]) -> Result<Self, Rejection> {
        Ok(Self { audiences: audience::read(audiences)?, ..self })
    }

    /// Parses
    /// `{"format":1,"digest":…,"slot":…,"name":…,"version":…,"limits"?:{"fuel"?,"memory_bytes"?},
    /// "facts"?:[…],"audience"?:[…],"created":…}`.
    ///
    /// # Errors
    ///
    /// 1. `manifest-invalid`: not a JSON object of these members, each once; a format that is not
    ///    1; a malformed digest, slot, name, version or creation time 2. `manifest-invalid`,
    ///    `limit-exceeded`: as [`limits`] 3. `limit-exceeded`: more than 16 facts 4.
    ///    `manifest-invalid`: a malformed or duplicate fact name; facts in a verifier's manifest 5. `limit-exceeded`:
    ///    more than 16 audiences 6. `manifest-invalid`: a malformed or duplicate audience
    pub fn parse(text: &str) -> Result<Self, Rejection> {
        let invalid =
            |why: String| Rejection::new(Code::ManifestInvalid, format!("manifest: {why}"));
        // A later format may have other members; report the format in that case.
        if let Some(format) = format_of(text).filter(|format| *format != FORMAT) {
            return Err(invalid(format!("format is {format}, expected {FORMAT}")));
        }
        let read: Text<'_> = strict::object("manifest", text)?;
        if read.format != FORMAT {
            return Err(invalid(format!("format is {}, expected {FORMAT}", read.format)));
        }
        let digest = ModuleDigest::parse(&read.digest).ok_or_else(|| {
            invalid("digest must be a SHA-256, 64 lower-case hex characters".to_owned())
        })?;
        let slot = Slot::parse(&read.slot).ok_or_else(|| {
            invalid(format!("slot is `{}`, expected `policy` or `verifier`", shown(&read.slot)))
        })?;
        let name = ModuleName::parse(&read.name)
            .ok_or_else(|| invalid("name must be `[a-z0-9_-]{1,64}`".to_owned()))?;
        let version = Version::new(read.version)
            .ok_or_else(|| invalid("version is 0, expected at least 1".to_owned()))?;
        let created = UnixSeconds::parse(&read.created).ok_or_else(|| {
            invalid("created must be a time like `2026-01-31T12:00:00Z`".to_owned())
        })?;
        let limits = match read.limits {
            None => Limits::default(),
            Some(text) => {
                let read: LimitsText = strict::member("manifest: limits", text)?;
                limits(read.fuel, read.memory_bytes)?
            }
        };
        let facts = facts::read(&read.facts)?;
        if slot == Slot::Verifier && !facts.is_empty() {
            return Err(invalid("a verifier cannot read facts".to_owned()));
        }
        let audiences = audience::read(&read.audience)?;
        Ok(Self { digest, slot, name, version, limits, facts, audiences, created })
    }

    /// Returns its creation time: RFC 3339, UTC.
    pub fn created(&self) -> String {
        self.created.rfc3339()
    }

    /// Returns it as JSON, as parsed by [`Self::parse`].
    pub fn to_json(&self) -> Value {
        let text = json!({
            "format": FORMAT,
            "digest": self.digest.to_string(),
            "slot": self.slot.as_str(),
            "name": self.name.as_str(),
            "version": self.version.number(),
            "limits": limits_json(self.limits),
            "facts": self.facts.iter().map(FactName::as_str).collect::<Vec<_>>(),
            "created": self.created(),
        });
        // A host that does not know the member refuses the manifest, and needs to only if it has one.
        let names: Vec<&str> = self.audiences.iter().map(Identifier::as_str).collect();
        match text {
            Value::Object(mut members) if !names.is_empty() => {
                members.insert("audience".to_owned(), json!(names));
                Value::Object(members)
            }
            text => text,
        }
    }

    /// Returns whether two manifests are equal apart from their creation times and audiences.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        let audiences = other.audiences.clone();
        Self { created: other.created, audiences, ..self.clone() } == *other
    }
}

fn format_of(text: &str) -> Option<u64> {
    let value: Value = serde_json::from_str(text).ok()?;
    value.get("format")?.as_u64()
}

/// Returns the escaped start of an untrusted text.
fn shown(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_default).collect()
}
