//! The keyring file: JSON of `format: 1`, mode 0600. It is replaced atomically, never modified in
//! place.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::entry::{Entry, EntryText, Material, Usage};
use super::error::KeyError;
use super::keyring::{Keyring, NewKey};
use super::lock::locked;
use super::set::check_together;
use crate::folder::Folder;
use crate::private_file::{PrivateFileError, read_private_file};
use crate::verifier::Key;

/// Maximum size of a keyring in bytes.
pub(crate) const KEYRING_BYTES_MAX: u64 = 2 << 20;
const KEYRING_FORMAT: u32 = 1;
/// A file changed twice within one tick of the file system's clock may have the same stamp both
/// times. A file that changed less than this many seconds before it was read is therefore read
/// again.
const SETTLED_SECONDS: i64 = 3;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct KeyringText {
    format: u32,
    keys: Vec<EntryText>,
}

/// File metadata that changes when the file changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    file: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A keyring file that was read but not yet parsed.
pub(crate) struct KeyringFile {
    path: PathBuf,
    text: Zeroizing<Vec<u8>>,
    /// `None` if the file changed so recently that a later change could have the same stamp.
    pub(crate) stamp: Option<Stamp>,
}

impl KeyringFile {
    /// Parses the file.
    ///
    /// # Errors
    ///
    /// [`KeyError::Weak`], [`KeyError::Unreadable`]: as [`parse`].
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, KeyError> {
        parse(&self.text).map_err(|e| match e {
            KeyError::Weak { .. } => e,
            e => unreadable(&self.path, e.to_string()),
        })
    }

    /// Returns the SHA-256 of the file: files with the same digest have the same keys.
    pub(crate) fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.text).into()
    }
}

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        Self {
            file: (meta.dev(), meta.ino()),
            bytes: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }

    /// Returns the stamp of a path; `None` if there is no file.
    pub(crate) fn at(path: &Path) -> Result<Option<Self>, KeyError> {
        match fs::metadata(path) {
            Ok(meta) => Ok(Some(Self::of(&meta))),
            Err(e) if is_absent(&e) => Ok(None),
            Err(e) => Err(unreadable(path, e.to_string())),
        }
    }

    fn is_settled(self) -> bool {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = since_epoch.map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX));
        self.modified.0.max(self.changed.0).saturating_add(SETTLED_SECONDS) < now
    }
}

/// Returns the default path of a store's keyring: next to the store.
pub fn keyring_beside(store: &Path) -> PathBuf {
    store.with_extension("keys.json")
}

/// The ids of a new keyring's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeKeyring {
    /// The id of the secret for `v1` signatures.
    pub secret: String,
    /// The id of the key that signs the audit log's checkpoints.
    pub log: String,
}

/// Creates a keyring with one new secret and one new `log` key, mode 0600. Never overwrites a file.
///
/// # Errors
///
/// A file that already exists, or cannot be written.
pub fn make_keyring(path: &Path) -> Result<MadeKeyring, KeyError> {
    let mut keyring = Keyring::default();
    let secret = keyring.generate(NewKey::default())?.id;
    let log = keyring.generate(NewKey { usage: Some(Usage::Log), ..NewKey::default() })?.id;
    locked(path, |path| write_new(path, keyring.entries()))?;
    Ok(MadeKeyring { secret, log })
}

/// Reads the HMAC keys for approvals of a keyring file.
///
/// # Errors
///
/// A file that is missing, that other users can read, that cannot be read, or that contains a weak
/// secret.
pub fn read_keyring(path: &Path) -> Result<Vec<Key>, KeyError> {
    let Some(file) = read(path)? else { return Err(missing(path)) };
    let hmac = |entry: &&Entry| {
        entry.usage == Usage::Approve && matches!(entry.material, Material::Hmac(_))
    };
    Ok(file.entries()?.iter().filter(hmac).map(Entry::to_verify).collect())
}

