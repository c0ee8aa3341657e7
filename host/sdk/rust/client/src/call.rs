//! One call of the API, before it is sent.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use hyper::header::HeaderValue;

use crate::error::Error;
use crate::random;
use crate::retry;
use crate::transport::{Answer, Outgoing, Transport};

type Read<T> = Box<dyn FnOnce(Answer) -> Result<T, Error> + Send>;

/// A call of the API: await it, or send it.
///
/// A dropped call may have reached the server, or not.
#[must_use = "a call does nothing until it is awaited or sent"]
pub struct Call<T> {
    transport: Arc<Transport>,
    outgoing: Result<Outgoing, Error>,
    timeout: Duration,
    read: Read<T>,
}

impl<T> Call<T> {
    /// Makes a call. It gets an idempotency key of its own if it changes something.
    pub(crate) fn new(
        transport: &Arc<Transport>,
        timeout: Duration,
        outgoing: Result<Outgoing, Error>,
        read: impl FnOnce(Answer) -> Result<T, Error> + Send + 'static,
    ) -> Self {
        Self { transport: Arc::clone(transport), outgoing, timeout, read: Box::new(read) }
    }

    /// Sets the time limit of the call, over all its tries.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// Sets the idempotency key, 1 to 255 visible ASCII characters. Without it, a call makes one of
    /// its own. A repeat with the same key and body returns the first answer.
    pub fn idempotency_key(mut self, key: impl AsRef<str>) -> Self {
        self.outgoing = self.outgoing.and_then(|outgoing| keyed(outgoing, key.as_ref()));
        self
    }

    /// Sends the call.
    ///
    /// # Errors
    ///
    /// The server's refusal; [`Error::Unavailable`] for an answer over 16 MiB, or one that is not what
    /// the route returns; [`Error::Invalid`] for a malformed argument.
    pub async fn send(self) -> Result<T, Error> {
        let answer = retry::send(&self.transport, &self.outgoing?, self.timeout).await?;
        (self.read)(answer)
    }
}

impl<T: Send + 'static> IntoFuture for Call<T> {
    type Output = Result<T, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.outgoing.as_ref().map(|outgoing| outgoing.path.as_str());
        f.debug_struct("Call").field("path", &path).finish_non_exhaustive()
    }
}

/// A request that reads.
pub(crate) fn get(path: String) -> Outgoing {
    Outgoing { method: Method::GET, path, body: None, idempotency_key: None, last_event_id: None }
}

/// A request that changes nothing, with a body.
pub(crate) fn ask(path: String, body: String) -> Outgoing {
    Outgoing { method: Method::POST, body: Some(body), ..get(path) }
}

/// A request that changes something, with an idempotency key of its own.
pub(crate) fn change(path: String, body: String) -> Result<Outgoing, Error> {
    keyed(ask(path, body), &random::key()?)
}

fn keyed(outgoing: Outgoing, key: &str) -> Result<Outgoing, Error> {
    let fits = (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    let value = HeaderValue::try_from(key)
        .ok()
        .filter(|_| fits)
        .ok_or_else(|| Error::invalid("an idempotency key is 1 to 255 visible ASCII characters"))?;
    Ok(Outgoing { idempotency_key: Some(value), ..outgoing })
}
