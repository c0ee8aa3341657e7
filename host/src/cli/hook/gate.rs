//! The gate: one event in, one answer out, within a time limit. Every failure blocks the tool.

use std::io::stdin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::GateArgs;
use super::answer::{Verdict, block, block_with};
use super::described::describe;
use super::event::{self, Event, Harness, Moment};
use super::state::{States, Use};
use crate::api::{Approval, Evaluation};
use crate::cli::evaluate::{EvaluateRequest, format_evaluation};
use crate::cli::execution::{Claim, report_outcome, withdraw};
use crate::cli::exit::{Exit, Failure};
use crate::cli::request::New;
use crate::cli::run::trust::{self, Pinned};
use crate::cli::transport::{Target, Transport};
use crate::cli::{Global, wait};
use crate::code::Code;
use crate::policy::Decision;

/// Time to withdraw a request, or to report an execution, after the answer. The coding agent's own
/// limit is a minute above the default of `--timeout`.
const CLEAN_UP: Duration = Duration::from_secs(10);

/// What to do while an approval is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum OnPending {
    /// Wait for the decision, until --timeout
    Wait,
    /// Deny at once; the same call later finds the same approval
    Deny,
    /// Let Claude Code stop; it asks again when the session is resumed
    Defer,
}

/// A gate, with all that it needs.
pub(super) struct Gate {
    pub(super) harness: Harness,
    pub(super) args: GateArgs,
    /// The name of the event, for one that does not have it.
    pub(super) event: Option<String>,
    pub(super) global: Global,
    pub(super) target: Target,
}

/// What the thread that decides shares with the one that keeps the time.
#[derive(Default)]
struct Shared {
    /// The answer is given: nothing may be claimed any more.
    stopped: AtomicBool,
    /// The request that nobody waits for after that.
    requested: Mutex<Option<(Arc<Transport>, String)>>,
}

/// The end of a decision.
struct Concluded {
    verdict: Verdict,
    claimed: Option<Claimed>,
}

/// An execution whose tool has not run yet.
struct Claimed {
    transport: Arc<Transport>,
    id: String,
    execution: String,
}

enum Ended {
    Done(Result<Concluded, Failure>),
    Panicked,
    TimedOut,
    Interrupted,
}

/// Answers the event on standard input. The exit code is 0 or 2.
pub(super) fn run(gate: Gate) -> Exit {
    let harness = gate.harness;
    let limit = Duration::from_secs(gate.args.timeout.unsigned_abs());
    let waits = gate.args.on_pending == OnPending::Wait;
    let shared = Arc::new(Shared::default());
    let (done, mut ended) = oneshot::channel();
    let theirs = Arc::clone(&shared);
    // Not joined: the process ends when the answer is given.
    std::thread::spawn(move || {
        let deciding = Deciding { started: Instant::now(), gate, shared: theirs };
        let _ = done.send(deciding.decide());
    });
    let why = match wait_for(&mut ended, limit) {
        Err(e) => return block(&e.into()),
        Ok(Ended::Done(Err(failure))) => return block(&failure),
        Ok(Ended::Panicked) => {
            return block_with("signoff failed; this is a defect, please report it");
        }
        Ok(Ended::Done(Ok(concluded))) => {
            return concluded.verdict.print(harness).unwrap_or_else(|exit| {
                if let Some(claimed) = concluded.claimed {
                    claimed.failed("the answer could not be given to the coding agent");
                }
                exit
            });
        }
        Ok(Ended::TimedOut) => {
            format!("nobody decided within {} s; make the call again to ask again", limit.as_secs())
        }
        Ok(Ended::Interrupted) => "the gate was interrupted".to_owned(),
    };
    shared.stopped.store(true, Ordering::SeqCst);
    let exit = Verdict::Deny(why).print(harness).unwrap_or_else(|exit| exit);
    let requested = shared.requested.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let (true, Some((transport, id))) = (waits, requested) {
        let (done, mut ended) = oneshot::channel::<Result<Concluded, Failure>>();
        std::thread::spawn(move || {
            withdraw(&transport, &id);
            drop(done);
        });
        let _ = wait_for(&mut ended, CLEAN_UP);
    }
    if let Ok(Ended::Done(Ok(Concluded { claimed: Some(claimed), .. }))) =
        wait_for(&mut ended, CLEAN_UP)
    {
        claimed.failed("the time limit had passed");
    }
    exit
}

