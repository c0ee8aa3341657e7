//! Reports the state of a server to the service manager that started it, in the protocol of
//! `sd_notify(3)`. systemd speaks it, and so do other managers that set `NOTIFY_SOCKET`.
//!
//! The crate `sd-notify` has the words of the protocol. The socket is here: the crate connects to no
//! abstract socket, and may wait forever for a manager that does not read.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;
use signoff_core::deceptive::in_one_line;
use tokio::time::timeout;

/// A manager that does not read for this long is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest status text in characters. A status is one line for a person.
const STATUS_CHARS_MAX: usize = 300;

/// The service manager of this process, if there is one. Without one, reports do nothing.
#[derive(Clone, Debug)]
pub(super) struct ServiceManager {
    socket: Option<SocketAddr>,
    watchdog: Option<Duration>,
    /// The failure that was logged last.
    noted: Arc<Mutex<String>>,
}

impl ServiceManager {
    /// Returns the manager that the environment names. A malformed address is noted and counts as
    /// none: the server is of use without its manager.
    pub(super) fn of_environment() -> Self {
        let named = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let socket = named.and_then(|name| {
            let noted = |e| {
                let cause =
                    in_one_line(&format!("NOTIFY_SOCKET `{}`: {e}", name.to_string_lossy()));
                tracing::warn!(cause, "service manager not notified");
            };
            address(&name).map_err(noted).ok()
        });
        let watchdog = sd_notify::watchdog_enabled().filter(|period| !period.is_zero());
        Self { watchdog: socket.as_ref().and(watchdog), socket, noted: Arc::default() }
    }

    /// Returns whether there is a manager to report to.
    pub(super) fn is_there(&self) -> bool {
        self.socket.is_some()
    }

    /// Returns after how long without a [`Self::alive`] the manager restarts this process, if it does.
    pub(super) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Reports that the server answers calls.
    pub(super) async fn ready(&self) {
        self.report(&[NotifyState::Ready]).await;
    }

    /// Reports that files are being reloaded. [`Self::ready`] ends it.
    pub(super) async fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.report(&[NotifyState::Reloading, now]).await,
            Err(e) => self.note(&e.to_string()),
        }
    }

    /// Reports that the server stops.
    pub(super) async fn stopping(&self) {
        let status = NotifyState::Status("finishing accepted requests");
        self.report(&[NotifyState::Stopping, status]).await;
    }

    /// Reports the state in words. A line feed would begin another report, so control characters are
    /// replaced.
    pub(super) async fn status(&self, text: &str) {
        self.report(&[NotifyState::Status(&one_line(text))]).await;
    }

    /// Reports that the watchdog need not act.
    pub(super) async fn alive(&self) {
        self.report(&[NotifyState::Watchdog]).await;
    }

    async fn report(&self, states: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else { return };
        let lines: String = states.iter().map(|state| format!("{state}\n")).collect();
        let sent = timeout(PATIENCE, send(socket, lines.as_bytes())).await;
        if let Err(e) = sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            self.note(&e.to_string());
        }
    }

    /// Logs a failure, once for each cause: a watchdog is answered many times a minute.
    fn note(&self, cause: &str) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if *noted != cause {
            cause.clone_into(&mut noted);
            tracing::warn!(cause = in_one_line(cause), "service manager not notified");
        }
    }
}

/// Returns the address of a name: an absolute path, or `@` and the name of an abstract socket.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name),
        [b'@', name @ ..] if !name.is_empty() => abstract_address(name),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "expected an absolute path, or `@` and the name of an abstract socket",
        )),
    }
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;

    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no abstract sockets"))
}

/// Sends one datagram. A socket of its own for each: the manager may have been restarted.
async fn send(to: &SocketAddr, bytes: &[u8]) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(to)?;
    socket.set_nonblocking(true)?;
    tokio::net::UnixDatagram::from_std(socket)?.send(bytes).await.map(drop)
}

fn one_line(text: &str) -> String {
    let shown = text.chars().take(STATUS_CHARS_MAX);
    shown.map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line_of_limited_length() {
        assert_eq!(one_line("refused\nREADY=1\r\u{85}"), "refused READY=1  ");
        assert_eq!(one_line(&"é".repeat(10_000)).chars().count(), STATUS_CHARS_MAX);
    }

    #[test]
    fn an_address_is_a_path_or_an_abstract_name() {
        let of = |name: &str| address(OsStr::new(name)).map_err(|e| e.kind());
        assert!(of("/run/systemd/notify").unwrap().as_pathname().is_some());
        assert!(of("@signoff").unwrap().as_pathname().is_none());
        for malformed in ["@", "run/notify", "vsock:2:1234", "unix:/run/notify"] {
            assert_eq!(of(malformed).unwrap_err(), io::ErrorKind::InvalidInput, "{malformed}");
        }
        assert!(of(&format!("/{}", "x".repeat(200))).is_err());
        assert!(of(&format!("@{}", "x".repeat(200))).is_err());
    }
}
