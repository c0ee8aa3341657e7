//! Reading of files with secrets: only if no other user can read or write them.

use std::fs::{Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::folder::is_mine;

/// Why a private file was not read.
#[derive(Debug)]
pub enum PrivateFileError {
    /// It is not a regular file, is owned by another user, or is accessible to other users.
    Exposed,
    /// It is larger than `bytes_max`.
    TooLarge,
    /// An I/O error.
    Io(io::Error),
}

impl From<io::Error> for PrivateFileError {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

/// Reads a regular file of mode 0600 or less that this user owns. Returns its bytes and the
/// metadata of the opened file.
///
/// # Errors
///
/// In this order: it cannot be opened, other users can access it, it is larger than `bytes_max`.
pub fn read_private_file(
    path: &Path,
    bytes_max: u64,
) -> Result<(Zeroizing<Vec<u8>>, Metadata), PrivateFileError> {
    // Opening a pipe must not block the start.
    let without_waiting = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(without_waiting).open(path)?;
    // Check the opened file, not the path: the file cannot be exchanged in between.
    let meta = file.metadata()?;
    if !meta.is_file() || !is_mine(&meta) || meta.mode() & 0o177 != 0 {
        return Err(PrivateFileError::Exposed);
    }
    // Full capacity from the start: reallocation would leave copies of the secret in memory.
    let room = usize::try_from(meta.len().min(bytes_max)).unwrap_or_default().saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    let read = file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(read).is_ok_and(|read| read <= bytes_max) {
        Ok((bytes, meta))
    } else {
        Err(PrivateFileError::TooLarge)
    }
}
