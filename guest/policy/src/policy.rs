//! A loaded rules file.

use std::collections::BTreeMap;
use std::sync::Arc;

use cel::{Context, Env, Program, Value};
use serde::Serialize;
use toml::de::{DeTable, DeValue};

use crate::attempt::Attempt;
use crate::glob::Glob;
use crate::problem::Problem;
use crate::verdict::{Decision, Requirement, Verdict};

/// A loaded rules file.
pub struct Policy {
    name: String,
    text: String,
    default: Decision,
    rules: Vec<Rule>,
    tests: usize,
    env: Arc<Env>,
}

struct Rule {
    id: String,
    line: usize,
    agent: Vec<Glob>,
    action: Vec<Glob>,
    when: Option<Program>,
    verdict: Decision,
    requirement: Requirement,
    reason: Option<String>,
}

/// How one rule that concerns an attempt answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// The rule's id.
    pub rule: String,
    /// The rule's verdict.
    pub verdict: Decision,
    /// Where it is in the rules file.
    pub line: usize,
    /// Whether it counted.
    pub matched: bool,
    /// What the condition gave: `true`, `false`, `error`, or `none` where there is none.
    pub when: &'static str,
    /// Why the condition could not be worked out.
    pub error: Option<String>,
}

impl Policy {
    /// Loads a rules file; the errors that keep it from being loaded.
    pub fn load(text: &str) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let table = DeTable::parse(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            vec![Problem::error(text, offset, error.message().to_owned())]
        })?;
        let table = table.into_inner();
        let env = Env::stdlib();
        let default = str_of(&table, "default").unwrap_or("require_approval");
        let default = Decision::of(default)
            .ok_or_else(|| vec![Problem::error(text, 0, format!("unknown verdict `{default}`"))])?;
        let mut rules = Vec::new();
        if let Some(DeValue::Array(entries)) = table.get("rule").map(|v| v.get_ref()) {
            for entry in entries.iter() {
                let DeValue::Table(rule) = entry.get_ref() else { continue };
                let at = entry.span().start;
                rules.push(Rule::of(text, at, rule, &env).map_err(|problem| vec![problem])?);
            }
        }
        let tests = match table.get("test").map(|v| v.get_ref()) {
            Some(DeValue::Array(tests)) => tests.len(),
            _ => 0,
        };
        let name = str_of(&table, "name").unwrap_or_default().to_owned();
        let policy =
            Self { name, text: text.to_owned(), default, rules, tests, env: Arc::new(env) };
        Ok((policy, Vec::new()))
    }

    /// The file's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many rules there are.
    #[must_use]
    pub fn rules(&self) -> usize {
        self.rules.len()
    }

    /// How many tests the file has.
    #[must_use]
    pub fn tests(&self) -> usize {
        self.tests
    }

    /// Who this policy is, as JSON.
    #[must_use]
    pub fn describe(&self) -> String {
        serde_json::json!({
            "name": self.name, "kind": "rules", "format": 1, "rules_count": self.rules.len(),
            "default": self.default, "version": env!("CARGO_PKG_VERSION"), "rules": self.text,
        })
        .to_string()
    }

    /// The verdict on an attempt.
    #[must_use]
    pub fn evaluate(&self, attempt: &Attempt<'_>) -> Verdict {
        self.explain(attempt).0
    }

    /// The verdict, and how each rule that concerns the attempt answered.
    #[must_use]
    pub fn explain(&self, attempt: &Attempt<'_>) -> (Verdict, Vec<Trace>) {
        let mut context = Context::with_env(Arc::clone(&self.env));
        context.add_variable_from_value("agent", attempt.agent.to_owned());
        context.add_variable_from_value("action", attempt.action.to_owned());
        for (name, json) in [("context", Some(attempt.context)), ("plan", attempt.plan)] {
            let json: Option<serde_json::Value> =
                json.and_then(|json| serde_json::from_str(json).ok());
            let value = json.and_then(|json| cel::to_value(json).ok()).unwrap_or(Value::Null);
            context.add_variable_from_value(name, value);
        }
        let mut trace = Vec::new();
        let mut verdict =
            Verdict { decision: self.default, rule: None, reason: None, requirement: None };
        let mut requirement = Requirement::default();
        for rule in &self.rules {
            let concerns = rule.agent.iter().any(|glob| glob.matches(attempt.agent))
                && rule.action.iter().any(|glob| glob.matches(attempt.action));
            if !concerns {
                continue;
            }
            let item = rule.answer(&context);
            if item.matched {
                if verdict.rule.is_none() || rule.verdict > verdict.decision {
                    verdict.decision = rule.verdict;
                    verdict.rule = Some(rule.id.clone());
                    verdict.reason.clone_from(&rule.reason);
                }
                requirement.tighten(&rule.requirement);
            }
            trace.push(item);
        }
        if verdict.decision == Decision::RequireApproval {
            verdict.requirement = Some(requirement);
        }
        (verdict, trace)
    }
}

