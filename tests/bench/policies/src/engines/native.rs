//! The same rules engine compiled for this machine, to show the costs of WebAssembly and of the fresh instance.

use anyhow::{Context, Result, bail};
use signoff_policy::authoring;

use super::{Engine, answer};
use crate::rules::{AGENT, Answer, Attempt, FACTS};

/// The rules are in thread-local storage.
pub struct Native;

impl Native {
    pub fn new(toml: &str) -> Result<Self> {
        let request = serde_json::json!({"op": "load", "rules": toml}).to_string();
        let said = authoring::call(&request);
        if !said.starts_with("{\"ok\"") {
            bail!("the rules were refused: {said}");
        }
        Ok(Self)
    }
}

impl Engine for Native {
    fn evaluate(&mut self, attempt: &Attempt) -> Result<Answer> {
        let verdict = authoring::verdict(&signoff_policy::attempt::Attempt {
            agent: AGENT,
            action: &attempt.action,
            context: &attempt.context,
            plan: None,
            facts: FACTS,
            now: 1_760_000_000,
        });
        let verdict = verdict.context("no rules are loaded")?;
        answer(verdict.decision.as_str(), verdict.rule.as_deref())
    }
}
