//! A log that contains an approval: the verifier's own transitions, and a tree over their entries.

use std::collections::BTreeMap;

use base64ct::{Base64UrlUnpadded, Encoding};
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use signoff_core::fingerprint::fingerprint;
use signoff_core::log::checkpoint::Checkpoint;
use signoff_core::log::key::{LogKey, origin};
use signoff_core::log::note;
use signoff_core::log::tree::{Frontier, Hash, inclusion, leaf};

use crate::harness::signer::{self, Signer};
use crate::harness::{self, CONTEXT, EXECUTION, ID, REQUESTED, SECRET};

pub(crate) const AUDIENCE: &str = "prod";
/// The members of an approval that a receipt has.
const SHOWN: [&str; 18] = [
    "id",
    "audience",
    "status",
    "agent",
    "action",
    "context_hash",
    "plan_hash",
    "reason",
    "requested_by",
    "requested_at",
    "expires_at",
    "requirement",
    "policy",
    "rule",
    "ballots",
    "execution",
    "withdrawn_at",
    "withdrawn_by",
];

/// The log's entries, and the number of the entry that last wrote each row.
#[derive(Clone, Default)]
struct Log {
    texts: Vec<String>,
    rows: BTreeMap<String, u64>,
}

#[derive(Clone)]
pub(crate) struct World {
    log: Log,
    /// Numbers of the approval's steps and of the keys' entries.
    steps: Vec<u64>,
    keys: Vec<(String, u64)>,
    pub(crate) people: Vec<Signer>,
    /// The status of each person's key.
    pub(crate) status: BTreeMap<String, String>,
    pub(crate) record: Value,
    pub(crate) now: u64,
}

impl Log {
    fn add(&mut self, event: &str, kind: &str, id: &str, at: u64) -> u64 {
        let number = self.texts.len() as u64 + 1;
        let prev = self.rows.insert(format!("{kind} {id}"), number).unwrap_or(0);
        let (row, at) = (hex::encode(leaf(event.as_bytes())), rfc3339(at));
        self.texts.push(format!(
            r#"{{"format":2,"at":"{at}","event":{event},"host":{{"verifier":"x"}},"state":[{{"kind":"{kind}","id":"{id}","sha256":"{row}","prev":{prev}}}]}}"#
        ));
        number
    }
}

impl World {
    /// Creates a log with the keys of all people and a pending approval with this requirement.
    pub(crate) fn new(people: Vec<Signer>, requirement: &Value) -> Self {
        let mut world = Self {
            log: Log::default(),
            steps: Vec::new(),
            keys: Vec::new(),
            people: Vec::new(),
            status: BTreeMap::new(),
            record: Value::Null,
            now: REQUESTED,
        };
        for person in people {
            world.record_key(&person, "active");
            world.people.push(person);
        }
        let request = json!({
            "id": ID, "audience": AUDIENCE, "agent": "deployer", "action": "deploy", "reason": "release",
            "requested_by": "agent:deployer", "requirement": requirement,
        });
        let args =
            json!({"request": request.to_string(), "context": CONTEXT, "accept": ["v1", "v2"]});
        world.run("open", args).unwrap();
        world
    }

    /// Records a person's key with a new status.
    pub(crate) fn record_key(&mut self, person: &Signer, status: &str) {
        self.status.insert(person.id.clone(), status.to_owned());
        let mut event = json!({
            "event": "key_recorded", "actor": "system", "key_id": person.id,
            "algorithm": person.algorithm, "status": status, "use": "approve",
            "approver": (person.id != "shared").then_some(&person.approver),
            "groups": person.groups, "fingerprint": fingerprint(&person.material),
        });
        if person.algorithm == "ed25519" {
            event["public_key"] = Base64UrlUnpadded::encode_string(&person.material).into();
        }
        let number = self.log.add(&event.to_string(), "key", &person.id, self.now);
        self.keys.push((person.id.clone(), number));
    }

    pub(crate) fn decide(&mut self, index: usize, decision: &str) -> Result<(), String> {
        let person = self.people[index].clone();
        let record = harness::parsed(&self.record);
        let comment = (person.algorithm == "ed25519").then_some("looked at the diff");
        let expires_at = seconds(&record["expires_at"]);
        let signature = if person.id == "shared" {
            harness::sign(SECRET, ID, decision, &person.approver, expires_at)
        } else {
            let comment = comment.unwrap_or_default();
            person.sign(&signer::statement(&record, &person, decision, comment))
        };
        let ballot = json!({
            "decision": decision, "approver": person.approver, "comment": comment,
            "signature": signature,
        });
        let args = json!({
            "ballot": ballot.to_string(), "keys": self.ring(), "accept": ["v1", "v2"],
        });
        self.run("decide", args)
    }

    pub(crate) fn claim(&mut self) -> Result<(), String> {
        let claim = json!({
            "agent": "deployer", "action": "deploy", "claimed_by": "agent:deployer",
            "execution_id": EXECUTION,
        });
        let args = json!({
            "claim": claim.to_string(), "context": CONTEXT, "keys": self.ring(),
            "accept": ["v1", "v2"],
        });
        self.run("claim", args)
    }

