//! A gate between a client and the servers of the Model Context Protocol: `tools/call` needs the policy's
//! consent, and everything else passes as the text that it is.
//!
//! This is the part without processes, sockets and approvals. A [`Session`] takes each message of one
//! client and of one server as text, and gives out texts through [`Out`]. What a call needs before it
//! is passed on, a [`Decider`] says. Only what decides is parsed, strictly: a message in which two readers
//! could see two different calls is refused.

mod answer;
mod call;
mod message;
mod pins;
mod schema;
mod session;
mod several;
mod tools;

pub(crate) use answer::{Answer, error};
pub(crate) use call::{Call, Ended};
pub(crate) use message::{INTERNAL_ERROR, INVALID_REQUEST, Id, Malformed, Members, Message};
pub(crate) use pins::{Pins, Record, Texts};
pub(crate) use session::{Gate, Gone, Out, Session};
pub(crate) use several::{SEPARATOR, Several};
pub(crate) use tools::{Accepted, Refusal, digest};

use std::sync::Arc;

/// The first version that has messages of a server in the answer of a call, and no handshake.
pub(crate) const VERSION_WITHOUT_HANDSHAKE: &str = "2026-07-28";

/// Largest message of a client. A context has at most 1 MiB, and an image in a prompt is larger.
pub(crate) const CLIENT_BYTES_MAX: usize = 16 << 20;

/// Largest message of a server, which may contain files.
pub(crate) const SERVER_BYTES_MAX: usize = 64 << 20;

/// Calls of one client at a time.
pub(crate) const CALLS_MAX: usize = 64;

/// Says what a call needs, and reports what became of it. It may block: each call has a thread.
pub(crate) trait Decider: Send + Sync {
    /// Decides a call: it is passed on with [`Call::pass_on`] or answered with [`Call::answer`].
    fn decide(&self, call: &Arc<Call>);
}
