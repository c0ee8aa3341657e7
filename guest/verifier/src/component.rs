//! The component's exports. The only file that knows wit-bindgen: types are converted here.

#![allow(unsafe_code, missing_docs, unreachable_pub, reason = "generated bindings")]

use zeroize::Zeroize;

use crate::context as rules;
use crate::key::KeyEntry;
use crate::lifecycle;
use crate::rejection::Rejection;
use crate::signature;
use crate::statement::StatementText;
use crate::wire;

wit_bindgen::generate!({
    path: "../../wit",
    world: "verifier",
    generate_all,
});

use exports::signoff::approval::{context, lifecycle as life, signing, types};

struct Component;
export!(Component);

impl Guest for Component {
    fn describe() -> String {
        crate::describe::describe().unwrap_or_default()
    }
}

impl exports::signoff::approval::wire::Guest for Component {
    fn call(mut request: String) -> String {
        let answer = wire::call(&request);
        // The request may hold key material, and this memory serves the next caller.
        request.zeroize();
        answer
    }
}

impl context::Guest for Component {
    fn canonicalize(context: String) -> Result<String, types::Rejection> {
        Ok(rules::canonicalize(&context).map_err(Rejection::from)?)
    }

    fn digest(context: String) -> Result<String, types::Rejection> {
        Ok(rules::digest(&context).map_err(Rejection::from)?)
    }
}

impl signing::Guest for Component {
    fn payload(
        statement: types::Statement,
        profile: String,
    ) -> Result<signing::Message, types::Rejection> {
        let message = wire::Message::of(&statement.into(), &profile)?;
        Ok(signing::Message {
            profile: message.profile.to_owned(),
            base64url: message.base64url,
            text: message.text,
        })
    }

    fn sign(
        statement: types::Statement,
        profile: String,
        key: types::Key,
    ) -> Result<String, types::Rejection> {
        Ok(signature::sign(&statement.into(), &profile, &key.into())?)
    }

    fn verify(
        statement: types::Statement,
        signature: String,
        keys: Vec<types::Key>,
        accept: Vec<String>,
    ) -> Result<String, types::Rejection> {
        let proof = wire::verified(&statement.into(), &signature, &entries(keys), &accept)?;
        Ok(proof.key_id().to_string())
    }
}

impl life::Guest for Component {
    fn open(
        request: String,
        context: String,
        plan: Option<String>,
        accept: Vec<String>,
        now: u64,
    ) -> Result<life::Opened, types::Rejection> {
        let opened = lifecycle::open(&request, &context, plan.as_deref(), &accept, now)?;
        Ok(life::Opened {
            transition: opened.transition.into(),
            context: opened.context,
            plan: opened.plan,
        })
    }

    fn decide(
        approval: Option<String>,
        ballot: String,
        keys: Vec<types::Key>,
        accept: Vec<String>,
        now: u64,
    ) -> Result<life::Transition, types::Rejection> {
        let keys = entries(keys);
        Ok(lifecycle::decide(approval.as_deref(), &ballot, &keys, &accept, now)?.into())
    }

    fn check(
        approval: Option<String>,
        attempt: String,
        context: Option<String>,
        plan: Option<String>,
        keys: Vec<types::Key>,
        accept: Vec<String>,
        now: u64,
    ) -> Result<life::Summary, types::Rejection> {
        let summary = lifecycle::check(
            approval.as_deref(),
            &attempt,
            context.as_deref(),
            plan.as_deref(),
            &entries(keys),
            &accept,
            now,
        )?;
        Ok(summary.into())
    }

    fn recognize(
        approval: Option<String>,
        signature: String,
        keys: Vec<types::Key>,
        accept: Vec<String>,
    ) -> Result<String, types::Rejection> {
        let keys = entries(keys);
        Ok(lifecycle::recognize(approval.as_deref(), &signature, &keys, &accept)?)
    }

    fn claim(
        approval: Option<String>,
        claim: String,
        context: String,
        plan: Option<String>,
        keys: Vec<types::Key>,
        accept: Vec<String>,
        now: u64,
    ) -> Result<life::Transition, types::Rejection> {
        let transition = lifecycle::claim(
            approval.as_deref(),
            &claim,
            &context,
            plan.as_deref(),
            &entries(keys),
            &accept,
            now,
        )?;
        Ok(transition.into())
    }

