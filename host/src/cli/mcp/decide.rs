//! One call from the policy to its outcome. Every failure refuses the call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use sha2::{Digest, Sha256};
use signoff_core::name::Identifier;

use super::PolicyArgs;
use crate::api::{Approval, Evaluation};
use crate::cli::evaluate::{EvaluateRequest, format_evaluation};
use crate::cli::execution::{Claim, report_outcome, withdraw};
use crate::cli::exit::Failure;
use crate::cli::output::note;
use crate::cli::request::New;
use crate::cli::run::trust::{self, Pinned};
use crate::cli::tool_use::{States, Use};
use crate::cli::transport::{Target, Transport};
use crate::cli::wait;
use crate::mcp::{Accepted, Answer, Call, Decider, Ended, Refusal, VERSION_WITHOUT_HANDSHAKE};
use crate::policy::Decision;

/// Time between two progress notifications; clients that give up without any wait for a minute or more.
const PROGRESS: Duration = Duration::from_secs(15);

/// Decides calls by the policy and approvals of a server.
pub(super) struct Policy {
    args: PolicyArgs,
    /// The server of approvals, a part of what makes two calls the same.
    target: String,
    /// The address of the inbox.
    inbox: Option<String>,
    transport: Arc<Transport>,
    /// Calls that wait for an approval, by its id.
    waiting: Arc<Mutex<HashMap<String, usize>>>,
    /// Held while a use is looked up and made known.
    attaching: Mutex<()>,
}

/// A call that requires an approval.
struct Pending<'a> {
    call: &'a Arc<Call>,
    action: &'a str,
    /// The canonical arguments.
    context: String,
    key: String,
    states: States,
    known: Use,
}

/// An execution whose tool has not run yet.
struct Claimed {
    id: String,
    execution: String,
}

impl Policy {
    pub(super) fn new(args: PolicyArgs, target: &Target, transport: Transport) -> Self {
        let (target, server) = match target {
            Target::Server(url) => (url.clone(), Some(url.clone())),
            Target::Store(path) => (path.display().to_string(), None),
        };
        let is_page = |url: &String| url.starts_with("https://") || url.starts_with("http://");
        let inbox = args.inbox.clone().or(server.filter(is_page));
        Self {
            args,
            target,
            inbox,
            transport: Arc::new(transport),
            waiting: Arc::default(),
            attaching: Mutex::default(),
        }
    }
}

impl Decider for Policy {
    fn decide(&self, call: &Arc<Call>) {
        if let Err(failure) = self.decided(call) {
            let code = match &failure {
                Failure::Refused { problem, .. } => problem.code.to_string(),
                Failure::Usage(_) => "refused".to_owned(),
                Failure::Failed(_) => "unavailable".to_owned(),
            };
            let words = format!("{}; the tool did not run", failure.words());
            note(&format!("a call of `{}` is refused: {words}", call.params.tool));
            call.answer(&Answer::refused(&code, words));
        }
    }
}

impl Policy {
    fn decided(&self, call: &Arc<Call>) -> Result<(), Failure> {
        let action = format!("mcp:{}/{}", call.session.server, call.params.tool);
        if !Identifier::fits(&action) {
            let words = "a tool's name must be printable ASCII without spaces, with the server's name at most 128 characters";
            call.answer(&Answer::refused("tool-name", words));
            return Ok(());
        }
        // It refuses duplicate members, so that the checks below see what the server will see.
        let context = self.transport.canonical(&call.params.arguments)?;
        let tool = match self.checked(call, &context)? {
            Ok(tool) => tool,
            Err(refusal) => {
                call.answer(&Answer::refused(refusal.code, refusal.words));
                return Ok(());
            }
        };
        let agent = &self.args.agent;
        let request = EvaluateRequest { agent, action: &action, context: &context, plan: None };
        let evaluation: Evaluation = self.transport.parse(&request.send(&self.transport)?)?;
        match evaluation.decision {
            Decision::Allow => {
                // It is not approved, so nothing waits for its end.
                let _ = call.pass_on();
                Ok(())
            }
            Decision::Deny => {
                call.answer(&Answer::refused("denied", format_evaluation(&evaluation)));
                Ok(())
            }
            Decision::RequireApproval => self.with_approval(call, &tool, &action, context),
        }
    }