/// Waits for the end of a decision, a time limit or a signal that ends processes.
fn wait_for(
    ended: &mut oneshot::Receiver<Result<Concluded, Failure>>,
    limit: Duration,
) -> Result<Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut hangup = signal(SignalKind::hangup())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        Ok(tokio::select! {
            biased;
            done = ended => done.map_or(Ended::Panicked, Ended::Done),
            () = tokio::time::sleep(limit) => Ended::TimedOut,
            _ = hangup.recv() => Ended::Interrupted,
            _ = interrupt.recv() => Ended::Interrupted,
            _ = terminate.recv() => Ended::Interrupted,
        })
    })
}

impl Claimed {
    /// Reports that the tool does not run.
    fn failed(&self, why: &str) {
        report_outcome(&self.transport, &self.id, &self.execution, "failed", Some(why));
    }
}

impl From<Verdict> for Concluded {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, claimed: None }
    }
}

/// The thread that decides.
struct Deciding {
    started: Instant,
    gate: Gate,
    shared: Arc<Shared>,
}

/// One use of a tool, with what is known of it.
struct Pending<'a> {
    event: &'a Event,
    agent: &'a str,
    /// The canonical context.
    context: String,
    key: String,
    states: States,
    known: Use,
    /// Whether it is found again by its content, not by its id.
    by_content: bool,
}

impl Deciding {
    fn decide(&self) -> Result<Concluded, Failure> {
        let Gate { harness, event, target, global, .. } = &self.gate;
        let event = event::read(stdin().lock(), *harness, event.as_deref())?;
        match &event.moment {
            Moment::Before => self.before(&event, &Arc::new(Transport::new(target, global)?)),
            Moment::Succeeded => self.after(&event, "succeeded", None),
            Moment::Failed(error) => self.after(&event, "failed", error.as_deref()),
        }
    }

    fn by_content(&self, event: &Event) -> bool {
        event.tool_use.is_none() || self.gate.args.on_pending == OnPending::Deny
    }

    /// Answers the event before a tool.
    fn before(&self, event: &Event, transport: &Arc<Transport>) -> Result<Concluded, Failure> {
        let Gate { harness, args, .. } = &self.gate;
        let agent = args.agent.as_deref().unwrap_or(harness.agent());
        let context = transport.canonical(&describe(event, *harness, None)?)?;
        let action = event.tool.as_str();
        let request = EvaluateRequest { agent, action, context: &context, plan: None };
        let evaluation: Evaluation = transport.parse(&request.send(transport)?)?;
        match evaluation.decision {
            Decision::Allow if args.keep_prompts => return Ok(Verdict::Pass.into()),
            Decision::Allow => return Ok(Verdict::Allow(format_evaluation(&evaluation)).into()),
            Decision::Deny => return Ok(Verdict::Deny(format_evaluation(&evaluation)).into()),
            Decision::RequireApproval => {}
        }
        let by_content = self.by_content(event);
        let key = event.key(*harness, by_content);
        let states = States::open()?;
        let mut known = states.begin(&key)?;
        if by_content && known.execution.is_some() {
            // Its call ran, or is running: this is another one.
            states.forget(&key)?;
            known = states.begin(&key)?;
        }
        let context = match by_content {
            true => transport.canonical(&describe(event, *harness, Some(&known.nonce))?)?,
            false => context,
        };
        let mut pending = Pending { event, agent, context, key, states, known, by_content };
        let pinned = self.pinned(&pending)?;
        let approval = self.requested(&mut pending, transport)?;
        let approval = match self.decided(&pending, transport, approval)? {
            Ok(approval) => approval,
            Err(verdict) => return Ok(verdict.into()),
        };
        match &pinned {
            Some(pinned) => {
                let attempt = trust::attempt(agent, action, &pending.context, None);
                pinned
                    .verify(transport, &approval.id, &attempt)
                    .inspect_err(|_| give_up(transport, &approval))?;
            }
            None => trust::note_unverified(&approval),
        }
        self.claimed(pending, transport, &approval)
    }