/// Reads a keyring file; `None` if there is no file.
///
/// # Errors
///
/// In this order: a file that cannot be opened; one that other users can read; one over the size
/// limit.
pub(crate) fn read(path: &Path) -> Result<Option<KeyringFile>, KeyError> {
    let (text, meta) = match read_private_file(path, KEYRING_BYTES_MAX) {
        Ok(read) => read,
        Err(PrivateFileError::Io(e)) if is_absent(&e) => return Ok(None),
        Err(PrivateFileError::Io(e)) => return Err(unreadable(path, e.to_string())),
        Err(PrivateFileError::Exposed) => {
            return Err(KeyError::Exposed { path: path.display().to_string() });
        }
        Err(PrivateFileError::TooLarge) => {
            return Err(unreadable(path, format!("it is longer than {KEYRING_BYTES_MAX} bytes")));
        }
    };
    let stamp = Stamp::of(&meta);
    let stamp = stamp.is_settled().then_some(stamp);
    Ok(Some(KeyringFile { path: path.to_owned(), text, stamp }))
}

/// Returns the error for a keyring file that must exist.
pub(crate) fn missing(path: &Path) -> KeyError {
    unreadable(path, "there is no such file".to_owned())
}

/// Parses a keyring.
///
/// # Errors
///
/// In this order: input over the size limit; input that is not a keyring, has another format, or
/// has a malformed entry; conflicting keys.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Entry>, KeyError> {
    if u64::try_from(bytes.len()).is_ok_and(|bytes| bytes > KEYRING_BYTES_MAX) {
        return Err(KeyError::Entry(format!("it is longer than {KEYRING_BYTES_MAX} bytes")));
    }
    // The parser's message could quote the text, which contains secrets: report only the position.
    let keyring: KeyringText = serde_json::from_slice(bytes).map_err(|e| {
        KeyError::Entry(format!("not a keyring (line {}, column {})", e.line(), e.column()))
    })?;
    if keyring.format != KEYRING_FORMAT {
        return Err(KeyError::Entry(format!(
            "format {}, expected {KEYRING_FORMAT}",
            keyring.format
        )));
    }
    let entries: Vec<Entry> = keyring.keys.iter().map(EntryText::read).collect::<Result<_, _>>()?;
    check_together(&entries).map_err(KeyError::Conflict)?;
    Ok(entries)
}

/// Parses a keyring without validating its entries; `None` if it is not a keyring of this format.
pub(crate) fn parse_texts(bytes: &[u8]) -> Option<Vec<EntryText>> {
    let keyring: KeyringText = serde_json::from_slice(bytes).ok()?;
    (keyring.format == KEYRING_FORMAT).then_some(keyring.keys)
}

/// Returns whether an error means that there is no file.
fn is_absent(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Replaces a keyring atomically: a reader finds the old or the new one, even after a crash.
pub(crate) fn replace(path: &Path, entries: &[Entry]) -> Result<(), KeyError> {
    written(path, entries, |folder, name, text| {
        // The caller holds the lock: what a killed command left is not in use.
        folder.remove_drafts(name, Duration::ZERO)?;
        folder.replace(name, text)
    })
}

/// Creates a keyring if none exists.
fn write_new(path: &Path, entries: &[Entry]) -> Result<(), KeyError> {
    let there = || KeyError::Exists(path.display().to_string());
    if Stamp::at(path)?.is_some() {
        return Err(there());
    }
    written(path, entries, |folder, name, text| folder.create(name, text))
        .map_err(|e| if matches!(Stamp::at(path), Ok(Some(_))) { there() } else { e })
}

fn written(
    path: &Path,
    entries: &[Entry],
    write: impl FnOnce(&Folder, &OsStr, &[u8]) -> io::Result<()>,
) -> Result<(), KeyError> {
    let keys = entries.iter().map(Entry::to_text).collect();
    let keyring = KeyringText { format: KEYRING_FORMAT, keys };
    let text = serde_json::to_string_pretty(&keyring)
        .map(Zeroizing::new)
        .map_err(|e| unreadable(path, e.to_string()))?;
    let line = Zeroizing::new(format!("{}\n", *text));
    let written =
        Folder::of(path).and_then(|(folder, name)| write(&folder, &name, line.as_bytes()));
    written.map_err(|e| unreadable(path, e.to_string()))
}

pub(crate) fn unreadable(path: &Path, why: String) -> KeyError {
    KeyError::Unreadable { path: path.display().to_string(), why }
}
