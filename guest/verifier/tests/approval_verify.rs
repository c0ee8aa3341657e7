//! `approval.verify`: each rule with what it refuses, and the order of the rejections.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod harness;

use harness::shown::{PLAN, POLICY, approved, approvers, executed, question, view};
use harness::signer::{Signer, request_digest, statement};
use harness::{EXECUTION, ID, REQUESTED};
use serde_json::{Value, json};

const OTHER_EXECUTION: &str = "exec_01k7s2f7n9r5t6v8w0x1y2z3a5";

fn verify(question: &Value) -> Result<Value, String> {
    harness::call("approval.verify", question)
}

/// A request about an approval, with the view as a value that tests change.
struct Case {
    view: Value,
    question: Value,
}

impl Case {
    fn new() -> Self {
        Self::of(&approved(&approvers()))
    }

    fn executed() -> Self {
        let keys: Vec<Value> = approvers().iter().map(|signer| signer.entry("active")).collect();
        let mut case = Self::of(&executed(&approved(&approvers()), &keys.into()));
        case.question["attempt"]["execution_id"] = EXECUTION.into();
        case
    }

    fn of(record: &Value) -> Self {
        let view = view(record);
        Self { question: question(&view), view }
    }

    fn answer(&self) -> Result<Value, String> {
        let mut question = self.question.clone();
        question["approval"] = self.view.to_string().into();
        verify(&question)
    }

    /// Signs the view again after a change, as honest approvers would have signed it.
    fn sign_anew(&mut self) {
        let mut record = self.view.clone();
        record["format"] = 1.into();
        self.view["request_digest"] = request_digest(&record).into();
        for (index, signer) in approvers().iter().enumerate() {
            let comment = self.view["ballots"][index]["comment"].as_str().unwrap_or_default();
            let signature = signer.sign(&statement(&record, signer, "approved", comment));
            self.view["ballots"][index]["signature"] = signature.into();
        }
    }
}

fn expected_answer() -> Value {
    let case = Case::new();
    json!({
        "approval_id": ID,
        "request_digest": case.view["request_digest"],
        "requested_by": "rita@company.com",
        "requested_at": "2025-10-17T10:30:00Z",
        "expires_at": "2025-10-17T11:30:00Z",
        "requirement": {"ttl_seconds": 3600, "threshold": 2, "groups": {"sre": 1, "security": 1}},
        "policy": POLICY,
        "rule": "production",
        "context": r#"{"replicas": 3, "target": "prod"}"#,
        "plan": PLAN,
        "approvers": [
            {"approver": "alice@company.com", "key_id": "alice", "groups": ["sre", "lead"], "profile": "v2", "algorithm": "ed25519"},
            {"approver": "bob@company.com", "key_id": "bob", "groups": ["security"], "profile": "v2", "algorithm": "hmac-sha256"},
        ],
    })
}

#[test]
fn an_approval_as_shown_is_verified_without_its_record() {
    let case = Case::new();
    assert_eq!(case.answer(), Ok(expected_answer()));
    // Also with the objects themselves, and with the attempt as a text.
    let mut other = case.question.clone();
    other["approval"] = case.view;
    assert_eq!(verify(&other), Ok(expected_answer()));
    other["attempt"] = other["attempt"].to_string().into();
    assert_eq!(verify(&other), Ok(expected_answer()));
}

#[test]
fn unsigned_members_and_the_order_of_ballots_do_not_matter() {
    let mut case = Case::new();
    case.view["ballots"].as_array_mut().unwrap().reverse();
    case.view["ballots"][0]["cast_at"] = "2020-01-01T00:00:00Z".into();
    for member in ["approver", "comment", "decided_at", "replayed", "verifier", "withdrawn_by"] {
        case.view[member] = json!(["anything"]);
    }
    for member in ["context", "plan", "request_digest", "signature", "execution"] {
        case.view.as_object_mut().unwrap().remove(member);
    }
    assert_eq!(case.answer(), Ok(expected_answer()));
}

