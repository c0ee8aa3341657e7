//! Measures the time of a verdict, and that of the `cel` crate for the same conditions alone:
//! `cargo run --profile guest -p signoff-policy --example speed`

#![expect(clippy::print_stdout, reason = "it is a measurement")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use cel::{Context, Env, Program};
use signoff_policy::attempt::Attempt;
use signoff_policy::policy::Policy;

const CONTEXT: &str = r#"{"attempts": 5, "email_id": "e1", "labels": ["news", "internal"], "mailbox": "sales", "risk_score": 92, "sender": "someone@example.com", "subject": "Quarterly numbers", "to": ["a@example.org", "b@example.org"]}"#;

const CONDITIONS: [&str; 5] = [
    "context.risk_score >= 80",
    "context.sender.endsWith('@example.org') && context.attempts > 3",
    "context.labels.exists(l, l == 'vip')",
    "context.mailbox in ['ceo', 'cfo', 'legal'] || context.risk_score > 95",
    "has(context.sender) && context.risk_score * 2 > 300",
];

/// Number of rounds; the best counts.
const ROUNDS: u32 = 30;
const TIMES: u32 = 2_000;

fn main() {
    for others in [0, 95, 995] {
        let Ok((policy, _)) = Policy::load(&rules(others)) else { return };
        let attempt = Attempt {
            agent: "inbox",
            action: "quarantine",
            context: CONTEXT,
            plan: None,
            facts: "{}",
            now: 1_760_697_000,
        };
        let best = measure(|| {
            black_box(policy.evaluate(black_box(&attempt)));
        });
        println!("{:>5} rules, 5 of which concern the action: {best} ns", others + 5);
    }
    println!("      the same 5 conditions by the cel crate: {} ns", plain_cel());
}

fn measure(mut run: impl FnMut()) -> u128 {
    let round = |_| {
        let start = Instant::now();
        (0..TIMES).for_each(|_| run());
        start.elapsed().as_nanos() / u128::from(TIMES)
    };
    (0..ROUNDS).map(round).min().unwrap_or_default()
}

fn rules(others: usize) -> String {
    let mut text = "format = 1\nname = 'speed'\n".to_owned();
    for (at, when) in CONDITIONS.iter().enumerate() {
        let _infallible = write!(
            text,
            "[[rule]]\nid = 'r{at}'\naction = 'quarantine'\nverdict = 'require_approval'\nttl = 'urgent'\nreason = 'risk {{context.risk_score}} of {{context.sender}}'\nwhen = \"{when}\"\n"
        );
    }
    for at in 0..others {
        let _infallible = write!(
            text,
            "[[rule]]\nid = 'o{at}'\nagent = 'agent_{at}'\naction = 'action_{at}*'\nverdict = 'deny'\nwhen = 'context.value_{at} > {at}'\n"
        );
    }
    text
}

/// Evaluates the conditions as a program that uses the crate would for each attempt: parsed JSON
/// in, five bools out.
fn plain_cel() -> u128 {
    let env = Arc::new(Env::stdlib());
    let programs: Vec<Program> =
        CONDITIONS.iter().filter_map(|when| env.compile(when).ok()).collect();
    measure(|| {
        let json: Option<serde_json::Value> = serde_json::from_str(black_box(CONTEXT)).ok();
        let mut context = Context::with_env(Arc::clone(&env));
        if let Some(value) = json.and_then(|json| cel::to_value(json).ok()) {
            context.add_variable_from_value("context", value);
        }
        for program in &programs {
            let _answer = black_box(program.execute(&context));
        }
    })
}
