//! Audit entries as a receipt reads them. Members that it has no use for are passed over: the tree
//! holds every byte of an entry.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::ReceiptError;

/// What an entry is about.
pub(super) enum Entry {
    Approval(Box<ApprovalEntry>),
    Key(Box<KeyEntry>),
}

/// A step of an approval.
#[derive(Deserialize)]
pub(super) struct ApprovalEntry {
    pub(super) event: String,
    pub(super) at: String,
    pub(super) approval_id: String,
    pub(super) agent: String,
    pub(super) action: String,
    pub(super) actor: Option<String>,
    pub(super) from: Option<String>,
    pub(super) to: String,
    pub(super) context_hash: String,
    pub(super) plan_hash: Option<String>,
    pub(super) request_digest: String,
    pub(super) decision: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) key_id: Option<String>,
    pub(super) signature_hash: Option<String>,
    pub(super) expires_at: Option<String>,
    pub(super) execution_id: Option<String>,
    pub(super) outcome: Option<String>,
    pub(super) late: Option<bool>,
}

/// A key as the host saw it.
#[derive(Deserialize)]
pub(super) struct KeyEntry {
    pub(super) key_id: String,
    pub(super) algorithm: String,
    pub(super) status: String,
    #[serde(rename = "use")]
    pub(super) usage: String,
    pub(super) approver: Option<String>,
    pub(super) groups: Vec<String>,
    pub(super) fingerprint: String,
    pub(super) public_key: Option<String>,
}

impl Entry {
    /// Reads an entry's text. Only a key or a step of an approval can be in a receipt.
    pub(super) fn read(number: u64, text: &str) -> Result<Self, ReceiptError> {
        #[derive(Deserialize)]
        struct Envelope<'a> {
            format: u32,
            #[serde(borrow)]
            event: &'a RawValue,
        }
        #[derive(Deserialize)]
        struct Kind {
            event: String,
        }
        let unreadable = |e: serde_json::Error| ReceiptError::entry(number, e.to_string());
        let envelope: Envelope<'_> = serde_json::from_str(text).map_err(unreadable)?;
        if envelope.format != 2 {
            return Err(ReceiptError::entry(number, "it is not of format 2"));
        }
        let text = envelope.event.get();
        let kind: Kind = serde_json::from_str(text).map_err(unreadable)?;
        match kind.event.as_str() {
            "key_recorded" => serde_json::from_str(text).map(Self::Key).map_err(unreadable),
            event if is_step(event) => {
                serde_json::from_str(text).map(Self::Approval).map_err(unreadable)
            }
            event => {
                Err(ReceiptError::entry(number, format!("`{event}` is no step of an approval")))
            }
        }
    }
}

/// Whether an event is a step of an approval; a refused request is about one, and is none.
pub(super) fn is_step(event: &str) -> bool {
    event.starts_with("approval_") || event.starts_with("execution_")
}
