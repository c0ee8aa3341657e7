//! Counts the approvals of a record, and finds what its requirement still lacks. Each approver,
//! each key and each key material counts once. Groups are read from the keyring entries given now.

use super::state::is_requester;
use crate::key::{Key, Keyring};
use crate::name::KeyId;
use crate::person::{agent_of, same_person};
use crate::record::{Ballot, Record, Requirement, Status};
use crate::rejection::{Code, Rejection};
use crate::statement::{Decision, Profile};

/// The approvals of a record, each with its key if the keyring has it.
pub(super) struct Tally<'a> {
    requirement: &'a Requirement,
    approvals: Vec<Approval<'a>>,
}

struct Approval<'a> {
    approver: &'a str,
    key_id: &'a str,
    key: Option<&'a Key>,
    /// Whether the approval counts now: its key is in the keyring, may sign this profile for this
    /// approver, and is not revoked.
    counts: bool,
}

impl<'a> Tally<'a> {
    /// Tallies the stored ballots that approve. Skips ballots by the requester, by an agent, and
    /// repeated ones. Does not verify signatures: the operation that uses the approval does.
    pub(super) fn of(record: &'a Record, keys: &'a Keyring) -> Self {
        let mut tally = Self { requirement: &record.requirement, approvals: Vec::new() };
        for ballot in &record.ballots {
            let key = key_of(ballot, keys);
            if ballot.decision == Decision::Approved
                && may_count(record, &ballot.approver)
                && !tally.has(&ballot.approver, &ballot.key_id, key)
            {
                tally.approvals.push(Approval {
                    approver: &ballot.approver,
                    key_id: &ballot.key_id,
                    key,
                    counts: key.is_some_and(|key| counts_now(key, ballot, keys)),
                });
            }
        }
        tally
    }

    /// Returns the number of approvals that count.
    pub(super) fn len(&self) -> usize {
        self.counting().count()
    }

    fn counting(&self) -> impl Iterator<Item = &Approval<'a>> {
        self.approvals.iter().filter(|approval| approval.counts)
    }

    /// Returns whether a stored approval has this approver, key id or key material, even if it does not
    /// count now.
    pub(super) fn has(&self, approver: &str, key_id: &str, key: Option<&Key>) -> bool {
        self.approvals.iter().any(|approval| {
            same_person(approval.approver, approver)
                || approval.key_id == key_id
                || matches!((approval.key, key), (Some(a), Some(b)) if a.has_same_material(b))
        })
    }

    /// Returns whether the threshold is reached, ignoring groups.
    pub(super) fn reaches_threshold(&self) -> bool {
        let threshold = self.requirement.threshold as usize;
        threshold > 0 && self.len() >= threshold
    }

    /// Returns the groups below their minimum: name, minimum, number of approvals that count.
    pub(super) fn missing_groups(&self) -> impl Iterator<Item = (&'a str, u32, usize)> {
        self.requirement.groups.iter().filter_map(|(group, minimum)| {
            let of_it = |approval: &&Approval<'_>| approval.key.is_some_and(|k| k.has_group(group));
            let have = self.counting().filter(of_it).count();
            (have < *minimum as usize).then_some((group.as_str(), *minimum, have))
        })
    }

    /// Returns whether the requirement is met.
    pub(super) fn is_complete(&self) -> bool {
        self.reaches_threshold() && self.missing_groups().next().is_none()
    }
}

/// Returns the status of a record after its last ballot.
pub(super) fn status(record: &Record, keys: &Keyring) -> Status {
    match record.ballots.last().map(|ballot| ballot.decision) {
        Some(Decision::Rejected) => Status::Rejected,
        Some(Decision::Approved) if Tally::of(record, keys).is_complete() => Status::Approved,
        _ => Status::Pending,
    }
}

/// Checks that every ballot of a record is an approval that counts by the keys given now, and that
/// together they meet the requirement. Does not verify their signatures.
///
/// Rejections: 1. `signature-invalid` for too few approvals, or for a ballot that does not count
/// 2. `approver-not-allowed` for too few approvals of a group
pub(crate) fn suffice(record: &Record, keys: &Keyring) -> Result<(), Rejection> {
    let tally = Tally::of(record, keys);
    if tally.len() != record.ballots.len() || !tally.reaches_threshold() {
        return Err(Rejection::new(
            Code::SignatureInvalid,
            format!(
                "{} of {} required approvals count, {} ballots are stored",
                tally.len(),
                record.requirement.threshold,
                record.ballots.len()
            ),
        ));
    }
    match tally.missing_groups().next() {
        None => Ok(()),
        Some((group, minimum, have)) => Err(Rejection::new(
            Code::ApproverNotAllowed,
            format!("{have} of {minimum} approvals are by keys of the group `{group}` now"),
        )),
    }
}

/// Returns whether a name may be an approver of this record: neither the requester nor an agent.
pub(super) fn may_count(record: &Record, approver: &str) -> bool {
    !is_requester(record, approver) && agent_of(approver).is_none()
}

/// Returns whether a ballot by this key counts now; see `Approval::counts`.
fn counts_now(key: &Key, ballot: &Ballot, keys: &Keyring) -> bool {
    let theirs = match ballot.profile {
        Profile::V1 => true,
        Profile::V2 => key.is_of(&ballot.approver),
    };
    theirs && key.can_sign(ballot.profile) && keys.revoked(key).is_none()
}

/// Returns the key that a ballot names, if the keyring has it.
fn key_of<'k>(ballot: &Ballot, keys: &'k Keyring) -> Option<&'k Key> {
    KeyId::new(ballot.key_id.as_str()).ok().and_then(|id| keys.find(&id))
}
