//! A policy as it is shipped: the component, evaluated by the host in a fresh instance each time, with
//! fuel, watchdog and memory limit.

use std::fmt::Write;

use anyhow::{Result, anyhow};
use signoff::engine::{Allocation, Cache, Policies, digest};
use signoff::policy::{self, Limits, Policy};

use super::{Engine, answer};
use crate::rules::{AGENT, Answer, Attempt, Condition, FACTS, Rule};

pub struct Module(Policy);

impl Module {
    pub fn new(toml: &str) -> Result<Self> {
        let wasm = signoff::policy::build(toml)?.wasm;
        let policies = Policies::new(Allocation::Pooled)?;
        let policy = Policy::load(&policies, &wasm, &digest(&wasm), Limits::default(), &Cache::none())?;
        Ok(Self(policy))
    }
}

impl Engine for Module {
    fn evaluate(&mut self, attempt: &Attempt) -> Result<Answer> {
        let verdict = self.0.evaluate(&policy::Attempt {
            agent: AGENT.to_owned(),
            action: attempt.action.clone(),
            context: attempt.context.clone(),
            plan: None,
            facts: FACTS.to_owned(),
            now: 1_760_000_000,
        });
        let verdict = verdict.map_err(|e| anyhow!("{e}"))?;
        answer(verdict.decision.as_str(), verdict.rule.as_deref())
    }
}

/// Returns the rules file.
pub fn toml(rules: &[Rule]) -> String {
    let mut text = "format = 1\nname = \"bench\"\ndefault = \"require_approval\"\n".to_owned();
    for rule in rules {
        let _ = write!(
            text,
            "\n[[rule]]\nid = \"r{}\"\naction = \"{}\"\nwhen = '{}'\nverdict = \"{}\"\n",
            rule.number,
            rule.action,
            when(rule.condition),
            rule.decision
        );
    }
    text
}

/// Returns a condition in CEL.
pub fn when(condition: Condition) -> String {
    match condition {
        Condition::Risk(least) => format!("context.risk_score >= {least}"),
        Condition::Changes(most) => {
            format!("context.environment == \"production\" && context.changes_count > {most}")
        }
        Condition::Folder(folder) => format!("context.path.startsWith(\"{folder}\")"),
        Condition::Reviewed(below) => format!("context.reviewed && context.risk_score < {below}"),
        Condition::Recipients(most) => format!("context.recipients > {most}"),
    }
}