    /// Loads the keys to verify the approval with.
    fn pinned(&self, pending: &Pending<'_>) -> Result<Option<Pinned>, Failure> {
        let args = &self.gate.args;
        match (&args.trust.trust, &args.trust.audience) {
            (Some(keyring), Some(audience)) => {
                let floor = args.requirement.floor();
                Pinned::load(keyring, audience, &floor, Some(pending.known.seen)).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Requests the approval, or finds the one that was requested before.
    fn requested(
        &self,
        pending: &mut Pending<'_>,
        transport: &Arc<Transport>,
    ) -> Result<Approval, Failure> {
        let digest = hex::encode(Sha256::digest(&pending.context));
        let known = &mut pending.known;
        if known.context.as_ref().is_some_and(|before| *before != digest) {
            if let Some(id) = &known.approval {
                withdraw(transport, id);
            }
            let why =
                "the input or a file changed since the approval was requested; make the call again";
            return Err(transport.refused(Code::CONTEXT_MISMATCH, why));
        }
        let id = match &known.approval {
            Some(id) => id.clone(),
            None => {
                let args = &self.gate.args;
                let new = New {
                    agent: pending.agent,
                    action: &pending.event.tool,
                    context: pending.context.clone(),
                    plan: None,
                    reason: None,
                    expires_in_seconds: args.expires_in,
                    requirement: &args.requirement,
                };
                let key = pending.idempotency_key();
                let made: Approval = transport.parse(&new.send_once(transport, &key)?)?;
                pending.known.context = Some(digest);
                pending.known.approval = Some(made.id.clone());
                pending.states.save(&pending.key, &pending.known)?;
                made.id
            }
        };
        *self.shared.requested.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Arc::clone(transport), id.clone()));
        // A repeated request has the answer of the first.
        transport.approval_of(&id, &transport.get_to_act(&format!("/api/v1/approvals/{id}"))?)
    }

    /// Returns the approval once it is approved; the answer if it is not.
    fn decided(
        &self,
        pending: &Pending<'_>,
        transport: &Transport,
        approval: Approval,
    ) -> Result<Result<Approval, Verdict>, Failure> {
        let (args, id) = (&self.gate.args, approval.id.clone());
        let approval = match (approval.status.as_str(), args.on_pending) {
            ("pending", OnPending::Wait) => {
                let limit = Duration::from_secs(args.timeout.unsigned_abs());
                let left = limit.saturating_sub(self.started.elapsed());
                wait::patiently(transport, &approval, Some(left))
                    .inspect_err(|_| withdraw(transport, &id))?
            }
            ("pending", OnPending::Deny) => {
                let why = format!(
                    "{id} waits for an approver; make the same call again after the decision"
                );
                return Ok(Err(Verdict::Deny(why)));
            }
            ("pending", OnPending::Defer) => {
                return Ok(Err(Verdict::Defer(format!("{id} waits for an approver"))));
            }
            _ => approval,
        };
        match approval.status.as_str() {
            // A repeat of the hook gets the execution of its own claim; the server knows.
            "approved" | "executed" => Ok(Ok(approval)),
            "pending" => {
                withdraw(transport, &id);
                Ok(Err(Verdict::Deny(format!("{id} was not decided in time; it is withdrawn"))))
            }
            status => {
                if pending.by_content {
                    pending.states.forget(&pending.key)?;
                }
                let comment = approval.comment.as_ref().map(|comment| format!(": {comment}"));
                let comment = comment.unwrap_or_default();
                Ok(Err(Verdict::Deny(format!("{id} is {status}{comment}"))))
            }
        }
    }

    /// Claims the approval, and checks that the tool would still do what was approved.
    fn claimed(
        &self,
        mut pending: Pending<'_>,
        transport: &Arc<Transport>,
        approval: &Approval,
    ) -> Result<Concluded, Failure> {
        let id = &approval.id;
        if self.shared.stopped.load(Ordering::SeqCst) {
            return Err(Failure::usage("the answer is given"));
        }
        let claim = Claim {
            agent: pending.agent,
            action: &pending.event.tool,
            context: &pending.context,
            plan: None,
            lease_seconds: Some(self.gate.args.lease),
        };
        let answer = claim
            .send_once(transport, id, &pending.idempotency_key())
            .inspect_err(|_| give_up(transport, approval))?;
        let answer = transport.approval_of(id, &answer)?;
        let execution = answer.execution.context("the response to the claim has no execution")?.id;
        let claimed = Claimed { transport: Arc::clone(transport), id: id.clone(), execution };
        if let Err(failure) = self.still_as_approved(&mut pending, &claimed) {
            claimed.failed(&failure.words());
            return Err(failure);
        }
        let approvers: Vec<&str> = approval
            .ballots
            .iter()
            .filter(|ballot| ballot.decision == "approved")
            .map(|ballot| ballot.approver.as_str())
            .collect();
        let verdict = Verdict::Allow(format!("{id} is approved by {}", approvers.join(", ")));
        Ok(Concluded { verdict, claimed: Some(claimed) })
    }

    /// Remembers an execution, and describes the use again.
    fn still_as_approved(
        &self,
        pending: &mut Pending<'_>,
        claimed: &Claimed,
    ) -> Result<(), Failure> {
        pending.known.execution = Some(claimed.execution.clone());
        pending.states.save(&pending.key, &pending.known)?;
        let transport = &claimed.transport;
        let nonce = pending.by_content.then_some(pending.known.nonce.as_str());
        let again = describe(pending.event, self.gate.harness, nonce)?;
        if transport.canonical(&again)? != pending.context {
            let why = "a file that the tool changes, or a program that it runs, was changed after the request";
            return Err(transport.refused(Code::CONTEXT_MISMATCH, why));
        }
        if self.shared.stopped.load(Ordering::SeqCst) {
            return Err(Failure::usage("the time limit had passed"));
        }
        Ok(())
    }

    /// Reports the outcome of a tool that has run.
    fn after(
        &self,
        event: &Event,
        outcome: &str,
        detail: Option<&str>,
    ) -> Result<Concluded, Failure> {
        let by_content = self.by_content(event);
        let key = event.key(self.gate.harness, by_content);
        let states = States::open()?;
        let Some(mut known) = states.load(&key)? else { return Ok(Verdict::Pass.into()) };
        let (Some(id), Some(execution), None) = (&known.approval, &known.execution, &known.outcome)
        else {
            return Ok(Verdict::Pass.into());
        };
        let transport = Transport::new(&self.gate.target, &self.gate.global)?;
        if !report_outcome(&transport, id, execution, outcome, detail) {
            return Err(Failure::usage(format!(
                "the tool has run, and its outcome `{outcome}` could not be reported for {id}"
            )));
        }
        known.outcome = Some(outcome.to_owned());
        if by_content {
            states.forget(&key)?;
        } else {
            states.save(&key, &known)?;
        }
        Ok(Verdict::Pass.into())
    }
}

/// Withdraws an approval that is not used, so that nobody else uses it.
fn give_up(transport: &Transport, approval: &Approval) {
    if approval.status != "executed" {
        withdraw(transport, &approval.id);
    }
}

impl Pending<'_> {
    /// The key that makes a repeat of the hook find the same approval and the same execution.
    fn idempotency_key(&self) -> String {
        match self.by_content {
            true => format!("{}-{}", self.key, self.known.nonce),
            false => self.key.clone(),
        }
    }
}
