//! Keys: where secrets come from, and what is refused as one. Material never reaches a log, an
//! error or `Debug`.

use std::collections::HashSet;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::bindings::Key;

/// The variables that can hold the secret, the first one set counts. The second is the runbook's.
pub const SECRET_VARIABLES: [&str; 2] = ["SIGNOFF_HMAC_SECRET", "HMAC_SECRET"];
/// Shortest secret: the output length of SHA-256 (RFC 2104, section 3). The verifier asks the same.
const SECRET_BYTES_MIN: usize = 32;
/// Fewer distinct bytes than this is a repetition, not a secret.
const DISTINCT_BYTES_MIN: usize = 8;
/// Parts of secrets that people copy from documentation.
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
const KEYRING_BYTES_MAX: u64 = 1 << 20;
const KEYRING_FORMAT: u32 = 1;

/// The keys that the verifier is given.
#[derive(Clone, Default)]
pub struct Keys(Arc<Vec<Key>>);

/// Why keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No source has one.
    #[error(
        "no secret: set SIGNOFF_HMAC_SECRET (or HMAC_SECRET), or run `signoff init` to make a keyring"
    )]
    None,
    /// A secret that anybody could guess.
    #[error("{source_name} is refused: {why}; `openssl rand -base64 33` makes a good one")]
    Weak {
        /// The variable or key.
        source_name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A keyring that others can read or write.
    #[error(
        "keyring `{path}` must be a file of mode 0600 that you own; `chmod 600` mends the mode"
    )]
    Exposed {
        /// The file.
        path: String,
    },
    /// A keyring that cannot be read.
    #[error("keyring `{path}`: {why}")]
    Unreadable {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A keyring is there already.
    #[error("keyring `{0}` exists already and is left as it is")]
    Exists(String),
}

/// One entry of a keyring file.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    algorithm: String,
    material: String,
    status: String,
    #[serde(rename = "use")]
    usage: String,
    #[serde(default)]
    approver: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Keyring {
    format: u32,
    keys: Vec<Entry>,
}

impl Keys {
    /// The keys of the environment and of a keyring file, where there is one.
    ///
    /// # Errors
    ///
    /// 1. a weak secret 2. a keyring that others can read, or that cannot be read 3. no key at all
    pub fn load(keyring: &Path) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        if let Some((name, secret)) = secret_of_environment()? {
            keys.push(key_of_secret(name, &secret)?);
        }
        if keyring.exists() {
            for key in read_keyring(keyring)? {
                if keys.iter().all(|other: &Key| other.id != key.id) {
                    keys.push(key);
                }
            }
        }
        if keys.is_empty() {
            return Err(KeyError::None);
        }
        Ok(Self(Arc::new(keys)))
    }

    /// The key of one secret.
    ///
    /// # Errors
    ///
    /// A weak secret.
    pub fn of_secret(secret: &str) -> Result<Self, KeyError> {
        Ok(Self(Arc::new(vec![key_of_secret("the secret", secret)?])))
    }

    /// The entries, for the verifier.
    pub fn entries(&self) -> &[Key] {
        &self.0
    }

    /// The key to sign a `v1` statement with: the first active one for approvals that is bound to
    /// nobody. The verifier checks it again.
    pub fn to_sign_v1(&self) -> Option<&Key> {
        self.0
            .iter()
            .find(|key| key.status == "active" && key.use_ == "approve" && key.approver.is_none())
    }

    /// The ids, for people.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.id.as_str())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(keys) = Arc::get_mut(&mut self.0) {
            for key in keys {
                key.material.zeroize();
            }
        }
    }
}

/// The secret of the environment, as it is: untrimmed.
///
/// # Errors
///
/// A variable that is not UTF-8.
pub fn secret_of_environment() -> Result<Option<(&'static str, Zeroizing<String>)>, KeyError> {
    for name in SECRET_VARIABLES {
        match std::env::var(name) {
            Ok(secret) => return Ok(Some((name, Zeroizing::new(secret)))),
            Err(std::env::VarError::NotPresent) => {}
            Err(std::env::VarError::NotUnicode(_)) => {
                return Err(weak(name, "it is not UTF-8"));
            }
        }
    }
    Ok(None)
}

/// Makes a keyring with one new secret, mode 0600; answers its key id. Never overwrites.
///
/// # Errors
///
/// A file that is there already, or cannot be written.
pub fn make_keyring(path: &Path) -> Result<String, KeyError> {
    let random: [u8; 32] = rand::random();
    let secret = Zeroizing::new(Base64UrlUnpadded::encode_string(&random));
    let key = key_of_secret("the new secret", &secret)?;
    let id = key.id.clone();
    let keyring = Keyring {
        format: KEYRING_FORMAT,
        keys: vec![Entry {
            id: key.id,
            algorithm: key.algorithm,
            material: key.material,
            status: key.status,
            usage: key.use_,
            approver: None,
            groups: Vec::new(),
        }],
    };
    let unreadable = |why: String| KeyError::Unreadable { path: path.display().to_string(), why };
    let text = serde_json::to_string_pretty(&keyring).map_err(|e| unreadable(e.to_string()))?;
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(
        |mut file| {
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        },
    );
    match written {
        Ok(()) => Ok(id),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            Err(KeyError::Exists(path.display().to_string()))
        }
        Err(e) => Err(unreadable(e.to_string())),
    }
}

