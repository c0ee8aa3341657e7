//! One client over HTTP: a session, the responses that are open, and the way to the server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::{HeaderMap, StatusCode, header};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::events;
use super::link::{self, Link, PIECES_MAX, Piece, ToServer};
use super::upstream::Upstream;
use crate::mcp::{Gate, Gone, Id, Message, Out, Session};

/// The responses that are open, by the request.
#[derive(Default)]
struct Open {
    streams: Mutex<HashMap<Id, Sender<Piece>>>,
    /// Takes what answers a malformed message.
    current: Mutex<Option<Sender<Piece>>>,
}

impl Open {
    fn streams(&self) -> MutexGuard<'_, HashMap<Id, Sender<Piece>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a piece to the response of a request. Returns it if there is none.
    fn give(&self, id: &Id, piece: Piece) -> Option<Piece> {
        let is_last = match &piece {
            Piece::Event { is_last, .. } => *is_last,
            Piece::Whole { .. } => true,
        };
        let mut streams = self.streams();
        let stream = if is_last { streams.remove(id) } else { streams.get(id).cloned() };
        drop(streams);
        match stream {
            Some(stream) => link::push(&stream, piece).err(),
            None => Some(piece),
        }
    }
}

/// Sends messages to the client.
struct ToClient(Arc<Open>);

impl Out for ToClient {
    fn send(&self, message: &str, about: Option<&Id>) -> Result<(), Gone> {
        let coming = link::coming(message);
        let (piece, stream) = coming.map_or((None, None), |one| (one.piece, one.stream));
        let is_last = matches!(Message::parse(message), Ok(Message::Response { .. }));
        let piece = piece.unwrap_or_else(|| match (about, is_last) {
            (Some(_), true) | (None, _) => of_gate(message),
            (Some(_), false) => Piece::Event { bytes: events::of_message(message), is_last: false },
        });
        let left = match about {
            Some(id) => self.0.give(id, piece),
            None => Some(piece),
        };
        let Some(piece) = left else { return Ok(()) };
        let current = || {
            // What is about a request does not answer another one.
            let mut current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
            if about.is_none() { current.take() } else { None }
        };
        match stream.or_else(current) {
            Some(stream) => link::push(&stream, piece).map_err(|_| Gone),
            None => Err(Gone),
        }
    }
}

/// Returns an answer of the gate.
fn of_gate(message: &str) -> Piece {
    let mut headers = HeaderMap::new();
    let json = axum::http::HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    Piece::Whole {
        status: StatusCode::OK,
        headers: Box::new(headers),
        text: message.as_bytes().to_vec(),
    }
}

/// A client.
pub(super) struct Client {
    pub(super) session: Arc<Session>,
    pub(super) link: Arc<Link>,
    open: Arc<Open>,
    /// Held while a message is taken, whose answer may have no id.
    taking: tokio::sync::Mutex<()>,
    /// Whether the session ends with the request.
    pub(super) is_brief: bool,
}

/// How a message was taken.
pub(super) enum Taken {
    /// A response follows.
    Answer(Receiver<Piece>),
    /// It was passed on or refused, and has no answer of its own.
    Sent(Option<tokio::task::JoinHandle<link::Delivered>>, Receiver<Piece>),
    /// A request with this id has no answer yet.
    Duplicate,
}

impl Client {
    pub(super) fn new(
        gate: &Arc<Gate>,
        name: &str,
        upstream: &Arc<Upstream>,
        is_brief: bool,
    ) -> Arc<Self> {
        let open = Arc::new(Open::default());
        let link = Link::new(Arc::clone(upstream), Handle::current(), false);
        let to_server = Box::new(ToServer(Arc::clone(&link)));
        let session = gate.session(name, Box::new(ToClient(Arc::clone(&open))), to_server);
        link.join(&session);
        let of_link = Arc::clone(&open);
        let _ = link.on_piece.set(Box::new(move |id, piece| drop(of_link.give(id, piece))));
        Arc::new(Self { session, link, open, taking: tokio::sync::Mutex::default(), is_brief })
    }

    /// Takes a message of the client, with its headers.
    pub(super) async fn take(&self, text: &str, id: Option<&Id>, headers: HeaderMap) -> Taken {
        let _one = self.taking.lock().await;
        let (sender, receiver) = channel(PIECES_MAX);
        if let Some(id) = id {
            let mut streams = self.open.streams();
            if streams.contains_key(id) {
                return Taken::Duplicate;
            }
            streams.insert(id.clone(), sender.clone());
        }
        let current = |sender| {
            *self.open.current.lock().unwrap_or_else(PoisonError::into_inner) = sender;
        };
        current(Some(sender));
        self.link.expect(id, headers);
        let posted =
            tokio::task::block_in_place(|| link::posted_by(|| self.session.take_from_client(text)));
        current(None);
        match id {
            Some(_) => Taken::Answer(receiver),
            None => Taken::Sent(posted, receiver),
        }
    }

    /// Takes note that the client closed the connection on which it waited for a response.
    pub(super) fn left(&self, id: &Id) {
        self.open.streams().remove(id);
        if self.is_brief {
            self.session.cancel(id);
            self.link.close(id);
            return;
        }
        if !self.session.abandon(id) && self.link.can_be_continued(id) {
            // The server keeps what the client has missed, as without the gate.
            self.link.close(id);
        }
    }
}
