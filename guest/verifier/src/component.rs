//! The component's exports. Only this file uses wit-bindgen; its types are converted here.
//!
//! A core host can pass bytes that are not UTF-8, and the generated code makes a `String` of them
//! unchecked. [`Lift`] therefore takes the bytes out of every string and checks them before
//! anything reads them as text.

#![allow(unsafe_code, missing_docs, unreachable_pub, reason = "generated bindings")]

use std::borrow::Cow;

use zeroize::Zeroize;

use crate::approval;
use crate::describe::Describe;
use crate::key::KeyEntry;
use crate::lifecycle;
use crate::manifest;
use crate::operation;
use crate::receipt;
use crate::record::to_json;
use crate::rejection::Rejection;
use crate::statement::StatementText;
use crate::wire;

wit_bindgen::generate!({
    path: "../../wit",
    world: "verifier",
    generate_all,
});

use exports::signoff::approval::{approval as shown, context, lifecycle as life, signing, types};

struct Component;
export!(Component);

/// Lifts the arguments of an operation, each named as in `wit/`, and runs it.
macro_rules! run {
    ($($operation:ident)::+ { $($argument:ident),* }) => {
        $($operation)::+ { $($argument: $argument.lift(stringify!($argument))?),* }.run()?
    };
}

impl Guest for Component {
    fn describe() -> String {
        Describe {}.run().and_then(|description| to_json(&description)).unwrap_or_default()
    }
}

impl exports::signoff::approval::wire::Guest for Component {
    fn call(request: String) -> String {
        let mut request = request.into_bytes();
        let answer = wire::call_bytes(&request);
        // The request may hold key material, and later calls reuse this memory.
        request.zeroize();
        answer
    }
}

impl context::Guest for Component {
    fn canonicalize(context: String) -> Result<String, types::Rejection> {
        Ok(run!(operation::context::Canonicalize { context }).canonical)
    }

    fn digest(context: String) -> Result<String, types::Rejection> {
        Ok(run!(operation::context::Digest { context }).digest)
    }

    fn read(context: String) -> Result<context::CanonicalContext, types::Rejection> {
        let read = run!(operation::context::Read { context });
        Ok(context::CanonicalContext { canonical: read.canonical, digest: read.digest })
    }
}

impl signing::Guest for Component {
    fn payload(
        statement: types::Statement,
        profile: String,
    ) -> Result<signing::Message, types::Rejection> {
        let message = run!(operation::signing::Payload { statement, profile });
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
        Ok(run!(operation::signing::Sign { statement, profile, key }).signature)
    }

    fn verify(
        statement: types::Statement,
        signature: String,
        keys: Vec<types::Key>,
        accept: Vec<String>,
    ) -> Result<String, types::Rejection> {
        Ok(run!(operation::signing::Verify { statement, signature, keys, accept }).key_id)
    }

    fn statement(
        id: String,
        approval: Option<String>,
        decision: String,
        approver: String,
        key_id: String,
        comment: String,
    ) -> Result<types::Statement, types::Rejection> {
        let stated = run!(operation::signing::StatementOf {
            id,
            approval,
            decision,
            approver,
            key_id,
            comment
        });
        Ok(stated.statement.into())
    }
}

impl shown::Guest for Component {
    fn verify(
        approval: String,
        id: String,
        audience: String,
        attempt: String,
        keys: Vec<types::Key>,
        accept: Option<Vec<String>>,
        now: u64,
        requested_after: Option<u64>,
        floor: Option<String>,
        policies: Option<Vec<String>>,
    ) -> Result<String, types::Rejection> {
        let verified = run!(approval::Verify {
            approval,
            id,
            audience,
            attempt,
            keys,
            accept,
            now,
            requested_after,
            floor,
            policies
        });
        Ok(to_json(&verified)?)
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
        let opened = run!(lifecycle::Open { request, context, plan, accept, now });
        let transition = life::Transition::from(opened.transition);
        Ok(life::Opened {
            record: transition.record,
            summary: transition.summary,
            entry: transition.entry,
            view: transition.view,
            context: opened.context,
            plan: opened.plan,
        })
    }

    fn decide(
        id: String,
        approval: Option<String>,
        ballot: String,
        keys: Vec<types::Key>,
        accept: Vec<String>,
        now: u64,
    ) -> Result<life::Transition, types::Rejection> {
        Ok(run!(lifecycle::Decide { id, approval, ballot, keys, accept, now }).into())
    }

    fn check(
        id: String,
        approval: Option<String>,
        attempt: String,
        context: Option<String>,
        plan: Option<String>,
        keys: Vec<types::Key>,
        accept: Vec<String>,
        now: u64,
    ) -> Result<life::Summary, types::Rejection> {
        let checked =
            run!(lifecycle::Check { id, approval, attempt, context, plan, keys, accept, now });
        Ok(checked.summary.into())
    }

    fn verify_ballot(
        id: String,
        approval: Option<String>,
        signature: String,
        keys: Vec<types::Key>,
        accept: Vec<String>,
    ) -> Result<String, types::Rejection> {
        Ok(run!(lifecycle::VerifyBallot { id, approval, signature, keys, accept }).ballot)
    }

    fn claim(
        id: String,
        approval: Option<String>,
        claim: String,
        context: String,
        plan: Option<String>,
        keys: Vec<types::Key>,
        accept: Vec<String>,
        now: u64,
    ) -> Result<life::Transition, types::Rejection> {
        Ok(run!(lifecycle::Claim { id, approval, claim, context, plan, keys, accept, now }).into())
    }

    fn settle(
        id: String,
        approval: Option<String>,
        outcome: String,
        now: u64,
    ) -> Result<life::Update, types::Rejection> {
        Ok(run!(lifecycle::Settle { id, approval, outcome, now }).into())
    }

