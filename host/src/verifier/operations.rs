//! The operations, in the order of `wit/`. An approval is its id and its stored record, `None` if
//! there is no such approval; the verifier then rejects with `not-found` in its own order.

use super::Verifier;
use super::bindings::{lifecycle, shared, texts, with_key, with_keys};
use super::types::{
    Accepted, Approval, ApprovalArgs, CanonicalContext, CheckArgs, ClaimArgs, DecisionArgs,
    Failure, Key, Message, OpenArgs, Opened, ReceiptArgs, Shown, Statement, Step, Summary, View,
};
use crate::engine::Memory;

/// Each operation fails with [`Failure::Rejected`] as documented for its function in `wit/`, and
/// with [`Failure::Trapped`] if the verifier returns no result.
impl Verifier {
    /// Returns the module's description of itself, JSON.
    pub fn describe(&self) -> Result<String, Failure> {
        self.call(|verifier, store| verifier.call_describe(store))
    }

    /// Answers a request of the `wire` interface. Both are JSON.
    pub fn wire(&self, request: &str) -> Result<String, Failure> {
        self.call(|verifier, store| verifier.signoff_approval_wire().call_call(store, request))
    }

    /// Returns the canonical form of a context or plan.
    pub fn canonicalize(&self, text: &str) -> Result<String, Failure> {
        self.reads([Some(text), None]);
        self.call_fallible(|verifier, store| {
            verifier.signoff_approval_context().call_canonicalize(store, text)
        })
    }

    /// Returns the digest of a context or plan, 64 lower-case hex characters.
    pub fn digest_of(&self, text: &str) -> Result<String, Failure> {
        self.reads([Some(text), None]);
        self.call_fallible(|verifier, store| {
            verifier.signoff_approval_context().call_digest(store, text)
        })
    }

    /// Returns the canonical form of a context or plan and its digest, from one pass.
    pub fn read_context(&self, text: &str) -> Result<CanonicalContext, Failure> {
        self.reads([Some(text), None]);
        self.call_fallible(|verifier, store| {
            verifier.signoff_approval_context().call_read(store, text)
        })
    }

    /// Returns the bytes that a profile signs for a statement.
    pub fn payload(&self, statement: &Statement, profile: &str) -> Result<Message, Failure> {
        self.call_fallible(|verifier, store| {
            verifier.signoff_approval_signing().call_payload(store, statement.into(), profile)
        })
    }

    /// Signs a statement. The key's material is the secret, or the private seed.
    pub fn sign(&self, statement: &Statement, profile: &str, key: &Key) -> Result<String, Failure> {
        self.call_fallible(|verifier, store| {
            let signing = verifier.signoff_approval_signing();
            with_key(key, |key| signing.call_sign(store, statement.into(), profile, key))
        })
    }

    /// Verifies a signature. Returns the id of the key that made it.
    pub fn verify(
        &self,
        statement: &Statement,
        signature: &str,
        accepted: Accepted<'_>,
    ) -> Result<String, Failure> {
        self.call_fallible(|verifier, store| {
            let signing = verifier.signoff_approval_signing();
            let accept = texts(accepted.profiles);
            with_keys(accepted.keys, |keys| {
                signing.call_verify(store, statement.into(), signature, keys, &accept)
            })
        })
    }

    /// Makes a pending approval.
    pub fn open(&self, args: &OpenArgs<'_>) -> Result<Opened, Failure> {
        self.reads([Some(args.context), args.plan]);
        self.call_fallible(|verifier, store| {
            let OpenArgs { request, context, plan, accept, now } = *args;
            let lifecycle = verifier.signoff_approval_lifecycle();
            lifecycle.call_open(store, request, context, plan, &texts(accept), now)
        })
    }

    /// Adds one ballot, JSON.
    pub fn decide(
        &self,
        Approval { id, record }: Approval<'_>,
        ballot: &str,
        accepted: Accepted<'_>,
        now: u64,
    ) -> Result<Step, Failure> {
        self.call_fallible(|verifier, store| {
            let lifecycle = verifier.signoff_approval_lifecycle();
            let accept = texts(accepted.profiles);
            with_keys(accepted.keys, |keys| {
                lifecycle.call_decide(store, id, record, ballot, keys, &accept, now)
            })
        })
    }

