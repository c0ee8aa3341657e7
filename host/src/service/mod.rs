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

mod caller;
mod commit;
mod gate;
mod guardrails;
mod keys;
mod log;
mod log_keys;
mod modules;
mod note;
mod operation;
mod read;
mod receipt;
mod refused;
mod shadow;
mod slots;
mod start;
mod stored_texts;
mod sweep;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;
mod time;
mod tokens;
mod watch;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::clock::Clock;
use crate::code::Code;
use crate::config::Config;
use crate::engine::Loader;
use crate::id::IdMaker;
use crate::keys::{KeySource, Keys};
use crate::refusal::Refusal;
use crate::store::{Head, Store};
use crate::verifier::{Failure, Verifier};

pub use caller::{Caller, Holder};
pub use commit::{Idempotency, Reply};
pub use guardrails::Action;
pub use log_keys::trust;
pub use modules::NewModule;
pub use operation::{Attempt, Ballot, Claim, NewApproval, Outcome};
pub use read::{Filter, Page, PayloadQuery};
pub use refused::Refused;
pub use shadow::{Flip, ShadowCounts};
pub use slots::{Active, PolicySlot};
pub use start::{Accepted, Standing, Start, StartError, Started, WITNESS_SETTING};
pub use stored_texts::StoredTexts;
pub use tokens::{NewToken, TOKEN_SECONDS_MAX, TokenRow, token_rows, tokens_required};
pub use watch::{Watch, Watchers};

/// Calls with larger arguments run on a blocking thread: they take longer than a context switch.
const INLINE_BYTES_MAX: usize = 64 << 10;

/// The operations on approvals, modules, tokens and the audit log, for the HTTP API and the CLI.
pub struct Service {
    store: Arc<dyn Store>,
    slots: slots::Slots,
    shadow: shadow::Shadow,
    verdicts: guardrails::Verdicts,
    loader: Loader,
    registry: modules::Registry,
    keys: Arc<KeySource>,
    /// The keys as last recorded in the audit log.
    recorded: tokio::sync::Mutex<Option<Keys>>,
    time: time::Time,
    gate: gate::Gate,
    ids: IdMaker,
    accept: Arc<[String]>,
    config: Config,
    audience: String,
    tokens_required: AtomicBool,
    token_index: tokens::TokenIndex,
    refusals: refused::Rates,
    watchers: Watchers,
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
            time: time::Time::new(clock, head.last_commit_at),
            gate: gate::Gate::default(),
            audience: head.audience,
            store,
            slots: slots::Slots::new(verifier),
            shadow: shadow::Shadow::default(),
            verdicts: guardrails::Verdicts::default(),
            loader,
            registry: modules::Registry::default(),
            keys,
            recorded: tokio::sync::Mutex::default(),
            ids: IdMaker::default(),
            accept: config.signatures.accept.clone().into(),
            config,
            tokens_required: AtomicBool::new(false),
            token_index: tokens::TokenIndex::default(),
            refusals: refused::Rates::default(),
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
    fn now(&self) -> u64 {
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
    fn now_to_write(&self) -> Result<u64, Refusal> {
        self.gate.check()?;
        self.time.to_write()
    }

    /// Calls a verifier. `bytes` is the approximate size of the arguments.
    async fn call_verifier<T: Send + 'static>(
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
