//! Operations on approvals. Each builds an event for the verifier and stores the resulting
//! transition; the order of refusals is that of `wit/lifecycle.wit`.

mod read;
mod stored_texts;
mod sweep;

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use signoff_core::person::same_person;

use crate::caller::Caller;
use crate::code::Code;
use crate::guardrails::Prepared;
use crate::id::ApprovalId;
use crate::ledger::{
    Call, Deciders, Idempotency, Operation, Reply, opened_change, shown, text_of, with_fields,
};
use crate::refusal::Refusal;
use crate::service::Service;
use crate::store::{Base, WithTexts};
use crate::verifier::{Accepted, Approval, CheckArgs, ClaimArgs};

pub use read::{Filter, Page, PayloadQuery};
pub use stored_texts::StoredTexts;

/// A request for an approval. Context and plan are JSON texts, passed to the verifier verbatim.
#[derive(Clone, Debug)]
pub struct NewApproval {
    /// The agent.
    pub agent: String,
    /// The action.
    pub action: String,
    /// The context of the action.
    pub context: String,
    /// The exact plan to execute.
    pub plan: Option<String>,
    /// The reason, for approvers.
    pub reason: Option<String>,
    /// The lifetime of the approval.
    pub expires_in_seconds: Option<i64>,
    /// The requirement, JSON, passed to the verifier verbatim; the default is one approver.
    pub requirement: Option<String>,
}

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

/// What an executor is about to run. Unset fields are not compared.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    /// The signature of a stored ballot.
    pub signature: Option<String>,
    /// The agent.
    pub agent: Option<String>,
    /// The action.
    pub action: Option<String>,
    /// The context.
    pub context: Option<String>,
    /// The plan.
    pub plan: Option<String>,
}

/// An executor's claim.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The agent.
    pub agent: String,
    /// The action.
    pub action: String,
    /// The context.
    pub context: String,
    /// The plan.
    pub plan: Option<String>,
    /// The time after which the outcome becomes `unknown`.
    pub lease_seconds: Option<i64>,
}

/// How an execution ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The id of the execution.
    pub execution_id: String,
    /// `succeeded` or `failed`.
    pub outcome: String,
    /// A free-text detail.
    pub detail: Option<String>,
}

