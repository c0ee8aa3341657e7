//! The same client without async: each call blocks its thread.
//!
//! Calls run on one thread that all clones of a client share, so they may also be made where another
//! runtime is running, which they block.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::action::Action;
use crate::answers::{Evaluation, Verification};
use crate::approval::{Approval, Page};
use crate::ballot::Ballot;
use crate::builder::ClientBuilder;
use crate::client::Outcome;
use crate::error::Error;
use crate::events::Event;
use crate::filter::Filter;
use crate::guard::{Execution, GuardError, claimed};

/// A client of one server that blocks. Cheap to clone; can be shared between threads.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # fn deploy(target: &str) -> std::io::Result<()> { Ok(()) }
/// use serde_json::json;
/// use signoff_client::{Action, Context, Execution, blocking};
///
/// let client = blocking::Client::from_env()?;
/// let action = Action::new("deployer", "deploy", Context::new(&json!({"target": "prod"}))?);
/// client.guard(action, |execution: Execution| deploy(execution.context_text()))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    client: crate::Client,
    worker: Arc<Worker>,
}

/// A call of the API that blocks.
#[must_use = "a call does nothing until it is sent"]
pub struct Call<T> {
    call: crate::Call<T>,
    worker: Arc<Worker>,
}

/// The thread on which calls run.
struct Worker(Option<Runtime>);

impl Client {
    /// Makes a client from the environment and the user's home.
    ///
    /// # Errors
    ///
    /// As [`ClientBuilder::build`].
    pub fn from_env() -> Result<Self, Error> {
        Self::new(ClientBuilder::default())
    }

    /// Makes a client from its settings.
    ///
    /// # Errors
    ///
    /// As [`ClientBuilder::build`]; `unreachable` if its thread cannot be started.
    pub fn new(settings: ClientBuilder) -> Result<Self, Error> {
        let client = settings.build()?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("signoff-client")
            .enable_all()
            .build()
            .map_err(|e| Error::unreachable(format!("cannot start a thread: {e}")))?;
        Ok(Self { client, worker: Arc::new(Worker(Some(runtime))) })
    }

    /// As [`crate::Client::request`].
    pub fn request(&self, action: &Action) -> Call<Approval> {
        self.call(self.client.request(action))
    }

    /// As [`crate::Client::get`].
    pub fn get(&self, id: &str) -> Call<Approval> {
        self.call(self.client.get(id))
    }

    /// As [`crate::Client::list`].
    pub fn list(&self, filter: &Filter) -> Call<Page> {
        self.call(self.client.list(filter))
    }

    /// As [`crate::Client::wait`].
    ///
    /// # Errors
    ///
    /// As [`crate::Client::wait`].
    pub fn wait(&self, id: &str, timeout: impl Into<Option<Duration>>) -> Result<Approval, Error> {
        let (client, id, timeout) = (self.client.clone(), id.to_owned(), timeout.into());
        self.worker.run(async move { client.wait(&id, timeout).await })?
    }

    /// As [`crate::Client::decide`].
    pub fn decide(&self, id: &str, ballot: &Ballot) -> Call<Approval> {
        self.call(self.client.decide(id, ballot))
    }

    /// As [`crate::Client::verify`].
    pub fn verify(&self, id: &str, signature: &str, action: &Action) -> Call<Verification> {
        self.call(self.client.verify(id, signature, action))
    }

    /// As [`crate::Client::claim`].
    pub fn claim(&self, id: &str, action: &Action) -> Call<Approval> {
        self.call(self.client.claim(id, action))
    }

    /// As [`crate::Client::report`].
    pub fn report(
        &self,
        id: &str,
        execution_id: &str,
        outcome: Outcome,
        detail: Option<&str>,
    ) -> Call<Approval> {
        self.call(self.client.report(id, execution_id, outcome, detail))
    }

    /// As [`crate::Client::withdraw`].
    pub fn withdraw(&self, id: &str) -> Call<Approval> {
        self.call(self.client.withdraw(id))
    }

