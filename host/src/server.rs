//! Serves the API over TCP: limits on connections and headers, and an orderly end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt;

use crate::api::Metrics;

/// Most connections at once. One more is answered 429 and closed.
pub const CONNECTIONS_MAX: usize = 1_024;
/// Longest a client may take to send a request's head, and to think of the next one.
const HEADER_TIME_MAX: Duration = Duration::from_secs(15);
/// Largest head of a request.
const HEADER_BYTES_MAX: usize = 32 << 10;
/// Most headers of a request.
const HEADERS_MAX: usize = 64;
/// Longest that requests in flight may take to end when the server stops.
const STOP_TIME_MAX: Duration = Duration::from_secs(30);

const FLOODED: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\n\
    content-type: application/problem+json\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 113\r\n\r\n\
    {\"title\":\"Too many requests\",\"status\":429,\"detail\":\"too many connections are open\",\"code\":\"rate-limited\"}        ";

/// Opens the address to serve on.
///
/// # Errors
///
/// An address that is not loopback: there are no tokens yet, and everybody would be admin. An
/// address that is taken.
pub async fn bind(address: SocketAddr) -> Result<TcpListener> {
    ensure!(
        address.ip().is_loopback(),
        "refusing to listen on `{address}`: without tokens everybody who reaches the server is admin, so it listens on loopback only"
    );
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on `{address}`"))
}

/// Serves until `stop` turns true, then lets what was accepted finish.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    metrics: Arc<Metrics>,
    mut stop: watch::Receiver<bool>,
) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, most likely: wait for some to close.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => {
                let connection = connection(stream, router.clone(), &graceful);
                tokio::spawn(hold(connection, place, Arc::clone(&metrics)));
            }
            Err(_) => drop(tokio::spawn(refuse(stream))),
        }
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep(STOP_TIME_MAX) => {}
    }
}

fn connection(
    stream: TcpStream,
    router: Router,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<> {
    // Answers are small and written whole.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| router.clone().oneshot(request));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    async move {
        // A client that goes away is no error of ours.
        let _ = connection.await;
    }
}

async fn hold(
    connection: impl Future<Output = ()>,
    place: OwnedSemaphorePermit,
    metrics: Arc<Metrics>,
) {
    metrics.connections.inc();
    connection.await;
    metrics.connections.dec();
    drop(place);
}

async fn refuse(mut stream: TcpStream) {
    let _ = stream.write_all(FLOODED).await;
    let _ = stream.shutdown().await;
}
