//! The commit loop of every change: load, call the verifier, commit; on a conflict, start over.

use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest, Sha256};
use signoff_core::object::refuse_duplicate_members;

use crate::caller::Caller;
use crate::code::Code;
use crate::guardrails::{Guardrail, Judged};
use crate::id::ApprovalId;
use crate::refusal::Refusal;
use crate::service::Service;
use crate::store::{
    About, Answer, Base, Change, Commit, Scope, Status, Stored, Summary, Texts, Version, WithTexts,
};
use crate::verifier::{self, Approval, Failure, Opened, Step, Transition, Verifier};

/// Conflicts after which a change fails. Each one means that another change was committed.
const ATTEMPTS_MAX: usize = 1_000;

/// The result of a change: an HTTP status and a JSON body, the same for every caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// 200 or 201.
    pub status: u16,
    /// The approval, JSON.
    pub body: String,
    /// Whether it is the stored answer of an earlier request with the same idempotency key.
    pub replayed: bool,
}

/// An idempotency key in its scope, and the digest of the request body.
#[derive(Clone, Debug)]
pub struct Idempotency {
    scope: Scope,
    request_digest: [u8; 32],
}

/// A call of the verifier, with its arguments bound.
pub(crate) type Operation =
    dyn Fn(&Verifier, Approval<'_>, u64) -> Result<Step, Failure> + Send + Sync;

/// A change of one approval, as a call of the verifier.
pub(crate) struct Call {
    /// The approximate size of the arguments.
    pub(crate) bytes: usize,
    /// The call of the verifier.
    pub(crate) operation: Arc<Operation>,
    /// Whether the policy is evaluated too. Only `deny` has an effect.
    pub(crate) is_claim: bool,
}

/// The modules that decided a change, for its audit entry.
pub(crate) struct Deciders<'a> {
    /// The verifier.
    pub(crate) verifier: &'a Verifier,
    /// The policy's verdict for the audit log, if one was evaluated.
    pub(crate) guardrail: Option<Guardrail<'a>>,
}

impl Idempotency {
    /// Scopes a key to the caller's subject and the path.
    pub fn new(caller: &Caller, path: &str, key: &str, body: &[u8]) -> Self {
        let mut scope = Sha256::new();
        for piece in [caller.subject(), path, key] {
            scope.update((piece.len() as u64).to_le_bytes());
            scope.update(piece.as_bytes());
        }
        Self { scope: scope.finalize().into(), request_digest: Sha256::digest(body).into() }
    }

    /// Scopes the key to one policy, or to the absence of one.
    pub(crate) fn under(&self, policy: Option<&str>) -> Self {
        let mut scope = Sha256::new();
        scope.update(self.scope);
        scope.update(policy.unwrap_or_default());
        Self { scope: scope.finalize().into(), request_digest: self.request_digest }
    }

    /// Checks that a stored answer belongs to the same request body.
    ///
    /// Refusals: `idempotency-key-reused`.
    pub(crate) fn matches(&self, answer: &Answer) -> Result<(), Refusal> {
        if answer.request_digest == self.request_digest {
            return Ok(());
        }
        Err(Refusal::new(
            Code::IDEMPOTENCY_KEY_REUSED,
            "this idempotency key was used with a different body",
        ))
    }
}

impl Service {
    /// Returns the stored answer of an idempotency key, if there is one.
    ///
    /// Refusals: `idempotency-key-reused`, `store-unavailable`.
    pub(crate) async fn kept(
        &self,
        idempotency: Option<&Idempotency>,
    ) -> Result<Option<Reply>, Refusal> {
        let Some(idempotency) = idempotency else {
            return Ok(None);
        };
        match self.store.answer(&idempotency.scope).await? {
            None => Ok(None),
            Some(answer) => idempotency.matches(&answer).map(|()| Some(answer.into())),
        }
    }

