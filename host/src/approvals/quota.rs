//! Quotas: how many pending approvals a requester may have, and how many bytes of contexts and
//! plans. A requester that sends more takes an approver's attention and everybody's disk.
//!
//! What is pending is what the log says is pending. The memory here only maps requesters to their
//! approvals; those that have ended are dropped when a requester reaches its quota.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::OnceCell;

use super::Approvals;
use crate::code::Code;
use crate::config::Quotas as Limits;
use crate::id::ApprovalId;
use crate::refusal::Refusal;
use crate::store::{Status, StoreError, WithTexts};
use crate::verifier::{Approval, Failure};

/// Approvals that are read at a time.
const BATCH: usize = 256;
/// The time after which a change that the store has is committed, or never will be.
const COMMIT_MAX: Duration = Duration::from_secs(60);
/// Approvals in memory before those that have ended are looked for among all requesters.
const SWEEP_MIN: usize = 10_000;

/// The pending approvals of every requester.
#[derive(Default)]
pub(super) struct Quotas {
    limits: Limits,
    /// Loaded from the store before the first request.
    pending: OnceCell<Arc<Mutex<Pending>>>,
}

#[derive(Debug, Default)]
struct Pending {
    /// By requester in ASCII lower case, which is how persons are compared.
    of: HashMap<String, HashMap<ApprovalId, Held>>,
    count: usize,
    /// The count from which on all requesters are swept.
    sweep_from: usize,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    bytes: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The request is running.
    Running,
    /// The store has the change, and the request ended before the answer: the client may have
    /// closed its connection. The change is committed or not, soon after this.
    Unknown(Instant),
    /// The approval is stored; the log says whether it is pending.
    Stored,
}

/// The place of one request in its requester's quota. Dropping it frees the place, unless the change
/// was handed to the store: a client that closes its connection then must not gain a place.
pub(super) struct Place {
    pending: Arc<Mutex<Pending>>,
    requester: String,
    id: ApprovalId,
    is_handed_over: bool,
}

impl Quotas {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }
}

impl Approvals {
    /// Takes a place in a requester's quota.
    ///
    /// Refusals: `rate-limited`, `store-unavailable`.
    pub(super) async fn take_place(
        &self,
        requester: &str,
        id: ApprovalId,
        bytes: u64,
    ) -> Result<Place, Refusal> {
        let pending = self.quotas.pending.get_or_try_init(|| self.load_pending()).await?;
        let requester = requester.to_ascii_lowercase();
        let limits = self.quotas.limits;
        let ended = {
            let pending = lock(pending);
            let is_full = pending.refusal(&requester, bytes, limits).is_some();
            pending.to_check(&requester, is_full)
        };
        if !ended.is_empty() {
            let still = self.ledger.store().pending_among(&ended).await?;
            lock(pending).forget(&ended.into_iter().filter(|id| !still.contains(id)).collect());
        }
        let mut taken = lock(pending);
        if let Some(refusal) = taken.refusal(&requester, bytes, limits) {
            return Err(refusal);
        }
        taken.insert(requester.clone(), id, Held { bytes, state: State::Running });
        Ok(Place { pending: Arc::clone(pending), requester, id, is_handed_over: false })
    }

    /// Reads the pending approvals of the store. One whose row or record is damaged takes no place: it
    /// can neither be shown nor decided.
    ///
    /// Refusals: `store-unavailable`, `verifier-trapped`; the next request tries again.
    async fn load_pending(&self) -> Result<Arc<Mutex<Pending>>, Refusal> {
        #[derive(Deserialize)]
        struct Shown {
            requested_by: String,
        }
        let (mut pending, mut after) = (Pending::default(), None);
        loop {
            let ids = self.ledger.store().unfinished(after, BATCH).await?;
            let Some(last) = ids.last() else { break };
            after = Some(*last);
            for id in ids {
                let stored = match self.ledger.store().load(&id, WithTexts::Yes).await {
                    Ok(Some(stored)) => stored,
                    Ok(None) | Err(StoreError::Tampered(_)) => continue,
                    Err(other) => return Err(other.into()),
                };
                if stored.summary.status != Status::Pending {
                    continue;
                }
                let text = id.to_string();
                let approval = Approval { id: &text, record: Some(&stored.record) };
                let shown = match self.verifier.current().show(approval, self.ledger.now()) {
                    Ok(shown) => shown,
                    Err(Failure::Rejected(_)) => continue,
                    Err(trapped @ Failure::Trapped(_)) => return Err(trapped.into()),
                };
                let Shown { requested_by } =
                    serde_json::from_str(&shown.view).map_err(Refusal::internal)?;
                let bytes = stored.texts.map_or(0, |texts| texts.bytes());
                let held = Held { bytes, state: State::Stored };
                pending.insert(requested_by.to_ascii_lowercase(), id, held);
            }
        }
        Ok(Arc::new(Mutex::new(pending)))
    }
}

