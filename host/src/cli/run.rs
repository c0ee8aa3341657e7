//! `signoff run`: a prefix for any command. Requests an approval, waits, claims it, runs the
//! command and reports the outcome. The approver signs the command and the content of its files as
//! the plan. With `--guardrails` the policy is evaluated first, and an allowed command runs without
//! an approval.

mod plan;
mod trust;

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::json;
use tokio::process::Command;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::evaluate::{EvaluateRequest, format_evaluation};
use super::execution::{Claim, report};
use super::output::{line, note};
use super::request::{New, RequirementArgs};
use super::transport::{Access, Transport};
use super::{Exit, context, exit::Failure, wait};
use crate::api::{Approval, Evaluation};
use crate::code::Code;
use crate::core_dump;
use crate::keys::SECRET_VARIABLES;
use crate::policy::Decision;
use plan::{Bound, Sources};
use trust::{Pinned, TrustOptions};

/// Attempts to report an outcome: the command has run, so its outcome should be recorded.
const REPORTS_MAX: u32 = 5;

#[derive(Args)]
#[command(after_help = "Examples:
  signoff run --agent deploy --action db.migrate -- ./migrate.sh --env=production
  signoff run --agent deploy --action db.migrate --trust approvers.json --audience prod \\
    --threshold 2 -- psql -f schema.sql

The approver sees and signs the command, its folder, and the SHA-256 of the program, of a script's
interpreter, and of each argument that names a file. All is computed again after the claim; what was
edited or replaced meanwhile does not run. Not bound are libraries, imports, the environment and the
network.

Exit codes: the command's own; 125 where signoff failed or nothing may run; 128 plus the signal if it
was interrupted while waiting, and the request is withdrawn.")]
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
    /// More of the plan, for the reviewer: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-")]
    plan: Option<String>,
    /// A file whose content is bound, too; may be repeated
    #[arg(long, value_name = "FILE")]
    bind: Vec<PathBuf>,
    /// The number of an argument that is not a file, although one has its name; may be repeated
    #[arg(long, value_name = "N")]
    no_bind: Vec<usize>,
    /// The command's standard input, bound like its arguments [default: empty]
    #[arg(long, value_name = "FILE")]
    stdin: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustOptions,
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
    // The command could read the token in this process.
    core_dump::forbid().context("cannot hide this process from the command")?;
    let command = texts(&args.command)?;
    let context = context::text(&args.context)?;
    let sources = Sources {
        command: &command,
        bind: &args.bind,
        no_bind: &args.no_bind,
        stdin: args.stdin.as_deref(),
    };
    let bound = sources.bind()?;
    let more = args.plan.as_deref().map(context::text).transpose()?;
    let plan = match &more {
        Some(more) => format!("{{\"plan\":{more},\"run\":{}}}", bound.plan),
        None => bound.plan.clone(),
    };
    let pinned = match (&args.trust.trust, &args.trust.audience) {
        (Some(keyring), Some(audience)) => {
            Some(Pinned::load(keyring, audience, &args.requirement.floor())?)
        }
        _ => None,
    };
    if args.guardrails && allowed(args, transport, &context, &plan)? {
        return ended(execute(&command, sources.bind()?)?);
    }
    let id = request(args, transport, &command, &context, &plan)?;
    let approval = approved(args, transport, &id)?;
    match &pinned {
        Some(pinned) => {
            let attempt = trust::attempt(&args.agent, &args.action, &context, &plan);
            pinned.verify(transport, &id, &attempt).inspect_err(|_| withdraw(transport, &id))?;
        }
        None => trust::note_unverified(&approval),
    }
    let claim = Claim {
        agent: &args.agent,
        action: &args.action,
        context: &context,
        plan: Some(&plan),
        lease_seconds: Some(args.lease),
    };
    let claimed: Approval = transport.parse(&claim.send(transport, &id)?)?;
    let execution = claimed.execution.context("the response to the claim has no execution")?;
    let unchanged =
        sources.bind().map_err(Failure::from).and_then(|again| match again.difference(&bound) {
            Some(why) => Err(transport.refused(Code::PLAN_MISMATCH, format!("{why}; nothing ran"))),
            None => Ok(again),
        });
    let ran = unchanged.and_then(|again| Ok(execute(&command, again)?));
    let (outcome, detail) = match &ran {
        Ok(status) if status.success() => ("succeeded", None),
        Ok(status) => ("failed", Some(status.to_string())),
        Err(failure) => ("failed", Some(format!("it did not start: {}", failure.words()))),
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

fn texts(command: &[OsString]) -> Result<Vec<String>, Failure> {
    let text = |argument: &OsString| {
        anyhow!("`{}` is not UTF-8 and cannot be shown to a reviewer", argument.display())
    };
    let words = command.iter().map(|argument| {
        argument.to_str().map(str::to_owned).ok_or_else(|| Failure::Failed(text(argument)))
    });
    words.collect()
}

fn request(
    args: &RunArgs,
    transport: &Transport,
    command: &[String],
    context: &str,
    plan: &str,
) -> Result<String, Failure> {
    let shown = command.join(" ");
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

/// Waits for the approval; any other status is a failure. A request that nobody waits for any more is
/// withdrawn: after a time-out, and on SIGINT, SIGTERM and SIGHUP, which end the process.
fn approved(args: &RunArgs, transport: &Transport, id: &str) -> Result<Approval, Failure> {
    let timeout = args.timeout.map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
    let answer = std::thread::scope(|scope| {
        let (done, ended) = oneshot::channel::<()>();
        let waiting = scope.spawn(move || {
            let _done = done;
            wait::no_longer(transport, id, "pending", timeout)
        });
        if let Some(signal) = interrupted_before(ended)? {
            withdraw(transport, id);
            note(&format!("interrupted; {id} is withdrawn and nothing ran"));
            std::process::exit(128 + signal);
        }
        waiting.join().unwrap_or_else(|_| Err(anyhow!("the wait failed").into()))
    })?;
    let approval: Approval = transport.parse(&answer)?;
    if approval.status == "approved" {
        return Ok(approval);
    }
    if approval.status == "pending" {
        withdraw(transport, id);
    }
    Err(not_approved(transport, &approval))
}

/// Returns the signal that arrived before `ended` closed.
fn interrupted_before(ended: oneshot::Receiver<()>) -> Result<Option<i32>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [mut interrupt, mut terminate, mut hangup] = signals(kinds)?;
        Ok(tokio::select! {
            biased;
            _ = ended => None,
            _ = interrupt.recv() => Some(kinds[0].as_raw_value()),
            _ = terminate.recv() => Some(kinds[1].as_raw_value()),
            _ = hangup.recv() => Some(kinds[2].as_raw_value()),
        })
    })
}

