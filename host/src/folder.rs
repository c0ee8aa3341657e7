//! Files by the handle of their directory: what was checked is what is read, whoever exchanges the
//! path meanwhile, and nothing is written through a link.

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, fchown};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, flock, linkat, openat, renameat,
    statat, unlinkat,
};

/// What the name of an unfinished file ends with.
const DRAFT_SUFFIX: &str = ".tmp";

/// An open directory.
#[derive(Clone, Debug)]
pub(crate) struct Folder(Arc<OwnedFd>);

impl Folder {
    /// Opens a directory.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::open_with(path, OFlags::empty())
    }

    /// Opens the directory of a file, and returns the file's name.
    pub(crate) fn of(file: &Path) -> io::Result<(Self, OsString)> {
        let name = file.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        Ok((Self::open(folder.unwrap_or(Path::new(".")))?, name.to_owned()))
    }

    /// Opens a directory that only this user can read and write, or creates it.
    ///
    /// # Errors
    ///
    /// It belongs to another user, other users can read or write it, it is a link, or an I/O error.
    pub(crate) fn open_private(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let folder = Self::open_with(path, OFlags::NOFOLLOW)?;
        let meta = folder.metadata()?;
        if !is_mine(&meta) || meta.mode() & 0o077 != 0 {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(folder)
    }

    fn open_with(path: &Path, flags: OFlags) -> io::Result<Self> {
        let flags = flags | OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(Self(Arc::new(openat(CWD, path, flags, Mode::empty())?)))
    }

    /// Waits until no other process has this lock of the directory. It ends with the value.
    pub(crate) fn lock(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        // A handle of its own: a lock belongs to the open directory.
        let handle = openat(&*self.0, ".", flags, Mode::empty())?;
        flock(&handle, FlockOperation::LockExclusive)?;
        Ok(handle)
    }

    /// Returns the metadata of the directory.
    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        File::from(self.0.try_clone()?).metadata()
    }

    /// Opens a regular file for reading. A link is refused, and a pipe is not waited for.
    pub(crate) fn read(&self, name: &OsStr) -> io::Result<(File, Metadata)> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(&*self.0, name, flags, Mode::empty())?);
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
        }
        Ok((file, meta))
    }

    /// Writes a file that only this user can read: a reader finds the old or the new one, even after
    /// a crash.
    pub(crate) fn replace(&self, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
        let mut draft = self.draft(name, 0o600)?;
        draft.write_all(bytes)?;
        draft.replace(name)
    }

    /// Like [`Self::replace`], but fails if there is a file.
    pub(crate) fn create(&self, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
        let mut draft = self.draft(name, 0o600)?;
        draft.write_all(bytes)?;
        draft.create(name)
    }

    /// Creates an unfinished file, with a name that cannot be predicted.
    pub(crate) fn draft(&self, name: &OsStr, mode: u32) -> io::Result<Draft> {
        let draft = Self::draft_name(name);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(&*self.0, &draft, flags, Mode::from_raw_mode(mode))?;
        Ok(Draft { folder: self.clone(), name: Some(draft), file: File::from(file) })
    }

    /// Creates an unfinished file without a name, so that nothing is left of it if this process is
    /// killed; with one where the file system makes no such files.
    pub(crate) fn nameless_draft(&self, name: &OsStr, mode: u32) -> io::Result<Draft> {
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        match openat(&*self.0, ".", flags, Mode::from_raw_mode(mode)) {
            Ok(file) if Path::new("/proc/self/fd").is_dir() => {
                Ok(Draft { folder: self.clone(), name: None, file: File::from(file) })
            }
            _ => self.draft(name, mode),
        }
    }

    /// Returns a name for an unfinished file that cannot be predicted.
    fn draft_name(name: &OsStr) -> OsString {
        let mut draft = draft_prefix(name);
        draft.push(format!("{:016x}{DRAFT_SUFFIX}", rand::random::<u64>()));
        draft
    }

    /// Removes unfinished files of a name that nothing has written to for some time: their processes
    /// were killed.
    pub(crate) fn remove_drafts(&self, name: &OsStr, age: Duration) -> io::Result<()> {
        let prefix = draft_prefix(name);
        let is_draft = |name: &OsStr| {
            let number = name.as_bytes().strip_prefix(prefix.as_bytes());
            let number = number.and_then(|rest| rest.strip_suffix(DRAFT_SUFFIX.as_bytes()));
            number.is_some_and(|n| n.len() == 16 && n.iter().all(u8::is_ascii_hexdigit))
        };
        for (name, modified) in self.files(is_draft)? {
            if modified.elapsed().is_ok_and(|since| since >= age) {
                self.remove(&name)?;
            }
        }
        Ok(())
    }

    /// Removes a file. That another process removed it is no error.
    pub(crate) fn remove(&self, name: &OsStr) -> io::Result<()> {
        match unlinkat(&*self.0, name, AtFlags::empty()) {
            Err(rustix::io::Errno::NOENT) => Ok(()),
            removed => Ok(removed?),
        }
    }

    /// Returns the regular files with certain names, and when they were written.
    pub(crate) fn files(
        &self,
        is_wanted: impl Fn(&OsStr) -> bool,
    ) -> io::Result<Vec<(OsString, SystemTime)>> {
        let mut files = Vec::new();
        for entry in Dir::read_from(&*self.0)? {
            let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
            if !is_wanted(&name) {
                continue;
            }
            // Another process may have removed it meanwhile.
            let Ok(stat) = statat(&*self.0, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let modified = u64::try_from(stat.st_mtime).map(Duration::from_secs);
            if let (FileType::RegularFile, Ok(modified)) =
                (FileType::from_raw_mode(stat.st_mode), modified)
            {
                files.push((name, SystemTime::UNIX_EPOCH + modified));
            }
        }
        Ok(files)
    }
}

