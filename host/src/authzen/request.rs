//! Access requests: a denial that was evaluated a short time ago becomes an ordinary approval.

use super::denial::{EvaluationId, SKEW_SECONDS, Unrequestable, WINDOW_SECONDS};
use super::{AuthZen, Question};
use crate::approvals::NewApproval;
use crate::caller::Caller;
use crate::ledger::{Idempotency, Reply};
use crate::policy::Decision;

/// An access request.
#[derive(Clone, Debug)]
pub struct Submission {
    /// What was denied.
    pub question: Question,
    /// The same question without the justification, and the justification, if its context has one.
    /// What was evaluated decides which of the two was meant.
    pub justified: Option<(Question, String)>,
    /// The evaluation; `None` for a text that is the id of none.
    pub evaluation: Option<EvaluationId>,
    /// Whether it has a binding token, of which this server makes none.
    pub has_token: bool,
    /// The time that the requester wants the approval to last, in unix seconds.
    pub until: Option<i64>,
}

impl AuthZen {
    /// Requests an approval for what an evaluation denied. The answer is the approval.
    ///
    /// # Errors
    ///
    /// 1. `forbidden` for an agent that the caller does not act for 2. as for a malformed question
    ///    3. [`Unrequestable::Unbound`], [`Unrequestable::NotRequestable`], [`Unrequestable::Late`]
    ///    4. as `Approvals::request`, `policy-denied` as [`Unrequestable::NotRequestable`].
    pub async fn submit(
        &self,
        caller: &Caller,
        submission: Submission,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Unrequestable> {
        caller.must_act_for(&submission.question.agent)?;
        // A repeat is answered although its denial may be too old by now.
        if let Some(reply) = self.ledger.kept(idempotency).await? {
            return Ok(reply);
        }
        let until = submission.until;
        let (question, reason) = self.bound(caller, submission).await?;
        let new = NewApproval {
            agent: question.agent.clone(),
            action: question.name.clone(),
            context: question.text(),
            plan: None,
            reason,
            expires_in_seconds: until.map(|until| until.saturating_sub(self.now())),
            requirement: None,
        };
        Ok(self.approvals.request(caller, new, idempotency).await?)
    }

    /// Returns the question that was evaluated, and the justification.
    async fn bound(
        &self,
        caller: &Caller,
        submission: Submission,
    ) -> Result<(Question, Option<String>), Unrequestable> {
        let Submission { question, justified, evaluation, has_token, .. } = submission;
        if has_token {
            return Err(Unrequestable::unbound("this server makes no `binding_token`"));
        }
        let unknown =
            || Unrequestable::unbound("`evaluation_id` names no evaluation of this caller");
        let number = evaluation.ok_or_else(unknown)?.entry();
        let recorded = self.guardrails.recorded(number).await?.ok_or_else(unknown)?;
        if recorded.actor != caller.subject() {
            return Err(unknown());
        }
        let candidates = justified.into_iter().map(|(question, why)| (question, Some(why)));
        let mut bound = None;
        for (question, why) in candidates.chain([(question, None)]) {
            let verifier = self.verifier.current();
            let (read, _) = self.guardrails.read(&verifier, question.as_action()).await?;
            if read == recorded.read {
                bound = Some((question, why));
                break;
            }
        }
        let bound = bound.ok_or_else(|| {
            Unrequestable::unbound(
                "subject, action, resource or context differ from those that were evaluated",
            )
        })?;
        match recorded.decision {
            Decision::RequireApproval => {}
            Decision::Allow => {
                return Err(Unrequestable::not_requestable("the policy allowed it"));
            }
            Decision::Deny => return Err(Unrequestable::not_requestable("the policy denied it")),
        }
        let until = recorded.at.saturating_add(WINDOW_SECONDS + SKEW_SECONDS);
        if self.ledger.now() > until {
            return Err(Unrequestable::late());
        }
        Ok(bound)
    }

    fn now(&self) -> i64 {
        i64::try_from(self.ledger.now()).unwrap_or(i64::MAX)
    }
}
