//! Decisions about an approval: ballots, withdrawal and extension.

use std::sync::Arc;

use serde_json::json;
use signoff_core::person::same_person;

use super::change::Call;
use super::{Approvals, text_of};
use crate::caller::Caller;
use crate::code::Code;
use crate::id::ApprovalId;
use crate::ledger::{Idempotency, Reply};
use crate::refusal::Refusal;
use crate::store::Status;
use crate::verifier::{Accepted, Approval, Verifier};

/// One approver's decision.
#[derive(Clone, Debug)]
pub struct Ballot {
    /// `approved` or `rejected`.
    pub decision: String,
    /// The approver. For a caller with a token it is the token's subject, and optional.
    pub approver: Option<String>,
    /// The approver's comment.
    pub comment: Option<String>,
    /// The signature over the statement.
    pub signature: String,
}

impl Approvals {
    /// Records one ballot.
    ///
    /// # Errors
    ///
    /// 1. `not-found` for an approval that the caller may not read 2. `approver-not-allowed` if the
    ///    ballot names another approver than the caller 3. as `lifecycle.decide` in `wit/` 4. the
    ///    errors of every change.
    pub async fn decide(
        &self,
        caller: &Caller,
        id: Option<ApprovalId>,
        ballot: &Ballot,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        self.readable(caller, id).await?;
        let approver = approver(caller, ballot)?;
        if let Some(reply) = self.ledger.kept(idempotency).await? {
            return Ok(reply);
        }
        let event = json!({
            "decision": ballot.decision,
            "approver": approver,
            "comment": ballot.comment,
            "signature": ballot.signature,
        })
        .to_string();
        let (keys, accept) = (self.keys.recorded().await?, Arc::clone(&self.accept));
        let call = Call::of(move |verifier, approval, now| {
            let accepted = Accepted { keys: keys.entries(), profiles: &accept };
            verifier.decide(approval, &event, accepted, now)
        });
        self.change(caller, id, idempotency, call).await
    }

    /// Verifies that a signature belongs to a stored ballot, regardless of the approval's status.
    ///
    /// # Errors
    ///
    /// As `lifecycle.verify_ballot` in `wit/`; then `store-unavailable`, `verifier-trapped`.
    pub async fn recognize(&self, id: Option<ApprovalId>, signature: &str) -> Result<(), Refusal> {
        let stored = self.load(id).await?;
        let keys = self.keys.to_verify().await?;
        let record = stored.as_ref().map(|stored| stored.record.as_str());
        let approval = Approval { id: &text_of(id), record };
        let accepted = Accepted { keys: keys.entries(), profiles: &self.accept };
        self.verifier.current().verify_ballot(approval, signature, accepted)?;
        Ok(())
    }

    /// Withdraws an approval.
    ///
    /// # Errors
    ///
    /// 1. `not-found` for an approval that the caller may not read 2. as `lifecycle.withdraw` in
    ///    `wit/` 3. the errors of every change.
    pub async fn withdraw(
        &self,
        caller: &Caller,
        id: Option<ApprovalId>,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let event = json!({ "actor": caller.actor() });
        self.change_by(caller, id, &event, Verifier::withdraw, idempotency).await
    }

    /// Withdraws an approval that is pending, and no other one.
    ///
    /// # Errors
    ///
    /// 1. `not-found` for an approval that the caller may not read 2. `already-decided` for one that
    ///    is not pending 3. as [`Self::withdraw`].
    pub async fn withdraw_pending(
        &self,
        caller: &Caller,
        id: Option<ApprovalId>,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let event = json!({ "actor": caller.actor() });
        let from = Some(Status::Pending);
        self.change_from(from, caller, id, &event, Verifier::withdraw, idempotency).await
    }

    /// Extends the lifetime of an approval, counted from now.
    ///
    /// # Errors
    ///
    /// 1. `not-found` for an approval that the caller may not read 2. as `lifecycle.extend` in
    ///    `wit/` 3. the errors of every change.
    pub async fn extend(
        &self,
        caller: &Caller,
        id: Option<ApprovalId>,
        expires_in_seconds: i64,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let event = json!({ "expires_in_seconds": expires_in_seconds, "actor": caller.actor() });
        self.change_by(caller, id, &event, Verifier::extend, idempotency).await
    }
}

/// Returns the approver: the token's subject, or without tokens the one that the ballot names.
///
/// Refusals: 1. `approver-not-allowed` 2. `request-invalid`
fn approver<'a>(caller: &'a Caller, ballot: &'a Ballot) -> Result<&'a str, Refusal> {
    match (caller.proven_subject(), ballot.approver.as_deref()) {
        (Some(subject), Some(named)) if !same_person(named, subject) => Err(Refusal::new(
            Code::APPROVER_NOT_ALLOWED,
            format!("this token decides as `{subject}`, not as `{}`", named.escape_debug()),
        )),
        // In the ballot's spelling, which was signed.
        (_, Some(named)) => Ok(named),
        (Some(subject), None) => Ok(subject),
        (None, None) => Err(Refusal::new(
            Code::REQUEST_INVALID,
            "`approver` is required if the caller has no token",
        )),
    }
}
