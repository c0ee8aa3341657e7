//! State transitions: pure functions of the record, an event, the keys and the time.
//!
//! One file per operation. `state.rs` holds the states that operations start from, `quorum.rs`
//! counts ballots, `event.rs` parses what callers send, `entry.rs` writes audit entries, and
//! `view.rs` writes what the API shows. The table of operations and statuses, and the order of
//! every rejection, is in `wit/lifecycle.wit`.

mod check;
mod claim;
mod decide;
mod entry;
mod erase;
mod event;
mod expire;
mod extend;
mod open;
mod quorum;
mod replay;
mod review;
mod settle;
mod state;
mod view;
mod void;
mod withdraw;

pub use check::{BallotVerified, Check, Checked, VerifyBallot};
pub use claim::Claim;
pub use decide::Decide;
pub use erase::Erase;
pub use expire::Expire;
pub use extend::Extend;
pub use open::Open;
pub(crate) use quorum::suffice;
pub(crate) use replay::{BallotProof, LoggedEvent, Replay, verify_or_attest};
pub use review::Review;
pub use settle::Settle;
pub(crate) use state::{Approved, Proven};
pub use view::Show;
pub use void::Void;
pub use withdraw::Withdraw;

use entry::Entry;
use serde::Serialize;

use crate::record::Record;
use crate::rejection::Rejection;
use crate::time::UnixSeconds;

/// A change to store: the new record and its summary, the audit entry that reports it, and the view
/// of the new record.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields of `transition` in wit/lifecycle.wit")]
pub struct Transition {
    pub record: String,
    pub summary: Summary,
    pub entry: String,
    pub view: String,
}

/// The answer of `settle` and `expire`. `record` and `entry` are `None` if nothing changes.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields of `update` in wit/lifecycle.wit")]
pub struct Update {
    pub record: Option<String>,
    pub summary: Summary,
    pub entry: Option<String>,
    pub view: String,
}

/// The fields that a store indexes. Times are Unix seconds.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields of `summary` in wit/lifecycle.wit")]
pub struct Summary {
    pub id: String,
    pub status: &'static str,
    pub agent: String,
    pub action: String,
    pub requested_at: u64,
    pub expires_at: u64,
    pub due_at: Option<u64>,
}

/// A new approval, with the canonical texts whose digests its record holds.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields of `opened` in wit/lifecycle.wit")]
pub struct Opened {
    #[serde(flatten)]
    pub transition: Transition,
    pub context: String,
    pub plan: Option<String>,
}

/// A record as the API shows it, as JSON.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields of `view` in wit/lifecycle.wit")]
pub struct View {
    pub view: String,
    pub summary: Summary,
}

impl Transition {
    /// Serializes the change from `record` and the `entry` that reports it.
    fn new(record: &Record, entry: &Entry<'_>) -> Result<Self, Rejection> {
        Ok(Self {
            record: record.write()?,
            summary: Summary::of(record),
            entry: entry.write()?,
            view: view::write(record, entry.request_digest, entry.at)?,
        })
    }
}

impl Update {
    /// The answer if nothing changes.
    fn none(record: &Record, now: UnixSeconds) -> Result<Self, Rejection> {
        Ok(Self {
            record: None,
            summary: Summary::of(record),
            entry: None,
            view: view::write(record, &record.request_digest()?, now)?,
        })
    }
}

impl From<Transition> for Update {
    fn from(transition: Transition) -> Self {
        let Transition { record, summary, entry, view } = transition;
        Self { record: Some(record), summary, entry: Some(entry), view }
    }
}

impl Summary {
    /// The summary to store, with the stored status.
    fn of(record: &Record) -> Self {
        Self {
            id: record.id.clone(),
            status: record.status.as_str(),
            agent: record.agent.clone(),
            action: record.action.clone(),
            requested_at: record.requested_at.seconds(),
            expires_at: record.expires_at.seconds(),
            due_at: record.due_at().map(UnixSeconds::seconds),
        }
    }

    /// The summary to show, with the effective status.
    fn at(record: &Record, now: UnixSeconds) -> Self {
        Self { status: record.status_at(now).as_str(), ..Self::of(record) }
    }
}
