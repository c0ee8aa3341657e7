//! Evaluates the ballots of a receipt with the log's keys and with the keys that a caller pins.

use super::entry::Entry;
use super::keys::LoggedKeys;
use super::report::{BallotReport, Proof};
use super::{ballot_invalid, invalid, untrusted};
use crate::key::{Key, KeyEntry, Keyring};
use crate::lifecycle::{BallotProof, LoggedEvent, Replay, suffice, verify_or_attest};
use crate::name::KeyId;
use crate::record::{Ballot, Record};
use crate::rejection::Rejection;
use crate::signature::Accepted;

/// The inputs that ballots are evaluated with.
pub(super) struct BallotVerifier<'a> {
    pub(super) replay: &'a Replay,
    pub(super) steps: &'a [Entry<LoggedEvent>],
    pub(super) keys: &'a LoggedKeys,
    pub(super) accepted: &'a Accepted,
}

impl BallotVerifier<'_> {
    /// Returns each ballot with how far it is proven. A ballot whose key is pinned is verified
    /// again with that key, whose approver, groups and status count instead of the log's.
    ///
    /// Rejections: `receipt-untrusted` for a ballot of a profile that is not accepted, one that
    /// does not verify with the pinned key of its id, or one whose key is pinned as revoked under
    /// any id.
    pub(super) fn ballots(&self, pinned: &Keyring) -> Result<Vec<BallotReport>, Rejection> {
        let cast = self.steps.iter().filter(|step| step.event.is_ballot());
        let ballots = self.record().ballots.iter().zip(cast).enumerate();
        ballots.map(|(index, (ballot, step))| self.ballot(index, ballot, step, pinned)).collect()
    }

    /// Returns whether the ballots meet the requirement.
    ///
    /// Rejections: `receipt-untrusted` if they do by the log's keys, but not by the pinned keys.
    pub(super) fn requirement_met(&self, pinned: &[KeyEntry]) -> Result<bool, Rejection> {
        let last = self.steps.iter().rev().find(|step| step.event.needs_keys());
        let Some(last) = last else { return Ok(false) };
        let logged = self.keys.before(last.number, Keyring::default())?;
        if suffice(self.record(), &logged).is_err() {
            return Ok(false);
        }
        let keys = self.keys.before(last.number, Keyring::read(pinned)?)?;
        suffice(self.record(), &keys)
            .map(|()| true)
            .map_err(|e| untrusted(format!("by the keys given: {}", e.message)))
    }

    fn record(&self) -> &Record {
        self.replay.record()
    }

    fn ballot(
        &self,
        index: usize,
        ballot: &Ballot,
        step: &Entry<LoggedEvent>,
        pinned: &Keyring,
    ) -> Result<BallotReport, Rejection> {
        let wrong = |why: &str| untrusted(format!("the ballot of `{}`: {why}", ballot.approver));
        let id = KeyId::new(ballot.key_id.as_str()).map_err(|e| invalid(e.message))?;
        let then = self.keys.before(step.number, Keyring::default())?;
        let logged = then.find(&id).ok_or_else(|| {
            ballot_invalid(&ballot.approver, "no entry before it records its key")
        })?;
        let digest = self.replay.request_digest();
        let proven = verify_or_attest(self.record(), digest, index, &then, self.accepted)
            .map_err(|e| wrong(&e.message))?;
        let key = match pinned.find(&id) {
            Some(key) if !key.has_same_material(logged) => {
                return Err(wrong(&format!("its key `{id}` is not the given key of that id")));
            }
            Some(key) => {
                verify_or_attest(self.record(), digest, index, pinned, self.accepted)
                    .map_err(|e| wrong(&e.message))?;
                key
            }
            None => match pinned.revoked(logged) {
                Some(revoked) => {
                    let why = format!("its key is given as revoked, under the id `{}`", revoked.id);
                    return Err(wrong(&why));
                }
                None => logged,
            },
        };
        let proof = match proven {
            BallotProof::Attested => Proof::Attested,
            BallotProof::Verified if pinned.find(&id).is_some() => Proof::Pinned,
            BallotProof::Verified => Proof::Logged,
        };
        Ok(report(ballot, key, proof))
    }
}

fn report(ballot: &Ballot, key: &Key, proof: Proof) -> BallotReport {
    BallotReport {
        approver: ballot.approver.clone(),
        decision: ballot.decision,
        comment: ballot.comment.clone(),
        at: ballot.cast_at,
        profile: ballot.profile,
        key_id: ballot.key_id.clone(),
        algorithm: key.algorithm.as_str(),
        groups: key.groups.iter().map(ToString::to_string).collect(),
        proof,
    }
}