#[test]
fn an_execution_passes_while_claimed_and_within_its_lease() {
    let case = Case::executed();
    assert_eq!(case.answer(), Ok(expected_answer()));
    let lease_ends = REQUESTED + 2 + 300;
    for (name, code, change) in [
        (
            "no execution named",
            "already-executed",
            (|case: &mut Case| {
                case.question["attempt"].as_object_mut().unwrap().remove("execution_id");
            }) as fn(&mut Case),
        ),
        ("another execution", "execution-mismatch", |case| {
            case.question["attempt"]["execution_id"] = OTHER_EXECUTION.into();
        }),
        ("succeeded", "already-executed", |case| {
            case.view["execution"]["outcome"] = "succeeded".into();
        }),
        ("failed", "already-executed", |case| {
            case.view["execution"]["outcome"] = "failed".into();
        }),
        ("unknown", "already-executed", |case| {
            case.view["execution"]["outcome"] = "unknown".into();
        }),
        ("claimed too late", "expired", |case| {
            case.view["execution"]["claimed_at"] = case.view["expires_at"].clone();
            case.view["execution"]["lease_expires_at"] = "2025-10-17T12:30:00Z".into();
        }),
        ("a lease of more than a day", "limit-exceeded", |case| {
            case.view["execution"]["lease_expires_at"] = "2025-10-18T10:30:03Z".into();
        }),
        ("an execution of a pending approval", "request-invalid", |case| {
            case.view["status"] = "pending".into();
        }),
        ("executed without an execution", "request-invalid", |case| {
            case.view["execution"] = Value::Null;
        }),
    ] {
        let mut case = Case::executed();
        change(&mut case);
        assert_eq!(case.answer(), Err(code.to_owned()), "{name}");
    }
    for (now, answer) in
        [(lease_ends - 1, Ok(expected_answer())), (lease_ends, Err("already-executed".to_owned()))]
    {
        let mut case = Case::executed();
        case.question["now"] = now.into();
        assert_eq!(case.answer(), answer, "{now}");
    }
}

type Break = (&'static str, &'static str, fn(&mut Case));

/// One way to cause each rejection, in the order of the rejections.
const IN_ORDER: &[Break] = &[
    ("a digest of other things", "request-invalid", |case| {
        case.view["request_digest"] = "0".repeat(64).into();
    }),
    ("another id", "not-found", |case| {
        case.question["id"] = "appr_01k7s2e3m8q4w6x9y0z1a2b3c5".into();
    }),
    ("another audience", "audience-mismatch", |case| {
        case.question["audience"] = "staging".into();
    }),
    ("withdrawn", "not-approved", |case| case.view["status"] = "withdrawn".into()),
    ("a revoked key", "key-revoked", |case| {
        case.question["keys"][0]["status"] = "revoked".into();
    }),
    ("too few ballots", "signature-invalid", |case| {
        case.view["ballots"].as_array_mut().unwrap().pop();
        case.question["keys"].as_array_mut().unwrap().pop();
    }),
    ("too few of a group", "approver-not-allowed", |case| {
        case.question["keys"][0]["groups"] = json!(["lead"]);
    }),
    ("below the floor", "requirement-too-weak", |case| {
        case.question["floor"] = json!({"threshold": 3});
    }),
    ("another policy", "policy-mismatch", |case| {
        case.question["policies"] = json!(["0".repeat(64)]);
    }),
    ("too old", "request-too-old", |case| {
        case.question["requested_after"] = (REQUESTED + 1).into();
    }),
    ("another agent", "agent-mismatch", |case| {
        case.question["attempt"]["agent"] = "Deployer".into();
    }),
    ("another action", "action-mismatch", |case| {
        case.question["attempt"]["action"] = "deploy2".into();
    }),
    ("another context", "context-mismatch", |case| {
        case.question["attempt"]["context"] = r#"{"replicas": 4, "target": "prod"}"#.into();
    }),
    ("another plan", "plan-mismatch", |case| {
        case.question["attempt"]["plan"] = "{}".into();
    }),
];

#[test]
fn rejections_come_in_the_documented_order() {
    for (index, (name, code, _)) in IN_ORDER.iter().enumerate() {
        let mut case = Case::new();
        for (_, _, change) in &IN_ORDER[index..] {
            change(&mut case);
        }
        assert_eq!(case.answer(), Err((*code).to_owned()), "{name} before what comes later");
    }
    for (name, code, change) in IN_ORDER {
        let mut case = Case::new();
        change(&mut case);
        assert_eq!(case.answer(), Err((*code).to_owned()), "{name} alone");
    }
}

#[test]
fn each_status_is_refused_as_in_the_table() {
    for (status, code) in [
        ("pending", "not-approved"),
        ("rejected", "not-approved"),
        ("withdrawn", "not-approved"),
        ("expired", "expired"),
    ] {
        let mut case = Case::new();
        case.view["status"] = status.into();
        assert_eq!(case.answer(), Err(code.to_owned()), "{status}");
    }
    let mut case = Case::new();
    case.question["now"] = (REQUESTED + 3599).into();
    assert!(case.answer().is_ok());
    case.question["now"] = (REQUESTED + 3600).into();
    assert_eq!(case.answer(), Err("expired".to_owned()));
}

