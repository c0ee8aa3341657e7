//! The output of a command: standard output, a device or pipe, or a file that is created
//! atomically.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, BufWriter, Write, stdout};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail};

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

    fn create_with(&self, mode: u32) -> Result<Draft> {
        if !self.is_file() {
            return Ok(Draft::Output(BufWriter::new(Box::new(stdout()))));
        }
        // Whoever made a link or a pipe chooses what is replaced, or who reads.
        let is_link_or_pipe = |meta: &Metadata| meta.is_symlink() || meta.file_type().is_fifo();
        let made_here = self.0.symlink_metadata().ok().filter(is_link_or_pipe);
        if made_here.is_some_and(|meta| !is_mine_or_roots(&meta)) {
            bail!(
                "`{}` is a link or a pipe of another user; choose another path",
                self.0.display()
            );
        }
        // A link is kept, and its target is replaced.
        let path = self.0.canonicalize().unwrap_or_else(|_| self.0.clone());
        // Write to a device or a pipe: renaming a file over it would remove it for everyone.
        if path.metadata().is_ok_and(|meta| !meta.is_file()) {
            let opened = File::options().write(true).open(&path);
            let opened = opened.with_context(|| unwritable(&path))?;
            return Ok(Draft::Output(BufWriter::new(Box::new(opened))));
        }
        let (folder, name) = Folder::of(&path).with_context(|| unwritable(&path))?;
        let draft = folder.draft(&name, mode).with_context(|| unwritable(&path))?;
        Ok(Draft::File { out: BufWriter::new(draft), path, name })
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