impl Rule {
    fn of(text: &str, at: usize, rule: &DeTable<'_>, env: &Env) -> Result<Self, Problem> {
        let error = |message: String| Problem::error(text, at, message);
        let verdict = str_of(rule, "verdict").and_then(Decision::of);
        let verdict = verdict.ok_or_else(|| error("a rule needs a verdict".to_owned()))?;
        let when = str_of(rule, "when").map(|when| env.compile(when)).transpose();
        Ok(Self {
            id: str_of(rule, "id").unwrap_or_default().to_owned(),
            line: error(String::new()).line,
            agent: globs(rule, "agent"),
            action: globs(rule, "action"),
            when: when.map_err(|e| error(e.to_string()))?,
            verdict,
            requirement: requirement(rule),
            reason: str_of(rule, "reason").map(str::to_owned),
        })
    }

    fn answer(&self, context: &Context<'_, '_>) -> Trace {
        let result = self.when.as_ref().map(|program| program.execute(context));
        let lenient = self.verdict == Decision::Allow;
        let (matched, when, error) = match result {
            None => (true, "none", None),
            Some(Ok(Value::Bool(true))) => (true, "true", None),
            Some(Ok(Value::Bool(false))) => (false, "false", None),
            Some(Ok(_)) => (!lenient, "error", Some("the condition gives no bool".to_owned())),
            Some(Err(e)) => (!lenient, "error", Some(e.to_string())),
        };
        Trace {
            rule: self.id.clone(),
            verdict: self.verdict,
            line: self.line,
            matched,
            when,
            error,
        }
    }
}

impl Requirement {
    fn tighten(&mut self, other: &Self) {
        self.ttl_seconds = match (self.ttl_seconds, other.ttl_seconds) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        self.threshold = self.threshold.max(other.threshold);
        for (group, minimum) in &other.groups {
            let ours = self.groups.entry(group.clone()).or_default();
            *ours = (*ours).max(*minimum);
        }
    }
}

fn str_of<'t>(table: &'t DeTable<'_>, name: &str) -> Option<&'t str> {
    table.get(name)?.get_ref().as_str()
}

fn globs(rule: &DeTable<'_>, name: &str) -> Vec<Glob> {
    match rule.get(name).map(|value| value.get_ref()) {
        Some(DeValue::String(glob)) => vec![Glob::new(glob)],
        Some(DeValue::Array(globs)) => {
            globs.iter().filter_map(|glob| glob.get_ref().as_str()).map(Glob::new).collect()
        }
        _ => vec![Glob::new("*")],
    }
}

fn requirement(rule: &DeTable<'_>) -> Requirement {
    let int = |value: &DeValue<'_>| value.as_integer().and_then(|n| n.as_str().parse().ok());
    let ttl_seconds = rule.get("ttl").and_then(|ttl| match ttl.get_ref() {
        DeValue::String(class) => match class.as_ref() {
            "urgent" => Some(1800),
            "standard" => Some(3600),
            "non-urgent" => Some(86_400),
            "emergency" => Some(300),
            _ => None,
        },
        other => int(other),
    });
    let groups = match rule.get("groups").map(|groups| groups.get_ref()) {
        Some(DeValue::Table(groups)) => groups
            .iter()
            .filter_map(|(name, minimum)| {
                Some((name.get_ref().to_string(), int(minimum.get_ref())?))
            })
            .collect(),
        _ => BTreeMap::new(),
    };
    Requirement {
        ttl_seconds,
        threshold: rule.get("threshold").and_then(|n| int(n.get_ref())),
        groups,
    }
}
