//! HMAC secrets: reading one from the environment, and checks for weak ones.

use std::collections::HashSet;

use base64ct::{Base64UrlUnpadded, Encoding};
use signoff_core::limits::{HMAC_KEY_BYTES_MAX, HMAC_KEY_BYTES_MIN};
use zeroize::Zeroizing;

use super::entry::{Entry, Material, Status, Usage};
use super::error::{KeyError, weak};
use super::name::{KeyId, derived};
use crate::verifier::Key;

/// The variables that may hold the secret; the first one that is set wins. The second is the
/// runbook's.
pub const SECRET_VARIABLES: [&str; 2] = ["SIGNOFF_HMAC_SECRET", "HMAC_SECRET"];
/// The variables that may hold the secret before the last rotation, which verifies only; the first
/// one that is set wins.
const PREVIOUS_VARIABLES: [&str; 2] = ["SIGNOFF_HMAC_SECRET_PREVIOUS", "HMAC_SECRET_PREVIOUS"];
/// Minimum number of distinct bytes in a secret.
const DISTINCT_BYTES_MIN: usize = 8;
/// Parts of placeholder secrets that are copied from documentation.
const WELL_KNOWN: [&str; 8] = [
    "your-hmac-secret",
    "your-secret",
    "your_secret",
    "changeme",
    "change-me",
    "change_me",
    "replace-me",
    "a-string-secret-at-least-256-bits-long",
];

/// Returns the secret in the environment, untrimmed, and its variable.
///
/// # Errors
///
/// A variable that is not UTF-8.
pub fn secret_of_environment() -> Result<Option<(&'static str, Zeroizing<String>)>, KeyError> {
    first_of(SECRET_VARIABLES)
}

/// Returns the entries of the environment: the secret, and the previous one, which verifies only.
///
/// # Errors
///
/// A weak secret, or a variable that is not UTF-8.
pub(crate) fn entries_of_environment() -> Result<Vec<Entry>, KeyError> {
    let mut entries = Vec::new();
    if let Some((name, secret)) = secret_of_environment()? {
        entries.push(entry_of_secret(name, &secret)?);
    }
    if let Some((name, secret)) = first_of(PREVIOUS_VARIABLES)? {
        let previous = Entry { status: Status::VerifyOnly, ..entry_of_secret(name, &secret)? };
        // Set to the same secret, it was not rotated.
        if entries.iter().all(|entry| entry.id != previous.id) {
            entries.push(previous);
        }
    }
    Ok(entries)
}

/// Returns a variable whose secret ends with a line feed, which is part of the secret and rarely
/// meant.
pub fn variable_with_newline() -> Option<&'static str> {
    let names = SECRET_VARIABLES.into_iter().chain(PREVIOUS_VARIABLES);
    names.into_iter().find(|name| {
        std::env::var(name).is_ok_and(|secret| Zeroizing::new(secret).ends_with(['\n', '\r']))
    })
}

/// Returns all variables that hold a secret, or name its file: no child process gets them.
pub fn all_secret_variables() -> impl Iterator<Item = &'static str> {
    SECRET_VARIABLES
        .into_iter()
        .chain(PREVIOUS_VARIABLES)
        .chain(["SIGNOFF_TOKEN", "SIGNOFF_TOKEN_FILE"])
}

fn first_of(
    names: [&'static str; 2],
) -> Result<Option<(&'static str, Zeroizing<String>)>, KeyError> {
    for name in names {
        match std::env::var(name) {
            Ok(secret) if !secret.is_empty() => {
                return Ok(Some((name, Zeroizing::new(secret))));
            }
            // An empty variable counts as unset.
            Ok(_) | Err(std::env::VarError::NotPresent) => {}
            Err(std::env::VarError::NotUnicode(_)) => {
                return Err(weak(name, "it is not UTF-8"));
            }
        }
    }
    Ok(None)
}

/// Returns the entry of a secret, an active `v1` key. Its id is derived from it, so that one id
/// never names two secrets.
///
/// # Errors
///
/// A weak secret.
pub(crate) fn entry_of_secret(name: &str, secret: &str) -> Result<Entry, KeyError> {
    check_secret(name, secret.as_bytes())?;
    Ok(Entry {
        id: derived("hmac", secret.as_bytes())?,
        material: Material::Hmac(Zeroizing::new(secret.as_bytes().to_vec())),
        status: Status::Active,
        usage: Usage::Approve,
        approver: None,
        groups: Vec::new(),
    })
}

/// Returns a new random secret as text that fits in an environment variable.
pub(crate) fn new_secret() -> Zeroizing<String> {
    let random: Zeroizing<[u8; 32]> = Zeroizing::new(rand::random());
    Zeroizing::new(Base64UrlUnpadded::encode_string(&*random))
}

/// Returns the key of any secret without checks, for explaining a failed signature only, never for
/// a decision.
///
/// # Errors
///
/// None in practice.
pub fn unchecked_key(secret: &str) -> Result<Key, KeyError> {
    let id: KeyId = derived("hmac", secret.as_bytes())?;
    Ok(Key {
        id: id.to_string(),
        algorithm: "hmac-sha256".to_owned(),
        material: Base64UrlUnpadded::encode_string(secret.as_bytes()),
        status: "active".to_owned(),
        usage: "approve".to_owned(),
        approver: None,
        groups: Vec::new(),
    })
}

/// Refuses a secret that is too short, too long or easy to guess; `name` is its name in the
/// message.
///
/// # Errors
///
/// [`KeyError::Weak`].
pub fn check_secret(name: &str, secret: &[u8]) -> Result<(), KeyError> {
    if secret.is_empty() {
        return Err(weak(name, "it is empty"));
    }
    if secret.len() > HMAC_KEY_BYTES_MAX {
        return Err(weak(name, "it is longer than 4096 bytes"));
    }
    let lower = Zeroizing::new(secret.to_ascii_lowercase());
    let holds = |part: &&str| lower.windows(part.len()).any(|window| window == part.as_bytes());
    if WELL_KNOWN.iter().any(holds) {
        return Err(weak(name, "it contains a well-known placeholder"));
    }
    if secret.len() < HMAC_KEY_BYTES_MIN {
        return Err(weak(name, "it is shorter than 32 bytes"));
    }
    if secret.iter().collect::<HashSet<_>>().len() < DISTINCT_BYTES_MIN {
        return Err(weak(name, "it repeats a few bytes"));
    }
    Ok(())
}
