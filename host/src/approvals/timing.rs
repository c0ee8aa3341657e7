//! How long approvals wait: for a decision so far, and now.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use super::Approvals;
use crate::refusal::Refusal;
use crate::store::{Status, WithTexts};

/// Bounds of the time to a decision, in seconds: from ten seconds to a week, the longest time to live.
const DECISION_SECONDS: [f64; 11] =
    [10.0, 30.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 14_400.0, 86_400.0, 259_200.0, 604_800.0];
/// Approvals per read.
const BATCH: usize = 1_024;

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Decided {
    decision: &'static str,
}

/// The times to a decision since the start, in seconds. Clones share them.
pub type DecisionTimes = Family<Decided, Histogram, fn() -> Histogram>;

/// Returns times without a decision.
pub(super) fn none() -> DecisionTimes {
    Family::new_with_constructor(|| Histogram::new(DECISION_SECONDS))
}

impl Approvals {
    /// Returns the times from a request to its approval or rejection, since the start.
    pub fn decision_times(&self) -> DecisionTimes {
        self.decision_times.clone()
    }

    /// Returns when the oldest pending approval was requested, in unix seconds.
    ///
    /// # Errors
    ///
    /// `store-unavailable`, `store-tampered`.
    pub async fn oldest_pending(&self) -> Result<Option<u64>, Refusal> {
        let store = self.ledger.store();
        let mut after = None;
        loop {
            let ids = store.unfinished(after, BATCH).await?;
            let Some(last) = ids.last() else { return Ok(None) };
            after = Some(*last);
            let pending = store.pending_among(&ids).await?;
            // Ids are in the order of their requests.
            let Some(oldest) = ids.iter().find(|id| pending.contains(id)) else { continue };
            let stored = store.load(oldest, WithTexts::No).await?;
            return Ok(stored.map(|stored| stored.summary.requested_at));
        }
    }

    /// Counts a change from `from` to `to`, if it is a decision.
    pub(super) fn count_decision(&self, from: Status, to: &str, seconds: u64) {
        let decisions = [Status::Approved, Status::Rejected];
        let decision = decisions.into_iter().find(|status| status.as_str() == to);
        if let (Status::Pending, Some(decision)) = (from, decision) {
            let times = &self.decision_times;
            let decided = Decided { decision: decision.as_str() };
            // A number of seconds, far below 2^53.
            times.get_or_create(&decided).observe(seconds as f64);
        }
    }
}
