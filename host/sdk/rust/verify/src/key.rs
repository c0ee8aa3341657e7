//! Keys for verifying and for signing.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

use crate::rejection::Rejection;

mod listing;

/// A key of a keyring. Its material is wiped on drop, and never printed.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    id: String,
    algorithm: String,
    material: String,
    status: KeyStatus,
    #[serde(rename = "use")]
    usage: KeyUse,
    #[serde(default)]
    approver: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
}

/// The status of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KeyStatus {
    /// Signs and verifies.
    Active,
    /// Verifies, but does not sign.
    VerifyOnly,
    /// Refused everywhere, including its earlier signatures, under any id with the same material.
    Revoked,
}

/// The use of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum KeyUse {
    /// Approvers' ballots.
    Approve,
    /// Audit checkpoints.
    Log,
    /// Module manifests.
    Module,
}

impl Key {
    /// An approver's Ed25519 public key: active, and bound to that approver.
    pub fn ed25519(
        id: impl Into<String>,
        public_key: &[u8; 32],
        approver: impl Into<String>,
    ) -> Self {
        Self::new(id.into(), "ed25519", public_key).bound_to(approver)
    }

    /// An HMAC-SHA256 secret of 32 to 4096 bytes: active, without an approver. A verifier with this
    /// secret can also sign.
    pub fn hmac_sha256(id: impl Into<String>, secret: &[u8]) -> Self {
        Self::new(id.into(), "hmac-sha256", secret)
    }

    /// Binds the key to an approver, as profile `v2` requires.
    #[must_use]
    pub fn bound_to(mut self, approver: impl Into<String>) -> Self {
        self.approver = Some(approver.into());
        self
    }

    /// Adds a group that the key's approver decides for.
    #[must_use]
    pub fn in_group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }

    /// Sets the key's status.
    #[must_use]
    pub fn with_status(mut self, status: KeyStatus) -> Self {
        self.status = status;
        self
    }

    /// The key's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `ed25519` or `hmac-sha256`.
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The key's status.
    pub fn status(&self) -> KeyStatus {
        self.status
    }

    /// The approver that the key is bound to.
    pub fn approver(&self) -> Option<&str> {
        self.approver.as_deref()
    }

    /// The groups that the key's approver decides for.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    fn new(id: String, algorithm: &str, material: &[u8]) -> Self {
        Self {
            id,
            algorithm: algorithm.to_owned(),
            material: Base64UrlUnpadded::encode_string(material),
            status: KeyStatus::Active,
            usage: KeyUse::Approve,
            approver: None,
            groups: Vec::new(),
        }
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.material.zeroize();
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .field("status", &self.status)
            .field("usage", &self.usage)
            .field("approver", &self.approver)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}

/// The trusted keys. Keep revoked keys in it, so that their material is refused under any other id
/// too.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Keyring(Vec<Key>);

/// Makes one list of entries that stand in lines of their own, as files put together have them.
fn as_list(text: &str) -> Zeroizing<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let is_entry = |line: &&str| line.starts_with('{') && line.ends_with('}');
    let are_entries = lines.len() > 1 && lines.iter().all(is_entry);
    Zeroizing::new(if are_entries { format!("[{}]", lines.join(",")) } else { text.to_owned() })
}

impl Keyring {
    /// Makes a keyring of these keys.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Self {
        Self(keys.into_iter().collect())
    }

    /// Parses public entries: one as `signoff key generate` prints it, a list of them, `{"keys": […]}`,
    /// the list that `signoff key list --json` prints, or one entry a line. In that list an entry without a public key,
    /// which is a secret, is left out.
    ///
    /// # Errors
    ///
    /// `request-invalid` for anything else, and for entries with a private half.
    pub fn from_json(text: &str) -> Result<Self, Rejection> {
        let text = as_list(text);
        let mut value: Value = serde_json::from_str(&text).map_err(|e| form(&e))?;
        let read = if has_private_half(&value) {
            Err(Rejection::invalid(
                "the keys contain a private key: pin public keys only, as `signoff key list --json` \
                 prints them",
            ))
        } else {
            entries(&value).map_err(|e| form(&e))
        };
        wipe(&mut value);
        read.map(Self)
    }

    /// Makes the keyring stricter by what a server lists, the answer of `GET /api/v1/keys`. A key
    /// that the server lists as revoked, by its id or by its material, becomes revoked. A key that it
    /// lists otherwise keeps the groups that both name. Nothing that the server lists adds a key, a
    /// group or a status that allows more.
    ///
    /// # Errors
    ///
    /// `request-invalid` for an answer of another form.
    pub fn narrowed_by(&self, listed: &str) -> Result<Self, Rejection> {
        listing::narrowed(&self.0, listed).map(Self)
    }

    /// Keeps the keys for which `keep` returns true.
    pub fn retain(&mut self, keep: impl FnMut(&Key) -> bool) {
        self.0.retain(keep);
    }

    /// Returns whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a key.
    pub fn push(&mut self, key: Key) {
        self.0.push(key);
    }

    /// Every key, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }
}

impl FromIterator<Key> for Keyring {
    fn from_iter<I: IntoIterator<Item = Key>>(keys: I) -> Self {
        Self::new(keys)
    }
}

/// The refusal of a text of another form, without serde's message, which may quote a secret in the wrong
/// field.
fn form(e: &serde_json::Error) -> Rejection {
    let entries = "entries of id, algorithm, material, status, use, approver and groups";
    // A value that was parsed has no place.
    let place = match e.line() {
        0 => String::new(),
        line => format!(" at line {line} column {}", e.column()),
    };
    Rejection::invalid(format!("keyring: expected {entries}, found another form{place}"))
}

fn entries(value: &Value) -> Result<Vec<Key>, serde_json::Error> {
    if value.get("items").is_some() {
        return listing::keys(value);
    }
    if value.is_array() {
        return Vec::deserialize(value);
    }
    match value.get("keys") {
        Some(keys) => Vec::deserialize(keys),
        None => Key::deserialize(value).map(|key| vec![key]),
    }
}

/// Returns whether an entry has a private half: a text, which `signoff key list` does not print.
fn has_private_half(value: &Value) -> bool {
    let is_private = |entry: &Value| entry.get("private").is_some_and(Value::is_string);
    let lists = [Some(value), value.get("items"), value.get("keys")];
    is_private(value)
        || lists.into_iter().flatten().filter_map(Value::as_array).flatten().any(is_private)
}

/// Wipes every string in a value that may contain secrets.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        _ => {}
    }
}

/// The private half of an approver's key, or an HMAC secret. Signs; never printed.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct SigningKey(Key);

impl SigningKey {
    /// An approver's Ed25519 seed (RFC 8032), for profile `v2`.
    pub fn ed25519(id: impl Into<String>, seed: &[u8; 32], approver: impl Into<String>) -> Self {
        Self(Key::ed25519(id, seed, approver))
    }

    /// An HMAC-SHA256 secret: without an approver for `v1`, bound to one for `v2`.
    pub fn hmac_sha256(id: impl Into<String>, secret: &[u8], approver: Option<&str>) -> Self {
        let key = Key::hmac_sha256(id, secret);
        Self(match approver {
            Some(approver) => key.bound_to(approver),
            None => key,
        })
    }

    /// The key's id.
    pub fn id(&self) -> &str {
        self.0.id()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.0).finish()
    }
}
