//! The archive of pruned approvals: a receipt on each line, appended and on disk before the approvals are
//! removed.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{FlockOperation, OFlags, flock};

use super::super::output;

/// As much of an archive as tells it from other files.
const BEGIN_BYTES: u64 = 64;

/// An archive, locked against other commands.
pub(super) struct Archive {
    file: File,
    path: PathBuf,
}

impl Archive {
    /// Opens an archive for appending, or creates it with mode 0600. A line that an earlier command left
    /// unfinished is ended; its approval was not removed.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let cannot = || format!("cannot write the archive `{}`", path.display());
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let flags = flags.bits().try_into().unwrap_or_default();
        let mut options = File::options();
        options.read(true).append(true).create(true).mode(0o600).custom_flags(flags);
        let is_link = path.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
        ensure!(!is_link, "the archive `{}` is a link; name the file itself", path.display());
        let mut file = options.open(path).with_context(cannot)?;
        let meta = file.metadata().with_context(cannot)?;
        ensure!(meta.is_file(), "the archive `{}` is not a file", path.display());
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!("another command writes to the archive `{}`", path.display());
        }
        if meta.mode() & 0o077 != 0 {
            output::note(&format!(
                "others can read the archive `{}`, which gets contexts: run `chmod 600` on it",
                path.display()
            ));
        }
        if meta.len() > 0 {
            let mut begin = Vec::new();
            Read::by_ref(&mut file)
                .take(BEGIN_BYTES)
                .read_to_end(&mut begin)
                .with_context(cannot)?;
            ensure!(
                is_archive(&String::from_utf8_lossy(&begin)),
                "`{}` is no archive of receipts; choose another file",
                path.display()
            );
            let mut last = [0];
            file.seek(SeekFrom::End(-1)).with_context(cannot)?;
            file.read_exact(&mut last).with_context(cannot)?;
            if last != *b"\n" {
                file.write_all(b"\n").with_context(cannot)?;
            }
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or(Path::new(".")));
        folder.and_then(|folder| folder.sync_all()).with_context(cannot)?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Appends lines. Returns after they are on disk.
    pub(super) fn append(&mut self, lines: &str) -> Result<()> {
        let written = self.file.write_all(lines.as_bytes());
        let written = written.and_then(|()| self.file.sync_data());
        written.with_context(|| format!("cannot write the archive `{}`", self.path.display()))
    }
}

/// Returns whether a file begins with a receipt, or with a part of one.
fn is_archive(begin: &str) -> bool {
    let is_part = (begin.len() as u64) < BEGIN_BYTES && !begin.contains('\n');
    begin.starts_with("{\"format\":") && (begin.contains("\"kind\":\"signoff-receipt\"") || is_part)
}
