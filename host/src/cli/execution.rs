//! `signoff claim`, `outcome`, `withdraw`, `extend`: operations on an existing approval.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::transport::{Access, Transport};
use super::{Exit, context, exit::Failure, output, output::note};
use crate::api::{Approval, Execution};

/// Attempts to report an outcome: the action has run, so its outcome should be recorded.
const REPORTS_MAX: u32 = 5;

#[derive(Args)]
pub(super) struct ClaimArgs {
    /// The approval's id, or a unique prefix of it
    id: String,
    /// The agent that executes
    #[arg(long)]
    agent: String,
    /// The action to execute
    #[arg(long)]
    action: String,
    /// The context: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-")]
    context: String,
    /// The plan: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-")]
    plan: Option<String>,
    /// Time until the outcome becomes unknown: 300, 10m, at most 1d
    #[arg(long, value_name = "TIME", value_parser = context::seconds)]
    lease: Option<i64>,
}

#[derive(Args)]
pub(super) struct OutcomeArgs {
    /// The approval's id, or a unique prefix of it
    id: String,
    /// The execution id returned by the claim
    #[arg(long)]
    execution_id: String,
    /// The outcome
    #[arg(long, value_parser = ["succeeded", "failed"])]
    outcome: String,
    /// Details, for people
    #[arg(long)]
    detail: Option<String>,
}

#[derive(Args)]
pub(super) struct WithdrawArgs {
    /// The approval's id, or a unique prefix of it
    id: String,
}

#[derive(Args)]
pub(super) struct ExtendArgs {
    /// The approval's id, or a unique prefix of it
    id: String,
    /// Time to live from now: 3600, 30m, 1h; at most 7d after the request
    #[arg(long, visible_alias = "expires-in-seconds", value_name = "TIME", value_parser = context::seconds)]
    expires_in: i64,
}

/// A claim to send.
pub(super) struct Claim<'a> {
    pub(super) agent: &'a str,
    pub(super) action: &'a str,
    pub(super) context: &'a str,
    pub(super) plan: Option<&'a str>,
    pub(super) lease_seconds: Option<i64>,
}

pub(super) fn claim(args: &ClaimArgs, transport: &Transport) -> Result<Exit, Failure> {
    let id = transport.resolve(&args.id)?;
    let plan = args.plan.as_deref().map(context::text).transpose()?;
    let claim = Claim {
        agent: &args.agent,
        action: &args.action,
        context: &context::text(&args.context)?,
        plan: plan.as_deref(),
        lease_seconds: args.lease,
    };
    let answer = claim.send(transport, &id)?;
    if transport.json {
        output::line(&answer);
    } else {
        let approval: Approval = transport.parse(&answer)?;
        let execution = approval.execution.map(|execution| execution.id).unwrap_or_default();
        output::plain(&execution);
    }
    Ok(Exit::Done)
}

impl Claim<'_> {
    /// Sends it. Returns the approval, JSON.
    pub(super) fn send(&self, transport: &Transport, id: &str) -> Result<String, Failure> {
        transport.post(&Self::path(id), self.body(transport)?, Access::Write)
    }

    /// Sends it with an `Idempotency-Key`: a repeat gets the same execution while it has no outcome.
    pub(super) fn send_once(
        &self,
        transport: &Transport,
        id: &str,
        key: &str,
    ) -> Result<String, Failure> {
        transport.post_once(&Self::path(id), key, self.body(transport)?, Access::Write)
    }

    fn path(id: &str) -> String {
        format!("/api/v1/approvals/{id}/execute")
    }

    fn body(&self, transport: &Transport) -> Result<String, Failure> {
        let mut fields = vec![
            format!("\"agent\":{}", json!(self.agent)),
            format!("\"action\":{}", json!(self.action)),
            transport.field("context", self.context)?,
            format!("\"lease_seconds\":{}", json!(self.lease_seconds)),
        ];
        if let Some(plan) = self.plan {
            fields.push(transport.field("plan", plan)?);
        }
        Ok(format!("{{{}}}", fields.join(",")))
    }
}

pub(super) fn outcome(args: &OutcomeArgs, transport: &Transport) -> Result<Exit, Failure> {
    let id = transport.resolve(&args.id)?;
    let answer = report(transport, &id, &args.execution_id, &args.outcome, args.detail.as_deref())?;
    finish(transport, &answer, |approval| {
        let outcome =
            approval.execution.as_ref().map(|execution: &Execution| execution.outcome.as_str());
        output::plain(&format!("{} {}", approval.id, outcome.unwrap_or_default()));
    })
}

/// Reports an outcome. Returns the approval, JSON.
pub(super) fn report(
    transport: &Transport,
    id: &str,
    execution_id: &str,
    outcome: &str,
    detail: Option<&str>,
) -> Result<String, Failure> {
    let body = json!({ "execution_id": execution_id, "outcome": outcome, "detail": detail });
    transport.post(&format!("/api/v1/approvals/{id}/outcome"), body.to_string(), Access::Write)
}

pub(super) fn withdraw_command(
    args: &WithdrawArgs,
    transport: &Transport,
) -> Result<Exit, Failure> {
    let id = transport.resolve(&args.id)?;
    let path = format!("/api/v1/approvals/{id}/withdraw");
    let answer = transport.post(&path, "{}".to_owned(), Access::Write)?;
    finish(transport, &answer, output::status_line)
}

pub(super) fn extend(args: &ExtendArgs, transport: &Transport) -> Result<Exit, Failure> {
    let id = transport.resolve(&args.id)?;
    let body = json!({ "expires_in_seconds": args.expires_in });
    let path = format!("/api/v1/approvals/{id}/extend");
    let answer = transport.post(&path, body.to_string(), Access::Write)?;
    finish(transport, &answer, |approval| {
        output::plain(&format!("{} expires {}", approval.id, approval.expires_at));
    })
}

fn finish(transport: &Transport, answer: &str, print: impl Fn(&Approval)) -> Result<Exit, Failure> {
    if transport.json {
        output::line(answer);
    } else {
        print(&transport.parse(answer)?);
    }
    Ok(Exit::Done)
}

/// Withdraws the request; a failure is noted, because the approval then stays until it expires.
pub(super) fn withdraw(transport: &Transport, id: &str) {
    let path = format!("/api/v1/approvals/{id}/withdraw");
    if let Err(failure) = transport.post(&path, "{}".to_owned(), Access::Write) {
        note(&format!("{id} could not be withdrawn:"));
        failure.print();
    }
}

/// Reports the outcome, with retries. If all fail, the outcome becomes `unknown` when the lease
/// expires. Returns whether it was reported.
pub(super) fn report_outcome(
    transport: &Transport,
    id: &str,
    execution_id: &str,
    outcome: &str,
    detail: Option<&str>,
) -> bool {
    let mut pause = Duration::from_millis(100);
    for attempt in 1..=REPORTS_MAX {
        match report(transport, id, execution_id, outcome, detail) {
            Ok(_) => return true,
            Err(failure) if attempt == REPORTS_MAX => {
                note(&format!("the outcome `{outcome}` of {id} could not be reported:"));
                failure.print();
            }
            Err(_) => std::thread::sleep(pause),
        }
        pause *= 3;
    }
    false
}
