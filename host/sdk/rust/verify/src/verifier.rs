//! The verifier's operations.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::approval::{Attempt, Expectations, Proven, VerifiedApproval};
use crate::backend::Backend;
use crate::key::{Keyring, SigningKey};
use crate::receipt::{ReceiptReport, ReceiptTrust};
use crate::rejection::Rejection;
use crate::statement::{Decision, Profile, Statement};
use crate::time::UnixSeconds;

/// The offline verifier. Cheap to create; can be shared between threads.
#[derive(Debug)]
pub struct Verifier {
    backend: Backend,
}

/// The canonical form of a context, and its digest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Canonical {
    /// The output of Python's `json.dumps(json.loads(text), sort_keys=True)`.
    pub canonical: String,
    /// SHA-256 of it, 64 lower-case hex characters.
    pub digest: String,
}

/// The exact bytes that a statement signs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Payload {
    /// The profile of the encoding.
    pub profile: Profile,
    /// The bytes, in base64url without padding.
    pub base64url: String,
    /// The bytes as text, under `v1`.
    pub text: Option<String>,
}

impl Default for Verifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Verifier {
    /// Runs the verifier as ordinary Rust, in this process.
    pub fn new() -> Self {
        Self { backend: Backend::Native }
    }

    /// Runs every operation in the component `verifier.wasm`, which `signoff module export
    /// verifier` writes.
    ///
    /// The caller provides the bytes, so that its deployment can pin them: compare
    /// [`Self::digest_of_module`] with the digest that was reviewed, or with `verifier` in a
    /// server's response.
    ///
    /// # Errors
    ///
    /// `verifier-trapped` for bytes that are not the component, or one that imports anything.
    #[cfg(feature = "wasm")]
    pub fn from_component(bytes: &[u8]) -> Result<Self, Rejection> {
        let component = crate::component::Component::new(bytes)?;
        Ok(Self { backend: Backend::Component(component) })
    }

    /// Returns the SHA-256 of the component in which the operations run, which equals the `verifier`
    /// that a server of the same version shows; `None` if they run as ordinary Rust.
    pub fn digest_of_module(&self) -> Option<&str> {
        match &self.backend {
            Backend::Native => None,
            #[cfg(feature = "wasm")]
            Backend::Component(component) => Some(component.digest()),
        }
    }

