//! Calls of the verifier about an action: canonicalizing its texts, and opening an approval for it.

use std::mem;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use signoff_core::name::Identifier;

use super::{Action, Judged};
use crate::approvals::NewApproval;
use crate::caller::Caller;
use crate::code::Code;
use crate::id::ApprovalId;
use crate::ledger::with_fields;
use crate::refusal::Refusal;
use crate::service::Service;
use crate::store::{Texts, WithTexts};
use crate::verifier::{Failure, OpenArgs, Opened, Rejection, Verifier};

/// An action with the digests that the verifier computed.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) agent: String,
    pub(crate) action: String,
    pub(crate) context_hash: String,
    pub(crate) plan_hash: Option<String>,
}

/// The members of a verifier's view that are used here.
#[derive(Deserialize)]
struct Viewed {
    agent: String,
    action: String,
    context_hash: String,
    plan_hash: Option<String>,
    requested_by: String,
}

impl Read {
    /// Returns the action of an opened approval, and its canonical texts.
    ///
    /// Refusals: `verifier-trapped`.
    pub(crate) fn of(opened: &Opened) -> Result<(Self, Texts), Refusal> {
        let texts = Texts { context: opened.context.clone(), plan: opened.plan.clone() };
        Ok((viewed(&opened.view)?.read(), texts))
    }
}

impl Viewed {
    fn read(self) -> Read {
        let Self { agent, action, context_hash, plan_hash, .. } = self;
        Read { agent, action, context_hash, plan_hash }
    }
}

impl Service {
    /// Canonicalizes an action with the verifier. Returns the action with its digests, and its
    /// canonical texts.
    ///
    /// Refusals: 1. `request-invalid`, `limit-exceeded` for a malformed agent or action
    /// 2. `context-invalid` for the context, then for the plan 3. `verifier-trapped`
    pub(crate) async fn read(
        &self,
        verifier: &Verifier,
        action: Action,
    ) -> Result<(Read, Texts), Refusal> {
        for (field, name) in [("agent", &action.agent), ("action", &action.action)] {
            Identifier::new(field, name.as_str()).map_err(rejected)?;
        }
        let bytes = action.bytes();
        let Action { agent, action, context, plan } = action;
        let read = move |verifier: &Verifier| {
            let context = verifier.read_context(&context).map_err(|e| of("context", e))?;
            let plan = plan.map(|plan| verifier.read_context(&plan).map_err(|e| of("plan", e)));
            Ok((context, plan.transpose()?))
        };
        let (context, plan) = self.call_verifier(verifier, bytes, read).await?;
        let (plan, plan_hash) = plan.map(|plan| (plan.canonical, plan.digest)).unzip();
        let read = Read { agent, action, context_hash: context.digest, plan_hash };
        Ok((read, Texts { context: context.canonical, plan }))
    }

    /// Returns the action of an approval according to its view, its stored texts, and the
    /// requester. The stored texts have the view's digests, and so have the texts of an accepted
    /// claim.
    ///
    /// Refusals: `verifier-trapped`, `store-unavailable`, `store-tampered`.
    pub(crate) async fn approved(
        &self,
        id: &ApprovalId,
        view: &str,
    ) -> Result<(Read, Texts, String), Refusal> {
        let mut viewed = viewed(view)?;
        let requested_by = mem::take(&mut viewed.requested_by);
        let stored = self.store.load(id, WithTexts::Yes).await?;
        let texts = stored.and_then(|stored| stored.texts).ok_or_else(|| {
            Refusal::new(Code::STORE_TAMPERED, format!("the texts of approval {id} are missing"))
        })?;
        Ok((viewed.read(), texts, requested_by))
    }

    /// Opens an approval without storing it.
    ///
    /// Refusals: as `lifecycle.open` in `wit/`; `verifier-trapped`.
    pub(crate) async fn open(
        &self,
        verifier: &Verifier,
        request: String,
        texts: Texts,
        now: u64,
    ) -> Result<Opened, Refusal> {
        let accept = Arc::clone(&self.accept);
        let bytes = texts.context.len() + texts.plan.as_ref().map_or(0, String::len);
        self.call_verifier(verifier, bytes, move |verifier| {
            let Texts { context, plan } = &texts;
            let plan = plan.as_deref();
            verifier.open(&OpenArgs { request: &request, context, plan, accept: &accept, now })
        })
        .await
    }

    /// Builds the verifier's event of a request.
    pub(crate) fn event(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        new: &NewApproval,
        judged: Option<&Judged>,
    ) -> String {
        let verdict = judged.map(|judged| &judged.verdict);
        let said = verdict.and_then(|verdict| verdict.reason.as_deref());
        let required = verdict.and_then(|verdict| verdict.requirement.clone()).unwrap_or_default();
        let event = json!({
            "id": id.to_string(),
            "audience": self.audience,
            "requested_by": caller.as_agent(&new.agent),
            "agent": new.agent,
            "action": new.action,
            "reason": new.reason.as_deref().or(said),
            "ttl_seconds": new.expires_in_seconds,
            "floor": self.config.requirement,
            "policy_requirement": required,
            "policy": judged.and_then(|judged| judged.policy.as_deref()),
            "rule": verdict.and_then(|verdict| verdict.rule.as_deref()),
        });
        let requirement = new.requirement.as_deref().unwrap_or("{}");
        with_fields(&event.to_string(), &[("requirement", requirement)])
    }
}

fn viewed(view: &str) -> Result<Viewed, Refusal> {
    serde_json::from_str(view)
        .map_err(|_| Refusal::new(Code::VERIFIER_TRAPPED, "the verifier's answer cannot be read"))
}

/// Prefixes a rejection with the name of the text.
fn of(text: &str, failure: Failure) -> Failure {
    match failure {
        Failure::Rejected(Rejection { code, message }) => {
            Failure::Rejected(Rejection { code, message: format!("{text}: {message}") })
        }
        trapped @ Failure::Trapped(_) => trapped,
    }
}

fn rejected(rejection: signoff_core::rejection::Rejection) -> Refusal {
    Failure::Rejected(Rejection {
        code: rejection.code.as_str().to_owned(),
        message: rejection.message,
    })
    .into()
}
