//! `signoff approve` and `signoff reject`: shows each request, asks for confirmation, and signs on
//! this machine.

mod choose;

use std::io::{IsTerminal, Write, stderr, stdin};

use clap::Args;
use serde_json::json;
use serde_json::value::RawValue;

use super::screen::{Screen, ToSign};
use super::signer::{self, Signing};
use super::transport::{Access, Transport, call_verifier};
use super::{Exit, exit::Failure, output};
use crate::api::{Approval, Problem};
use crate::keys::Keys;
use crate::verifier::{DecisionArgs, Shown, Statement};

#[derive(Args)]
pub(super) struct DecideArgs {
    /// Ids of approvals, or unique prefixes of them; each is shown and signed. Optional on a terminal,
    /// which offers the pending approvals
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// The approver [default: the approver the key is bound to]
    #[arg(long, env = "SIGNOFF_APPROVER")]
    approver: Option<String>,
    /// A comment on the decision
    #[arg(long)]
    comment: Option<String>,
    /// The signature profile [default: v2 if a key of this machine is bound to the approver, else
    /// v1]; v2 covers the whole request
    #[arg(long, value_parser = ["v1", "v2"])]
    profile: Option<String>,
    /// The key of this machine to sign with
    #[arg(long, value_name = "ID", conflicts_with = "signature")]
    key: Option<String>,
    /// Use a signature made elsewhere instead of signing with a key of this machine
    #[arg(long)]
    signature: Option<String>,
    /// Show long values whole
    #[arg(long)]
    full: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
}

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Approved,
    Rejected,
}

/// What a person answers to one request.
enum Choice {
    Decide(Decision),
    Skip,
    Quit,
}

/// One request, as the person sees it, and who signs it.
struct Review {
    /// The unmodified text: this machine's verifier reads exactly what the server sent.
    sent: String,
    /// The same, with its texts in canonical form: a server could hide content behind escapes and
    /// empty lines.
    approval: Approval,
    signing: Signing,
}

pub(super) fn run(
    decision: Decision,
    args: &DecideArgs,
    transport: &Transport,
) -> Result<Exit, Failure> {
    let ids: Vec<String> = match args.ids.as_slice() {
        [] => choose::pending(transport)?.into_iter().collect(),
        ids => ids.iter().map(|id| transport.resolve(id)).collect::<Result<_, _>>()?,
    };
    if args.signature.is_some() && ids.len() > 1 {
        return Err(Failure::usage("--signature is of one approval; give one id"));
    }
    if !args.yes && !stdin().is_terminal() {
        return Err(Failure::usage("--yes is required without a terminal"));
    }
    let mut exit = if ids.is_empty() { Exit::Failed } else { Exit::Done };
    for (number, id) in ids.iter().enumerate() {
        if ids.len() > 1 {
            output::note(&format!("{} of {}: {id}", number + 1, ids.len()));
        }
        match one(id, decision, args, transport) {
            Ok(Choice::Decide(_)) => {}
            Ok(Choice::Skip) => {
                output::note(&format!("nothing was decided about {id}"));
                exit = Exit::Failed;
            }
            Ok(Choice::Quit) => {
                output::note("nothing more was decided");
                return Ok(Exit::Failed);
            }
            Err(failure) if ids.len() == 1 => return Err(failure),
            Err(failure) => {
                failure.print();
                exit = failure.exit();
            }
        }
    }
    Ok(exit)
}

/// Shows one request, asks, and sends what was decided.
fn one(
    id: &str,
    decision: Decision,
    args: &DecideArgs,
    transport: &Transport,
) -> Result<Choice, Failure> {
    let review = Review::of(id, decision, args, transport)?;
    let answer = match args.yes {
        true => Choice::Decide(decision),
        false if review.approval.status != "pending" => {
            // Whether or not that is true, the server would take no ballot.
            let mut screen = Screen::of_messages();
            screen.field("status", &review.approval.status);
            screen.print_messages();
            output::note("the server says that it is not pending, so a decision would not count");
            Choice::Skip
        }
        false => review.ask(decision, args, transport)?,
    };
    if let Choice::Decide(decided) = answer {
        review.decide(decided, args, transport)?;
    }
    Ok(answer)
}

impl Review {
    /// Fetches a request, and checks it with this machine's verifier, which recomputes the digests:
    /// approvers sign what they see.
    fn of(
        id: &str,
        decision: Decision,
        args: &DecideArgs,
        transport: &Transport,
    ) -> Result<Self, Failure> {
        let sent = transport.get(&format!("/api/v1/approvals/{id}"))?;
        let approval = transport.approval_of(id, &sent)?;
        let signing = signing(args, &approval, transport)?;
        let mut review = Self { sent, approval, signing };
        let comment = args.comment.as_deref().unwrap_or_default();
        review.statement(decision, comment, transport)?;
        for text in [&mut review.approval.context, &mut review.approval.plan].into_iter().flatten()
        {
            if text.get() != "null" {
                *text = RawValue::from_string(transport.canonical(text.get())?)?;
            }
        }
        Ok(review)
    }

    /// Makes the statement to sign.
    fn statement(
        &self,
        decision: Decision,
        comment: &str,
        transport: &Transport,
    ) -> Result<Statement, Failure> {
        let text = |text: &Option<Box<RawValue>>| text.as_ref().map(|text| text.get().to_owned());
        let (context, plan) = (text(&self.approval.context), text(&self.approval.plan));
        let shown = Shown {
            approval: &self.sent,
            context: context.as_deref().unwrap_or_default(),
            plan: plan.as_deref().filter(|plan| *plan != "null"),
        };
        let by = DecisionArgs {
            decision: decision.word(),
            approver: &self.signing.approver,
            key_id: self.signing.key_id(),
            comment,
        };
        let reviewed = call_verifier(transport.json, || transport.verifier().review(&shown, &by));
        reviewed.map_err(|failure| match failure {
            Failure::Refused { problem, json } => {
                let detail = format!("{}; sign nothing", problem.detail);
                Failure::Refused { problem: Problem { detail, ..problem }, json }
            }
            other => other,
        })
    }

