//! The service: load, ask the verifier, commit. It holds no rule that decides trust.
//!
//! `operation` has what callers can do to approvals, `guardrails` what the policy says of it, `slots`
//! which modules serve, `shadow` the candidate beside them, `tokens` who callers are, `keys` what
//! decides, `commit` the loop that keeps a change or asks again, `note` changes of no approval,
//! `refused` the refusals that are kept, `read` what changes nothing, `log` what proves the audit,
//! `watch` who waits for a change, `sweep` what time does, `time` what time it is, `start` the rules of a
//! start, and `gate` what keeps a service from writing before they are settled.

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

/// Arguments above this size leave the async threads: they take longer than a context switch.
const INLINE_BYTES_MAX: usize = 64 << 10;

/// Approvals: every operation on them, for the HTTP API and the CLI.
pub struct Service {
    store: Arc<dyn Store>,
    slots: slots::Slots,
    shadow: shadow::Shadow,
    verdicts: guardrails::Verdicts,
    loader: Loader,
    registry: modules::Registry,
    keys: Arc<KeySource>,
    /// The keys that the audit has told of last.
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
    /// A service over an open store. `verifier` serves where the store names no other. It writes at once
    /// where these settings are as strong as those that the log has, and the log knows no witness; else
    /// only after [`Service::start`].
    ///
    /// # Errors
    ///
    /// Where the store cannot be read; `keyring-unavailable` where it names a verifier and the keys
    /// that say whether its signer counts cannot be read.
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
        service.begin_with_stored_verifier().await?;
        Ok(service)
    }

    /// What the store knows of itself.
    ///
    /// # Errors
    ///
    /// `store-unavailable`.
    pub async fn head(&self) -> Result<Head, Refusal> {
        Ok(self.store.head().await?)
    }

    /// Who waits for changes.
    pub fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    /// The deployment's name.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// The profiles whose signatures count.
    pub fn accepted(&self) -> &[String] {
        &self.accept
    }

    /// Whether everything a decision needs answers.
    ///
    /// # Errors
    ///
    /// `store-unavailable`, `verifier-trapped`, `policy-trapped`, `keyring-unavailable`,
    /// `settings-weaker`, `clock-behind`, `clock-ahead`.
    pub async fn ready(&self) -> Result<(), Refusal> {
        if !self.store.head().await?.writable {
            return Err(Refusal::new(Code::STORE_UNAVAILABLE, "the store accepts no writes"));
        }
        self.ask(&self.verifier(), 0, Verifier::describe).await?;
        self.policy_ready().await?;
        self.checked_keys().await?;
        self.now_to_write().map(drop)
    }

    /// The time to read at. It never goes back behind a commit.
    fn now(&self) -> u64 {
        self.time.now()
    }

    /// Whether what this service answers may be acted on, once its witness was compared.
    ///
    /// # Errors
    ///
    /// `settings-weaker`, `store-unavailable`, `store-tampered` where a start has yet to settle something;
    /// `keyring-unavailable` where keys are not what the audit has seen of them.
    pub async fn may_decide(&self) -> Result<(), Refusal> {
        self.gate.check()?;
        self.checked_keys().await.map(drop)
    }

    /// The time to write at. Every write takes it, and first whether anything may be written.
    ///
    /// Refusals: `settings-weaker`, `store-unavailable`, `store-tampered` where a start has yet to settle
    /// something; `clock-behind`, `clock-ahead`.
    fn now_to_write(&self) -> Result<u64, Refusal> {
        self.gate.check()?;
        self.time.to_write()
    }

    /// Asks a verifier; `bytes` is about how large the arguments are.
    async fn ask<T: Send + 'static>(
        &self,
        verifier: &Verifier,
        bytes: usize,
        question: impl FnOnce(&Verifier) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Refusal> {
        if bytes <= INLINE_BYTES_MAX {
            return Ok(question(verifier)?);
        }
        let verifier = verifier.clone();
        let answer = tokio::task::spawn_blocking(move || question(&verifier)).await;
        answer.unwrap_or_else(|e| Err(Failure::Trapped(e.to_string()))).map_err(Refusal::from)
    }
}
