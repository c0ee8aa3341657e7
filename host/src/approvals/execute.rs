//! The execution of an approved action: its check, its claim and its outcome.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::change::Call;
use super::difference::{differing_members, in_words};
use super::view::{shown, with_members};
use super::{Approvals, text_of};
use crate::caller::Caller;
use crate::code::Code;
use crate::id::ApprovalId;
use crate::ledger::{Idempotency, Reply};
use crate::refusal::Refusal;
use crate::store::WithTexts;
use crate::verifier::{Accepted, Approval, CheckArgs, ClaimArgs, Verifier};

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

impl Approvals {
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
        self.ledger.gate().check()?;
        self.readable(caller, id).await?;
        let now = self.ledger.now();
        let stored = self.load(id).await?;
        let event = json!({
            "signature": attempt.signature,
            "agent": attempt.agent,
            "action": attempt.action,
        })
        .to_string();
        let (keys, accept) = (self.keys.to_verify().await?, Arc::clone(&self.accept));
        let texts = [attempt.context, attempt.plan];
        let texts: [Option<Arc<str>>; 2] = texts.map(|text| text.map(Arc::from));
        let bytes = texts.iter().flatten().map(|text| text.len()).sum();
        let attempted = texts.clone();
        let (verifier, id_text) = (self.verifier.current(), text_of(id));
        let checked = verifier
            .run(bytes, move |verifier| {
                let record = stored.as_ref().map(|stored| stored.record.as_str());
                let approval = Approval { id: &id_text, record };
                let [context, plan] = texts.each_ref().map(Option::as_deref);
                let args = CheckArgs { attempt: &event, context, plan };
                let accepted = Accepted { keys: keys.entries(), profiles: &accept };
                verifier.check(approval, &args, accepted, now)?;
                verifier.show(approval, now)
            })
            .await;
        match checked {
            Ok(view) => Ok(shown(&verifier, &view.view, None)),
            Err(failure) => Err(self.naming_members(id, failure.into(), attempted).await),
        }
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
        caller.must_act_for(&claim.agent)?;
        let claimed_by = caller.as_agent(&claim.agent);
        if let Some(kept) = self.ledger.kept(idempotency).await?
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
        let (keys, accept) = (self.keys.recorded().await?, Arc::clone(&self.accept));
        let (context, plan) = (Arc::<str>::from(claim.context), claim.plan.map(Arc::<str>::from));
        let bytes = context.len() + plan.as_ref().map_or(0, |plan| plan.len());
        let attempted = [Some(Arc::clone(&context)), plan.clone()];
        let call = Call::of(move |verifier, approval, now| {
            let args = ClaimArgs { claim: &event, context: &context, plan: plan.as_deref() };
            let accepted = Accepted { keys: keys.entries(), profiles: &accept };
            verifier.claim(approval, &args, accepted, now)
        });
        let call = Call { bytes, is_claim: true, ..call };
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
            Ok(reply) => Ok(mark_replayed(&reply)),
            // The same claim may have been committed since the lookup above.
            Err(refusal) => match self.ledger.kept(idempotency).await? {
                Some(kept) => self.claimed_before(id, &kept, &claimed_by).await?.ok_or(refusal),
                None => Err(self.naming_members(id, refusal, attempted).await),
            },
        }
    }

    /// Adds to a mismatch of the context or plan which members differ. The caller may read the
    /// approval. If the texts cannot be read, the refusal stays as it is.
    async fn naming_members(
        &self,
        id: Option<ApprovalId>,
        refusal: Refusal,
        attempted: [Option<Arc<str>>; 2],
    ) -> Refusal {
        let [context, plan] = attempted;
        let (is_plan, attempted) = match refusal.code {
            Code::CONTEXT_MISMATCH => (false, context),
            Code::PLAN_MISMATCH => (true, plan),
            _ => return refusal,
        };
        let (Some(id), Some(attempted)) = (id, attempted) else { return refusal };
        let stored = self.ledger.store().load(&id, WithTexts::Yes).await.ok().flatten();
        let Some(texts) = stored.and_then(|stored| stored.texts) else { return refusal };
        let Some(approved) = (if is_plan { texts.plan } else { Some(texts.context) }) else {
            return refusal;
        };
        let verifier = self.verifier.current();
        let found = verifier.run(attempted.len(), move |verifier| {
            Ok(differing_members(&approved, &verifier.canonicalize(&attempted)?))
        });
        match found.await {
            Ok(members) if !members.is_empty() => {
                let detail = format!("{}; {}", refusal.detail, in_words(&members));
                Refusal::new(refusal.code, detail).with_members(members)
            }
            _ => refusal,
        }
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
        // Without tokens the log names the agent for the outcome, as it does for the claim.
        let stored = match caller.proven_subject() {
            None => self.load(id).await?,
            Some(_) => None,
        };
        let event = json!({
            "execution_id": outcome.execution_id,
            "outcome": outcome.outcome,
            "detail": outcome.detail,
            "actor": match &stored {
                Some(stored) => caller.actor_for(&stored.summary.agent),
                None => caller.actor(),
            },
        });
        self.change_by(caller, id, &event, Verifier::settle, idempotency).await
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
        Ok(is_same.then(|| mark_replayed(&Reply::new(200, body))))
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

fn mark_replayed(reply: &Reply) -> Reply {
    let body = with_members(&reply.body, &[("replayed", "true")]);
    Reply { status: reply.status, body, replayed: true, entry: reply.entry }
}
