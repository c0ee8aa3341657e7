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
    /// The store holds less than the witness saw, or something else.
    #[error(
        "the store does not extend its witness `{path}`: {why}; an old backup or a rolled-back disk? `--accept-rollback` goes on, and expires every unfinished approval"
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

    /// The checkpoint that is kept; none where there is no file yet.
    ///
    /// # Errors
    ///
    /// [`WitnessError::Unusable`]: a file that cannot be read, or that none of the log's keys signed.
    pub fn last(&self, trusted: &[LogKey]) -> Result<Option<Checkpoint>, WitnessError> {
        let note = match fs::metadata(&self.0) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(self.unusable(e)),
            Ok(meta) if !meta.is_file() => return Err(self.unusable("it is no file")),
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
