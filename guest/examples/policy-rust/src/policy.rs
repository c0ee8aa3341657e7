//! World `policy`. The only file that uses wit-bindgen.

#![allow(unsafe_code, reason = "generated bindings")]

use crate::rules;

wit_bindgen::generate!({ path: "../../../wit", world: "policy", generate_all });

use exports::signoff::approval::guardrails;

struct Policy;
export!(Policy);

impl Guest for Policy {
    fn describe() -> String {
        r#"{"name": "policy-rust"}"#.to_owned()
    }
}

impl guardrails::Guest for Policy {
    fn evaluate(attempt: guardrails::Attempt) -> guardrails::Verdict {
        let Ok(verdict) = rules::decide(&attempt.action, &attempt.context) else {
            // No verdict: the host refuses.
            core::arch::wasm32::unreachable()
        };
        guardrails::Verdict {
            decision: match verdict.decision {
                rules::Decision::Allow => "allow",
                rules::Decision::RequireApproval => "require_approval",
                rules::Decision::Deny => "deny",
            }
            .to_owned(),
            rule: verdict.rule.map(str::to_owned),
            reason: verdict.reason,
            requirement: verdict.requirement.and_then(|r| serde_json::to_string(&r).ok()),
            // A single rule cannot fail here: a value that cannot be read makes the whole policy trap.
            failed: Vec::new(),
        }
    }
}
