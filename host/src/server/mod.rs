//! Serves the API over TCP or TLS: allowed addresses, limits on connections, headers and time, and
//! graceful shutdown.

mod chain;
mod failures;
mod listen;
mod places;
mod tls;
mod unix;

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

use crate::api::{Connection, ConnectionFailure, Metrics};
use failures::Failures;
use listen::Accepted;
use places::{Place, Places};

pub use crate::endpoint::{Endpoint, EndpointError, ListenAddress, UNIX_SCHEME};
pub use chain::{CertificateProblem, Chain, ValidityPeriod};
pub use listen::{Exposure, Listener, bind, bind_all, resolve};
pub use tls::{Tls, TlsError, read_chain};
pub(crate) use unix::connect;

/// Maximum number of concurrent connections, including handshakes. Another one takes the place of the
/// oldest of the largest group: of those that authenticated nobody, or of a subject with more than 16.
/// If there is none, it gets one of 64 places for admins and health checks; if there is none either,
/// it receives 429 and is closed.
/// Under TLS it is only closed, since nothing can be sent before the handshake.
pub const CONNECTIONS_MAX: usize = 1_024;
/// Connections in addition, over which admins call, and health checks.
const RESERVED: usize = 64;
/// Maximum time to receive a request's head, and maximum idle time between requests.
const HEADER_TIME_MAX: Duration = Duration::from_secs(15);
/// Maximum size of a request's head.
const HEADER_BYTES_MAX: usize = 32 << 10;
/// Maximum number of headers of a request.
const HEADERS_MAX: usize = 64;
/// Maximum time for which a client takes nothing of a response that is ready.
const WRITE_TIME_MAX: Duration = Duration::from_secs(30);
/// Maximum time for requests in flight to finish when the server stops. A half-sent request does not
/// hold it up.
const STOP_TIME_MAX: Duration = Duration::from_secs(4);

const FLOODED: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\n\
    content-type: application/problem+json\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 113\r\n\r\n\
    {\"title\":\"Too many requests\",\"status\":429,\"detail\":\"too many connections are open\",\"code\":\"rate-limited\"}        ";

/// Serves until `stop` turns true, then waits for accepted requests to finish.
pub async fn serve(
    listeners: Vec<Listener>,
    tls: Option<Tls>,
    router: Router,
    metrics: Arc<Metrics>,
    mut stop: watch::Receiver<bool>,
) {
    let graceful = GracefulShutdown::new();
    metrics.set_connections_max(CONNECTIONS_MAX);
    let failures = Failures::new(Arc::clone(&metrics));
    let places = Places::new(CONNECTIONS_MAX, RESERVED);
    let mut first = 0;
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listeners, &mut first) => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Ok(accepted) = accepted else {
            // Most likely out of file descriptors: wait for some to close.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (router, watcher) = (router.clone(), graceful.watcher());
        let (stream, address) = match accepted {
            Accepted::Tcp(stream, address) => (stream, address),
            Accepted::Unix(stream) => {
                let held = Holding::of(places.take(None), &failures, &metrics, None);
                match held {
                    Some(held) => {
                        let connection = connection(stream, router, watcher, held.connection());
                        tokio::spawn(held.until(connection));
                    }
                    None => drop(tokio::spawn(refuse(stream))),
                }
                continue;
            }
        };
        let held = Holding::of(places.take(Some(address)), &failures, &metrics, Some(address));
        // Responses are small and written at once.
        let _ = stream.set_nodelay(true);
        match (held, &tls) {
            (Some(held), None) => {
                let connection = connection(stream, router, watcher, held.connection());
                tokio::spawn(held.until(connection));
            }
            (Some(held), Some(tls)) => {
                let (tls, mut stop) = (tls.clone(), stop.clone());
                let of = held.connection();
                let connection = async move {
                    let accepted = tokio::select! {
                        accepted = tls.accept(stream) => accepted,
                        _ = stop.wait_for(|stop| *stop) => return Ok(()),
                    };
                    connection(accepted.map_err(Ended::Handshake)?, router, watcher, of).await
                };
                tokio::spawn(held.until(connection));
            }
            (None, None) => drop(tokio::spawn(refuse(stream))),
            (None, Some(_)) => drop(stream),
        }
    }
    drop(listeners);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep(STOP_TIME_MAX) => {}
    }
}

/// Accepts a connection of any listener. Each is asked first in turn, so that a flood of one does not
/// hold up the others.
async fn accept(listeners: &[Listener], first: &mut usize) -> io::Result<Accepted> {
    let start = *first;
    *first = (start + 1) % listeners.len().max(1);
    poll_fn(|cx| {
        let (before, after) = listeners.split_at(start);
        let mut accepted = after.iter().chain(before).map(|listener| listener.poll_accept(cx));
        accepted.find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    router: Router,
    watcher: Watcher,
    of: Arc<Connection>,
) -> Result<(), Ended> {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&of));
        router.clone().oneshot(request)
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIME_MAX));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    watcher.watch(connection).await.map_err(Ended::Http)
}

/// Why a connection ended early.
enum Ended {
    Handshake(io::Error),
    Http(hyper::Error),
}

/// A connection that has a place.
struct Holding {
    place: Place,
    metrics: Arc<Metrics>,
    failures: Arc<Failures>,
}

impl Holding {
    /// Returns a connection with its place; `None`, and notes it, if there is no place.
    fn of(
        place: Option<Place>,
        failures: &Arc<Failures>,
        metrics: &Arc<Metrics>,
        address: Option<IpAddr>,
    ) -> Option<Self> {
        let Some(place) = place else {
            failures.note(ConnectionFailure::Full, address, "too many connections are open");
            return None;
        };
        Some(Self { place, metrics: Arc::clone(metrics), failures: Arc::clone(failures) })
    }

    fn connection(&self) -> Arc<Connection> {
        Arc::clone(&self.place.connection)
    }

    /// Counts it until it ends, by itself or to make room for another one.
    async fn until(self, connection: impl Future<Output = Result<(), Ended>>) {
        let _open = self.metrics.connection();
        let address = self.place.connection.address();
        let ended = tokio::select! {
            ended = connection => ended,
            () = self.place.connection.ended() => {
                let cause = "it made room for another connection";
                return self.failures.note(ConnectionFailure::Replaced, address, cause);
            }
        };
        match ended {
            Ok(()) => {}
            Err(Ended::Http(error)) => self.failures.note_error(&error, address),
            Err(Ended::Handshake(error)) => {
                let failure = match error.kind() {
                    io::ErrorKind::UnexpectedEof => ConnectionFailure::Broken,
                    _ => ConnectionFailure::Tls,
                };
                self.failures.note(failure, address, &error.to_string());
            }
        }
    }
}

async fn refuse(mut stream: impl AsyncWrite + Unpin) {
    let _ = stream.write_all(FLOODED).await;
    let _ = stream.shutdown().await;
}
