//! Random histories of approvals, compared with a small model that is written without the
//! verifier's code.
//!
//! The invariants: an approval is claimed at most once; none is approved or executed without a
//! valid signature of an approver who may decide; a finished approval never changes except for the
//! outcome of its execution; every change has exactly one audit entry, and a refusal has none.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod harness;

use std::collections::BTreeMap;

use chrono::DateTime;
use harness::{CONTEXT, ID, REQUESTED, REQUESTER, Random, SECRET};
use serde_json::{Value, json};

const LIVES: u64 = 2_000;
const STEPS: usize = 20;
const OTHER_SECRET: &str = "a secret that signed nothing in here";
const UNKNOWN_SECRET: &str = "a secret that is in no keyring at all";
const PLAN: &str = r#"{"steps": ["build", "deploy"]}"#;
const TTL_MAX: u64 = 604_800;

#[test]
fn random_histories_keep_the_invariants() {
    let mut seen = BTreeMap::<String, u32>::new();
    for seed in 0..LIVES {
        let mut life = Life::new(seed);
        for _ in 0..STEPS {
            let answer = life.step();
            *seen.entry(answer).or_default() += 1;
        }
        assert!(life.claims <= 1);
    }
    // Histories in which little happens would prove little.
    for answer in EXPECTED_ANSWERS {
        assert!(seen.get(*answer).is_some_and(|times| *times > 20), "{answer} in {seen:?}");
    }
    assert_eq!(seen.len(), EXPECTED_ANSWERS.len(), "{seen:?}");
}

/// Every possible result of a step.
const EXPECTED_ANSWERS: &[&str] = &[
    "decide ok",
    "decide expired",
    "decide already-decided",
    "decide self-approval",
    "decide approver-not-allowed",
    "decide statement-ambiguous",
    "decide signature-malformed",
    "decide signature-invalid",
    "decide key-unknown",
    "decide key-revoked",
    "check ok",
    "check expired",
    "check not-approved",
    "check already-executed",
    "check key-unknown",
    "check key-revoked",
    "check signature-invalid",
    "check agent-mismatch",
    "check action-mismatch",
    "check context-mismatch",
    "check plan-mismatch",
    "claim ok",
    "claim expired",
    "claim not-approved",
    "claim already-executed",
    "claim key-unknown",
    "claim key-revoked",
    "claim signature-invalid",
    "claim agent-mismatch",
    "claim action-mismatch",
    "claim context-mismatch",
    "claim plan-mismatch",
    "settle ok",
    "settle nothing",
    "settle execution-mismatch",
    "settle forbidden",
    "settle already-settled",
    "expire ok",
    "expire nothing",
    "withdraw ok",
    "withdraw forbidden",
    "withdraw expired",
    "withdraw already-decided",
    "withdraw already-executed",
    "void ok",
    "void forbidden",
    "void expired",
    "void already-decided",
    "void already-executed",
    "settle already-erased",
    "erase ok",
    "erase forbidden",
    "erase not-final",
    "erase already-erased",
    "extend ok",
    "extend forbidden",
    "extend expired",
    "extend already-decided",
    "extend already-executed",
    "extend request-invalid",
    "extend limit-exceeded",
    "show ok",
];

/// An approval as stored and as the model expects it.
struct Life {
    random: Random,
    now: u64,
    record: Value,
    model: Model,
    plan: Option<&'static str>,
    claims: u32,
}

#[derive(Clone, Debug, PartialEq)]
struct Model {
    status: &'static str,
    expires_at: u64,
    execution: Option<Execution>,
    erased: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Execution {
    id: String,
    claimed_by: &'static str,
    lease_expires_at: u64,
    outcome: &'static str,
    late: bool,
}

/// The model's expectation of a step: a change, no change, or a refusal.
type Expected = Result<Option<Model>, &'static str>;

impl Life {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let ttl_seconds = *random.pick(&[30, 60, 600, TTL_MAX]);
        let plan = random.once_in(3).then_some(PLAN);
        Self {
            random,
            now: REQUESTED,
            record: harness::open(ttl_seconds, plan)["record"].take(),
            model: Model {
                status: "pending",
                expires_at: REQUESTED + ttl_seconds,
                execution: None,
                erased: false,
            },
            plan,
            claims: 0,
        }
    }

