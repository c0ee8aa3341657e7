//! The `cel` crate alone: only the conditions that concern the action, found for nothing, each parsed
//! once. What is left is to decode the context and to work out five conditions.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use cel::{Context, Env, Program, Value};

use super::{Engine, component};
use crate::rules::{ACTION, AGENT, Answer, Attempt, Rule, strictest};

pub struct Conditions {
    env: Arc<Env>,
    programs: Vec<(usize, Program)>,
    rules: Vec<Rule>,
}

impl Conditions {
    pub fn new(rules: &[Rule]) -> Result<Self> {
        let env = Env::stdlib();
        let concerning = rules.iter().filter(|rule| rule.action == ACTION);
        let programs = concerning
            .map(|rule| {
                let program = env.compile(&component::when(rule.condition));
                Ok((rule.number, program.map_err(|e| anyhow!("{e}"))?))
            })
            .collect::<Result<_>>()?;
        Ok(Self { env: Arc::new(env), programs, rules: rules.to_vec() })
    }
}

impl Engine for Conditions {
    fn ask(&mut self, attempt: &Attempt) -> Result<Answer> {
        let json: serde_json::Value = serde_json::from_str(&attempt.context)?;
        let mut context = Context::with_env(Arc::clone(&self.env));
        context.add_variable_from_value("agent", AGENT.to_owned());
        context.add_variable_from_value("action", attempt.action.clone());
        let json = cel::to_value(json).map_err(|e| anyhow!("{e}"))?;
        context.add_variable_from_value("context", json);
        let concerns = if attempt.action == ACTION { &*self.programs } else { &[] };
        let matched = concerns
            .iter()
            .filter(|(_, program)| matches!(program.execute(&context), Ok(Value::Bool(true))))
            .map(|(number, _)| *number);
        Ok(strictest(&self.rules, matched))
    }
}
