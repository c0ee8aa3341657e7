//! A claim whose outcome is always reported.

use std::thread;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::execution::Execution;
use super::outcome;
use super::requested::Requested;
use super::trust::Proof;
use crate::action::Action;
use crate::approval::Approval;
use crate::client::{Client, Outcome};
use crate::error::Error;

/// The longest detail: a type's name may be long.
const DETAIL_BYTES_MAX: usize = 512;

/// A claim. Dropped without an outcome, it is reported as failed in a task of its own.
pub(super) struct Claim {
    client: Client,
    runtime: Handle,
    id: String,
    execution_id: String,
    execution: Option<Execution>,
    is_open: bool,
    has_begun: bool,
}

/// A claim that was verified: its action may run.
pub(crate) struct Claimed {
    claim: Claim,
    execution: Execution,
}

impl Claim {
    /// Claims an approval. The claim finishes even if the caller goes away, so that its outcome can be
    /// reported.
    pub(super) async fn make(
        requested: Requested,
        action: &Action,
    ) -> Result<(Self, Approval), Error> {
        let (client, runtime, id) = requested.into_parts();
        let (call, here) = (client.claim_of_guard(&id, action), runtime.clone());
        let claimed = runtime.spawn(async move {
            let shown = call.send().await?;
            let Some(execution_id) = shown.execution_id().map(str::to_owned) else {
                return Err(Error::untrusted("the answer to the claim has no execution"));
            };
            let (execution, is_open, has_begun) = (None, true, false);
            let claim =
                Self { client, runtime: here, id, execution_id, execution, is_open, has_begun };
            Ok((claim, shown))
        });
        claimed.await.map_err(|_| Error::unreachable("the runtime is ending"))?
    }

    pub(super) fn execution_id(&self) -> &str {
        &self.execution_id
    }

    pub(super) fn verified(mut self, proof: Proof) -> Claimed {
        let execution = Execution::new(&self.id, &self.execution_id, proof);
        self.execution = Some(execution.clone());
        Claimed { claim: self, execution }
    }

    /// Reports that the claim was refused by its own executor, and nothing ran.
    pub(super) async fn refuse(mut self, code: &str) {
        self.reported(Outcome::Failed, Some(&format!("did not run: {code}"))).await;
    }

    async fn reported(&mut self, outcome: Outcome, detail: Option<&str>) {
        if let Some(task) = self.report(outcome, detail) {
            let _ = task.await;
        }
    }

    /// Reports the outcome, once, in a task of its own: its caller may go away.
    fn report(&mut self, outcome: Outcome, detail: Option<&str>) -> Option<JoinHandle<()>> {
        if !std::mem::take(&mut self.is_open) {
            return None;
        }
        let detail = detail.map(|detail| {
            let end = detail.floor_char_boundary(DETAIL_BYTES_MAX);
            detail.split_at(end).0
        });
        let call = self.client.report(&self.id, &self.execution_id, outcome, detail);
        let execution = self.execution.clone();
        Some(self.runtime.spawn(async move {
            if call.send().await.is_ok()
                && let Some(execution) = execution
            {
                execution.set_reported();
            }
        }))
    }
}

impl Claimed {
    /// Returns the execution, which is about to run.
    pub(crate) fn begin(&mut self) -> Execution {
        self.claim.has_begun = true;
        self.execution.clone()
    }

    /// Reports the result of the function.
    pub(crate) async fn end<T, E>(self, result: &Result<T, E>) {
        let (outcome, detail) = outcome(result);
        self.end_as(outcome, detail).await;
    }

    /// Reports an outcome.
    pub(crate) async fn end_as(mut self, outcome: Outcome, detail: Option<&str>) {
        self.claim.reported(outcome, detail).await;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let detail = match (self.has_begun, thread::panicking()) {
            (false, _) => "cancelled before it ran",
            (true, false) => "cancelled",
            (true, true) => "panicked",
        };
        drop(self.report(Outcome::Failed, Some(detail)));
    }
}
