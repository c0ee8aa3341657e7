//! The `cel` crate alone: each condition is parsed once, and those that concern an action are found by
//! its name. An evaluation then only decodes the context and evaluates these conditions.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use cel::{Context, Env, Program, Value};

use super::{Engine, component};
use crate::rules::{AGENT, Answer, Attempt, Rule, strictest};

pub struct Conditions {
    env: Arc<Env>,
    by_action: HashMap<String, Vec<(usize, Program)>>,
    rules: Vec<Rule>,
}

impl Conditions {
    pub fn new(rules: &[Rule]) -> Result<Self> {
        let env = Env::stdlib();
        let mut by_action = HashMap::<_, Vec<_>>::new();
        for rule in rules {
            let program = env.compile(&component::when(rule.condition));
            let program = program.map_err(|e| anyhow!("{e}"))?;
            by_action.entry(rule.action.clone()).or_default().push((rule.number, program));
        }
        Ok(Self { env: Arc::new(env), by_action, rules: rules.to_vec() })
    }
}

impl Engine for Conditions {
    fn evaluate(&mut self, attempt: &Attempt) -> Result<Answer> {
        let json: serde_json::Value = serde_json::from_str(&attempt.context)?;
        let mut context = Context::with_env(Arc::clone(&self.env));
        context.add_variable_from_value("agent", AGENT.to_owned());
        context.add_variable_from_value("action", attempt.action.clone());
        let json = cel::to_value(json).map_err(|e| anyhow!("{e}"))?;
        context.add_variable_from_value("context", json);
        let concerning = self.by_action.get(&attempt.action).into_iter().flatten();
        let matched = concerning
            .filter(|(_, program)| matches!(program.execute(&context), Ok(Value::Bool(true))))
            .map(|(number, _)| *number);
        Ok(strictest(&self.rules, matched))
    }
}
