//! The ballots of a receipt: whose key made each, whether it verifies, and whether they are enough.

use sha2::{Digest, Sha256};

use super::ReceiptError;
use super::entry::KeyEntry;
use super::shown::{Ballot, Shown};
use super::story::{Step, Story};
use super::verify::{BallotReport, Proof};
use crate::role::AGENT_PREFIX;
use crate::verifier::{Accepted, Failure, Key, Statement, Verifier};

/// The keys that a receipt's entries tell of, in the order of the log.
pub(super) struct LoggedKeys(pub(super) Vec<(u64, Box<KeyEntry>)>);

impl LoggedKeys {
    /// A key as it was before an entry.
    fn before(&self, number: u64, key_id: &str) -> Option<&KeyEntry> {
        let of_it = self.0.iter().rev().find(|(at, key)| *at < number && key.key_id == key_id);
        of_it.map(|(_, key)| &**key)
    }

    /// Whether every key is a ballot's: what a receipt has no use for is not in it.
    pub(super) fn are_needed(&self, shown: &Shown) -> Result<(), ReceiptError> {
        let is_named = |key: &KeyEntry| shown.ballots.iter().any(|b| b.key_id == key.key_id);
        match self.0.iter().find(|(_, key)| !is_named(key)) {
            None => Ok(()),
            Some((number, key)) => {
                let why = format!("no ballot names the key `{}`", key.key_id);
                Err(ReceiptError::entry(*number, why))
            }
        }
    }
}

/// Checks one ballot against its entry and its key. `statement` is what any decision of this approval
/// signs, as far as it does not depend on the decision.
pub(super) fn check(
    ballot: &Ballot,
    step: &Step,
    keys: &LoggedKeys,
    statement: &Statement,
    verifier: &Verifier,
) -> Result<BallotReport, ReceiptError> {
    let wrong = |why: String| ReceiptError::ballot(&ballot.approver, why);
    let (number, _) = step;
    is_logged(ballot, step).map_err(|name| wrong(format!("its {name} is not the log's")))?;
    let key = keys
        .before(*number, &ballot.key_id)
        .ok_or_else(|| wrong(format!("no entry tells whose key `{}` was", ballot.key_id)))?;
    may_vote(ballot, key).map_err(|why| wrong(format!("the key `{}` {why}", ballot.key_id)))?;
    let proof = match (key.algorithm.as_str(), &ballot.comment) {
        ("ed25519", comment) => {
            let statement = Statement {
                key_id: ballot.key_id.clone(),
                decision: ballot.decision.clone(),
                approver: ballot.approver.clone(),
                comment: comment.clone().unwrap_or_default(),
                ..statement.clone()
            };
            verifies(ballot, key, &statement, verifier)?;
            Proof::Verified
        }
        ("hmac-sha256", None) => Proof::Attested,
        ("hmac-sha256", Some(_)) => {
            return Err(wrong("nothing vouches for its comment".to_owned()));
        }
        (other, _) => return Err(wrong(format!("`{other}` is no algorithm of a ballot"))),
    };
    Ok(BallotReport {
        approver: ballot.approver.clone(),
        decision: ballot.decision.clone(),
        comment: ballot.comment.clone(),
        at: ballot.cast_at.clone(),
        profile: ballot.profile.clone(),
        key_id: ballot.key_id.clone(),
        algorithm: key.algorithm.clone(),
        groups: key.groups.clone(),
        proof,
    })
}

/// Whether the ballots are what the requirement asks for, by the keys as they were when the last of
/// them was cast.
pub(super) fn are_enough(shown: &Shown, story: &Story<'_>, keys: &LoggedKeys) -> bool {
    let last = story.ballots.last().map_or(0, |(number, _)| *number);
    let mut counted: Vec<(&str, &KeyEntry)> = Vec::new();
    for ballot in &shown.ballots {
        let Some(key) = keys.before(last, &ballot.key_id) else { return false };
        let is_again = counted
            .iter()
            .any(|(by, with)| *by == ballot.approver || with.fingerprint == key.fingerprint);
        if ballot.decision != "approved" || never_counts(&ballot.approver, shown) || is_again {
            return false;
        }
        if may_vote(ballot, key).is_ok() {
            counted.push((&ballot.approver, key));
        }
    }
    let has_group = |key: &KeyEntry, group: &String| key.groups.contains(group);
    let of_group = |group| counted.iter().filter(|(_, key)| has_group(key, group)).count();
    let (threshold, groups) = (shown.requirement.threshold as usize, &shown.requirement.groups);
    threshold > 0
        && counted.len() >= threshold
        && groups.iter().all(|(group, least)| of_group(group) >= *least as usize)
}

