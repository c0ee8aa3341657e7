//! Built policies: the same rules give the same bytes, and the module gives the same answers as the
//! rules in the authoring runtime.

use std::sync::LazyLock;

use signoff::engine::{Cache, POLICY_STACK_BYTES, Policies};
use signoff::policy::{Attempt, Decision, Limits, Policy};
use signoff::policy::{Built, RulesError, Shape, Template, build_with, shape};

static TEMPLATE: LazyLock<Template> = LazyLock::new(|| Template::new(&cache()).unwrap());

const RULES: &str = r#"
format = 1
name = "mail"
default = "allow"

[[rule]]
id = "high-risk"
agent = "inbox_*"
action = ["quarantine", "delete*"]
when = "context.risk_score >= 80"
verdict = "require_approval"
ttl = "urgent"
threshold = 2
groups = { security = 1 }
reason = "a risky mail"

[[rule]]
id = "no-purge"
action = "purge"
when = "!has(context.ticket)"
verdict = "deny"
reason = "a purge needs a ticket"

[[rule]]
id = "reports"
action = "*report*"
verdict = "require_approval"
ttl = "non-urgent"
reason = "a report leaves the house"
"#;

fn cache() -> Cache {
    Cache::at(concat!(env!("CARGO_TARGET_TMPDIR"), "/e2e-cache"))
}

fn built(rules: &str) -> Built {
    build_with(&TEMPLATE, rules).unwrap()
}

/// Loads a policy as a host does.
fn running(policies: &Policies, built: &Built) -> Policy {
    Policy::load(policies, &built.wasm, &built.digest, Limits::default(), &Cache::none()).unwrap()
}

fn attempts() -> Vec<Attempt> {
    let agents = ["inbox_triage", "inbox_", "reporter", "x"];
    let actions =
        ["quarantine", "delete_all", "delete", "purge", "report", "send_report_now", "read"];
    let contexts = [
        "{}",
        r#"{"risk_score": 79}"#,
        r#"{"risk_score": 80}"#,
        r#"{"risk_score": 79.99999}"#,
        r#"{"risk_score": "80"}"#,
        r#"{"risk_score": null, "ticket": null}"#,
        r#"{"ticket": "T-1"}"#,
        r#"{"risk_score": 123456789012345678901234567890}"#,
    ];
    let mut attempts = Vec::new();
    for agent in agents {
        for action in actions {
            for context in contexts {
                attempts.push(Attempt {
                    agent: agent.to_owned(),
                    action: action.to_owned(),
                    context: context.to_owned(),
                    plan: (action.len() % 2 == 0).then(|| r#"{"steps": [1, 2]}"#.to_owned()),
                    facts: r#"{"requester": "agent:x"}"#.to_owned(),
                    now: 1_760_697_000,
                });
            }
        }
    }
    attempts
}

#[test]
fn a_built_policy_answers_as_its_rules_do() {
    let built = built(RULES);
    let policy = running(TEMPLATE.policies(), &built);
    let mut runtime = TEMPLATE.runtime().unwrap();
    assert_eq!(runtime.load(RULES).unwrap(), built.loaded);
    let mut seen = std::collections::BTreeSet::new();
    for attempt in attempts() {
        let (verdict, trace) = runtime.evaluate(&attempt).unwrap();
        assert_eq!(policy.evaluate(&attempt).unwrap(), verdict, "{attempt:?}: {trace:?}");
        seen.insert(verdict.decision);
    }
    assert_eq!(Vec::from_iter(seen), [Decision::Allow, Decision::RequireApproval, Decision::Deny]);
    assert_eq!(policy.failures(), 0);
    let described: serde_json::Value = serde_json::from_str(&policy.describe().unwrap()).unwrap();
    assert_eq!(described, runtime.describe().unwrap());
    assert_eq!(described["rules"], RULES);
}

#[test]
fn the_same_rules_give_the_same_bytes_and_others_do_not() {
    let first = built(RULES);
    assert_eq!(first, built(RULES));
    // Rules that were loaded before leave nothing in a module.
    let other = RULES.replace("80", "81");
    let after = built(&other);
    assert_ne!(first.wasm, after.wasm);
    let again = build_with(&Template::new(&Cache::none()).unwrap(), RULES).unwrap();
    assert_eq!(first.digest, again.digest);
    assert_eq!(first.wasm, again.wasm);
    let mut blocks: Vec<&str> = RULES.split("[[rule]]").collect();
    blocks.swap(1, 2);
    assert_ne!(built(&blocks.join("[[rule]]")).digest, first.digest);
}

#[test]
fn a_built_policy_imports_nothing_and_exports_only_its_world() {
    let shape = shape(&built(RULES).wasm);
    let exports = ["describe", "signoff:approval/guardrails@0.1.0"].map(str::to_owned);
    assert_eq!(shape, Shape { imports: Vec::new(), exports: exports.to_vec() });
    // The core module inside has no authoring exports.
    let component = built(RULES).wasm;
    let mut exports = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(&component) {
        if let wasmparser::Payload::ExportSection(section) = payload.unwrap() {
            exports.extend(section.into_iter().map(|export| export.unwrap().name));
        }
    }
    assert!(exports.contains(&"memory") && !exports.contains(&"author"), "{exports:?}");
}

#[test]
fn leftover_stack_memory_is_not_shipped() {
    let component = built(RULES).wasm;
    let mut offsets = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(&component) {
        if let wasmparser::Payload::DataSection(section) = payload.unwrap() {
            for segment in section {
                if let wasmparser::DataKind::Active { offset_expr, .. } = segment.unwrap().kind
                    && let wasmparser::Operator::I32Const { value } =
                        offset_expr.get_operators_reader().read().unwrap()
                {
                    offsets.push(usize::try_from(value).unwrap());
                }
            }
        }
    }
    assert!(offsets.iter().min().unwrap() >= &POLICY_STACK_BYTES, "{offsets:?}");
}

#[test]
fn rules_with_errors_are_not_built() {
    let error = build_with(&TEMPLATE, "format = 1\nname = \"x\n").unwrap_err();
    let RulesError::Problems(problems) = error else { panic!("{error}") };
    assert_eq!(problems.problems[0].line, 2);
}