#[test]
fn an_erased_approval_is_refused() {
    let erase = |case: &mut Case| {
        case.view["erased_at"] = "2025-10-17T10:31:00Z".into();
        for member in ["reason", "context", "plan"] {
            case.view[member] = Value::Null;
        }
        case.view["ballots"][0]["comment"] = Value::Null;
    };
    for (mut case, status, code) in [
        (Case::new(), "rejected", "not-approved"),
        (Case::new(), "expired", "expired"),
        (Case::new(), "approved", "not-approved"),
        (Case::executed(), "executed", "not-approved"),
    ] {
        erase(&mut case);
        case.view["status"] = status.into();
        assert_eq!(case.answer(), Err(code.to_owned()), "{status}");
    }
}

#[test]
fn ballots_count_as_they_do_for_the_server() {
    let cases: &[Break] = &[
        ("no ballot", "signature-invalid", |case| case.view["ballots"] = json!([])),
        ("one ballot twice", "signature-invalid", |case| {
            case.view["ballots"][1] = case.view["ballots"][0].clone();
        }),
        ("a third ballot that is a copy", "signature-invalid", |case| {
            let copy = case.view["ballots"][0].clone();
            case.view["ballots"].as_array_mut().unwrap().push(copy);
        }),
        ("a rejection beside", "signature-invalid", |case| {
            let carol = Signer::new("carol", "ed25519", 9, "carol@company.com");
            let ballot = ballot(case, &carol, "rejected");
            case.view["ballots"].as_array_mut().unwrap().push(ballot);
            case.question["keys"].as_array_mut().unwrap().push(carol.entry("active"));
        }),
        ("the requester's", "signature-invalid", |case| {
            replace_bob(case, "rita@company.com");
        }),
        ("an agent's", "signature-invalid", |case| replace_bob(case, "agent:helper")),
        ("the agent's it is for", "signature-invalid", |case| replace_bob(case, "deployer")),
        ("another's key", "key-not-yours", |case| {
            case.question["keys"][1]["approver"] = "carol@company.com".into();
        }),
        ("an unknown key", "key-unknown", |case| {
            case.question["keys"].as_array_mut().unwrap().pop();
        }),
        ("a key for something else", "key-unknown", |case| {
            case.question["keys"][0]["use"] = "log".into();
        }),
        ("revoked under another id", "key-revoked", |case| {
            let mut twin = case.question["keys"][0].clone();
            twin["id"] = "old-alice".into();
            twin["status"] = "revoked".into();
            twin["use"] = "module".into();
            case.question["keys"].as_array_mut().unwrap().push(twin);
        }),
        ("one material under two ids", "signature-invalid", |case| {
            let twin = Signer::new("twin", "ed25519", 7, "bob@company.com");
            let twin = Signer { groups: vec!["security"], ..twin };
            case.view["ballots"][1] = ballot(case, &twin, "approved");
            case.question["keys"][1] = twin.entry("active");
        }),
        ("a later expiry", "signature-invalid", |case| {
            case.view["expires_at"] = "2025-10-17T11:30:01Z".into();
        }),
        ("v1 does not count", "signature-malformed", |case| {
            case.view["ballots"][0]["profile"] = "v1".into();
            case.view["ballots"][0]["signature"] = "0".repeat(64).into();
        }),
        ("v1 not where two are required", "signature-malformed", |case| {
            case.question["accept"] = json!(["v1", "v2"]);
            case.view["ballots"][0]["profile"] = "v1".into();
            case.view["ballots"][0]["signature"] = "0".repeat(64).into();
        }),
        ("an emptied comment", "signature-invalid", |case| {
            case.view["ballots"][1]["comment"] = "".into();
        }),
    ];
    for (name, code, change) in cases {
        let mut case = Case::new();
        change(&mut case);
        assert_eq!(case.answer(), Err((*code).to_owned()), "{name}");
    }
}

/// Returns a person's valid ballot for what a case shows.
fn ballot(case: &Case, signer: &Signer, decision: &str) -> Value {
    let mut record = case.view.clone();
    record["format"] = 1.into();
    json!({
        "decision": decision,
        "approver": signer.approver,
        "comment": null,
        "signature": signer.sign(&statement(&record, signer, decision, "")),
        "profile": "v2",
        "key_id": signer.id,
        "cast_at": "2025-10-17T10:30:01Z",
    })
}

