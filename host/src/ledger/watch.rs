//! Notification of changes: of one approval, or of the audit log.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::id::ApprovalId;

/// The subscriptions to changes.
pub struct Watchers {
    of_approval: Mutex<HashMap<ApprovalId, watch::Sender<()>>>,
    last_entry: watch::Sender<u64>,
}

/// A subscription to changes of one approval.
pub struct Watch<'a> {
    watchers: &'a Watchers,
    id: ApprovalId,
    change: watch::Receiver<()>,
}

impl Watchers {
    /// Creates an empty set. `last_entry` is the number of the last audit entry.
    pub fn new(last_entry: u64) -> Self {
        Self { of_approval: Mutex::default(), last_entry: watch::channel(last_entry).0 }
    }

    /// Subscribes to changes of one approval. Subscribe first, then read the approval.
    pub fn of_approval(&self, id: ApprovalId) -> Watch<'_> {
        let change = self.waiting().entry(id).or_insert_with(|| watch::channel(()).0).subscribe();
        Watch { watchers: self, id, change }
    }

    /// Subscribes to the number of the last audit entry.
    pub fn of_entries(&self) -> watch::Receiver<u64> {
        self.last_entry.subscribe()
    }

    /// Returns the number of approvals with a subscription.
    pub fn approvals_watched(&self) -> usize {
        self.waiting().len()
    }

    /// Notifies the subscribers of a change: those of its approval, and those of the audit log.
    pub(crate) fn changed(&self, id: Option<ApprovalId>, entry: u64) {
        if let Some(sender) = id.and_then(|id| self.waiting().get(&id).cloned()) {
            sender.send_replace(());
        }
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