    /// Takes a step, compares the answer with the model, and returns the result.
    fn step(&mut self) -> String {
        self.let_time_pass();
        // Half of the time, pick the operation meant for this status.
        let useful = self.random.once_in(2);
        let (op, args, expected) = match (self.effective(), self.random.below(8)) {
            ("pending", 0..6) if useful => self.decide(),
            ("approved", 0..3) if useful => self.check(),
            ("approved", 3..6) if useful => self.claim(),
            ("executed", 0..6) if useful => self.settle(),
            (_, 0) => self.decide(),
            (_, 1) => self.check(),
            (_, 2) => self.claim(),
            (_, 3) => self.settle(),
            (_, 4) => self.expire(),
            (_, 5) => match self.random.below(6) {
                0 | 1 => self.withdraw(),
                2 => self.void(),
                3 | 4 => self.erase(),
                _ => ("show", json!({}), Ok(None)),
            },
            (_, 6) => self.extend(),
            _ => ("show", json!({}), Ok(None)),
        };
        let answer = self.call(op, args);
        let context = format!("{op} at {}: {:?}", self.now, self.model);
        match expected {
            Err(code) => {
                assert_eq!(answer.as_ref().unwrap_err(), code, "{context}");
                format!("{op} {code}")
            }
            Ok(None) => {
                let answer = answer.unwrap_or_else(|code| panic!("{context}: {code}"));
                assert!(answer["record"].is_null() && answer["entry"].is_null(), "{context}");
                let shows = matches!(op, "check" | "show");
                if shows {
                    assert_eq!(answer["summary"]["status"], self.effective(), "{context}");
                }
                format!("{op} {}", if shows { "ok" } else { "nothing" })
            }
            Ok(Some(next)) => {
                let answer = answer.unwrap_or_else(|code| panic!("{context}: {code}"));
                self.change(op, &answer, next);
                format!("{op} ok")
            }
        }
    }

    /// Advances mostly a little, sometimes to a boundary, and occasionally backwards.
    fn let_time_pass(&mut self) {
        let lease =
            self.model.execution.as_ref().map_or(self.model.expires_at, |e| e.lease_expires_at);
        self.now = match self.random.below(80) {
            0 => self.model.expires_at,
            1..3 => self.model.expires_at - 1,
            3 => lease,
            4 => lease - 1,
            5..7 => self.now - 1,
            7 => self.now + 100,
            8..16 => self.now + 1,
            _ => self.now,
        };
    }

