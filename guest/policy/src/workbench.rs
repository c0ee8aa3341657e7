//! The door of those who write policies: JSON in, JSON out.

use std::cell::RefCell;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::attempt::Attempt;
use crate::policy::Policy;
use crate::verdict::Verdict;

thread_local! {
    static LOADED: RefCell<Option<Policy>> = const { RefCell::new(None) };
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
enum Request {
    Load { rules: String },
    Evaluate { attempt: Asked },
    Describe,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    agent: String,
    action: String,
    context: String,
    #[serde(default)]
    plan: Option<String>,
    now: u64,
}

/// Answers one request.
#[must_use]
pub fn call(request: &str) -> String {
    let answer = match serde_json::from_str(request) {
        Ok(Request::Load { rules }) => load(&rules),
        Ok(Request::Evaluate { attempt }) => with_loaded(|policy| evaluate(policy, &attempt)),
        Ok(Request::Describe) => with_loaded(|policy| {
            let text = policy.describe();
            json!({"ok": serde_json::from_str::<Value>(&text).unwrap_or_default()})
        }),
        Err(error) => refused(&format!("not a request: {error}")),
    };
    answer.to_string()
}

/// The verdict of the loaded policy; none where nothing is loaded.
#[must_use]
pub fn verdict(attempt: &Attempt<'_>) -> Option<Verdict> {
    LOADED.with_borrow(|policy| Some(policy.as_ref()?.evaluate(attempt)))
}

/// What the loaded policy says of itself; none where nothing is loaded.
#[must_use]
pub fn describe() -> Option<String> {
    LOADED.with_borrow(|policy| Some(policy.as_ref()?.describe()))
}

fn load(rules: &str) -> Value {
    match Policy::load(rules) {
        Ok((policy, problems)) => {
            let (name, rules, tests) = (policy.name().to_owned(), policy.rules(), policy.tests());
            LOADED.set(Some(policy));
            json!({"ok": {"name": name, "rules": rules, "tests": tests, "problems": problems}})
        }
        Err(problems) => json!({"error": {"problems": problems}}),
    }
}

fn evaluate(policy: &Policy, asked: &Asked) -> Value {
    let (verdict, trace) = policy.explain(&Attempt {
        agent: &asked.agent,
        action: &asked.action,
        context: &asked.context,
        plan: asked.plan.as_deref(),
        now: asked.now,
    });
    json!({"ok": {"verdict": verdict, "trace": trace}})
}

fn with_loaded(answer: impl FnOnce(&Policy) -> Value) -> Value {
    LOADED.with_borrow(|policy| {
        policy.as_ref().map_or_else(|| refused("no rules are loaded"), answer)
    })
}

fn refused(message: &str) -> Value {
    json!({"error": {"message": message}})
}
