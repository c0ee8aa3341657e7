//! Notes: audit events of the host that belong to no approval (keys, tokens, modules, refusals),
//! with the host's rows and the answer that are stored with them.

use signoff_core::time::UnixSeconds;

use crate::caller::Caller;
use crate::code::Code;
use crate::guardrails::Guardrail;
use crate::ledger::{Deciders, Idempotency, Reply, host_members, quoted};
use crate::refusal::Refusal;
use crate::service::Service;
use crate::store::{Blob, Change, Commit, RowChange, about};

/// An audit event that belongs to no approval.
pub(crate) struct Note<'a> {
    /// The name of the event.
    pub(crate) event: &'static str,
    /// The rows that change in the same commit.
    pub(crate) rows: Vec<RowChange>,
    /// The members of the event, a JSON object.
    pub(crate) fields: String,
    /// The policy's verdict, if one was evaluated.
    pub(crate) guardrail: Option<Guardrail<'a>>,
    /// The answer to the caller, stored for a repeat.
    pub(crate) answer: Option<Reply>,
}

impl Service {
    /// Commits a note, or returns the stored answer of the same idempotency key.
    ///
    /// Refusals: `idempotency-key-reused`; `store-unavailable`, also if another change wrote one of
    /// the rows first.
    pub(crate) async fn keep_note(
        &self,
        caller: &Caller,
        note: Note<'_>,
        idempotency: Option<&Idempotency>,
        now: u64,
    ) -> Result<Reply, Refusal> {
        self.keep_note_with(caller, note, None, idempotency, now).await
    }

    /// Commits a note, and stores or deletes a module's bytes.
    ///
    /// Refusals: as [`Self::keep_note`].
    pub(crate) async fn keep_note_with(
        &self,
        caller: &Caller,
        note: Note<'_>,
        blob: Option<Blob>,
        idempotency: Option<&Idempotency>,
        now: u64,
    ) -> Result<Reply, Refusal> {
        let reply = note.answer.unwrap_or_else(|| Reply::new(200, String::new()));
        let event = event(note.event, caller.subject(), &note.fields);
        let about = about::of_event(&event)
            .ok_or_else(|| Refusal::internal("an audit event has no subject"))?;
        let verifier = self.verifier();
        let by = Deciders { verifier: &verifier, guardrail: note.guardrail };
        let change = Change {
            approval: None,
            rows: note.rows,
            blob,
            event,
            host: host_members(by, caller),
            about,
            answer: idempotency.map(|idempotency| idempotency.keep(&reply, now)),
            at: now,
        };
        match self.store.commit(change).await? {
            Commit::Committed { entry, .. } => {
                self.time.kept(now);
                self.watchers.noted(entry);
                Ok(reply)
            }
            Commit::Replayed(answer) => match idempotency {
                Some(idempotency) => idempotency.matches(&answer).map(|()| answer.into()),
                None => Ok(reply),
            },
            Commit::Conflict => Err(Refusal::new(
                Code::STORE_UNAVAILABLE,
                "another change wrote the same row first; retry",
            )),
        }
    }
}

/// Builds an event from its name, its actor and its members, a JSON object.
fn event(name: &str, actor: &str, fields: &str) -> String {
    let head = format!(r#"{{"event":{},"actor":{}"#, quoted(name), quoted(actor));
    match fields.strip_prefix('{') {
        Some(rest) if rest != "}" => format!("{head},{rest}"),
        _ => format!("{head}}}"),
    }
}

/// Formats a time as the verifier does.
pub(crate) fn rfc3339(seconds: u64) -> String {
    UnixSeconds::new(seconds)
        .map_or_else(|_| format!("{seconds} s after 1970"), UnixSeconds::rfc3339)
}
