//! `signoff run`: a prefix for any command. Requests an approval, waits, claims it, runs the
//! command and reports the outcome. The approver signs the command and the content of its files as
//! the plan. With `--guardrails` the policy is evaluated first, and an allowed command runs without
//! an approval.

pub(super) mod plan;
pub(super) mod trust;

use std::ffi::OsString;
use std::future::poll_fn;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::process::Command;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::evaluate::{EvaluateRequest, format_evaluation};
use super::execution::{Claim, report_outcome, withdraw};
use super::output::{line, note};
use super::request::{New, RequirementArgs};
use super::transport::Transport;
use super::{Exit, context, exit::Failure, wait};
use crate::api::{Approval, Evaluation};
use crate::code::Code;
use crate::core_dump;
use crate::keys::all_secret_variables;
use crate::policy::Decision;
use plan::{Bound, Sources};
use trust::{Pinned, TrustOptions};

/// Maximum time for which an interrupted run waits for the answer to its request.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);

#[derive(Args)]
#[command(after_help = "Examples:
  signoff run --agent deploy --action db.migrate -- ./migrate.sh --env=production
  signoff run --agent deploy --action db.migrate --trust approvers.json --audience prod \\
    --threshold 2 -- psql -f schema.sql

The approver sees and signs the command, its folder, and the SHA-256 of the program, of a script's
interpreter, and of each argument that names a file. All is computed again after the claim; what was
edited or replaced meanwhile does not run. Not bound are libraries, imports, the environment and the
network.

Exit codes: the command's own; 125 where signoff failed or nothing may run; 128 plus the signal after an
interruption, which withdraws the request.")]
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
    #[arg(long, conflicts_with = "trust")]
    guardrails: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub(super) fn run(args: &RunArgs, transport: &Transport) -> Result<Exit, Failure> {
    // The command could read the token in this process.
    core_dump::forbid().context("cannot hide this process from the command")?;
    let mut signals = Signals::new()?;
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
    let own = match args.trust.trust {
        Some(_) => with_nonce(&bound.plan)?,
        None => bound.plan.clone(),
    };
    let plan = with_more(&own, more.as_deref())?;
    let pinned = match (&args.trust.trust, &args.trust.audience) {
        (Some(keyring), Some(audience)) => {
            Some(Pinned::load(keyring, audience, &args.requirement.floor(), None)?)
        }
        _ => None,
    };
    // Whether a person or the policy allowed it, what runs is what they saw.
    let unchanged = || match sources.bind_again(&bound) {
        Ok(again) => again.map_err(|why| transport.refused(Code::PLAN_MISMATCH, why)),
        Err(e) => Err(Failure::from(e)),
    };
    if args.guardrails && allowed(args, transport, &context, &plan)? {
        return ended(execute(&command, unchanged()?, &mut signals)?);
    }
    let wanted = || request(args, transport, &command, &context, &plan);
    let approval = approved(args, transport, &mut signals, wanted)?;
    let id = approval.id.clone();
    match &pinned {
        Some(pinned) => {
            let attempt = trust::attempt(&args.agent, &args.action, &context, Some(&plan));
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
    let claimed = claim.send(transport, &id).inspect_err(|_| withdraw(transport, &id))?;
    let claimed = transport.approval_of(&id, &claimed)?;
    let execution = claimed.execution.context("the response to the claim has no execution")?;
    let unchanged = unchanged();
    if let Some(signal) = signals.arrived() {
        let detail = Some("interrupted before it started");
        report_outcome(transport, &id, &execution.id, "failed", detail);
        note("interrupted; nothing ran");
        return Ok(Exit::Run(128 + signal));
    }
    let ran = unchanged.and_then(|again| Ok(execute(&command, again, &mut signals)?));
    let (outcome, detail) = match &ran {
        Ok(status) if status.success() => ("succeeded", None),
        Ok(status) => ("failed", Some(status.to_string())),
        Err(failure) => ("failed", Some(format!("it did not start: {}", failure.words()))),
    };
    report_outcome(transport, &id, &execution.id, outcome, detail.as_deref());
    ended(ran?)
}

/// Returns the plan, together with what `--plan` adds.
fn with_more(plan: &str, more: Option<&str>) -> Result<String, Failure> {
    match more {
        // One JSON value, or it could add members of its own.
        Some(more) if serde_json::from_str::<&RawValue>(more).is_err() => {
            Err(Failure::usage("--plan is not JSON"))
        }
        Some(more) => Ok(format!("{{\"plan\":{more},\"run\":{plan}}}")),
        None => Ok(plan.to_owned()),
    }
}

/// Adds a random number of this run to the plan that approvers sign: a server cannot answer a later run
/// of the same command with the approval of this one.
fn with_nonce(plan: &str) -> Result<String, Failure> {
    let mut plan: Map<String, Value> = serde_json::from_str(plan)?;
    plan.insert("nonce".to_owned(), hex::encode(rand::random::<[u8; 16]>()).into());
    Ok(Value::Object(plan).to_string())
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
) -> Result<Approval, Failure> {
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
    Ok(approval)
}

/// Requests an approval and waits for it; any other status is a failure. A request that nobody waits
/// for any more is withdrawn: after a time-out, and at a signal, which ends the process.
fn approved(
    args: &RunArgs,
    transport: &Transport,
    signals: &mut Signals,
    request: impl FnOnce() -> Result<Approval, Failure> + Send,
) -> Result<Approval, Failure> {
    let made = Mutex::<Option<String>>::default();
    let id_made = || made.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let approval = std::thread::scope(|scope| {
        let (done, ended) = oneshot::channel::<()>();
        let made = &made;
        let waiting = scope.spawn(move || {
            // Closed at the end of this thread, however it ends.
            let _done = done;
            let requested = request()?;
            *made.lock().unwrap_or_else(PoisonError::into_inner) = Some(requested.id.clone());
            let timeout = args.timeout.map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
            wait::patiently(transport, &requested, timeout)
                .inspect_err(|_| withdraw(transport, &requested.id))
        });
        if let Some(signal) = signals.before(ended) {
            // The request may be on its way.
            let begun = Instant::now();
            while id_made().is_none()
                && !waiting.is_finished()
                && begun.elapsed() < REQUEST_TIME_MAX
            {
                std::thread::sleep(Duration::from_millis(50));
            }
            match id_made() {
                Some(id) => {
                    withdraw(transport, &id);
                    note(&format!("interrupted; {id} is withdrawn and nothing ran"));
                }
                None => note("interrupted before an approval was requested; nothing ran"),
            }
            std::process::exit(128 + i32::from(signal));
        }
        waiting.join().unwrap_or_else(|_| Err(anyhow!("the wait failed").into()))
    })?;
    if approval.status == "approved" {
        return Ok(approval);
    }
    if approval.status == "pending" {
        withdraw(transport, &approval.id);
    }
    Err(not_approved(transport, &approval))
}

/// The signals that end a run. Once they are listened to, they no longer end the process themselves.
struct Signals {
    runtime: Runtime,
    streams: [(u8, Signal); 4],
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let [hangup, interrupt, quit, terminate] = [
            SignalKind::hangup(),
            SignalKind::interrupt(),
            SignalKind::quit(),
            SignalKind::terminate(),
        ];
        let streams = [
            (1, signal(hangup)?),
            (2, signal(interrupt)?),
            (3, signal(quit)?),
            (15, signal(terminate)?),
        ];
        drop(entered);
        Ok(Self { runtime, streams })
    }

    /// Returns the signal that arrived before `ended` closed.
    fn before(&mut self, ended: oneshot::Receiver<()>) -> Option<u8> {
        let Self { runtime, streams } = self;
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = ended => None,
                signal = next(streams) => Some(signal),
            }
        })
    }

    /// Returns a signal that has arrived.
    fn arrived(&mut self) -> Option<u8> {
        let Self { runtime, streams } = self;
        runtime.block_on(async {
            tokio::select! {
                biased;
                signal = next(streams) => Some(signal),
                () = tokio::task::yield_now() => None,
            }
        })
    }
}

