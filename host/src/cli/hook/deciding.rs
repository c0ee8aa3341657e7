//! The decision of a gate: evaluate, request, wait, verify and claim before a tool; report after it.

use std::io::stdin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use sha2::{Digest, Sha256};

use super::answer::Verdict;
use super::described::describe;
use super::event::{self, Event, Moment};
use super::gate::{Claimed, Concluded, Gate, OnPending, Requested, Shared};
use crate::api::{Approval, Evaluation};
use crate::cli::evaluate::{EvaluateRequest, format_evaluation};
use crate::cli::execution::{Claim, report_outcome, withdraw};
use crate::cli::exit::Failure;
use crate::cli::request::New;
use crate::cli::run::trust::{self, Pinned};
use crate::cli::tool_use::{States, Use};
use crate::cli::transport::Transport;
use crate::cli::wait;
use crate::clock::{Clock, SystemClock};
use crate::code::Code;
use crate::policy::Decision;

/// Why a repeat of an answer is not an answer.
const GIVEN: &str =
    "the answer for this use of the tool was given more than a minute ago; make the call again";

/// The thread that decides.
pub(super) struct Deciding {
    pub(super) started: Instant,
    pub(super) gate: Gate,
    pub(super) shared: Arc<Shared>,
}

/// One use of a tool, with what is known of it.
struct Pending<'a> {
    event: &'a Event,
    agent: &'a str,
    /// The canonical context.
    context: String,
    /// The name of its state.
    key: String,
    /// The name of the state of this use alone, where `key` is that of all uses with this content.
    own: Option<String>,
    states: States,
    known: Use,
    /// Whether it is found again by its content, not by its id.
    by_content: bool,
    /// Whether what is known is of this use alone.
    is_own: bool,
}

impl Deciding {
    pub(super) fn decide(&self) -> Result<Concluded, Failure> {
        let Gate { harness, event, target, global, .. } = &self.gate;
        let event = event::read(stdin().lock(), *harness, event.as_deref())?;
        self.shared.before.store(event.moment == Moment::Before, Ordering::SeqCst);
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
        let mut pending = self.pending(event, agent, context, transport)?;
        if pending.known.was_given() {
            return Ok(Verdict::Deny(GIVEN.to_owned()).into());
        }
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
                    .inspect_err(|_| pending.give_up(&self.shared, transport, &approval))?;
            }
            None => trust::note_unverified(&approval),
        }
        self.claimed(pending, transport, &approval)
    }

    /// Finds what is known of a use.
    fn pending<'a>(
        &self,
        event: &'a Event,
        agent: &'a str,
        context: String,
        transport: &Transport,
    ) -> Result<Pending<'a>, Failure> {
        let harness = self.gate.harness;
        let by_content = self.by_content(event);
        let key = event.key(harness, by_content);
        let own = (by_content && event.tool_use.is_some()).then(|| event.key(harness, false));
        let states = States::open("hook")?;
        let mut known = states.begin(&key)?;
        // Read in this order: a claim writes the state of its own use first.
        let used = own.as_ref().map(|own| states.load(own)).transpose()?.flatten();
        let used = used.filter(|used| used.execution.is_some());
        let is_own = used.is_some();
        match used {
            Some(used) => known = used,
            None if by_content && known.execution.is_some() => {
                // Its call ran, or is running: this is another one.
                states.forget(&key, &known)?;
                known = states.begin(&key)?;
            }
            None => {}
        }
        let context = match by_content {
            true => transport.canonical(&describe(event, harness, Some(&known.nonce))?)?,
            false => context,
        };
        Ok(Pending { event, agent, context, key, own, states, known, by_content, is_own })
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
            pending.forget()?;
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
                let key = pending.request_key();
                let made: Approval = transport.parse(&new.send_once(transport, &key)?)?;
                pending.known.context = Some(digest);
                pending.known.approval = Some(made.id.clone());
                pending.states.save(&pending.key, &pending.known)?;
                made.id
            }
        };
        *self.shared.requested.lock().unwrap_or_else(PoisonError::into_inner) = Some(Requested {
            transport: Arc::clone(transport),
            id: id.clone(),
            state: pending.by_content.then(|| (pending.key.clone(), pending.known.clone())),
        });
        self.withdrawn_if_stopped()?;
        // A repeated request has the answer of the first.
        transport.approval_of(&id, &transport.get_to_act(&format!("/api/v1/approvals/{id}"))?)
    }

    /// Withdraws the request if the answer was given while it was made, when nobody else knew of it.
    fn withdrawn_if_stopped(&self) -> Result<(), Failure> {
        let waits = self.gate.args.on_pending == OnPending::Wait;
        if !waits || !self.shared.stopped.load(Ordering::SeqCst) {
            return Ok(());
        }
        if let Some(requested) = self.shared.take_requested() {
            requested.withdraw();
        }
        Err(Failure::usage("the answer is given"))
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
                    .inspect_err(|_| pending.give_up(&self.shared, transport, &approval))?
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
                pending.give_up(&self.shared, transport, &approval);
                Ok(Err(Verdict::Deny(format!("{id} was not decided in time; it is withdrawn"))))
            }
            status => {
                pending.forget()?;
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
        // Another hook of this use may have claimed while this one waited.
        let again = pending.states.load(pending.own.as_ref().unwrap_or(&pending.key))?;
        if again.as_ref().is_some_and(Use::was_given) {
            return Ok(Verdict::Deny(GIVEN.to_owned()).into());
        }
        pending.known.claimed = again.and_then(|known| known.claimed);
        if pending.event.tool_use.is_none() && !pending.states.take(&pending.known)? {
            // Nothing distinguishes two such calls, and one approval is for one of them.
            if pending.states.was_taken_long_ago(&pending.known)? {
                pending.forget()?;
            }
            let why = format!("{id} is taken by another call with this input; make the call again");
            return Ok(Verdict::Deny(why).into());
        }
        let claim = Claim {
            agent: pending.agent,
            action: &pending.event.tool,
            context: &pending.context,
            plan: None,
            lease_seconds: Some(self.gate.args.lease),
        };
        let answer =
            claim.send_once(transport, id, &pending.claim_key()).inspect_err(|failure| {
                pending.not_claimed(&self.shared, transport, approval, failure);
            })?;
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
        pending.remember(&claimed.execution)?;
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
        let key = event.key(self.gate.harness, event.tool_use.is_none());
        let states = States::open("hook")?;
        let Some(mut known) = states.load(&key)? else { return Ok(Verdict::Pass.into()) };
        let (Some(id), Some(execution), None) = (&known.approval, &known.execution, &known.outcome)
        else {
            return Ok(Verdict::Pass.into());
        };
        let is_same = known.input.as_ref() == Some(&event.input_digest()?);
        let (outcome, detail) = match is_same {
            true => (outcome, detail),
            // Another hook can change the input after the gate has answered.
            false => ("failed", Some("ran with another input")),
        };
        let transport = Transport::new(&self.gate.target, &self.gate.global)?;
        if !report_outcome(&transport, id, execution, outcome, detail) {
            return Err(Failure::usage(format!(
                "the tool has run, and its outcome `{outcome}` could not be reported for {id}"
            )));
        }
        let id = id.clone();
        known.outcome = Some(outcome.to_owned());
        if event.tool_use.is_none() {
            states.forget(&key, &known)?;
        } else {
            states.save(&key, &known)?;
        }
        if !is_same {
            return Err(Failure::usage(format!(
                "the tool has run with another input than {id} was given for; it is reported as failed"
            )));
        }
        Ok(Verdict::Pass.into())
    }
}