    /// Returns the summary of an approval that an executor may use now.
    pub fn check(
        &self,
        Approval { id, record }: Approval<'_>,
        args: &CheckArgs<'_>,
        accepted: Accepted<'_>,
        now: u64,
    ) -> Result<Summary, Failure> {
        self.reads([args.context, args.plan]);
        self.call_fallible(|verifier, store| {
            let CheckArgs { attempt, context, plan } = *args;
            let lifecycle = verifier.signoff_approval_lifecycle();
            let accept = texts(accepted.profiles);
            with_keys(accepted.keys, |keys| {
                lifecycle.call_check(store, id, record, attempt, context, plan, keys, &accept, now)
            })
        })
    }

    /// Verifies that a signature is that of a stored ballot, regardless of the status. Returns the
    /// ballot, JSON.
    pub fn verify_ballot(
        &self,
        Approval { id, record }: Approval<'_>,
        signature: &str,
        accepted: Accepted<'_>,
    ) -> Result<String, Failure> {
        self.call_fallible(|verifier, store| {
            let lifecycle = verifier.signoff_approval_lifecycle();
            let accept = texts(accepted.profiles);
            with_keys(accepted.keys, |keys| {
                lifecycle.call_verify_ballot(store, id, record, signature, keys, &accept)
            })
        })
    }

    /// Consumes an approval for one execution.
    pub fn claim(
        &self,
        Approval { id, record }: Approval<'_>,
        args: &ClaimArgs<'_>,
        accepted: Accepted<'_>,
        now: u64,
    ) -> Result<Step, Failure> {
        self.reads([Some(args.context), args.plan]);
        self.call_fallible(|verifier, store| {
            let ClaimArgs { claim, context, plan } = *args;
            let lifecycle = verifier.signoff_approval_lifecycle();
            let accept = texts(accepted.profiles);
            with_keys(accepted.keys, |keys| {
                lifecycle.call_claim(store, id, record, claim, context, plan, keys, &accept, now)
            })
        })
    }

    /// Records an outcome, JSON. Nothing changes if the same one is already recorded.
    pub fn settle(
        &self,
        Approval { id, record }: Approval<'_>,
        outcome: &str,
        now: u64,
    ) -> Result<Step, Failure> {
        self.call_update(|lifecycle, store| lifecycle.call_settle(store, id, record, outcome, now))
    }

    /// Applies transitions that depend on time alone. Nothing changes if none is due.
    pub fn expire(&self, Approval { id, record }: Approval<'_>, now: u64) -> Result<Step, Failure> {
        self.call_update(|lifecycle, store| lifecycle.call_expire(store, id, record, now))
    }

    /// Withdraws an approval before it is claimed. The withdrawal is JSON.
    pub fn withdraw(
        &self,
        Approval { id, record }: Approval<'_>,
        withdrawal: &str,
        now: u64,
    ) -> Result<Step, Failure> {
        self.call_fallible(|verifier, store| {
            let lifecycle = verifier.signoff_approval_lifecycle();
            lifecycle.call_withdraw(store, id, record, withdrawal, now)
        })
    }

    /// Moves the expiry later. The extension is JSON.
    pub fn extend(
        &self,
        Approval { id, record }: Approval<'_>,
        extension: &str,
        now: u64,
    ) -> Result<Step, Failure> {
        self.call_fallible(|verifier, store| {
            let lifecycle = verifier.signoff_approval_lifecycle();
            lifecycle.call_extend(store, id, record, extension, now)
        })
    }

    /// Ends an unfinished approval as `expired`. The actor is JSON.
    pub fn void(
        &self,
        Approval { id, record }: Approval<'_>,
        actor: &str,
        now: u64,
    ) -> Result<Step, Failure> {
        self.call_fallible(|verifier, store| {
            verifier.signoff_approval_lifecycle().call_void(store, id, record, actor, now)
        })
    }