/// Resolves to the number of the next signal.
async fn next(streams: &mut [(u8, Signal)]) -> u8 {
    poll_fn(|context| {
        for (number, stream) in &mut *streams {
            if stream.poll_recv(context).is_ready() {
                return Poll::Ready(*number);
            }
        }
        Poll::Pending
    })
    .await
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
/// terminal's Ctrl-C and Ctrl-\\ reach it directly; SIGTERM and SIGHUP are forwarded to it, so that its
/// outcome is always reported.
fn execute(command: &[String], bound: Bound, signals: &mut Signals) -> anyhow::Result<ExitStatus> {
    let Bound { program, stdin, .. } = bound;
    let Signals { runtime, streams } = signals;
    runtime.block_on(async {
        let mut child = Command::new(program.path());
        child.arg0(&program.name).args(&program.arguments).args(command.iter().skip(1));
        child.stdin(stdin.map_or_else(Stdio::null, Stdio::from));
        for variable in all_secret_variables() {
            child.env_remove(variable);
        }
        let name = command.first().map_or("", String::as_str);
        let mut child = child.spawn().with_context(|| format!("cannot run `{name}`"))?;
        loop {
            let forwarded = tokio::select! {
                status = child.wait() => return Ok(status?),
                signal = next(streams) => match signal {
                    1 => rustix::process::Signal::HUP,
                    15 => rustix::process::Signal::TERM,
                    _ => continue,
                },
            };
            let pid = child.id().and_then(|id| i32::try_from(id).ok());
            if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, forwarded);
            }
        }
    })
}
