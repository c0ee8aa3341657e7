//! The service: the parts of a deployment over one store, for the HTTP API and the CLI. It contains
//! no trust rules.
//!
//! Each part has its own state and knows only the parts before it:
//!
//! | part | what it does |
//! | --- | --- |
//! | `verifier` | the active verifier |
//! | `ledger` | changes of the store with their audit entries, the clock, the block on writes |
//! | `keys` | the current keys, recorded in the log before they decide |
//! | `refusals` | audit entries of refused callers |
//! | `modules` | the module registry: what is stored, active and shadowed |
//! | `guardrails` | the evaluation of policies |
//! | `approvals` | the operations on approvals, lists and expiry |
//! | `audit` | checkpoints and proofs of the log, receipts |
//! | `authzen` | the AuthZEN interface: evaluations, access requests, re-evaluations |
//! | `tokens` | authentication |
//! | `start` | the checks of a start |
//! | `upkeep` | backup, pruning and compaction of the store |
//!
//! "The errors of every change" are `settings-weaker`, `store-unavailable`, `store-tampered`,
//! `clock-behind`, `clock-ahead`, `idempotency-key-reused` and `verifier-trapped`. An operation
//! that reads keys also returns `keyring-unavailable`, before it calls the verifier.

mod stored_texts;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;

use std::sync::Arc;

use crate::approvals::Approvals;
use crate::audit::AuditLog;
use crate::authzen::AuthZen;
use crate::clock::Clock;
use crate::code::Code;
use crate::config::Config;
use crate::engine::Loader;
use crate::guardrails::Guardrails;
use crate::identity::Tokens;
use crate::keys::{KeySource, RecordedKeys};
use crate::ledger::{Ledger, Refusals};
use crate::modules::Modules;
use crate::refusal::Refusal;
use crate::start::StartChecks;
use crate::store::{ANSWER_SECONDS, Store};
use crate::upkeep::Upkeep;
use crate::verifier::{ActiveVerifier, Verifier};

pub use stored_texts::StoredTexts;

/// Maximum stored answers that are deleted at once.
const ANSWERS_AT_ONCE: usize = 256;

/// The parts of a deployment.
#[allow(missing_docs, reason = "the table above")]
pub struct Service {
    pub verifier: Arc<ActiveVerifier>,
    pub ledger: Arc<Ledger>,
    pub keys: Arc<RecordedKeys>,
    pub refusals: Arc<Refusals>,
    pub modules: Arc<Modules>,
    pub guardrails: Arc<Guardrails>,
    pub approvals: Arc<Approvals>,
    pub audit: Arc<AuditLog>,
    pub authzen: AuthZen,
    pub tokens: Tokens,
    pub start: StartChecks,
    pub upkeep: Upkeep,
}

impl Service {
    /// Creates a service over an open store. `verifier` is active unless the store names another
    /// one. The service can write immediately if the settings are no weaker than the recorded ones
    /// and the log records no witness; otherwise only after the checks of [`StartChecks`].
    ///
    /// # Errors
    ///
    /// The store cannot be read; `keyring-unavailable` if the store names a verifier and the keys
    /// needed to check its signer cannot be read.
    pub async fn new(
        store: Arc<dyn Store>,
        verifier: Verifier,
        loader: Loader,
        keys: Arc<KeySource>,
        clock: Arc<dyn Clock>,
        config: Config,
    ) -> Result<Self, Refusal> {
        let head = store.head().await?;
        let verifier = Arc::new(ActiveVerifier::new(verifier));
        let ledger = Arc::new(Ledger::new(store, head, Arc::clone(&verifier), clock));
        let keys = Arc::new(RecordedKeys::new(Arc::clone(&ledger), keys));
        let refusals = Arc::new(Refusals::new(Arc::clone(&ledger)));
        let modules = Arc::new(Modules::new(
            Arc::clone(&ledger),
            Arc::clone(&keys),
            Arc::clone(&refusals),
            loader,
            Arc::clone(&verifier),
            &config,
        ));
        let guardrails = Arc::new(Guardrails::new(
            Arc::clone(&ledger),
            Arc::clone(&modules),
            Arc::clone(&verifier),
            &config,
        ));
        let approvals = Arc::new(Approvals::new(
            Arc::clone(&ledger),
            Arc::clone(&keys),
            Arc::clone(&verifier),
            Arc::clone(&guardrails),
            &config,
        ));
        let audit =
            Arc::new(AuditLog::new(Arc::clone(&ledger), Arc::clone(&keys), Arc::clone(&approvals)));
        let authzen = AuthZen::new(
            Arc::clone(&ledger),
            Arc::clone(&verifier),
            Arc::clone(&guardrails),
            Arc::clone(&approvals),
            Arc::clone(&audit),
            Arc::clone(&refusals),
        );
        let start = StartChecks::new(
            Arc::clone(&ledger),
            Arc::clone(&keys),
            Arc::clone(&approvals),
            Arc::clone(&audit),
            &config,
        );
        start.close_until_started().await;
        modules.load_stored_verifier().await?;
        let tokens = Tokens::new(Arc::clone(&ledger), Arc::clone(&keys));
        let upkeep = Upkeep::new(Arc::clone(&ledger), Arc::clone(&approvals));
        Ok(Self {
            verifier,
            ledger,
            keys,
            refusals,
            modules,
            guardrails,
            approvals,
            audit,
            authzen,
            tokens,
            start,
            upkeep,
        })
    }

    /// Checks that everything needed for a decision is available.
    ///
    /// # Errors
    ///
    /// `store-unavailable`, `verifier-trapped`, `policy-trapped`, `keyring-unavailable`,
    /// `settings-weaker`, `clock-behind`, `clock-ahead`.
    pub async fn ready(&self) -> Result<(), Refusal> {
        if !self.ledger.head().await?.writable {
            return Err(Refusal::new(Code::STORE_UNAVAILABLE, "the store accepts no writes"));
        }
        self.verifier.current().describe()?;
        self.guardrails.ready().await?;
        self.keys.checked().await?;
        self.ledger.now_to_write().map(drop)
    }

    /// Checks that callers may act on answers of this service. A command calls it after it compared
    /// the log with its witness.
    ///
    /// # Errors
    ///
    /// `settings-weaker`, `store-unavailable`, `store-tampered` if a check of the start is pending;
    /// `keyring-unavailable` if a key contradicts what the audit log recorded of it.
    pub async fn may_decide(&self) -> Result<(), Refusal> {
        self.ledger.gate().check()?;
        self.keys.checked().await.map(drop)
    }

    /// Stops writing to a file that was replaced, expires what is due, records the time once a day, deletes old answers, and makes a compaction
    /// that is owed. Returns how many approvals changed.
    ///
    /// # Errors
    ///
    /// The errors of every change; earlier changes of the call remain.
    pub async fn sweep(&self) -> Result<usize, Refusal> {
        self.ledger.store().refuse_if_replaced()?;
        self.modules.sweep().await;
        // Records a revocation before someone restores an older keyring. If that fails, the
        // operations that need the keys are refused.
        let _ = self.keys.recorded().await;
        let expired = self.approvals.expire_due().await?;
        self.ledger.record_time().await?;
        let before = self.ledger.now().saturating_sub(ANSWER_SECONDS);
        self.ledger.store().forget_answers(before, ANSWERS_AT_ONCE).await?;
        self.upkeep.compact_if_owed().await?;
        Ok(expired)
    }
}
