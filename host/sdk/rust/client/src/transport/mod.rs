//! HTTP/1.1 to one server: requests, whole answers, and streams. No redirect is followed, so that the
//! token goes nowhere else.

mod address;
mod connect;
mod tls;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio_rustls::rustls::ClientConfig;

pub(crate) use address::Address;

use crate::error::Error;

/// The largest answer.
pub(crate) const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Connections that are kept for later requests.
const IDLE_MAX: usize = 4;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("signoff-rust/", env!("CARGO_PKG_VERSION")));

type Sender = SendRequest<Full<Bytes>>;

/// A connection to one server.
pub(crate) struct Transport {
    address: Address,
    tls: Option<Arc<ClientConfig>>,
    authorization: Option<HeaderValue>,
    /// Whether the token may only go to this machine.
    local_only: bool,
    idle: Mutex<Vec<Sender>>,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    /// Path and query, below the server's address.
    pub(crate) path: String,
    pub(crate) body: Option<String>,
    pub(crate) idempotency_key: Option<HeaderValue>,
    pub(crate) last_event_id: Option<u64>,
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) request_id: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The connection could not be made, or broke: another try may succeed.
    Broken(String),
    /// Another try changes nothing.
    Refused(String),
}

impl Transport {
    /// # Errors
    ///
    /// `request-invalid`: a malformed address; a token that would be sent in the clear; a malformed
    /// token; authorities that cannot be read.
    pub(crate) fn new(
        url: &str,
        token: Option<&str>,
        ca: Option<&Path>,
        insecure_http: bool,
    ) -> Result<Self, Error> {
        let address = Address::parse(url)?;
        if token.is_some() && address.is_in_the_clear() && !insecure_http {
            return Err(Error::invalid(format!(
                "refusing to send a token to `{}` in the clear: use https://, or `insecure_http` if \
                 the connection is encrypted otherwise, for example by a VPN",
                address.name()
            )));
        }
        let local_only = token.is_some() && !address.is_tls && !insecure_http;
        let authorization = token.map(bearer).transpose()?;
        let tls = address.is_tls.then(|| tls::config(ca)).transpose()?;
        Ok(Self { address, tls, authorization, local_only, idle: Mutex::default() })
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&self, outgoing: &Outgoing) -> Result<Answer, Failure> {
        let mut sender = match self.idle().await {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let answer = match exchange(&mut sender, self.request(outgoing)?).await {
            Ok(answer) => answer,
            Err(failure) => {
                // A server that closes one kept connection has closed the others too.
                if let Ok(mut idle) = self.idle.lock() {
                    idle.clear();
                }
                return Err(failure);
            }
        };
        if let Ok(mut idle) = self.idle.lock()
            && idle.len() < IDLE_MAX
            && !sender.is_closed()
        {
            idle.push(sender);
        }
        Ok(answer)
    }

    /// Sends a request on a connection of its own. Returns the answer before its body.
    pub(crate) async fn stream(&self, outgoing: &Outgoing) -> Result<Response<Incoming>, Failure> {
        let mut sender = self.connect().await?;
        sender.send_request(self.request(outgoing)?).await.map_err(|e| broken(&e))
    }

    async fn connect(&self) -> Result<Sender, Failure> {
        let stream = connect::connect(&self.address, self.tls.as_ref(), self.local_only).await?;
        let handshake = http1::Builder::new()
            // As most clients spell them: not every proxy ignores the case.
            .title_case_headers(true)
            .handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(|e| broken(&e))?;
        // It ends once the sender and the answer are dropped.
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Returns a connection that was kept and is still open.
    async fn idle(&self) -> Option<Sender> {
        loop {
            let mut sender = self.idle.lock().ok()?.pop()?;
            if !sender.is_closed() && sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    fn request(&self, outgoing: &Outgoing) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::builder()
            .method(outgoing.method.clone())
            .uri(format!("{}{}", self.address.prefix, outgoing.path))
            .header(header::HOST, &self.address.authority)
            .header(header::USER_AGENT, USER_AGENT);
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if let Some(key) = &outgoing.idempotency_key {
            request = request.header(IDEMPOTENCY_KEY, key);
        }
        if let Some(id) = outgoing.last_event_id {
            request = request.header(LAST_EVENT_ID, id);
        }
        if outgoing.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = outgoing.body.clone().unwrap_or_default();
        request.body(Full::from(body)).map_err(|e| Failure::Refused(format!("the request: {e}")))
    }
}

/// Without the token.
impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn exchange(sender: &mut Sender, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
    let response = sender.send_request(request).await.map_err(|e| broken(&e))?;
    whole(response).await
}

/// Reads the whole answer.
pub(crate) async fn whole(response: Response<Incoming>) -> Result<Answer, Failure> {
    let (parts, mut incoming) = response.into_parts();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.map_err(|e| broken(&e))?.into_data() else { continue };
        if body.len() + data.len() > ANSWER_BYTES_MAX {
            return Err(Failure::Refused("the answer is larger than 16 MiB".to_owned()));
        }
        body.extend_from_slice(&data);
    }
    Ok(Answer {
        status: parts.status.as_u16(),
        request_id: text(&parts.headers, &X_REQUEST_ID),
        retry_after: text(&parts.headers, &header::RETRY_AFTER)
            .and_then(|seconds| seconds.parse().ok())
            .map(Duration::from_secs),
        body,
    })
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn bearer(token: &str) -> Result<HeaderValue, Error> {
    let wrong = "malformed token: expected visible ASCII characters";
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Error::invalid(wrong));
    }
    let mut value =
        HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| Error::invalid(wrong))?;
    value.set_sensitive(true);
    Ok(value)
}

fn broken(error: &hyper::Error) -> Failure {
    // What hyper cannot parse is not HTTP, and will not be at the next try.
    if error.is_parse() {
        return Failure::Refused(format!("the server's answer is not HTTP: {error}"));
    }
    Failure::Broken(format!("the connection broke: {error}"))
}