    fn effective(&self) -> &'static str {
        match self.model.status {
            "pending" | "approved" if self.now >= self.model.expires_at => "expired",
            status => status,
        }
    }

    fn call(&mut self, op: &str, mut args: Value) -> Result<Value, String> {
        args["id"] = ID.into();
        args["approval"] = self.record.clone();
        args["now"] = self.now.into();
        harness::call(&format!("lifecycle.{op}"), &args)
    }

    /// Stores a change after checking everything that must hold for every change.
    fn change(&mut self, op: &str, answer: &Value, next: Model) {
        let (before, after) = (harness::parsed(&self.record), harness::parsed(&answer["record"]));
        let entry = harness::parsed(&answer["entry"]);
        assert_ne!(before, after, "an entry without a change");
        assert_eq!(entry["from"], before["status"]);
        assert_eq!(entry["to"], after["status"]);
        assert_eq!(entry["at"], rfc3339(self.now));
        assert_eq!(answer["summary"]["status"], after["status"]);
        let shown = json!({"id": ID, "approval": answer["record"], "now": self.now});
        let shown = harness::call("lifecycle.show", &shown).unwrap();
        assert_eq!(answer["view"], shown["view"], "{op}");

        assert_eq!(after["status"], next.status, "{op}");
        assert_eq!(after["expires_at"], rfc3339(next.expires_at), "{op}");
        let execution = &after["execution"];
        match &next.execution {
            None => assert!(execution.is_null(), "{op}"),
            Some(expected) => {
                assert_eq!(execution["id"], expected.id, "{op}");
                assert_eq!(execution["claimed_by"], expected.claimed_by, "{op}");
                assert_eq!(
                    execution["lease_expires_at"],
                    rfc3339(expected.lease_expires_at),
                    "{op}"
                );
                assert_eq!(execution["outcome"], expected.outcome, "{op}");
                assert_eq!(execution["late"], expected.late, "{op}");
            }
        }
        if op == "erase" {
            self.only_the_texts_went(before, &after);
        } else if matches!(self.model.status, "rejected" | "executed" | "expired" | "withdrawn") {
            only_the_outcome_changed(before, after.clone());
        }
        if matches!(next.status, "approved" | "executed") {
            self.is_signed(&after);
        }
        self.claims += u32::from(op == "claim");
        self.record = answer["record"].clone();
        self.model = next;
    }

    /// Checks for one ballot, signed with the secret, of an approver who may decide.
    fn is_signed(&self, record: &Value) {
        let ballots = record["ballots"].as_array().unwrap();
        assert_eq!(ballots.len(), 1);
        let approver = ballots[0]["approver"].as_str().unwrap();
        assert!(["alice", "bob"].contains(&approver), "{approver}");
        assert_eq!(ballots[0]["decision"], "approved");
        assert_eq!(
            ballots[0]["signature"],
            harness::sign(SECRET, ID, "approved", approver, self.model.expires_at)
        );
    }

    fn decide(&mut self) -> (&'static str, Value, Expected) {
        let people =
            ["alice", "alice", "bob", "bob", "bob", REQUESTER, "deployer", "agent:other", "a:b"];
        let approver = *self.random.pick(&people);
        let decision = *self.random.pick(&["approved", "approved", "approved", "rejected"]);
        let expires_at = self.model.expires_at;
        let right = harness::sign(SECRET, ID, decision, approver, expires_at);
        let other = if decision == "approved" { "rejected" } else { "approved" };
        let signature = match self.random.below(10) {
            0 => right.to_uppercase(),
            1 => harness::sign(SECRET, ID, other, approver, expires_at),
            2 => harness::sign(SECRET, ID, decision, "carol", expires_at),
            3 => harness::sign(SECRET, ID, decision, approver, expires_at + 1),
            4 => harness::sign(UNKNOWN_SECRET, ID, decision, approver, expires_at),
            _ => right.clone(),
        };
        let (keys, trouble) = self.keys();
        let ballot = json!({"decision": decision, "approver": approver, "signature": signature});
        let expected = match self.effective() {
            "expired" => Err("expired"),
            "pending" if [REQUESTER, "deployer"].contains(&approver) => Err("self-approval"),
            "pending" if approver.starts_with("agent:") => Err("approver-not-allowed"),
            "pending" if approver.contains(':') => Err("statement-ambiguous"),
            "pending" if signature == right.to_uppercase() => Err("signature-malformed"),
            "pending" if trouble == Some("key-unknown") => Err("key-unknown"),
            "pending" if signature != right => Err("signature-invalid"),
            "pending" => trouble
                .map_or_else(|| Ok(Some(Model { status: decision, ..self.model.clone() })), Err),
            _ => Err("already-decided"),
        };
        ("decide", json!({"ballot": ballot.to_string(), "keys": keys, "accept": ["v1"]}), expected)
    }

    /// Returns a keyring, and the code that it causes for a valid signature.
    fn keys(&mut self) -> (Value, Option<&'static str>) {
        match self.random.below(12) {
            0 => (json!([]), Some("key-unknown")),
            1 => (json!([harness::key("k", SECRET, "revoked")]), Some("key-revoked")),
            2 => (json!([harness::key("k", OTHER_SECRET, "active")]), Some("signature-invalid")),
            3 => (json!([harness::key("k", SECRET, "verify-only")]), None),
            _ => (
                json!([
                    harness::key("other", OTHER_SECRET, "active"),
                    harness::key("k", SECRET, "active")
                ]),
                None,
            ),
        }
    }

    fn check(&mut self) -> (&'static str, Value, Expected) {
        let (names, context, plan, mismatch) = self.attempt();
        let (keys, trouble) = self.keys();
        let args = json!({"attempt": names.to_string(), "context": context, "plan": plan, "keys": keys, "accept": ["v1"]});
        // A plan that is not given is not compared.
        let mismatch = mismatch.filter(|code| *code != "plan-mismatch" || plan.is_some());
        let expected = self.use_refusal().or(trouble).or(mismatch).map_or(Ok(None), Err);
        ("check", args, expected)
    }

    fn claim(&mut self) -> (&'static str, Value, Expected) {
        let (mut claim, context, plan, mismatch) = self.attempt();
        let (keys, trouble) = self.keys();
        let lease_seconds = *self.random.pick(&[1, 5, 50]);
        let claimed_by = *self.random.pick(&["runner-1", "runner-2"]);
        let id = format!("exec_{:026}", self.random.below(3));
        claim["claimed_by"] = claimed_by.into();
        claim["execution_id"] = id.clone().into();
        claim["lease_seconds"] = lease_seconds.into();
        let args = json!({"claim": claim.to_string(), "context": context, "plan": plan, "keys": keys, "accept": ["v1"]});
        let execution = Execution {
            id,
            claimed_by,
            lease_expires_at: self.now + lease_seconds,
            outcome: "claimed",
            late: false,
        };
        let next = Model { status: "executed", execution: Some(execution), ..self.model.clone() };
        let refusal = self.use_refusal().or(trouble).or(mismatch);
        ("claim", args, refusal.map_or(Ok(Some(next)), Err))
    }

    /// Returns an attempt, and the code of its first mismatch with what was approved.
    fn attempt(&mut self) -> (Value, &'static str, Option<&'static str>, Option<&'static str>) {
        let right = json!({"agent": "deployer", "action": "deploy"});
        let (plan, other_plan) = match self.plan {
            Some(plan) => (Some(plan), None),
            None => (None, Some(PLAN)),
        };
        match self.random.below(12) {
            0 => (
                json!({"agent": "other", "action": "other"}),
                "{}",
                other_plan,
                Some("agent-mismatch"),
            ),
            1 => (
                json!({"agent": "deployer", "action": "other"}),
                "{}",
                other_plan,
                Some("action-mismatch"),
            ),
            2 => (
                right,
                r#"{"target": "prod", "replicas": 3.0}"#,
                other_plan,
                Some("context-mismatch"),
            ),
            3 => (right, CONTEXT, other_plan, Some("plan-mismatch")),
            4 => (right, r#"{"replicas":3,"target":"prod"}"#, plan, None),
            _ => (right, CONTEXT, plan, None),
        }
    }

    /// Returns the code that the status alone refuses a use with.
    fn use_refusal(&self) -> Option<&'static str> {
        match self.effective() {
            "approved" => None,
            "executed" => Some("already-executed"),
            "expired" => Some("expired"),
            _ => Some("not-approved"),
        }
    }

    fn settle(&mut self) -> (&'static str, Value, Expected) {
        let outcome = *self.random.pick(&["succeeded", "failed"]);
        let id = format!("exec_{:026}", self.random.below(3));
        let (subject, role) = *self.random.pick(&[
            ("runner-1", "executor"),
            ("runner-2", "executor"),
            ("root", "admin"),
            ("alice", "approver"),
        ]);
        // Half of the reports are about the right execution.
        let id = match &self.model.execution {
            Some(execution) if self.random.once_in(2) => execution.id.clone(),
            _ => id,
        };
        let report = json!({"execution_id": id, "outcome": outcome, "actor": {"subject": subject, "roles": [role]}});
        let expected = match self.model.execution.clone() {
            None => Err("execution-mismatch"),
            Some(execution) if execution.id != id => Err("execution-mismatch"),
            Some(execution) if role != "admin" && subject != execution.claimed_by => {
                Err("forbidden")
            }
            Some(execution) if execution.outcome == outcome => Ok(None),
            Some(_) if self.model.erased => Err("already-erased"),
            Some(execution) if ["succeeded", "failed"].contains(&execution.outcome) => {
                Err("already-settled")
            }
            Some(execution) => {
                let late = execution.outcome == "unknown" || self.now >= execution.lease_expires_at;
                let settled = Execution { outcome, late, ..execution };
                Ok(Some(Model { execution: Some(settled), ..self.model.clone() }))
            }
        };
        ("settle", json!({"outcome": report.to_string()}), expected)
    }

    fn expire(&mut self) -> (&'static str, Value, Expected) {
        let mut next = self.model.clone();
        if self.effective() == "expired" {
            next.status = "expired";
        }
        if let Some(execution) = &mut next.execution
            && execution.outcome == "claimed"
            && self.now >= execution.lease_expires_at
        {
            execution.outcome = "unknown";
        }
        let changed = (next != self.model).then_some(next);
        ("expire", json!({}), Ok(changed))
    }

    /// Returns an actor, and whether it is the requester or has a role that counts.
    fn actor(&mut self) -> (Value, bool, bool) {
        let (subject, roles, requester, trusted): (&str, &[&str], _, _) = match self.random.below(6)
        {
            0 => (REQUESTER, &["requester"], true, false),
            1 => (REQUESTER, &["admin"], true, true),
            2 => ("runner-1", &["executor", "auditor", "policy", "requester"], false, false),
            3 => ("alice", &["approver"], false, true),
            _ => ("root", &["admin", "auditor"], false, true),
        };
        (json!({"subject": subject, "roles": roles}), requester, trusted)
    }

    fn withdraw(&mut self) -> (&'static str, Value, Expected) {
        let (actor, requester, trusted) = self.actor();
        let expected = match self.effective() {
            _ if !requester && !trusted => Err("forbidden"),
            "pending" | "approved" => Ok(Some(Model { status: "withdrawn", ..self.model.clone() })),
            "expired" => Err("expired"),
            "executed" => Err("already-executed"),
            _ => Err("already-decided"),
        };
        ("withdraw", json!({"withdrawal": json!({"actor": actor}).to_string()}), expected)
    }

    fn void(&mut self) -> (&'static str, Value, Expected) {
        let (actor, ..) = self.actor();
        let admin = actor["roles"].as_array().unwrap().contains(&"admin".into());
        let expected = match self.effective() {
            _ if !admin => Err("forbidden"),
            "pending" | "approved" => Ok(Some(Model { status: "expired", ..self.model.clone() })),
            "expired" => Err("expired"),
            "executed" => Err("already-executed"),
            _ => Err("already-decided"),
        };
        ("void", json!({"actor": actor.to_string()}), expected)
    }

    fn erase(&mut self) -> (&'static str, Value, Expected) {
        let (actor, ..) = self.actor();
        let admin = actor["roles"].as_array().unwrap().contains(&"admin".into());
        let mut next = Model { status: self.effective(), erased: true, ..self.model.clone() };
        let mut running = false;
        if let Some(execution) = &mut next.execution
            && execution.outcome == "claimed"
        {
            execution.outcome = "unknown";
            running = self.now < execution.lease_expires_at;
        }
        let expected = match next.status {
            _ if !admin => Err("forbidden"),
            "pending" | "approved" => Err("not-final"),
            _ if running => Err("not-final"),
            _ if self.model.erased => Err("already-erased"),
            _ => Ok(Some(next)),
        };
        ("erase", json!({"actor": actor.to_string()}), expected)
    }

    /// Checks that an erasure changes nothing but the texts, and stores the effective state.
    fn only_the_texts_went(&self, before: Value, after: &Value) {
        let shown = json!({"id": ID, "approval": before.to_string(), "now": self.now});
        let shown = harness::parsed(&harness::call("lifecycle.show", &shown).unwrap()["view"]);
        let mut expected = before;
        expected["status"] = shown["status"].clone();
        expected["reason"] = Value::Null;
        for ballot in expected["ballots"].as_array_mut().unwrap() {
            ballot["comment"] = Value::Null;
        }
        if let Some(execution) = expected["execution"].as_object_mut() {
            execution["detail"] = Value::Null;
            execution["outcome"] = shown["execution"]["outcome"].clone();
        }
        expected["erased"] =
            json!({"at": rfc3339(self.now), "request_digest": shown["request_digest"]});
        assert_eq!(*after, expected);
    }

    fn extend(&mut self) -> (&'static str, Value, Expected) {
        let (actor, requester, trusted) = self.actor();
        let seconds = *self.random.pick(&[1, 20, 700, TTL_MAX - 50, TTL_MAX]);
        let expires_at = self.now + seconds;
        let expected = match self.effective() {
            _ if requester || !trusted => Err("forbidden"),
            "expired" => Err("expired"),
            "executed" => Err("already-executed"),
            "pending" if expires_at <= self.model.expires_at => Err("request-invalid"),
            "pending" if expires_at > REQUESTED + TTL_MAX => Err("limit-exceeded"),
            "pending" => Ok(Some(Model { expires_at, ..self.model.clone() })),
            _ => Err("already-decided"),
        };
        let extension = json!({"expires_in_seconds": seconds, "actor": actor});
        ("extend", json!({"extension": extension.to_string()}), expected)
    }
}

fn only_the_outcome_changed(mut before: Value, mut after: Value) {
    for record in [&mut before, &mut after] {
        let execution = record["execution"].as_object_mut().unwrap();
        for field in ["outcome", "detail", "settled_at", "late"] {
            execution.remove(field);
        }
    }
    assert_eq!(before, after);
}

fn rfc3339(seconds: u64) -> String {
    let moment = DateTime::from_timestamp(seconds.try_into().unwrap(), 0).unwrap();
    moment.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