/// Replaces the second ballot by one under a name that may not vote, signed with that name's own
/// key.
fn replace_bob(case: &mut Case, approver: &str) {
    let other = Signer::new("other", "ed25519", 11, approver);
    let other = Signer { groups: vec!["security"], ..other };
    case.view["ballots"][1] = ballot(case, &other, "approved");
    case.question["keys"][1] = other.entry("active");
}

#[test]
fn an_executor_can_require_more_than_the_approval_does() {
    for (floor, answer) in [
        (json!({}), None),
        (json!({"threshold": 2, "groups": {"sre": 1}, "ttl_seconds": 3600}), None),
        (json!({"threshold": 3}), Some("requirement-too-weak")),
        (json!({"groups": {"sre": 2}}), Some("requirement-too-weak")),
        (json!({"groups": {"legal": 1}}), Some("requirement-too-weak")),
        (json!({"ttl_seconds": 3599}), Some("requirement-too-weak")),
        (json!({"threshold": 0}), Some("request-invalid")),
        (json!({"threshold": 17}), Some("limit-exceeded")),
        (json!({"ttl_seconds": 604_801}), Some("limit-exceeded")),
        (json!({"groups": {"a b": 1}}), Some("request-invalid")),
        (json!({"quorum": 2}), Some("request-invalid")),
        (json!([2]), Some("request-invalid")),
    ] {
        let mut case = Case::new();
        case.question["floor"] = floor.clone();
        assert_eq!(case.answer().err().as_deref(), answer, "{floor}");
    }
    for (policies, answer) in [
        (json!(null), None),
        (json!([POLICY]), None),
        (json!(["0".repeat(64), POLICY]), None),
        (json!([]), Some("policy-mismatch")),
        (json!([POLICY.to_uppercase()]), Some("policy-mismatch")),
        (json!([""]), Some("request-invalid")),
        (json!(vec![POLICY; 65]), Some("limit-exceeded")),
    ] {
        let mut case = Case::new();
        case.question["policies"] = policies.clone();
        assert_eq!(case.answer().err().as_deref(), answer, "{policies}");
    }
    let mut case = Case::new();
    case.question["policies"] = json!([POLICY]);
    case.view["policy"] = Value::Null;
    case.sign_anew();
    assert_eq!(case.answer(), Err("policy-mismatch".to_owned()));
}

#[test]
fn a_request_is_neither_too_old_nor_from_the_future() {
    for (after, answer) in
        [(REQUESTED - 1, None), (REQUESTED, None), (REQUESTED + 1, Some("request-too-old"))]
    {
        let mut case = Case::new();
        case.question["requested_after"] = after.into();
        assert_eq!(case.answer().err().as_deref(), answer, "{after}");
    }
    for (now, answer) in [(REQUESTED - 300, None), (REQUESTED - 301, Some("request-too-old"))] {
        let mut case = Case::new();
        case.question["now"] = now.into();
        assert_eq!(case.answer().err().as_deref(), answer, "{now}");
    }
}

#[test]
fn an_approval_cannot_live_longer_than_a_week() {
    for (expires_at, answer) in
        [("2025-10-24T10:30:00Z", None), ("2025-10-24T10:30:01Z", Some("requirement-too-weak"))]
    {
        let mut case = Case::new();
        case.view["expires_at"] = expires_at.into();
        case.sign_anew();
        assert_eq!(case.answer().err().as_deref(), answer, "{expires_at}");
    }
}

