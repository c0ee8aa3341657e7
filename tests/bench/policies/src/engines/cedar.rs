//! Cedar. It has two decisions, so a rule that denies or requires approval is a `forbid`; the ids of the
//! policies that determined the answer say which of the two it is.

use std::fmt::Write;

use anyhow::{Result, anyhow};
use cedar_policy::{Authorizer, Context, Entities, EntityUid, PolicySet, Request};

use super::Engine;
use crate::rules::{AGENT, Answer, Attempt, Condition, Decision, Rule, strictest};

pub struct Policies {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Entities,
    agent: EntityUid,
    resource: EntityUid,
    rules: Vec<Rule>,
}

impl Policies {
    pub fn new(rules: &[Rule]) -> Result<Self> {
        let mut text = String::new();
        for rule in rules {
            let effect = if rule.decision == Decision::Allow { "permit" } else { "forbid" };
            let when = when(rule.condition);
            let action = &rule.action;
            let _ = writeln!(
                text,
                "{effect}(principal, action == Action::\"{action}\", resource) when {{ {when} }};"
            );
        }
        Ok(Self {
            authorizer: Authorizer::new(),
            policies: text.parse().map_err(|e| anyhow!("{e}"))?,
            entities: Entities::empty(),
            agent: uid("Agent", AGENT)?,
            resource: uid("Resource", "any")?,
            rules: rules.to_vec(),
        })
    }
}

impl Engine for Policies {
    fn evaluate(&mut self, attempt: &Attempt) -> Result<Answer> {
        let context = Context::from_json_str(&attempt.context, None)?;
        let action = uid("Action", &attempt.action)?;
        let request =
            Request::new(self.agent.clone(), action, self.resource.clone(), context, None)?;
        let response = self.authorizer.is_authorized(&request, &self.policies, &self.entities);
        // The policies of a set parsed from one text are named `policy0`, `policy1` and so on.
        let number = |id: &str| id.trim_start_matches("policy").parse::<usize>();
        let reasons = response.diagnostics().reason();
        let matched = reasons.map(|id| number(id.as_ref())).collect::<Result<Vec<_>, _>>()?;
        Ok(strictest(&self.rules, matched.into_iter()))
    }
}

fn uid(kind: &str, id: &str) -> Result<EntityUid> {
    Ok(EntityUid::from_type_name_and_id(kind.parse()?, cedar_policy::EntityId::new(id)))
}

fn when(condition: Condition) -> String {
    match condition {
        Condition::Risk(least) => format!("context.risk_score >= {least}"),
        Condition::Changes(most) => {
            format!("context.environment == \"production\" && context.changes_count > {most}")
        }
        Condition::Folder(folder) => format!("context.path like \"{folder}*\""),
        Condition::Reviewed(below) => format!("context.reviewed && context.risk_score < {below}"),
        Condition::Recipients(most) => format!("context.recipients > {most}"),
    }
}
