//! `check`: whether an executor may proceed; `verify_ballot`: verifies a stored ballot.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Summary;
use super::event::Attempt;
use super::open::invalid;
use super::state::{Approved, Proven, verify_ballot};
use crate::context;
use crate::key::{KeyEntry, Keyring};
use crate::name::Identifier;
use crate::object::objects;
use crate::record::{Record, to_json};
use crate::rejection::{Code, Rejection};
use crate::signature::{Accepted, check_form};
use crate::time::UnixSeconds;

/// The arguments of `lifecycle.check`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/lifecycle.wit")]
pub struct Check<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(default)]
    pub approval: Option<Cow<'a, str>>,
    pub attempt: Cow<'a, str>,
    #[serde(default)]
    pub context: Option<Cow<'a, str>>,
    #[serde(default)]
    pub plan: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "objects")]
    pub keys: Vec<KeyEntry>,
    pub accept: Vec<String>,
    pub now: u64,
}

/// The answer of `lifecycle.check`.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the name says it")]
pub struct Checked {
    pub summary: Summary,
}

impl Check<'_> {
    /// Checks that an executor may proceed now; see `lifecycle.check` in `wit/` for shapes and
    /// rejections.
    pub fn run(&self) -> Result<Checked, Rejection> {
        let attempt = Attempt::read(&self.attempt)?;
        let keys = Keyring::read(&self.keys)?;
        let accepted = Accepted::read(&self.accept)?;
        let now = UnixSeconds::new(self.now)?;
        let approved = Approved::to_use(Record::read(&self.id, self.approval.as_deref())?, now)?;
        if let Some(signature) = &attempt.signature {
            stored(&approved.0, signature, &accepted)?;
        }
        let proven = approved.prove(&keys, &accepted)?;
        proven.matches_names(attempt.agent.as_ref(), attempt.action.as_ref())?;
        if let Some(context) = &self.context {
            proven.matches_context(context)?;
        }
        if self.plan.is_some() {
            proven.matches_plan(self.plan.as_deref())?;
        }
        Ok(Checked { summary: Summary::at(&proven.record, now) })
    }
}

/// The arguments of `lifecycle.verify_ballot`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/lifecycle.wit")]
pub struct VerifyBallot<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(default)]
    pub approval: Option<Cow<'a, str>>,
    pub signature: Cow<'a, str>,
    #[serde(deserialize_with = "objects")]
    pub keys: Vec<KeyEntry>,
    pub accept: Vec<String>,
}

/// The answer of `lifecycle.verify_ballot`: the ballot as JSON.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the name says it")]
pub struct BallotVerified {
    pub ballot: String,
}

impl VerifyBallot<'_> {
    /// Verifies a stored ballot by its signature; see `lifecycle.verify_ballot` in `wit/`.
    pub fn run(&self) -> Result<BallotVerified, Rejection> {
        let keys = Keyring::read(&self.keys)?;
        let accepted = Accepted::read(&self.accept)?;
        let record = Record::read(&self.id, self.approval.as_deref())?;
        let index = stored(&record, &self.signature, &accepted)?;
        verify_ballot(&record, &record.request_digest()?, index, &keys, &accepted)?;
        Ok(BallotVerified { ballot: to_json(&record.ballots.get(index))? })
    }
}

impl Proven {
    /// Rejections: 1. `agent-mismatch` 2. `action-mismatch`
    pub(crate) fn matches_names(
        &self,
        agent: Option<&Identifier>,
        action: Option<&Identifier>,
    ) -> Result<(), Rejection> {
        let pairs = [
            (Code::AgentMismatch, "agent", agent, &self.record.agent),
            (Code::ActionMismatch, "action", action, &self.record.action),
        ];
        for (code, field, attempted, approved) in pairs {
            if let Some(attempted) = attempted.filter(|name| name.as_str() != approved) {
                return Err(Rejection::new(
                    code,
                    format!("{field} `{attempted}` was not approved, `{approved}` was"),
                ));
            }
        }
        Ok(())
    }

    /// Compares a context with the approved one and returns its canonical form.
    ///
    /// Rejections: 1. `context-invalid` 2. `context-mismatch`
    pub(crate) fn matches_context(&self, context: &str) -> Result<String, Rejection> {
        let (canonical, digest) =
            context::canonicalize_and_digest(context).map_err(|e| invalid("context", &e))?;
        if digest != self.record.context_hash {
            return Err(Rejection::new(
                Code::ContextMismatch,
                format!(
                    "context digest {digest} was not approved, {} was",
                    self.record.context_hash
                ),
            ));
        }
        Ok(canonical)
    }

    /// Compares a plan, or its absence, with the approved one and returns its canonical form.
    ///
    /// Rejections: 1. `context-invalid` 2. `plan-mismatch`
    pub(crate) fn matches_plan(&self, plan: Option<&str>) -> Result<Option<String>, Rejection> {
        let (canonical, digest) = plan
            .map(|plan| context::canonicalize_and_digest(plan).map_err(|e| invalid("plan", &e)))
            .transpose()?
            .unzip();
        if digest != self.record.plan_hash {
            let name = |digest: &Option<String>| match digest {
                Some(digest) => format!("plan digest {digest}"),
                None => "no plan".to_owned(),
            };
            return Err(Rejection::new(
                Code::PlanMismatch,
                format!("{} was not approved, {} was", name(&digest), name(&self.record.plan_hash)),
            ));
        }
        Ok(canonical)
    }
}

/// Returns the index of the stored ballot that has this signature.
///
/// Rejections: 1. `signature-malformed` 2. `signature-invalid`
fn stored(record: &Record, signature: &str, accepted: &Accepted) -> Result<usize, Rejection> {
    check_form(signature, accepted)?;
    record.ballots.iter().position(|ballot| ballot.signature == signature).ok_or_else(|| {
        Rejection::new(
            Code::SignatureInvalid,
            "the signature does not belong to a ballot of this approval",
        )
    })
}
