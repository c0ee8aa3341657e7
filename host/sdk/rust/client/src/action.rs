//! What an agent wants to do.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use signoff_verify::Floor;

use crate::context::Context;
use crate::error::Error;

/// The server's time to live of a request that names none.
const TTL_SECONDS_DEFAULT: u64 = 3600;

/// An action of an agent, and how its approval is requested.
///
/// Every call sends agent, action, context and plan. [`Self::reason`], [`Self::expires_in`],
/// [`Self::threshold`] and [`Self::group`] are of the request; [`Self::lease`] is of the claim;
/// [`Self::timeout`] is of the guard.
#[derive(Clone, Debug)]
pub struct Action {
    agent: String,
    action: String,
    context: Context,
    plan: Option<Context>,
    reason: Option<String>,
    expires_in_seconds: Option<u64>,
    threshold: Option<u32>,
    groups: BTreeMap<String, u32>,
    lease_seconds: Option<u64>,
    timeout: Option<Duration>,
}

impl Action {
    /// An action without a plan. Agent and action are 1 to 128 visible ASCII characters.
    pub fn new(agent: impl Into<String>, action: impl Into<String>, context: Context) -> Self {
        Self {
            agent: agent.into(),
            action: action.into(),
            context,
            plan: None,
            reason: None,
            expires_in_seconds: None,
            threshold: None,
            groups: BTreeMap::new(),
            lease_seconds: None,
            timeout: None,
        }
    }

    /// Sets the plan: the steps that will run, exactly.
    #[must_use]
    pub fn plan(mut self, plan: Context) -> Self {
        self.plan = Some(plan);
        self
    }

    /// Sets the reason that approvers read, at most 4 KiB.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Sets how long the approval lives, in whole seconds: 1 s to 7 days. The server's default is an
    /// hour.
    #[must_use]
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.expires_in_seconds = Some(time.as_secs());
        self
    }

    /// Requires this many approvers, 1 to 16. The deployment and the policy may require more.
    #[must_use]
    pub fn threshold(mut self, approvers: u32) -> Self {
        self.threshold = Some(approvers);
        self
    }

    /// Requires this many approvers of a group, 1 to 16.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>, approvers: u32) -> Self {
        self.groups.insert(group.into(), approvers);
        self
    }

    /// Sets how long the execution may take, in whole seconds: 1 s to a day. After it the server shows
    /// the outcome `unknown`. The server's default is 5 minutes.
    #[must_use]
    pub fn lease(mut self, time: Duration) -> Self {
        self.lease_seconds = Some(time.as_secs());
        self
    }

    /// Limits a guard's request and the wait for its decision, with their retries. Without it, a guard
    /// waits until the approval expires.
    #[must_use]
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }

    /// Returns the action with nothing in its request weaker than the floor: the higher threshold, the
    /// higher minimum of each group, and the shorter time to live. What neither sets stays unset.
    pub(crate) fn at_least(&self, floor: &Floor) -> Self {
        let mut merged = self.clone();
        merged.threshold = self.threshold.max(floor.least_approvers());
        for (group, least) in floor.least_of_groups() {
            let own = merged.groups.entry(group.clone()).or_insert(*least);
            *own = (*own).max(*least);
        }
        let own = self.expires_in_seconds.unwrap_or(TTL_SECONDS_DEFAULT);
        if let Some(longest) = floor.longest_ttl_seconds().filter(|longest| *longest < own) {
            merged.expires_in_seconds = Some(longest);
        }
        merged
    }

    pub(crate) fn agent(&self) -> &str {
        &self.agent
    }

    pub(crate) fn action(&self) -> &str {
        &self.action
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn planned(&self) -> Option<&Context> {
        self.plan.as_ref()
    }

    pub(crate) fn longest_wait(&self) -> Option<Duration> {
        self.timeout
    }

    /// The body of `POST /approvals`.
    pub(crate) fn request_body(&self) -> Result<String, Error> {
        let requirement = (self.threshold.is_some() || !self.groups.is_empty())
            .then_some(Requirement { threshold: self.threshold, groups: &self.groups });
        to_json(&Body {
            reason: self.reason.as_deref(),
            expires_in_seconds: self.expires_in_seconds,
            requirement,
            ..self.body()?
        })
    }

    /// The body of `POST /guardrails/evaluate`.
    pub(crate) fn evaluate_body(&self) -> Result<String, Error> {
        to_json(&self.body()?)
    }

    /// The body of `POST …/execute`.
    pub(crate) fn claim_body(&self) -> Result<String, Error> {
        to_json(&Body { lease_seconds: self.lease_seconds, ..self.body()? })
    }

    /// The body of `POST …/verify`.
    pub(crate) fn verify_body(&self, signature: &str) -> Result<String, Error> {
        to_json(&Body { signature: Some(signature), ..self.body()? })
    }

    fn body(&self) -> Result<Body<'_>, Error> {
        Ok(Body {
            agent: &self.agent,
            action: &self.action,
            context: self.context.raw()?,
            plan: self.plan.as_ref().map(Context::raw).transpose()?,
            reason: None,
            expires_in_seconds: None,
            requirement: None,
            lease_seconds: None,
            signature: None,
        })
    }
}

#[derive(Serialize)]
struct Body<'a> {
    agent: &'a str,
    action: &'a str,
    context: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requirement: Option<Requirement<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<&'a str>,
}

#[derive(Serialize)]
struct Requirement<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<u32>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    groups: &'a BTreeMap<String, u32>,
}

/// Serializes a body.
pub(crate) fn to_json<T: Serialize>(body: &T) -> Result<String, Error> {
    serde_json::to_string(body).map_err(|e| Error::invalid(format!("the request: {e}")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};
    use signoff_verify::Floor;

    use super::Action;
    use crate::context::Context;

    fn action() -> Action {
        Action::new("deployer", "deploy", Context::from_json("{}").unwrap())
    }

    /// What is required in the body of a request.
    fn required(action: &Action) -> Value {
        let body: Value = serde_json::from_str(&action.request_body().unwrap()).unwrap();
        json!([body.get("expires_in_seconds"), body.get("requirement")])
    }

    #[test]
    fn nothing_weaker_than_the_floor_is_requested() {
        let floor = || Floor::default().threshold(2).group("sre", 2).ttl_seconds(60);
        let merged = json!([60, {"threshold": 2, "groups": {"sre": 2}}]);
        assert_eq!(required(&action().at_least(&floor())), merged);
        let weaker = action().threshold(1).group("sre", 1).expires_in(Duration::from_secs(90));
        assert_eq!(required(&weaker.at_least(&floor())), merged);
        let stronger = action().threshold(3).group("sre", 3).group("dba", 1);
        let stronger = stronger.expires_in(Duration::from_secs(30)).at_least(&floor());
        let expected = json!([30, {"threshold": 3, "groups": {"sre": 3, "dba": 1}}]);
        assert_eq!(required(&stronger), expected);
        let unchanged = weaker.at_least(&Floor::default());
        assert_eq!(required(&unchanged), json!([90, {"threshold": 1, "groups": {"sre": 1}}]));
    }

    #[test]
    fn a_long_floor_does_not_lengthen_a_request() {
        let floor = Floor::default().ttl_seconds(86_400);
        assert_eq!(required(&action().at_least(&floor)), json!([null, null]));
        let long = action().expires_in(Duration::from_secs(90_000)).at_least(&floor);
        assert_eq!(required(&long), json!([86_400, null]));
    }
}