    fn settle(
        approval: Option<String>,
        outcome: String,
        now: u64,
    ) -> Result<Option<life::Transition>, types::Rejection> {
        Ok(lifecycle::settle(approval.as_deref(), &outcome, now)?.map(Into::into))
    }

    fn expire(
        approval: Option<String>,
        now: u64,
    ) -> Result<Option<life::Transition>, types::Rejection> {
        Ok(lifecycle::expire(approval.as_deref(), now)?.map(Into::into))
    }

    fn withdraw(
        approval: Option<String>,
        withdrawal: String,
        now: u64,
    ) -> Result<life::Transition, types::Rejection> {
        Ok(lifecycle::withdraw(approval.as_deref(), &withdrawal, now)?.into())
    }

    fn extend(
        approval: Option<String>,
        extension: String,
        now: u64,
    ) -> Result<life::Transition, types::Rejection> {
        Ok(lifecycle::extend(approval.as_deref(), &extension, now)?.into())
    }

    fn void(
        approval: Option<String>,
        actor: String,
        now: u64,
    ) -> Result<life::Transition, types::Rejection> {
        Ok(lifecycle::void(approval.as_deref(), &actor, now)?.into())
    }

    fn show(approval: Option<String>, now: u64) -> Result<life::View, types::Rejection> {
        let view = lifecycle::show(approval.as_deref(), now)?;
        Ok(life::View { view: view.view, summary: view.summary.into() })
    }

    fn state(
        approval: Option<String>,
        decision: String,
        approver: String,
        key_id: String,
        comment: String,
    ) -> Result<types::Statement, types::Rejection> {
        let approval = approval.as_deref();
        Ok(lifecycle::state(approval, &decision, &approver, &key_id, &comment)?.into())
    }

    fn review(
        approval: String,
        context: String,
        plan: Option<String>,
        decision: String,
        approver: String,
        key_id: String,
        comment: String,
    ) -> Result<types::Statement, types::Rejection> {
        let plan = plan.as_deref();
        let statement =
            lifecycle::review(&approval, &context, plan, &decision, &approver, &key_id, &comment)?;
        Ok(statement.into())
    }
}

impl From<Rejection> for types::Rejection {
    fn from(rejection: Rejection) -> Self {
        Self { code: rejection.code.as_str().to_owned(), message: rejection.message }
    }
}

impl From<StatementText> for types::Statement {
    fn from(statement: StatementText) -> Self {
        Self {
            audience: statement.audience,
            key_id: statement.key_id,
            approval_id: statement.approval_id,
            request_digest: statement.request_digest,
            expires_at: statement.expires_at,
            decision: statement.decision,
            approver: statement.approver,
            comment: statement.comment,
        }
    }
}

impl From<types::Statement> for StatementText {
    fn from(statement: types::Statement) -> Self {
        Self {
            audience: statement.audience,
            key_id: statement.key_id,
            approval_id: statement.approval_id,
            request_digest: statement.request_digest,
            expires_at: statement.expires_at,
            decision: statement.decision,
            approver: statement.approver,
            comment: statement.comment,
        }
    }
}

impl From<types::Key> for KeyEntry {
    fn from(key: types::Key) -> Self {
        Self {
            id: key.id,
            algorithm: key.algorithm,
            material: key.material,
            status: key.status,
            usage: key.use_,
            approver: key.approver,
            groups: key.groups,
        }
    }
}

impl From<lifecycle::Transition> for life::Transition {
    fn from(transition: lifecycle::Transition) -> Self {
        Self {
            record: transition.record,
            summary: transition.summary.into(),
            entry: transition.entry,
        }
    }
}

impl From<lifecycle::Summary> for life::Summary {
    fn from(summary: lifecycle::Summary) -> Self {
        Self {
            id: summary.id,
            status: summary.status.to_owned(),
            agent: summary.agent,
            action: summary.action,
            requested_at: summary.requested_at,
            expires_at: summary.expires_at,
            due_at: summary.due_at,
        }
    }
}

fn entries(keys: Vec<types::Key>) -> Vec<KeyEntry> {
    keys.into_iter().map(Into::into).collect()
}