    /// Changes one approval, and stores the answer under the idempotency key.
    pub(crate) async fn change(
        &self,
        caller: &Caller,
        id: Option<ApprovalId>,
        idempotency: Option<&Idempotency>,
        operation: Arc<Operation>,
    ) -> Result<Reply, Refusal> {
        let call = Call { bytes: 0, operation, is_claim: false };
        match self.transition(caller, id, idempotency, &call).await {
            // The same request may have been committed since the first lookup. Then this one is its
            // repeat, and the refusal is of a change that was already made.
            Err(refusal) => self.kept(idempotency).await?.ok_or(refusal),
            reply => reply,
        }
    }

    /// Calls the verifier and commits the transition; starts over if another change came first.
    pub(crate) async fn transition(
        &self,
        caller: &Caller,
        id: Option<ApprovalId>,
        idempotency: Option<&Idempotency>,
        call: &Call,
    ) -> Result<Reply, Refusal> {
        for _ in 0..ATTEMPTS_MAX {
            let now = self.now_to_write()?;
            let stored = match id {
                Some(id) => self.store.load(&id, WithTexts::No).await?,
                None => None,
            };
            // The same verifier for all of this change, even if another one is activated meanwhile.
            let verifier = self.verifier();
            let step = self.step(&verifier, id, stored.as_ref(), call, now).await?;
            let body = shown(&verifier, &step.view, &[]);
            let (Some(transition), Some(stored)) = (step.transition, stored) else {
                return Ok(Reply::new(200, body));
            };
            let judged = if call.is_claim {
                self.not_denied(caller, &stored.summary.id, &step.view, now).await?
            } else {
                None
            };
            let guardrail = judged.as_ref().map(Judged::guardrail);
            let by = Deciders { verifier: &verifier, guardrail };
            let base = Base::Entry(stored.entry);
            let reply = Reply::new(200, body);
            let kept = self.keep(caller, by, transition, base, reply, idempotency, now).await?;
            if let Some(reply) = kept {
                return Ok(reply);
            }
        }
        Err(Refusal::new(
            Code::STORE_UNAVAILABLE,
            "too many concurrent changes to this approval; retry",
        ))
    }

    /// Commits a change. Returns `None` if another change came first.
    #[expect(clippy::too_many_arguments, reason = "each is a part of the one change")]
    pub(crate) async fn keep(
        &self,
        caller: &Caller,
        by: Deciders<'_>,
        transition: Transition,
        base: Base,
        reply: Reply,
        idempotency: Option<&Idempotency>,
        now: u64,
    ) -> Result<Option<Reply>, Refusal> {
        is_object(&transition.entry)?;
        let summary = summary(transition.summary)?;
        let id = summary.id;
        let change = Change {
            event: transition.entry,
            host: host_members(by, caller),
            about: About::approval(id),
            rows: Vec::new(),
            blob: None,
            approval: Some(Version { summary, record: transition.record, base }),
            answer: idempotency.map(|idempotency| idempotency.keep(&reply, now)),
            at: now,
        };
        match self.store.commit(change).await? {
            Commit::Committed { entry } => {
                self.time.kept(now);
                self.watchers.changed(id, entry);
                Ok(Some(reply))
            }
            Commit::Conflict => Ok(None),
            Commit::Replayed(answer) => match idempotency {
                Some(idempotency) => idempotency.matches(&answer).map(|()| Some(answer.into())),
                None => Ok(None),
            },
        }
    }

    async fn step(
        &self,
        verifier: &Verifier,
        id: Option<ApprovalId>,
        stored: Option<&Stored>,
        call: &Call,
        now: u64,
    ) -> Result<Step, Refusal> {
        let id = text_of(id);
        let record = stored.map(|stored| stored.record.clone());
        let operation = Arc::clone(&call.operation);
        self.call_verifier(verifier, call.bytes, move |verifier| {
            operation(verifier, Approval { id: &id, record: record.as_deref() }, now)
        })
        .await
    }
}

