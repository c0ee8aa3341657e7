//! The lock that serializes changes to a keyring.

use std::fs::{OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::error::KeyError;
use super::file::unreadable;

/// Maximum wait for another command that changes the same keyring.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(30);

/// Runs `work` while holding a lock file next to the keyring. The keyring itself cannot be locked:
/// it is replaced by each change.
pub(crate) fn locked<T>(
    path: &Path,
    work: impl FnOnce(&Path) -> Result<T, KeyError>,
) -> Result<T, KeyError> {
    let path = followed(path);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    let lock = path.with_file_name(name);
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags)
        .open(&lock);
    let file = opened.map_err(|e| unreadable(&lock, e.to_string()))?;
    let deadline = Instant::now() + LOCK_WAIT_MAX;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(10));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(unreadable(&path, "another command is changing it".to_owned()));
            }
            Err(TryLockError::Error(e)) => return Err(unreadable(&lock, e.to_string())),
        }
    }
    work(&path)
}

/// Resolves symbolic links: the file is replaced, not the link.
fn followed(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
