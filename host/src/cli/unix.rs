//! Connections to a server over a Unix socket.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

use super::remote::CONNECT_TIME_MAX;
use crate::server;

/// Interval between attempts while the server's queue is full.
const RETRY: Duration = Duration::from_millis(50);

/// Connects to a socket, whatever address the request names.
#[derive(Debug)]
pub(super) struct UnixConnector(pub(super) PathBuf);

pub(super) struct UnixTransport {
    stream: UnixStream,
    buffers: LazyBuffers,
}

impl<In: Transport> Connector<In> for UnixConnector {
    type Out = UnixTransport;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<In>,
    ) -> Result<Option<UnixTransport>, Error> {
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        let deadline = details.timeout.not_zero().map_or(CONNECT_TIME_MAX, |time| *time);
        let stream = connected(&self.0, deadline.min(CONNECT_TIME_MAX))?;
        Ok(Some(UnixTransport { stream, buffers }))
    }
}

/// Connects, and checks who listens: whoever can write the directory could have put another socket
/// there, and would get the token.
fn connected(path: &Path, longest: Duration) -> io::Result<UnixStream> {
    let start = Instant::now();
    let stream = loop {
        match server::connect(path) {
            // Its queue is full.
            Err(Errno::AGAIN) if start.elapsed() < longest => thread::sleep(RETRY),
            connected => break connected?,
        }
    };
    #[cfg(target_os = "linux")]
    {
        let peer = rustix::net::sockopt::socket_peercred(&stream)?.uid;
        if !peer.is_root() && peer != rustix::process::geteuid() {
            let why = "the process that listens on it is of another user";
            return Err(io::Error::new(ErrorKind::PermissionDenied, why));
        }
    }
    Ok(stream)
}

impl Transport for UnixTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.set_write_timeout(timeout.not_zero().map(|time| *time))?;
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream.write_all(output).map_err(|e| timed_out(e, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.set_read_timeout(timeout.not_zero().map(|time| *time))?;
        let read = loop {
            match self.stream.read(self.buffers.input_append_buf()) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                read => break read.map_err(|e| timed_out(e, timeout))?,
            }
        };
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        // A connection that the server closed has an end to read; an idle one has nothing.
        let mut byte = [0];
        let is_idle = self.stream.set_nonblocking(true).is_ok()
            && matches!(self.stream.read(&mut byte), Err(e) if e.kind() == ErrorKind::WouldBlock);
        self.stream.set_nonblocking(false).is_ok() && is_idle
    }
}

impl fmt::Debug for UnixTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnixTransport").finish_non_exhaustive()
    }
}

fn timed_out(e: io::Error, timeout: NextTimeout) -> Error {
    match e.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::Timeout(timeout.reason),
        _ => e.into(),
    }
}
