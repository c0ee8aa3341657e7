//! The client of one server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
#[cfg(doc)]
use signoff_verify::Keyring;
use signoff_verify::Verifier;

use crate::action::{Action, to_json};
use crate::answers::{Evaluation, Verification};
use crate::approval::{Approval, Page, text};
use crate::ballot::Ballot;
use crate::builder::ClientBuilder;
use crate::call::{Call, ask, change, get};
use crate::error::Error;
use crate::events::Events;
use crate::filter::Filter;
use crate::guard::Trust;
use crate::transport::{Outgoing, Transport};
use crate::wait;

const APPROVALS: &str = "/api/v1/approvals";

/// A client of one server. Cheap to clone; can be shared between tasks.
///
/// Every method makes a [`Call`], which is sent when it is awaited. Calls need a Tokio runtime with I/O
/// and time; [`crate::blocking::Client`] brings its own.
#[derive(Clone)]
pub struct Client {
    pub(crate) transport: Arc<Transport>,
    pub(crate) timeout: Duration,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) trust: Arc<Trust>,
}

/// How an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Outcome {
    /// The action ran to its end.
    Succeeded,
    /// The action failed, or did not run.
    Failed,
}

impl Client {
    /// Begins a client. What is not set comes from the environment, then from the user's home.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Makes a client from the environment and the user's home.
    ///
    /// # Errors
    ///
    /// As [`ClientBuilder::build`].
    pub fn from_env() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// Requests an approval.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] by the policy; as `lifecycle.open` in `wit/lifecycle.wit`;
    /// `requirement-unmeetable`; `rate-limited`.
    pub fn request(&self, action: &Action) -> Call<Approval> {
        let outgoing = action.request_body().and_then(|body| change(APPROVALS.to_owned(), body));
        self.call(outgoing, |body| Approval::read(body, None))
    }

    /// Returns an approval.
    ///
    /// # Errors
    ///
    /// `not-found`; `untrusted-answer` if the server shows another approval.
    pub fn get(&self, id: &str) -> Call<Approval> {
        self.approval(id, path(id, "").map(get))
    }

    /// Lists approvals, newest first.
    pub fn list(&self, filter: &Filter) -> Call<Page> {
        self.call(Ok(get(format!("{APPROVALS}{}", filter.query()))), Page::read)
    }

    /// Waits until an approval is no longer pending, or has expired by this machine's clock too, and
    /// returns it.
    ///
    /// # Errors
    ///
    /// As [`Self::get`]; [`Error::TimedOut`] once `timeout` has passed.
    pub async fn wait(
        &self,
        id: &str,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<Approval, Error> {
        wait::decided(self, id, timeout.into()).await
    }

    /// Asks for an approval that the server holds back while it is pending, at most `seconds`.
    pub(crate) fn poll(&self, id: &str, seconds: u64) -> Call<Approval> {
        let query = format!("?wait={seconds}&while=pending");
        let call = self.approval(id, path(id, &query).map(get));
        call.timeout(self.timeout.saturating_add(Duration::from_secs(seconds)))
    }

    /// Casts a ballot. The token must be an approver's.
    ///
    /// # Errors
    ///
    /// As `lifecycle.decide` in `wit/lifecycle.wit`.
    pub fn decide(&self, id: &str, ballot: &Ballot) -> Call<Approval> {
        self.change(id, "/approve", ballot.body())
    }

    /// Asks the server whether an executor may proceed. It changes nothing, and proves nothing: use a
    /// guard with pinned keys.
    pub fn verify(&self, id: &str, signature: &str, action: &Action) -> Call<Verification> {
        let body = action.verify_body(signature);
        let outgoing = path(id, "/verify").and_then(|path| Ok(ask(path, body?)));
        let id = id.to_owned();
        self.call(outgoing, move |body| Verification::read(body, &id))
    }

    /// Claims an approval for one execution. It is used then, whether or not the action runs.
    ///
    /// # Errors
    ///
    /// As `lifecycle.claim` in `wit/lifecycle.wit`; [`Error::Denied`] by the policy.
    pub fn claim(&self, id: &str, action: &Action) -> Call<Approval> {
        self.change(id, "/execute", action.claim_body())
    }

    /// Claims an approval for a guard, which reports the outcome even if the answer is another
    /// approval's.
    pub(crate) fn claim_of_guard(&self, id: &str, action: &Action) -> Call<Approval> {
        let outgoing = path(id, "/execute").and_then(|path| change(path, action.claim_body()?));
        self.call(outgoing, |body| Approval::read(body, None))
    }

    /// Reports how an execution ended. `detail` is at most 4 KiB, and everyone who can read the
    /// approval can read it.
    ///
    /// # Errors
    ///
    /// As `lifecycle.settle` in `wit/lifecycle.wit`.
    pub fn report(
        &self,
        id: &str,
        execution_id: &str,
        outcome: Outcome,
        detail: Option<&str>,
    ) -> Call<Approval> {
        #[derive(Serialize)]
        struct Body<'a> {
            execution_id: &'a str,
            outcome: Outcome,
            #[serde(skip_serializing_if = "Option::is_none")]
            detail: Option<&'a str>,
        }
        self.change(id, "/outcome", to_json(&Body { execution_id, outcome, detail }))
    }

