//! Notes: changes that are of no approval. Each is an audit entry that the host words, with facts and
//! an answer kept beside it.

use std::sync::atomic::Ordering;

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};

use super::commit::{Deciders, Idempotency, Reply, stamped};
use super::{Caller, Service};
use crate::code::Code;
use crate::refusal::Refusal;
use crate::store::{About, Blob, Change, Commit, Fact};

/// The format of an entry, the same as the verifier's.
const FORMAT: u32 = 1;

/// What is noted.
pub(super) struct Note {
    /// The entry's event.
    pub(super) event: &'static str,
    /// What the entry is found by.
    pub(super) about: About,
    /// What is kept beside it.
    pub(super) facts: Vec<Fact>,
    /// The entry's own members, an object.
    pub(super) fields: Value,
    /// What the caller is answered, kept for a repeat.
    pub(super) answer: Option<Reply>,
}

impl Service {
    /// Keeps a note, or answers what an earlier one with the same idempotency key was answered.
    ///
    /// Refusals: `idempotency-key-reused`, `store-unavailable`.
    pub(super) async fn keep_note(
        &self,
        caller: &Caller,
        note: Note,
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
        note: Note,
        blob: Option<Blob>,
        idempotency: Option<&Idempotency>,
        now: u64,
    ) -> Result<Reply, Refusal> {
        let reply = note.answer.unwrap_or_else(|| Reply::new(200, String::new()));
        let mut entry = Map::new();
        entry.insert("format".to_owned(), json!(FORMAT));
        entry.insert("event".to_owned(), json!(note.event));
        entry.insert("at".to_owned(), json!(rfc3339(now)));
        entry.insert("actor".to_owned(), json!(caller.subject()));
        if let Value::Object(fields) = note.fields {
            entry.extend(fields);
        }
        let verifier = self.verifier();
        let by = Deciders { verifier: &verifier, judged: None };
        let change = Change {
            approval: None,
            facts: note.facts,
            blob,
            entry: stamped(by, &Value::Object(entry).to_string(), caller),
            about: note.about,
            answer: idempotency.map(|idempotency| idempotency.keep(&reply, now)),
            at: now,
        };
        match self.store.commit(change).await? {
            Commit::Kept { entry, .. } => {
                self.last_commit_at.fetch_max(now, Ordering::AcqRel);
                self.watchers.noted(entry);
                Ok(reply)
            }
            Commit::Answered(answer) => match idempotency {
                Some(idempotency) => idempotency.matches(&answer).map(|()| answer.into()),
                None => Ok(reply),
            },
            Commit::Conflict => {
                Err(Refusal::new(Code::STORE_UNAVAILABLE, "the store did not keep a note"))
            }
        }
    }
}

/// A time as the verifier writes it.
pub(super) fn rfc3339(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|s| DateTime::from_timestamp(s, 0));
    time.unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}
