//! The sources of keys, and when they are reloaded.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::command::keys_of;
use super::entry::Entry;
use super::error::KeyError;
use super::file::{self, KeyringFile, Stamp, unreadable};
use super::secret::entries_of_environment;
use super::set::Keys;

/// The sources of keys: the environment, a keyring file, a command's output.
///
/// The file is checked on every call, so that a revocation takes effect with the next call. The
/// environment and the command are read by [`KeySource::load`] and [`KeySource::reload`]. A source
/// that cannot be read is an error; earlier keys are never used instead.
pub struct KeySource(Kind);

enum Kind {
    Fixed(Keys),
    Sources(Box<Sources>),
}

struct Sources {
    file: PathBuf,
    command: Option<Vec<String>>,
    /// Serializes runs of the command.
    loading: Mutex<()>,
    state: Mutex<State>,
}

struct State {
    /// The entries of the environment and the command.
    others: Result<Vec<Entry>, KeyError>,
    /// Whether the file has existed: then its removal is an error.
    file_seen: bool,
    kept: Option<Kept>,
}

/// Keys that are valid while the file is unchanged.
struct Kept {
    /// `None` if there was no file, or if it changed too recently for its stamp to be reliable.
    stamp: Option<Stamp>,
    /// SHA-256 of the file.
    sha256: Option<[u8; 32]>,
    keys: Keys,
}

impl KeySource {
    /// Combines the environment, a keyring file, and an optional command. Reads nothing yet.
    pub fn new(file: PathBuf, command: Option<Vec<String>>) -> Self {
        let state = State { others: Err(KeyError::None), file_seen: false, kept: None };
        Self(Kind::Sources(Box::new(Sources {
            file,
            command,
            loading: Mutex::default(),
            state: Mutex::new(state),
        })))
    }

    /// A source of fixed keys, for tests and `signoff demo`.
    pub fn fixed(keys: Keys) -> Self {
        Self(Kind::Fixed(keys))
    }

    /// Reads every source. Blocks for up to 20 s if there is a command.
    ///
    /// # Errors
    ///
    /// 1. a weak secret in the environment 2. a command that fails or does not print a keyring 3. a
    ///    keyring file that was removed, that other users can read, or that cannot be read 4.
    ///    conflicting keys 5. no key at all
    pub fn load(&self) -> Result<Keys, KeyError> {
        match &self.0 {
            Kind::Fixed(keys) => Ok(keys.clone()),
            Kind::Sources(sources) => {
                let _one = sources.loading.lock().unwrap_or_else(PoisonError::into_inner);
                let others = sources.others();
                let mut state = sources.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.kept = None;
                state.others = others;
                sources.current(&mut state, Stamp::at(&sources.file)?)
            }
        }
    }

    /// Reads every source again, as [`KeySource::load`]. If that fails there are no keys until a
    /// later reload succeeds: the caller may have revoked one.
    ///
    /// # Errors
    ///
    /// As [`KeySource::load`].
    pub fn reload(&self) -> Result<Keys, KeyError> {
        self.load()
    }

    /// Returns the current keys. Costs a `stat` if the file is unchanged. A file that changed
    /// within the last seconds is read again, and parsed only if its bytes differ.
    ///
    /// # Errors
    ///
    /// As [`KeySource::load`]; [`KeyError::None`] if that was never called.
    pub fn current(&self) -> Result<Keys, KeyError> {
        match &self.0 {
            Kind::Fixed(keys) => Ok(keys.clone()),
            Kind::Sources(sources) => {
                let stamp = Stamp::at(&sources.file)?;
                let mut state = sources.state.lock().unwrap_or_else(PoisonError::into_inner);
                sources.current(&mut state, stamp)
            }
        }
    }
}

impl Sources {
    /// The entries of the environment and the command.
    fn others(&self) -> Result<Vec<Entry>, KeyError> {
        let mut entries = entries_of_environment()?;
        if let Some(argv) = &self.command {
            entries = joined(entries, keys_of(argv)?);
        }
        Ok(entries)
    }

    fn current(&self, state: &mut State, stamp: Option<Stamp>) -> Result<Keys, KeyError> {
        if let Some(kept) = state.kept.as_ref().filter(|kept| kept.holds(stamp, state.file_seen)) {
            return Ok(kept.keys.clone());
        }
        let kept = state.kept.take();
        let others = state.others.clone()?;
        let file = file::read(&self.file)?;
        if file.is_none() && state.file_seen {
            return Err(unreadable(&self.file, "the file was removed".to_owned()));
        }
        let sha256 = file.as_ref().map(KeyringFile::sha256);
        let keys = match kept.filter(|kept| sha256.is_some() && kept.sha256 == sha256) {
            Some(kept) => kept.keys,
            None => {
                let of_file = file.as_ref().map_or(Ok(Vec::new()), KeyringFile::entries)?;
                state.file_seen |= file.is_some();
                let entries = joined(others, of_file);
                if entries.is_empty() {
                    return Err(KeyError::None);
                }
                Keys::of_entries(entries)?
            }
        };
        let stamp = file.and_then(|file| file.stamp);
        state.kept = Some(Kept { stamp, sha256, keys: keys.clone() });
        Ok(keys)
    }
}

impl Kept {
    /// Returns whether the file is unchanged or still missing.
    fn holds(&self, stamp: Option<Stamp>, file_seen: bool) -> bool {
        match stamp {
            Some(stamp) => self.stamp == Some(stamp),
            None => !file_seen,
        }
    }
}

/// Merges entries; an entry of `second` replaces one of `first` with the same id and material. The
/// environment's secret may also be in a keyring, whose status takes precedence: it may be revoked.
fn joined(first: Vec<Entry>, mut second: Vec<Entry>) -> Vec<Entry> {
    let same =
        |a: &Entry, b: &Entry| a.id == b.id && a.material.verifying() == b.material.verifying();
    let mut entries: Vec<Entry> = first
        .into_iter()
        .map(|entry| match second.iter().position(|other| same(&entry, other)) {
            Some(index) => second.remove(index),
            None => entry,
        })
        .collect();
    entries.append(&mut second);
    entries
}
