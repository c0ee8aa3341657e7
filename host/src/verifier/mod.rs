//! The verifier: the component that implements every trust decision, with one method for each of
//! its operations.
//!
//! A refusal by the verifier is [`Failure::Rejected`]. A failure of the verifier is
//! [`Failure::Trapped`], and drops the instance. Each operation, and its rejections in the order
//! they are checked, is documented in `wit/`.

mod active;
mod bindings;
mod operations;
mod types;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use tokio::sync::Semaphore;
use wasmtime::Store;

use crate::engine::{Allocation, Cache, Loader, Memory, Pool, Settings, VERIFIER, VERIFIER_DIGEST};

pub use active::ActiveVerifier;
pub use types::{
    Accepted, Approval, ApprovalArgs, CanonicalContext, CheckArgs, ClaimArgs, DecisionArgs,
    Failure, Key, Message, OpenArgs, Opened, ReceiptArgs, Rejection, Shown, Statement, Step,
    Summary, Transition, View,
};

/// Calls with larger arguments run on a blocking thread: they take longer than a thread switch.
pub(crate) const INLINE_BYTES_MAX: usize = 64 << 10;

/// The verifier: a module and its instances. Cheap to clone.
#[derive(Clone)]
pub struct Verifier {
    pool: Pool<bindings::Verifier>,
    work: Arc<Counters>,
    /// Limits the calls on blocking threads.
    places: Arc<Semaphore>,
}

/// Counters of a verifier's work since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Calls to the verifier.
    pub calls: u64,
    /// Contexts and plans read: each is one pass of the canonicalizer.
    pub texts: u64,
}

#[derive(Default)]
struct Counters {
    calls: AtomicU64,
    texts: AtomicU64,
}

/// Maximum calls on blocking threads: half of the pool's instances, so that an instance is always free
/// for a short call.
const PLACES: usize = 64;

impl Verifier {
    /// Loads a component of world `verifier`, given its bytes and their digest.
    ///
    /// # Errors
    ///
    /// A component that does not compile, imports anything, or lacks an export of the world.
    pub fn load(wasm: &[u8], digest: &str, allocation: Allocation, cache: &Cache) -> Result<Self> {
        Ok(Self::of(Pool::load(digest, allocation, |engine| cache.load(engine, wasm, digest))?))
    }

    /// Loads a component of world `verifier` with a loader.
    ///
    /// # Errors
    ///
    /// As [`Self::load`].
    pub fn load_by(loader: &Loader, wasm: &[u8], digest: &str) -> Result<Self> {
        let pool = Pool::load(digest, loader.allocation(), |engine| {
            loader.component(engine, Settings::Verifier, wasm, digest)
        })?;
        Ok(Self::of(pool))
    }

    /// Loads the embedded verifier.
    ///
    /// # Errors
    ///
    /// As [`Self::load`].
    pub fn embedded(allocation: Allocation, cache: &Cache) -> Result<Self> {
        Self::load(VERIFIER, VERIFIER_DIGEST, allocation, cache)
    }

    /// Creates a verifier whose every call fails with `why`: a placeholder for an active module
    /// that cannot be loaded.
    pub fn broken(digest: &str, why: &str) -> Self {
        Self::of(Pool::broken(digest, why))
    }

    fn of(pool: Pool<bindings::Verifier>) -> Self {
        let places = Arc::new(Semaphore::new(PLACES));
        Self { pool, work: Arc::default(), places }
    }

    /// Returns the module's digest.
    pub fn digest(&self) -> &str {
        self.pool.digest()
    }

    /// Returns why every call fails, if the verifier is broken.
    pub fn why_broken(&self) -> Option<&str> {
        self.pool.why_broken()
    }

    /// Returns the number of calls that trapped since the start.
    pub fn traps(&self) -> u64 {
        self.pool.traps()
    }

    /// Drops all idle instances, so that the next call makes one.
    pub fn forget_instances(&self) {
        self.pool.forget_instances();
    }

    /// Returns the counters of all clones since the start.
    pub fn work(&self) -> Work {
        Work {
            calls: self.work.calls.load(Ordering::Relaxed),
            texts: self.work.texts.load(Ordering::Relaxed),
        }
    }

    /// Runs calls, outside the async threads if the arguments are large. `bytes` is their
    /// approximate size.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        calls: impl FnOnce(&Self) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        if bytes <= INLINE_BYTES_MAX {
            return calls(self);
        }
        // A call goes on if its client has gone, and keeps its place until then.
        let place = Arc::clone(&self.places).acquire_owned().await;
        let verifier = self.clone();
        let called = tokio::task::spawn_blocking(move || {
            let answer = calls(&verifier);
            drop(place);
            answer
        });
        let answer = called.await;
        answer.unwrap_or_else(|e| Err(Failure::Trapped(e.to_string())))
    }

    /// Counts the contexts and plans that the next call reads.
    fn reads(&self, texts: [Option<&str>; 2]) {
        let texts = texts.into_iter().flatten().count() as u64;
        self.work.texts.fetch_add(texts, Ordering::Relaxed);
    }

    /// Calls a function that never rejects.
    fn call<T>(
        &self,
        f: impl FnOnce(&bindings::Verifier, &mut Store<Memory>) -> wasmtime::Result<T>,
    ) -> Result<T, Failure> {
        self.work.calls.fetch_add(1, Ordering::Relaxed);
        self.pool.call(f).map_err(Failure::Trapped)
    }

    /// Calls a function, and converts its result or rejection to this module's types.
    fn call_fallible<T, U: From<T>>(
        &self,
        f: impl FnOnce(
            &bindings::Verifier,
            &mut Store<Memory>,
        ) -> wasmtime::Result<Result<T, bindings::shared::Rejection>>,
    ) -> Result<U, Failure> {
        match self.call(f)? {
            Ok(answer) => Ok(answer.into()),
            Err(rejection) => Err(Failure::Rejected(rejection.into())),
        }
    }
}
