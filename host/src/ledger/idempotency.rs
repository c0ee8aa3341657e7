//! Idempotency keys: a repeated request gets the answer that was stored with the change of the
//! first.

use sha2::{Digest, Sha256};

use crate::caller::Caller;
use crate::code::Code;
use crate::refusal::Refusal;
use crate::store::{Answer, Scope};

/// The result of a change: an HTTP status and a JSON body, the same for every caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// 200 or 201.
    pub status: u16,
    /// JSON, such as the approval.
    pub body: String,
    /// Whether it is the stored answer of an earlier request with the same idempotency key.
    pub replayed: bool,
    /// The number of the audit entry that was written with it; `None` if none was.
    pub entry: Option<u64>,
}

/// An idempotency key in its scope, and the digest of the request body.
#[derive(Clone, Debug)]
pub struct Idempotency {
    pub(super) scope: Scope,
    request_digest: [u8; 32],
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

    /// Returns a stored answer, if it belongs to the same request body.
    ///
    /// Refusals: `idempotency-key-reused`.
    pub(super) fn replay(&self, answer: Answer) -> Result<Reply, Refusal> {
        if answer.request_digest == self.request_digest {
            let Answer { status, body, entry, .. } = answer;
            return Ok(Reply { status, body, replayed: true, entry });
        }
        Err(Refusal::new(
            Code::IDEMPOTENCY_KEY_REUSED,
            "this idempotency key was used with a different body",
        ))
    }

    /// Returns the answer to store, with its scope.
    pub(super) fn keep(&self, reply: &Reply, now: u64) -> (Scope, Answer) {
        let answer = Answer {
            request_digest: self.request_digest,
            status: reply.status,
            body: reply.body.clone(),
            at: now,
            entry: None,
        };
        (self.scope, answer)
    }
}

impl Reply {
    /// Creates an answer that is not a replay.
    pub(crate) fn new(status: u16, body: String) -> Self {
        Self { status, body, replayed: false, entry: None }
    }

    /// Sets the number of the audit entry that was written with it.
    pub(super) fn written_in(self, entry: u64) -> Self {
        Self { entry: Some(entry), ..self }
    }
}
