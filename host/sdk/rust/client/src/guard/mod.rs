//! The guard: request, wait, verify, claim, verify again, run, report.

mod claim;
mod claimed_ids;
mod execution;
mod requested;
mod trust;

use std::any::type_name;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::action::Action;
use crate::approval::{Approval, Status};
use crate::client::{Client, Outcome};
use crate::clock;
use crate::error::Error;

pub(crate) use claim::Claimed;
pub use execution::Execution;
pub(crate) use trust::Trust;

use claim::Claim;
use requested::Requested;
use trust::{Judge, Proof};

/// Why a guarded action has no result.
#[derive(Debug)]
pub enum GuardError<E> {
    /// The function did not run.
    NotRun(Error),
    /// The function ran, and returned this error.
    Failed(E),
}

impl Client {
    /// Runs a function on an approved action, at most once.
    ///
    /// 1. Requests the approval.
    /// 2. Waits until it is decided.
    /// 3. Verifies it with the pinned keys. Without keys, it only compares what the server shows with
    ///    what was requested: the server is trusted then.
    /// 4. Claims it.
    /// 5. Verifies the claim's answer. If it does not prove the same action, nothing runs.
    /// 6. Runs the function on what was approved: [`Execution::context`] and [`Execution::plan`], not
    ///    on values of the caller's.
    /// 7. Reports the outcome. The detail of a failure names the type `E`, never its text. A report
    ///    that fails does not change the result: see [`Execution::reported`].
    ///
    /// An error before step 4 withdraws the request.
    ///
    /// # Cancellation
    ///
    /// The future may be dropped at any time. Before the claim it withdraws the request, in a task of
    /// its own; a request whose answer is still on the way stays until it expires. Once the claim was sent, it lets it finish, and reports `failed`, because the approval
    /// is used. If the runtime ends before these tasks do, the request stays until it expires, and a
    /// claimed one is shown as `unknown` once its lease has run out. A function that panics counts as
    /// failed too.
    ///
    /// ```no_run
    /// # async fn deploy(target: &str) -> std::io::Result<()> { Ok(()) }
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use serde_json::json;
    /// use signoff_client::{Action, Client, Context};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Deployment {
    ///     target: String,
    /// }
    ///
    /// let client = Client::from_env()?;
    /// let action = Action::new("deployer", "deploy", Context::new(&json!({"target": "prod"}))?)
    ///     .reason("release 1.4");
    /// client
    ///     .guard(action, |execution| async move {
    ///         let approved: Deployment = execution.context().map_err(std::io::Error::other)?;
    ///         deploy(&approved.target).await
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`GuardError::NotRun`] with the reason, whose [`Error::approval_id`] names the request;
    /// [`GuardError::Failed`] with the function's own error.
    pub async fn guard<T, E, F, R>(&self, action: Action, function: F) -> Result<T, GuardError<E>>
    where
        F: FnOnce(Execution) -> R,
        R: Future<Output = Result<T, E>>,
    {
        let mut claimed = claimed(self, &action).await.map_err(GuardError::NotRun)?;
        let execution = claimed.begin();
        let result = function(execution).await;
        claimed.end(&result).await;
        result.map_err(GuardError::Failed)
    }
}

/// The outcome to report, and its detail.
pub(crate) fn outcome<T, E>(result: &Result<T, E>) -> (Outcome, Option<&'static str>) {
    match result {
        Ok(_) => (Outcome::Succeeded, None),
        Err(_) => (Outcome::Failed, Some(type_name::<E>())),
    }
}

/// Steps 1 to 5: returns an execution that may run.
pub(crate) async fn claimed(client: &Client, action: &Action) -> Result<Claimed, Error> {
    let runtime = Handle::try_current().map_err(|_| {
        Error::invalid("a guard runs in a Tokio runtime; see `blocking` without one")
    })?;
    let requested_after = clock::now().0.saturating_sub(clock::SKEW_SECONDS).into();
    let begun = Instant::now();
    let left = || action.longest_wait().map(|longest| longest.saturating_sub(begun.elapsed()));
    // Without an answer there is nothing to wait for, and the error is that of the call.
    let limit = left().unwrap_or(client.timeout).min(client.timeout);
    let requested = Requested::make(client, action, limit, &runtime).await?;
    let id = requested.id().to_owned();
    let about = |e: Error| e.about(&id);

    let verified = async {
        let shown = decided(client, &id, left()).await?;
        let judge = Judge::new(client, &id, action, requested_after).await?;
        let proof = judge.verify(&shown, None)?;
        if !claimed_ids::insert(&id, &proof.expires_at) {
            return Err(Error::untrusted("this process claimed the same approval before"));
        }
        Ok((judge, proof))
    };
    let (judge, proof) = match verified.await {
        Ok(verified) => verified,
        Err(e) => {
            requested.withdraw(&e).await;
            return Err(about(e));
        }
    };

    let (claim, shown) = Claim::make(requested, action).await.map_err(about)?;
    match judge.verify(&shown, Some(claim.execution_id())).and_then(|again| same(&proof, again)) {
        Ok(proof) => Ok(claim.verified(proof)),
        Err(e) => {
            claim.refuse(e.code()).await;
            Err(about(e))
        }
    }
}

/// Waits for the decision. Everything but an approval is an error, except `executed`, which the
/// verification refuses.
async fn decided(client: &Client, id: &str, limit: Option<Duration>) -> Result<Approval, Error> {
    let shown = client.wait(id, limit).await?;
    let code = match shown.status() {
        Status::Approved | Status::Executed => return Ok(shown),
        Status::Rejected => "rejected",
        Status::Expired | Status::Pending => "expired",
        Status::Withdrawn => "withdrawn",
        Status::Unknown => return Err(Error::untrusted("the approval has an unknown status")),
    };
    Err(Error::local(code, format!("the approval is {code}")).said(shown.comment()))
}

fn same(proof: &Proof, again: Proof) -> Result<Proof, Error> {
    if proof.context == again.context && proof.plan == again.plan {
        return Ok(again);
    }
    Err(Error::untrusted("the claim shows another context or plan than the approval"))
}

impl<E: fmt::Display> fmt::Display for GuardError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRun(e) => write!(f, "not run: {e}"),
            Self::Failed(e) => write!(f, "{e}"),
        }
    }
}

impl<E: std::error::Error> std::error::Error for GuardError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Its text is a part of this error's.
            Self::NotRun(_) => None,
            Self::Failed(e) => e.source(),
        }
    }
}
