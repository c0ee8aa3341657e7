//! The bindings generated from `wit/` for world `verifier`, and their conversion to the types of
//! this module. Nothing outside this module names them.

#![allow(missing_docs, unreachable_pub, reason = "generated from wit/, where the docs are")]

use wasmtime::Store;
use wasmtime::component::InstancePre;

use super::types;
use crate::engine::{Memory, World};

wasmtime::component::bindgen!({
    path: "../wit",
    world: "verifier",
    // Arguments are borrowed: a call copies nothing on this side, in particular no secret.
    ownership: Borrowing { duplicate_if_necessary: true },
});

pub(super) use exports::signoff::approval::{context, lifecycle, signing, types as shared};

impl World for Verifier {
    type Linked = VerifierPre<Memory>;

    fn link(component: InstancePre<Memory>) -> wasmtime::Result<Self::Linked> {
        VerifierPre::new(component)
    }

    fn instantiate(linked: &Self::Linked, store: &mut Store<Memory>) -> wasmtime::Result<Self> {
        linked.instantiate(store)
    }
}

/// Calls `f` with keys converted for the verifier.
pub(super) fn with_keys<T>(keys: &[types::Key], f: impl FnOnce(&[shared::Key<'_>]) -> T) -> T {
    let groups: Vec<Vec<&str>> = keys.iter().map(|key| texts(&key.groups)).collect();
    let keys: Vec<_> =
        keys.iter().zip(&groups).map(|(key, groups)| borrowed(key, groups)).collect();
    f(&keys)
}

/// Calls `f` with one key converted for the verifier.
pub(super) fn with_key<T>(key: &types::Key, f: impl FnOnce(shared::Key<'_>) -> T) -> T {
    f(borrowed(key, &texts(&key.groups)))
}

pub(super) fn texts(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

fn borrowed<'a>(key: &'a types::Key, groups: &'a [&'a str]) -> shared::Key<'a> {
    shared::Key {
        id: &key.id,
        algorithm: &key.algorithm,
        material: &key.material,
        status: &key.status,
        use_: &key.usage,
        approver: key.approver.as_deref(),
        groups,
    }
}

impl<'a> From<&'a types::Statement> for shared::StatementParam<'a> {
    fn from(statement: &'a types::Statement) -> Self {
        Self {
            audience: &statement.audience,
            key_id: &statement.key_id,
            approval_id: &statement.approval_id,
            request_digest: &statement.request_digest,
            expires_at: statement.expires_at,
            decision: &statement.decision,
            approver: &statement.approver,
            comment: &statement.comment,
        }
    }
}

impl From<shared::StatementResult> for types::Statement {
    fn from(statement: shared::StatementResult) -> Self {
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

impl From<shared::Rejection> for types::Rejection {
    fn from(rejection: shared::Rejection) -> Self {
        Self { code: rejection.code, message: rejection.message }
    }
}

impl From<signing::Message> for types::Message {
    fn from(message: signing::Message) -> Self {
        Self { profile: message.profile, base64url: message.base64url, text: message.text }
    }
}

impl From<lifecycle::Summary> for types::Summary {
    fn from(summary: lifecycle::Summary) -> Self {
        Self {
            id: summary.id,
            status: summary.status,
            agent: summary.agent,
            action: summary.action,
            requested_at: summary.requested_at,
            expires_at: summary.expires_at,
            due_at: summary.due_at,
        }
    }
}

impl From<lifecycle::View> for types::View {
    fn from(view: lifecycle::View) -> Self {
        Self { view: view.view, summary: view.summary.into() }
    }
}

impl From<context::CanonicalContext> for types::CanonicalContext {
    fn from(read: context::CanonicalContext) -> Self {
        Self { canonical: read.canonical, digest: read.digest }
    }
}

impl From<lifecycle::Transition> for types::Step {
    fn from(transition: lifecycle::Transition) -> Self {
        let lifecycle::Transition { record, summary, entry, view } = transition;
        let transition = types::Transition { record, summary: summary.into(), entry };
        Self { transition: Some(transition), view }
    }
}

impl TryFrom<lifecycle::Update> for types::Step {
    type Error = types::Failure;

    /// Fails for a change with only one of record and entry.
    fn try_from(update: lifecycle::Update) -> Result<Self, Self::Error> {
        let lifecycle::Update { record, summary, entry, view } = update;
        let transition = match (record, entry) {
            (None, None) => None,
            (Some(record), Some(entry)) => {
                Some(types::Transition { record, summary: summary.into(), entry })
            }
            _ => {
                let why = "it returned a change without its record or its entry".to_owned();
                return Err(types::Failure::Trapped(why));
            }
        };
        Ok(Self { transition, view })
    }
}

impl From<lifecycle::Opened> for types::Opened {
    fn from(opened: lifecycle::Opened) -> Self {
        let lifecycle::Opened { record, summary, entry, view, context, plan } = opened;
        let transition = types::Transition { record, summary: summary.into(), entry };
        Self { transition, view, context, plan }
    }
}
