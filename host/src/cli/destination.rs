//! The output of a command: standard output, a device or pipe, or a file that is created
//! atomically.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, BufWriter, Write, stdout};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use rustix::fs::OFlags;

use crate::folder::{self, Folder, is_mine_or_roots};

/// A file, or `-` for standard output.
#[derive(Clone, Debug)]
pub(super) struct Destination(PathBuf);

/// An output being written. A file has a temporary name until [`Self::keep`], and is removed
/// without it.
pub(super) enum Draft {
    Output(BufWriter<Box<dyn Write>>),
    File { out: BufWriter<folder::Draft>, path: PathBuf, name: OsString },
}

impl Destination {
    pub(super) fn to(path: PathBuf) -> Self {
        Self(path)
    }

    /// Returns whether it is something other than standard output, which has other names too, such
    /// as `/dev/stdout`.
    pub(super) fn is_file(&self) -> bool {
        let output = rustix::fs::fstat(stdout()).map(|stat| (stat.st_dev, stat.st_ino)).ok();
        self.0.as_os_str() != "-" && (output.is_none() || node(&self.0) != output)
    }

    /// Returns whether both paths name the same existing file.
    pub(super) fn is_same_file(&self, path: &str) -> bool {
        node(&self.0).is_some_and(|here| node(Path::new(path)) == Some(here))
    }

    /// Creates the output; a new file has the usual permissions.
    pub(super) fn create(&self) -> Result<Draft> {
        self.create_with(0o666)
    }

    /// Creates the output; a new file is readable by its owner only.
    pub(super) fn create_private(&self) -> Result<Draft> {
        self.create_with(0o600)
    }

    /// Creates the output with the owner, as far as possible, and the mode of the file that it replaces.
    pub(super) fn create_like_before(&self) -> Result<Draft> {
        let before = self.0.metadata().with_context(|| unwritable(&self.0))?;
        let draft = self.create_private()?;
        if let Draft::File { out, path, .. } = &draft {
            out.get_ref().resemble(&before).with_context(|| unwritable(path))?;
        }
        Ok(draft)
    }

    fn create_with(&self, mode: u32) -> Result<Draft> {
        if !self.is_file() {
            return Ok(Draft::Output(BufWriter::new(Box::new(stdout()))));
        }
        // Whoever made a link or a pipe chooses what is replaced, or who reads.
        let is_link = match self.0.symlink_metadata() {
            Ok(meta) if meta.is_symlink() => self.made_here(&meta).map(|()| true)?,
            _ => false,
        };
        // A link is kept, and its target is replaced. What is no link now is not followed later.
        let path = match is_link {
            true => self.0.canonicalize().unwrap_or_else(|_| self.0.clone()),
            false => self.0.clone(),
        };
        let meta = if is_link { path.metadata() } else { path.symlink_metadata() };
        // Write to a device or a pipe: renaming a file over it would remove it for everyone.
        if let Some(meta) = meta.ok().filter(|meta| !meta.is_file() && !meta.is_symlink()) {
            // Before it is opened, because that waits for a reader; and after, because it may be another.
            self.check_pipe(&meta)?;
            let follow = if is_link { OFlags::empty() } else { OFlags::NOFOLLOW };
            let flags = follow.bits().try_into().unwrap_or_default();
            let opened = File::options().write(true).custom_flags(flags).open(&path);
            let opened = opened.with_context(|| unwritable(&path))?;
            self.check_pipe(&opened.metadata()?)?;
            return Ok(Draft::Output(BufWriter::new(Box::new(opened))));
        }
        let (folder, name) = Folder::of(&path).with_context(|| unwritable(&path))?;
        let draft = folder.draft(&name, mode).with_context(|| unwritable(&path))?;
        Ok(Draft::File { out: BufWriter::new(draft), path, name })
    }

    /// Refuses a pipe that another user made.
    fn check_pipe(&self, meta: &Metadata) -> Result<()> {
        if meta.file_type().is_fifo() { self.made_here(meta) } else { Ok(()) }
    }

    /// Refuses what another user made.
    fn made_here(&self, meta: &Metadata) -> Result<()> {
        let name = self.0.display();
        ensure!(
            is_mine_or_roots(meta),
            "`{name}` is a link or a pipe of another user; choose another path"
        );
        Ok(())
    }
}

impl FromStr for Destination {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl Draft {
    /// Moves a file into place, replacing an older one.
    pub(super) fn keep(self) -> Result<()> {
        match self {
            Self::Output(mut out) => Ok(out.flush()?),
            Self::File { out, path, name } => {
                let placed = out.into_inner().map_err(io::IntoInnerError::into_error);
                let placed = placed.and_then(|draft| draft.replace(&name));
                placed.with_context(|| unwritable(&path))
            }
        }
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Output(out) => out.write(bytes),
            Self::File { out, .. } => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Output(out) => out.flush(),
            Self::File { out, .. } => out.flush(),
        }
    }
}

/// Returns device and inode of a path.
fn node(path: &Path) -> Option<(u64, u64)> {
    path.metadata().map(|meta| (meta.dev(), meta.ino())).ok()
}

fn unwritable(path: &Path) -> String {
    format!("cannot write `{}`", path.display())
}
