//! `signoff approve` and `signoff reject`: shows the request, asks for confirmation, and signs on
//! this machine.

use std::io::{IsTerminal, Write, stderr, stdin};

use clap::Args;
use serde_json::json;
use serde_json::value::RawValue;

use super::signer::{self, Signing};
use super::transport::{Access, Transport, call_verifier};
use super::{Exit, exit::Failure, output};
use crate::api::{Approval, List, Problem};
use crate::code::Code;
use crate::verifier::{DecisionArgs, Shown, Statement};

#[derive(Args)]
pub(super) struct DecideArgs {
    /// The approval's id, or a unique prefix of it; optional on a terminal, which offers pending
    /// approvals
    id: Option<String>,
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

pub(super) fn run(
    decision: Decision,
    args: &DecideArgs,
    transport: &Transport,
) -> Result<Exit, Failure> {
    let id = match &args.id {
        Some(id) => transport.resolve(id)?,
        None => choose(transport)?,
    };
    // The unmodified text: this machine's verifier reads exactly what the server sent.
    let shown = transport.get(&format!("/api/v1/approvals/{id}"))?;
    let mut approval: Approval = transport.parse(&shown)?;
    if approval.id != id {
        let text =
            format!("requested `{id}`, but the server returned `{}`; sign nothing", approval.id);
        return Err(transport.refused(Code::NOT_FOUND, text));
    }
    let signing = signing(args, &approval, transport)?;
    let statement = review(decision, args, &shown, &approval, &signing, transport)?;
    for text in [&mut approval.context, &mut approval.plan].into_iter().flatten() {
        // In canonical form: a server could hide content behind escapes and empty lines.
        if text.get() != "null" {
            *text = RawValue::from_string(transport.canonical(text.get())?)?;
        }
    }
    if !args.yes && !confirm(decision, &approval, &signing)? {
        output::note("nothing was decided");
        return Ok(Exit::Failed);
    }
    let signature = match &args.signature {
        Some(signature) => signature.clone(),
        None => signing.sign(&statement, transport)?,
    };
    let body = json!({
        "decision": decision.word(),
        "approver": signing.approver,
        "comment": args.comment,
        "signature": signature,
    });
    let path = format!("/api/v1/approvals/{id}/approve");
    let answer = transport.post(&path, body.to_string(), Access::Write)?;
    if transport.json {
        output::line(&answer);
    } else {
        let decided: Approval = transport.parse(&answer)?;
        output::status_line(&decided);
    }
    Ok(Exit::Done)
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

/// Lets the user choose a pending approval.
fn choose(transport: &Transport) -> Result<String, Failure> {
    if !stdin().is_terminal() {
        return Err(Failure::usage("an approval's id is required without a terminal"));
    }
    let pending: List =
        transport.parse(&transport.get("/api/v1/approvals?status=pending&limit=20")?)?;
    if pending.items.is_empty() {
        return Err(transport.refused(Code::NOT_FOUND, "nothing is pending"));
    }
    for (index, approval) in pending.items.iter().enumerate() {
        let Approval { id, agent, action, reason, .. } = approval;
        let reason = reason.as_deref().unwrap_or_default();
        let offered = format!("{id}  {agent}/{action}  {reason}").replace(['\n', '\t'], " ");
        eprintln!("{:>3}  {}", index + 1, output::safe(&offered));
    }
    let answer = prompt("Which one? ")?;
    let chosen = answer.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    chosen
        .and_then(|index| pending.items.get(index))
        .map(|approval| approval.id.clone())
        .ok_or_else(|| Failure::usage("expected one of the numbers shown"))
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

/// Makes the statement to sign with this machine's verifier, which recomputes the digests:
/// approvers sign what they see.
fn review(
    decision: Decision,
    args: &DecideArgs,
    shown: &str,
    approval: &Approval,
    signing: &Signing,
    transport: &Transport,
) -> Result<Statement, Failure> {
    let context = approval.context.as_ref().map_or("", |context| context.get());
    let plan = approval.plan.as_ref().map(|plan| plan.get()).filter(|plan| *plan != "null");
    let shown = Shown { approval: shown, context, plan };
    let by = DecisionArgs {
        decision: decision.word(),
        approver: &signing.approver,
        key_id: signing.key_id(),
        comment: args.comment.as_deref().unwrap_or_default(),
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

fn confirm(decision: Decision, approval: &Approval, signing: &Signing) -> Result<bool, Failure> {
    if !stdin().is_terminal() {
        return Err(Failure::usage("--yes is required without a terminal"));
    }
    output::approval(approval);
    let answer = prompt(&format!("{} {signing}? [y/N] ", decision.question()))?;
    Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
}

pub(super) fn prompt(question: &str) -> Result<String, Failure> {
    eprint!("{question}");
    stderr().flush()?;
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}
