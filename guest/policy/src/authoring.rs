//! The interface for policy authors: JSON in, JSON out.
//!
//! | request | answer |
//! | --- | --- |
//! | `{"op":"load","rules":"…"}` | `{"ok":{"name","rules","tests","facts","requirements","problems"}}` or `{"error":{"problems"}}` |
//! | `{"op":"includes","rules":"…"}` | `{"ok":{"includes":[{"path","line","column"}]}}` |
//! | `{"op":"evaluate","attempt":{…}}` | `{"ok":{"verdict","trace"}}` |
//! | `{"op":"test","cases":"…"?}` | `{"ok":{"cases","fired","unfired","default_fired"}}` or `{"error":{"problems"}}` |
//! | `{"op":"describe"}` | `{"ok":{…}}` |
//!
//! `rules` is a rules file, followed by the files that it includes (see `bundle`). `includes` lists what a
//! caller must read for that, and nothing if the list is malformed, which `load` reports.
//!
//! Any other request, and any request but `load` and `includes` before rules are loaded, returns
//! `{"error":{"message"}}`. If `load` fails, the previously loaded rules remain.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use signoff_core::authoring::{Attempt as AttemptText, Include, Loaded, Trace};
use signoff_core::name::Identifier;

use crate::attempt::Attempt;
use crate::file;
use crate::limits::{FACTS_BYTES_MAX, JSON_BYTES_MAX};
use crate::policy::Policy;
use crate::problem::Problems;
use crate::verdict::Verdict;

thread_local! {
    static LOADED: RefCell<Option<Policy>> = const { RefCell::new(None) };
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
enum Request {
    Load {
        rules: String,
    },
    Includes {
        rules: String,
    },
    Evaluate {
        attempt: AttemptText,
    },
    Test {
        #[serde(default)]
        cases: Option<String>,
    },
    Describe {},
}

#[derive(Serialize)]
struct Explained {
    verdict: Verdict,
    trace: Vec<Trace>,
}

/// Answers one request.
#[must_use]
pub fn call(request: &str) -> String {
    match serde_json::from_str(request) {
        Ok(Request::Load { rules }) => load(&rules),
        Ok(Request::Includes { rules }) => ok(&json!({ "includes": includes(&rules) })),
        Ok(Request::Evaluate { attempt }) => with_loaded(|policy| evaluate(policy, &attempt)),
        Ok(Request::Test { cases }) => with_loaded(|policy| test(policy, cases.as_deref())),
        Ok(Request::Describe {}) => {
            with_loaded(|policy| format!(r#"{{"ok":{}}}"#, policy.describe()))
        }
        Err(error) => refused(&format!("not a request: {error}")),
    }
}

/// Returns the verdict of the loaded policy; `None` if nothing is loaded or the attempt is
/// malformed.
#[must_use]
pub fn verdict(attempt: &Attempt<'_>) -> Option<Verdict> {
    if malformed(attempt).is_some() {
        return None;
    }
    LOADED.with_borrow(|policy| Some(policy.as_ref()?.evaluate(attempt)))
}

/// Returns the description of the loaded policy; `None` if nothing is loaded.
#[must_use]
pub fn describe() -> Option<String> {
    LOADED.with_borrow(|policy| Some(policy.as_ref()?.describe()))
}

fn load(rules: &str) -> String {
    match Policy::load(rules) {
        Ok((policy, problems)) => {
            let answer = ok(&Loaded {
                name: policy.name().to_owned(),
                rules: policy.rules(),
                tests: policy.tests(),
                facts: policy.facts().map(str::to_owned).collect(),
                requirements: policy.requirements(),
                problems,
            });
            LOADED.set(Some(policy));
            answer
        }
        Err(problems) => json!({"error": {"problems": problems}}).to_string(),
    }
}

fn includes(rules: &str) -> Vec<Include> {
    let problems = Problems::new(rules);
    let named = file::includes(rules).into_iter();
    named
        .map(|named| Include {
            line: problems.line(named.at),
            column: problems.column(named.at),
            path: named.path,
        })
        .collect()
}

fn evaluate(policy: &Policy, text: &AttemptText) -> String {
    let attempt = Attempt {
        agent: &text.agent,
        action: &text.action,
        context: &text.context,
        plan: text.plan.as_deref(),
        facts: &text.facts,
        now: text.now,
    };
    if let Some(message) = malformed(&attempt) {
        return refused(message);
    }
    ok(&Explained { verdict: policy.evaluate(&attempt), trace: policy.trace(&attempt) })
}

fn test(policy: &Policy, cases: Option<&str>) -> String {
    let text = cases.unwrap_or_default();
    let mut problems = Problems::new(text);
    let others = file::read_cases(text, &mut problems);
    if problems.is_loadable() {
        return ok(&policy.test(&others));
    }
    json!({"error": {"problems": problems.into_sorted()}}).to_string()
}

/// Returns why an attempt is out of bounds, if it is. No host sends such an attempt.
fn malformed(attempt: &Attempt<'_>) -> Option<&'static str> {
    if !Identifier::fits(attempt.agent) || !Identifier::fits(attempt.action) {
        return Some("agent and action are 1 to 128 visible ASCII characters each");
    }
    let lengths = [attempt.context.len(), attempt.plan.map_or(0, str::len)];
    if lengths.iter().any(|length| *length > JSON_BYTES_MAX) {
        return Some("context and plan have at most 1 MiB each");
    }
    if attempt.facts.len() > FACTS_BYTES_MAX {
        return Some("facts have at most 16 KiB");
    }
    None
}

fn ok(answer: &impl Serialize) -> String {
    match serde_json::to_string(answer) {
        Ok(answer) => format!(r#"{{"ok":{answer}}}"#),
        Err(error) => refused(&error.to_string()),
    }
}

fn with_loaded(answer: impl FnOnce(&Policy) -> String) -> String {
    LOADED.with_borrow(|policy| match policy {
        Some(policy) => answer(policy),
        None => refused("no rules are loaded"),
    })
}

fn refused(message: &str) -> String {
    json!({"error": {"message": Value::from(message)}}).to_string()
}
