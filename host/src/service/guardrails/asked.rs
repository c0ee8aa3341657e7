//! What the verifier is asked about an action: to open an approval for it, and its canonical texts.

use std::sync::Arc;

use serde_json::json;

use super::super::commit::with_fields;
use super::super::operation::NewApproval;
use super::super::{Caller, Service};
use super::{Action, Judged};
use crate::id::ApprovalId;
use crate::refusal::Refusal;
use crate::verifier::{Failure, OpenArgs, Opened, Verifier};

/// The canonical texts of an action, and their digests.
pub(super) struct Texts {
    pub(super) context: String,
    pub(super) context_hash: String,
    pub(super) plan: Option<String>,
    pub(super) plan_hash: Option<String>,
}

impl Service {
    /// A request, worded for the verifier.
    pub(super) fn event(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        new: &NewApproval,
        judged: Option<&Judged>,
    ) -> String {
        let verdict = judged.map(|judged| &judged.verdict);
        let said = verdict.and_then(|verdict| verdict.reason.as_deref());
        let asked = verdict.and_then(|verdict| verdict.requirement.clone()).unwrap_or_default();
        let event = json!({
            "id": id.to_string(),
            "audience": self.audience,
            "requested_by": caller.as_agent(&new.agent),
            "agent": new.agent,
            "action": new.action,
            "reason": new.reason.as_deref().or(said),
            "ttl_seconds": new.expires_in_seconds,
            "floor": self.config.requirement,
            "policy_requirement": asked,
            "policy": judged.and_then(|judged| judged.policy.as_deref()),
            "rule": verdict.and_then(|verdict| verdict.rule.as_deref()),
        });
        let requirement = new.requirement.as_deref().unwrap_or("{}");
        with_fields(&event.to_string(), &[("requirement", requirement)])
    }

    pub(super) async fn open(
        &self,
        verifier: &Verifier,
        bytes: usize,
        event: String,
        context: String,
        plan: Option<String>,
        now: u64,
    ) -> Result<Opened, Refusal> {
        let accept = Arc::clone(&self.accept);
        self.ask(verifier, bytes, move |verifier| {
            let plan = plan.as_deref();
            let args = OpenArgs { request: &event, context: &context, plan, accept: &accept, now };
            verifier.open(&args)
        })
        .await
    }

    pub(super) async fn canonical(
        &self,
        verifier: &Verifier,
        action: &Action,
    ) -> Result<Texts, Refusal> {
        let (context, plan) = (Arc::clone(&action.context), action.plan.clone());
        self.ask(verifier, action.bytes(), move |verifier| {
            let read = |text: &str| {
                let read = verifier.read_context(text)?;
                Ok::<_, Failure>((read.canonical, read.digest))
            };
            let (context, context_hash) = read(&context)?;
            let (plan, plan_hash) = plan.as_deref().map(read).transpose()?.unzip();
            Ok(Texts { context, context_hash, plan, plan_hash })
        })
        .await
    }
}