/// Where the keyring of a store is, if nothing else is said: beside it.
pub fn keyring_beside(store: &Path) -> PathBuf {
    store.with_extension("keys.json")
}

/// The keys of a keyring file.
///
/// # Errors
///
/// A file that others can read, that cannot be read, or that holds a weak secret.
pub fn read_keyring(path: &Path) -> Result<Vec<Key>, KeyError> {
    let unreadable = |why: String| KeyError::Unreadable { path: path.display().to_string(), why };
    let file = File::open(path).map_err(|e| unreadable(e.to_string()))?;
    // The open file is asked, not the path: it cannot be exchanged in between.
    let meta = file.metadata().map_err(|e| unreadable(e.to_string()))?;
    let mine = meta.uid() == rustix::process::geteuid().as_raw();
    if !meta.is_file() || !mine || meta.mode() & 0o177 != 0 {
        return Err(KeyError::Exposed { path: path.display().to_string() });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(KEYRING_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|e| unreadable(e.to_string()))?;
    // The parser's message could quote the file, and the file holds secrets: only the place is told.
    let keyring: Keyring = serde_json::from_str(&text).map_err(|e| {
        unreadable(format!("not a keyring (line {}, column {})", e.line(), e.column()))
    })?;
    if keyring.format != KEYRING_FORMAT {
        return Err(unreadable(format!(
            "format {} where this signoff reads {KEYRING_FORMAT}",
            keyring.format
        )));
    }
    let mut ids = HashSet::new();
    keyring
        .keys
        .into_iter()
        .map(|entry| {
            if !ids.insert(entry.id.clone()) {
                return Err(unreadable(format!("two keys have the id `{}`", entry.id)));
            }
            entry.check()?;
            Ok(entry.into())
        })
        .collect()
}

impl Entry {
    fn check(&self) -> Result<(), KeyError> {
        let name = format!("key `{}`", self.id);
        let material = Base64UrlUnpadded::decode_vec(&self.material)
            .map(Zeroizing::new)
            .map_err(|_| weak(&name, "its material is not base64url without padding"))?;
        check_secret(&name, &material)
    }
}

impl From<Entry> for Key {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id,
            algorithm: entry.algorithm,
            material: entry.material,
            status: entry.status,
            use_: entry.usage,
            approver: entry.approver,
            groups: entry.groups,
        }
    }
}

/// A secret's UTF-8 bytes as a key. Its id is made from it, so one id never means two secrets.
fn key_of_secret(name: &str, secret: &str) -> Result<Key, KeyError> {
    check_secret(name, secret.as_bytes())?;
    unchecked_key(name, secret)
}

/// As [`Keys::of_secret`], of any secret: to say what is wrong with it, never to decide with.
///
/// # Errors
///
/// None that a secret can cause.
pub fn unchecked_key(name: &str, secret: &str) -> Result<Key, KeyError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map_err(|_| weak(name, "it is no usable key"))?;
    mac.update(b"signoff/key-id");
    let id: String = hex::encode(mac.finalize().into_bytes()).chars().take(12).collect();
    Ok(Key {
        id: format!("hmac-{id}"),
        algorithm: "hmac-sha256".to_owned(),
        material: Base64UrlUnpadded::encode_string(secret.as_bytes()),
        status: "active".to_owned(),
        use_: "approve".to_owned(),
        approver: None,
        groups: Vec::new(),
    })
}

/// Refuses a secret that is too short, or that somebody could guess; `name` is what the message
/// calls it.
///
/// # Errors
///
/// [`KeyError::Weak`].
pub fn check_secret(name: &str, secret: &[u8]) -> Result<(), KeyError> {
    if secret.is_empty() {
        return Err(weak(name, "it is empty"));
    }
    let lower = Zeroizing::new(secret.to_ascii_lowercase());
    let holds = |part: &&str| lower.windows(part.len()).any(|window| window == part.as_bytes());
    if WELL_KNOWN.iter().any(holds) {
        return Err(weak(name, "it holds a well-known placeholder"));
    }
    if secret.len() < SECRET_BYTES_MIN {
        return Err(weak(name, "it is shorter than 32 bytes"));
    }
    if secret.iter().collect::<HashSet<_>>().len() < DISTINCT_BYTES_MIN {
        return Err(weak(name, "it repeats a few bytes"));
    }
    Ok(())
}

fn weak(source_name: &str, why: &'static str) -> KeyError {
    KeyError::Weak { source_name: source_name.to_owned(), why }
}