impl Idempotency {
    pub(crate) fn keep(&self, reply: &Reply, now: u64) -> (Scope, Answer) {
        let answer = Answer {
            request_digest: self.request_digest,
            status: reply.status,
            body: reply.body.clone(),
            at: now,
        };
        (self.scope, answer)
    }
}

impl Reply {
    /// Creates an answer that is not a replay.
    pub(crate) fn new(status: u16, body: String) -> Self {
        Self { status, body, replayed: false }
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self { status: answer.status, body: answer.body, replayed: true }
    }
}

/// Returns the id as text for the verifier; empty for a malformed id, which matches no approval.
pub(crate) fn text_of(id: Option<ApprovalId>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

/// Splits a new approval into the transition to commit, its view and its texts.
pub(crate) fn opened_change(opened: Opened) -> (Transition, String, Texts) {
    let texts = Texts { context: opened.context, plan: opened.plan };
    (opened.transition, opened.view, texts)
}

/// Adds the host's fields to a verifier's view: the verifier's digest and the raw texts.
pub(crate) fn shown(verifier: &Verifier, view: &str, fields: &[(&str, &str)]) -> String {
    with_fields(&with_verifier(verifier, view), fields)
}

/// Returns the host's members of an audit entry: the modules that decided, and the request id.
pub(crate) fn host_members(by: Deciders<'_>, caller: &Caller) -> String {
    #[derive(Serialize)]
    struct Members<'a> {
        verifier: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        guardrail: Option<Guardrail<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<&'a str>,
    }
    json_text(&Members {
        verifier: by.verifier.digest(),
        guardrail: by.guardrail,
        request_id: caller.request_id(),
    })
}

/// Serializes a value as JSON. Only for values that cannot fail to serialize.
pub(crate) fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

/// Returns a text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    json_text(&text)
}

/// Checks that a verifier's event can go into an entry: one line with a JSON object. The verifier
/// may be a different one than this host was built with.
///
/// Refusals: `verifier-trapped`.
fn is_object(event: &str) -> Result<(), Refusal> {
    let is_line = event.starts_with('{') && event.ends_with('}') && !event.contains('\n');
    if is_line && refuse_duplicate_members("event", event).is_ok() {
        return Ok(());
    }
    Err(Refusal::new(Code::VERIFIER_TRAPPED, "the verifier's event is not a JSON object"))
}

fn with_verifier(verifier: &Verifier, object: &str) -> String {
    let digest = format!("\"{}\"", verifier.digest());
    with_fields(object, &[("verifier", &digest)])
}

/// Adds fields to a JSON object from the verifier. Values are raw JSON.
pub(crate) fn with_fields(object: &str, fields: &[(&str, &str)]) -> String {
    let mut text = object.strip_suffix('}').unwrap_or(object).to_owned();
    for (name, value) in fields {
        text.push_str(&format!(",\"{name}\":{value}"));
    }
    text.push('}');
    text
}

fn summary(summary: verifier::Summary) -> Result<Summary, Refusal> {
    let unreadable =
        || Refusal::new(Code::VERIFIER_TRAPPED, "the verifier's answer cannot be read");
    Ok(Summary {
        id: ApprovalId::parse(&summary.id).ok_or_else(unreadable)?,
        status: Status::parse(&summary.status).ok_or_else(unreadable)?,
        agent: summary.agent,
        action: summary.action,
        requested_at: summary.requested_at,
        expires_at: summary.expires_at,
        due_at: summary.due_at,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_is_not_one_object_is_refused() {
        is_object(r#"{"format":1,"event":"approval_requested"}"#).unwrap();
        for event in [
            "{\"format\":1} ",
            " {}",
            "{}{}",
            "{\n}",
            "[1,2,3]",
            "null",
            "",
            "{\"a\":1",
            r#"{"a":1,"a":2}"#,
        ] {
            let refused = is_object(event).unwrap_err();
            assert_eq!(refused.code, Code::VERIFIER_TRAPPED, "{event}");
        }
    }
}