fn signals<const N: usize>(kinds: [SignalKind; N]) -> std::io::Result<[Signal; N]> {
    let made: Vec<Signal> = kinds.into_iter().map(signal).collect::<Result<_, _>>()?;
    made.try_into().map_err(|_| std::io::ErrorKind::Other.into())
}

/// Withdraws the request; a failure is noted, because the approval then stays until it expires.
fn withdraw(transport: &Transport, id: &str) {
    let path = format!("/api/v1/approvals/{id}/withdraw");
    if let Err(failure) = transport.post(&path, "{}".to_owned(), Access::Write) {
        note(&format!("{id} could not be withdrawn:"));
        failure.print();
    }
}

/// Returns why nothing runs; with `--json` on standard output, with the status as `reason`.
fn not_approved(transport: &Transport, approval: &Approval) -> Failure {
    let (reason, why) = match approval.status.as_str() {
        "pending" => ("timed-out", "was not decided in time; it is withdrawn".to_owned()),
        status => (status, format!("is {status}")),
    };
    if transport.json {
        let answer = json!({ "reason": reason, "id": approval.id, "comment": approval.comment });
        line(&answer.to_string());
    }
    let comment = approval.comment.as_ref().map(|comment| format!(": {comment}"));
    Failure::Failed(anyhow!("{} {why}{}; nothing ran", approval.id, comment.unwrap_or_default()))
}

/// Runs the command by the handle of its program, without signoff's own secrets in its environment. A
/// terminal's Ctrl-C reaches it directly; SIGTERM and SIGHUP are forwarded to it, so that its outcome is
/// always reported.
fn execute(command: &[String], bound: Bound) -> anyhow::Result<ExitStatus> {
    let Bound { program, stdin, .. } = bound;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [mut interrupts, mut terminations, mut hangups] = signals(kinds)?;
        let mut child = Command::new(program.path());
        child.arg0(&program.name).args(&program.arguments).args(command.iter().skip(1));
        child.stdin(stdin.map_or_else(Stdio::null, Stdio::from));
        for variable in SECRET_VARIABLES.into_iter().chain(["SIGNOFF_TOKEN"]) {
            child.env_remove(variable);
        }
        let name = command.first().map_or("", String::as_str);
        let mut child = child.spawn().with_context(|| format!("cannot run `{name}`"))?;
        loop {
            let forwarded = tokio::select! {
                status = child.wait() => return Ok(status?),
                _ = interrupts.recv() => continue,
                _ = terminations.recv() => rustix::process::Signal::TERM,
                _ = hangups.recv() => rustix::process::Signal::HUP,
            };
            let pid = child.id().and_then(|id| i32::try_from(id).ok());
            if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, forwarded);
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
