//! `approval.verify`: decides whether an executor may run an attempt, given an approval as a server
//! shows it. Everything in the view that can be recomputed is recomputed. Needs neither a record
//! nor a server.
//!
//! `view.rs` reads what a server shows, for approvers ([`crate::lifecycle::Review`]) and executors;
//! `attempt.rs` reads what is about to run; `expectations.rs` holds what the executor requires
//! beyond the approval's own requirement. The rules of status, ballots, quorum and comparison are
//! those of [`crate::lifecycle`].

mod attempt;
mod expectations;
mod json_text;
mod view;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use json_text::JsonText;
pub(crate) use view::ApprovalView;

use crate::key::{KeyEntry, Keyring};
use crate::lifecycle::{Approved, Proven};
use crate::name::{ApprovalId, Identifier, KeyId};
use crate::object::objects;
use crate::record::{Ballot, Requirement};
use crate::rejection::{Code, Rejection};
use crate::signature::Accepted;
use crate::statement::Profile;
use crate::time::UnixSeconds;
use attempt::Attempt;
use expectations::Expectations;
use view::Evidence;

/// The profiles accepted by default. `v1` is not among them because it does not cover the action.
const ACCEPT_DEFAULT: [&str; 1] = ["v2"];

/// The arguments of `approval.verify`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/approval.wit")]
pub struct Verify<'a> {
    #[serde(borrow)]
    pub approval: JsonText<'a>,
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(borrow)]
    pub audience: Cow<'a, str>,
    #[serde(borrow)]
    pub attempt: JsonText<'a>,
    #[serde(deserialize_with = "objects")]
    pub keys: Vec<KeyEntry>,
    #[serde(default)]
    pub accept: Option<Vec<String>>,
    pub now: u64,
    #[serde(default)]
    pub requested_after: Option<u64>,
    #[serde(borrow, default)]
    pub floor: Option<JsonText<'a>>,
    #[serde(default)]
    pub policies: Option<Vec<String>>,
}

/// The answer of `approval.verify`, as JSON: what was proven of an approval.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the members are explained in wit/approval.wit")]
pub struct Verified {
    pub approval_id: String,
    pub request_digest: String,
    pub requested_by: String,
    pub requested_at: UnixSeconds,
    pub expires_at: UnixSeconds,
    pub requirement: Requirement,
    pub policy: Option<String>,
    pub rule: Option<String>,
    pub context: String,
    pub plan: Option<String>,
    /// Sorted by the approver's name, whatever the order of the ballots.
    pub approvers: Vec<Approver>,
}

/// An approver whose ballot counted, with the key that verified it.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the members are explained in wit/approval.wit")]
pub struct Approver {
    pub approver: String,
    pub key_id: String,
    pub groups: Vec<String>,
    pub profile: Profile,
    pub algorithm: &'static str,
}

impl Verify<'_> {
    /// Verifies an approval as a server shows it against the attempt; see `approval.verify` in
    /// `wit/` for shapes and the order of the rejections.
    pub fn run(&self) -> Result<Verified, Rejection> {
        let shown = ApprovalView::read(self.approval.as_str())?;
        let evidence = Evidence::read(&shown)?;
        let id = ApprovalId::new(self.id.as_ref())?;
        let audience = Identifier::new("audience", self.audience.as_ref())?;
        let attempt = Attempt::read(self.attempt.as_str())?;
        let keys = Keyring::read(&self.keys)?;
        let accepted = match &self.accept {
            None => Accepted::read(&ACCEPT_DEFAULT)?,
            Some(names) => Accepted::read(names)?,
        };
        let now = UnixSeconds::new(self.now)?;
        let expectations = Expectations::read(self)?;

        check_identity(&shown, &id, &audience)?;
        let erased_at = evidence.erased_at;
        let record = evidence.record(&shown);
        let approved = Approved::to_run(record, attempt.execution_id.as_ref(), now)?;
        if let Some(erased_at) = erased_at {
            return Err(Rejection::new(
                Code::NotApproved,
                format!("the approval was erased at {}", erased_at.rfc3339()),
            ));
        }
        let proven = approved.prove(&keys, &accepted)?;
        expectations.are_met_by(&proven.record, now)?;
        proven.matches_names(Some(&attempt.agent), Some(&attempt.action))?;
        let context = proven.matches_context(&attempt.context)?;
        let plan = proven.matches_plan(attempt.plan.as_deref())?;
        Verified::of(proven, &keys, context, plan)
    }
}

impl Verified {
    fn of(
        proven: Proven,
        keys: &Keyring,
        context: String,
        plan: Option<String>,
    ) -> Result<Self, Rejection> {
        let approvers = approvers(&proven, keys)?;
        let Proven { record, request_digest } = proven;
        Ok(Self {
            approval_id: record.id,
            request_digest,
            requested_by: record.requested_by,
            requested_at: record.requested_at,
            expires_at: record.expires_at,
            requirement: record.requirement,
            policy: record.policy,
            rule: record.rule,
            context,
            plan,
            approvers,
        })
    }
}

/// Checks the id and audience of the approval shown.
///
/// Rejections: 1. `not-found` for another approval 2. `audience-mismatch`
fn check_identity(
    shown: &ApprovalView<'_>,
    id: &ApprovalId,
    audience: &Identifier,
) -> Result<(), Rejection> {
    if shown.id != *id {
        return Err(Rejection::new(
            Code::NotFound,
            format!("`{id}` was requested, but `{}` is shown", shown.id),
        ));
    }
    if shown.audience != *audience {
        return Err(Rejection::new(
            Code::AudienceMismatch,
            format!("the approval is for `{}`, not for `{audience}`", shown.audience),
        ));
    }
    Ok(())
}

/// Returns the approvers whose ballots counted: [`Approved::prove`] accepts no other ballots.
fn approvers(proven: &Proven, keys: &Keyring) -> Result<Vec<Approver>, Rejection> {
    let approver = |ballot: &Ballot| {
        let key = KeyId::new(ballot.key_id.as_str()).ok().and_then(|id| keys.find(&id));
        let key = key.ok_or_else(|| {
            Rejection::new(Code::KeyUnknown, format!("no key `{}` in the keyring", ballot.key_id))
        })?;
        Ok(Approver {
            approver: ballot.approver.clone(),
            key_id: ballot.key_id.clone(),
            groups: key.groups.iter().map(ToString::to_string).collect(),
            profile: ballot.profile,
            algorithm: key.algorithm.as_str(),
        })
    };
    let mut approvers =
        proven.record.ballots.iter().map(approver).collect::<Result<Vec<_>, Rejection>>()?;
    approvers.sort_by(|a, b| a.approver.cmp(&b.approver));
    Ok(approvers)
}
