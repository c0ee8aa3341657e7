//! The side of the clients: one endpoint for each server.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures_util::stream;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::{Receiver, channel};

use super::client::{Client, Taken};
use super::headers::{self, HEADER_MISMATCH, LAST_EVENT_ID, Named, SESSION, VERSION, only};
use super::link::{PIECES_MAX, Piece};
use super::upstream::Upstream;
use crate::api::is_loopback_name;
use crate::mcp::{
    CLIENT_BYTES_MAX, Gate, INTERNAL_ERROR, INVALID_REQUEST, Id, Malformed, Message, error,
};

/// Sessions at a time. The one that was used least recently makes room for another one.
const SESSIONS_MAX: usize = 1_024;
/// Time after which the response to a call begins as a stream, because clients limit the time until
/// its first byte.
const STREAM_AFTER: Duration = Duration::from_secs(1);
/// Time between two comments in a stream, which keep proxies and clients from closing it.
const COMMENT: Duration = Duration::from_secs(15);

/// Clients by the name of the server and the id of the session, with the number of their last use.
type Sessions = HashMap<(String, String), (Arc<Client>, u64)>;

/// What the clients reach.
pub(super) struct Front {
    pub(super) gate: Arc<Gate>,
    pub(super) upstreams: HashMap<String, Arc<Upstream>>,
    /// The digest of the token that clients show.
    pub(super) token: Option<[u8; 32]>,
    /// Host names of clients' requests besides those of this machine.
    pub(super) hosts: Vec<String>,
    pub(super) sessions: Mutex<Sessions>,
    pub(super) uses: AtomicU64,
}

type Shared = Arc<Front>;

/// Makes the routes.
pub(super) fn router(front: Shared) -> Router {
    Router::new().route("/{name}", any(handle)).with_state(front)
}

/// A response that is ready, although the request is refused.
type Refused = Box<Response>;

