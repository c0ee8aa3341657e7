//! A witness: the last checkpoint of the audit log, kept in a file outside the store and written
//! before each reply. A store that does not extend it, such as an old backup, does not start.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::folder::{Folder, is_mine, is_mine_or_roots};
use crate::log_key::LogKey;
use signoff_core::log::checkpoint::{self, Checkpoint, CheckpointError};

/// A checkpoint is a few hundred bytes; anything larger is not a checkpoint.
const FILE_BYTES_MAX: u64 = 16 << 10;

/// A file that holds a checkpoint.
#[derive(Clone, Debug)]
pub struct WitnessFile(PathBuf);

/// Why a witness cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The file cannot be read or written.
    #[error("witness `{path}`: {why}")]
    Unusable {
        /// The file.
        path: String,
        /// The reason.
        why: String,
    },
    /// There is no checkpoint, or it is gone.
    #[error(
        "witness `{path}` is missing or empty: is its disk mounted? create the first witness of a store with `--new-witness`"
    )]
    Missing {
        /// The file.
        path: String,
    },
    /// A new witness was requested, but one already exists.
    #[error("witness `{path}` already exists; start without `--new-witness`")]
    Exists {
        /// The file.
        path: String,
    },
    /// The log had a witness, and its file is missing or empty.
    #[error(
        "witness `{path}` is missing or empty: is its disk mounted? Without it an old copy of the store cannot be detected; if it is lost, `signoff serve --witness FILE --new-witness --accept-rollback` starts anyway and expires every unfinished approval"
    )]
    Lost {
        /// The file.
        path: String,
    },
    /// The store is shorter than, or differs from, what the witness saw.
    #[error(
        "the store does not extend its witness `{path}`: {why}; is it an old backup or a rolled-back disk? `signoff serve --witness FILE --accept-rollback` starts anyway and expires every unfinished approval"
    )]
    RolledBack {
        /// The file.
        path: String,
        /// The difference.
        why: String,
    },
}

impl WitnessFile {
    /// A witness file, which need not exist yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns its path, as given.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns its absolute path.
    ///
    /// # Errors
    ///
    /// [`WitnessError::Unusable`] for a path that is not UTF-8: the log records it.
    pub fn absolute(&self) -> Result<String, WitnessError> {
        let path = std::path::absolute(&self.0).map_err(|e| self.unusable(e))?;
        let path = path.to_str().ok_or_else(|| self.unusable("its path is not UTF-8"))?;
        Ok(path.to_owned())
    }

    /// Returns the stored checkpoint; `None` if the file is missing or empty.
    ///
    /// # Errors
    ///
    /// [`WitnessError::Unusable`]: a file or directory of another user, a file that cannot be read, or
    /// a checkpoint that none of the log's keys signed.
    pub fn last(&self, trusted: &[LogKey]) -> Result<Option<Checkpoint>, WitnessError> {
        let opened = self.folder().and_then(|(folder, name)| folder.read(&name));
        let (file, meta) = match opened {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(self.unusable(e)),
            Ok(opened) => opened,
        };
        if !is_mine(&meta) {
            return Err(self.unusable("it belongs to another user"));
        }
        let mut note = String::new();
        let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut note);
        if read.map_err(|e| self.unusable(e))? as u64 > FILE_BYTES_MAX {
            return Err(self.unusable("it is too large for a checkpoint"));
        }
        if note.is_empty() {
            return Ok(None);
        }
        let opened = checkpoint::open(&note, trusted).map_err(|e| match e {
            CheckpointError::Untrusted(_) => self.unusable(format_args!(
                "{e}; if the log key was rotated, add the public entry of the new one to the keyring"
            )),
            e => self.unusable(e),
        })?;
        Ok(Some(opened.checkpoint))
    }

    /// Returns whether the file exists and is not empty, without verifying what it holds.
    ///
    /// # Errors
    ///
    /// [`WitnessError::Unusable`]: its directory does not exist, a file or directory of another user,
    /// or a file that cannot be read.
    pub fn has_content(&self) -> Result<bool, WitnessError> {
        let (folder, name) =
            self.folder().map_err(|e| self.unusable(format!("its folder: {e}")))?;
        match folder.read(&name) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(self.unusable(e)),
            Ok((_, meta)) if !is_mine(&meta) => Err(self.unusable("it belongs to another user")),
            Ok((_, meta)) => Ok(meta.len() > 0),
        }
    }

    /// Stores a signed checkpoint atomically and durably.
    ///
    /// # Errors
    ///
    /// A system error, or the directory belongs to another user.
    pub fn keep(&self, note: &str) -> io::Result<()> {
        let (folder, name) = self.folder()?;
        folder.replace(&name, note.as_bytes())
    }

    /// Removes unfinished files that a killed process left. The store has one writer, so that none is
    /// in use.
    pub(super) fn remove_drafts(&self) -> io::Result<()> {
        let (folder, name) = self.folder()?;
        folder.remove_drafts(&name, Duration::ZERO)
    }

    /// Opens its directory and checks the owner, who could put an older checkpoint into it.
    fn folder(&self) -> io::Result<(Folder, OsString)> {
        let (folder, name) = Folder::of(&self.0)?;
        if is_mine_or_roots(&folder.metadata()?) {
            return Ok((folder, name));
        }
        let why = "its directory belongs to another user, who could replace the checkpoint";
        Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
    }

    /// The error for a missing checkpoint.
    pub fn missing(&self) -> WitnessError {
        WitnessError::Missing { path: self.0.display().to_string() }
    }

    /// The error for a checkpoint that already exists.
    pub fn exists(&self) -> WitnessError {
        WitnessError::Exists { path: self.0.display().to_string() }
    }

    /// The error for a missing checkpoint of a log that had a witness.
    pub fn lost(&self) -> WitnessError {
        WitnessError::Lost { path: self.0.display().to_string() }
    }

    /// The error for a store that is shorter than, or differs from, what the witness saw.
    pub fn rolled_back(&self, why: impl std::fmt::Display) -> WitnessError {
        WitnessError::RolledBack { path: self.0.display().to_string(), why: why.to_string() }
    }

    /// The error for a file that cannot be used.
    pub fn unusable(&self, why: impl std::fmt::Display) -> WitnessError {
        WitnessError::Unusable { path: self.0.display().to_string(), why: why.to_string() }
    }
}
