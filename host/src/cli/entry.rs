//! One audit entry in one line.

use serde::Deserialize;

/// The members of an entry that a line shows. Which ones there are depends on the event, and on the
/// version that wrote it.
#[derive(Default, Deserialize)]
pub(super) struct EntryLine {
    at: Option<String>,
    event: Event,
    host: Option<Host>,
}

#[derive(Default, Deserialize)]
struct Event {
    event: Option<String>,
    actor: Option<String>,
    agent: Option<String>,
    action: Option<String>,
    approval_id: Option<String>,
    key_id: Option<String>,
    token_id: Option<String>,
    subject: Option<String>,
    slot: Option<String>,
    digest: Option<String>,
    to: Option<String>,
    code: Option<String>,
    status: Option<String>,
    decision: Option<String>,
    outcome: Option<String>,
}

#[derive(Deserialize)]
struct Host {
    guardrail: Option<Guardrail>,
}

#[derive(Deserialize)]
struct Guardrail {
    decision: String,
}

impl EntryLine {
    /// Reads an entry; `None` if it is not one.
    pub(super) fn read(entry: &str) -> Option<Self> {
        serde_json::from_str(entry).ok()
    }

    pub(super) fn at(&self) -> Option<&str> {
        self.at.as_deref()
    }

    pub(super) fn event(&self) -> Option<&str> {
        self.event.event.as_deref()
    }

    pub(super) fn actor(&self) -> Option<&str> {
        self.event.actor.as_deref()
    }

    /// Returns what the entry is about. A module is named by slot and digest, not by the key that
    /// signed it.
    pub(super) fn subject(&self) -> Option<String> {
        let Event { slot, digest, approval_id, key_id, token_id, subject, .. } = &self.event;
        let module: Vec<&str> = [slot, digest].into_iter().flatten().map(String::as_str).collect();
        if !module.is_empty() {
            return Some(module.join(" "));
        }
        [approval_id, key_id, token_id, subject].into_iter().flatten().next().cloned()
    }

    /// Returns agent and action: `agent/action`.
    pub(super) fn attempt(&self) -> Option<String> {
        let Event { agent, action, .. } = &self.event;
        agent.as_ref().zip(action.as_ref()).map(|(agent, action)| format!("{agent}/{action}"))
    }

    /// Returns the result: the new status, and the ballot or the outcome where the status does not say
    /// it (`pending: approved` is the first of two ballots); a code; a verdict.
    pub(super) fn result(&self) -> Option<String> {
        let Event { to, code, status, decision, outcome, .. } = &self.event;
        let verdict = self.host.as_ref().and_then(|host| host.guardrail.as_ref());
        match (to, outcome.as_ref().or(decision.as_ref())) {
            (Some(to), Some(detail)) if to != detail => Some(format!("{to}: {detail}")),
            (Some(to), _) => Some(to.clone()),
            (None, _) => code
                .clone()
                .or_else(|| status.clone())
                .or_else(|| verdict.map(|guardrail| guardrail.decision.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::EntryLine;

    #[test]
    fn ballots_outcomes_and_verdicts_are_in_the_result() {
        for (event, host, result) in [
            (r#"{"to":"approved","decision":"approved"}"#, "{}", Some("approved")),
            (r#"{"to":"pending","decision":"approved"}"#, "{}", Some("pending: approved")),
            (r#"{"to":"executed","outcome":"failed"}"#, "{}", Some("executed: failed")),
            (r#"{"code":"forbidden"}"#, "{}", Some("forbidden")),
            ("{}", r#"{"guardrail":{"decision":"deny"}}"#, Some("deny")),
            ("{}", "{}", None),
        ] {
            let entry = format!(r#"{{"event":{event},"host":{host}}}"#);
            let line = EntryLine::read(&entry);
            assert_eq!(line.and_then(|line| line.result()).as_deref(), result, "{entry}");
        }
    }
}
