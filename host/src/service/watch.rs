//! Who waits for a change: of one approval, or of any.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::id::ApprovalId;

/// Everybody who waits.
pub struct Watchers {
    of_approval: Mutex<HashMap<ApprovalId, watch::Sender<()>>>,
    last_entry: watch::Sender<u64>,
}

/// One who waits for the next change of an approval.
pub struct Watch<'a> {
    watchers: &'a Watchers,
    id: ApprovalId,
    change: watch::Receiver<()>,
}

impl Watchers {
    /// Nobody waits yet; `last_entry` is the number of the last audit entry.
    pub fn new(last_entry: u64) -> Self {
        Self { of_approval: Mutex::default(), last_entry: watch::channel(last_entry).0 }
    }

    /// Waits for changes of one approval, from now on: subscribe first, then look.
    pub fn of_approval(&self, id: ApprovalId) -> Watch<'_> {
        let change = self.waiting().entry(id).or_insert_with(|| watch::channel(()).0).subscribe();
        Watch { watchers: self, id, change }
    }

    /// The number of the last audit entry, as it goes up.
    pub fn of_entries(&self) -> watch::Receiver<u64> {
        self.last_entry.subscribe()
    }

    /// How many approvals somebody waits for.
    pub fn approvals_watched(&self) -> usize {
        self.waiting().len()
    }

    /// Tells everybody of a change.
    pub(super) fn changed(&self, id: ApprovalId, entry: u64) {
        if let Some(sender) = self.waiting().get(&id) {
            sender.send_replace(());
        }
        self.noted(entry);
    }

    /// Tells those who follow the audit of an entry that is of no approval.
    pub(super) fn noted(&self, entry: u64) {
        self.last_entry.send_if_modified(|last| {
            let later = entry > *last;
            *last = entry.max(*last);
            later
        });
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<ApprovalId, watch::Sender<()>>> {
        self.of_approval.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch<'_> {
    /// Resolves at the next change.
    pub async fn changed(&mut self) {
        // The sender lives in the map for as long as this watch does.
        let _ = self.change.changed().await;
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut waiting = self.watchers.waiting();
        if waiting.get(&self.id).is_some_and(|sender| sender.receiver_count() <= 1) {
            waiting.remove(&self.id);
        }
    }
}
