//! The parts of audit entries that are needed to assemble a receipt.

use std::borrow::Cow;

use serde::Deserialize;

use super::ReceiptError;
use super::assemble::Logged;

/// An entry of format 2. Its other members are only used when the receipt is verified.
#[derive(Deserialize)]
pub(super) struct Entry<'a> {
    #[serde(borrow)]
    pub(super) event: Event<'a>,
    #[serde(borrow)]
    state: Vec<Row<'a>>,
}

/// The event, written by the verifier or the host.
#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow)]
    pub(super) event: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) to: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) key_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) algorithm: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
}

impl<'a> Entry<'a> {
    pub(super) fn read(logged: &'a Logged) -> Result<Self, ReceiptError> {
        serde_json::from_str(&logged.text)
            .map_err(|e| ReceiptError::Entry { number: logged.number, why: e.to_string() })
    }

    /// Returns the key id, if the event is a ballot.
    pub(super) fn ballot(&self) -> Option<&str> {
        let is_ballot = self.event.event == "approval_decided";
        self.event.key_id.as_deref().filter(|_| is_ballot)
    }

    /// Returns whether the event depends on keys: decisions and claims use the keys at that time.
    pub(super) fn needs_keys(&self) -> bool {
        matches!(self.event.event.as_ref(), "approval_decided" | "approval_claimed")
    }

    /// Returns whether it changed the approval.
    pub(super) fn is_step(&self) -> bool {
        self.state.iter().any(|row| row.kind == "approval")
    }

    /// Returns the id of the key that it records.
    pub(super) fn key(&self) -> Option<&str> {
        let is_key = |row: &&Row<'_>| row.kind == "key";
        self.state.iter().find(is_key).map(|row| row.id.as_ref())
    }
}
