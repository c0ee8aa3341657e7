//! Serves the API over TCP or TLS: allowed addresses, limits on connections, headers and time, and
//! graceful shutdown.

mod listen;
mod places;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

use crate::api::{Connection, Metrics};
use places::{Place, Places};

pub use listen::{Exposure, bind};
pub use tls::{Tls, TlsError, read_chain};

/// Maximum number of concurrent connections, including handshakes. Another one takes the place of the
/// oldest that authenticated nobody, else of the subject that has most. If there is none, it gets one
/// of [`RESERVED`]; if there is none either, it receives 429 and is closed; under TLS it is only
/// closed, since nothing can be sent before the handshake.
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
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    metrics: Arc<Metrics>,
    mut stop: watch::Receiver<bool>,
) {
    let graceful = GracefulShutdown::new();
    let places = Places::new(CONNECTIONS_MAX, RESERVED);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Ok((stream, address)) = accepted else {
            // Most likely out of file descriptors: wait for some to close.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let place = places.take(Some(address.ip()));
        // Responses are small and written at once.
        let _ = stream.set_nodelay(true);
        let (router, watcher) = (router.clone(), graceful.watcher());
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
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep(STOP_TIME_MAX) => {}
    }
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

async fn refuse(mut stream: TcpStream) {
    let _ = stream.write_all(FLOODED).await;
    let _ = stream.shutdown().await;
}
