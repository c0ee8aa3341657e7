//! The way of one session to its server: each message is a POST, and what comes back goes to the session.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;
use tokio::task::{AbortHandle, JoinHandle};

use super::events::{Broken, Event, Events};
use super::headers::{self, LAST_EVENT_ID, Named, SESSION};
use super::upstream::{Unreachable, Upstream};
use crate::mcp::{
    Gone, INTERNAL_ERROR, Id, Malformed, Members, Message, Out, SERVER_BYTES_MAX, Session, error,
};

/// Largest body of a response that is not a message.
const REFUSAL_BYTES_MAX: usize = 1 << 20;
/// Attempts to continue a stream that ended early.
const CONTINUATIONS_MAX: u32 = 5;
/// Time before a continuation, unless the server says another.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What a client gets.
#[derive(Debug)]
pub(super) enum Piece {
    /// An event of a stream, as bytes.
    Event { bytes: Vec<u8>, is_last: bool },
    /// The whole response.
    Whole { status: StatusCode, headers: Box<HeaderMap>, text: Vec<u8> },
}

/// Pieces that wait for a client, which may read slowly.
pub(super) const PIECES_MAX: usize = 16;

/// Gives a client a piece, and waits for room. Returns it if the client is gone.
pub(super) fn push(to: &Sender<Piece>, piece: Piece) -> Result<(), Piece> {
    tokio::task::block_in_place(|| to.blocking_send(piece)).map_err(|unsent| unsent.0)
}

/// A message of the server as it came, while the session has it.
pub(super) struct Coming {
    /// The address and length of its text, which tell it from messages of the gate.
    text: (usize, usize),
    pub(super) piece: Option<Piece>,
    /// The stream on which it came, if it did not come as a response to a POST.
    pub(super) stream: Option<Sender<Piece>>,
}

thread_local! {
    static COMING: RefCell<Option<Coming>> = const { RefCell::new(None) };
    static POSTED: RefCell<Option<JoinHandle<Delivered>>> = const { RefCell::new(None) };
}

/// Returns the message that the session has, if a text is its text.
pub(super) fn coming(text: &str) -> Option<Coming> {
    COMING.with_borrow_mut(|coming| {
        let is_it = coming.as_ref().is_some_and(|one| one.text == place(text));
        is_it.then(|| coming.take()).flatten()
    })
}

fn place(text: &str) -> (usize, usize) {
    (text.as_ptr() as usize, text.len())
}

/// Runs something, and returns the POST that it started.
pub(super) fn posted_by(run: impl FnOnce()) -> Option<JoinHandle<Delivered>> {
    POSTED.with_borrow_mut(|posted| *posted = None);
    run();
    POSTED.with_borrow_mut(Option::take)
}

/// How the server took a message.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Takes a piece of the response to a request.
type OnPiece = Box<dyn Fn(&Id, Piece) + Send + Sync>;

/// A session's way to its server.
pub(super) struct Link {
    upstream: Arc<Upstream>,
    runtime: Handle,
    session: OnceLock<Weak<Session>>,
    /// Whether streams that end early are continued here. Clients over HTTP do it themselves.
    continues: bool,
    /// Bytes of events without a message, and what else the client gets.
    pub(super) on_piece: OnceLock<OnPiece>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The id that the server gave the session.
    id: Option<HeaderValue>,
    /// The version that was negotiated.
    version: Option<String>,
    /// Headers of a client's request that is not passed on yet.
    headers: HashMap<Id, HeaderMap>,
    /// Headers of the message that is being taken.
    current: Option<HeaderMap>,
    /// Requests that the server has. True if the response can be continued.
    running: HashMap<Id, (AbortHandle, bool)>,
}

/// Sends the messages of a session.
pub(super) struct ToServer(pub(super) Arc<Link>);

impl Out for ToServer {
    fn send(&self, message: &str, about: Option<&Id>) -> Result<(), Gone> {
        let link = Arc::clone(&self.0);
        // The gate's own requests are about none of the client's.
        let id = about.cloned().or_else(|| match Message::parse(message) {
            Ok(Message::Request { id, .. }) => Some(id),
            _ => None,
        });
        let headers = link.headers_of(message, id.as_ref());
        let text = message.to_owned();
        let (own, theirs) = (Arc::clone(&link), id.clone());
        // Locked until it is known, so that it is not forgotten first.
        let mut state = link.state();
        let posting = link.runtime.spawn(async move { own.post(text, headers, theirs).await });
        if let Some(id) = id {
            state.running.insert(id, (posting.abort_handle(), false));
        }
        drop(state);
        POSTED.with_borrow_mut(|posted| *posted = Some(posting));
        Ok(())
    }
}

