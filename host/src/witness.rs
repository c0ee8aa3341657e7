//! A witness: the last checkpoint of the audit, kept in a file outside the store and written before
//! each answer. A store that does not extend it, such as an old backup, does not start.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::audit::checkpoint::{self, Checkpoint};
use crate::audit::log_key::LogKey;

/// A checkpoint is a few hundred bytes; more is no checkpoint.
const FILE_BYTES_MAX: u64 = 16 << 10;

/// A file that keeps a checkpoint.
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
        /// What is wrong with it.
        why: String,
    },
    /// There is no checkpoint yet, or no more.
    #[error(
        "witness `{path}` is missing or empty: a disk that is not mounted? `--new-witness` makes the first one of a store"
    )]
    Missing {
        /// The file.
        path: String,
    },
    /// A new witness is asked for where one is.
    #[error("witness `{path}` already exists; start without `--new-witness`")]
    Exists {
        /// The file.
        path: String,
    },
    /// The log knows a witness, and its file has nothing.
    #[error(
        "witness `{path}` is missing or empty: a disk that is not mounted? Without it nobody can tell whether this store is an old copy; where it is lost, `signoff serve --witness FILE --new-witness --accept-rollback` goes on, and expires every unfinished approval"
    )]
    Lost {
        /// The file.
        path: String,
    },
    /// The store holds less than the witness saw, or something else.
    #[error(
        "the store does not extend its witness `{path}`: {why}; an old backup or a rolled-back disk? `signoff serve --witness FILE --accept-rollback` goes on, and expires every unfinished approval"
    )]
    RolledBack {
        /// The file.
        path: String,
        /// In which way.
        why: String,
    },
}

impl WitnessFile {
    /// A file, whether or not it is there yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Its path, as it was given.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path, so that it is the same from every folder.
    ///
    /// # Errors
    ///
    /// [`WitnessError::Unusable`] for a path that is not UTF-8: the log keeps it.
    pub fn absolute(&self) -> Result<String, WitnessError> {
        let path = std::path::absolute(&self.0).map_err(|e| self.unusable(e))?;
        let path = path.to_str().ok_or_else(|| self.unusable("its path is not UTF-8"))?;
        Ok(path.to_owned())
    }

    /// The checkpoint that is kept; none where the file is missing or empty.
    ///
    /// # Errors
    ///
    /// [`WitnessError::Unusable`]: a file that cannot be read, or that none of the log's keys signed.
    pub fn last(&self, trusted: &[LogKey]) -> Result<Option<Checkpoint>, WitnessError> {
        let note = match fs::metadata(&self.0) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(self.unusable(e)),
            Ok(meta) if !meta.is_file() => return Err(self.unusable("it is no file")),
            Ok(meta) if meta.len() == 0 => return Ok(None),
            Ok(meta) if meta.len() > FILE_BYTES_MAX => {
                return Err(self.unusable("it is too large for a checkpoint"));
            }
            Ok(_) => fs::read_to_string(&self.0).map_err(|e| self.unusable(e))?,
        };
        let opened = checkpoint::open(&note, trusted).map_err(|e| self.unusable(e))?;
        Ok(Some(opened.checkpoint))
    }

    /// Keeps a signed checkpoint: it is on disk, and whole, when this returns.
    ///
    /// # Errors
    ///
    /// What the system refuses.
    pub fn keep(&self, note: &str) -> io::Result<()> {
        // One name: the store has one writer, and what a crash leaves the next start writes over.
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

    /// That nothing is kept here.
    pub fn missing(&self) -> WitnessError {
        WitnessError::Missing { path: self.0.display().to_string() }
    }

    /// That a checkpoint is kept here already.
    pub fn exists(&self) -> WitnessError {
        WitnessError::Exists { path: self.0.display().to_string() }
    }

    /// That nothing is kept here of a log that was witnessed.
    pub fn lost(&self) -> WitnessError {
        WitnessError::Lost { path: self.0.display().to_string() }
    }

    /// That the store is behind, or tells another story.
    pub fn rolled_back(&self, why: impl std::fmt::Display) -> WitnessError {
        WitnessError::RolledBack { path: self.0.display().to_string(), why: why.to_string() }
    }

    /// That the file is of no use.
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
