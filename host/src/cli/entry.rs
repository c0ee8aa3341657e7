//! One audit entry in one line.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;
use signoff_core::person::same_person;

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
    name: Option<String>,
    version: Option<Value>,
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
    rule: Option<String>,
}

/// Which of the required ballots one is: `1 of 2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BallotCount {
    place: usize,
    threshold: usize,
}

impl BallotCount {
    /// Finds an approver's ballot in an approval as the API shows it, now or later.
    pub(super) fn of(view: &str, approver: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct View {
            requirement: Requirement,
            ballots: Vec<Ballot>,
        }
        #[derive(Deserialize)]
        struct Requirement {
            threshold: usize,
        }
        #[derive(Deserialize)]
        struct Ballot {
            approver: String,
        }
        let View { requirement, ballots } = serde_json::from_str(view).ok()?;
        // A person has one ballot.
        let place = ballots.iter().position(|ballot| same_person(&ballot.approver, approver))?;
        Some(Self { place: place + 1, threshold: requirement.threshold })
    }
}

impl fmt::Display for BallotCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.place, self.threshold)
    }
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

    /// Returns what the entry is about. A module is named by slot, digest, name and version, not by
    /// the key that signed it.
    pub(super) fn subject(&self) -> Option<String> {
        let Event { slot, digest, name, version, approval_id, key_id, token_id, subject, .. } =
            &self.event;
        if slot.is_some() || digest.is_some() {
            let version = version.as_ref().map(|version| format!("version {version}"));
            let module = [slot, digest, name, &version].into_iter().flatten();
            return Some(module.map(String::as_str).collect::<Vec<_>>().join(" "));
        }
        [approval_id, key_id, token_id, subject].into_iter().flatten().next().cloned()
    }

    /// Returns agent and action: `agent/action`.
    pub(super) fn attempt(&self) -> Option<String> {
        let Event { agent, action, .. } = &self.event;
        agent.as_ref().zip(action.as_ref()).map(|(agent, action)| format!("{agent}/{action}"))
    }

    /// Returns whether the approval is still pending after it.
    pub(super) fn is_pending(&self) -> bool {
        self.event.to.as_deref() == Some("pending")
    }

    /// Returns approval and approver of a ballot that approves.
    pub(super) fn ballot(&self) -> Option<(&str, &str)> {
        let Event { approval_id, actor, decision, .. } = &self.event;
        let approves = decision.as_deref() == Some("approved");
        Some((approval_id.as_deref()?, actor.as_deref()?)).filter(|_| approves)
    }

    /// Returns the result: the new status, and the ballot or the outcome where the status does not say
    /// it (`pending: approved, 1 of 2` is the first of two ballots); a code; a verdict and its rule.
    pub(super) fn result(&self, count: Option<BallotCount>) -> Option<String> {
        let Event { to, code, status, decision, outcome, .. } = &self.event;
        let verdict = self.host.as_ref().and_then(|host| host.guardrail.as_ref());
        let result = match (to, outcome.as_ref().or(decision.as_ref())) {
            (Some(to), Some(detail)) if to != detail => Some(format!("{to}: {detail}")),
            (Some(to), _) => Some(to.clone()),
            (None, _) => code
                .clone()
                .or_else(|| status.clone())
                .or_else(|| verdict.map(|guardrail| guardrail.decision.clone())),
        };
        let count = count.filter(|count| count.threshold > 1).map(|count| count.to_string());
        let rule = verdict.and_then(|verdict| verdict.rule.as_ref());
        let rule = rule.map(|rule| format!("rule {rule}"));
        let parts: Vec<String> = [result, count, rule].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::{BallotCount, EntryLine};

    const VIEW: &str =
        r#"{"requirement":{"threshold":2},"ballots":[{"approver":"ann"},{"approver":"Ben"}]}"#;

    #[test]
    fn ballots_outcomes_and_verdicts_are_in_the_result() {
        for (event, host, result) in [
            (r#"{"to":"approved","decision":"approved"}"#, "{}", Some("approved")),
            (r#"{"to":"pending","decision":"approved"}"#, "{}", Some("pending: approved")),
            (r#"{"to":"executed","outcome":"failed"}"#, "{}", Some("executed: failed")),
            (r#"{"code":"forbidden"}"#, "{}", Some("forbidden")),
            (
                "{}",
                r#"{"guardrail":{"decision":"deny","rule":"drop-db"}}"#,
                Some("deny, rule drop-db"),
            ),
            ("{}", r#"{"guardrail":{"decision":"deny","rule":null}}"#, Some("deny")),
            ("{}", "{}", None),
        ] {
            let entry = format!(r#"{{"event":{event},"host":{host}}}"#);
            let line = EntryLine::read(&entry);
            assert_eq!(line.and_then(|line| line.result(None)).as_deref(), result, "{entry}");
        }
    }

    #[test]
    fn a_ballot_of_several_is_counted() {
        let result = |to: &str, actor: &str| {
            let entry = format!(
                r#"{{"event":{{"approval_id":"a","to":"{to}","decision":"approved","actor":"{actor}"}}}}"#
            );
            let line = EntryLine::read(&entry).expect("an entry");
            let (_, approver) = line.ballot().expect("a ballot");
            line.result(BallotCount::of(VIEW, approver))
        };
        assert_eq!(result("pending", "ann").as_deref(), Some("pending: approved, 1 of 2"));
        assert_eq!(result("approved", "ben").as_deref(), Some("approved, 2 of 2"));
        assert_eq!(result("approved", "eve").as_deref(), Some("approved"));
        let rejected =
            r#"{"event":{"approval_id":"a","to":"rejected","decision":"rejected","actor":"ann"}}"#;
        assert_eq!(EntryLine::read(rejected).and_then(|line| line.ballot().map(drop)), None);
        assert_eq!(BallotCount::of("{}", "ann"), None);
    }
}