    /// Returns the tool of a call whose arguments fit it.
    fn checked(
        &self,
        call: &Arc<Call>,
        context: &str,
    ) -> Result<Result<Arc<Accepted>, Refusal>, Failure> {
        let (session, name) = (&call.session, call.params.tool.as_str());
        let tools = &session.tools;
        if tools.is_stale() {
            session.list_tools(call.params.meta.as_deref()).map_err(|why| anyhow!(why))?;
        }
        let mut tool = tools.accepted(name);
        if tool.is_err() {
            tool = tools.look_again(name);
        }
        if tool.as_ref().is_err_and(|refusal| refusal.code == "tool-changed")
            && self.accepts_change(call)?
        {
            tool = tools.look_again(name);
        }
        let tool = tool.and_then(|tool| session.was_shown_as_accepted(name).map(|()| tool));
        Ok(tool.and_then(|tool| tool.check(context).map(|()| tool)))
    }

    /// Returns whether a rule accepts the changed text of a tool. The policy's default does not.
    fn accepts_change(&self, call: &Arc<Call>) -> Result<bool, Failure> {
        let (tools, name) = (&call.session.tools, call.params.tool.as_str());
        let Some((offered, accepted)) = tools.change(name) else { return Ok(false) };
        let action = format!("mcp-tool:{}/{name}", call.session.server);
        let context = format!("{{\"accepted\":[{}],\"offered\":{offered}}}", accepted.join(","));
        let agent = &self.args.agent;
        let request = EvaluateRequest { agent, action: &action, context: &context, plan: None };
        let evaluation: Evaluation = self.transport.parse(&request.send(&self.transport)?)?;
        if evaluation.decision != Decision::Allow || evaluation.rule.is_none() {
            return Ok(false);
        }
        match tools.accept(name, &offered) {
            Ok(()) => {
                note(&format!("the changed tool `{name}` is accepted by the policy"));
                Ok(true)
            }
            Err(why) => Err(anyhow!(why).into()),
        }
    }

    /// Requests the approval or attaches to the one that was requested, waits, and runs the call once.
    fn with_approval(
        &self,
        call: &Arc<Call>,
        tool: &Accepted,
        action: &str,
        context: String,
    ) -> Result<(), Failure> {
        let repeats = call.params.repeats().is_some();
        if !repeats
            && (call.params.input_responses.is_some() || call.params.request_state.is_some())
        {
            let words = "the call has input for the server that no approver would see; tools that ask for input cannot require approval";
            call.answer(&Answer::refused("tool-input", words));
            return Ok(());
        }
        let key = self.key(call, &context);
        let states = States::open("mcp")?;
        let (known, approval) = {
            let _one = self.attaching.lock().unwrap_or_else(PoisonError::into_inner);
            self.attached(action, &states, &key, &context)?
        };
        let mut pending = Pending { call, action, context, key, states, known };
        let pinned = self.pinned(&pending.known)?;
        let holding = Holding::new(self, &approval.id);
        if repeats && call.params.link_action().as_deref() == Some("decline") {
            holding.end();
            call.answer(&declined(&approval.id));
            return Ok(());
        }
        let undo = holding.clone();
        if !call.on_cancel(move || undo.end()) {
            holding.end();
            return Ok(());
        }
        let Some(approval) = self.waited(&pending, approval, tool)? else {
            holding.leave();
            return Ok(());
        };
        holding.leave();
        if let Some(pinned) = &pinned {
            let attempt = trust::attempt(&self.args.agent, action, &pending.context, None);
            pinned.verify(&self.transport, &approval.id, &attempt)?;
        } else {
            trust::note_unverified(&approval);
        }
        let claimed = self.claimed(&mut pending, &approval.id)?;
        self.run(call, &claimed);
        Ok(())
    }

