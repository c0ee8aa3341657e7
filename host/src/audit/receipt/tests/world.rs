//! A log in which approvals happen: the verifier's own transitions, natively, and a tree over their
//! entries.

use std::sync::LazyLock;

use base64ct::{Base64UrlUnpadded, Encoding};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use signoff_verifier::wire;

use super::super::{Logged, assemble, choose, keys_named};
use crate::audit::checkpoint::Checkpoint;
use crate::audit::log_key::{LogKey, LogSigner};
use crate::audit::tree::{Frontier, Hash, inclusion, leaf};
use crate::engine::{Allocation, Cache};
use crate::verifier::Verifier;

pub(super) const ID: &str = "appr_01k7s2e3m8q4w6x9y0z1a2b3c4";
const EXECUTION: &str = "exec_01k7s2f7n9r5t6v8w0x1y2z3a4";
/// 2025-10-17T10:30:00Z.
pub(super) const REQUESTED: u64 = 1_760_697_000;
pub(super) const REQUESTED_AT: &str = "2025-10-17T10:30:00Z";

pub(super) static VERIFIER: LazyLock<Verifier> =
    LazyLock::new(|| Verifier::embedded(Allocation::OnDemand, &Cache::of_user()).unwrap());

/// Whose keys there are.
#[derive(Clone, Copy)]
pub(super) enum Who {
    /// Ed25519, group `sre`.
    Alice,
    /// HMAC, bound to her.
    Carol,
    /// The HMAC secret of v1, bound to nobody.
    Shared,
}

#[derive(Clone, Default)]
pub(super) struct World {
    /// The texts of the log's entries.
    pub(super) entries: Vec<String>,
    record: Option<String>,
    context: String,
    plan: Option<String>,
    pub(super) now: u64,
}

pub(super) fn signer() -> LogSigner {
    LogSigner::new("prod", &[7; 32]).unwrap()
}

pub(super) fn trusted() -> Vec<LogKey> {
    vec![signer().key().clone()]
}

impl Who {
    fn id(self) -> &'static str {
        match self {
            Self::Alice => "alice-1",
            Self::Carol => "carol-1",
            Self::Shared => "shared",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Alice => "alice@example.com",
            Self::Carol => "carol@example.com",
            Self::Shared => "dave@example.com",
        }
    }

    fn key(self, for_signing: bool) -> Value {
        let seed = [self.id().as_bytes()[0]; 32];
        let secret = SigningKey::from_bytes(&seed);
        let (algorithm, material, approver, groups): (_, [u8; 32], _, &[&str]) = match self {
            Self::Alice if for_signing => ("ed25519", seed, Some(self.name()), &["sre"]),
            Self::Alice => {
                ("ed25519", secret.verifying_key().to_bytes(), Some(self.name()), &["sre"])
            }
            Self::Carol => ("hmac-sha256", seed, Some(self.name()), &[]),
            Self::Shared => ("hmac-sha256", seed, None, &[]),
        };
        json!({
            "id": self.id(), "algorithm": algorithm, "status": "active", "use": "approve",
            "material": Base64UrlUnpadded::encode_string(&material),
            "approver": approver, "groups": groups,
        })
    }
}

impl World {
    /// A log with the keys of all, and something else before and after them.
    pub(super) fn new() -> Self {
        let mut world = Self { now: REQUESTED, ..Self::default() };
        world.note("store_created", &json!({}));
        for who in [Who::Alice, Who::Carol, Who::Shared] {
            world.record_key(who, &json!({}));
        }
        world.note("token_made", &json!({ "subject": "agent:deployer" }));
        world
    }

    /// An approval that Alice and Carol grant, and that is claimed and ends well.
    pub(super) fn story() -> Self {
        let mut world = Self::new();
        world.open(2, &json!({ "sre": 1 }));
        world.note("request_refused", &json!({ "approval_id": ID, "code": "forbidden" }));
        world.decide(Who::Alice, "approved", Some("looked at the diff"));
        world.note("token_made", &json!({ "subject": "carol@example.com" }));
        world.decide(Who::Carol, "approved", Some("fine"));
        world.claim();
        world.settle("succeeded");
        world.note("token_made", &json!({ "subject": "erin@example.com" }));
        world
    }