    /// Withdraws a request before it is claimed.
    ///
    /// # Errors
    ///
    /// As `lifecycle.withdraw` in `wit/lifecycle.wit`.
    pub fn withdraw(&self, id: &str) -> Call<Approval> {
        self.change(id, "/withdraw", Ok("{}".to_owned()))
    }

    /// Moves the expiry of an approval without ballots to this time from now, in whole seconds. The
    /// token must be an approver's or an admin's.
    ///
    /// # Errors
    ///
    /// As `lifecycle.extend` in `wit/lifecycle.wit`.
    pub fn extend(&self, id: &str, expires_in: Duration) -> Call<Approval> {
        let body = format!("{{\"expires_in_seconds\":{}}}", expires_in.as_secs());
        self.change(id, "/extend", Ok(body))
    }

    /// Returns a receipt as text, for [`signoff_verify::Verifier::verify_receipt`].
    pub fn receipt(&self, id: &str) -> Call<String> {
        self.call(path(id, "/receipt").map(get), |body| {
            // The verifier takes it without white space around it.
            text(body).map(|text| text.trim().to_owned())
        })
    }

    /// Returns the server's keys as text, for [`Keyring::narrowed_by`]. Never pin what this returns: a
    /// server that lies names keys of its own.
    pub fn keys(&self) -> Call<String> {
        self.call(Ok(get("/api/v1/keys".to_owned())), text)
    }

    /// Evaluates the policy for an action. The verdict is recorded in the audit log.
    ///
    /// # Errors
    ///
    /// `request-invalid`, `context-invalid`, `policy-trapped`.
    pub fn evaluate(&self, action: &Action) -> Call<Evaluation> {
        let body = action.evaluate_body();
        let outgoing = body.and_then(|body| change("/api/v1/guardrails/evaluate".to_owned(), body));
        self.call(outgoing, Evaluation::read)
    }

    /// Follows the audit log: entries after a number, or new ones only.
    pub fn events(&self, after: impl Into<Option<u64>>) -> Events {
        Events::new(self.clone(), after.into())
    }

    fn change(&self, id: &str, route: &str, body: Result<String, Error>) -> Call<Approval> {
        let outgoing = path(id, route).and_then(|path| change(path, body?));
        self.approval(id, outgoing)
    }

    fn approval(&self, id: &str, outgoing: Result<Outgoing, Error>) -> Call<Approval> {
        let id = id.to_owned();
        self.call(outgoing, move |body| Approval::read(body, Some(&id)))
    }

    fn call<T>(
        &self,
        outgoing: Result<Outgoing, Error>,
        read: impl FnOnce(Vec<u8>) -> Result<T, Error> + Send + 'static,
    ) -> Call<T> {
        Call::new(&self.transport, self.timeout, outgoing, |answer| read(answer.body))
    }
}

/// The path of an approval's route. An id of another form would name another route.
fn path(id: &str, route: &str) -> Result<String, Error> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if !(1..=64).contains(&id.len()) || !id.bytes().all(fits) {
        return Err(Error::local("not-found", "malformed approval id"));
    }
    Ok(format!("{APPROVALS}/{id}{route}"))
}

/// Without the token and the keys.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("transport", &self.transport).finish_non_exhaustive()
    }
}
