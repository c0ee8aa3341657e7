//! Keys as `signoff key list --json` and `GET /api/v1/keys` list them.

use serde::Deserialize;
use serde::de::Error;

use super::{Key, KeyStatus, KeyUse};
use crate::rejection::Rejection;

/// A listed key. Members that a later version adds are ignored.
#[derive(Deserialize)]
struct Listed {
    id: String,
    algorithm: String,
    status: KeyStatus,
    #[serde(rename = "use")]
    usage: KeyUse,
    #[serde(default)]
    approver: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    /// None for a secret.
    #[serde(default)]
    public_key: Option<String>,
}

#[derive(Deserialize)]
struct Listing {
    items: Vec<Listed>,
}

/// Returns the listed public keys.
pub(super) fn keys(value: &serde_json::Value) -> Result<Vec<Key>, serde_json::Error> {
    let Listing { items } = Listing::deserialize(value)?;
    let key = |listed: Listed| {
        let material = listed.public_key?;
        Some(Key {
            id: listed.id,
            algorithm: listed.algorithm,
            material,
            status: listed.status,
            usage: listed.usage,
            approver: listed.approver,
            groups: listed.groups,
        })
    };
    let keys: Vec<Key> = items.into_iter().filter_map(key).collect();
    if keys.is_empty() {
        return Err(serde_json::Error::custom("no public key"));
    }
    Ok(keys)
}

/// Returns pinned keys, made stricter by what a server lists.
pub(super) fn narrowed(pinned: &[Key], listed: &str) -> Result<Vec<Key>, Rejection> {
    let Listing { items } = serde_json::from_str(listed).map_err(|e| {
        Rejection::invalid(format!(
            "keys: expected the server's list, found another form at line {} column {}",
            e.line(),
            e.column()
        ))
    })?;
    let stricter = |pinned: &Key| {
        let mut key = pinned.clone();
        for listed in &items {
            let same = listed.public_key.as_ref() == Some(&pinned.material);
            if !same && listed.id != pinned.id {
                continue;
            }
            if listed.status == KeyStatus::Revoked {
                key.status = KeyStatus::Revoked;
            }
            key.groups.retain(|group| listed.groups.contains(group));
        }
        key
    };
    Ok(pinned.iter().map(stricter).collect())
}
