//! Operations on the store as a whole: backup, pruning and compaction.

mod backup;
mod prune;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Semaphore};

use crate::approvals::Approvals;
use crate::ledger::Ledger;
use crate::refusal::Refusal;
use crate::store::Compacted;

pub use backup::Backup;
pub use prune::{PRUNED_AT_ONCE_MAX, Prunable, PrunablePage, Pruned};

/// How long the file owes a compaction before the server makes one by itself: many erasures and
/// prunings share one.
const COMPACT_AFTER: Duration = Duration::from_secs(10);
/// The pause after a compaction that failed, as on a full disk.
const COMPACT_AGAIN_AFTER: Duration = Duration::from_secs(600);

/// The operations on a store.
pub struct Upkeep {
    ledger: Arc<Ledger>,
    approvals: Arc<Approvals>,
    /// One backup at a time.
    backups: Arc<Semaphore>,
    compacting: Mutex<Owed>,
}

/// When the file's owed compaction was noticed, and when one failed.
#[derive(Default)]
struct Owed {
    since: Option<Instant>,
    failed: Option<Instant>,
}

impl Upkeep {
    pub(crate) fn new(ledger: Arc<Ledger>, approvals: Arc<Approvals>) -> Self {
        Self {
            ledger,
            approvals,
            backups: Arc::new(Semaphore::new(1)),
            compacting: Mutex::default(),
        }
    }

    /// Rewrites the store's file without unused space, in which bytes of erased and removed rows may be
    /// left. Reads go on, changes wait.
    ///
    /// # Errors
    ///
    /// `settings-weaker`, `store-unavailable`. The store continues with the old file.
    pub async fn compact(&self) -> Result<Compacted, Refusal> {
        self.ledger.gate().check()?;
        let mut owed = self.compacting.lock().await;
        let compacted = self.ledger.store().compact().await.map_err(Refusal::of_copy)?;
        *owed = Owed::default();
        Ok(compacted)
    }

    /// Compacts a file that has owed it for some seconds.
    ///
    /// Refusals: as [`Self::compact`]; after one it waits before it tries again.
    pub(crate) async fn compact_if_owed(&self) -> Result<(), Refusal> {
        let Ok(mut owed) = self.compacting.try_lock() else { return Ok(()) };
        if !self.ledger.store().owes_compaction() {
            *owed = Owed::default();
            return Ok(());
        }
        let since = owed.since.get_or_insert_with(Instant::now).elapsed();
        let failed_lately = owed.failed.is_some_and(|at| at.elapsed() < COMPACT_AGAIN_AFTER);
        if since < COMPACT_AFTER || failed_lately {
            return Ok(());
        }
        match self.ledger.store().compact().await {
            Ok(_) => {
                *owed = Owed::default();
                Ok(())
            }
            Err(error) => {
                owed.failed = Some(Instant::now());
                Err(Refusal::of_copy(error))
            }
        }
    }
}
