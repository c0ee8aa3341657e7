//! Evaluates an attempt to a verdict.
//!
//! Let M be the rules that concern the attempt and whose condition is true or absent, and F those
//! whose condition fails to evaluate. The verdict is the strictest of those of M and F; the default
//! takes part if M is empty. So a failed condition never gives a milder verdict than true or false
//! would have given. If the context does not fit the schema of the action, every rule that concerns the
//! attempt counts as failed, also one without a condition.

use std::sync::Arc;

use cel::Context;
use signoff_core::authoring::Trace;

use crate::attempt::Attempt;
use crate::condition::{Outcome, Scope};
use crate::file::Names;
use crate::json;
use crate::limits::{FAILED_MAX, REASON_BYTES_MAX};
use crate::policy::{Policy, Rule};
use crate::text::cut;
use crate::verdict::{Decision, Requirement, Verdict};

impl Policy {
    /// Returns the verdict on an attempt.
    #[must_use]
    pub fn evaluate(&self, attempt: &Attempt<'_>) -> Verdict {
        let scope = Scope::new(attempt, &self.tables);
        let mut evaluation = Evaluation::new(self, attempt, &scope);
        let (mut matched, mut failed) = (Vec::new(), Vec::new());
        for rule in self.concerned(attempt) {
            match evaluation.outcome(rule) {
                None | Some(Outcome::Bool(true)) => matched.push(rule),
                Some(Outcome::Bool(false)) => {}
                Some(Outcome::Error) => failed.push(rule),
            }
        }
        let both = || matched.iter().chain(&failed).copied();
        let default = matched.is_empty().then_some(self.default);
        let decision = both().map(|rule| rule.verdict).chain(default).max().unwrap_or(self.default);
        let decides = |rule: &&&Rule| rule.verdict == decision;
        let (rule, reason) = if let Some(rule) = matched.iter().find(decides) {
            let reason = rule.reason.as_ref();
            (Some(*rule), reason.map(|it| it.fill(attempt.agent, attempt.action, &scope)))
        } else if let Some(rule) = failed.iter().find(decides) {
            (Some(*rule), Some(evaluation.why_failed(rule)))
        } else {
            (None, None)
        };
        Verdict {
            decision,
            rule: rule.map(|rule| rule.id.clone()),
            reason,
            requirement: (decision == Decision::RequireApproval)
                .then(|| strictest(both().filter(|rule| rule.verdict == decision)))
                .flatten(),
            failed: failed.iter().take(FAILED_MAX).map(|rule| rule.id.clone()).collect(),
        }
    }

    /// Returns the evaluation of each rule that concerns the attempt, in file order.
    #[must_use]
    pub fn trace(&self, attempt: &Attempt<'_>) -> Vec<Trace> {
        let scope = Scope::new(attempt, &self.tables);
        let mut evaluation = Evaluation::new(self, attempt, &scope);
        self.concerned(attempt).into_iter().map(|rule| evaluation.trace(rule)).collect()
    }

    /// Returns why the context does not fit the schemas of its action; `None` if it fits.
    pub(crate) fn misfit(&self, attempt: &Attempt<'_>, scope: &Scope<'_>) -> Option<String> {
        if self.schemas.0.is_empty() {
            return None;
        }
        self.schemas.misfit(&attempt.action.to_ascii_lowercase(), || scope.context())
    }

    /// Returns the rules whose globs match, in file order.
    fn concerned(&self, attempt: &Attempt<'_>) -> Vec<&Rule> {
        let names = Names::new(attempt.agent, attempt.action);
        let candidates = self.index.candidates(&names.lower_agent, &names.lower_action).into_iter();
        candidates
            .filter_map(|at| self.rules.get(at as usize))
            .filter(|rule| rule.shape.fits(&names))
            .collect()
    }
}

/// Combines the requirements of rules, each part at its strictest value; `None` without rules.
fn strictest<'r>(rules: impl Iterator<Item = &'r Rule>) -> Option<Requirement> {
    rules.map(|rule| rule.requirement.clone()).reduce(|strictest, other| strictest.stricter(&other))
}

/// Returns whether a trace shows a rule as matched: its condition is true or absent, or the
/// condition fails to evaluate and the rule's verdict is not `allow`.
fn matches(rule: &Rule, outcome: Option<Outcome>) -> bool {
    match outcome {
        None | Some(Outcome::Bool(true)) => true,
        Some(Outcome::Bool(false)) => false,
        Some(Outcome::Error) => rule.verdict != Decision::Allow,
    }
}

/// The conditions of one attempt. A condition shared by several rules is evaluated once.
struct Evaluation<'e> {
    policy: &'e Policy,
    context: Context<'e, 'e>,
    known: Vec<(u32, Outcome)>,
    /// Why the context does not fit the schemas of the action: then no condition can be evaluated.
    misfit: Option<String>,
}

impl<'e> Evaluation<'e> {
    fn new(policy: &'e Policy, attempt: &Attempt<'_>, scope: &'e Scope<'_>) -> Self {
        let misfit = policy.misfit(attempt, scope);
        let mut context = Context::with_env(Arc::clone(&policy.env));
        context.set_variable_resolver(scope);
        Self { policy, context, known: Vec::new(), misfit }
    }

    /// Returns the outcome of a rule's condition; `None` if the rule has no condition.
    fn outcome(&mut self, rule: &Rule) -> Option<Outcome> {
        if self.misfit.is_some() {
            return Some(Outcome::Error);
        }
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

    /// Returns the reason of a verdict decided by a rule whose condition failed, at most 4 KiB. It
    /// is not the rule's own reason, which is only valid if the condition is true.
    fn why_failed(&self, rule: &Rule) -> String {
        let mut reason = format!("the condition of rule `{}` could not be evaluated: ", rule.id);
        if let Some(why) = self.error(rule) {
            json::plain(&why, &mut reason, REASON_BYTES_MAX);
        }
        reason.truncate(cut(&reason, REASON_BYTES_MAX).len());
        reason
    }

    /// Returns why the condition of a rule fails to evaluate.
    fn error(&self, rule: &Rule) -> Option<String> {
        if let Some(misfit) = &self.misfit {
            return Some(misfit.clone());
        }
        let condition = &self.policy.condition(rule)?.condition;
        condition.error(&self.context, &self.policy.tables)
    }

    fn trace(&mut self, rule: &Rule) -> Trace {
        let outcome = self.outcome(rule);
        let (when, error) = match outcome {
            None => ("none", None),
            Some(Outcome::Bool(true)) => ("true", None),
            Some(Outcome::Bool(false)) => ("false", None),
            Some(Outcome::Error) => ("error", self.error(rule)),
        };
        Trace {
            rule: rule.id.clone(),
            verdict: rule.verdict,
            line: rule.line,
            matched: matches(rule, outcome),
            when: when.to_owned(),
            error,
        }
    }
}
