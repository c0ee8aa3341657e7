//! The service: each operation loads, calls the verifier and commits. It contains no trust rules.
//!
//! | module | contains |
//! | --- | --- |
//! | `operation` | operations on approvals |
//! | `guardrails` | policy evaluation |
//! | `slots`, `modules` | active modules; the module registry |
//! | `shadow` | evaluation of a shadow policy |
//! | `caller`, `tokens` | callers; authentication and token management |
//! | `keys`, `log_keys` | keys and their audit entries; log keys for the store |
//! | `commit` | the commit loop, with retries on conflict, and idempotency |
//! | `note` | audit events that belong to no approval |
//! | `refused` | audit entries of refusals |
//! | `read`, `log`, `receipt` | reads; checkpoints and proofs of the audit log; receipts |
//! | `watch`, `sweep` | notification of changes; expiry |
//! | `time` | the service's clock |
//! | `start`, `gate` | the checks of a start; the block on writes until they passed |
//!
//! "The errors of every change" are `settings-weaker`, `store-unavailable`, `store-tampered`,
//! `clock-behind`, `clock-ahead`, `idempotency-key-reused` and `verifier-trapped`.

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::clock::Clock;
use crate::code::Code;
use crate::config::Config;
use crate::engine::Loader;
use crate::guardrails::{Shadow, Verdicts};
use crate::id::IdMaker;
use crate::identity::TokenIndex;
use crate::keys::{KeySource, Keys};
use crate::ledger::{Gate, Rates, Time, Watchers};
use crate::modules::{Registry, Slots};
use crate::refusal::Refusal;
use crate::store::{Head, Store};
use crate::verifier::{Failure, Verifier};

/// Calls with larger arguments run on a blocking thread: they take longer than a context switch.
pub(crate) const INLINE_BYTES_MAX: usize = 64 << 10;

/// The operations on approvals, modules, tokens and the audit log, for the HTTP API and the CLI.
pub struct Service {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) slots: Slots,
    pub(crate) shadow: Shadow,
    pub(crate) verdicts: Verdicts,
    pub(crate) loader: Loader,
    pub(crate) registry: Registry,
    pub(crate) keys: Arc<KeySource>,
    /// The keys as last recorded in the audit log.
    pub(crate) recorded: tokio::sync::Mutex<Option<Keys>>,
    pub(crate) time: Time,
    pub(crate) gate: Gate,
    pub(crate) ids: IdMaker,
    pub(crate) accept: Arc<[String]>,
    pub(crate) config: Config,
    pub(crate) audience: String,
    pub(crate) tokens_required: AtomicBool,
    pub(crate) token_index: TokenIndex,
    pub(crate) refusals: Rates,
    pub(crate) watchers: Watchers,
}

impl Service {
    /// Creates a service over an open store. `verifier` is active unless the store names another
    /// one. The service can write immediately if the settings are no weaker than the recorded ones
    /// and the log records no witness; otherwise only after [`Service::start`].
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
        let service = Self {
            watchers: Watchers::new(head.entries),
            time: Time::new(clock, head.last_commit_at),
            gate: Gate::default(),
            audience: head.audience,
            store,
            slots: Slots::new(verifier),
            shadow: Shadow::default(),
            verdicts: Verdicts::default(),
            loader,
            registry: Registry::default(),
            keys,
            recorded: tokio::sync::Mutex::default(),
            ids: IdMaker::default(),
            accept: config.signatures.accept.clone().into(),
            config,
            tokens_required: AtomicBool::new(false),
            token_index: TokenIndex::default(),
            refusals: Rates::default(),
        };
        service.close_until_started().await;
        service.load_stored_verifier().await?;
        Ok(service)
    }

    /// Returns the store's metadata.
    ///
    /// # Errors
    ///
    /// `store-unavailable`.
    pub async fn head(&self) -> Result<Head, Refusal> {
        Ok(self.store.head().await?)
    }

    /// Returns the subscriptions to changes.
    pub fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    /// Returns the deployment's name.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// Returns the accepted signature profiles.
    pub fn accepted(&self) -> &[String] {
        &self.accept
    }

    /// Checks that everything needed for a decision is available.
    ///
    /// # Errors
    ///
    /// `store-unavailable`, `verifier-trapped`, `policy-trapped`, `keyring-unavailable`,
    /// `settings-weaker`, `clock-behind`, `clock-ahead`.
    pub async fn ready(&self) -> Result<(), Refusal> {
        if !self.store.head().await?.writable {
            return Err(Refusal::new(Code::STORE_UNAVAILABLE, "the store accepts no writes"));
        }
        self.call_verifier(&self.verifier(), 0, Verifier::describe).await?;
        self.policy_ready().await?;
        self.checked_keys().await?;
        self.now_to_write().map(drop)
    }

    /// Returns the time for reads. It is never earlier than the last commit.
    pub(crate) fn now(&self) -> u64 {
        self.time.now()
    }

    /// Checks that answers of this service may be acted on, after its witness was compared.
    ///
    /// # Errors
    ///
    /// `settings-weaker`, `store-unavailable`, `store-tampered` if a check of the start is pending;
    /// `keyring-unavailable` if a key contradicts what the audit log recorded of it.
    pub async fn may_decide(&self) -> Result<(), Refusal> {
        self.gate.check()?;
        self.checked_keys().await.map(drop)
    }

    /// Returns the time for a write, if writing is allowed. Every write calls it.
    ///
    /// Refusals: `settings-weaker`, `store-unavailable`, `store-tampered` if a check of the start
    /// is pending; `clock-behind`, `clock-ahead`.
    pub(crate) fn now_to_write(&self) -> Result<u64, Refusal> {
        self.gate.check()?;
        self.time.to_write()
    }

    /// Calls a verifier. `bytes` is the approximate size of the arguments.
    pub(crate) async fn call_verifier<T: Send + 'static>(
        &self,
        verifier: &Verifier,
        bytes: usize,
        call: impl FnOnce(&Verifier) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Refusal> {
        if bytes <= INLINE_BYTES_MAX {
            return Ok(call(verifier)?);
        }
        let verifier = verifier.clone();
        let answer = tokio::task::spawn_blocking(move || call(&verifier)).await;
        answer.unwrap_or_else(|e| Err(Failure::Trapped(e.to_string()))).map_err(Refusal::from)
    }
}
