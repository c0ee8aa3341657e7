//! Waiting for a decision, by long polls.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::approval::{Approval, Status};
use crate::client::Client;
use crate::clock;
use crate::error::Error;
use crate::retry::backoff;

/// The longest poll, below the 60 s that a server allows.
const POLL_SECONDS_MAX: u64 = 50;
/// A poll that ends earlier was not held: the next one waits.
const HELD_MIN: Duration = Duration::from_secs(1);

/// Waits until an approval is no longer pending.
pub(crate) async fn decided(
    client: &Client,
    id: &str,
    timeout: Option<Duration>,
) -> Result<Approval, Error> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let Some(deadline) = deadline else { return polled(client, id, None).await };
    timeout_at(deadline, polled(client, id, Some(deadline))).await.unwrap_or_else(|_| {
        Err(Error::local("timed-out", "not decided within the caller's time limit").about(id))
    })
}

async fn polled(client: &Client, id: &str, end: Option<Instant>) -> Result<Approval, Error> {
    let mut unheld = 0;
    loop {
        let begun = Instant::now();
        let left = end.map_or(POLL_SECONDS_MAX, |end| (end - begun).as_secs().saturating_add(1));
        let approval = client.poll(id, left.min(POLL_SECONDS_MAX)).await?;
        if approval.status() != Status::Pending || clock::is_past(approval.expires_at()) {
            return Ok(approval);
        }
        if begun.elapsed() >= HELD_MIN {
            unheld = 0;
        } else {
            sleep(backoff(unheld)).await;
            unheld += 1;
        }
    }
}