impl Pending<'_> {
    /// The key that makes a repeat of the hook find the same approval.
    fn request_key(&self) -> String {
        match self.by_content {
            true => format!("{}-{}", self.key, self.known.nonce),
            false => self.key.clone(),
        }
    }

    /// The key that makes a repeat of the hook, for this use of the tool and no other, find the same
    /// execution.
    fn claim_key(&self) -> String {
        match &self.own {
            Some(own) => format!("{own}-{}", self.known.nonce),
            None => self.request_key(),
        }
    }

    /// Remembers an execution. The use's own state is written first, so that whoever finds that of its
    /// content finds it, too.
    fn remember(&mut self, execution: &str) -> Result<(), Failure> {
        let known = &mut self.known;
        known.execution = Some(execution.to_owned());
        known.claimed = known.claimed.or(Some(SystemClock.now()));
        known.input = Some(self.event.input_digest()?);
        if let Some(own) = &self.own {
            self.states.save(own, known)?;
        }
        if !self.is_own {
            self.states.save(&self.key, known)?;
        }
        Ok(())
    }

    /// Forgets a request that is found by its content, so that the next call makes another one.
    fn forget(&self) -> Result<(), Failure> {
        if self.by_content && !self.is_own {
            self.states.forget(&self.key, &self.known)?;
        }
        Ok(())
    }

    /// Withdraws an approval that is not used, so that nobody else uses it. Does nothing if the one that
    /// keeps the time withdraws it.
    fn give_up(&self, shared: &Shared, transport: &Transport, approval: &Approval) {
        if approval.status != "executed" && shared.take_requested().is_some() {
            withdraw(transport, &approval.id);
            // The call is blocked by what failed before.
            let _ = self.forget();
        }
    }

    /// Gives the approval up after a claim that failed, unless another use has claimed it.
    fn not_claimed(
        &self,
        shared: &Shared,
        transport: &Transport,
        approval: &Approval,
        failure: &Failure,
    ) {
        let code = match failure {
            Failure::Refused { problem, .. } => problem.code.as_str(),
            _ => "",
        };
        if code != Code::ALREADY_EXECUTED.text {
            self.give_up(shared, transport, approval);
        }
    }
}
