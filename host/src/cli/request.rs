//! `signoff request`: asks for an approval.

use clap::Args;
use serde_json::json;

use super::transport::{Access, Transport};
use super::{Exit, context, exit::Failure, output, wait};
use crate::api::Approval;

#[derive(Args)]
pub(super) struct RequestArgs {
    /// Who asks
    #[arg(long)]
    agent: String,
    /// What it wants to do
    #[arg(long)]
    action: String,
    /// What it is about: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-")]
    context: String,
    /// What exactly will run: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-")]
    plan: Option<String>,
    /// Why, for the reviewer
    #[arg(long)]
    reason: Option<String>,
    /// How long the approval lives: 3600, 30m, 1h, at most 7d
    #[arg(long, visible_alias = "expires-in-seconds", value_name = "TIME", value_parser = context::seconds, allow_hyphen_values = true)]
    expires_in: Option<i64>,
    /// Wait until it is decided
    #[arg(long)]
    wait: bool,
}

pub(super) fn run(args: &RequestArgs, transport: &Transport) -> Result<Exit, Failure> {
    let new = New {
        agent: &args.agent,
        action: &args.action,
        context: context::text(&args.context)?,
        plan: args.plan.as_deref().map(context::text).transpose()?,
        reason: args.reason.as_deref(),
        expires_in_seconds: args.expires_in,
    };
    let answer = new.send(transport)?;
    let approval: Approval = transport.parse(&answer)?;
    if args.wait {
        output::note(&format!("{} is pending; waiting for a decision", approval.id));
        return wait::until_decided(transport, &approval.id, None);
    }
    if transport.json {
        output::line(&answer);
    } else {
        output::approval(&approval);
    }
    Ok(Exit::Done)
}

/// A request on its way.
pub(super) struct New<'a> {
    pub(super) agent: &'a str,
    pub(super) action: &'a str,
    pub(super) context: String,
    pub(super) plan: Option<String>,
    pub(super) reason: Option<&'a str>,
    pub(super) expires_in_seconds: Option<i64>,
}

impl New<'_> {
    /// Sends it; answers the approval, JSON.
    pub(super) fn send(&self, transport: &Transport) -> Result<String, Failure> {
        let mut fields = vec![
            format!("\"agent\":{}", json!(self.agent)),
            format!("\"action\":{}", json!(self.action)),
            transport.field("context", &self.context)?,
            format!("\"reason\":{}", json!(self.reason)),
            format!("\"expires_in_seconds\":{}", json!(self.expires_in_seconds)),
        ];
        if let Some(plan) = &self.plan {
            fields.push(transport.field("plan", plan)?);
        }
        let body = format!("{{{}}}", fields.join(","));
        transport.post("/api/v1/approvals", body, Access::Create)
    }
}
