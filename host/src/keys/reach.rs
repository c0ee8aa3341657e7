//! Whether the approvers with a key can meet a requirement at all. The verifier decides whether they
//! did; this only says early that nobody can.

use std::fmt;

use signoff_core::person::same_person;
use signoff_core::requirement::{PartialRequirement, Requirement};

use super::entry::{Entry, Material, Status, Usage};
use super::name::Approver;
use super::set::Keys;

/// The part of a requirement that too few approvers with a key can meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// The group; `None` for approvers of any group.
    pub group: Option<String>,
    /// How many are required.
    pub required: u32,
    /// How many have a key.
    pub with_key: usize,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, required, with_key } = self;
        let approvers = if *required == 1 { "approver" } else { "approvers" };
        write!(f, "{required} {approvers}")?;
        if let Some(group) = group {
            write!(f, " of `{group}`")?;
        }
        let have = if *with_key == 1 { "has" } else { "have" };
        write!(f, ", but {with_key} {have} a key")
    }
}

impl Keys {
    /// Returns what the approvers with a key cannot meet of a requirement. The requester does not
    /// count.
    pub fn shortages(
        &self,
        accept: &[String],
        requirement: &Requirement,
        requester: Option<&str>,
    ) -> Vec<Shortage> {
        shortages(self.all(), accept, requirement, requester)
    }

    /// Returns what the approvers with a key cannot meet of a partial requirement, in words; `None`
    /// if they can, or if it is out of bounds, which is refused elsewhere.
    pub fn short_of(&self, accept: &[String], requirement: PartialRequirement) -> Option<String> {
        let requirement = requirement.complete().ok()?;
        let short = self.shortages(accept, &requirement, None);
        let short: Vec<String> = short.iter().map(ToString::to_string).collect();
        (!short.is_empty()).then(|| short.join("; "))
    }
}

/// Returns what the approvers with a key cannot meet, the number of approvers first. The requester
/// does not count.
fn shortages(
    keys: &[Entry],
    accept: &[String],
    requirement: &Requirement,
    requester: Option<&str>,
) -> Vec<Shortage> {
    let accepts = |profile: &str| accept.iter().any(|accepted| accepted == profile);
    let decides = |key: &&Entry| key.usage == Usage::Approve && key.status != Status::Revoked;
    let deciding = || keys.iter().filter(decides);
    let is_shared =
        |key: &Entry| matches!(key.material, Material::Hmac(_)) && key.approver.is_none();
    let is_simple = requirement.threshold <= 1 && requirement.groups.is_empty();
    // A shared secret signs for anybody, under `v1`, which is for one approver of any group.
    if is_simple && accepts("v1") && deciding().any(is_shared) {
        return Vec::new();
    }
    let persons = |group: Option<&str>| {
        let mut persons: Vec<&str> = Vec::new();
        for key in deciding().filter(|_| accepts("v2")) {
            let is_member =
                group.is_none_or(|group| key.groups.iter().any(|of| of.as_str() == group));
            let person = key.approver.as_ref().map(Approver::as_str).filter(|_| is_member);
            persons.extend(person.filter(|person| {
                requester.is_none_or(|requester| !same_person(person, requester))
                    && !persons.iter().any(|known| same_person(known, person))
            }));
        }
        persons.len()
    };
    let parts = std::iter::once((None, requirement.threshold))
        .chain(requirement.groups.iter().map(|(group, least)| (Some(group.as_str()), *least)));
    let short = parts.map(|(group, required)| Shortage {
        group: group.map(str::to_owned),
        required,
        with_key: persons(group),
    });
    short.filter(|short| (short.with_key as u64) < u64::from(short.required)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use zeroize::Zeroizing;

    use super::super::name::{Group, KeyId};
    use super::*;

    fn key(material: Material, approver: Option<&str>, groups: &[&str]) -> Entry {
        Entry {
            id: KeyId::new("k".to_owned()).unwrap(),
            material,
            status: Status::Active,
            usage: Usage::Approve,
            approver: approver.map(|name| Approver::parse(name).unwrap()),
            groups: groups.iter().map(|group| Group::parse(group).unwrap()).collect(),
        }
    }

    #[test]
    fn each_person_with_a_key_counts_once_and_the_requester_never() {
        let hmac = || Material::Hmac(Zeroizing::new(Vec::new()));
        let ed25519 = || Material::Ed25519 { public: [0; 32], seed: None };
        let shared = key(hmac(), None, &[]);
        let ann = key(ed25519(), Some("ann@company.com"), &["sre"]);
        let again = key(ed25519(), Some("Ann@Company.com"), &["security"]);
        let ben = key(hmac(), Some("ben@company.com"), &[]);
        let revoked = Entry { status: Status::Revoked, ..ben.clone() };
        let signer = Entry { usage: Usage::Module, ..ben.clone() };
        let both = ["v1", "v2"].map(str::to_owned);
        let short = |keys: &[&Entry], accept: &[String], threshold, groups: &[(&str, u32)], by| {
            let groups =
                groups.iter().map(|(group, least)| ((*group).to_owned(), *least)).collect();
            let requirement = Requirement { ttl_seconds: 60, threshold, groups };
            let keys: Vec<Entry> = keys.iter().map(|key| (*key).clone()).collect();
            let short = shortages(&keys, accept, &requirement, by);
            short.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        let (v1, v2) = both.split_at(1);
        assert_eq!(short(&[&shared], &both, 1, &[], None), "");
        assert_eq!(short(&[&shared], v2, 1, &[], None), "1 approver, but 0 have a key");
        assert_eq!(short(&[&shared], &both, 2, &[], None), "2 approvers, but 0 have a key");
        assert_eq!(short(&[&ann], v1, 1, &[], None), "1 approver, but 0 have a key");
        assert_eq!(short(&[&ann], &both, 1, &[], None), "");
        assert_eq!(short(&[&ann, &again], v2, 2, &[], None), "2 approvers, but 1 has a key");
        assert_eq!(short(&[&ann, &again, &ben], v2, 2, &[("sre", 1), ("security", 1)], None), "");
        let requested = Some("ANN@company.com");
        assert_eq!(short(&[&ann, &ben], v2, 1, &[], requested), "");
        assert_eq!(
            short(&[&ann, &ben], v2, 2, &[("sre", 1)], requested),
            "2 approvers, but 1 has a key; 1 approver of `sre`, but 0 have a key"
        );
        for unusable in [&revoked, &signer] {
            assert_eq!(short(&[unusable], v2, 1, &[], None), "1 approver, but 0 have a key");
        }
    }
}