impl Pending {
    fn insert(&mut self, requester: String, id: ApprovalId, held: Held) {
        if self.of.entry(requester).or_default().insert(id, held).is_none() {
            self.count += 1;
        }
    }

    /// Returns why a requester may not have another approval of this size.
    fn refusal(&self, requester: &str, bytes: u64, limits: Limits) -> Option<Refusal> {
        let held = self.of.get(requester);
        let count = held.map_or(0, HashMap::len);
        let total: u64 = held.into_iter().flat_map(HashMap::values).map(|held| held.bytes).sum();
        let what = if count >= limits.pending {
            format!("{count} pending approvals, the quota (`quotas.pending`)")
        } else if total.saturating_add(bytes) > limits.pending_bytes {
            format!(
                "{total} bytes of contexts and plans pending, and with this one more than the quota (`quotas.pending_bytes`), {}",
                limits.pending_bytes
            )
        } else {
            return None;
        };
        let detail = format!(
            "{requester} has {what}; withdraw some, or wait until some are decided or expire"
        );
        Some(Refusal::new(Code::RATE_LIMITED, detail))
    }

    /// Returns the approvals that may have ended and must be looked up in the log now.
    fn to_check(&self, requester: &str, is_full: bool) -> Vec<ApprovalId> {
        let stored = |held: &HashMap<ApprovalId, Held>| -> Vec<ApprovalId> {
            held.iter().filter(|(_, held)| held.state.is_decided()).map(|(id, _)| *id).collect()
        };
        if self.count >= self.sweep_from.max(SWEEP_MIN) {
            return self.of.values().flat_map(stored).collect();
        }
        self.of.get(requester).filter(|_| is_full).map(stored).unwrap_or_default()
    }

    fn forget(&mut self, ended: &HashSet<ApprovalId>) {
        self.of.retain(|_, held| {
            held.retain(|id, _| !ended.contains(id));
            !held.is_empty()
        });
        self.count = self.of.values().map(HashMap::len).sum();
        self.sweep_from = 2 * self.count;
    }

    fn remove(&mut self, requester: &str, id: &ApprovalId) {
        let Some(held) = self.of.get_mut(requester) else { return };
        if held.remove(id).is_some() {
            self.count -= 1;
        }
        if held.is_empty() {
            self.of.remove(requester);
        }
    }
}

impl State {
    /// Returns whether the log knows the approval if it is stored.
    fn is_decided(self) -> bool {
        match self {
            Self::Running => false,
            Self::Unknown(since) => since.elapsed() > COMMIT_MAX,
            Self::Stored => true,
        }
    }
}

impl Place {
    /// Notes that the store gets the change now.
    pub(super) fn hand_over(&mut self) {
        self.is_handed_over = true;
    }

    /// Keeps the place until the approval ends.
    pub(super) fn keep(self) {
        self.set(State::Stored);
    }

    fn set(&self, state: State) {
        let mut pending = lock(&self.pending);
        let held = pending.of.get_mut(&self.requester).and_then(|held| held.get_mut(&self.id));
        if let Some(held) = held.filter(|held| held.state == State::Running) {
            held.state = state;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_handed_over {
            self.set(State::Unknown(Instant::now()));
        } else {
            lock(&self.pending).remove(&self.requester, &self.id);
        }
    }
}

fn lock(pending: &Mutex<Pending>) -> MutexGuard<'_, Pending> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}
