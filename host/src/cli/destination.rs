//! The output of a command: standard output, a device or pipe, or a file that is created
//! atomically.

use std::convert::Infallible;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write, stdout};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result};

/// A file, or `-` for standard output.
#[derive(Clone, Debug)]
pub(super) struct Destination(PathBuf);

/// An output being written. A file has a temporary name until [`Self::keep`], and is removed
/// without it.
pub(super) enum Draft {
    Output(BufWriter<Box<dyn Write>>),
    File { out: BufWriter<File>, draft: Temporary, path: PathBuf },
}

/// A file that is removed on drop unless it was renamed.
pub(super) struct Temporary(PathBuf);

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
        // A link is kept, and its target is replaced.
        let path = self.0.canonicalize().unwrap_or_else(|_| self.0.clone());
        // Write to a device or a pipe: renaming a file over it would remove it for everyone.
        if path.metadata().is_ok_and(|meta| !meta.is_file()) {
            let opened = File::options().write(true).open(&path);
            let opened = opened.with_context(|| unwritable(&path))?;
            return Ok(Draft::Output(BufWriter::new(Box::new(opened))));
        }
        let mut draft = path.clone().into_os_string();
        draft.push(format!(".{}.part", std::process::id()));
        let draft = PathBuf::from(draft);
        let file = File::options().write(true).create_new(true).mode(mode).open(&draft);
        let file = file.with_context(|| unwritable(&draft))?;
        Ok(Draft::File { out: BufWriter::new(file), draft: Temporary(draft), path })
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
            Self::File { out, draft, path } => {
                let file = out.into_inner().with_context(|| unwritable(&draft.0))?;
                file.sync_all().with_context(|| unwritable(&draft.0))?;
                std::fs::rename(&draft.0, &path).with_context(|| unwritable(&path))
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

impl Drop for Temporary {
    fn drop(&mut self) {
        // Fails harmlessly if the file was renamed.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Returns device and inode of a path.
fn node(path: &Path) -> Option<(u64, u64)> {
    path.metadata().map(|meta| (meta.dev(), meta.ino())).ok()
}

fn unwritable(path: &Path) -> String {
    format!("cannot write `{}`", path.display())
}
