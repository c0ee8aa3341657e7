//! Prints a line for each audit entry.

use std::sync::Arc;

use serde::Deserialize;

use signoff_core::deceptive::in_one_line;

use crate::cli::output;
use crate::service::Service;

/// The fields of an audit entry that a line shows.
#[derive(Deserialize)]
struct EntryLine {
    at: String,
    event: EventLine,
}

#[derive(Deserialize)]
struct EventLine {
    event: String,
    approval_id: Option<String>,
    slot: Option<String>,
    digest: Option<String>,
    agent: Option<String>,
    action: Option<String>,
    to: Option<String>,
    key_id: Option<String>,
    token_id: Option<String>,
    code: Option<String>,
    actor: Option<String>,
}

impl EntryLine {
    fn line(self) -> String {
        let event = self.event;
        let names =
            event.agent.zip(event.action).map(|(agent, action)| format!("{agent}/{action}"));
        let parts = [
            event.approval_id,
            event.slot,
            event.digest,
            event.key_id,
            event.token_id,
            names,
            event.to,
            event.code,
        ];
        let shown: Vec<String> = parts.into_iter().flatten().collect();
        let by = event.actor.map(|actor| format!(" by {actor}")).unwrap_or_default();
        format!("{} {} {}{by}", self.at, event.event, shown.join(" "))
    }
}

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
                let line = if json {
                    format!("{{\"number\":{},\"entry\":{}}}", entry.number, entry.text)
                } else if let Ok(entry_line) = serde_json::from_str::<EntryLine>(&entry.text) {
                    in_one_line(&entry_line.line())
                } else {
                    continue;
                };
                if !output::try_line(&line) {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_module_shows_its_slot_and_digest() {
        let entry = r#"{"at":"2025-10-17T10:30:00Z","event":{"event":"module_activated","actor":"rita","slot":"policy","digest":"9f86d081","key_id":"team"}}"#;
        let entry: EntryLine = serde_json::from_str(entry).unwrap();
        assert_eq!(
            entry.line(),
            "2025-10-17T10:30:00Z module_activated policy 9f86d081 team by rita"
        );
    }
}
