//! `decide`: casts one approver's ballot.

use std::borrow::Cow;

use serde::Deserialize;
use signoff_core::hex;

use super::Transition;
use super::entry::Entry;
use super::event::Ballot;
use super::quorum::{self, Tally};
use super::state::{Pending, is_requester};
use crate::key::{Key, KeyEntry, Keyring};
use crate::limits::BALLOTS_MAX;
use crate::name::{KeyId, Text};
use crate::object::objects;
use crate::person::{agent_of, same_person};
use crate::record::{self, Record, Status};
use crate::rejection::{Code, Rejection};
use crate::signature::{Accepted, SignatureValid, form, verify};
use crate::statement::{Decision, Statement};
use crate::time::UnixSeconds;

/// The arguments of `lifecycle.decide`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/lifecycle.wit")]
pub struct Decide<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(default)]
    pub approval: Option<Cow<'a, str>>,
    pub ballot: Cow<'a, str>,
    #[serde(deserialize_with = "objects")]
    pub keys: Vec<KeyEntry>,
    pub accept: Vec<String>,
    pub now: u64,
}

impl Decide<'_> {
    /// Casts one ballot; see `lifecycle.decide` in `wit/` for shapes and rejections.
    pub fn run(&self) -> Result<Transition, Rejection> {
        let ballot = Ballot::read(&self.ballot)?;
        let keys = Keyring::read(&self.keys)?;
        let accepted = Accepted::read(&self.accept)?;
        let now = UnixSeconds::new(self.now)?;
        let pending = Pending::to_decide(Record::read(&self.id, self.approval.as_deref())?, now)?;
        let accepted = accepted.under(&pending.0.requirement);
        let form = form(&ballot.signature, &accepted);
        let named = form.as_ref().ok().and_then(|(profile, key_id)| {
            keys.find(key_id.as_ref()?).filter(|key| key.can_sign(*profile))
        });
        pending.admit(ballot.decision, ballot.approver.as_str(), named, &keys)?;
        let (profile, key_id) = form?;
        let request_digest = pending.0.request_digest()?;
        let text = pending.0.statement(
            &request_digest,
            ballot.decision.as_str(),
            ballot.approver.as_str(),
            key_id.as_ref().map_or("", KeyId::as_str),
            ballot.comment.as_ref().map_or("", Text::as_str),
        );
        let statement = Statement::read(&text, profile)?;
        let proof = verify(&statement, &ballot.signature, &keys, &accepted)?;
        pending.count(&ballot, &proof, &keys, &request_digest, now)
    }
}

impl Pending {
    /// Checks that the approver may vote. `named` is the key that the signature names, not yet
    /// verified.
    ///
    /// Rejections: 1. `self-approval` 2. `approver-not-allowed` 3. `already-voted`
    /// 4. `limit-exceeded`
    pub(super) fn admit(
        &self,
        decision: Decision,
        approver: &str,
        named: Option<&Key>,
        keys: &Keyring,
    ) -> Result<(), Rejection> {
        if is_requester(&self.0, approver) {
            return Err(Rejection::new(
                Code::SelfApproval,
                format!("`{approver}` requested this approval and cannot decide it"),
            ));
        }
        if agent_of(approver).is_some() {
            return Err(Rejection::new(
                Code::ApproverNotAllowed,
                format!("`{approver}` is an agent and cannot decide"),
            ));
        }
        let tally = Tally::of(&self.0, keys);
        if decision == Decision::Approved
            && let Some(key) = named.filter(|key| key.is_of(approver))
        {
            check_still_needed(&tally, approver, key)?;
        }
        if self.0.ballots.iter().any(|cast| same_person(&cast.approver, approver)) {
            return Err(Rejection::new(
                Code::AlreadyVoted,
                format!("`{approver}` has already voted"),
            ));
        }
        if let Some(key) = named.filter(|key| tally.has(approver, key.id.as_str(), Some(key))) {
            return Err(Rejection::new(
                Code::AlreadyVoted,
                format!("the key `{}`, or its material, has already voted", key.id),
            ));
        }
        if self.0.ballots.len() >= BALLOTS_MAX {
            return Err(Rejection::limit(format!(
                "{} ballots are stored, the limit is {BALLOTS_MAX}",
                self.0.ballots.len()
            )));
        }
        Ok(())
    }

    /// Stores a ballot; the proof shows that its signature was verified.
    fn count(
        self,
        ballot: &Ballot<'_>,
        proof: &SignatureValid,
        keys: &Keyring,
        request_digest: &str,
        now: UnixSeconds,
    ) -> Result<Transition, Rejection> {
        let mut record = self.0;
        record.ballots.push(record::Ballot {
            decision: ballot.decision,
            approver: ballot.approver.to_string(),
            comment: ballot.comment(),
            signature: ballot.signature.clone().into_owned(),
            profile: proof.profile(),
            key_id: proof.key_id().to_string(),
            cast_at: now,
        });
        record.status = quorum::status(&record, keys);
        if record.status != Status::Pending {
            record.decided_at = Some(now);
        }
        let signature_hash = hex::sha256(ballot.signature.as_bytes());
        let entry = Entry {
            actor: Some(ballot.approver.as_str()),
            from: Some(Status::Pending),
            decision: Some(ballot.decision),
            profile: Some(proof.profile()),
            key_id: Some(proof.key_id().as_str()),
            signature_hash: Some(&signature_hash),
            ..Entry::new("approval_decided", &record, request_digest, now)
        };
        Transition::new(&record, &entry)
    }
}

/// Checks that one more approval can still help: once the threshold is reached, only an approver in
/// a group below its minimum can.
///
/// Rejections: `approver-not-allowed`.
fn check_still_needed(tally: &Tally<'_>, approver: &str, key: &Key) -> Result<(), Rejection> {
    let mut missing = tally.missing_groups().map(|(group, ..)| group).peekable();
    if !tally.reaches_threshold() || missing.peek().is_none() {
        return Ok(());
    }
    let missing: Vec<&str> = missing.collect();
    if missing.iter().any(|group| key.has_group(group)) {
        return Ok(());
    }
    Err(Rejection::new(
        Code::ApproverNotAllowed,
        format!(
            "only approvals of the groups `{}` are missing, but `{approver}` is in none of them",
            missing.join("`, `")
        ),
    ))
}
