//! A witness: the last checkpoint of the audit log, kept in a file outside the store and written
//! before each reply. A store that does not extend it, such as an old backup, does not start.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::log_key::LogKey;
use signoff_core::log::checkpoint::{self, Checkpoint};

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
    /// [`WitnessError::Unusable`]: a file that cannot be read, or a checkpoint that none of the
    /// log's keys signed.
    pub fn last(&self, trusted: &[LogKey]) -> Result<Option<Checkpoint>, WitnessError> {
        let note = match fs::metadata(&self.0) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(self.unusable(e)),
            Ok(meta) if !meta.is_file() => return Err(self.unusable("it is not a file")),
            Ok(meta) if meta.len() == 0 => return Ok(None),
            Ok(meta) if meta.len() > FILE_BYTES_MAX => {
                return Err(self.unusable("it is too large for a checkpoint"));
            }
            Ok(_) => fs::read_to_string(&self.0).map_err(|e| self.unusable(e))?,
        };
        let opened = checkpoint::open(&note, trusted).map_err(|e| self.unusable(e))?;
        Ok(Some(opened.checkpoint))
    }

    /// Stores a signed checkpoint atomically and durably.
    ///
    /// # Errors
    ///
    /// A system error.
    pub fn keep(&self, note: &str) -> io::Result<()> {
        // A fixed name: the store has one writer, and the next start overwrites what a crash left.
        let mut aside = self.0.clone().into_os_string();
        aside.push(".new");
        let aside = PathBuf::from(aside);
        let written = write(&aside, note).and_then(|()| fs::rename(&aside, &self.0));
        if written.is_err() {
            let _ = fs::remove_file(&aside);
        }
        written?;
        let folder = self.0.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
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

fn write(path: &Path, note: &str) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(note.as_bytes())?;
    file.sync_all()
}