/// An unfinished file. It is removed on drop.
#[derive(Debug)]
pub(crate) struct Draft {
    folder: Folder,
    /// `None` if it has no name yet.
    name: Option<OsString>,
    file: File,
}

impl Draft {
    /// Gives it the mode of another file, and its owner and group if this user may.
    pub(crate) fn resemble(&self, other: &Metadata) -> io::Result<()> {
        // Before the mode, which a change of the owner may reduce.
        let _ = fchown(&self.file, Some(other.uid()), Some(other.gid()));
        self.file.set_permissions(other.permissions())
    }

    /// Gives it the owner, group and mode of another file.
    pub(crate) fn own_as(&self, other: &Metadata) -> io::Result<()> {
        let own = self.file.metadata()?;
        if (own.uid(), own.gid()) != (other.uid(), other.gid()) {
            // Before the mode, which a change of the owner may reduce.
            fchown(&self.file, Some(other.uid()), Some(other.gid()))?;
        }
        self.file.set_permissions(other.permissions())
    }

    /// Returns another handle of the file.
    pub(crate) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Moves it into place, durably, and replaces an older file.
    pub(crate) fn replace(self, name: &OsStr) -> io::Result<()> {
        self.place(name, |folder, draft| renameat(folder, draft, folder, name))
    }

    /// Moves it into place, durably, unless there is a file.
    pub(crate) fn create(self, name: &OsStr) -> io::Result<()> {
        // A hard link fails if the target exists; a rename would replace it.
        self.place(name, |folder, draft| linkat(folder, draft, folder, name, AtFlags::empty()))
    }

    fn place(
        mut self,
        name: &OsStr,
        place: impl FnOnce(&OwnedFd, &OsStr) -> rustix::io::Result<()>,
    ) -> io::Result<()> {
        self.file.sync_all()?;
        if self.name.is_none() {
            let handle = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            let draft = Folder::draft_name(name);
            linkat(CWD, handle, &*self.folder.0, &draft, AtFlags::SYMLINK_FOLLOW)?;
            self.name = Some(draft);
        }
        let draft = self.name.as_deref().unwrap_or(name);
        place(&self.folder.0, draft)?;
        Ok(rustix::fs::fsync(&*self.folder.0)?)
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Fails harmlessly if the file was renamed.
        let _ = self.name.as_ref().map(|name| self.folder.remove(name));
    }
}

/// Returns whether this user owns a file.
pub(crate) fn is_mine(meta: &Metadata) -> bool {
    meta.uid() == rustix::process::geteuid().as_raw()
}

/// Returns whether this user or root owns a file.
pub(crate) fn is_mine_or_roots(meta: &Metadata) -> bool {
    is_mine(meta) || meta.uid() == 0
}

fn draft_prefix(name: &OsStr) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    prefix
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_nameless_draft_leaves_nothing_and_is_placed_as_a_named_one() {
        let place = tempfile::tempdir().unwrap();
        let names = || -> Vec<OsString> {
            let entries = std::fs::read_dir(place.path()).unwrap();
            entries.map(|entry| entry.unwrap().file_name()).collect()
        };
        let folder = Folder::open(place.path()).unwrap();
        let name = OsStr::new("file");
        let draft = |text: &str| {
            let mut draft = folder.nameless_draft(name, 0o600).unwrap();
            draft.write_all(text.as_bytes()).unwrap();
            draft
        };
        let first = draft("1");
        assert_eq!(names(), Vec::<OsString>::new());
        first.create(name).unwrap();
        assert!(draft("2").create(name).is_err());
        drop(draft("3"));
        draft("4").replace(name).unwrap();
        assert_eq!(names(), [name]);
        let path = place.path().join(name);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "4");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    }
}