    /// The name of what is approved: the same call of any client finds the same approval.
    fn key(&self, call: &Call, context: &str) -> String {
        let mut digest = Sha256::new();
        for part in
            [&self.target, &self.args.agent, &call.session.server, &call.params.tool, context]
        {
            // With its length, so that no two lists of parts are the same bytes.
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
        hex::encode(digest.finalize())
    }

    /// Returns the approval of a call: the pending or approved one of an earlier call, or a new one.
    fn attached(
        &self,
        action: &str,
        states: &States,
        key: &str,
        context: &str,
    ) -> Result<(Use, Approval), Failure> {
        let known = states.begin(key)?;
        if let (Some(id), None) = (&known.approval, &known.execution) {
            let answer = self.transport.get_to_act(&format!("/api/v1/approvals/{id}"));
            match answer.and_then(|answer| self.transport.approval_of(id, &answer)) {
                // Its rejection is told once; then the call may be requested again.
                Ok(approval)
                    if matches!(approval.status.as_str(), "pending" | "approved" | "rejected") =>
                {
                    return Ok((known, approval));
                }
                Err(failure) if failure.is_ours() => return Err(failure),
                Ok(_) | Err(_) => {}
            }
        }
        let mut known = known;
        if known.approval.is_some() {
            // It ran, ended, or is not known to the server any more: this is another one.
            states.forget(key, &known)?;
            known = states.begin(key)?;
        }
        let new = New {
            agent: &self.args.agent,
            action,
            context: context.to_owned(),
            plan: None,
            reason: None,
            expires_in_seconds: self.args.expires_in,
            requirement: &self.args.requirement,
        };
        let idempotency = format!("{key}-{}", known.nonce);
        let answer = new.send_once(&self.transport, &idempotency)?;
        let made: Approval = self.transport.parse(&answer)?;
        known.approval = Some(made.id.clone());
        states.save(key, &known)?;
        // A repeated request has the answer of the first.
        let answer = self.transport.get_to_act(&format!("/api/v1/approvals/{}", made.id))?;
        Ok((known, self.transport.approval_of(&made.id, &answer)?))
    }

    /// Loads the keys to verify the approval with.
    fn pinned(&self, known: &Use) -> Result<Option<Pinned>, Failure> {
        match (&self.args.trust.trust, &self.args.trust.audience) {
            (Some(keyring), Some(audience)) => {
                let floor = self.args.requirement.floor();
                Pinned::load(keyring, audience, &floor, Some(known.seen)).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Returns the approval once it is approved. Otherwise the call is answered or cancelled.
    fn waited(
        &self,
        pending: &Pending<'_>,
        mut approval: Approval,
        tool: &Accepted,
    ) -> Result<Option<Approval>, Failure> {
        let call = pending.call;
        let params = &call.params;
        let id = approval.id.clone();
        let link = self.link(&id);
        let has_no_handshake =
            params.version.as_deref().is_some_and(|version| version >= VERSION_WITHOUT_HANDSHAKE);
        let by_result = if has_no_handshake && params.shows_links { link.clone() } else { None };
        let input_required = |url: String| Answer::InputRequired {
            approval: id.clone(),
            words: format!("`{}` requires approval: open the request {id}", pending.action),
            url,
        };
        if approval.status == "pending" {
            match (&by_result, &link) {
                (Some(url), _) if params.repeats() != Some(id.as_str()) => {
                    call.answer(&input_required(url.clone()));
                    return Ok(None);
                }
                (None, Some(url)) if !has_no_handshake && call.session.shows_links() => {
                    let words = format!("`{}` requires approval", pending.action);
                    call.show_link(url, &words);
                }
                _ => {}
            }
        }
        let until = Instant::now() + Duration::from_secs(self.args.hold.unsigned_abs());
        while approval.status == "pending" && !call.is_over() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            call.tell_progress(&format!("{id} waits for an approver"));
            match wait::patiently(&self.transport, &approval, Some(left.min(PROGRESS))) {
                Ok(now) => approval = now,
                Err(failure) if failure.is_ours() && !until.elapsed().is_zero() => {
                    return Err(failure);
                }
                Err(failure) if failure.is_ours() => {}
                Err(failure) => return Err(failure),
            }
        }
        if call.is_over() {
            return Ok(None);
        }
        let answer = match approval.status.as_str() {
            "approved" => return Ok(Some(approval)),
            "pending" => match by_result {
                Some(url) => input_required(url),
                None => Answer::Pending {
                    approval: id.clone(),
                    words: pending_words(&id, link.as_deref()),
                    as_error: tool.has_output_schema,
                },
            },
            _ if call.is_declined() => declined(&id),
            status => {
                pending.states.forget(&pending.key, &pending.known)?;
                let comment = approval.comment.as_ref().map(|comment| format!(": {comment}"));
                Answer::Refused {
                    code: status.to_owned(),
                    words: format!("{id} is {status}{}", comment.unwrap_or_default()),
                    approval: Some(id.clone()),
                }
            }
        };
        call.answer(&answer);
        Ok(None)
    }

    /// Returns the page of an approval.
    fn link(&self, id: &str) -> Option<String> {
        self.inbox.as_ref().map(|inbox| format!("{}/requests/{id}", inbox.trim_end_matches('/')))
    }

    /// Claims the approval, for this call alone.
    fn claimed(&self, pending: &mut Pending<'_>, id: &str) -> Result<Claimed, Failure> {
        let claim = Claim {
            agent: &self.args.agent,
            action: pending.action,
            context: &pending.context,
            plan: None,
            lease_seconds: Some(self.args.lease),
        };
        // Of two calls that wait for one approval, one gets it.
        let key = hex::encode(rand::random::<[u8; 16]>());
        let answer = claim.send_once(&self.transport, id, &key)?;
        let answer = self.transport.approval_of(id, &answer)?;
        let execution = answer.execution.context("the response to the claim has no execution")?.id;
        let claimed = Claimed { id: id.to_owned(), execution };
        pending.known.execution = Some(claimed.execution.clone());
        if let Err(e) = pending.states.save(&pending.key, &pending.known) {
            self.report(&claimed, "failed", Some("the gate could not write its state"));
            return Err(e.into());
        }
        Ok(claimed)
    }

    /// Passes the call on, and reports how it ended.
    fn run(&self, call: &Arc<Call>, claimed: &Claimed) {
        let Ok(end) = call.pass_on() else {
            let why = "the call was cancelled, or the MCP server had ended; nothing ran";
            return self.report(claimed, "failed", Some(why));
        };
        match end.recv().unwrap_or(Ended::Unknown) {
            Ended::Succeeded => self.report(claimed, "succeeded", None),
            Ended::Failed(detail) => self.report(claimed, "failed", Some(&detail)),
            Ended::InputRequired => {
                self.report(claimed, "failed", Some("the tool asked for input instead"));
            }
            Ended::Task => {
                let id = &claimed.id;
                note(&format!("{id} runs as a task; its outcome becomes unknown"));
            }
            Ended::Unknown => note(&format!("the outcome of {} is unknown", claimed.id)),
        }
    }

    fn report(&self, claimed: &Claimed, outcome: &str, detail: Option<&str>) {
        report_outcome(&self.transport, &claimed.id, &claimed.execution, outcome, detail);
    }
}

/// A call that waits for an approval. The request is withdrawn with the last of them.
#[derive(Clone)]
struct Holding {
    waiting: Arc<Mutex<HashMap<String, usize>>>,
    transport: Arc<Transport>,
    id: String,
}

impl Holding {
    fn new(policy: &Policy, id: &str) -> Self {
        let mut waiting = policy.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting.entry(id.to_owned()).or_default() += 1;
        drop(waiting);
        Self {
            waiting: Arc::clone(&policy.waiting),
            transport: Arc::clone(&policy.transport),
            id: id.to_owned(),
        }
    }

    /// Ends the wait. Returns whether nobody else waits.
    fn leave(&self) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let left = waiting.get(&self.id).map_or(0, |calls| calls.saturating_sub(1));
        match left {
            0 => drop(waiting.remove(&self.id)),
            left => drop(waiting.insert(self.id.clone(), left)),
        }
        left == 0
    }

    /// Ends the wait, and withdraws the request if nobody else waits.
    fn end(&self) {
        if self.leave() {
            withdraw(&self.transport, &self.id);
        }
    }
}

fn declined(id: &str) -> Answer {
    Answer::Refused {
        code: "declined".to_owned(),
        words: format!("the user declined to open {id}; it is withdrawn"),
        approval: Some(id.to_owned()),
    }
}

fn pending_words(id: &str, link: Option<&str>) -> String {
    let link = link.map_or_else(String::new, |link| format!(" at {link} or"));
    format!(
        "pending: {id} waits for an approver, and the tool has not run. It can be decided{link} with `signoff approve {id}`. Make the same call again after the decision."
    )
}
