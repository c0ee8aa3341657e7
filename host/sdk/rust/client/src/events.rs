//! The audit log as a stream of server-sent events.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until, timeout};

use crate::call::get;
use crate::client::Client;
use crate::error::Error;
use crate::retry::backoff;
use crate::transport::{ANSWER_BYTES_MAX, Failure, Outgoing, whole};

/// A server sends something every 15 s. After this silence, the connection counts as broken.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// One entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The number of the entry; the next stream continues after it.
    pub id: Option<u64>,
    /// What happened, such as `approval_requested`. `reset` means that the log ends before the number
    /// that was asked for: it is another log, or an older copy of it.
    pub kind: String,
    /// The entry, JSON.
    pub data: String,
}

/// Entries of the audit log as they happen. Reconnects, and continues after the last entry that was
/// seen.
#[derive(Debug)]
pub struct Events {
    client: Client,
    after: Option<u64>,
    connected: Option<Incoming>,
    received: Received,
}

impl Events {
    pub(crate) fn new(client: Client, after: Option<u64>) -> Self {
        Self { client, after, connected: None, received: Received::default() }
    }

    /// The number of the last entry that was seen.
    pub fn after(&self) -> Option<u64> {
        self.after
    }

    /// Returns the next entry. May be dropped and called again: nothing is lost. After an error, the
    /// next call connects again.
    ///
    /// Entries that are written while a stream that began without a number has no connection are not
    /// seen: begin after a number to see all.
    ///
    /// # Errors
    ///
    /// The server's refusal; `unreachable` if no connection was made within the client's time limit, or
    /// an entry is larger than 16 MiB.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.received.event() {
                self.after = event.id.or(self.after);
                return Ok(event);
            }
            let body = match &mut self.connected {
                Some(body) => body,
                None => {
                    self.received = Received::default();
                    let body = self.connect().await?;
                    self.connected.insert(body)
                }
            };
            match timeout(SILENCE_MAX, body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue };
                    if let Err(e) = self.received.take(&data) {
                        self.connected = None;
                        return Err(e);
                    }
                }
                // The server stopped, the connection broke, or it is silent.
                Ok(None | Some(Err(_))) | Err(_) => self.connected = None,
            }
        }
    }

    async fn connect(&self) -> Result<Incoming, Error> {
        let outgoing = Outgoing { last_event_id: self.after, ..get("/api/v1/events".to_owned()) };
        let deadline = Instant::now() + self.client.timeout;
        let mut tries = 0;
        loop {
            let stream = tokio::time::timeout_at(deadline, self.client.transport.stream(&outgoing));
            let answer = match stream.await {
                Err(_) => return Err(Error::unreachable("no answer within the time limit")),
                Ok(Ok(response)) if response.status().as_u16() == 200 => {
                    return Ok(response.into_body());
                }
                Ok(Ok(response)) => whole(response).await,
                Ok(Err(failure)) => Err(failure),
            };
            let (error, wait) = match answer {
                Err(Failure::Refused(why)) => return Err(Error::unreachable(why)),
                Err(Failure::Broken(why)) => (Error::unreachable(why), Some(Duration::ZERO)),
                Ok(answer) => {
                    let wait = answer.retry_after.filter(|_| matches!(answer.status, 429 | 503));
                    (Error::of_answer(answer.status, answer.request_id, &answer.body), wait)
                }
            };
            let Some(wait) = wait else { return Err(error) };
            let next = Instant::now() + wait.max(backoff(tries));
            if next >= deadline {
                return Err(error);
            }
            sleep_until(next).await;
            tries += 1;
        }
    }
}

/// Bytes that were received, and not read as events yet.
#[derive(Debug, Default)]
struct Received {
    bytes: Vec<u8>,
    /// Up to where no event ends.
    searched: usize,
}

impl Received {
    fn take(&mut self, data: &[u8]) -> Result<(), Error> {
        if self.bytes.len() + data.len() > ANSWER_BYTES_MAX {
            return Err(Error::unreachable("an event is larger than 16 MiB"));
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// Takes the next whole event that has data.
    fn event(&mut self) -> Option<Event> {
        loop {
            let rest = self.bytes.get(self.searched..)?;
            let Some(end) = rest.windows(2).position(|pair| pair == b"\n\n") else {
                // The last byte may be half of an end.
                self.searched = self.bytes.len().saturating_sub(1);
                return None;
            };
            let after = self.searched + end + 2;
            let block: Vec<u8> = self.bytes.drain(..after).collect();
            self.searched = 0;
            if let Some(event) = parse(&String::from_utf8_lossy(&block)) {
                return Some(event);
            }
        }
    }
}

/// Parses one event; `None` for one without data, such as a heartbeat.
fn parse(block: &str) -> Option<Event> {
    let (mut id, mut kind, mut data) = (None, "message", Vec::new());
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => id = value.parse().ok(),
            "event" => kind = value,
            "data" => data.push(value),
            _ => {}
        }
    }
    let kind = kind.to_owned();
    (!data.is_empty()).then(|| Event { id, kind, data: data.join("\n") })
}

#[cfg(test)]
mod tests {
    use super::{Event, Received};

    fn events(pieces: &[&str]) -> Vec<Event> {
        let mut received = Received::default();
        let mut events = Vec::new();
        for piece in pieces {
            received.take(piece.as_bytes()).unwrap();
            events.extend(std::iter::from_fn(|| received.event()));
        }
        events
    }

    #[test]
    fn events_are_read_however_they_are_cut() {
        let stream = ": heartbeat\n\nid: 7\nevent: approved\ndata: {\"é\":\ndata: 1}\n\nevent: x\n\nid: 8\ndata: b\n\nid: 9\nda";
        let whole = events(&[stream]);
        let event = |id, kind: &str, data: &str| Event {
            id: Some(id),
            kind: kind.to_owned(),
            data: data.to_owned(),
        };
        assert_eq!(whole, [event(7, "approved", "{\"é\":\n1}"), event(8, "message", "b")]);
        let letters: Vec<String> = stream.chars().map(String::from).collect();
        assert_eq!(events(&letters.iter().map(String::as_str).collect::<Vec<_>>()), whole);
    }
}
