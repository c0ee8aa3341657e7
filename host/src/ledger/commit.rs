//! Commits: a change of an approval or of the host's rows is written together with its audit entry
//! and its stored answer, or not at all.

use super::event::{Deciders, Note, entry_of, host_members};
use super::{Idempotency, Ledger, Reply};
use crate::caller::Caller;
use crate::code::Code;
use crate::id::ApprovalId;
use crate::refusal::Refusal;
use crate::store::{About, Base, Change, Commit, Scope, Status, Summary, Version, about};
use crate::verifier::{self, Transition};
use signoff_core::object::refuse_duplicate_members;

/// A transition of an approval, to be committed.
pub(crate) struct ApprovalChange<'a> {
    /// The modules that decided the transition.
    pub(crate) by: Deciders<'a>,
    pub(crate) transition: Transition,
    /// The stored version that it replaces; another version in the store is a conflict.
    pub(crate) base: Base,
    /// Stored answers to delete.
    pub(crate) forgotten: Vec<Scope>,
    /// The answer to the caller, which is stored for repeats of the request.
    pub(crate) reply: Reply,
    /// The time that the modules were called with.
    pub(crate) at: u64,
}

impl Ledger {
    /// Returns the stored answer of an idempotency key, if there is one.
    ///
    /// Refusals: `idempotency-key-reused`, `store-unavailable`, `store-tampered`.
    pub(crate) async fn kept(
        &self,
        idempotency: Option<&Idempotency>,
    ) -> Result<Option<Reply>, Refusal> {
        let Some(idempotency) = idempotency else { return Ok(None) };
        let answer = self.store.answer(&idempotency.scope).await?;
        answer.map(|answer| idempotency.replay(answer)).transpose()
    }

    /// Commits a change of an approval. Returns the stored answer if the idempotency key has one,
    /// and `None` if another change of the approval came first.
    ///
    /// Refusals: `verifier-trapped`, `idempotency-key-reused`, `store-unavailable`,
    /// `store-tampered`.
    pub(crate) async fn commit(
        &self,
        caller: &Caller,
        change: ApprovalChange<'_>,
        idempotency: Option<&Idempotency>,
    ) -> Result<Option<Reply>, Refusal> {
        let ApprovalChange { by, transition, base, forgotten, reply, at } = change;
        check_event(&transition.entry)?;
        let summary = summary(transition.summary)?;
        let id = summary.id;
        let change = Change {
            event: transition.entry,
            host: host_members(&by, caller),
            about: About::approval(id),
            removed: Vec::new(),
            forgotten,
            rows: Vec::new(),
            blob: None,
            approval: Some(Version { summary, record: transition.record, base }),
            answer: idempotency.map(|idempotency| idempotency.keep(&reply, at)),
            at,
        };
        match self.store.commit(change).await? {
            Commit::Committed { entry } => Ok(Some(reply.written_in(entry))),
            Commit::Conflict => Ok(None),
            Commit::Replayed(answer) => {
                idempotency.map(|idempotency| idempotency.replay(answer)).transpose()
            }
        }
    }

    /// Commits a note with the current time. Returns its answer, or the stored answer if the
    /// idempotency key has one.
    ///
    /// Refusals: as [`Self::now_to_write`], then as [`Self::note_at`].
    pub(crate) async fn note(
        &self,
        caller: &Caller,
        note: Note<'_>,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        self.note_at(self.now_to_write()?, caller, note, idempotency).await
    }

    /// As [`Self::note`], with a time for writing that the caller has already read.
    ///
    /// Refusals: `idempotency-key-reused`; `store-unavailable`, also if another change wrote one of
    /// the rows first.
    pub(crate) async fn note_at(
        &self,
        now: u64,
        caller: &Caller,
        note: Note<'_>,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        let event = entry_of(&note, caller);
        let about = about::of_event(&event)
            .ok_or_else(|| Refusal::internal("an audit event has no subject"))?;
        let verifier = self.verifier.current();
        let by = Deciders { verifier: &verifier, guardrail: note.guardrail };
        let reply = note.answer.unwrap_or_else(|| Reply::new(200, String::new()));
        let change = Change {
            approval: None,
            removed: note.removed,
            forgotten: note.forgotten,
            rows: note.rows,
            blob: note.blob,
            event,
            host: host_members(&by, caller),
            about,
            answer: idempotency.map(|idempotency| idempotency.keep(&reply, now)),
            at: now,
        };
        match self.store.commit(change).await? {
            Commit::Committed { entry } => Ok(reply.written_in(entry)),
            Commit::Replayed(answer) => match idempotency {
                Some(idempotency) => idempotency.replay(answer),
                None => Ok(reply),
            },
            Commit::Conflict => Err(Refusal::new(
                Code::STORE_UNAVAILABLE,
                "another change wrote the same row first; retry",
            )),
        }
    }
}

/// Checks that an event can be part of an entry: it must be one JSON object on one line, without
/// duplicate members. The event is untrusted: the active verifier need not be the built-in one.
///
/// Refusals: `verifier-trapped`.
fn check_event(event: &str) -> Result<(), Refusal> {
    let is_line = event.starts_with('{') && event.ends_with('}') && !event.contains('\n');
    if is_line && refuse_duplicate_members("event", event).is_ok() {
        return Ok(());
    }
    Err(Refusal::new(Code::VERIFIER_TRAPPED, "the verifier's event is not a JSON object"))
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
        check_event(r#"{"format":1,"event":"approval_requested"}"#).unwrap();
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
            let refused = check_event(event).unwrap_err();
            assert_eq!(refused.code, Code::VERIFIER_TRAPPED, "{event}");
        }
    }
}