    /// As [`crate::Client::extend`].
    pub fn extend(&self, id: &str, expires_in: Duration) -> Call<Approval> {
        self.call(self.client.extend(id, expires_in))
    }

    /// As [`crate::Client::receipt`].
    pub fn receipt(&self, id: &str) -> Call<String> {
        self.call(self.client.receipt(id))
    }

    /// As [`crate::Client::keys`].
    pub fn keys(&self) -> Call<String> {
        self.call(self.client.keys())
    }

    /// As [`crate::Client::evaluate`].
    pub fn evaluate(&self, action: &Action) -> Call<Evaluation> {
        self.call(self.client.evaluate(action))
    }

    /// Follows the audit log, as [`crate::Client::events`]. The iterator never ends; after an error it
    /// connects again.
    pub fn events(
        &self,
        after: impl Into<Option<u64>>,
    ) -> impl Iterator<Item = Result<Event, Error>> {
        let worker = Arc::clone(&self.worker);
        let mut events = Some(self.client.events(after));
        std::iter::from_fn(move || {
            let mut stream = events.take()?;
            let next = worker.run(async move {
                let next = stream.next().await;
                (stream, next)
            });
            Some(next.and_then(|(stream, next)| {
                events = Some(stream);
                next
            }))
        })
    }

    /// Runs a function on an approved action, at most once: as [`crate::Client::guard`].
    ///
    /// The function runs on the caller's thread. If it panics, the execution is reported as failed, and
    /// the panic goes on.
    ///
    /// # Errors
    ///
    /// As [`crate::Client::guard`].
    pub fn guard<T, E>(
        &self,
        action: Action,
        function: impl FnOnce(Execution) -> Result<T, E>,
    ) -> Result<T, GuardError<E>> {
        let client = self.client.clone();
        let claimed = self.worker.run(async move { claimed(&client, &action).await });
        let mut claimed = claimed.and_then(|claimed| claimed).map_err(GuardError::NotRun)?;
        let execution = claimed.begin();
        let result = catch_unwind(AssertUnwindSafe(|| function(execution)));
        let (outcome, detail) = match &result {
            Ok(result) => crate::guard::outcome(result),
            Err(_) => (Outcome::Failed, Some("panicked")),
        };
        // A report that fails does not change the result.
        let _ = self.worker.run(async move { claimed.end_as(outcome, detail).await });
        match result {
            Ok(result) => result.map_err(GuardError::Failed),
            Err(panic) => resume_unwind(panic),
        }
    }

    fn call<T>(&self, call: crate::Call<T>) -> Call<T> {
        Call { call, worker: Arc::clone(&self.worker) }
    }
}

impl<T: Send + 'static> Call<T> {
    /// As [`crate::Call::timeout`].
    pub fn timeout(mut self, time: Duration) -> Self {
        self.call = self.call.timeout(time);
        self
    }

    /// As [`crate::Call::idempotency_key`].
    pub fn idempotency_key(mut self, key: impl AsRef<str>) -> Self {
        self.call = self.call.idempotency_key(key);
        self
    }

    /// As [`crate::Call::send`].
    ///
    /// # Errors
    ///
    /// As [`crate::Call::send`].
    pub fn send(self) -> Result<T, Error> {
        self.worker.run(self.call.send())?
    }
}

impl Worker {
    /// Runs a future on the thread, and blocks until it is done.
    fn run<F>(&self, future: F) -> Result<F::Output, Error>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let ended = || Error::unreachable("the client's thread has ended");
        let (done, result) = sync_channel(1);
        self.0.as_ref().ok_or_else(ended)?.spawn(async move {
            let _ = done.send(future.await);
        });
        result.recv().map_err(|_| ended())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Waiting for it is not possible where another runtime is running.
            runtime.shutdown_background();
        }
    }
}

/// Without the token and the keys.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.fmt(f)
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}
