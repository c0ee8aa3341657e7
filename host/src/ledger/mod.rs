//! The ledger: every change of the store, with its entry in the audit log, its time and its stored
//! answer; and whether changes are allowed now.

mod commit;
mod event;
mod gate;
mod idempotency;
mod refusals;
mod time;
mod watch;

use std::sync::Arc;

use crate::caller::Caller;
use crate::clock::Clock;
use crate::refusal::Refusal;
use crate::store::{CommittedChange, Head, Store, Usage};
use crate::verifier::ActiveVerifier;

pub(crate) use commit::ApprovalChange;
pub(crate) use event::{
    Answered, Deciders, EvaluatedFields, Event, FlipFields, Guardrail, KeyFields, ModuleFields,
    Note, ReportedDecision, TokenFields, Witnessed, json_text,
};
pub(crate) use gate::{Gate, Reason};
pub use idempotency::{Idempotency, Reply};
pub use refusals::{Refusals, Refused};
pub(crate) use time::{Time, rfc3339};
pub use watch::{Watch, Watchers};

/// A store with its gate, its clock and the subscriptions to its changes.
pub struct Ledger {
    store: Arc<dyn Store>,
    audience: String,
    /// Each entry names the verifier that was active.
    verifier: Arc<ActiveVerifier>,
    time: Arc<Time>,
    gate: Gate,
    watchers: Arc<Watchers>,
}

impl Ledger {
    /// Makes the ledger of a store, with an open gate. `head` is the store's current metadata.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        head: Head,
        verifier: Arc<ActiveVerifier>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let time = Arc::new(Time::new(clock, head.last_commit_at));
        let watchers = Arc::new(Watchers::new(head.entries));
        let (of_time, of_watchers) = (Arc::clone(&time), Arc::clone(&watchers));
        store.observe(Box::new(move |CommittedChange { approval, entry, at }| {
            of_time.kept(at);
            of_watchers.changed(approval, entry);
        }));
        Self { time, gate: Gate::default(), watchers, audience: head.audience, store, verifier }
    }

    /// Returns the store, for reading.
    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Returns the store's metadata.
    ///
    /// # Errors
    ///
    /// `store-unavailable`.
    pub async fn head(&self) -> Result<Head, Refusal> {
        Ok(self.store.head().await?)
    }

    /// Returns the size of the store and the work of its writer, as far as known.
    pub fn usage(&self) -> Option<Usage> {
        self.store.usage()
    }

    /// Returns the deployment's name.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// Returns the subscriptions to changes.
    pub fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(crate) fn time(&self) -> &Time {
        &self.time
    }

    /// Returns the time for reads. It is never earlier than the last commit.
    pub(crate) fn now(&self) -> u64 {
        self.time.now()
    }

    /// Returns the time for a write, if writing is allowed. Every write calls it.
    ///
    /// Refusals: `settings-weaker`, `store-unavailable`, `store-tampered` if a check of the start
    /// is pending; `clock-behind`, `clock-ahead`.
    pub(crate) fn now_to_write(&self) -> Result<u64, Refusal> {
        self.gate.check()?;
        self.time.to_write()
    }

    /// Records the time if no entry was written for a day. A gap in the log then shows that the
    /// server was stopped, and the next start detects a clock that jumped.
    ///
    /// Refusals: those of every change.
    pub(crate) async fn record_time(&self) -> Result<(), Refusal> {
        if !self.time.is_due() {
            return Ok(());
        }
        let note = Note::of(Event::ClockRecorded {});
        self.note(&Caller::system(), note, None).await.map(drop)
    }
}
