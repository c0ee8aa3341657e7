//! Prints a line for each audit entry.

use std::sync::Arc;

use crate::cli::entry::EntryLine;
use crate::cli::output;
use crate::service::Service;

/// Prints a line per audit entry, until the output is closed.
pub(super) async fn print(service: Arc<Service>, json: bool) {
    let mut newest = service.ledger.watchers().of_entries();
    let mut after = *newest.borrow_and_update();
    while newest.changed().await.is_ok() {
        newest.borrow_and_update();
        while let Ok(entries) = service.audit.entries(after, 256).await {
            let Some(last) = entries.last() else { break };
            after = last.number;
            for entry in &entries {
                if json {
                    let (number, text) = (entry.number, &entry.text);
                    output::line(&format!("{{\"number\":{number},\"entry\":{text}}}"));
                } else if let Some(entry) = EntryLine::read(&entry.text) {
                    output::log(&line(&entry));
                }
                if output::is_closed() {
                    return;
                }
            }
        }
    }
}

/// Formats an entry: time, event, what it is about, result and actor.
fn line(entry: &EntryLine) -> String {
    let parts = [
        entry.at().map(str::to_owned),
        entry.event().map(str::to_owned),
        entry.subject(),
        entry.attempt(),
        entry.result(),
        entry.actor().map(|actor| format!("by {actor}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_module_shows_its_slot_and_digest() {
        let entry = r#"{"at":"2025-10-17T10:30:00Z","event":{"event":"module_activated","actor":"rita","slot":"policy","digest":"9f86d081","key_id":"team"}}"#;
        let shown = line(&EntryLine::read(entry).unwrap());
        assert_eq!(shown, "2025-10-17T10:30:00Z module_activated policy 9f86d081 by rita");
    }
}
