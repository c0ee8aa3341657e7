//! A request that is withdrawn unless it is claimed.

use std::time::Duration;

use tokio::runtime::Handle;

use crate::action::Action;
use crate::client::Client;
use crate::error::Error;

/// Time limit of a withdrawal, which its caller does not need.
const WITHDRAW_TIME_MAX: Duration = Duration::from_secs(5);

/// A request of a guard. Dropped, it is withdrawn in a task of its own.
pub(super) struct Requested {
    client: Client,
    runtime: Handle,
    id: String,
    is_open: bool,
}

impl Requested {
    /// Requests an approval, with nothing weaker than the executor's own floor, within `limit`. The
    /// request finishes even if the caller goes away, so that it can be withdrawn.
    pub(super) async fn make(
        client: &Client,
        action: &Action,
        limit: Duration,
        runtime: &Handle,
    ) -> Result<Self, Error> {
        let call = match client.trust.floor() {
            Some(floor) => client.request(&action.at_least(floor)),
            None => client.request(action),
        };
        let (call, client, here) = (call.timeout(limit), client.clone(), runtime.clone());
        let requested = runtime.spawn(async move {
            let id = call.send().await?.id().to_owned();
            Ok(Self { client, runtime: here, id, is_open: true })
        });
        requested.await.map_err(|_| Error::unreachable("the runtime is ending"))?
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Withdraws the request, as far as the server answers. What ended otherwise needs no withdrawal.
    pub(super) async fn withdraw(mut self, reason: &Error) {
        self.is_open =
            !matches!(reason, Error::Rejected(_) | Error::Expired(_) | Error::Withdrawn(_))
                || reason.status() != 0;
        if let Some(task) = self.withdrawn() {
            let _ = task.await;
        }
    }

    /// Takes the request apart, to be claimed.
    pub(super) fn into_parts(mut self) -> (Client, Handle, String) {
        self.is_open = false;
        (self.client.clone(), self.runtime.clone(), std::mem::take(&mut self.id))
    }

    fn withdrawn(&mut self) -> Option<tokio::task::JoinHandle<()>> {
        if !std::mem::take(&mut self.is_open) {
            return None;
        }
        let call = self.client.withdraw(&self.id).timeout(WITHDRAW_TIME_MAX);
        Some(self.runtime.spawn(async move {
            let _ = call.send().await;
        }))
    }
}

impl Drop for Requested {
    fn drop(&mut self) {
        drop(self.withdrawn());
    }
}