#[test]
fn context_and_plan_must_be_those_that_were_approved() {
    let attempt = |changes: Value| {
        let mut case = Case::new();
        for (member, value) in changes.as_object().unwrap() {
            case.question["attempt"][member] = value.clone();
        }
        case.answer().err()
    };
    for (changes, code) in [
        (json!({"context": null}), "request-invalid"),
        (json!({"context": "[]"}), "context-invalid"),
        (json!({"context": r#"{"replicas":3,"replicas":3}"#}), "context-invalid"),
        (json!({"context": r#"{"replicas":3.0,"target":"prod"}"#}), "context-mismatch"),
        (json!({"plan": null}), "plan-mismatch"),
        (json!({"plan": "[]"}), "context-invalid"),
        (json!({"agent": ""}), "request-invalid"),
        (json!({"agent": "a".repeat(129)}), "limit-exceeded"),
        (json!({"execution_id": "exec_1"}), "request-invalid"),
        (json!({"extra": 1}), "request-invalid"),
    ] {
        assert_eq!(attempt(changes.clone()), Some(code.to_owned()), "{changes}");
    }
    // The same value in another spelling is the same context.
    assert_eq!(attempt(json!({"context": r#"{"target":"pr\u006fd","replicas":3}"#})), None);
    // A plan although none was approved.
    let mut case = Case::new();
    case.view["plan_hash"] = Value::Null;
    case.view["plan"] = Value::Null;
    case.sign_anew();
    assert_eq!(case.answer(), Err("plan-mismatch".to_owned()));
    case.question["attempt"].as_object_mut().unwrap().remove("plan");
    assert_eq!(case.answer().unwrap()["plan"], Value::Null);
}

#[test]
fn a_malformed_view_is_refused_first() {
    let cases: &[Break] = &[
        ("no ballots", "request-invalid", |case| case.view["ballots"] = Value::Null),
        ("ballots of another form", "request-invalid", |case| case.view["ballots"] = json!({})),
        ("a ballot as a list", "request-invalid", |case| {
            case.view["ballots"][0] =
                json!(["approved", "a", null, "x", "v2", "k", "2025-10-17T10:30:01Z"]);
        }),
        ("33 ballots", "limit-exceeded", |case| {
            case.view["ballots"] = vec![case.view["ballots"][0].clone(); 33].into();
        }),
        ("a long comment", "limit-exceeded", |case| {
            case.view["ballots"][0]["comment"] = "c".repeat(4097).into();
        }),
        ("a key id out of its form", "request-invalid", |case| {
            case.view["ballots"][0]["key_id"] = "K".into();
        }),
        ("no status", "request-invalid", |case| {
            case.view.as_object_mut().unwrap().remove("status");
        }),
        ("another status", "request-invalid", |case| case.view["status"] = "fine".into()),
        ("a threshold of none", "request-invalid", |case| {
            case.view["requirement"]["threshold"] = 0.into();
            case.sign_anew();
        }),
        ("a threshold of 17", "limit-exceeded", |case| {
            case.view["requirement"]["threshold"] = 17.into();
            case.sign_anew();
        }),
        ("another reason", "request-invalid", |case| case.view["reason"] = "another".into()),
        ("another context beside its digest", "request-invalid", |case| {
            case.view["context"]["replicas"] = 4.into();
        }),
        ("a context that is none", "request-invalid", |case| case.view["context"] = json!([1])),
        ("another plan beside its digest", "request-invalid", |case| case.view["plan"] = json!({})),
        ("erased at no time", "request-invalid", |case| case.view["erased_at"] = true.into()),
    ];
    for (name, code, change) in cases {
        let mut case = Case::new();
        change(&mut case);
        case.question["id"] = "appr_01k7s2e3m8q4w6x9y0z1a2b3c5".into();
        assert_eq!(case.answer(), Err((*code).to_owned()), "{name}");
    }
    let text = view(&approved(&approvers())).to_string();
    let twice = [
        text.replacen('{', r#"{"status":"approved","#, 1),
        text.replacen('{', r#"{"\u0069d":"x","#, 1),
        text.replacen(r#""context":{"#, r#""context":{"replicas":3,"#, 1),
        text.replacen(r#""ballots":[{"#, r#""ballots":[{"decision":"approved","#, 1),
    ];
    for twice in twice {
        assert_ne!(twice, text);
        let mut question = Case::new().question;
        question["approval"] = twice.into();
        assert_eq!(verify(&question), Err("request-invalid".to_owned()));
    }
    for (approval, code) in [
        (" ".repeat((4 << 20) + 1), "limit-exceeded"),
        (String::new(), "request-invalid"),
        ("[]".to_owned(), "request-invalid"),
        ("[".repeat(100_000), "request-invalid"),
    ] {
        let mut question = Case::new().question;
        question["approval"] = approval.into();
        assert_eq!(verify(&question), Err(code.to_owned()));
    }
}

#[test]
fn malformed_arguments_are_refused_before_the_approval_is_checked() {
    for (argument, value, code) in [
        ("id", json!("appr_1"), "request-invalid"),
        ("audience", json!(""), "request-invalid"),
        ("audience", json!("a".repeat(129)), "limit-exceeded"),
        ("attempt", json!("{}"), "request-invalid"),
        ("keys", json!([{}]), "request-invalid"),
        ("accept", json!([]), "request-invalid"),
        ("accept", json!(["v3"]), "request-invalid"),
        ("now", json!(253_402_300_800_u64), "request-invalid"),
        ("requested_after", json!(-1), "request-invalid"),
    ] {
        let mut case = Case::new();
        case.question[argument] = value.clone();
        // Checked before anything else about the approval.
        case.view["status"] = "pending".into();
        assert_eq!(case.answer(), Err(code.to_owned()), "{argument} = {value}");
    }
}
