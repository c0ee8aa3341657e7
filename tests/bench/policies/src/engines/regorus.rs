//! Regorus: Rego, compiled for its register machine, the faster of its two execution modes.

use std::fmt::Write;

use anyhow::{Result, anyhow};
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::{Engine as Rego, Rc, Value};

use super::Engine;
use crate::rules::{AGENT, Answer, Attempt, Condition, Rule, strictest};

/// The query: the numbers of the rules that match.
const ENTRY: &str = "data.signoff.matched";

pub struct Program {
    machine: RegoVM,
    rules: Vec<Rule>,
}

impl Program {
    pub fn new(rules: &[Rule]) -> Result<Self> {
        let mut rego = Rego::new();
        rego.add_policy("rules.rego".to_owned(), self::rego(rules))?;
        let entry: Rc<str> = ENTRY.into();
        let policy = rego.compile_with_entrypoint(&entry)?;
        let program =
            Compiler::compile_from_policy(&policy, &[ENTRY]).map_err(|e| anyhow!("{e}"))?;
        let mut machine = RegoVM::new();
        machine.load_program(program);
        Ok(Self { machine, rules: rules.to_vec() })
    }
}

impl Engine for Program {
    fn evaluate(&mut self, attempt: &Attempt) -> Result<Answer> {
        self.machine.set_input(Value::from_json_str(&input(attempt))?);
        let answer = self.machine.execute().map_err(|e| anyhow!("{e}"))?;
        let matched = answer.as_set()?.iter().map(|number| Ok(usize::try_from(number.as_i64()?)?));
        let matched = matched.collect::<Result<Vec<_>>>()?;
        Ok(strictest(&self.rules, matched.into_iter()))
    }
}

/// Returns the input document of an attempt.
pub fn input(attempt: &Attempt) -> String {
    let Attempt { action, context } = attempt;
    format!(r#"{{"agent": "{AGENT}", "action": "{action}", "context": {context}}}"#)
}

/// Returns the rules in Rego.
pub fn rego(rules: &[Rule]) -> String {
    let mut text = "package signoff\n".to_owned();
    for rule in rules {
        let when = when(rule.condition);
        let _ = writeln!(
            text,
            "matched contains {} if {{ input.action == \"{}\"; {when} }}",
            rule.number, rule.action
        );
    }
    text
}

fn when(condition: Condition) -> String {
    match condition {
        Condition::Risk(least) => format!("input.context.risk_score >= {least}"),
        Condition::Changes(most) => format!(
            "input.context.environment == \"production\"; input.context.changes_count > {most}"
        ),
        Condition::Folder(folder) => format!("startswith(input.context.path, \"{folder}\")"),
        Condition::Reviewed(below) => {
            format!("input.context.reviewed; input.context.risk_score < {below}")
        }
        Condition::Recipients(most) => format!("input.context.recipients > {most}"),
    }
}
