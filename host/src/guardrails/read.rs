//! The action that a policy sees: read from a request by the verifier, or from a stored approval.

use std::mem;

use serde::Deserialize;
use signoff_core::name::Identifier;

use super::{Action, Guardrails};
use crate::code::Code;
use crate::id::ApprovalId;
use crate::refusal::Refusal;
use crate::store::{Texts, WithTexts};
use crate::verifier::{Failure, Opened, Rejection, Verifier};

/// An action with the digests that the verifier computed.
#[derive(Clone, Debug, PartialEq, Eq)]
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

impl Guardrails {
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
        let (context, plan) = verifier.run(bytes, read).await?;
        let (plan, plan_hash) = plan.map(|plan| (plan.canonical, plan.digest)).unzip();
        let read = Read { agent, action, context_hash: context.digest, plan_hash };
        Ok((read, Texts { context: context.canonical, plan }))
    }

    /// Returns the action of an approval according to its view, its stored texts, and the
    /// requester. The stored texts have the digests in the view; the texts of a claim that the
    /// verifier accepts have the same digests.
    ///
    /// Refusals: `verifier-trapped`, `store-unavailable`, `store-tampered`.
    pub(crate) async fn approved(
        &self,
        id: &ApprovalId,
        view: &str,
    ) -> Result<(Read, Texts, String), Refusal> {
        let mut viewed = viewed(view)?;
        let requested_by = mem::take(&mut viewed.requested_by);
        let stored = self.ledger.store().load(id, WithTexts::Yes).await?;
        let texts = stored.and_then(|stored| stored.texts).ok_or_else(|| {
            Refusal::new(Code::STORE_TAMPERED, format!("the texts of approval {id} are missing"))
        })?;
        Ok((viewed.read(), texts, requested_by))
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
