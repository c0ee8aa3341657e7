//! Random histories of approvals that require several approvers, with a keyring that keeps
//! changing, compared with a model that is written without the verifier's code.
//!
//! The invariants: nothing is approved with fewer distinct people and keys than required, or fewer
//! of a group; nothing is claimed with a ballot whose key is not valid at that moment; every
//! refusal has the code that the order in `wit/lifecycle.wit` gives it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod harness;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use harness::signer::{Signer, statement, text};
use harness::{CONTEXT, EXECUTION, ID, REQUESTED, Random};
use serde_json::{Value, json};

const LIVES: u64 = 2_000;
const STEPS: usize = 14;
const TTL_SECONDS: u64 = 600;
/// Possible group requirements.
const GROUPS: &[&[(&str, usize)]] =
    &[&[], &[("sre", 1)], &[("sre", 2)], &[("sre", 1), ("security", 1)], &[("security", 2)]];
const REQUESTER: &str = "rita@company.com";

/// Every possible result of a step.
const EXPECTED_ANSWERS: &[&str] = &[
    "decide approved",
    "decide pending",
    "decide rejected",
    "decide expired",
    "decide already-decided",
    "decide self-approval",
    "decide approver-not-allowed",
    "decide already-voted",
    "decide signature-malformed",
    "decide key-unknown",
    "decide key-revoked",
    "decide key-not-yours",
    "decide signature-invalid",
    "check ok",
    "check not-approved",
    "check expired",
    "check already-executed",
    "check key-unknown",
    "check key-revoked",
    "check key-not-yours",
    "check signature-invalid",
    "check approver-not-allowed",
    "claim ok",
    "claim not-approved",
    "claim expired",
    "claim already-executed",
    "claim key-unknown",
    "claim key-revoked",
    "claim key-not-yours",
    "claim signature-invalid",
    "claim approver-not-allowed",
];

#[test]
fn random_histories_with_several_approvers_keep_the_invariants() {
    let mut seen = BTreeMap::<String, u32>::new();
    for seed in 0..LIVES {
        let mut life = Life::new(seed);
        for _ in 0..STEPS {
            *seen.entry(life.step()).or_default() += 1;
        }
    }
    // Histories in which little happens would prove little.
    for answer in EXPECTED_ANSWERS {
        assert!(seen.get(*answer).is_some_and(|times| *times > 5), "{answer} in {seen:?}");
    }
    assert_eq!(seen.len(), EXPECTED_ANSWERS.len(), "{seen:?}");
}

/// A person, and the current state of the person's key.
#[derive(Clone)]
struct Person {
    signer: Signer,
    in_ring: bool,
    revoked: bool,
    /// The name that the key is bound to, if it is not the person's.
    bound_to: Option<&'static str>,
}

/// All people, with valid keys.
static PEOPLE: LazyLock<Vec<Person>> = LazyLock::new(people);

fn people() -> Vec<Person> {
    let person = |id: &str, algorithm, secret, groups: &[&'static str]| {
        let approver = format!("{id}@company.com");
        let signer = Signer::new(id, algorithm, secret, &approver);
        let signer = Signer { groups: groups.to_vec(), ..signer };
        Person { signer, in_ring: true, revoked: false, bound_to: None }
    };
    let mut people = vec![
        person("alice", "ed25519", 1, &["sre"]),
        person("bob", "hmac-sha256", 2, &["security"]),
        person("carol", "ed25519", 3, &["sre", "security"]),
        person("dave", "hmac-sha256", 4, &[]),
        person("erin", "ed25519", 5, &["sre"]),
        // The same material as Alice's and Bob's.
        person("alia", "ed25519", 1, &["security"]),
        person("rob", "hmac-sha256", 2, &["sre"]),
        person("rita", "ed25519", 6, &["sre", "security"]),
        person("bot", "ed25519", 7, &["sre"]),
    ];
    people[8].signer.approver = "agent:bot".to_owned();
    people
}