impl Link {
    pub(super) fn new(upstream: Arc<Upstream>, runtime: Handle, continues: bool) -> Arc<Self> {
        Arc::new(Self {
            upstream,
            runtime,
            session: OnceLock::new(),
            continues,
            on_piece: OnceLock::new(),
            state: Mutex::default(),
        })
    }

    /// Names the session, once.
    pub(super) fn join(&self, session: &Arc<Session>) {
        let _ = self.session.set(Arc::downgrade(session));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn session(&self) -> Option<Arc<Session>> {
        self.session.get().and_then(Weak::upgrade)
    }

    /// Remembers the headers of a client's message until it is passed on.
    pub(super) fn expect(&self, id: Option<&Id>, headers: HeaderMap) {
        let mut state = self.state();
        match id {
            Some(id) => drop(state.headers.insert(id.clone(), headers)),
            None => state.current = Some(headers),
        }
    }

    /// Returns the headers of a message, with the server's id of the session.
    fn headers_of(&self, message: &str, about: Option<&Id>) -> HeaderMap {
        let mut state = self.state();
        let known = match about {
            Some(id) => state.headers.remove(id),
            None => state.current.take(),
        };
        let mut headers = known.unwrap_or_else(|| {
            let (named, params) = match Message::parse(message) {
                Ok(Message::Request { method, params, .. }) => (Named::of(&method, params), params),
                Ok(Message::Notification { method, params }) => {
                    (Named::of(&method, params), params)
                }
                _ => (Named::of("", None), None),
            };
            let session = self.session();
            let tool = session.zip(named.tool());
            let tool = tool.and_then(|(session, name)| session.tools.accepted(name).ok());
            let tool = tool.as_ref().map(|tool| tool.text());
            named.headers(state.version.as_deref(), tool, params)
        });
        if let Some(id) = &state.id {
            headers.insert(SESSION, id.clone());
        }
        headers
    }

    /// The id of the session at the server.
    pub(super) fn id(&self) -> Option<HeaderValue> {
        self.state().id.clone()
    }

    /// Forgets a request of which nobody takes the response, and closes its connection.
    pub(super) fn close(&self, id: &Id) {
        let mut state = self.state();
        state.headers.remove(id);
        if let Some((posting, _)) = state.running.remove(id) {
            posting.abort();
        }
    }

    /// Returns whether the response of a request can be continued on another connection.
    pub(super) fn can_be_continued(&self, id: &Id) -> bool {
        self.state().running.get(id).is_some_and(|(_, continuable)| *continuable)
    }

    /// Sends a message and takes what comes back.
    async fn post(self: Arc<Self>, text: String, headers: HeaderMap, id: Option<Id>) -> Delivered {
        let sent = self.upstream.send(Method::POST, headers, Some(text)).await;
        let delivered = match sent {
            Ok(response) => self.take(response, id.as_ref()).await,
            Err(e) => self.unreachable(&e, id.as_ref()),
        };
        if let Some(id) = &id {
            self.state().running.remove(id);
        }
        delivered
    }

    fn unreachable(&self, error: &Unreachable, id: Option<&Id>) -> Delivered {
        let why = format!("the MCP server cannot be reached: {}", error.why);
        if let (Some(session), Some(id)) = (self.session(), id) {
            match error.before_sending {
                // An answer of the gate in the server's place: the call is known to have failed.
                true => {
                    session
                        .take_from_server(&self::error(Some(id), INTERNAL_ERROR, &why), Some(id));
                }
                false => lost(&session, id, &why),
            }
        }
        Delivered {
            status: StatusCode::BAD_GATEWAY,
            headers: HeaderMap::new(),
            body: self::error(id, INTERNAL_ERROR, &why).into_bytes(),
        }
    }

    /// Takes the response to a message.
    async fn take(&self, response: Response<Incoming>, id: Option<&Id>) -> Delivered {
        let status = response.status();
        let passing = headers::of_server(response.headers());
        if let Some(given) = response.headers().get(SESSION).filter(|_| status.is_success()) {
            let mut state = self.state();
            // Once: another one would mix up two sessions.
            state.id.get_or_insert_with(|| given.clone());
        }
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
        let is = |wanted: &str| {
            kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted))
        };
        if status.is_success() && is("text/event-stream") {
            let body = response.into_body();
            self.stream(body, id, None).await;
            return Delivered { status, headers: passing, body: Vec::new() };
        }
        let most = if status.is_success() { SERVER_BYTES_MAX } else { REFUSAL_BYTES_MAX };
        let collected = Limited::new(response.into_body(), most).collect().await;
        let Ok(collected) = collected else {
            let why = "the response of the MCP server is incomplete or too long";
            if let (Some(session), Some(id)) = (self.session(), id) {
                lost(&session, id, why);
            }
            let body = error(id, INTERNAL_ERROR, why).into_bytes();
            return Delivered { status: StatusCode::BAD_GATEWAY, headers: HeaderMap::new(), body };
        };
        let body = collected.to_bytes().to_vec();
        if let Some(id) = id {
            self.whole(status, &passing, &body, id);
        }
        Delivered { status, headers: passing, body }
    }

    /// Takes a response in one piece.
    fn whole(&self, status: StatusCode, passing: &HeaderMap, body: &[u8], id: &Id) {
        let Some(session) = self.session() else { return };
        let whole = |text: &[u8]| Piece::Whole {
            status,
            headers: Box::new(passing.clone()),
            text: text.to_vec(),
        };
        let text = std::str::from_utf8(body).unwrap_or_default();
        let parsed = Message::parse(text.trim());
        let answers = matches!(
            &parsed,
            Ok(Message::Response { id: Some(one), .. }) if one == id
        );
        if answers {
            self.remember_version(&parsed);
            return give(&session, text.trim(), Some(whole(body)), None, Some(id));
        }
        if status.is_redirection() {
            return lost(
                &session,
                id,
                "the MCP server redirects, which the gate does not follow: give the final address",
            );
        }
        // The client gets the server's own words, and the session the end of the request.
        let why = format!("the MCP server answered with HTTP status {}", status.as_u16());
        let ending = error(Some(id), INTERNAL_ERROR, &why);
        match status.is_client_error() {
            // The server refused it, so that nothing ran.
            true => give(&session, &ending, Some(whole(body)), None, Some(id)),
            false => {
                if let Some(on_piece) = self.on_piece.get().filter(|_| !status.is_success()) {
                    on_piece(id, whole(body));
                }
                lost(&session, id, &why);
            }
        }
    }

    /// Learns the version from the response to `initialize`.
    fn remember_version(&self, parsed: &Result<Message<'_>, Malformed>) {
        let Ok(Message::Response { result: Some(result), .. }) = parsed else { return };
        let mut state = self.state();
        if state.version.is_none() {
            let members = Members::parse(result.get()).ok();
            state.version = members.and_then(|one| one.string("protocolVersion").ok().flatten());
        }
    }

    /// Takes the events of a stream. `to` is where they go if they do not answer a POST.
    pub(super) async fn stream(
        &self,
        body: Incoming,
        about: Option<&Id>,
        to: Option<&Sender<Piece>>,
    ) {
        let mut last = Last::default();
        let mut ended = self.events(body, about, to, &mut last).await;
        let mut left = if self.continues { CONTINUATIONS_MAX } else { 0 };
        while let (Ended::Early, Some(id), 1..) = (&ended, &last.id, left) {
            left -= 1;
            tokio::time::sleep(last.pause.unwrap_or(PAUSE).min(PAUSE_MAX)).await;
            let from = HeaderValue::from_str(id).ok();
            if let Ok(response) = self.listen(from).await
                && response.status().is_success()
            {
                ended = self.events(response.into_body(), about, to, &mut last).await;
            }
        }
        let (Some(session), Some(id)) = (self.session(), about) else { return };
        match ended {
            Ended::Answered => {}
            Ended::Early if last.id.is_some() && !self.continues => {
                if let Some(on_piece) = self.on_piece.get() {
                    on_piece(id, Piece::Event { bytes: Vec::new(), is_last: true });
                }
            }
            Ended::Early => lost(&session, id, "the MCP server ended its response early"),
            Ended::Broken(Broken::TooLong) => lost(&session, id, "the MCP server sent too much"),
            Ended::Broken(Broken::NotText) => lost(&session, id, "the MCP server sent no UTF-8"),
        }
    }

    async fn events(
        &self,
        mut body: Incoming,
        about: Option<&Id>,
        to: Option<&Sender<Piece>>,
        last: &mut Last,
    ) -> Ended {
        let mut events = Events::default();
        loop {
            loop {
                match events.next() {
                    Ok(None) => break,
                    Ok(Some(event)) => {
                        last.note(&event);
                        if event.id.is_some()
                            && let Some(id) = about
                            && let Some((_, continuable)) = self.state().running.get_mut(id)
                        {
                            *continuable = true;
                        }
                        if self.event(event, about, to) {
                            return Ended::Answered;
                        }
                    }
                    Err(broken) => return Ended::Broken(broken),
                }
            }
            match body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(bytes) = frame.data_ref() {
                        events.push(bytes);
                    }
                }
                Some(Err(_)) | None => return Ended::Early,
            }
        }
    }

    /// Takes one event. Returns whether it answers the request.
    fn event(&self, event: Event, about: Option<&Id>, to: Option<&Sender<Piece>>) -> bool {
        let Some(session) = self.session() else { return true };
        if event.data.is_empty() {
            let piece = Piece::Event { bytes: event.raw, is_last: false };
            match (to, about, self.on_piece.get()) {
                (Some(to), ..) => drop(push(to, piece)),
                (None, Some(id), Some(on_piece)) => on_piece(id, piece),
                _ => {}
            }
            return false;
        }
        let parsed = Message::parse(&event.data);
        let answers = matches!((&parsed, about), (Ok(Message::Response { id: Some(one), .. }), Some(id)) if one == id);
        if answers {
            self.remember_version(&parsed);
        }
        let piece = Piece::Event { bytes: event.raw, is_last: answers };
        give(&session, &event.data, Some(piece), to, about);
        answers
    }

    /// Opens the stream of messages that answer no request, or continues one.
    pub(super) async fn listen(
        &self,
        from: Option<HeaderValue>,
    ) -> Result<Response<Incoming>, Unreachable> {
        let mut headers = Named::of("", None).headers(self.state().version.as_deref(), None, None);
        headers.remove(header::CONTENT_TYPE);
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(from) = from {
            headers.insert(LAST_EVENT_ID, from);
        }
        self.other(Method::GET, headers).await
    }

    /// Waits until the server has taken a message. Not for tasks of the runtime.
    pub(super) fn wait_for(&self, posted: JoinHandle<Delivered>) {
        let _ = self.runtime.block_on(posted);
    }

    /// Cancels a request by closing its connection if the message asks for it: without a handshake a server
    /// over HTTP takes no such message.
    pub(super) fn ends_by_closing(&self, message: &str) -> bool {
        let Ok(Message::Notification { method, params }) = Message::parse(message) else {
            return false;
        };
        if method != "notifications/cancelled" || self.state().version.is_some() {
            return false;
        }
        let members = params.and_then(|params| Members::parse(params.get()).ok());
        if let Some(id) = members.and_then(|all| all.value("requestId").and_then(Id::parse)) {
            self.close(&id);
        }
        true
    }

    /// Takes messages that answer no request, as long as the session lasts.
    pub(super) fn listen_in_background(self: &Arc<Self>) {
        let link = Arc::clone(self);
        self.runtime.spawn(async move {
            // A server without such messages answers 405.
            if let Ok(response) = link.listen(None).await
                && response.status().is_success()
            {
                link.stream(response.into_body(), None, None).await;
            }
        });
    }

    /// Sends a request without a message.
    pub(super) async fn other(
        &self,
        method: Method,
        mut headers: HeaderMap,
    ) -> Result<Response<Incoming>, Unreachable> {
        if let Some(id) = self.id() {
            headers.insert(SESSION, id);
        }
        self.upstream.send(method, headers, None).await
    }
}