    /// The same log, in which somebody has another name.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        for text in self.entries.iter_mut().chain(self.record.as_mut()) {
            *text = text.replace(from, to);
        }
    }

    /// An entry that the host words.
    pub(super) fn note(&mut self, event: &str, fields: &Value) {
        let mut entry = json!({ "event": event, "actor": "system" });
        entry.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.push(&entry.to_string());
    }

    /// The entry of a key, with some members changed.
    pub(super) fn record_key(&mut self, who: Who, changed: &Value) {
        let Value::Object(mut key) = who.key(false) else { unreachable!() };
        let (id, material) = (key.remove("id").unwrap(), key.remove("material").unwrap());
        key.insert("key_id".to_owned(), id);
        key.insert("fingerprint".to_owned(), json!(hex::encode(leaf(who.id().as_bytes()))));
        if key["algorithm"] == "ed25519" {
            key.insert("public_key".to_owned(), material);
        }
        key.extend(changed.as_object().unwrap().clone());
        self.note("key_recorded", &Value::Object(key));
    }

    pub(super) fn open(&mut self, threshold: u32, groups: &Value) {
        let request = json!({
            "id": ID, "audience": "prod", "agent": "deployer", "action": "deploy",
            "reason": "release 1.2.3", "requested_by": "agent:deployer",
            "requirement": { "threshold": threshold, "groups": groups },
            "policy": "strict", "rule": "prod",
        });
        let opened = self.step("open", json!({
            "request": request.to_string(), "accept": ["v1", "v2"],
            "context": r#"{"target": "prod", "replicas": 3}"#, "plan": r#"{"steps": ["a", "b"]}"#,
        }));
        self.context = opened["context"].as_str().unwrap().to_owned();
        self.plan = opened["plan"].as_str().map(str::to_owned);
    }

    pub(super) fn decide(&mut self, who: Who, decision: &str, comment: Option<&str>) {
        let (profile, key_id) =
            if matches!(who, Who::Shared) { ("v1", "") } else { ("v2", who.id()) };
        let statement = call(
            "signing.statement",
            &json!({
                "id": ID, "approval": self.record, "decision": decision, "approver": who.name(),
                "key_id": key_id, "comment": comment.unwrap_or_default(),
            }),
        );
        let signed = call(
            "signing.sign",
            &json!({
                "statement": statement["statement"], "profile": profile, "key": who.key(true),
            }),
        );
        let ballot = json!({
            "decision": decision, "approver": who.name(), "comment": comment,
            "signature": signed["signature"],
        });
        let keys: Vec<Value> =
            [Who::Alice, Who::Carol, Who::Shared].iter().map(|who| who.key(false)).collect();
        self.step(
            "decide",
            json!({
                "ballot": ballot.to_string(), "keys": keys, "accept": ["v1", "v2"],
            }),
        );
    }

    pub(super) fn claim(&mut self) {
        let claim = json!({
            "agent": "deployer", "action": "deploy", "claimed_by": "agent:deployer",
            "execution_id": EXECUTION,
        });
        let keys: Vec<Value> =
            [Who::Alice, Who::Carol, Who::Shared].iter().map(|who| who.key(false)).collect();
        self.step("claim", json!({
            "claim": claim.to_string(), "context": self.context, "plan": self.plan, "keys": keys,
            "accept": ["v1", "v2"],
        }));
    }

    pub(super) fn settle(&mut self, outcome: &str) {
        let actor = json!({ "subject": "agent:deployer", "roles": ["executor"] });
        let outcome = json!({
            "execution_id": EXECUTION, "outcome": outcome, "detail": "exit code 0", "actor": actor,
        });
        self.step("settle", json!({ "outcome": outcome.to_string() }));
    }

    pub(super) fn withdraw(&mut self) {
        let withdrawal = json!({ "actor": { "subject": "erin@example.com", "roles": ["admin"] } });
        self.step("withdraw", json!({ "withdrawal": withdrawal.to_string() }));
    }

    pub(super) fn extend(&mut self) {
        let actor = json!({ "subject": "erin@example.com", "roles": ["admin"] });
        let extension = json!({ "expires_in_seconds": 7200, "actor": actor });
        self.step("extend", json!({ "extension": extension.to_string() }));
    }

    pub(super) fn expire(&mut self) {
        self.step("expire", json!({}));
    }

    fn step(&mut self, op: &str, mut args: Value) -> Value {
        self.now += 10;
        args["now"] = json!(self.now);
        if op != "open" {
            args["id"] = json!(ID);
            args["approval"] = json!(self.record);
        }
        let changed = call(&format!("lifecycle.{op}"), &args);
        self.record = changed["record"].as_str().map(str::to_owned);
        self.push(changed["entry"].as_str().unwrap());
        changed
    }

    /// An entry as the store writes it around an event.
    fn push(&mut self, event: &str) {
        let host = format!(r#"{{"verifier":"{}"}}"#, "ab".repeat(32));
        self.entries.push(format!(
            r#"{{"format":2,"at":"{REQUESTED_AT}","event":{event},"host":{host},"state":[]}}"#
        ));
    }

    /// The approval as the API answers it.
    pub(super) fn approval(&self) -> String {
        let shown =
            call("lifecycle.show", &json!({ "id": ID, "approval": self.record, "now": self.now }));
        let view = shown["view"].as_str().unwrap().strip_suffix('}').unwrap();
        let plan = self.plan.as_deref().unwrap_or("null");
        format!("{view},\"verifier\":\"x\",\"context\":{},\"plan\":{plan}}}", self.context)
    }

    /// The receipt, as the host makes it.
    pub(super) fn receipt(&self) -> String {
        let entries: Vec<Logged> = (1..)
            .zip(&self.entries)
            .map(|(number, text)| Logged { number, text: text.clone() })
            .collect();
        let member = |logged: &Logged, name: &str| -> Option<String> {
            let entry: Value = serde_json::from_str(&logged.text).unwrap();
            entry["event"].get(name)?.as_str().map(str::to_owned)
        };
        let about = |name: &str, value: &str| -> Vec<Logged> {
            let is_about = |logged: &&Logged| member(logged, name).as_deref() == Some(value);
            entries.iter().filter(is_about).cloned().collect()
        };
        let of_approval = about("approval_id", ID);
        let of_keys: Vec<Logged> =
            keys_named(&of_approval).iter().flat_map(|id| about("key_id", id)).collect();
        self.receipt_of(&choose(&of_approval, &of_keys))
    }

    /// A receipt of some entries.
    pub(super) fn receipt_of(&self, chosen: &[Logged]) -> String {
        let (mut tree, mut stored) = (Frontier::new(), Vec::new());
        for entry in &self.entries {
            stored.extend(tree.push(leaf(entry.as_bytes())).map(|(_, hash)| hash));
        }
        let read = |position: u64| Ok::<Hash, ()>(stored[usize::try_from(position).unwrap()]);
        let proven: Vec<(Logged, Vec<Hash>)> = chosen
            .iter()
            .map(|l| (l.clone(), inclusion(l.number - 1, tree.size(), read).unwrap()))
            .collect();
        let note = Checkpoint::of(&tree, &signer()).sign(&signer());
        assemble(&self.approval(), &proven, &note).unwrap()
    }
}

fn call(op: &str, args: &Value) -> Value {
    let request = json!({ "op": op, "args": args }).to_string();
    let mut answer: Value = serde_json::from_str(&wire::call(&request)).unwrap();
    assert!(answer.get("ok").is_some(), "{op}: {answer}");
    answer["ok"].take()
}
