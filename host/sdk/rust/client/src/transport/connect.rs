//! Connections: TCP, TLS over it, Unix sockets.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{self, ClientConfig, pki_types::ServerName};

use super::Failure;
use super::address::{Address, Place};

/// Time limit of one connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// A connection of any kind.
pub(super) type Stream = Pin<Box<dyn Duplex>>;

/// A two-way stream of bytes.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// Connects to a server. `local_only` refuses another machine, whatever the name resolves to.
pub(super) async fn connect(
    address: &Address,
    tls: Option<&Arc<ClientConfig>>,
    local_only: bool,
) -> Result<Stream, Failure> {
    let name = address.name();
    match tokio::time::timeout(CONNECT_TIME_MAX, opened(address, tls, local_only)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(e)) => Err(failure(&name, &e)),
        Err(_) => Err(Failure::Broken(format!("no connection to {name} within 10 s"))),
    }
}

async fn opened(
    address: &Address,
    tls: Option<&Arc<ClientConfig>>,
    local_only: bool,
) -> io::Result<Stream> {
    let (host, port) = match &address.place {
        Place::Unix(path) => return unix::connect(path).await,
        Place::Tcp { host, port } => (host.as_str(), *port),
    };
    let stream = TcpStream::connect((host, port)).await?;
    if local_only && !stream.peer_addr()?.ip().is_loopback() {
        return Err(refused(
            "the name does not resolve to this machine, and the token is not sent in the clear",
        ));
    }
    stream.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok(Box::pin(stream)) };
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| refused("the host is not a name for a certificate"))?;
    Ok(Box::pin(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?))
}

/// An error that a retry does not change.
fn refused(why: &str) -> io::Error {
    io::Error::new(ErrorKind::PermissionDenied, why)
}

fn failure(name: &str, error: &io::Error) -> Failure {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match of_tls {
        Some(rustls::Error::InvalidCertificate(why)) => {
            Failure::Refused(format!("the certificate of the server at {name} is refused: {why:?}"))
        }
        Some(rustls::Error::InvalidMessage(_)) => {
            Failure::Refused(format!("the server at {name} does not speak TLS"))
        }
        _ if error.kind() == ErrorKind::PermissionDenied => {
            Failure::Refused(format!("cannot connect to {name}: {error}"))
        }
        _ => Failure::Broken(format!("cannot connect to {name}: {error}")),
    }
}

#[cfg(unix)]
mod unix {
    use std::io;
    use std::path::Path;

    use tokio::net::UnixStream;

    use super::{Stream, refused};

    /// Connects, and checks who listens: whoever can write the directory could have put another
    /// socket there, and would get the token.
    pub(super) async fn connect(path: &Path) -> io::Result<Stream> {
        let stream = UnixStream::connect(path).await?;
        let peer = stream.peer_cred()?.uid();
        if peer != 0 && peer != rustix::process::geteuid().as_raw() {
            return Err(refused("the process that listens on it is of another user"));
        }
        Ok(Box::pin(stream))
    }
}

#[cfg(not(unix))]
mod unix {
    use std::io;
    use std::path::Path;

    use super::{Stream, refused};

    pub(super) async fn connect(_: &Path) -> io::Result<Stream> {
        Err(refused("this system has no Unix sockets"))
    }
}
