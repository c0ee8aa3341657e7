//! A Unix socket that only this user can connect to.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::task::{Context, Poll};

use anyhow::{Context as _, Result, bail};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};
use tokio::net::{UnixListener, UnixStream};

use crate::folder::is_mine;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1_024;

/// A listening socket. Its file is removed on drop.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file, which another process may have replaced.
    node: (u64, u64),
}

impl UnixSocket {
    /// Listens on a path. The file has mode 0600 from the start. A file that a killed server left is
    /// replaced.
    ///
    /// # Errors
    ///
    /// The path is in use, is something else than a socket of this user, or cannot be created.
    pub(super) fn bind(path: &Path) -> Result<Self> {
        remove_stale(path)?;
        let cannot = || format!("cannot listen on `unix:{}`", path.display());
        let socket =
            socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .with_context(cannot)?;
        let address = SocketAddrUnix::new(path).with_context(cannot)?;
        // The file gets the mode of the socket: nobody can exchange it before a `chmod`.
        rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR).with_context(cannot)?;
        bind(&socket, &address).with_context(cannot)?;
        let meta = std::fs::symlink_metadata(path).with_context(cannot)?;
        if !meta.file_type().is_socket() || !is_mine(&meta) || meta.mode() & 0o177 != 0 {
            bail!("cannot listen on `unix:{}`: others can connect to it", path.display());
        }
        // Before `listen`, a connection is refused.
        listen(&socket, BACKLOG).with_context(cannot)?;
        let listener = std::os::unix::net::UnixListener::from(socket);
        listener.set_nonblocking(true).with_context(cannot)?;
        Ok(Self {
            listener: UnixListener::from_std(listener).with_context(cannot)?,
            path: path.to_owned(),
            node: (meta.dev(), meta.ino()),
        })
    }

    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        self.listener.poll_accept(cx).map_ok(|(stream, _)| stream)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        let meta = std::fs::symlink_metadata(&self.path);
        if meta.is_ok_and(|meta| (meta.dev(), meta.ino()) == self.node) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes the socket of a killed server: one of this user, to which nobody listens.
fn remove_stale(path: &Path) -> Result<()> {
    let Ok(meta) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !meta.file_type().is_socket() || !is_mine(&meta) {
        bail!("`{}` exists and is not a socket of this user", path.display());
    }
    match connect(path) {
        // A full queue is one of a process that listens.
        Ok(_) | Err(Errno::AGAIN) => {
            bail!("another process listens on `unix:{}`", path.display())
        }
        Err(Errno::CONNREFUSED) => std::fs::remove_file(path)
            .with_context(|| format!("cannot replace `{}`", path.display())),
        Err(e) => Err(e).with_context(|| format!("cannot listen on `unix:{}`", path.display())),
    }
}

/// Connects to a socket without waiting for a place in its queue.
///
/// Errors: `EAGAIN` for a full queue, else a system error.
pub(crate) fn connect(path: &Path) -> Result<std::os::unix::net::UnixStream, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    let stream = std::os::unix::net::UnixStream::from(socket);
    stream.set_nonblocking(false).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
    Ok(stream)
}