/// Whether a name is an agent's, or the requester's, with or without `agent:` before it.
fn never_counts(approver: &str, shown: &Shown) -> bool {
    let requester = shown.requested_by.strip_prefix(AGENT_PREFIX);
    let requester = requester.unwrap_or(&shown.requested_by);
    approver.starts_with(AGENT_PREFIX) || [requester, &shown.agent].contains(&approver)
}

/// Whether a ballot is the one that its entry tells of; else what is not.
fn is_logged(ballot: &Ballot, (_, entry): &Step) -> Result<(), &'static str> {
    let hash = hex::encode(Sha256::digest(&ballot.signature));
    let ends_it = match ballot.decision.as_str() {
        "approved" => matches!(entry.to.as_str(), "pending" | "approved"),
        _ => entry.to == "rejected",
    };
    let same = [
        ("approver", entry.actor.as_ref() == Some(&ballot.approver)),
        ("decision", entry.decision.as_ref() == Some(&ballot.decision) && ends_it),
        ("profile", entry.profile.as_ref() == Some(&ballot.profile)),
        ("key_id", entry.key_id.as_ref() == Some(&ballot.key_id)),
        ("signature", entry.signature_hash.as_ref() == Some(&hash)),
        ("cast_at", entry.at == ballot.cast_at),
    ];
    same.into_iter().find(|(_, is_same)| !is_same).map_or(Ok(()), |(name, _)| Err(name))
}

/// Whether a key may make a ballot, as the log has it.
fn may_vote(ballot: &Ballot, key: &KeyEntry) -> Result<(), String> {
    let bound_to = key.approver.as_deref();
    if key.usage != "approve" {
        return Err(format!("was for `{}`", key.usage));
    }
    if !matches!(key.status.as_str(), "active" | "verify-only") {
        return Err(format!("was {}", key.status));
    }
    match (ballot.profile.as_str(), bound_to) {
        ("v2", Some(approver)) if approver == ballot.approver => Ok(()),
        ("v2", Some(approver)) => Err(format!("was `{approver}`'s")),
        ("v2", None) => Err("was nobody's".to_owned()),
        ("v1", None) if key.algorithm == "hmac-sha256" => Ok(()),
        (profile, _) => Err(format!("makes no signature of profile `{profile}`")),
    }
}

/// Verifies an Ed25519 ballot in the verifier, with the public key of the log.
fn verifies(
    ballot: &Ballot,
    key: &KeyEntry,
    statement: &Statement,
    verifier: &Verifier,
) -> Result<(), ReceiptError> {
    let wrong = |why: String| ReceiptError::ballot(&ballot.approver, why);
    let material = key.public_key.clone();
    let keys = [Key {
        id: key.key_id.clone(),
        algorithm: key.algorithm.clone(),
        material: material.ok_or_else(|| wrong("the log has no public key of it".to_owned()))?,
        status: key.status.clone(),
        usage: key.usage.clone(),
        approver: key.approver.clone(),
        groups: key.groups.clone(),
    }];
    let accept = [ballot.profile.clone()];
    let accepted = Accepted { keys: &keys, profiles: &accept };
    match verifier.verify(statement, &ballot.signature, accepted) {
        Ok(id) if id == ballot.key_id => Ok(()),
        Ok(id) => Err(wrong(format!("the key `{id}` made it"))),
        Err(Failure::Rejected(rejection)) => Err(wrong(rejection.message)),
        Err(Failure::Trapped(why)) => Err(ReceiptError::Verifier(why)),
    }
}