impl Service {
    /// Creates a pending approval.
    ///
    /// # Errors
    ///
    /// 1. `forbidden` for an agent that the caller does not act for 2. with an active policy:
    ///    `request-invalid`, `limit-exceeded` for a malformed agent or action, `context-invalid`,
    ///    `policy-trapped`, `policy-denied` 3. as `lifecycle.open` in `wit/` 4. the errors of every
    ///    change.
    pub async fn request(
        &self,
        caller: &Caller,
        new: NewApproval,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        acts_for(caller, &new.agent)?;
        if let Some(reply) = self.kept(idempotency).await? {
            return Ok(reply);
        }
        // Records keys in the log before what they may decide. A request itself needs no key.
        let _ = self.recorded_keys().await;
        let now = self.now_to_write()?;
        let id = self.ids.approval();
        let prepared = self.prepare(caller, &id, new, now).await?;
        let Prepared { verifier, judged, opened } = prepared;
        let (transition, view, texts) = opened_change(opened);
        let plan = texts.plan.as_deref().unwrap_or("null");
        let body = shown(&verifier, &view, &[("context", &texts.context), ("plan", plan)]);
        let guardrail = judged.policy.as_ref().map(|_| judged.guardrail());
        let by = Deciders { verifier: &verifier, guardrail };
        let reply = Reply::new(201, body);
        let kept =
            self.keep(caller, by, transition, Base::New(texts), reply, idempotency, now).await?;
        kept.ok_or_else(|| {
            Refusal::new(Code::STORE_UNAVAILABLE, "the generated id is already taken; retry")
        })
    }

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
        if let Some(reply) = self.kept(idempotency).await? {
            return Ok(reply);
        }
        let event = json!({
            "decision": ballot.decision,
            "approver": approver,
            "comment": ballot.comment,
            "signature": ballot.signature,
        })
        .to_string();
        let (keys, accept) = (self.recorded_keys().await?, Arc::clone(&self.accept));
        let operation: Arc<Operation> = Arc::new(move |verifier, approval, now| {
            let accepted = Accepted { keys: keys.entries(), profiles: &accept };
            verifier.decide(approval, &event, accepted, now)
        });
        self.change(caller, id, idempotency, operation).await
    }

    /// Consumes an approval for one execution. A repeat with the same idempotency key returns the
    /// same execution, with `replayed: true`, while its outcome is `claimed`.
    ///
    /// # Errors
    ///
    /// 1. `not-found` for an approval that the caller may not read 2. `forbidden` for an agent that
    ///    the caller does not act for 3. as `lifecycle.claim` in `wit/` 4. `policy-trapped`,
    ///    `policy-denied` 5. the errors of every change.
    pub async fn claim(
        &self,
        caller: &Caller,
        id: Option<ApprovalId>,
        claim: Claim,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        self.readable(caller, id).await?;
        acts_for(caller, &claim.agent)?;
        let claimed_by = caller.as_agent(&claim.agent);
        if let Some(kept) = self.kept(idempotency).await?
            && let Some(reply) = self.claimed_before(id, &kept, &claimed_by).await?
        {
            return Ok(reply);
        }
        let event = json!({
            "claimed_by": claimed_by,
            "agent": claim.agent,
            "action": claim.action,
            "execution_id": self.ids.execution().to_string(),
            "lease_seconds": claim.lease_seconds,
        })
        .to_string();
        let (keys, accept) = (self.recorded_keys().await?, Arc::clone(&self.accept));
        let (context, plan) = (claim.context, claim.plan);
        let bytes = context.len() + plan.as_ref().map_or(0, String::len);
        let operation: Arc<Operation> = Arc::new(move |verifier, approval, now| {
            let args = ClaimArgs { claim: &event, context: &context, plan: plan.as_deref() };
            let accepted = Accepted { keys: keys.entries(), profiles: &accept };
            verifier.claim(approval, &args, accepted, now)
        });
        let call = Call { bytes, operation, is_claim: true };
        let mut claimed = self.transition(caller, id, idempotency, &call).await;
        if let (Some(id), Err(Refusal { code: Code::EXPIRED, .. })) = (id, &claimed) {
            // A claim from the previous second may still be in flight to the disk. Storing the
            // expiry orders the two: if that claim comes first, this one finds the approval
            // executed.
            let _ = self.expire(id).await;
            claimed = self.transition(caller, Some(id), idempotency, &call).await;
        }
        match claimed {
            Ok(reply) if !reply.replayed => Ok(reply),
            Ok(reply) => Ok(reply.mark_replayed()),
            // The same claim may have been committed since the lookup above.
            Err(refusal) => match self.kept(idempotency).await? {
                Some(kept) => self.claimed_before(id, &kept, &claimed_by).await?.ok_or(refusal),
                None => Err(refusal),
            },
        }
    }

    /// Checks whether an executor may proceed now. Changes nothing.
    ///
    /// # Errors
    ///
    /// `settings-weaker`, `store-unavailable` if a check of the start is pending; as
    /// `lifecycle.check` in `wit/`; then `store-unavailable`, `verifier-trapped`.
    pub async fn check(
        &self,
        caller: &Caller,
        id: Option<ApprovalId>,
        attempt: Attempt,
    ) -> Result<String, Refusal> {
        self.gate.check()?;
        self.readable(caller, id).await?;
        let now = self.now();
        let stored = match id {
            Some(id) => self.store.load(&id, WithTexts::No).await?,
            None => None,
        };
        let event = json!({
            "signature": attempt.signature,
            "agent": attempt.agent,
            "action": attempt.action,
        })
        .to_string();
        let (keys, accept) = (self.keys_to_verify().await?, Arc::clone(&self.accept));
        let texts = [attempt.context, attempt.plan];
        let bytes = texts.iter().flatten().map(String::len).sum();
        let (verifier, id) = (self.verifier(), text_of(id));
        let view = self
            .call_verifier(&verifier, bytes, move |verifier| {
                let record = stored.as_ref().map(|stored| stored.record.as_str());
                let approval = Approval { id: &id, record };
                let [context, plan] = texts.each_ref().map(Option::as_deref);
                let args = CheckArgs { attempt: &event, context, plan };
                let accepted = Accepted { keys: keys.entries(), profiles: &accept };
                verifier.check(approval, &args, accepted, now)?;
                verifier.show(approval, now)
            })
            .await?;
        Ok(shown(&verifier, &view.view, &[]))
    }

    /// Verifies that a signature belongs to a stored ballot, regardless of the approval's status.
    ///
    /// # Errors
    ///
    /// As `lifecycle.verify_ballot` in `wit/`; then `store-unavailable`, `verifier-trapped`.
    pub async fn recognize(
        &self,
        id: Option<ApprovalId>,
        signature: String,
    ) -> Result<(), Refusal> {
        let stored = match id {
            Some(id) => self.store.load(&id, WithTexts::No).await?,
            None => None,
        };
        let keys = self.keys_to_verify().await?;
        let (accept, id) = (Arc::clone(&self.accept), text_of(id));
        self.call_verifier(&self.verifier(), 0, move |verifier| {
            let record = stored.as_ref().map(|stored| stored.record.as_str());
            let accepted = Accepted { keys: keys.entries(), profiles: &accept };
            verifier.verify_ballot(Approval { id: &id, record }, &signature, accepted)
        })
        .await
        .map(drop)
    }

    /// Records how an execution ended.
    ///
    /// # Errors
    ///
    /// 1. `not-found` for an approval that the caller may not read 2. as `lifecycle.settle` in
    ///    `wit/` 3. the errors of every change.
    pub async fn settle(
        &self,
        caller: &Caller,
        id: Option<ApprovalId>,
        outcome: &Outcome,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        self.readable(caller, id).await?;
        if let Some(reply) = self.kept(idempotency).await? {
            return Ok(reply);
        }
        let event = json!({
            "execution_id": outcome.execution_id,
            "outcome": outcome.outcome,
            "detail": outcome.detail,
            "actor": caller.actor(),
        })
        .to_string();
        let operation: Arc<Operation> =
            Arc::new(move |verifier, approval, now| verifier.settle(approval, &event, now));
        self.change(caller, id, idempotency, operation).await
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
        self.readable(caller, id).await?;
        if let Some(reply) = self.kept(idempotency).await? {
            return Ok(reply);
        }
        let event = json!({ "actor": caller.actor() }).to_string();
        let operation: Arc<Operation> =
            Arc::new(move |verifier, approval, now| verifier.withdraw(approval, &event, now));
        self.change(caller, id, idempotency, operation).await
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
        self.readable(caller, id).await?;
        if let Some(reply) = self.kept(idempotency).await? {
            return Ok(reply);
        }
        let event = json!({
            "expires_in_seconds": expires_in_seconds,
            "actor": caller.actor(),
        })
        .to_string();
        let operation: Arc<Operation> =
            Arc::new(move |verifier, approval, now| verifier.extend(approval, &event, now));
        self.change(caller, id, idempotency, operation).await
    }

    /// Returns the current approval, marked as a replay, if its execution is the one in the stored
    /// answer, belongs to this claimer and has no outcome yet. Otherwise the verifier refuses the
    /// claim like any second one.
    async fn claimed_before(
        &self,
        id: Option<ApprovalId>,
        kept: &Reply,
        claimed_by: &str,
    ) -> Result<Option<Reply>, Refusal> {
        let body = self.show(id, WithTexts::No).await?;
        let (now, before) = (Claimed::of(&body), Claimed::of(&kept.body));
        let is_same = now.zip(before).is_some_and(|(now, before)| {
            now.id == before.id && now.claimed_by == claimed_by && now.outcome == "claimed"
        });
        Ok(is_same.then(|| Reply::new(200, body).mark_replayed()))
    }
}

/// The execution in an approval's view.
#[derive(Deserialize)]
struct Claimed {
    id: String,
    claimed_by: String,
    outcome: String,
}

impl Claimed {
    /// Reads the execution from a view; `None` if there is none.
    fn of(view: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Executed {
            execution: Option<Claimed>,
        }
        serde_json::from_str::<Executed>(view).ok()?.execution
    }
}

impl Reply {
    fn mark_replayed(self) -> Self {
        Self { body: with_fields(&self.body, &[("replayed", "true")]), replayed: true, ..self }
    }
}

/// Checks that the caller acts for an agent.
///
/// Refusals: `forbidden`.
pub(crate) fn acts_for(caller: &Caller, agent: &str) -> Result<(), Refusal> {
    if caller.acts_for(agent) {
        return Ok(());
    }
    Err(Refusal::new(
        Code::FORBIDDEN,
        format!("this token does not act for the agent `{}`", agent.escape_debug()),
    ))
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
