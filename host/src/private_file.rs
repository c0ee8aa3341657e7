//! Files that hold secrets: read only if nobody else can read or write them.

use std::fs::{Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// Why a private file was not read.
#[derive(Debug)]
pub enum PrivateFileError {
    /// It is not a plain file, another's, or others have bits on it.
    Exposed,
    /// It is larger than was asked for.
    TooLarge,
    /// The disk's own reason.
    Io(io::Error),
}

impl From<io::Error> for PrivateFileError {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

/// The bytes of a plain file of mode 0600 or less that this user owns, and what the system says of the
/// very file that was read.
///
/// # Errors
///
/// In this order: it cannot be opened, others can reach it, it is larger than `bytes_max`.
pub fn read_private_file(
    path: &Path,
    bytes_max: u64,
) -> Result<(Zeroizing<Vec<u8>>, Metadata), PrivateFileError> {
    // A pipe in its place must not hold up the start.
    let without_waiting = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(without_waiting).open(path)?;
    // The open file is asked, not the path: it cannot be exchanged in between.
    let meta = file.metadata()?;
    let mine = meta.uid() == rustix::process::geteuid().as_raw();
    if !meta.is_file() || !mine || meta.mode() & 0o177 != 0 {
        return Err(PrivateFileError::Exposed);
    }
    // With room for all of it: growing would leave copies of the secret behind.
    let room = usize::try_from(meta.len().min(bytes_max)).unwrap_or_default().saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    let read = file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(read).is_ok_and(|read| read <= bytes_max) {
        Ok((bytes, meta))
    } else {
        Err(PrivateFileError::TooLarge)
    }
}
