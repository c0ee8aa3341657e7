//! `signoff run`: a prefix for any command. Requests an approval, waits, claims it, runs the
//! command and reports the outcome. The approver signs the command itself as the plan. With
//! `--guardrails` the policy is evaluated first, and an allowed command runs without an approval.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::json;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use super::evaluate::{EvaluateRequest, format_evaluation};
use super::execution::{Claim, report};
use super::output::note;
use super::request::{New, RequirementArgs};
use super::transport::Transport;
use super::{Exit, context, exit::Failure, wait};
use crate::api::{Approval, Evaluation};
use crate::code::Code;
use crate::keys::SECRET_VARIABLES;
use crate::policy::Decision;

/// Attempts to report an outcome: the command has run, so its outcome should be recorded.
const REPORTS_MAX: u32 = 5;

#[derive(Args)]
pub(super) struct RunArgs {
    /// The agent
    #[arg(long)]
    agent: String,
    /// The action
    #[arg(long)]
    action: String,
    /// The context: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-", default_value = "{}")]
    context: String,
    /// The reason, for the reviewer [default: the command line]
    #[arg(long)]
    reason: Option<String>,
    /// Time to live of the approval: 3600, 30m, 1h, at most 7d
    #[arg(long, visible_alias = "expires-in-seconds", value_name = "TIME", value_parser = context::seconds)]
    expires_in: Option<i64>,
    #[command(flatten)]
    requirement: RequirementArgs,
    /// Stop waiting after this time: 90, 30m, 1h [default: when the approval expires]
    #[arg(long, value_name = "TIME", value_parser = context::seconds)]
    timeout: Option<i64>,
    /// Time after which the outcome of the command becomes unknown
    #[arg(long, value_name = "TIME", value_parser = context::seconds, default_value = "1h")]
    lease: i64,
    /// Evaluate the policy first: an allowed command runs immediately, without an approval
    #[arg(long)]
    guardrails: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub(super) fn run(args: &RunArgs, transport: &Transport) -> Result<Exit, Failure> {
    let argv = argv(&args.command)?;
    let context = context::text(&args.context)?;
    let directory = env::current_dir()?;
    let plan = json!({ "command": argv, "directory": directory.to_string_lossy() }).to_string();
    if args.guardrails && allowed(args, transport, &context, &plan)? {
        return ended(execute(&args.command)?);
    }
    let id = request(args, transport, &argv, &context, &plan)?;
    approved(args, transport, &id)?;
    let claim = Claim {
        agent: &args.agent,
        action: &args.action,
        context: &context,
        plan: Some(&plan),
        lease_seconds: Some(args.lease),
    };
    let claimed: Approval = transport.parse(&claim.send(transport, &id)?)?;
    let execution = claimed.execution.context("the response to the claim has no execution")?;
    let ran = execute(&args.command);
    let (outcome, detail) = match &ran {
        Ok(status) if status.success() => ("succeeded", None),
        Ok(status) => ("failed", Some(status.to_string())),
        Err(e) => ("failed", Some(format!("it did not start: {e:#}"))),
    };
    report_outcome(transport, &id, &execution.id, outcome, detail.as_deref());
    ended(ran?)
}

/// Returns the command's exit code; for a signal 128 plus its number, as in a shell.
fn ended(status: ExitStatus) -> Result<Exit, Failure> {
    let code = status.code().unwrap_or(128 + status.signal().unwrap_or(0));
    Ok(Exit::Run(u8::try_from(code).unwrap_or(u8::MAX)))
}

/// Returns whether the policy allows the command. A denial is a failure, which no approval could
/// change.
fn allowed(
    args: &RunArgs,
    transport: &Transport,
    context: &str,
    plan: &str,
) -> Result<bool, Failure> {
    let request =
        EvaluateRequest { agent: &args.agent, action: &args.action, context, plan: Some(plan) };
    let evaluation: Evaluation = transport.parse(&request.send(transport)?)?;
    note(&format_evaluation(&evaluation));
    match evaluation.decision {
        Decision::Allow => Ok(true),
        Decision::RequireApproval => Ok(false),
        Decision::Deny => Err(transport.refused(Code::POLICY_DENIED, evaluation.reason)),
    }
}

fn argv(command: &[OsString]) -> Result<Vec<&str>, Failure> {
    let text = |argument: &OsString| {
        anyhow!("`{}` is not UTF-8 and cannot be shown to a reviewer", argument.display())
    };
    command.iter().map(|a| a.to_str().ok_or_else(|| Failure::Failed(text(a)))).collect()
}

fn request(
    args: &RunArgs,
    transport: &Transport,
    argv: &[&str],
    context: &str,
    plan: &str,
) -> Result<String, Failure> {
    let shown = argv.join(" ");
    let shown: String = shown.chars().filter(|c| !c.is_control()).take(1_000).collect();
    let new = New {
        agent: &args.agent,
        action: &args.action,
        context: context.to_owned(),
        plan: Some(plan.to_owned()),
        reason: Some(args.reason.as_deref().unwrap_or(&shown)),
        expires_in_seconds: args.expires_in,
        requirement: &args.requirement,
    };
    let approval: Approval = transport.parse(&new.send(transport)?)?;
    note(&format!("{} waits for approval until {}", approval.id, approval.expires_at));
    Ok(approval.id)
}

/// Waits for the approval; any other status is a failure.
fn approved(args: &RunArgs, transport: &Transport, id: &str) -> Result<(), Failure> {
    let timeout = args.timeout.map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
    let answer = wait::no_longer(transport, id, "pending", timeout)?;
    let approval: Approval = transport.parse(&answer)?;
    if approval.status == "approved" {
        let approver = approval.approver.unwrap_or_default();
        note(&format!("{id} approved by {approver}"));
        return Ok(());
    }
    let comment = approval.comment.map(|comment| format!(": {comment}"));
    Err(Failure::Failed(anyhow!("{id} is {}{}", approval.status, comment.unwrap_or_default())))
}

/// Runs the command, without signoff's own secrets in its environment. A terminal's Ctrl-C reaches
/// it directly; SIGTERM is forwarded to it, so that its outcome is always reported.
fn execute(command: &[OsString]) -> anyhow::Result<ExitStatus> {
    let (program, arguments) = command.split_first().context("no command is given")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupts = signal(SignalKind::interrupt())?;
        let mut terminations = signal(SignalKind::terminate())?;
        let mut command = Command::new(program);
        command.args(arguments);
        for variable in SECRET_VARIABLES.into_iter().chain(["SIGNOFF_TOKEN"]) {
            command.env_remove(variable);
        }
        let mut child =
            command.spawn().with_context(|| format!("cannot run `{}`", program.display()))?;
        loop {
            tokio::select! {
                status = child.wait() => return Ok(status?),
                _ = interrupts.recv() => {}
                _ = terminations.recv() => {
                    let pid = child.id().and_then(|id| i32::try_from(id).ok());
                    if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
                        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
                    }
                }
            }
        }
    })
}

/// Reports the outcome, with retries. If all fail, the outcome becomes `unknown` when the lease
/// expires.
fn report_outcome(
    transport: &Transport,
    id: &str,
    execution_id: &str,
    outcome: &str,
    detail: Option<&str>,
) {
    let mut pause = Duration::from_millis(100);
    for attempt in 1..=REPORTS_MAX {
        match report(transport, id, execution_id, outcome, detail) {
            Ok(_) => return,
            Err(failure) if attempt == REPORTS_MAX => {
                note(&format!("the outcome `{outcome}` of {id} could not be reported:"));
                failure.print();
            }
            Err(_) => std::thread::sleep(pause),
        }
        pause *= 3;
    }
}