    /// Verifies that an attempt was approved.
    ///
    /// `approval_json` is the unmodified response of `GET /api/v1/approvals/{id}` or of a claim.
    /// `id` is the requested approval, `audience` the executor's deployment, and `keyring` its
    /// approvers' keys: take all three from the executor's own memory and settings, never from the
    /// server. Run the action on [`VerifiedApproval::context`].
    ///
    /// # Errors
    ///
    /// In the order that `approval.verify` in `wit/approval.wit` gives: form, id, audience, status, each
    /// ballot, quorum, `expectations`, agent, action, context, plan.
    #[expect(clippy::too_many_arguments, reason = "each is a separate source of trust")]
    pub fn verify_approval(
        &self,
        approval_json: &str,
        id: &str,
        audience: &str,
        attempt: &Attempt,
        keyring: &Keyring,
        expectations: &Expectations,
        now: impl Into<UnixSeconds>,
    ) -> Result<VerifiedApproval, Rejection> {
        #[derive(Serialize)]
        struct Args<'a> {
            approval: &'a str,
            id: &'a str,
            audience: &'a str,
            attempt: &'a Attempt,
            keys: &'a Keyring,
            #[serde(flatten)]
            expectations: &'a Expectations,
            now: UnixSeconds,
        }
        let now = now.into();
        let args = Args {
            approval: approval_json,
            id,
            audience,
            attempt,
            keys: keyring,
            expectations,
            now,
        };
        self.backend.run::<_, Proven>("approval.verify", &args).map(VerifiedApproval::new)
    }

    /// Returns the statement to sign for a decision on a shown approval, with every digest
    /// recomputed. `context` and `plan` are the texts that the approver has read.
    ///
    /// # Errors
    ///
    /// As `lifecycle.review` in `wit/lifecycle.wit`.
    #[expect(clippy::too_many_arguments, reason = "each is a part of what is signed")]
    pub fn review(
        &self,
        approval_json: &str,
        context: &str,
        plan: Option<&str>,
        decision: Decision,
        approver: &str,
        key_id: &str,
        comment: &str,
    ) -> Result<Statement, Rejection> {
        #[derive(Serialize)]
        struct Args<'a> {
            approval: &'a str,
            context: &'a str,
            plan: Option<&'a str>,
            decision: &'a str,
            approver: &'a str,
            key_id: &'a str,
            comment: &'a str,
        }
        #[derive(Deserialize)]
        struct Reviewed {
            statement: Statement,
        }
        let decision = decision.as_str();
        let args =
            Args { approval: approval_json, context, plan, decision, approver, key_id, comment };
        self.backend.run("lifecycle.review", &args).map(|reviewed: Reviewed| reviewed.statement)
    }

    /// Returns the SHA-256 of a context's canonical form, 64 lower-case hex characters.
    ///
    /// # Errors
    ///
    /// `context-invalid`, with the byte offset.
    pub fn digest(&self, context: &str) -> Result<String, Rejection> {
        self.canonicalize(context).map(|read| read.digest)
    }

    /// Returns the canonical form of a context, and its digest.
    ///
    /// # Errors
    ///
    /// `context-invalid`, with the byte offset.
    pub fn canonicalize(&self, context: &str) -> Result<Canonical, Rejection> {
        #[derive(Serialize)]
        struct Args<'a> {
            context: &'a str,
        }
        self.backend.run("context.read", &Args { context })
    }

    /// Returns the exact bytes to sign for a statement.
    ///
    /// # Errors
    ///
    /// `request-invalid`, `limit-exceeded`; `statement-ambiguous` (`v1`).
    pub fn payload(&self, statement: &Statement, profile: Profile) -> Result<Payload, Rejection> {
        #[derive(Serialize)]
        struct Args<'a> {
            statement: &'a Statement,
            profile: Profile,
        }
        self.backend.run("signing.payload", &Args { statement, profile })
    }

    /// Signs a statement: 64 lower-case hex characters under `v1`, `v2.{key id}.{base64url}` under `v2`.
    ///
    /// # Errors
    ///
    /// As `signing.sign` in `wit/signing.wit`.
    pub fn sign(
        &self,
        statement: &Statement,
        profile: Profile,
        key: &SigningKey,
    ) -> Result<String, Rejection> {
        #[derive(Serialize)]
        struct Args<'a> {
            statement: &'a Statement,
            profile: Profile,
            key: &'a SigningKey,
        }
        #[derive(Deserialize)]
        struct Signed {
            signature: String,
        }
        let args = Args { statement, profile, key };
        self.backend.run("signing.sign", &args).map(|signed: Signed| signed.signature)
    }

    /// Verifies one signature of a statement. Returns the id of the key that made it. Does not
    /// check whether an approval is complete: use [`Self::verify_approval`].
    ///
    /// # Errors
    ///
    /// As `signing.verify` in `wit/signing.wit`.
    pub fn verify(
        &self,
        statement: &Statement,
        signature: &str,
        keyring: &Keyring,
        accept: &[Profile],
    ) -> Result<String, Rejection> {
        #[derive(Serialize)]
        struct Args<'a> {
            statement: &'a Statement,
            signature: &'a str,
            keys: &'a Keyring,
            accept: &'a [Profile],
        }
        #[derive(Deserialize)]
        struct Verified {
            key_id: String,
        }
        let args = Args { statement, signature, keys: keyring, accept };
        self.backend.run("signing.verify", &args).map(|verified: Verified| verified.key_id)
    }

    /// Verifies a receipt, as `GET /api/v1/approvals/{id}/receipt` returns it, without a server.
    ///
    /// # Errors
    ///
    /// In the order that `receipt.verify` in `wit/receipt.wit` gives: the form of `trust`, of the
    /// receipt, the id, the audience, the checkpoint, the entries, the ballots.
    pub fn verify_receipt(
        &self,
        receipt: &str,
        trust: &ReceiptTrust,
    ) -> Result<ReceiptReport, Rejection> {
        #[derive(Serialize)]
        struct Args<'a> {
            receipt: &'a str,
            #[serde(flatten)]
            trust: &'a ReceiptTrust,
        }
        self.backend.run("receipt.verify", &Args { receipt, trust })
    }

    /// Answers one request of `wit/wire.wit`, as text: `{"op": …, "args": {…}}` returns `{"ok": …}` or
    /// `{"error": {"code": …, "message": …}}`. A refusal is an answer here.
    ///
    /// # Errors
    ///
    /// `verifier-trapped` if a component failed.
    pub fn call_text(&self, request: &str) -> Result<String, Rejection> {
        self.backend.call_text(request)
    }

    /// Runs any operation by its name, with its arguments as a JSON object. Returns the JSON of its
    /// result.
    ///
    /// # Errors
    ///
    /// `request-invalid` for an unknown operation or malformed arguments; then the operation's own.
    pub fn call(&self, op: &str, args: &str) -> Result<String, Rejection> {
        let args: &RawValue = serde_json::from_str(args)
            .map_err(|e| Rejection::invalid(format!("the arguments of `{op}`: {e}")))?;
        self.backend.text(op, args)
    }
}
