//! The inputs of a verification, and its proof.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::statement::Profile;
use crate::time::UnixSeconds;

/// The action that an executor is about to run. Context and plan are the JSON texts that were
/// requested, unmodified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    agent: String,
    action: String,
    context: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_id: Option<String>,
}

impl Attempt {
    /// An attempt without a plan, before its claim.
    pub fn new(
        agent: impl Into<String>,
        action: impl Into<String>,
        context: impl Into<String>,
    ) -> Self {
        Self {
            agent: agent.into(),
            action: action.into(),
            context: context.into(),
            plan: None,
            execution_id: None,
        }
    }

    /// Sets the plan. Required if one was approved.
    #[must_use]
    pub fn with_plan(mut self, plan: impl Into<String>) -> Self {
        self.plan = Some(plan.into());
        self
    }

    /// Sets the execution created by this executor's claim. An executed approval is then accepted
    /// too, while its outcome is `claimed` and its lease has not expired.
    #[must_use]
    pub fn in_execution(mut self, execution_id: impl Into<String>) -> Self {
        self.execution_id = Some(execution_id.into());
        self
    }
}

/// An executor's expectations beyond the approval's own requirement. The default expects nothing
/// more, and accepts only profile `v2`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Expectations {
    #[serde(skip_serializing_if = "Option::is_none")]
    accept: Option<Vec<Profile>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_after: Option<UnixSeconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<Floor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policies: Option<Vec<String>>,
}

/// The weakest requirement that an executor accepts. Unset fields are not required.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Floor {
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<u32>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    groups: BTreeMap<String, u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_seconds: Option<u64>,
}

impl Expectations {
    /// Sets the accepted profiles. `v1` covers neither action nor context: an executor that accepts
    /// it trusts the server for them.
    #[must_use]
    pub fn accept(mut self, profiles: impl IntoIterator<Item = Profile>) -> Self {
        self.accept = Some(profiles.into_iter().collect());
        self
    }

    /// Refuses older requests. Set it to the time before the request, minus a minute.
    #[must_use]
    pub fn requested_after(mut self, time: impl Into<UnixSeconds>) -> Self {
        self.requested_after = Some(time.into());
        self
    }

    /// Refuses a weaker requirement.
    #[must_use]
    pub fn floor(mut self, floor: Floor) -> Self {
        self.floor = Some(floor);
        self
    }

    /// Refuses a requirement that was not set by one of these policies, given by digest; at most
    /// 64.
    #[must_use]
    pub fn policies<D: Into<String>>(mut self, digests: impl IntoIterator<Item = D>) -> Self {
        self.policies = Some(digests.into_iter().map(Into::into).collect());
        self
    }
}

impl Floor {
    /// Requires at least this many approvers, 1 to 16.
    #[must_use]
    pub fn threshold(mut self, approvers: u32) -> Self {
        self.threshold = Some(approvers);
        self
    }

    /// Requires at least this many approvers of a group.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>, approvers: u32) -> Self {
        self.groups.insert(group.into(), approvers);
        self
    }

    /// Requires a time to live of at most this many seconds.
    #[must_use]
    pub fn ttl_seconds(mut self, seconds: u64) -> Self {
        self.ttl_seconds = Some(seconds);
        self
    }

    /// The least number of approvers, if there is one.
    pub fn least_approvers(&self) -> Option<u32> {
        self.threshold
    }

    /// The least number of approvers of each group.
    pub fn least_of_groups(&self) -> &BTreeMap<String, u32> {
        &self.groups
    }

    /// The longest time to live in seconds, if there is one.
    pub fn longest_ttl_seconds(&self) -> Option<u64> {
        self.ttl_seconds
    }
}

/// The proof that an approval was verified. Only [`crate::Verifier::verify_approval`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedApproval(Proven);

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Proven {
    approval_id: String,
    request_digest: String,
    requested_by: String,
    requested_at: String,
    expires_at: String,
    requirement: Requirement,
    policy: Option<String>,
    rule: Option<String>,
    context: String,
    plan: Option<String>,
    approvers: Vec<Approver>,
}

/// The requirement that was met.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Requirement {
    /// Time to live.
    pub ttl_seconds: u64,
    /// The number of approvers.
    pub threshold: u32,
    /// The number of approvers per group.
    pub groups: BTreeMap<String, u32>,
}

/// An approver whose ballot counted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Approver {
    /// The approver's name.
    pub approver: String,
    /// The key that verified the ballot.
    pub key_id: String,
    /// The groups of that key in the given keyring.
    pub groups: Vec<String>,
    /// The profile of the ballot's signature.
    pub profile: Profile,
    /// `ed25519` or `hmac-sha256`.
    pub algorithm: String,
}

impl VerifiedApproval {
    pub(crate) fn new(proven: Proven) -> Self {
        Self(proven)
    }

    /// The approval's id.
    pub fn approval_id(&self) -> &str {
        &self.0.approval_id
    }

    /// The digest of the whole request.
    pub fn request_digest(&self) -> &str {
        &self.0.request_digest
    }

    /// The requester.
    pub fn requested_by(&self) -> &str {
        &self.0.requested_by
    }

    /// When it was requested: RFC 3339, UTC.
    pub fn requested_at(&self) -> &str {
        &self.0.requested_at
    }

    /// When it expires: RFC 3339, UTC.
    pub fn expires_at(&self) -> &str {
        &self.0.expires_at
    }

    /// The requirement that was met.
    pub fn requirement(&self) -> &Requirement {
        &self.0.requirement
    }

    /// The digest of the policy that set the requirement, if one did.
    pub fn policy(&self) -> Option<&str> {
        self.0.policy.as_deref()
    }

    /// The policy's rule that decided.
    pub fn rule(&self) -> Option<&str> {
        self.0.rule.as_deref()
    }

    /// The canonical context: what to run the action on.
    pub fn context(&self) -> &str {
        &self.0.context
    }

    /// The canonical plan, if one was approved.
    pub fn plan(&self) -> Option<&str> {
        self.0.plan.as_deref()
    }

    /// The approvers, sorted by name.
    pub fn approvers(&self) -> &[Approver] {
        &self.0.approvers
    }
}
