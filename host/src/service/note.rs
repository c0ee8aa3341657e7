//! Notes: changes that are of no approval. Each is an audit entry that the host words, with rows of the
//! host's own and an answer kept beside it.

use signoff_core::time::UnixSeconds;

use super::commit::{Deciders, Idempotency, Reply, host_members, quoted};
use super::guardrails::Guardrail;
use super::{Caller, Service};
use crate::code::Code;
use crate::refusal::Refusal;
use crate::store::{Blob, Change, Commit, RowChange, about};

/// What is noted.
pub(super) struct Note<'a> {
    /// The entry's event.
    pub(super) event: &'static str,
    /// The rows that change with it.
    pub(super) rows: Vec<RowChange>,
    /// The event's own members, a JSON object.
    pub(super) fields: String,
    /// What a policy said of it, where one was evaluated.
    pub(super) guardrail: Option<Guardrail<'a>>,
    /// What the caller is answered, kept for a repeat.
    pub(super) answer: Option<Reply>,
}

impl Service {
    /// Keeps a note, or answers what an earlier one with the same idempotency key was answered.
    ///
    /// Refusals: `idempotency-key-reused`; `store-unavailable`, also where another change wrote one of the
    /// rows first.
    pub(super) async fn keep_note(
        &self,
        caller: &Caller,
        note: Note<'_>,
        idempotency: Option<&Idempotency>,
        now: u64,
    ) -> Result<Reply, Refusal> {
        self.keep_note_with(caller, note, None, idempotency, now).await
    }

    /// Keeps a note, and a module's bytes or that they are gone.
    ///
    /// Refusals: as [`Self::keep_note`].
    pub(super) async fn keep_note_with(
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
            .ok_or_else(|| Refusal::internal("an audit event does not say what it is about"))?;
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

/// An event: its name, who caused it, and its own members, a JSON object.
fn event(name: &str, actor: &str, fields: &str) -> String {
    let head = format!(r#"{{"event":{},"actor":{}"#, quoted(name), quoted(actor));
    match fields.strip_prefix('{') {
        Some(rest) if rest != "}" => format!("{head},{rest}"),
        _ => format!("{head}}}"),
    }
}

/// A time as the verifier writes it.
pub(super) fn rfc3339(seconds: u64) -> String {
    UnixSeconds::new(seconds)
        .map_or_else(|_| format!("{seconds} s after 1970"), UnixSeconds::rfc3339)
}
