//! Serves the API over TCP or TLS: allowed addresses, limits on connections, headers and time, and
//! graceful shutdown.

mod chain;
mod listen;
mod places;
mod tls;
mod unix;

use std::future::poll_fn;
use std::io;
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

use crate::api::{Connection, Metrics};
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
                match places.take(None) {
                    Some(place) => {
                        let of = Arc::clone(&place.connection);
                        let connection = connection(stream, router, watcher, of);
                        tokio::spawn(hold(connection, place, Arc::clone(&metrics)));
                    }
                    None => drop(tokio::spawn(refuse(stream))),
                }
                continue;
            }
        };
        let place = places.take(Some(address));
        // Responses are small and written at once.
        let _ = stream.set_nodelay(true);
        match (place, &tls) {
            (Some(place), None) => {
                let connection = connection(stream, router, watcher, Arc::clone(&place.connection));
                tokio::spawn(hold(connection, place, Arc::clone(&metrics)));
            }
            (Some(place), Some(tls)) => {
                let (tls, mut stop) = (tls.clone(), stop.clone());
                let of = Arc::clone(&place.connection);
                let connection = async move {
                    let accepted = tokio::select! {
                        accepted = tls.accept(stream) => accepted,
                        _ = stop.wait_for(|stop| *stop) => None,
                    };
                    if let Some(stream) = accepted {
                        connection(stream, router, watcher, of).await;
                    }
                };
                tokio::spawn(hold(connection, place, Arc::clone(&metrics)));
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
) {
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
    // A client that disconnects is not an error.
    let _ = watcher.watch(connection).await;
}

async fn hold(connection: impl Future<Output = ()>, place: Place, metrics: Arc<Metrics>) {
    metrics.connections.inc();
    tokio::select! {
        () = connection => {}
        () = place.connection.ended() => {}
    }
    metrics.connections.dec();
    drop(place);
}

async fn refuse(mut stream: impl AsyncWrite + Unpin) {
    let _ = stream.write_all(FLOODED).await;
    let _ = stream.shutdown().await;
}
