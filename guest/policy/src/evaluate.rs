//! From an attempt to a verdict. The strictest rule that matches decides: deny, then
//! require_approval, then allow; where none matches, the default.

use std::sync::Arc;

use cel::Context;
use serde::Serialize;

use crate::attempt::Attempt;
use crate::condition::{Outcome, Scope};
use crate::limits::FAILED_MAX;
use crate::policy::{Policy, Rule};
use crate::verdict::{Decision, Requirement, Verdict};

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
    /// The verdict on an attempt.
    #[must_use]
    pub fn evaluate(&self, attempt: &Attempt<'_>) -> Verdict {
        let scope = Scope::new(attempt, &self.tables);
        let mut evaluation = Evaluation::new(self, &scope);
        let rules = self.concerned(attempt);
        let answers: Vec<(&Rule, Option<Outcome>)> =
            rules.into_iter().map(|rule| (rule, evaluation.outcome(rule))).collect();
        let failed = failed(&answers);
        let decided = |rule: &Rule, requirement| decided(rule, requirement, attempt, &scope);
        let of = |verdict: Decision| {
            let matching = answers.iter().filter(|(rule, outcome)| matches(rule, *outcome));
            matching.map(|(rule, _)| *rule).filter(move |rule| rule.verdict == verdict)
        };
        if let Some(rule) = of(Decision::Deny).next() {
            return Verdict { failed, ..decided(rule, None) };
        }
        let mut asking = of(Decision::RequireApproval);
        if let Some(first) = asking.next() {
            let mut requirement = first.requirement.clone();
            asking.for_each(|rule| requirement.tighten(&rule.requirement));
            return Verdict { failed, ..decided(first, Some(requirement)) };
        }
        if let Some(rule) = of(Decision::Allow).next() {
            return Verdict { failed, ..decided(rule, None) };
        }
        Verdict { decision: self.default, rule: None, reason: None, requirement: None, failed }
    }

    /// How each rule that concerns the attempt answers, in file order.
    #[must_use]
    pub fn trace(&self, attempt: &Attempt<'_>) -> Vec<Trace> {
        let scope = Scope::new(attempt, &self.tables);
        let mut evaluation = Evaluation::new(self, &scope);
        self.concerned(attempt).into_iter().map(|rule| evaluation.trace(rule)).collect()
    }

    /// The rules whose globs fit, in file order.
    fn concerned(&self, attempt: &Attempt<'_>) -> Vec<&Rule> {
        let candidates = self.index.candidates(attempt.agent, attempt.action).into_iter();
        candidates
            .filter_map(|at| self.rules.get(at as usize))
            .filter(|rule| rule.shape.fits(attempt.agent, attempt.action))
            .collect()
    }
}

fn decided(
    rule: &Rule,
    requirement: Option<Requirement>,
    attempt: &Attempt<'_>,
    scope: &Scope<'_>,
) -> Verdict {
    Verdict {
        decision: rule.verdict,
        rule: Some(rule.id.clone()),
        reason: rule
            .reason
            .as_ref()
            .map(|reason| reason.fill(attempt.agent, attempt.action, scope)),
        requirement,
        failed: Vec::new(),
    }
}

/// Whether a rule counts. A condition that fails to evaluate counts where that is the strict side.
fn matches(rule: &Rule, outcome: Option<Outcome>) -> bool {
    match outcome {
        None | Some(Outcome::Bool(true)) => true,
        Some(Outcome::Bool(false)) => false,
        Some(Outcome::Error) => rule.verdict != Decision::Allow,
    }
}

/// The ids of the rules whose condition fails to evaluate, the first 16.
fn failed(answers: &[(&Rule, Option<Outcome>)]) -> Vec<String> {
    let failed = answers.iter().filter(|(_, outcome)| *outcome == Some(Outcome::Error));
    failed.take(FAILED_MAX).map(|(rule, _)| rule.id.clone()).collect()
}

/// The conditions of one attempt; one that several rules have is worked out once.
struct Evaluation<'e> {
    policy: &'e Policy,
    context: Context<'e, 'e>,
    known: Vec<(u32, Outcome)>,
}

impl<'e> Evaluation<'e> {
    fn new(policy: &'e Policy, scope: &'e Scope<'_>) -> Self {
        let mut context = Context::with_env(Arc::clone(&policy.env));
        context.set_variable_resolver(scope);
        Self { policy, context, known: Vec::new() }
    }

    /// None where the rule has no condition.
    fn outcome(&mut self, rule: &Rule) -> Option<Outcome> {
        let at = rule.condition?;
        let Some(shared) = self.policy.condition(rule) else { return Some(Outcome::Error) };
        if !shared.by_many {
            return Some(shared.condition.outcome(&self.context));
        }
        if let Some((_, outcome)) = self.known.iter().find(|(known, _)| *known == at) {
            return Some(*outcome);
        }
        let outcome = shared.condition.outcome(&self.context);
        self.known.push((at, outcome));
        Some(outcome)
    }

    fn trace(&mut self, rule: &Rule) -> Trace {
        let outcome = self.outcome(rule);
        let (when, error) = match outcome {
            None => ("none", None),
            Some(Outcome::Bool(true)) => ("true", None),
            Some(Outcome::Bool(false)) => ("false", None),
            Some(Outcome::Error) => {
                let shared = self.policy.condition(rule);
                let told = shared
                    .and_then(|shared| shared.condition.error(&self.context, &self.policy.tables));
                ("error", told)
            }
        };
        Trace {
            rule: rule.id.clone(),
            verdict: rule.verdict,
            line: rule.line,
            matched: matches(rule, outcome),
            when,
            error,
        }
    }
}

impl Requirement {
    /// Takes over what the other asks for more strictly.
    pub fn tighten(&mut self, other: &Self) {
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
