//! Several approvers: who has approved, and what is still missing. Approvers, keys and material count
//! once each; a group is in the keyring entry as it is given now.

use super::state::is_requester;
use crate::key::{Key, Keyring};
use crate::name::KeyId;
use crate::person::{agent_of, same_person};
use crate::record::{Ballot, Record, Requirement, Status};
use crate::rejection::{Code, Rejection};
use crate::statement::{Decision, Profile};

/// The approvals of a record, each with its key where the keyring still has it.
pub(super) struct Tally<'a> {
    requirement: &'a Requirement,
    approvals: Vec<Approval<'a>>,
}

struct Approval<'a> {
    approver: &'a str,
    key_id: &'a str,
    key: Option<&'a Key>,
    /// Whether the key would still let it through: if not, nobody can use what it helps to approve.
    counts: bool,
}

impl<'a> Tally<'a> {
    /// Counts the stored ballots. It does not verify them: that is for who uses the approval.
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
                    counts: key.is_some_and(|key| stands(key, ballot, keys)),
                });
            }
        }
        tally
    }

    /// How many approvals count.
    pub(super) fn len(&self) -> usize {
        self.counting().count()
    }

    fn counting(&self) -> impl Iterator<Item = &Approval<'a>> {
        self.approvals.iter().filter(|approval| approval.counts)
    }

    /// Whether an approver, or a key by its id or its material, has approved already.
    pub(super) fn has(&self, approver: &str, key_id: &str, key: Option<&Key>) -> bool {
        self.approvals.iter().any(|approval| {
            same_person(approval.approver, approver)
                || approval.key_id == key_id
                || matches!((approval.key, key), (Some(a), Some(b)) if a.is_twin_of(b))
        })
    }

    /// Whether as many have approved as are asked for, whatever their groups.
    pub(super) fn reaches_threshold(&self) -> bool {
        let threshold = self.requirement.threshold as usize;
        threshold > 0 && self.len() >= threshold
    }

    /// The groups of which fewer have approved than are asked for: name, minimum, how many have.
    pub(super) fn missing_groups(&self) -> impl Iterator<Item = (&'a str, u32, usize)> {
        self.requirement.groups.iter().filter_map(|(group, minimum)| {
            let of_it = |approval: &&Approval<'_>| approval.key.is_some_and(|k| k.has_group(group));
            let have = self.counting().filter(of_it).count();
            (have < *minimum as usize).then_some((group.as_str(), *minimum, have))
        })
    }

    /// Whether everything is there that the requirement asks for.
    pub(super) fn is_complete(&self) -> bool {
        self.reaches_threshold() && self.missing_groups().next().is_none()
    }
}

/// The status that the last ballot of a record leads to.
pub(super) fn status(record: &Record, keys: &Keyring) -> Status {
    match record.ballots.last().map(|ballot| ballot.decision) {
        Some(Decision::Rejected) => Status::Rejected,
        Some(Decision::Approved) if Tally::of(record, keys).is_complete() => Status::Approved,
        _ => Status::Pending,
    }
}

/// Whether the ballots of a record, each of them, make an approval by the keys given now. It does not
/// verify their signatures.
///
/// Rejections: 1. `signature-invalid` for too few, or for a ballot that does not count
/// 2. `approver-not-allowed` for too few of a group
pub(crate) fn suffice(record: &Record, keys: &Keyring) -> Result<(), Rejection> {
    let tally = Tally::of(record, keys);
    if tally.len() != record.ballots.len() || !tally.reaches_threshold() {
        return Err(Rejection::new(
            Code::SignatureInvalid,
            format!(
                "{} of {} approvals hold in {} stored ballots",
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

/// Whether a name can be among the approvers: not the requester's, and no agent's.
pub(super) fn may_count(record: &Record, approver: &str) -> bool {
    !is_requester(record, approver) && agent_of(approver).is_none()
}

/// Whether a key may still make a ballot of that profile for that approver.
fn stands(key: &Key, ballot: &Ballot, keys: &Keyring) -> bool {
    let theirs = match ballot.profile {
        Profile::V1 => true,
        Profile::V2 => key.is_of(&ballot.approver),
    };
    theirs && key.serves(ballot.profile) && keys.revoked(key).is_none()
}

/// The key that a ballot names, if the keyring has it.
fn key_of<'k>(ballot: &Ballot, keys: &'k Keyring) -> Option<&'k Key> {
    KeyId::new(ballot.key_id.as_str()).ok().and_then(|id| keys.find(&id))
}
