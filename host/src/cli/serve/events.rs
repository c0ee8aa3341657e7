//! Prints a line on standard output for each audit entry.
//!
//! The lines are written by a thread of their own: a reader that takes nothing holds up neither the
//! server nor its stop. None is left out: an entry is read once there is room for its line.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::cli::entry::{BallotCount, EntryLine};
use crate::cli::output;
use crate::id::ApprovalId;
use crate::service::Service;
use crate::store::WithTexts;

/// Lines that wait while the reader is slow.
const LINES_MAX: usize = 64;
/// Entries per read.
const BATCH: usize = 256;
/// How long a stopping server waits for its last lines.
const FINISH_TIME_MAX: Duration = Duration::from_secs(1);

/// The printer of audit entries.
pub(super) struct Events {
    stop: watch::Sender<bool>,
    finished: oneshot::Receiver<()>,
}

impl Events {
    /// Prints entries from now on, until the output is closed.
    ///
    /// # Errors
    ///
    /// There can be no further thread.
    pub(super) fn start(service: Arc<Service>, json: bool) -> io::Result<Self> {
        let (sender, mut lines) = mpsc::channel::<String>(LINES_MAX);
        let (done, finished) = oneshot::channel();
        thread::Builder::new().name("events".to_owned()).spawn(move || {
            while let Some(line) = lines.blocking_recv() {
                if json {
                    output::line(&line);
                } else {
                    output::log(&line);
                }
                if output::is_closed() {
                    break;
                }
            }
            let _ = done.send(());
        })?;
        let (stop, stopping) = watch::channel(false);
        tokio::spawn(read(service, json, sender, stopping));
        Ok(Self { stop, finished })
    }

    /// Waits until the entries so far are printed, for at most a second.
    pub(super) async fn finish(self) {
        self.stop.send_replace(true);
        let _ = timeout(FINISH_TIME_MAX, self.finished).await;
    }
}

/// Sends the lines of new entries, until the output is closed or the server stops.
async fn read(
    service: Arc<Service>,
    json: bool,
    lines: mpsc::Sender<String>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut newest = service.ledger.watchers().of_entries();
    let mut after = *newest.borrow_and_update();
    loop {
        let is_last = *stopping.borrow();
        newest.borrow_and_update();
        while let Ok(entries) = service.audit.entries(after, BATCH).await {
            let Some(last) = entries.last() else { break };
            after = last.number;
            for entry in &entries {
                let shown = match json {
                    true => {
                        Some(format!("{{\"number\":{},\"entry\":{}}}", entry.number, entry.text))
                    }
                    false => text_line(&service, &entry.text).await,
                };
                if let Some(shown) = shown
                    && lines.send(shown).await.is_err()
                {
                    return;
                }
            }
        }
        if is_last {
            return;
        }
        tokio::select! {
            changed = newest.changed() => if changed.is_err() { return },
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
    }
}

async fn text_line(service: &Service, entry: &str) -> Option<String> {
    let entry = EntryLine::read(entry)?;
    let count = match entry.ballot() {
        Some((approval, approver)) => ballot_count(service, approval, approver).await,
        None => None,
    };
    Some(line(&entry, count))
}

/// Returns which of the required ballots one is; `None` if the approval is not readable any more.
async fn ballot_count(service: &Service, approval: &str, approver: &str) -> Option<BallotCount> {
    let id = ApprovalId::parse(approval)?;
    let view = service.approvals.show(Some(id), WithTexts::No).await.ok()?;
    BallotCount::of(&view, approver)
}

/// Formats an entry: time, event, what it is about, result and actor.
fn line(entry: &EntryLine, count: Option<BallotCount>) -> String {
    let parts = [
        entry.at().map(str::to_owned),
        entry.event().map(str::to_owned),
        entry.subject(),
        entry.attempt(),
        entry.result(count),
        entry.actor().map(|actor| format!("by {actor}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_module_shows_its_slot_digest_name_and_version() {
        let entry = r#"{"at":"2025-10-17T10:30:00Z","event":{"event":"module_activated","actor":"rita","slot":"policy","digest":"9f86d081","name":"payments","version":3,"key_id":"team"}}"#;
        let shown = line(&EntryLine::read(entry).unwrap(), None);
        assert_eq!(
            shown,
            "2025-10-17T10:30:00Z module_activated policy 9f86d081 payments version 3 by rita"
        );
    }
}