    /// Removes the texts of a final approval. The actor is JSON.
    pub fn erase(
        &self,
        Approval { id, record }: Approval<'_>,
        actor: &str,
        now: u64,
    ) -> Result<Step, Failure> {
        self.call_fallible(|verifier, store| {
            let lifecycle = verifier.signoff_approval_lifecycle();
            lifecycle.call_erase(store, id, record, actor, now)
        })
    }

    /// Returns the view of an approval.
    pub fn show(&self, Approval { id, record }: Approval<'_>, now: u64) -> Result<View, Failure> {
        self.call_fallible(|verifier, store| {
            verifier.signoff_approval_lifecycle().call_show(store, id, record, now)
        })
    }

    /// Returns the statement to sign for a decision on an approval.
    pub fn statement(
        &self,
        Approval { id, record }: Approval<'_>,
        args: &DecisionArgs<'_>,
    ) -> Result<Statement, Failure> {
        self.call_fallible(|verifier, store| {
            let DecisionArgs { decision, approver, key_id, comment } = *args;
            let signing = verifier.signoff_approval_signing();
            signing.call_statement(store, id, record, decision, approver, key_id, comment)
        })
    }

    /// Returns the statement to sign for an approval shown by a server, with recomputed digests.
    pub fn review(&self, shown: &Shown<'_>, args: &DecisionArgs<'_>) -> Result<Statement, Failure> {
        self.reads([Some(shown.context), shown.plan]);
        self.call_fallible(|verifier, store| {
            let Shown { approval, context, plan } = *shown;
            let DecisionArgs { decision, approver, key_id, comment } = *args;
            let lifecycle = verifier.signoff_approval_lifecycle();
            lifecycle
                .call_review(store, approval, context, plan, decision, approver, key_id, comment)
        })
    }

    /// Verifies an approval as a server shows it, without a record and without the server. Returns
    /// what it proves, JSON.
    pub fn verify_approval(&self, args: &ApprovalArgs<'_>) -> Result<String, Failure> {
        self.call_fallible(|verifier, store| {
            let ApprovalArgs { approval, id, audience, attempt, floor, now, .. } = *args;
            let profiles = texts(args.accepted.profiles);
            let interface = verifier.signoff_approval_approval();
            with_keys(args.accepted.keys, |keys| {
                interface.call_verify(
                    store,
                    approval,
                    id,
                    audience,
                    attempt,
                    keys,
                    Some(&profiles),
                    now,
                    args.requested_after,
                    floor,
                    None,
                )
            })
        })
    }

    /// Verifies a receipt. Returns the report, JSON.
    pub fn verify_receipt(&self, args: &ReceiptArgs<'_>) -> Result<String, Failure> {
        self.call_fallible(|verifier, store| {
            let ReceiptArgs { receipt, id, audience, checkpoint, .. } = *args;
            let (log_keys, consistency) = (texts(args.log_keys), texts(args.consistency));
            let profiles = texts(args.accepted.profiles);
            let interface = verifier.signoff_approval_receipt();
            with_keys(args.accepted.keys, |keys| {
                interface.call_verify(
                    store,
                    receipt,
                    &log_keys,
                    id,
                    audience,
                    Some(keys),
                    &profiles,
                    checkpoint,
                    Some(&consistency),
                )
            })
        })
    }

    /// Calls an operation that may change nothing.
    fn call_update(
        &self,
        f: impl FnOnce(
            &lifecycle::Guest,
            &mut wasmtime::Store<Memory>,
        ) -> wasmtime::Result<Result<lifecycle::Update, shared::Rejection>>,
    ) -> Result<Step, Failure> {
        let answer =
            self.call(|verifier, store| f(verifier.signoff_approval_lifecycle(), store))?;
        match answer {
            Ok(update) => update.try_into(),
            Err(rejection) => Err(Failure::Rejected(rejection.into())),
        }
    }
}
