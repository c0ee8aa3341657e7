//! The connection to an MCP server over HTTP.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, Response, Uri, header};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower::Service;

use crate::api::is_loopback_name;
use crate::cli::exit::Failure;
use crate::cli::remote::{CONNECT_TIME_MAX, Trust, authorities};

/// Connections that are kept for the next request.
const IDLE_MAX: usize = 16;
const IDLE_TIME_MAX: Duration = Duration::from_secs(30);

/// An MCP server at an address.
pub(super) struct Upstream {
    uri: Uri,
    /// Headers of every request, such as `Authorization`.
    headers: HeaderMap,
    client: Client<Connector, Body>,
}

/// Why there is no response.
#[derive(Debug)]
pub(super) struct Unreachable {
    /// Whether it is known that nothing was sent.
    pub(super) before_sending: bool,
    pub(super) why: String,
}

impl Upstream {
    /// Makes a client. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// The address is not one of HTTP, has a user or a fragment, or is that of another machine without TLS;
    /// this machine's authorities cannot be read.
    pub(super) fn new(url: &str, headers: HeaderMap, trust: &Trust) -> Result<Self, Failure> {
        if url.contains('@') {
            // Not quoted: the part before the `@` may be a password.
            return Err(Failure::usage(
                "the address of an MCP server must not contain `@`: give headers with --upstream-headers FILE",
            ));
        }
        let wrong = || Failure::usage(format!("`{url}` is not an http:// or https:// address"));
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        if url.contains('#') {
            return Err(wrong());
        }
        if !tls && !is_loopback_name(host) && !trust.insecure_http {
            return Err(Failure::usage(format!(
                "refusing to send messages to `{host}` in the clear: use https://, or --insecure-http if the connection is encrypted otherwise, for example by a VPN"
            )));
        }
        let connector =
            Connector { tls: tls.then(|| configuration(trust.ca.as_ref())).transpose()? };
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(IDLE_MAX)
            .pool_idle_timeout(IDLE_TIME_MAX)
            // A request that reached the server must not be sent again.
            .retry_canceled_requests(false)
            .build(connector);
        Ok(Self { uri, headers, client })
    }

    /// Returns whether the server gets a header of the gate's own, whatever the client sends.
    pub(super) fn sets(&self, name: &header::HeaderName) -> bool {
        self.headers.contains_key(name)
    }

    /// Sends a request and returns the head of the response.
    pub(super) async fn send(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Option<String>,
    ) -> Result<Response<Incoming>, Unreachable> {
        let failed = |before_sending, why: String| Unreachable { before_sending, why };
        let mut request = Request::builder().method(method).uri(self.uri.clone());
        if let Some(all) = request.headers_mut() {
            all.extend(headers);
            for (name, value) in &self.headers {
                all.insert(name.clone(), value.clone());
            }
        }
        let body = body.map_or_else(Body::empty, |text| Body::from(Bytes::from(text)));
        let request = request.body(body).map_err(|e| failed(true, e.to_string()))?;
        self.client.request(request).await.map_err(|e| {
            let source = std::error::Error::source(&e).map(ToString::to_string);
            failed(e.is_connect(), source.unwrap_or_else(|| e.to_string()))
        })
    }
}

fn configuration(ca: Option<&PathBuf>) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(authorities(ca.map(PathBuf::as_path))?);
    ensure!(
        added > 0,
        "this machine has no certificate authorities: install them, or give --ca FILE"
    );
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("TLS cannot be set up")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Opens connections, with TLS if it has settings for it.
#[derive(Clone)]
struct Connector {
    tls: Option<TlsConnector>,
}

impl Connector {
    async fn connect(self, uri: Uri) -> Result<Stream> {
        let host = uri.host().context("the address has no host")?.to_owned();
        let port = uri.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 });
        // Without the brackets of an IPv6 address.
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let stream = TcpStream::connect((name.as_str(), port)).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = self.tls else { return Ok(Stream(Box::new(stream))) };
        let name = ServerName::try_from(name).map_err(|_| anyhow!("the host is not a name"))?;
        Ok(Stream(Box::new(tls.connect(name, stream).await?)))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = anyhow::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Task<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let connected = tokio::time::timeout(CONNECT_TIME_MAX, connector.connect(uri)).await;
            Ok(TokioIo::new(connected.map_err(|_| anyhow!("no connection in time"))??))
        })
    }
}

trait Bytestream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytestream for T {}

/// A connection, encrypted or not.
struct Stream(Box<dyn Bytestream>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Task<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Task<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
