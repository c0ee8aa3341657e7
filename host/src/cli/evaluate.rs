//! `signoff evaluate`: evaluates the policy for an action, without requesting an approval.

use clap::Args;
use serde_json::json;

use super::transport::{Access, Transport};
use super::{Exit, context, exit::Failure, output, screen};
use crate::api::Evaluation;
use crate::policy::Decision;

#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 the policy allows it, 4 it requires approval, 3 it denies it or the call is refused."
)]
pub(super) struct EvaluateArgs {
    /// The agent
    #[arg(long)]
    agent: String,
    /// The action
    #[arg(long)]
    action: String,
    /// The context: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-")]
    context: String,
    /// The plan, which is exactly what will run: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-")]
    plan: Option<String>,
}

/// An action to evaluate.
pub(super) struct EvaluateRequest<'a> {
    pub(super) agent: &'a str,
    pub(super) action: &'a str,
    pub(super) context: &'a str,
    pub(super) plan: Option<&'a str>,
}

pub(super) fn run(args: &EvaluateArgs, transport: &Transport) -> Result<Exit, Failure> {
    let context = context::text(&args.context)?;
    let plan = args.plan.as_deref().map(context::text).transpose()?;
    let request = EvaluateRequest {
        agent: &args.agent,
        action: &args.action,
        context: &context,
        plan: plan.as_deref(),
    };
    let answer = request.send(transport)?;
    let evaluation: Evaluation = transport.parse(&answer)?;
    if transport.json {
        output::line(&answer);
    } else {
        output::plain(&format_evaluation(&evaluation));
        if !evaluation.failed.is_empty() {
            let rules = evaluation.failed.join(", ");
            output::note(&format!("the conditions of these rules failed to evaluate: {rules}"));
        }
    }
    Ok(match evaluation.decision {
        Decision::Allow => Exit::Done,
        Decision::RequireApproval => Exit::Pending,
        Decision::Deny => Exit::Refused,
    })
}

/// Formats a verdict in one line.
pub(super) fn format_evaluation(evaluation: &Evaluation) -> String {
    let Evaluation { decision, reason, .. } = evaluation;
    let by = evaluation.rule.as_ref().map_or_else(String::new, |rule| format!(" by rule `{rule}`"));
    let needs = evaluation.requirement.as_ref().map(screen::needs);
    let needs = needs.map_or_else(String::new, |needs| format!(" ({needs})"));
    format!("{decision}{by}: {reason}{needs}")
}

impl EvaluateRequest<'_> {
    /// Sends it. Returns the evaluation, JSON.
    pub(super) fn send(&self, transport: &Transport) -> Result<String, Failure> {
        let mut fields = vec![
            format!("\"agent\":{}", json!(self.agent)),
            format!("\"action\":{}", json!(self.action)),
            transport.field("context", self.context)?,
        ];
        if let Some(plan) = self.plan {
            fields.push(transport.field("plan", plan)?);
        }
        let body = format!("{{{}}}", fields.join(","));
        transport.post("/api/v1/guardrails/evaluate", body, Access::Create)
    }
}