    /// Runs an operation of an admin with this event.
    pub(crate) fn admin(&mut self, op: &str, mut event: Value) -> Result<(), String> {
        let actor = json!({"subject": "erin@example.com", "roles": ["admin"]});
        let (name, event) = match op {
            "void" | "erase" => ("actor", actor),
            _ => {
                event["actor"] = actor;
                (
                    if op == "settle" {
                        "outcome"
                    } else if op == "extend" {
                        "extension"
                    } else {
                        "withdrawal"
                    },
                    event,
                )
            }
        };
        self.run(op, json!({ name: event.to_string() }))
    }

    /// Runs an operation and logs what it changed.
    pub(crate) fn run(&mut self, op: &str, mut args: Value) -> Result<(), String> {
        args["now"] = self.now.into();
        if op != "open" {
            args["id"] = ID.into();
            args["approval"] = self.record.clone();
        }
        let changed = harness::call(&format!("lifecycle.{op}"), &args)?;
        if changed["record"].is_null() {
            return Ok(());
        }
        self.record = changed["record"].clone();
        let entry = changed["entry"].as_str().unwrap();
        self.steps.push(self.log.add(entry, "approval", ID, self.now));
        Ok(())
    }

    fn ring(&self) -> Vec<Value> {
        let entry = |person: &Signer| {
            let mut entry = person.entry(&self.status[&person.id]);
            if person.id == "shared" {
                entry["approver"] = Value::Null;
                entry["material"] = Base64UrlUnpadded::encode_string(SECRET.as_bytes()).into();
            }
            entry
        };
        self.people.iter().map(entry).collect()
    }

    /// Returns the receipt as a host builds it.
    pub(crate) fn receipt(&self) -> String {
        let record = harness::parsed(&self.record);
        let mut approval: serde_json::Map<String, Value> =
            SHOWN.iter().map(|name| ((*name).to_owned(), record[*name].clone())).collect();
        let erased_at = record["erased"]["at"].clone();
        let context = if erased_at.is_null() { CONTEXT } else { "null" };
        let context: Value = serde_json::from_str(context).unwrap();
        approval.insert("context".to_owned(), context);
        approval.insert("erased_at".to_owned(), erased_at);
        approval.insert("plan".to_owned(), Value::Null);
        let digest = match record["erased"]["request_digest"].as_str() {
            Some(digest) => digest.to_owned(),
            None => signer::request_digest(&record),
        };
        approval.insert("request_digest".to_owned(), digest.into());
        let mut named = Vec::new();
        for ballot in approval["ballots"].as_array_mut().unwrap() {
            let key_id = ballot["key_id"].as_str().unwrap().to_owned();
            let person = self.people.iter().find(|person| person.id == key_id).unwrap();
            if person.algorithm != "ed25519" {
                ballot["comment"] = Value::Null;
            }
            named.push(key_id);
        }
        if let Some(execution) = approval["execution"].as_object_mut() {
            execution.remove("lease_expires_at");
            execution.remove("detail");
        }
        let of_keys = self.keys.iter().filter(|(id, _)| named.contains(id)).map(|(_, n)| *n);
        let mut numbers: Vec<u64> = self.steps.iter().copied().chain(of_keys).collect();
        numbers.sort_unstable();
        let mut tree = Frontier::new();
        let stored: Vec<Hash> = (self.log.texts.iter())
            .flat_map(|text| tree.push(leaf(text.as_bytes())))
            .map(|(_, hash)| hash)
            .collect();
        let read = |position: u64| Ok::<_, ()>(stored[usize::try_from(position).unwrap()]);
        let line = |number: u64| {
            let proof = inclusion(number - 1, tree.size(), read).unwrap();
            let proof: Vec<String> = proof.iter().map(hex::encode).collect();
            let text = &self.log.texts[usize::try_from(number).unwrap() - 1];
            json!({"number": number, "entry": text, "proof": proof})
        };
        let entries: Vec<Value> = numbers.into_iter().map(line).collect();
        json!({
            "format": 2, "kind": "signoff-receipt", "audience": AUDIENCE, "approval": approval,
            "entries": entries, "checkpoint": signed(&Checkpoint::of(&tree, &origin(AUDIENCE))),
        })
        .to_string()
    }
}

/// The key of the log.
pub(crate) fn log_key() -> LogKey {
    let public = SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes();
    LogKey::new(&origin(AUDIENCE), &public).unwrap()
}

fn signed(checkpoint: &Checkpoint) -> String {
    let text = checkpoint.text();
    let signature = SigningKey::from_bytes(&[7; 32]).sign(text.as_bytes());
    note::signed(&text, &log_key(), &signature.to_bytes())
}

pub(crate) fn people() -> Vec<Signer> {
    let mut alice = Signer::new("alice", "ed25519", 1, "alice@example.com");
    alice.groups = vec!["sre"];
    let bob = Signer::new("bob", "hmac-sha256", 2, "bob@example.com");
    let carol = Signer::new("carol", "ed25519", 3, "carol@example.com");
    // The shared secret of v1, bound to no approver.
    let shared = Signer::new("shared", "hmac-sha256", 4, "dave@example.com");
    vec![alice, bob, carol, shared]
}

fn rfc3339(seconds: u64) -> String {
    let moment = chrono::DateTime::from_timestamp(seconds.try_into().unwrap(), 0).unwrap();
    moment.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

fn seconds(text: &Value) -> u64 {
    let moment = chrono::DateTime::parse_from_rfc3339(text.as_str().unwrap()).unwrap();
    moment.timestamp().try_into().unwrap()
}