    /// Shows the request and asks until there is an answer. A folded value must be shown whole before
    /// it can be approved.
    fn ask(
        &self,
        decision: Decision,
        args: &DecideArgs,
        transport: &Transport,
    ) -> Result<Choice, Failure> {
        if Screen::of_messages().is_narrow() {
            return Err(Failure::usage(
                "the terminal is too narrow to show what you sign; make it wider",
            ));
        }
        let keys = transport.keys().unwrap_or_default();
        let mut is_folded = self.show(args.full, &keys);
        loop {
            self.summary().print_messages();
            let (yes, other) = match decision {
                Decision::Approved => ("[y]es", "[r]eject"),
                Decision::Rejected => ("[y]es", "[a]pprove"),
            };
            let unfold = if is_folded { " [f]ull" } else { "" };
            output::note(&format!("{} {}?", decision.question(), self.signing));
            let answer = prompt(&format!("{yes} {other}{unfold} [s]kip [q]uit: "))?;
            let Some(answer) = answer else { return Ok(Choice::Quit) };
            let decided = match answer.to_ascii_lowercase().as_str() {
                "y" | "yes" => decision,
                "a" | "approve" => Decision::Approved,
                "r" | "reject" => Decision::Rejected,
                "f" | "full" => {
                    is_folded = self.show(true, &keys);
                    continue;
                }
                "q" | "quit" => return Ok(Choice::Quit),
                "" | "s" | "skip" | "n" | "no" => return Ok(Choice::Skip),
                _ => {
                    output::note("expected a letter in brackets; nothing was decided yet");
                    continue;
                }
            };
            if is_folded && decided == Decision::Approved {
                output::note("a long value is folded; show it whole with f before you approve");
                continue;
            }
            return Ok(Choice::Decide(decided));
        }
    }

    /// Shows the request. Returns whether a value is folded.
    fn show(&self, full: bool, keys: &Keys) -> bool {
        let mut screen = Screen::new().full(full);
        let to_sign = ToSign { profile: self.signing.profile, by: self.signing.to_string(), keys };
        screen.approval(&self.approval, Some(&to_sign));
        let is_folded = screen.is_folded();
        screen.print_paged();
        is_folded
    }

    /// What is decided, once more, so that it is next to the question whatever was shown above.
    fn summary(&self) -> Screen {
        let mut screen = Screen::of_messages();
        screen.heading("ONCE MORE");
        screen.field("agent", &self.approval.agent);
        screen.field("action", &self.approval.action);
        screen.field("digest", &self.approval.context_hash);
        screen.field_of("plan digest", self.approval.plan_hash.as_deref());
        screen
    }

    /// Signs a decision, sends it and prints the result.
    fn decide(
        &self,
        decision: Decision,
        args: &DecideArgs,
        transport: &Transport,
    ) -> Result<(), Failure> {
        let comment = match &args.comment {
            Some(comment) => Some(comment.clone()),
            None if args.yes || decision == Decision::Approved => None,
            None => prompt("Comment, for the requester (Enter for none): ")?
                .filter(|comment| !comment.is_empty()),
        };
        let signature = match &args.signature {
            Some(signature) => signature.clone(),
            None => {
                let text = comment.as_deref().unwrap_or_default();
                let statement = self.statement(decision, text, transport)?;
                self.signing.sign(&statement, transport)?
            }
        };
        let body = json!({
            "decision": decision.word(),
            "approver": self.signing.approver,
            "comment": comment,
            "signature": signature,
        });
        let path = format!("/api/v1/approvals/{}/approve", self.approval.id);
        let answer = transport.post(&path, body.to_string(), Access::Write)?;
        if transport.json {
            output::line(&answer);
        } else {
            let decided: Approval = transport.parse(&answer)?;
            output::status_line(&decided);
        }
        Ok(())
    }
}

impl Decision {
    fn word(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }

    fn question(self) -> &'static str {
        match self {
            Self::Approved => "Approve this",
            Self::Rejected => "Reject this",
        }
    }
}

/// Returns the approver and the key or signature.
fn signing(
    args: &DecideArgs,
    approval: &Approval,
    transport: &Transport,
) -> Result<Signing, Failure> {
    if let Some(signature) = &args.signature {
        let approver = args.approver.clone();
        let approver = approver.ok_or_else(|| Failure::usage("--signature needs --approver"))?;
        return Ok(Signing::elsewhere(approver, signature));
    }
    let keys = transport.keys()?;
    let request = signer::SignerRequest {
        approver: args.approver.as_deref(),
        profile: args.profile.as_deref(),
        key: args.key.as_deref(),
        v1_counts: approval.requirement.takes_v1(),
    };
    request.resolve(&keys).map_err(|error| error.failure(transport.json))
}

/// Asks a question of ours on standard error; `None` at the end of the input. What was typed before it
/// was asked is no answer to it.
pub(super) fn prompt(question: &str) -> Result<Option<String>, Failure> {
    if stdin().is_terminal() {
        let _ = rustix::termios::tcflush(stdin(), rustix::termios::QueueSelector::IFlush);
    }
    let mut messages = stderr();
    write!(messages, "{question}").and_then(|()| messages.flush())?;
    let mut answer = String::new();
    let read = stdin().read_line(&mut answer)?;
    Ok((read > 0).then(|| answer.trim().to_owned()))
}