    fn expire(
        id: String,
        approval: Option<String>,
        now: u64,
    ) -> Result<life::Update, types::Rejection> {
        Ok(run!(lifecycle::Expire { id, approval, now }).into())
    }

    fn withdraw(
        id: String,
        approval: Option<String>,
        withdrawal: String,
        now: u64,
    ) -> Result<life::Transition, types::Rejection> {
        Ok(run!(lifecycle::Withdraw { id, approval, withdrawal, now }).into())
    }

    fn extend(
        id: String,
        approval: Option<String>,
        extension: String,
        now: u64,
    ) -> Result<life::Transition, types::Rejection> {
        Ok(run!(lifecycle::Extend { id, approval, extension, now }).into())
    }

    fn void(
        id: String,
        approval: Option<String>,
        actor: String,
        now: u64,
    ) -> Result<life::Transition, types::Rejection> {
        Ok(run!(lifecycle::Void { id, approval, actor, now }).into())
    }

    fn erase(
        id: String,
        approval: Option<String>,
        actor: String,
        now: u64,
    ) -> Result<life::Transition, types::Rejection> {
        Ok(run!(lifecycle::Erase { id, approval, actor, now }).into())
    }

    fn show(
        id: String,
        approval: Option<String>,
        now: u64,
    ) -> Result<life::View, types::Rejection> {
        let view = run!(lifecycle::Show { id, approval, now });
        Ok(life::View { view: view.view, summary: view.summary.into() })
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
        let stated = run!(lifecycle::Review {
            approval,
            context,
            plan,
            decision,
            approver,
            key_id,
            comment
        });
        Ok(stated.statement.into())
    }
}

impl exports::signoff::approval::manifest::Guest for Component {
    fn verify(
        manifest: String,
        digest: String,
        slot: String,
        audience: Option<String>,
        keys: Vec<types::Key>,
    ) -> Result<String, types::Rejection> {
        let verified = run!(manifest::Verify { manifest, digest, slot, audience, keys });
        Ok(to_json(&verified)?)
    }
}

impl exports::signoff::approval::receipt::Guest for Component {
    fn verify(
        receipt: String,
        log_keys: Vec<String>,
        id: Option<String>,
        audience: Option<String>,
        keys: Option<Vec<types::Key>>,
        accept: Vec<String>,
        checkpoint: Option<String>,
        consistency: Option<Vec<String>>,
    ) -> Result<String, types::Rejection> {
        let report = run!(receipt::Verify {
            receipt,
            log_keys,
            id,
            audience,
            keys,
            accept,
            checkpoint,
            consistency
        });
        Ok(to_json(&report)?)
    }
}

/// An argument as the bindings pass it, to be checked and converted; `what` names it in a message.
trait Lift<T> {
    fn lift(self, what: &str) -> Result<T, Rejection>;
}

impl Lift<String> for String {
    fn lift(self, what: &str) -> Result<String, Rejection> {
        let bytes = self.into_bytes();
        wire::utf8(what, &bytes)?;
        String::from_utf8(bytes).map_err(|e| Rejection::request(e.to_string()))
    }
}

impl<'a> Lift<Cow<'a, str>> for String {
    fn lift(self, what: &str) -> Result<Cow<'a, str>, Rejection> {
        self.lift(what).map(Cow::Owned)
    }
}

impl<'a> Lift<approval::JsonText<'a>> for String {
    fn lift(self, what: &str) -> Result<approval::JsonText<'a>, Rejection> {
        let text: String = self.lift(what)?;
        Ok(approval::JsonText::new(text))
    }
}

impl<T, U: Lift<T>> Lift<Option<T>> for Option<U> {
    fn lift(self, what: &str) -> Result<Option<T>, Rejection> {
        self.map(|value| value.lift(what)).transpose()
    }
}

impl<T, U: Lift<T>> Lift<Vec<T>> for Vec<U> {
    fn lift(self, what: &str) -> Result<Vec<T>, Rejection> {
        self.into_iter().map(|value| value.lift(what)).collect()
    }
}

impl Lift<u64> for u64 {
    fn lift(self, _what: &str) -> Result<u64, Rejection> {
        Ok(self)
    }
}

impl Lift<StatementText> for types::Statement {
    fn lift(self, _what: &str) -> Result<StatementText, Rejection> {
        Ok(StatementText {
            audience: self.audience.lift("audience")?,
            key_id: self.key_id.lift("key_id")?,
            approval_id: self.approval_id.lift("approval_id")?,
            request_digest: self.request_digest.lift("request_digest")?,
            expires_at: self.expires_at,
            decision: self.decision.lift("decision")?,
            approver: self.approver.lift("approver")?,
            comment: self.comment.lift("comment")?,
        })
    }
}

impl Lift<KeyEntry> for types::Key {
    fn lift(self, _what: &str) -> Result<KeyEntry, Rejection> {
        Ok(KeyEntry {
            id: self.id.lift("id")?,
            algorithm: self.algorithm.lift("algorithm")?,
            status: self.status.lift("status")?,
            usage: self.use_.lift("use")?,
            approver: self.approver.lift("approver")?,
            groups: self.groups.lift("groups")?,
            // Last, so that an earlier rejected field cannot drop it without wiping it.
            material: self.material.lift("material")?,
        })
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

impl From<lifecycle::Transition> for life::Transition {
    fn from(transition: lifecycle::Transition) -> Self {
        Self {
            record: transition.record,
            summary: transition.summary.into(),
            entry: transition.entry,
            view: transition.view,
        }
    }
}

impl From<lifecycle::Update> for life::Update {
    fn from(update: lifecycle::Update) -> Self {
        Self {
            record: update.record,
            summary: update.summary.into(),
            entry: update.entry,
            view: update.view,
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
