//! What an executor trusts, and how it judges what a server shows.

use signoff_verify::{Approver, Attempt, Expectations, Floor, Keyring, UnixSeconds};

use crate::action::Action;
use crate::approval::{Approval, Status};
use crate::builder::Own;
use crate::client::Client;
use crate::clock;
use crate::context::Context;
use crate::error::Error;

/// The executor's own settings.
pub(crate) struct Trust {
    pinned: Option<Pinned>,
    audience: Option<String>,
}

struct Pinned {
    keys: Keyring,
    audience: String,
    floor: Option<Floor>,
    expectations: Expectations,
}

/// What an approval proves, and what the action runs on.
pub(super) struct Proof {
    pub(super) context: String,
    pub(super) plan: Option<String>,
    pub(super) approvers: Vec<Approver>,
    pub(super) expires_at: String,
}

/// Judges what a server shows of one approval.
pub(super) struct Judge<'a> {
    client: &'a Client,
    id: &'a str,
    action: &'a Action,
    /// The pinned keys, made stricter by the server's, and the rest of what is required.
    pinned: Option<(Keyring, &'a str, Expectations)>,
}

impl Trust {
    /// # Errors
    ///
    /// `request-invalid`: keys without an audience; requirements without keys; a floor with a number
    /// that no requirement has.
    pub(crate) fn new(
        keys: Option<Keyring>,
        audience: Option<String>,
        own: Own,
    ) -> Result<Self, Error> {
        let Some(mut keys) = keys else {
            let is_any_set = own.floor.is_some() || own.accept.is_some() || own.policies.is_some();
            if is_any_set || own.allow_hmac {
                return Err(Error::invalid(
                    "a floor, accepted profiles, policies or HMAC keys need pinned keys: nothing \
                     enforces them without",
                ));
            }
            return Ok(Self { pinned: None, audience });
        };
        let Some(audience) = audience else {
            return Err(Error::invalid(
                "pinned keys need an audience: set it, or SIGNOFF_AUDIENCE",
            ));
        };
        if !own.allow_hmac {
            keys.retain(|key| key.algorithm() != "hmac-sha256");
        }
        let mut expectations = Expectations::default();
        if let Some(floor) = &own.floor {
            check(floor)?;
            expectations = expectations.floor(floor.clone());
        }
        if let Some(profiles) = own.accept {
            expectations = expectations.accept(profiles);
        }
        if let Some(digests) = own.policies {
            expectations = expectations.policies(digests);
        }
        let floor = own.floor;
        Ok(Self { pinned: Some(Pinned { keys, audience, floor, expectations }), audience: None })
    }

    /// The least that an approval must require, if this executor verifies it.
    pub(super) fn floor(&self) -> Option<&Floor> {
        self.pinned.as_ref().and_then(|pinned| pinned.floor.as_ref())
    }
}

impl<'a> Judge<'a> {
    /// Reads the server's keys, which can only make the pinned ones stricter.
    pub(super) async fn new(
        client: &'a Client,
        id: &'a str,
        action: &'a Action,
        requested_after: UnixSeconds,
    ) -> Result<Self, Error> {
        let pinned = match &client.trust.pinned {
            None => None,
            Some(Pinned { keys, audience, expectations, .. }) => Some((
                narrowed(client, keys).await?,
                audience.as_str(),
                expectations.clone().requested_after(requested_after),
            )),
        };
        Ok(Self { client, id, action, pinned })
    }

    /// Verifies an approval, or with an execution the answer to its claim.
    pub(super) fn verify(&self, shown: &Approval, execution: Option<&str>) -> Result<Proof, Error> {
        if shown.id() != self.id {
            return Err(Error::untrusted("the server shows another approval"));
        }
        let Some((keys, audience, expectations)) = &self.pinned else {
            return self.compare(shown, execution);
        };
        let (action, context) = (self.action, self.action.context());
        let mut attempt = Attempt::new(action.agent(), action.action(), context.text());
        if let Some(plan) = action.planned() {
            attempt = attempt.with_plan(plan.text());
        }
        if let Some(execution) = execution {
            attempt = attempt.in_execution(execution);
        }
        let verified = self.client.verifier.verify_approval(
            shown.text(),
            self.id,
            audience,
            &attempt,
            keys,
            expectations,
            clock::now(),
        )?;
        Ok(Proof {
            context: verified.context().to_owned(),
            plan: verified.plan().map(str::to_owned),
            approvers: verified.approvers().to_vec(),
            expires_at: verified.expires_at().to_owned(),
        })
    }

    /// Compares what a trusted server shows with what was requested.
    fn compare(&self, shown: &Approval, execution: Option<&str>) -> Result<Proof, Error> {
        let (context, plan) = (self.action.context(), self.action.planned());
        let differs = [
            ("/agent", shown.agent() != self.action.agent()),
            ("/action", shown.action() != self.action.action()),
            ("/context_hash", shown.context_hash() != context.digest()),
            ("/plan_hash", shown.plan_hash() != plan.map(Context::digest)),
        ];
        let members: Vec<String> = differs
            .iter()
            .filter(|(_, differs)| *differs)
            .map(|(at, _)| (*at).to_owned())
            .collect();
        if !members.is_empty() {
            let detail = format!("the server shows another {}", members.join(", "));
            return Err(Error::untrusted(detail).at(members));
        }
        let audience = self.client.trust.audience.as_deref();
        if audience.is_some() && shown.audience() != audience {
            return Err(Error::local("audience-mismatch", "the server is another deployment's"));
        }
        match (shown.status(), execution) {
            (Status::Approved, None) => {}
            (Status::Executed, Some(id))
                if shown.execution_id() == Some(id) && shown.outcome() == Some("claimed") => {}
            (Status::Executed, _) => {
                return Err(Error::local("already-executed", "the approval was used already"));
            }
            _ => return Err(Error::local("not-approved", "the approval is not approved")),
        }
        Ok(Proof {
            context: context.canonical().to_owned(),
            plan: plan.map(|plan| plan.canonical().to_owned()),
            approvers: Vec::new(),
            expires_at: shown.expires_at().to_owned(),
        })
    }
}

/// Refuses zero: every number of a requirement is at least one.
fn check(floor: &Floor) -> Result<(), Error> {
    let is_zero = floor.least_approvers() == Some(0)
        || floor.longest_ttl_seconds() == Some(0)
        || floor.least_of_groups().values().any(|least| *least == 0);
    if is_zero {
        return Err(Error::invalid("the numbers of a floor must be 1 or more"));
    }
    Ok(())
}

/// Returns the pinned keys, made stricter by the server's. A server that does not show them, to this
/// token or at all, changes nothing.
async fn narrowed(client: &Client, keys: &Keyring) -> Result<Keyring, Error> {
    match client.keys().await {
        Ok(listed) => keys.narrowed_by(&listed).map_err(|e| Error::unreachable(e.message())),
        Err(e) if matches!(e.status(), 403 | 404) => Ok(keys.clone()),
        Err(e) => Err(e),
    }
}