async fn handle(
    State(front): State<Shared>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let answered = front.answer(&name, request).await;
    let mut response = answered.unwrap_or_else(|refused| *refused);
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Returns a refusal with an error of JSON-RPC.
fn refused(status: StatusCode, code: i32, id: Option<&Id>, why: &str) -> Refused {
    let body = error(id, code, &format!("refused by signoff: {why}"));
    let json = [(header::CONTENT_TYPE, "application/json")];
    let mut response = (status, json, body).into_response();
    if status == StatusCode::UNAUTHORIZED {
        let bearer = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
    }
    Box::new(response)
}

fn invalid(status: StatusCode, why: &str) -> Refused {
    refused(status, INVALID_REQUEST, None, why)
}

impl Front {
    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns all clients with a session, and forgets them.
    pub(super) fn take_all(&self) -> Vec<Arc<Client>> {
        self.sessions().drain().map(|(_, (client, _))| client).collect()
    }

    async fn answer(&self, name: &str, request: Request) -> Result<Response, Refused> {
        self.admit(&request)?;
        let missing = || invalid(StatusCode::NOT_FOUND, "there is no MCP server of this name");
        let upstream = self.upstreams.get(name).ok_or_else(missing)?;
        let (head, body) = request.into_parts();
        match head.method {
            Method::POST => self.post(name, upstream, &head.headers, body).await,
            Method::GET => self.get(name, &head.headers).await,
            Method::DELETE => self.delete(name, &head.headers).await,
            _ => {
                let mut refused =
                    invalid(StatusCode::METHOD_NOT_ALLOWED, "use POST, GET or DELETE");
                let allow = HeaderValue::from_static("POST, GET, DELETE");
                refused.headers_mut().insert(header::ALLOW, allow);
                Err(refused)
            }
        }
    }

    /// Checks who calls: a page in a browser of this machine reaches this address too.
    fn admit(&self, request: &Request) -> Result<(), Refused> {
        let headers = request.headers();
        let forbidden = |why: &str| invalid(StatusCode::FORBIDDEN, why);
        let is_ours = |host: &str| {
            is_loopback_name(host)
                || self.hosts.iter().any(|one| {
                    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
                    one.eq_ignore_ascii_case(host) || one.eq_ignore_ascii_case(name)
                })
        };
        let host = only(headers, &header::HOST).map_err(|why| forbidden(&why))?;
        if (host.is_none() && request.version() == Version::HTTP_11)
            || !host.into_iter().chain(request.uri().host()).all(is_ours)
        {
            return Err(forbidden(
                "the name in `Host` is not one of this gate: name it with --host",
            ));
        }
        let origin = only(headers, &header::ORIGIN).map_err(|why| forbidden(&why))?;
        let host_of = |origin: &str| origin.split_once("://").map(|(_, host)| host.to_owned());
        if !origin.is_none_or(|origin| host_of(origin).is_some_and(|host| is_ours(&host))) {
            return Err(forbidden("the page in `Origin` is not of this gate"));
        }
        let Some(expected) = self.token else { return Ok(()) };
        let given = only(headers, &header::AUTHORIZATION).ok().flatten();
        let token = given.and_then(|given| {
            let (scheme, token) = given.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
        });
        // Digests are compared, so that the time says nothing of the token.
        let digest: Option<[u8; 32]> = token.map(|token| Sha256::digest(token).into());
        match digest == Some(expected) {
            true => Ok(()),
            false => Err(invalid(StatusCode::UNAUTHORIZED, "the token of this gate is required")),
        }
    }

    /// Finds the session that a request names.
    fn session(&self, name: &str, headers: &HeaderMap) -> Result<Option<Arc<Client>>, Refused> {
        let id = only(headers, &SESSION).map_err(|why| invalid(StatusCode::BAD_REQUEST, &why))?;
        let Some(id) = id else { return Ok(None) };
        let mut sessions = self.sessions();
        let Some((client, used)) = sessions.get_mut(&(name.to_owned(), id.to_owned())) else {
            return Err(invalid(
                StatusCode::NOT_FOUND,
                "the session is not known: initialize again",
            ));
        };
        *used = self.uses.fetch_add(1, Ordering::Relaxed);
        Ok(Some(Arc::clone(client)))
    }

    /// Remembers a session. Returns its id for the client.
    fn remember(&self, name: &str, client: &Arc<Client>) -> Result<HeaderValue, Refused> {
        let own = || HeaderValue::try_from(hex::encode(rand::random::<[u8; 16]>())).ok();
        let id = client.link.id().or_else(own);
        let text = id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
        let key = (name.to_owned(), text);
        let used = self.uses.fetch_add(1, Ordering::Relaxed);
        let mut sessions = self.sessions();
        let Some(id) = id.filter(|_| !key.1.is_empty() && !sessions.contains_key(&key)) else {
            let why = "the MCP server gave an id of a session that is taken or not ASCII";
            return Err(refused(StatusCode::BAD_GATEWAY, INTERNAL_ERROR, None, why));
        };
        if sessions.len() >= SESSIONS_MAX {
            let oldest = sessions.iter().min_by_key(|(_, (_, used))| *used);
            let oldest = oldest.map(|(key, _)| key.clone());
            if let Some((client, _)) = oldest.and_then(|key| sessions.remove(&key)) {
                client.session.client_gone();
            }
        }
        sessions.insert(key, (Arc::clone(client), used));
        Ok(id)
    }

    fn forget(&self, name: &str, headers: &HeaderMap) {
        let Ok(Some(id)) = only(headers, &SESSION) else { return };
        let known = self.sessions().remove(&(name.to_owned(), id.to_owned()));
        if let Some((client, _)) = known {
            client.session.client_gone();
        }
    }

    async fn post(
        &self,
        name: &str,
        upstream: &Arc<Upstream>,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Response, Refused> {
        let text = read(headers, body).await?;
        let wrong = |Malformed { code, id, why }: Malformed| {
            refused(StatusCode::BAD_REQUEST, code, id.as_ref(), &why)
        };
        let (id, named, params) = match Message::parse(&text).map_err(wrong)? {
            Message::Request { id, method, params } => {
                (Some(id), Some(Named::of(&method, params)), params)
            }
            Message::Notification { method, params } => {
                (None, Some(Named::of(&method, params)), params)
            }
            Message::Response { .. } => (None, None, None),
        };
        if let Some(named) = &named {
            let mismatch =
                |why: String| refused(StatusCode::BAD_REQUEST, HEADER_MISMATCH, id.as_ref(), &why);
            named.agrees(headers).map_err(mismatch)?;
        }
        let known = self.session(name, headers)?;
        let begins = named.as_ref().is_some_and(|named| named.method == "initialize");
        let brief = named.as_ref().is_some_and(Named::has_no_session)
            || (id.is_none() && without_handshake(headers));
        let client = match known {
            Some(client) => client,
            None if begins || brief => Client::new(&self.gate, name, upstream, !begins),
            None => {
                let why = "the session is missing: send `Mcp-Session-Id`, or initialize first";
                return Err(refused(StatusCode::BAD_REQUEST, INVALID_REQUEST, id.as_ref(), why));
            }
        };
        if let Some((named, tool)) = named.as_ref().and_then(|named| Some((named, named.tool()?)))
            && named.has_no_session()
        {
            let known = client.session.tools.accepted(tool).ok();
            let known = known.as_ref().map(|tool| tool.text());
            let mismatch =
                |why: String| refused(StatusCode::BAD_REQUEST, HEADER_MISMATCH, id.as_ref(), &why);
            named.agrees_with(headers, known, params).map_err(mismatch)?;
        }
        let passing = headers::of_client(headers, upstream, self.token.is_none());
        let receiver = match client.take(&text, id.as_ref(), passing).await {
            Taken::Answer(receiver) => receiver,
            Taken::Sent(posted, receiver) => return sent(posted, receiver).await,
            Taken::Duplicate => {
                let why = "a request with this `id` has no answer yet";
                return Err(refused(StatusCode::BAD_REQUEST, INVALID_REQUEST, None, why));
            }
        };
        let Some(id) = id else { return Ok(StatusCode::ACCEPTED.into_response()) };
        let waiting = Waiting { client: Arc::clone(&client), id, done: false, receiver };
        let calls = named.as_ref().is_some_and(|named| named.method == "tools/call");
        let streams = calls && accepts_stream(headers);
        let mut response = waiting.response(streams).await;
        if begins && response.status().is_success() {
            let id = self.remember(name, &client)?;
            response.headers_mut().insert(SESSION, id);
        }
        if response.status() == StatusCode::NOT_FOUND && !client.is_brief {
            self.forget(name, headers);
        }
        Ok(response)
    }

    /// Opens the stream of messages that answer no request, or continues a stream.
    async fn get(&self, name: &str, headers: &HeaderMap) -> Result<Response, Refused> {
        let missing =
            || invalid(StatusCode::METHOD_NOT_ALLOWED, "there is no session to listen to");
        let client = self.session(name, headers)?.ok_or_else(missing)?;
        only(headers, &LAST_EVENT_ID).map_err(|why| invalid(StatusCode::BAD_REQUEST, &why))?;
        let upstream = self.upstreams.get(name).ok_or_else(missing)?;
        let passing = headers::of_client(headers, upstream, self.token.is_none());
        let response = client
            .link
            .other(Method::GET, passing)
            .await
            .map_err(|e| refused(StatusCode::BAD_GATEWAY, INTERNAL_ERROR, None, &e.why))?;
        let status = response.status();
        let passing = headers::of_server(response.headers());
        if !status.is_success() {
            return Ok((status, passing).into_response());
        }
        let (sender, receiver) = channel(PIECES_MAX);
        let link = Arc::clone(&client.link);
        let reading = tokio::spawn(async move {
            link.stream(response.into_body(), None, Some(&sender)).await;
        });
        let listening = Listening { receiver, reading: reading.abort_handle() };
        Ok((status, passing, Body::from_stream(stream::unfold(listening, Listening::next)))
            .into_response())
    }

    async fn delete(&self, name: &str, headers: &HeaderMap) -> Result<Response, Refused> {
        let missing = || invalid(StatusCode::METHOD_NOT_ALLOWED, "there is no session to end");
        let client = self.session(name, headers)?.ok_or_else(missing)?;
        let upstream = self.upstreams.get(name).ok_or_else(missing)?;
        self.forget(name, headers);
        let passing = headers::of_client(headers, upstream, self.token.is_none());
        let response = client
            .link
            .other(Method::DELETE, passing)
            .await
            .map_err(|e| refused(StatusCode::BAD_GATEWAY, INTERNAL_ERROR, None, &e.why))?;
        Ok((response.status(), headers::of_server(response.headers())).into_response())
    }
}

/// Reads the message of a POST.
async fn read(headers: &HeaderMap, body: Body) -> Result<String, Refused> {
    let kind = only(headers, &header::CONTENT_TYPE);
    let kind = kind.map_err(|why| invalid(StatusCode::BAD_REQUEST, &why))?.unwrap_or_default();
    if !headers::is_json(kind) {
        // A page of another origin can send other types without a question.
        let why = "expected `Content-Type: application/json`, in UTF-8";
        return Err(invalid(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        let why = "expected a body without `Content-Encoding`";
        return Err(invalid(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    }
    let collected = Limited::new(body, CLIENT_BYTES_MAX).collect().await;
    let bytes = collected.map_err(|e| match e.downcast_ref::<LengthLimitError>() {
        Some(_) => {
            let why = format!("the message is longer than {CLIENT_BYTES_MAX} bytes");
            invalid(StatusCode::PAYLOAD_TOO_LARGE, &why)
        }
        None => invalid(StatusCode::BAD_REQUEST, "the body is incomplete"),
    })?;
    String::from_utf8(bytes.to_bytes().to_vec())
        .map_err(|_| invalid(StatusCode::BAD_REQUEST, "the message is not UTF-8"))
}

fn without_handshake(headers: &HeaderMap) -> bool {
    let version = only(headers, &VERSION).ok().flatten();
    version.is_some_and(|version| version >= crate::mcp::VERSION_WITHOUT_HANDSHAKE)
}

fn accepts_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.contains("text/event-stream") || value.contains("*/*"))
}

/// Answers a notification or a response of the client as the server did.
async fn sent(
    posted: Option<tokio::task::JoinHandle<super::link::Delivered>>,
    mut receiver: Receiver<Piece>,
) -> Result<Response, Refused> {
    if let Ok(Piece::Whole { headers, text, .. }) = receiver.try_recv() {
        return Ok((StatusCode::BAD_REQUEST, *headers, text).into_response());
    }
    let Some(posted) = posted else { return Ok(StatusCode::ACCEPTED.into_response()) };
    match posted.await {
        Ok(delivered) => Ok((delivered.status, delivered.headers, delivered.body).into_response()),
        Err(_) => {
            let why = "signoff failed; this is a defect, please report it";
            Err(refused(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL_ERROR, None, why))
        }
    }
}

/// A client that waits for a response.
struct Waiting {
    client: Arc<Client>,
    id: Id,
    /// It has the response.
    done: bool,
    receiver: Receiver<Piece>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.done {
            self.client.left(&self.id);
        }
    }
}

impl Waiting {
    /// Waits for the beginning of the response.
    async fn response(mut self, streams: bool) -> Response {
        let first = match streams {
            true => tokio::time::timeout(STREAM_AFTER, self.receiver.recv()).await,
            false => Ok(self.receiver.recv().await),
        };
        let first = match first {
            Ok(Some(Piece::Whole { status, headers, text })) => {
                self.done = true;
                return (status, *headers, text).into_response();
            }
            Ok(Some(piece)) => Some(piece),
            Ok(None) => {
                self.done = true;
                let why = "the session has ended";
                return *refused(StatusCode::NOT_FOUND, INVALID_REQUEST, Some(&self.id), why);
            }
            Err(_) => None,
        };
        let kind = [(header::CONTENT_TYPE, "text/event-stream")];
        let body = stream::unfold((self, first, true), |(mut waiting, first, begins)| async move {
            if waiting.done {
                return None;
            }
            let bytes = match first {
                Some(piece) => waiting.bytes(piece),
                // The first byte is sent at once.
                None if begins => Bytes::from_static(b": waiting\n\n"),
                None => match tokio::time::timeout(COMMENT, waiting.receiver.recv()).await {
                    Ok(Some(piece)) => waiting.bytes(piece),
                    Ok(None) => {
                        waiting.done = true;
                        drop(waiting);
                        return None;
                    }
                    Err(_) => Bytes::from_static(b": waiting\n\n"),
                },
            };
            Some((Ok::<_, Infallible>(bytes), (waiting, None, false)))
        });
        (StatusCode::OK, kind, Body::from_stream(body)).into_response()
    }

    /// Returns a piece as a part of a stream.
    fn bytes(&mut self, piece: Piece) -> Bytes {
        match piece {
            Piece::Event { bytes, is_last } => {
                self.done |= is_last;
                Bytes::from(bytes)
            }
            Piece::Whole { text, status, .. } => {
                self.done = true;
                let text = String::from_utf8_lossy(&text);
                match Message::parse(text.trim()) {
                    Ok(Message::Response { id: Some(id), .. }) if id == self.id => {
                        Bytes::from(super::events::of_message(text.trim()))
                    }
                    // The stream has begun, so that the status cannot be passed on.
                    _ => {
                        let why =
                            format!("the MCP server answered with HTTP status {}", status.as_u16());
                        let ending = error(Some(&self.id), INTERNAL_ERROR, &why);
                        Bytes::from(super::events::of_message(&ending))
                    }
                }
            }
        }
    }
}

/// A client that listens to messages which answer no request.
struct Listening {
    receiver: Receiver<Piece>,
    reading: tokio::task::AbortHandle,
}

impl Listening {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        loop {
            match self.receiver.recv().await? {
                Piece::Event { bytes, .. } => return Some((Ok(Bytes::from(bytes)), self)),
                Piece::Whole { .. } => {}
            }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.reading.abort();
    }
}
