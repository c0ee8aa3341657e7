//! A client on standard input and output, and an MCP server over HTTP.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, Method};

use super::link::{Link, ToServer, posted_by};
use super::settings::Server;
use super::upstream::Upstream;
use crate::cli::exit::{Exit, Failure};
use crate::cli::mcp::stdio::{self, Lines};
use crate::cli::output::note;
use crate::mcp::{Gate, Gone, Id, Message, Out};

/// Time to withdraw requests and to report outcomes at the end.
const CLEAN_UP: Duration = Duration::from_secs(20);
/// Time for the server to take note that the session ends.
const GOODBYE: Duration = Duration::from_secs(5);

/// Passes messages between standard input and output and the server until the client ends.
pub(in crate::cli::mcp) fn run(gate: &Arc<Gate>, server: Server) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let Server { name, upstream } = server;
    let upstream: Arc<Upstream> = Arc::new(upstream);
    let link = Link::new(upstream, runtime.handle().clone(), true);
    let to_server = Box::new(InOrder(Arc::clone(&link)));
    let session = gate.session(&name, Box::new(Lines::of_stdout()), to_server);
    link.join(&session);
    stdio::client(&session)?;
    session.client_gone();
    session.server_gone();
    if !session.finish(CLEAN_UP) {
        note("the server of approvals does not answer; requests stay until they expire");
    }
    if link.id().is_some() {
        let goodbye = link.other(Method::DELETE, HeaderMap::new());
        let _ = runtime.block_on(async { tokio::time::timeout(GOODBYE, goodbye).await });
    }
    runtime.shutdown_background();
    Ok(Exit::Done)
}

/// Sends the messages of a client on a pipe.
struct InOrder(Arc<Link>);

impl Out for InOrder {
    fn send(&self, message: &str, about: Option<&Id>) -> Result<(), Gone> {
        if about.is_none() && self.0.ends_by_closing(message) {
            return Ok(());
        }
        let link = Arc::clone(&self.0);
        let mut sent = Err(Gone);
        let posted = posted_by(|| sent = ToServer(link).send(message, about));
        if let (None, Some(posted)) = (about, posted) {
            // The server has it before the next message is read.
            self.0.wait_for(posted);
            if let Ok(Message::Notification { method, .. }) = Message::parse(message)
                && method == "notifications/initialized"
            {
                self.0.listen_in_background();
            }
        }
        sent
    }
}