/// Why no more events come.
enum Ended {
    Answered,
    Early,
    Broken(Broken),
}

/// Where a stream can be continued.
#[derive(Default)]
struct Last {
    id: Option<String>,
    pause: Option<Duration>,
}

impl Last {
    fn note(&mut self, event: &Event) {
        if event.id.is_some() {
            self.id.clone_from(&event.id);
        }
        if let Some(retry) = event.retry {
            self.pause = Some(Duration::from_millis(retry));
        }
    }
}

/// Ends a request that the server does not answer.
fn lost(session: &Arc<Session>, id: &Id, why: &str) {
    match id.is_of_gate() {
        true => session.take_from_server(&error(Some(id), INTERNAL_ERROR, why), None),
        false => session.lost(id, why),
    }
}

/// Gives the session a message of the server, as it came.
fn give(
    session: &Arc<Session>,
    text: &str,
    piece: Option<Piece>,
    to: Option<&Sender<Piece>>,
    about: Option<&Id>,
) {
    let coming = Coming { text: place(text), piece, stream: to.cloned() };
    // A client on a pipe may read slowly.
    tokio::task::block_in_place(|| {
        COMING.with_borrow_mut(|current| *current = Some(coming));
        session.take_from_server(text, about);
        COMING.with_borrow_mut(|current| *current = None);
    });
}
