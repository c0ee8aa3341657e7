//! The component's exports. Only this file uses wit-bindgen; its types are converted here.

#![allow(unsafe_code, missing_docs, unreachable_pub, reason = "generated bindings")]

use crate::attempt;
use crate::authoring;

wit_bindgen::generate!({
    path: "../../wit",
    world: "policy",
    generate_all,
});

use exports::signoff::approval::guardrails;

struct Component;
export!(Component);

impl Guest for Component {
    fn describe() -> String {
        authoring::describe().unwrap_or_else(|| nothing_loaded())
    }
}

impl guardrails::Guest for Component {
    fn evaluate(attempt: guardrails::Attempt) -> guardrails::Verdict {
        let verdict = authoring::verdict(&attempt::Attempt {
            agent: &attempt.agent,
            action: &attempt.action,
            context: &attempt.context,
            plan: attempt.plan.as_deref(),
            facts: &attempt.facts,
            now: attempt.now,
        });
        let verdict = verdict.unwrap_or_else(|| nothing_loaded());
        guardrails::Verdict {
            decision: verdict.decision.as_str().to_owned(),
            rule: verdict.rule,
            reason: verdict.reason,
            requirement: verdict
                .requirement
                .map(|requirement| serde_json::to_string(&requirement).unwrap_or_default()),
            failed: verdict.failed,
        }
    }
}

/// Traps: a template without rules has no verdict, so the host refuses the action.
fn nothing_loaded() -> ! {
    core::arch::wasm32::unreachable()
}