struct Life {
    random: Random,
    now: u64,
    record: Value,
    status: &'static str,
    threshold: usize,
    groups: BTreeMap<&'static str, usize>,
    people: Vec<Person>,
    /// Indices of the people who have approved, in order.
    voted: Vec<usize>,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let threshold = 1 + random.below(3);
        let groups: BTreeMap<_, _> = random.pick(GROUPS).iter().copied().collect();
        let request = json!({
            "id": ID,
            "audience": "prod",
            "agent": "deployer",
            "action": "deploy",
            "requested_by": REQUESTER,
            "requirement": {"ttl_seconds": TTL_SECONDS, "threshold": threshold, "groups": groups},
        });
        let args = json!({"request": request.to_string(), "context": CONTEXT, "accept": ["v1", "v2"], "now": REQUESTED});
        Self {
            record: harness::call("lifecycle.open", &args).unwrap()["record"].take(),
            random,
            now: REQUESTED,
            status: "pending",
            threshold,
            groups,
            people: PEOPLE.clone(),
            voted: Vec::new(),
        }
    }

    fn step(&mut self) -> String {
        self.now += [0, 0, 1, 1, 1, 100][self.random.below(6)];
        if self.random.once_in(3) {
            self.change_keyring();
        }
        match (self.status, self.random.below(6)) {
            ("pending", 0..5) => self.decide(),
            ("approved", 0..2) => self.use_it("claim"),
            (_, 0) => self.decide(),
            (_, 1) => self.use_it("claim"),
            _ => self.use_it("check"),
        }
    }

    /// Changes the keyring at random; restores it half of the time.
    fn change_keyring(&mut self) {
        if self.random.once_in(2) {
            self.people = PEOPLE.clone();
            return;
        }
        let index = self.random.below(self.people.len());
        let person = &mut self.people[index];
        match self.random.below(9) {
            0..5 => person.in_ring = false,
            5 => person.revoked = true,
            6 => person.bound_to = Some("mallory"),
            7 => person.signer.groups = Vec::new(),
            _ => person.signer.groups = vec!["security", "sre"],
        }
    }

    fn keys(&self) -> Value {
        let entry = |person: &Person| {
            let mut entry = person.signer.entry(if person.revoked { "revoked" } else { "active" });
            if let Some(bound_to) = person.bound_to {
                entry["approver"] = bound_to.into();
            }
            entry
        };
        self.people.iter().filter(|person| person.in_ring).map(entry).collect()
    }

    fn decide(&mut self) -> String {
        let index = self.random.below(self.people.len());
        let signer = self.people[index].signer.clone();
        let decision = if self.random.once_in(12) { "rejected" } else { "approved" };
        let right = signer.sign(&statement(&harness::parsed(&self.record), &signer, decision, ""));
        let fault = match self.random.below(12) {
            0 => Some("signature-malformed"),
            1 => Some("signature-invalid"),
            _ => None,
        };
        let signature = match fault {
            Some("signature-malformed") => right[..right.len() - 1].to_owned(),
            Some(_) => text(&signer.id, &signer.raw(b"something else")),
            None => right,
        };
        let expected = self.verdict(index, decision, fault);
        let ballot =
            json!({"decision": decision, "approver": signer.approver, "signature": signature});
        let args = json!({
            "id": ID, "approval": self.record,
            "ballot": ballot.to_string(),
            "keys": self.keys(),
            "accept": ["v1", "v2"],
            "now": self.now,
        });
        let answer = harness::call("lifecycle.decide", &args);
        let context = format!("{index} {decision} {:?} {:?}", self.voted, self.groups);
        match expected {
            Some(code) => {
                assert_eq!(answer.unwrap_err(), code, "{context}");
                format!("decide {code}")
            }
            None => {
                let mut answer = answer.unwrap_or_else(|code| panic!("{context}: {code}"));
                if decision == "approved" {
                    self.voted.push(index);
                }
                self.status = match decision {
                    "rejected" => "rejected",
                    _ if self.is_complete() => "approved",
                    _ => "pending",
                };
                assert_eq!(answer["summary"]["status"], self.status, "{context}");
                self.record = answer["record"].take();
                format!("decide {}", self.status)
            }
        }
    }

    /// Returns the code that a ballot is refused with.
    fn verdict(
        &self,
        index: usize,
        decision: &str,
        fault: Option<&'static str>,
    ) -> Option<&'static str> {
        let person = &self.people[index];
        let named = person.in_ring && fault != Some("signature-malformed");
        let theirs = person.bound_to.is_none();
        let missing = self.missing();
        let reached = self.counting().count() >= self.threshold;
        let useless = decision == "approved"
            && named
            && theirs
            && reached
            && !missing.is_empty()
            && !missing.iter().any(|group| person.signer.groups.contains(group));
        let same = |other: &usize| {
            *other == index
                || (named && self.people[*other].in_ring && twins(&self.people[*other], person))
        };
        match self.effective() {
            "expired" => return Some("expired"),
            "pending" => {}
            _ => return Some("already-decided"),
        }
        [
            (person.signer.approver == REQUESTER, "self-approval"),
            (person.signer.approver.starts_with("agent:"), "approver-not-allowed"),
            (useless, "approver-not-allowed"),
            (self.voted.iter().any(same), "already-voted"),
            (fault == Some("signature-malformed"), "signature-malformed"),
            (!person.in_ring, "key-unknown"),
            (self.is_revoked(person), "key-revoked"),
            (!theirs, "key-not-yours"),
            (fault.is_some(), "signature-invalid"),
        ]
        .into_iter()
        .find_map(|(refuses, code)| refuses.then_some(code))
    }

    fn use_it(&mut self, op: &str) -> String {
        let expected = self.use_verdict();
        let mut args = json!({
            "id": ID, "approval": self.record,
            "context": CONTEXT,
            "keys": self.keys(),
            "accept": ["v1", "v2"],
            "now": self.now,
        });
        let claim = json!({"agent": "deployer", "action": "deploy", "claimed_by": "runner", "execution_id": EXECUTION});
        match op {
            "claim" => args["claim"] = claim.to_string().into(),
            _ => args["attempt"] = "{}".into(),
        }
        let answer = harness::call(&format!("lifecycle.{op}"), &args);
        let context = format!("{op} {:?} {:?}", self.voted, self.groups);
        if let Some(code) = expected {
            assert_eq!(answer.unwrap_err(), code, "{context}");
            return format!("{op} {code}");
        }
        let mut answer = answer.unwrap_or_else(|code| panic!("{context}: {code}"));
        if op == "claim" {
            self.status = "executed";
            self.record = answer["record"].take();
        }
        format!("{op} ok")
    }

    /// Returns the code that a use is refused with.
    fn use_verdict(&self) -> Option<&'static str> {
        match self.effective() {
            "approved" => {}
            "executed" => return Some("already-executed"),
            "expired" => return Some("expired"),
            _ => return Some("not-approved"),
        }
        for index in &self.voted {
            let person = &self.people[*index];
            if !person.in_ring {
                return Some("key-unknown");
            }
            if self.is_revoked(person) {
                return Some("key-revoked");
            }
            if person.bound_to.is_some() {
                return Some("key-not-yours");
            }
        }
        // Twins were admitted while the first one's key was missing, and are detected now.
        if self.counting().count() != self.voted.len() {
            return Some("signature-invalid");
        }
        (!self.missing().is_empty()).then_some("approver-not-allowed")
    }

    fn effective(&self) -> &'static str {
        match self.status {
            "pending" | "approved" if self.now >= REQUESTED + TTL_SECONDS => "expired",
            status => status,
        }
    }

    fn is_revoked(&self, person: &Person) -> bool {
        self.people.iter().any(|other| other.in_ring && other.revoked && twins(other, person))
    }

    /// Returns the people who have approved with a key that is valid now, none of them twice under
    /// two names.
    fn counting(&self) -> impl Iterator<Item = &Person> {
        let distinct = |at: &usize| {
            let person = &self.people[self.voted[*at]];
            !self.voted[..*at].iter().any(|earlier| {
                let earlier = &self.people[*earlier];
                earlier.in_ring && person.in_ring && twins(earlier, person)
            })
        };
        let people = (0..self.voted.len()).filter(distinct).map(|at| &self.people[self.voted[at]]);
        people.filter(|person| {
            person.in_ring && person.bound_to.is_none() && !self.is_revoked(person)
        })
    }

    fn missing(&self) -> Vec<&'static str> {
        let has = |group| self.counting().filter(|p| p.signer.groups.contains(group)).count();
        self.groups
            .iter()
            .filter(|(group, minimum)| has(group) < **minimum)
            .map(|(g, _)| *g)
            .collect()
    }

    fn is_complete(&self) -> bool {
        self.counting().count() >= self.threshold && self.missing().is_empty()
    }
}

fn twins(one: &Person, other: &Person) -> bool {
    one.signer.algorithm == other.signer.algorithm && one.signer.secret == other.signer.secret
}
