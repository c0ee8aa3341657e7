//! `signoff request`: requests an approval.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};

use super::transport::{Access, Transport};
use super::{Exit, context, exit::Failure, output, wait};
use crate::api::Approval;

const APPROVALS: &str = "/api/v1/approvals";

#[derive(Args)]
pub(super) struct RequestArgs {
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
    /// The reason, for the reviewer
    #[arg(long)]
    reason: Option<String>,
    /// Time to live of the approval: 3600, 30m, 1h, at most 7d
    #[arg(long, visible_alias = "expires-in-seconds", value_name = "TIME", value_parser = context::seconds, allow_hyphen_values = true)]
    expires_in: Option<i64>,
    #[command(flatten)]
    requirement: RequirementArgs,
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
        requirement: &args.requirement,
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
        output::approval(&approval, false);
    }
    Ok(Exit::Done)
}

/// The requirement, if more than one approver is needed.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct RequirementArgs {
    /// The number of approvers [default: 1]
    #[arg(long, value_name = "N")]
    threshold: Option<u32>,
    /// The number of approvers from a group; may be repeated
    #[arg(long = "group", value_name = "NAME=N", value_parser = group)]
    groups: Vec<(String, u32)>,
}

impl RequirementArgs {
    /// Returns the requirement as a field of the request; `None` if nothing was given.
    fn field(&self) -> Option<String> {
        if self.threshold.is_none() && self.groups.is_empty() {
            return None;
        }
        Some(format!("\"requirement\":{}", self.floor()))
    }

    /// Returns the requirement, JSON; without options one that requires nothing.
    pub(super) fn floor(&self) -> Value {
        let groups: BTreeMap<_, _> = self.groups.iter().cloned().collect();
        let mut requirement = json!({ "groups": groups });
        if let (Some(threshold), Value::Object(fields)) = (self.threshold, &mut requirement) {
            fields.insert("threshold".to_owned(), threshold.into());
        }
        requirement
    }
}

fn group(text: &str) -> Result<(String, u32), String> {
    let wrong = || "expected a group and a number, as in sre=1".to_owned();
    let (name, minimum) = text.rsplit_once('=').ok_or_else(wrong)?;
    let minimum = minimum.parse().map_err(|_| wrong())?;
    if name.is_empty() { Err(wrong()) } else { Ok((name.to_owned(), minimum)) }
}

/// A request to send.
pub(super) struct New<'a> {
    pub(super) agent: &'a str,
    pub(super) action: &'a str,
    pub(super) context: String,
    pub(super) plan: Option<String>,
    pub(super) reason: Option<&'a str>,
    pub(super) expires_in_seconds: Option<i64>,
    pub(super) requirement: &'a RequirementArgs,
}

impl New<'_> {
    /// Sends it. Returns the approval, JSON.
    pub(super) fn send(&self, transport: &Transport) -> Result<String, Failure> {
        transport.post(APPROVALS, self.body(transport)?, Access::Create)
    }

    /// Sends it with an `Idempotency-Key`. Returns the approval, JSON.
    pub(super) fn send_once(&self, transport: &Transport, key: &str) -> Result<String, Failure> {
        transport.post_once(APPROVALS, key, self.body(transport)?, Access::Create)
    }

    fn body(&self, transport: &Transport) -> Result<String, Failure> {
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
        fields.extend(self.requirement.field());
        Ok(format!("{{{}}}", fields.join(",")))
    }
}
